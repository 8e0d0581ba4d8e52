# SPDX-License-Identifier: BSD-3-Clause
"""A failure on one of two ranks ends both at once, and its message is printed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from lmp import BIN, GOLDEN, LMP, POTENTIALS, Setup, environment, golden, run_ranks
from safetensors.numpy import load_file
from tried import tried

from eqnn.built import find_built
from eqnn.model_file import read_model, write_model

SMALL = GOLDEN / "tdn" / "model_l1_h16_b1.eqnn"


def far_apart(left: Atoms, right: Atoms) -> Atoms:
    """Two structures, each on its own rank when the box is split along x."""
    apart = right.copy()
    apart.positions += [100.0, 0.0, 0.0]
    both: Atoms = left + apart
    return both


def water() -> Atoms:
    return Atoms("OHH", [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


def expect_end(done: subprocess.CompletedProcess[str], *texts: str) -> None:
    """Check that both ranks ended, and that the failure was printed once."""
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0, said
    for text in texts:
        assert said.count(text) == 1, said


def limited(kilobytes: int) -> Sequence[str]:
    """Return a command for LAMMPS in a limited address space."""
    return ("sh", "-c", f"ulimit -v {kilobytes}; exec " + " ".join(LMP))


@pytest.mark.parametrize("which", [0, 1])
@tried("Refused with a sentence", "a plugin that fits one of two ranks only", "all ranks end")
def test_a_plugin_that_fits_the_other_rank_only(tmp_path: Path, which: int) -> None:
    """Stands for a node with another processor, or with another release of LAMMPS."""
    good = find_built("eqnnplugin.so", "EQNN_PLUGIN").parent
    bad = good.parent / "misfit"
    commands = [
        ("env", f"LAMMPS_PLUGIN_PATH={bad if rank == which else good}", *LMP) for rank in range(2)
    ]
    env = environment()
    del env["LAMMPS_PLUGIN_PATH"]
    done = run_ranks(tmp_path, Setup(SMALL, water()).script(tmp_path) + "run 0\n", commands, env)
    expect_end(
        done, f"on rank {which} of 2: eqnnplugin.so", "was compiled for LAMMPS 20240101, but this"
    )


@pytest.mark.parametrize("which", [0, 1])
@tried("Warned of", "a rank that does not load the plugin", "what the others wait for")
def test_a_rank_that_does_not_load_the_plugin_is_told(tmp_path: Path, which: int) -> None:
    """LAMMPS itself cannot end such a run, so the waiting ranks print what they wait for."""
    good = find_built("eqnnplugin.so", "EQNN_PLUGIN").parent
    words = [str(BIN / "mpiexec")]
    for rank in range(2):
        folder = tmp_path if rank == which else good
        words += [":"] * rank + ["-n", "1", "env", f"LAMMPS_PLUGIN_PATH={folder}", *LMP]
    (tmp_path / "in.test").write_text(Setup(SMALL, water()).script(tmp_path) + "run 0\n")
    env = environment()
    del env["LAMMPS_PLUGIN_PATH"]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(words, cwd=tmp_path, env=env, stdout=said, stderr=said)
        try:
            process.wait(timeout=14)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait(timeout=60)
    assert (
        f"rank {1 - which} waits for others that have not loaded it: is LAMMPS_PLUGIN_PATH set on "
        "all ranks, and the file on all machines?" in (tmp_path / "said").read_text()
    )


@pytest.mark.parametrize("which", [0, 1])
@tried("Refused with a sentence", "a self-test that fails on one of two ranks", "all ranks end")
def test_the_self_test(tmp_path: Path, which: int) -> None:
    model = read_model(SMALL)
    tests = [dict(test) for test in model.document["self_test"]]
    tests[1]["energy"] += 1e-3
    write_model(tmp_path / "wrong.eqnn", {**model.document, "self_test": tests}, model.tensors)
    setup = Setup(tmp_path / "wrong.eqnn", water(), style="eqnn self_test ${test}")
    commands = [(*LMP, "-var", "test", "yes" if rank == which else "no") for rank in range(2)]
    done = run_ranks(tmp_path, setup.script(tmp_path) + "run 0\n", commands)
    expect_end(
        done, f"on rank {which} of 2: ", "the self-test fails in double precision: errors of"
    )


@tried("Refused with a sentence", "no memory for the tables on one of two ranks", "all ranks end")
def test_memory_for_the_tables(tmp_path: Path) -> None:
    """Room for LAMMPS and the plugin, and not for the tables of 89 elements."""
    setup = Setup(POTENTIALS / "nequix_mp_1.eqnn", water())
    done = run_ranks(tmp_path, setup.script(tmp_path) + "run 0\n", [LMP, limited(500_000)])
    expect_end(done, "on rank 1 of 2: not enough memory for the model")


@tried("Refused with a sentence", "no memory for a step on one of two ranks", "all ranks end")
def test_memory_for_a_step(tmp_path: Path) -> None:
    """Room for LAMMPS and the edges, and not for the edges' matrices."""
    model = GOLDEN / "tdn" / "model_l2_h16_b2.eqnn"
    setup = Setup(model, golden("tdn/model_l2_h16_b2.pbc16", model).atoms)
    script = setup.script(tmp_path).replace("pair_style", "replicate 12 12 12\npair_style", 1)
    done = run_ranks(tmp_path, script + "run 0\n", [limited(1_100_000), LMP])
    expect_end(
        done,
        "Pair style eqnn, step 0: on rank 0 of 2: not enough memory for",
        "use more ranks on more machines, or single precision",
    )


