# SPDX-License-Identifier: BSD-3-Clause
"""Relaxed molecules against references: rotations, like atoms, mirror images, bonds."""

from __future__ import annotations

import itertools
import math
from itertools import islice

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from eqnn_models import max_error
from scipy.spatial.transform import Rotation

from eqnn.relaxation.compare import (
    MOST_WAYS,
    _symmetries,
    bonds,
    changed_bonds,
    compare,
    rmsd,
)
from eqnn.relaxation.jobs import Job
from eqnn.relaxation.plots import pictures
from eqnn.relaxation.records import Record
from eqnn.relaxation.report import page, text
from eqnn.relaxation.result import Outcome, Result, outcomes_of
from eqnn.relaxation.tables import TOO_SMALL
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


def test_a_shift_by_half_a_cell_is_none() -> None:
    silicon = bulk("Si", cubic=True)
    other = silicon.copy()
    other.positions += silicon.cell.array[0] / 2 + np.random.default_rng(0).normal(
        scale=0.01, size=(8, 3)
    )
    assert rmsd(other, silicon) <= 0.03


@pytest.mark.parametrize(
    ("atoms", "has_distance", "counts"),
    [
        (molecule("H2O"), False, False),
        (molecule("CO"), True, False),
        (molecule("CH3OH"), True, False),
        (molecule("H2"), True, False),
        (molecule("CH3CH2OH"), True, True),
        (bulk("Cu"), False, False),
        (bulk("NaCl", "rocksalt", 5.64), True, True),
    ],
)
def test_few_atoms_do_not_flatter_the_summary(
    atoms: Atoms, has_distance: bool, counts: bool
) -> None:
    found = compare(atoms, atoms, (None, None), (1, None))
    assert (found.rmsd is not None, found.rmsd_counts) == (has_distance, counts)
    record = Record("a", "", "run", "converged", "", 3, 0.01, -7.0, -5.0, atoms)
    far = molecule("CH3CH2OH")
    moved = far.copy()
    moved.positions[0] += 0.5
    other = compare(moved, far, (None, None), (1, None))
    result = Result([Outcome(record, found), Outcome(record, other)], {})
    summary = result.summary()
    assert summary["compared"] == 2 and summary["rmsd_counted"] == 1 + counts
    assert summary["mean_rmsd"] == pytest.approx((other.rmsd or 0.0) / (1 + counts), abs=1e-7)
    said = text(result)
    assert (TOO_SMALL in said) == (not counts)
    assert (TOO_SMALL in page(result, []).html()) == (not counts)
    nothing = Result([Outcome(record, found)], {})
    assert text(nothing) and nothing.document() and page(nothing, []).html()


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


def outcome_of(status: str, name: str, error: float | None) -> Outcome:
    atoms = molecule(name)
    reference = turned(atoms)
    record = Record("a", "start", "run", status, "", 7, 0.01, -7.0, -5.0, atoms)
    drops = (2.0, None if error is None else 2.0 - error)
    return Outcome(record, compare(atoms, reference, drops, (7, 9)))


@pytest.mark.parametrize(
    ("outcome", "names"),
    [
        (outcome_of("converged", "CH3CH2OH", 0.1), {"steps", "rmsd", "energy_drops"}),
        (outcome_of("converged", "CH3CH2OH", None), {"steps", "rmsd"}),
        (outcome_of("converged", "H2O", 0.1), {"steps", "energy_drops"}),
        (outcome_of("max_steps", "CH3CH2OH", 0.1), set()),
    ],
    ids=["all", "no energies", "too small for a distance", "not converged"],
)
def test_pictures_are_of_what_there_is(outcome: Outcome, names: set[str]) -> None:
    made = pictures(Result([outcome, outcome], {}))
    assert set(made) == names
    for content, caption in made.values():
        assert content.startswith(b"\x89PNG") and caption.endswith(".")


# ---- like atoms, against all permutations ----


def brute_force(x: Atoms, y: Atoms) -> float:
    """Try every permutation of heavy atoms that keeps elements, hydrogens and bonds."""
    heavy = np.flatnonzero(y.numbers > 1)
    pairs = bonds(y)
    near = np.zeros((len(y), len(y)), dtype=bool)
    for i, j in pairs:
        near[i, j] = near[j, i] = True
    hydrogens = near[:, y.numbers == 1].sum(axis=1)[heavy]
    skeleton = near[np.ix_(heavy, heavy)]
    kinds = np.stack([y.numbers[heavy], hydrogens], axis=1)
    best = np.inf
    for way in itertools.permutations(range(len(heavy))):
        p = list(way)
        if not (np.array_equal(kinds[p], kinds) and (skeleton[np.ix_(p, p)] == skeleton).all()):
            continue
        a = x.positions[heavy[p]] - x.positions[heavy].mean(axis=0)
        b = y.positions[heavy] - y.positions[heavy].mean(axis=0)
        turn, _ = Rotation.align_vectors(b, a)
        best = min(best, float(np.sqrt(((turn.apply(a) - b) ** 2).sum(axis=1).mean())))
    return best


