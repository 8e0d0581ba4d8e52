# SPDX-License-Identifier: BSD-3-Clause
"""The batched optimizers take ASE's steps: on the same engine, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE, LBFGS
from eqnn_models import ROOT, max_error

import eqnn
from eqnn.library import Potential
from eqnn.relaxation import Settings

POTENTIALS = ROOT / "potentials"
OPTIMIZERS: dict[str, Any] = {"lbfgs": LBFGS, "fire": FIRE}
STEPS = 50
# Angstrom. Sums of the two are rounded otherwise, and an optimizer amplifies it step by step.
TOLERANCE = 1e-8


def ethanol() -> Atoms:
    """Put ethanol far enough from its minimum for fifty steps."""
    atoms: Atoms = molecule("CH3CH2OH")
    atoms.rattle(0.15, seed=3)
    return atoms


def silicon() -> Atoms:
    """Strain a cell, and move its eight atoms off their places."""
    atoms = bulk("Si", cubic=True)
    strain = np.array([[1.04, 0.02, 0.0], [0.0, 0.97, 0.01], [0.015, 0.0, 1.01]])
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    atoms.rattle(0.1, seed=4)
    return atoms


def with_fixed_atoms(atoms: Atoms) -> Atoms:
    """Fix two of the atoms."""
    atoms.set_constraint(FixAtoms([0, 4]))
    return atoms


def by_ase(atoms: Atoms, model: Path, optimizer: str, relax_cell: bool) -> list[Any]:
    """Positions and cell of each step, and the largest force as ASE sees it."""
    atoms = atoms.copy()
    atoms.calc = eqnn.EQNN(model)
    target = FrechetCellFilter(atoms) if relax_cell else atoms
    frames = []
    run = OPTIMIZERS[optimizer](target, logfile=None)
    for _ in run.irun(fmax=1e-12, steps=STEPS):
        fmax = np.linalg.norm(target.get_forces(), axis=1).max()
        frames.append((atoms.positions.copy(), atoms.cell.array.copy(), fmax))
    return frames


def by_the_engine(
    atoms: Atoms, potential: Potential, optimizer: str, relax_cell: bool
) -> tuple[list[Any], Any]:
    """Positions and cell of each step, and what became of it."""
    frames: list[Any] = []
    settings = Settings(fmax=1e-12, max_steps=STEPS, optimizer=optimizer, relax_cell=relax_cell)
    (relaxed,) = eqnn.relax(
        [atoms],
        potential,
        settings,
        frame=lambda _, now, step: frames.append((now.positions, now.cell.array, step)),
    )
    return frames, relaxed


def layer() -> Atoms:
    """Return a sheet of molecules: along the third axis there are no images."""
    atoms = ethanol()
    atoms.set_cell([[6.0, 0.0, 0.0], [1.0, 6.5, 0.0], [0.0, 0.0, 0.0]])
    atoms.pbc = (True, True, False)
    return atoms


CASES = {
    "molecule": (ethanol, "mace_solvents", False),
    "molecule with fixed atoms": (lambda: with_fixed_atoms(ethanol()), "mace_solvents", False),
    "atoms of a cell": (silicon, "nequix_mp_1", False),
    "sheet": (layer, "mace_solvents", False),
    "cell": (silicon, "nequix_mp_1", True),
    "cell with fixed atoms": (lambda: with_fixed_atoms(silicon()), "nequix_mp_1", True),
}


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("case", CASES)
def test_fifty_steps_are_those_of_ase(case: str, optimizer: str) -> None:
    make, name, relax_cell = CASES[case]
    model = POTENTIALS / f"{name}.eqnn"
    expected = by_ase(make(), model, optimizer, relax_cell)
    with Potential(model) as potential:
        found, relaxed = by_the_engine(make(), potential, optimizer, relax_cell)
    assert len(expected) == len(found) == STEPS + 1
    errors = [
        max(max_error(now[0], then[0]), max_error(now[1], then[1]))
        for now, then in zip(found, expected, strict=True)
    ]
    print(f"{case}, {optimizer}: {max(errors):.1e} A")
    assert max(errors) <= TOLERANCE
    moved = max_error(found[-1][0], found[0][0])
    assert moved > 0.05
    assert [step for _, _, step in found] == list(range(STEPS + 1))
    assert relaxed.status == "max_steps" and relaxed.steps == STEPS
    assert abs(relaxed.fmax - expected[-1][2]) <= 1e-6
