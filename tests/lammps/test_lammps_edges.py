# SPDX-License-Identifier: BSD-3-Clause
"""Tests `edges device`, the method for GPUs, on a CPU: the engine makes edges from the list.

`pytest tests/lammps --lammps-words "edges device"` runs all other tests of LAMMPS that way.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from lmp import GOLDEN, POTENTIALS, Result, Setup, fail, golden, read_dump, succeed
from tried import tried

AREA = "Neighbor lists and communication"
# Two layers, so that features and their adjoints cross borders; and one with harmonics of edges.
MODELS = {
    "tdn": (GOLDEN / "tdn" / "model_l2_h16_b2.eqnn", "tdn/model_l2_h16_b2.pbc16"),
    "mace": (POTENTIALS / "mace_solvents.eqnn", "tdn_3bpa/pbc_hot440"),
}


def structure(name: str) -> Atoms:
    _, frame = MODELS[name]
    atoms: Atoms = golden(frame, GOLDEN / "tdn" / "model_l2_h16_b2.eqnn").atoms
    return atoms if name == "tdn" else atoms[[k for k, z in enumerate(atoms.numbers) if z != 7]]


def expect_same(found: Result, expected: Result, tolerance: float) -> None:
    # Sums run in another order: a ghost within the skin is a node too.
    assert abs(found.energy - expected.energy) <= tolerance * abs(expected.energy)
    for name in ("forces", "virial", "atom_energies", "atom_virials"):
        a, b = getattr(found, name), getattr(expected, name)
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= tolerance * max(1.0, np.abs(b).max()), name


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("newton", ["on", "off"])
@pytest.mark.parametrize("name", MODELS)
@tried(
    AREA, "edges device; newton on and off", "edges host, 1e-12: energy, forces, virial, per atom"
)
def test_both_ways_are_the_same(tmp_path: Path, name: str, newton: str, ranks: int) -> None:
    setup = Setup(MODELS[name][0], structure(name), before=f"newton {newton}")
    setup.style = "eqnn edges host"
    expected = setup.evaluate(tmp_path, ranks)
    setup.style = "eqnn edges device"
    expect_same(setup.evaluate(tmp_path, ranks), expected, 1e-12)


@pytest.mark.parametrize("precision", ["mixed", "single"])
@tried(AREA, "edges device in mixed and single precision", "edges host, 1e-5")
def test_rows_of_floats(tmp_path: Path, precision: str) -> None:
    setup = Setup(MODELS["tdn"][0], structure("tdn"), style=f"eqnn precision {precision}")
    expected = setup.evaluate(tmp_path, 2)
    setup.style += " edges device"
    expect_same(setup.evaluate(tmp_path, 2), expected, 1e-5)


RUN = """
velocity all create 600 4711 loop geom
fix 1 all nve
neigh_modify every 4 delay 0 check no
thermo 10
dump d all custom 10 dump.run id x y z fx fy fz
dump_modify d sort id format float %.17g
timestep 0.0005
run 20
"""


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(
    "then",
    [
        "",
        "fix 2 all atom/swap 1 3 4321 600 types 1 2 ke no\nrun 10",
        # the list is kept while types change
        "neigh_modify every 1000 delay 1000\nset atom 3 type 1\nset atom 5 type 2\nrun 10 pre no",
    ],
)
@tried(
    AREA,
    "edges device in a run, lists kept for some steps, fix atom/swap, types that change",
    "edges host, 1e-9",
)
def test_runs_are_the_same(tmp_path: Path, then: str, ranks: int) -> None:
    setup = Setup(MODELS["tdn"][0], structure("tdn"))
    found = []
    for where in ("host", "device"):
        setup.style = f"eqnn edges {where}"
        succeed(tmp_path, setup.script(tmp_path) + RUN + then + "\n", ranks)
        found.append(read_dump(tmp_path / "dump.run", len(setup.atoms), slice(1, 7)))
    assert np.abs(found[0][-1] - found[0][0]).max() > 1e-3  # it moved
    assert np.abs(found[1] - found[0]).max() <= 1e-9 * max(1.0, np.abs(found[0]).max())


@pytest.mark.parametrize("ranks", [1, 2])
@tried("Refused with a sentence", "atoms on top of each other, with edges device", "")
def test_messages_name_the_atoms(tmp_path: Path, ranks: int) -> None:
    atoms = structure("tdn")
    atoms.positions[3] = atoms.positions[5]
    setup = Setup(MODELS["tdn"][0], atoms, style="eqnn edges device")
    text = fail(tmp_path, setup.script(tmp_path) + "run 0\n", ranks)
    assert "atoms 4 and 6 are 0 Angstrom apart" in text or "atoms 6 and 4 are 0 Ang" in text


@tried("Refused with a sentence", "device gpu in a build that has none", "")
def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    setup = Setup(MODELS["tdn"][0], structure("tdn"), style="eqnn device gpu")
    assert (
        "Pair style eqnn: this build of eqnn has no kernels for a GPU. Use device auto, or another "
        "build: docs/gpu.md says how."
    ) in fail(tmp_path, setup.script(tmp_path))