def neopentane() -> Atoms:
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3.0)
    places, symbols = [np.zeros(3)], "C"
    for k, corner in enumerate(corners):
        places.append(1.53 * corner)
        symbols += "C"
        for other in np.delete(corners, k, axis=0):
            places.append(1.53 * corner - 1.09 * other)
            symbols += "H"
    return Atoms(symbols, places)


def hexafluoroethane() -> Atoms:
    places = [np.zeros(3), np.array([0.0, 0.0, 1.54])]
    for z, sign, phase in ((0.0, -1, 0.0), (1.54, 1, np.pi / 3)):
        for k in range(3):
            angle = phase + 2 * np.pi * k / 3
            places.append(np.array([1.25 * np.cos(angle), 1.25 * np.sin(angle), z + sign * 0.45]))
    return Atoms("C2F6", places)


def cyclohexane() -> Atoms:
    """Give the chair, with its hydrogens along the axis and outwards."""
    places, symbols = [], ""
    for k in range(6):
        angle, up = np.pi * k / 3, (-1.0) ** k
        out = np.array([np.cos(angle), np.sin(angle), 0.0])
        carbon = 1.46 * out + [0.0, 0.0, 0.25 * up]
        axis = np.array([0.0, 0.0, up])
        places += [carbon, carbon + 1.1 * axis, carbon + 1.04 * out - 0.36 * axis]
        symbols += "CHH"
    return Atoms(symbols, places)


SYMMETRIC = {
    "benzene": molecule("C6H6"),
    "neopentane": neopentane(),
    "cyclohexane": cyclohexane(),
    "hexafluoroethane": hexafluoroethane(),
    "trifluoroacetonitrile": molecule("CF3CN"),
    "acetone": molecule("CH3COCH3"),
}


@pytest.mark.parametrize("name", SYMMETRIC)
@pytest.mark.parametrize("seed", [0, 1])
def test_like_atoms_are_matched_as_by_brute_force(name: str, seed: int) -> None:
    reference = SYMMETRIC[name]
    rng = np.random.default_rng(seed)
    atoms = turned(reference, seed=seed + 2)
    atoms.positions += 0.05 * rng.normal(size=atoms.positions.shape)
    # Like atoms change places: the numbering of another program.
    heavy = np.flatnonzero(reference.numbers > 1)
    ways = list(_symmetries(reference, heavy.tolist()))
    shuffled = ways[(3 + 2 * seed) % len(ways)]
    atoms.positions[heavy] = atoms.positions[heavy[list(shuffled)]]
    found = rmsd(atoms, reference)
    assert max_error(found, brute_force(atoms, reference)) <= 1e-9
    assert 0.01 < found < 0.1


def test_no_exchange_of_like_atoms_makes_a_mirror_image_match() -> None:
    """Of a chiral center with two like groups turned differently, the exchange is a reflection."""
    rng = np.random.default_rng(3)
    for name in ("neopentane", "hexafluoroethane", "cyclohexane"):
        reference = SYMMETRIC[name].copy()
        reference.positions += 0.15 * rng.normal(size=reference.positions.shape)
        mirrored = reference.copy()
        mirrored.positions[:, 0] *= -1
        found = rmsd(mirrored, reference)
        assert max_error(found, brute_force(mirrored, reference)) <= 1e-9
        assert found > 0.05


def test_beyond_the_most_ways_the_distance_is_an_upper_bound() -> None:
    """Four CF3 about a carbon have 31104 ways: not all are tried."""
    center = neopentane()
    atoms = Atoms(["F" if s == "H" else s for s in center.symbols], center.positions)
    heavy = list(range(len(atoms)))
    assert sum(1 for _ in islice(_symmetries(atoms, heavy), MOST_WAYS + 1)) == MOST_WAYS + 1
    moved = turned(atoms)
    assert rmsd(moved, atoms) <= 1e-6  # numbered alike it is exact
    rng = np.random.default_rng(1)
    other = moved.copy()
    other.positions[1:5] = moved.positions[1 + rng.permutation(4)]
    assert np.isfinite(rmsd(other, atoms))


def ring(n: int) -> Atoms:
    angle = 2 * np.pi * np.arange(n) / n
    radius = 0.725 / np.sin(np.pi / n)
    corners = [radius * np.cos(angle), radius * np.sin(angle), 0.2 * (-1.0) ** np.arange(n)]
    return Atoms(f"C{n}", np.transpose(corners))


@pytest.mark.parametrize(
    ("atoms", "n_ways"), [(ring(30), 60), (ring(100), 200), (molecule("C60"), 120)]
)
def test_large_symmetric_molecules_are_matched_whatever_their_order(
    atoms: Atoms, n_ways: int
) -> None:
    """Ways that are tried along bonds end early; else these take hours."""
    order = np.random.default_rng(3).permutation(len(atoms))
    shuffled = atoms[order]
    ways = list(_symmetries(shuffled, range(len(atoms))))
    assert len(ways) == len(set(ways)) == n_ways
    assert ways[0] == tuple(range(len(atoms)))
    turned = shuffled[list(ways[-1])]
    assert rmsd(turned, shuffled) <= 1e-9


def test_the_search_for_ways_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eqnn.relaxation.compare.MOST_PLACED", 1000)
    assert 1 <= len(list(_symmetries(ring(100), range(100)))) <= 11