@pytest.mark.parametrize("which", [0, 1])
@tried("Refused with a sentence", "atoms on top of each other on one of two ranks", "all ranks end")
def test_atoms_on_top_of_each_other(tmp_path: Path, which: int) -> None:
    clash = water()
    clash.positions[2] = clash.positions[1] + [1e-8, 0.0, 0.0]
    pair = (water(), clash) if which else (clash, water())
    setup = Setup(SMALL, far_apart(*pair), before="processors 2 1 1")
    done = run_ranks(tmp_path, setup.script(tmp_path) + "run 0\n", [LMP, LMP])
    expect_end(done, f"step 0: on rank {which} of 2: atoms", "they lie on top of each other")


@pytest.mark.parametrize("which", [0, 1])
@tried(
    "Refused with a sentence", "an energy that is not finite on one of two ranks", "all ranks end"
)
def test_an_energy_that_is_not_finite(tmp_path: Path, which: int) -> None:
    """A readout that overflows, and on the other rank an atom alone, which has no network part."""
    model = read_model(SMALL)
    last = max(
        (stage for stage in model.document["graph"] if stage["op"] == "readout"),
        key=lambda stage: stage["output"],
    )["layers"][-1]["weight"]
    tensors = dict(model.tensors)
    tensors[last] = np.full_like(tensors[last], np.finfo(tensors[last].dtype).max)
    write_model(tmp_path / "large.eqnn", {**model.document, "self_test": []}, tensors)
    alone = Atoms("C", [[0.0, 0.0, 0.0]])
    pair = (alone, water()) if which else (water(), alone)
    setup = Setup(tmp_path / "large.eqnn", far_apart(*pair), before="processors 2 1 1")
    done = run_ranks(tmp_path, setup.script(tmp_path) + "run 0\n", [LMP, LMP])
    expect_end(done, f"step 0: on rank {which} of 2: the ", "expected a finite number")


def test_the_sentence_comes_once_where_all_fail(tmp_path: Path) -> None:
    setup = Setup(SMALL, water(), coeffs=["pair_coeff * * missing.eqnn H O"])
    done = run_ranks(tmp_path, setup.script(tmp_path), [LMP, LMP])
    expect_end(done, "ERROR: Pair style eqnn: cannot read the model file 'missing.eqnn'")
    assert "on rank" not in done.stdout


def test_a_run_of_two_ranks_is_that_of_one(tmp_path: Path) -> None:
    """Checks the method of the other tests: two commands on two ranks make one run."""
    data = load_file(GOLDEN / "tdn_3bpa" / "golden20.safetensors")
    atoms = Atoms(data["atomic_numbers"], data["positions"][3])
    setup = Setup(POTENTIALS / "tdn_3bpa_exact.eqnn", atoms)
    script = setup.script(tmp_path) + 'run 0\nprint "RESULT $(pe:%.17g)"\n'
    done = run_ranks(tmp_path, script, [LMP, LMP], {**os.environ, **environment()})
    assert done.returncode == 0, done.stdout + done.stderr
    energy = float(done.stdout.split("RESULT")[-1].split()[0])
    assert np.abs(energy - setup.evaluate(tmp_path).energy) <= 1e-8
