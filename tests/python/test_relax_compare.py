# SPDX-License-Identifier: BSD-3-Clause
"""Relaxed molecules against references: rotations, like atoms, mirror images, bonds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from eqnn_models import max_error

from eqnn.relaxation.compare import changed_bonds, compare, rmsd
from eqnn.relaxation.jobs import Job
from eqnn.relaxation.records import Record
from eqnn.relaxation.result import Result, outcomes_of
from eqnn.so3 import random_rotations


def turned(atoms: Atoms, seed: int = 1) -> Atoms:
    """Turn and move a molecule."""
    out: Atoms = atoms.copy()
    out.positions = atoms.positions @ random_rotations(1, seed=seed)[0].T + [1.0, -2.0, 0.5]
    return out


def test_turns_do_not_count() -> None:
    for name in ("CH3CH2OH", "C6H6", "H2O", "CH4", "H2"):
        atoms = molecule(name)
        assert rmsd(turned(atoms), atoms) <= 1e-7


def test_a_shift_of_one_atom_is_measured() -> None:
    atoms = molecule("CH3CH2OH")
    moved = atoms.copy()
    heavy = np.flatnonzero(atoms.numbers > 1)
    moved.positions[heavy[0]] += [0.3, 0.0, 0.0]
    found = rmsd(moved, atoms)
    assert 0.0 < found < 0.3 / math.sqrt(3)  # of three heavy atoms, best turned
    moved = atoms.copy()
    hydrogen = np.flatnonzero(atoms.numbers == 1)[0]
    moved.positions[hydrogen] += 1.0
    assert rmsd(moved, atoms) <= 1e-7


def test_like_atoms_may_have_changed_places() -> None:
    atoms = molecule("C3H8")
    carbons = np.flatnonzero(atoms.numbers == 6)
    ends = [k for k in carbons if (atoms.get_distances(k, carbons) > 2.0).any()]
    swapped = atoms.copy()
    swapped.positions[ends] = atoms.positions[ends[::-1]]
    swapped.positions[ends[0]] += [0.1, 0, 0]
    identity = np.sqrt(((swapped.positions - atoms.positions)[carbons] ** 2).sum(axis=1).mean())
    assert rmsd(swapped, atoms) <= 0.1 < identity
    # The oxygens of acetic acid are no like atoms: one has a hydrogen.
    acid = molecule("CH3COOH")
    oxygens = np.flatnonzero(acid.numbers == 8)
    swapped = acid.copy()
    swapped.positions[oxygens] = acid.positions[oxygens[::-1]]
    assert rmsd(swapped, acid) > 0.05


def test_a_mirror_image_is_another_molecule() -> None:
    ring = molecule("CH3CH2OH")
    chiral = Atoms(
        "CFClBrH",
        [[0, 0, 0], [1.35, 0, 0], [-0.6, 1.66, 0], [-0.6, -0.9, 1.6], [-0.4, -0.5, -0.9]],
    )
    mirrored = chiral.copy()
    mirrored.positions[:, 2] *= -1
    assert rmsd(mirrored, chiral) > 0.3
    assert rmsd(turned(chiral), chiral) <= 1e-7
    assert rmsd(turned(ring, seed=4), ring) <= 1e-7


def test_many_like_atoms_do_not_take_for_ever() -> None:
    atoms = Atoms("C60", np.random.default_rng(0).normal(size=(60, 3)) * 30.0)  # no bonds at all
    assert rmsd(atoms, atoms) <= 1e-6


def test_cells_are_compared_by_their_fractions() -> None:
    silicon = bulk("Si", cubic=True)
    other = silicon.copy()
    other.set_cell(other.cell.array * 1.02, scale_atoms=True)
    other.positions += 7.7  # another cell of the lattice, all atoms together
    assert rmsd(other, silicon) <= 1e-9
    other = silicon.copy()
    other.positions[0] += [0.8, 0, 0]
    shift = np.array([0.8 * 7 / 8] + [-0.1] * 7)
    assert max_error(rmsd(other, silicon), np.sqrt((shift**2).mean())) <= 1e-9


def test_bonds_that_were_made_and_broken_are_named() -> None:
    water = molecule("H2O")
    apart = water.copy()
    apart.positions[1] += [0.0, 3.0, 0.0]
    assert changed_bonds(apart, water) == ((), ("O1-H2",))
    assert changed_bonds(water, apart) == (("O1-H2",), ())
    assert changed_bonds(water, water) == ((), ())


@pytest.mark.parametrize(
    ("drops", "error"), [((1.0, 0.75), 0.25), ((None, 0.75), None), ((1.0, None), None)]
)
def test_energies_are_compared_by_what_the_relaxation_gained(
    drops: tuple[float | None, float | None], error: float | None
) -> None:
    water = molecule("H2O")
    found = compare(water, water, drops, (5, 7))
    assert found.energy_drop_error == error
    assert (found.steps, found.reference_steps) == (5, 7)


def test_an_energy_that_falls_more_than_the_references_is_a_positive_error() -> None:
    def water(energy: float) -> Atoms:
        atoms: Atoms = molecule("H2O")
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
        return atoms

    job = Job("a", water(-10.0), "", water(-11.0), 4)
    record = Record("a", job.start, "run", "converged", "", 3, 0.01, -7.0, -5.0, water(-7.0))
    (outcome,) = outcomes_of([job], {"a": record})
    assert outcome.comparison is not None
    assert outcome.comparison.energy_drop_error == 1.0  # it fell by 2, the reference by 1
    assert Result([outcome], {}).summary()["mean_energy_drop_error"] == 1.0
