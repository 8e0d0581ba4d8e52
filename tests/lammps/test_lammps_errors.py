# SPDX-License-Identifier: BSD-3-Clause
"""Every error message of the pair style, as LAMMPS prints it."""

from __future__ import annotations

import json
import re
import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from lmp import (
    BIN,
    GOLDEN,
    POTENTIALS,
    Setup,
    environment,
    fail,
    golden,
    run_script,
    succeed,
    with_bonds,
)
from tried import tried

from eqnn.built import find_built
from eqnn.export.checkpoint import read_checkpoint
from eqnn.export.tdn import TdnConfig, export_tdn
from eqnn.model_file import read_model, write_model

EXACT = POTENTIALS / "tdn_3bpa_exact.eqnn"
SMALL = GOLDEN / "tdn" / "model_l1_h16_b1.eqnn"


def water() -> Atoms:
    return Atoms("OHH", [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


def rewritten(path: Path, **keys: object) -> Path:
    """Write the small model with changed keys in its document and without self-tests."""
    model = read_model(SMALL)
    write_model(path, {**model.document, "self_test": [], **keys}, model.tensors)
    return path


STYLE_ERRORS = [
    (
        "eqnn precision",
        "'precision' is the last word, expected a value after it",
    ),
    ("eqnn convolutions grid", 'convolutions "grid", expected sparse or aligned'),
    ("eqnn couplings grid", 'couplings "grid", expected matrix, cp or node'),
    ("eqnn device tpu", 'device "tpu", expected auto, cpu or gpu'),
    ("eqnn edges here", "'edges here' is not known, expected 'edges host' or 'edges device'"),
    ("eqnn products fast", 'products "fast", expected sparse, grid or fourier'),
    ("eqnn precision half", 'precision "half", expected double, mixed or single'),
    ("eqnn allow anything", "'allow anything' is not known, expected 'allow mean-per-atom' or"),
    (
        "eqnn accuracy double",
        "keyword 'accuracy' is not known, expected one of precision, allow, products, "
        "convolutions, couplings, device, edges, energy_zero, check_edges, self_test",
    ),
    ("eqnn self_test yes accuracy", "keyword 'accuracy' is not known, expected one of precision"),
    (
        "eqnn energy_zero vacuum",
        "'energy_zero vacuum' is not known, expected 'energy_zero model' or 'energy_zero "
        "free_atoms'",
    ),
    ("eqnn check_edges perhaps", "Expected boolean parameter instead of 'perhaps'"),
    ("eqnn self_test perhaps", "Expected boolean parameter instead of 'perhaps'"),
]


@pytest.mark.parametrize(("style", "text"), STYLE_ERRORS)
@tried("Refused with a sentence", "pair_style: unknown words, missing values", "-")
def test_pair_style(tmp_path: Path, style: str, text: str) -> None:
    assert text in fail(tmp_path, Setup(SMALL, water(), style=style).script(tmp_path))


COEFF_ERRORS = [
    ("* * {model} O", "names 1 elements for 2 atom types, expected 'pair_coeff * * MODEL.eqnn'"),
    ("* *", "names 0 elements for 2 atom types"),
    ("* * {model} H Xx", "maps atom type 2 to 'Xx', but"),
    (
        "* * {model} H Fe",
        "knows only H C N O: name one of these, or NULL for atoms of other styles",
    ),
    ("* * missing.eqnn H O", "cannot read the model file 'missing.eqnn': give its path, or put it"),
    ("* * loop.eqnn H O", "cannot read the model file 'loop.eqnn': give its path, or put it"),
    (f"* * {'a' * 300} H O", "cannot read the model file 'aaa"),
    ("* * . H O", "'.' is a folder, expected a model file: name the file in it, as in './MODEL"),
    (
        "* * {model} H NULL",
        "maps atom type 2 to NULL, which leaves it to another style, but there is none: name its",
    ),
    (
        f"* * {GOLDEN / 'pretrained' / 'mace_acac.pt'} H O",
        "is a zip archive, as torch writes checkpoints and TorchScript, expected an eqnn model "
        "file. Make one from a checkpoint with `eqnn export`.",
    ),
    (
        f"* * {GOLDEN / 'tdn' / 'model_l1_h16_b1.weights.safetensors'} H O",
        'key "eqnn" is missing: this is not an eqnn model. Make one with `eqnn export`.',
    ),
    ("* * in.test H O", "is text that begins with"),
]


@pytest.mark.parametrize(("words", "text"), COEFF_ERRORS)
@pytest.mark.parametrize("ranks", [1, 2])
@tried(
    "Refused with a sentence",
    "pair_coeff: elements, files that are no models, folders, checkpoints",
    "on one and two ranks",
)
def test_pair_coeff(tmp_path: Path, words: str, text: str, ranks: int) -> None:
    (tmp_path / "loop.eqnn").symlink_to("loop.eqnn")
    setup = Setup(SMALL, water(), coeffs=[f"pair_coeff {words.format(model=SMALL)}"])
    assert text in fail(tmp_path, setup.script(tmp_path), ranks)


def test_files_too_large_to_be_models(tmp_path: Path) -> None:
    with (tmp_path / "huge.eqnn").open("wb") as file:
        file.truncate(3 << 30)
    text = fail(tmp_path, Setup(tmp_path / "huge.eqnn", water()).script(tmp_path))
    assert "has 3221225472 bytes, expected at most 2147483647: this is not a model" in text


def test_a_truncated_model(tmp_path: Path) -> None:
    (tmp_path / "cut.eqnn").write_bytes(SMALL.read_bytes()[:-100])
    text = fail(tmp_path, Setup(tmp_path / "cut.eqnn", water()).script(tmp_path))
    assert "The file is truncated or damaged: copy or export it again." in text


@tried("Refused with a sentence", "a model file with one changed bit", "-")
def test_an_edited_model(tmp_path: Path) -> None:
    data = bytearray(SMALL.read_bytes())
    data[-1] ^= 1
    (tmp_path / "edited.eqnn").write_bytes(data)
    text = fail(tmp_path, Setup(tmp_path / "edited.eqnn", water()).script(tmp_path))
    assert "The file was damaged or edited: copy or export it again." in text


@tried("Refused with a sentence", "a model whose self-test fails", "-")
def test_a_model_whose_self_test_fails(tmp_path: Path) -> None:
    model = read_model(SMALL)
    tests = [dict(test) for test in model.document["self_test"]]
    tests[1]["energy"] += 1e-3
    write_model(tmp_path / "wrong.eqnn", {**model.document, "self_test": tests}, model.tensors)
    setup = Setup(tmp_path / "wrong.eqnn", water())
    text = fail(tmp_path, setup.script(tmp_path))
    assert "the self-test fails in double precision: errors of" in text
    assert "run the tests (make test), and report it" in text
    setup.style = "eqnn self_test no"
    succeed(tmp_path, setup.script(tmp_path))


@tried("Refused with a sentence", "energies that are means per atom", "-")
def test_mean_per_atom_energies(tmp_path: Path) -> None:
    energy = read_model(SMALL).document["energy"] | {"semantics": "mean-per-atom"}
    path = rewritten(tmp_path / "mean.eqnn", energy=energy)
    text = fail(tmp_path, Setup(path, water()).script(tmp_path))
    assert "predicts the mean energy per atom, which is meaningless for other numbers of" in text
    assert "allow it with 'pair_style eqnn allow mean-per-atom'" in text
    style = "eqnn allow mean-per-atom energy_zero free_atoms"
    text = fail(tmp_path, Setup(path, water(), style=style).script(tmp_path))
    assert (
        "predicts the mean energy per atom, so the energies of free atoms cannot be left out: "
        in text
    )
    assert "remove 'energy_zero free_atoms'" in text


@tried("Refused with a sentence", "direct forces; when forced, pressures are NaN", "-")
def test_direct_forces(tmp_path: Path) -> None:
    config = json.loads((GOLDEN / "tdn" / "model_l1_h16_b1.config.json").read_text())
    config["config"]["gradient_force"] = False
    model = export_tdn(
        read_checkpoint(GOLDEN / "tdn" / "model_l1_h16_b1.weights.safetensors"),
        TdnConfig(config, "config"),
        provenance=read_model(SMALL).document["provenance"],
        species=[1, 8],
        energy="extensive",
    )
    write_model(tmp_path / "direct.eqnn", model.document, model.tensors)
    setup = Setup(tmp_path / "direct.eqnn", water())
    text = fail(tmp_path, setup.script(tmp_path))
    assert "predicts forces that are not the derivative of its energy, so that energy" in text
    assert "allow it with 'pair_style eqnn allow direct-forces'" in text
    setup.style = "eqnn allow direct-forces"
    run = 'thermo_style custom step pe press\nrun 0\nprint "RESULT $(pe) $(press)"\n'
    text = " ".join(succeed(tmp_path, setup.script(tmp_path) + run, 2).split())
    assert "has direct forces and so no virial: pressures and stresses are NaN" in text
    energy, pressure = text.split("RESULT")[-1].split()[:2]
    assert np.isfinite(float(energy))
    assert np.isnan(float(pressure))


@tried("Refused with a sentence", "units lj", "-")
def test_units(tmp_path: Path) -> None:
    text = fail(tmp_path, Setup(SMALL, water(), units="lj").script(tmp_path) + "run 0\n")
    assert "units are 'lj', expected 'metal' or 'real'" in text


@tried("Refused with a sentence", "atoms without IDs", "-")
def test_atoms_without_ids(tmp_path: Path) -> None:
    script = Setup(SMALL, water()).script(tmp_path)
    script = script.replace("atom_modify map yes", "atom_modify id no").replace(
        "read_data data.test",
        "region r block 0 9 0 9 0 9\ncreate_box 2 r\ncreate_atoms 1 single 1 1 1\nmass * 1.0",
    )
    text = fail(tmp_path, script + "run 0\n")
    assert "atoms have no IDs; remove 'atom_modify id no'" in text


@tried("Refused with a sentence", "bonds with special_bonds 0", "-")
def test_special_bonds_that_hide_pairs(tmp_path: Path) -> None:
    script = with_bonds(tmp_path, Setup(SMALL, water()), "special_bonds lj/coul 0 0 0", n_bonds=2)
    text = fail(tmp_path, script + "run 0\n")
    assert "special_bonds removes 1-2 neighbors from the neighbor list, but the model needs" in text
    assert "use 'special_bonds lj/coul 1 1 1', or 1.0e-50 instead of 0" in text


@pytest.mark.parametrize("ranks", [1, 2])
def test_atoms_on_top_of_each_other(tmp_path: Path, ranks: int) -> None:
    atoms = water()
    atoms.positions[2] = atoms.positions[1] + [1e-8, 0.0, 0.0]
    text = fail(tmp_path, Setup(SMALL, atoms).script(tmp_path) + "run 0\n", ranks)
    assert "Angstrom apart, expected at least 1e-6: they lie on top of each other; check" in text
    assert re.search(r"Pair style eqnn, step 0: (on rank \d of 2: )?atoms \d and \d are", text)


@tried("Refused with a sentence", "coordinates that are no numbers", "at that step")
def test_coordinates_that_are_no_numbers(tmp_path: Path) -> None:
    """LAMMPS checks coordinates only when it builds lists; no neighbor may vanish silently."""
    script = Setup(SMALL, water()).script(tmp_path) + (
        "neigh_modify every 100 delay 100 check no\nfix 1 all nve\n"
        "velocity all set 1e300 0 0\ntimestep 1e10\nrun 3\n"
    )
    text = fail(tmp_path, script)
    assert "Pair style eqnn, step 1: atom" in text
    assert "expected finite coordinates: the run has blown up; try a smaller timestep" in text


def test_atoms_much_closer_than_in_training_run_or_stop_with_a_sentence(tmp_path: Path) -> None:
    """1e-3 A: far outside the data, and still finite. Nothing is silently NaN."""
    atoms = water()
    atoms.positions[2] = atoms.positions[1] + [1e-3, 0.0, 0.0]
    result = Setup(SMALL, atoms).evaluate(tmp_path)
    assert np.isfinite(result.energy)
    assert np.isfinite(result.forces).all()


@tried("Refused with a sentence", "energies that are not finite", "-")
def test_a_network_that_overflows(tmp_path: Path) -> None:
    model = read_model(SMALL)
    tensors = {name: values.copy() for name, values in model.tensors.items()}
    last = max(
        (stage for stage in model.document["graph"] if stage["op"] == "readout"),
        key=lambda stage: stage["output"],
    )["layers"][-1]["weight"]
    tensors[last] = np.full_like(tensors[last], np.finfo(tensors[last].dtype).max)
    write_model(tmp_path / "large.eqnn", {**model.document, "self_test": []}, tensors)
    text = fail(tmp_path, Setup(tmp_path / "large.eqnn", water()).script(tmp_path) + "run 0\n", 1)
    assert "the energy of atom 1 is" in text  # its ID, not its place
    assert "expected a finite number" in text


@tried("Refused with a sentence", "memory that does not suffice for a step", "-")
def test_memory_that_does_not_suffice(tmp_path: Path) -> None:
    """Under a limit that leaves room for LAMMPS and the edges, but not for the edges' matrices."""
    frame = golden("tdn/model_l2_h16_b2.pbc16", GOLDEN / "tdn" / "model_l2_h16_b2.eqnn")
    setup = Setup(GOLDEN / "tdn" / "model_l2_h16_b2.eqnn", frame.atoms)
    script = setup.script(tmp_path).replace("pair_style", "replicate 12 12 12\npair_style", 1)
    (tmp_path / "in.test").write_text(script + "run 0\n")
    limit = 1_400_000_000
    done = subprocess.run(
        [str(BIN / "lmp"), "-in", "in.test", "-log", "none"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "not enough memory for" in text, text
    assert "use more ranks on more machines, or single precision" in text


@tried("Refused with a sentence", "a plugin for another LAMMPS", "-")
def test_a_plugin_for_another_lammps(tmp_path: Path) -> None:
    plugin = find_built("eqnnplugin.so", "EQNN_PLUGIN").parent.parent / "misfit" / "eqnnplugin.so"
    env = environment()
    del env["LAMMPS_PLUGIN_PATH"]
    done = run_script(tmp_path, f"plugin load {plugin}\n", env=env)
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "was compiled for LAMMPS 20240101, but this is LAMMPS 20250722: compile it with" in text


@tried("Files, restarts and drivers", "plugin load", "a run")
def test_the_plugin_loads_by_command(tmp_path: Path) -> None:
    plugin = find_built("eqnnplugin.so", "EQNN_PLUGIN")
    env = environment()
    del env["LAMMPS_PLUGIN_PATH"]
    script = f"plugin load {plugin}\n" + Setup(SMALL, water()).script(tmp_path) + "run 0\n"
    done = run_script(tmp_path, script, env=env)
    assert done.returncode == 0, done.stdout
    assert "Total wall time" in done.stdout
