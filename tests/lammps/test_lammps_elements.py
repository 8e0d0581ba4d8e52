# SPDX-License-Identifier: BSD-3-Clause
"""pair_coeff keeps only the elements that it names; results are bit by bit the same."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from lmp import GOLDEN, POTENTIALS, Result, Setup
from tried import tried

from eqnn.model_file import read_model

SEVENNET = POTENTIALS / "sevennet_0.eqnn"
# One table for all pairs of species; a transform and repulsion by species; cutoffs of each pair;
# powers on the sphere.
MODELS = (
    SEVENNET,
    GOLDEN / "mace" / "mace_l3c3.eqnn",
    GOLDEN / "exporters" / "mace_density_agnesi_zbl.eqnn",
    GOLDEN / "pretrained" / "nequip_cutoffs.eqnn",
    GOLDEN / "mace_gaunt" / "mg_l2_h8_c2.eqnn",
)


def species_of(model: Path) -> list[int]:
    species: list[int] = read_model(model).document["species"]
    return species


def crystal(a: int, b: int) -> Atoms:
    """16 atoms of two elements, in a box that two ranks divide."""
    grid = np.array([[x, y, z] for x in range(4) for y in range(2) for z in range(2)])
    numbers = [(a, b)[k % 2] for k in grid.sum(axis=1)]
    made = Atoms(numbers, 2.2 * grid, cell=[8.8, 4.4, 4.4], pbc=True)
    made.rattle(0.1, seed=5)
    made.wrap()
    return made


def same_bits(found: Result, expected: Result) -> bool:
    """Compare bit by bit; NaN is not equal to anything."""
    return found.energy == expected.energy and all(
        np.array_equal(getattr(found, name), getattr(expected, name))
        for name in ("forces", "virial", "atom_energies", "atom_virials")
    )


def megabytes(log: str) -> float:
    return float(re.findall(r"eqnn memory: ([0-9.]+) MB", log)[0])


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
@tried("Files, restarts and drivers", "some of a model's elements in pair_coeff", "all, every bit")
def test_elements_that_are_not_named_change_no_bit(model: Path, ranks: int, tmp_path: Path) -> None:
    species = species_of(model)
    a, b = species[-1], species[len(species) // 2 - 1]
    atoms = crystal(a, b)
    style = "eqnn precision single self_test no"

    def found(atoms: Atoms, elements: list[int], types: list[int] | None = None) -> Result:
        return Setup(model, atoms, elements, types, style).evaluate(tmp_path, ranks)

    whole = found(atoms, species)
    assert np.abs(whole.forces).max() > 1e-3
    assert same_bits(found(atoms, [a, b]), whole)
    assert same_bits(found(atoms, [b, a]), whole)
    # Two types of one element.
    first = [1 + int(z == b) + int(z == b and k > 7) for k, z in enumerate(atoms.numbers)]
    assert sorted(set(first)) == [1, 2, 3]
    assert same_bits(found(atoms, [a, b, b], first), whole)
    alone = crystal(b, b)
    assert same_bits(found(alone, [b]), found(alone, species))


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_log_says_how_many_and_the_memory_is_theirs(ranks: int, tmp_path: Path) -> None:
    """Self-tests of all elements run all the same, and leave nothing behind."""
    species = species_of(SEVENNET)
    atoms = crystal(14, 8)
    logs = {
        (n, test): Setup(SEVENNET, atoms, elements, None, f"eqnn precision single self_test {test}")
        .evaluate(tmp_path, ranks)
        .log
        for n, elements in ((2, [14, 8]), (89, species))
        for test in ("yes", "no")
    }
    assert "  2 of its 89 elements are loaded: those in pair_coeff\n" in logs[2, "yes"]
    assert "elements are loaded" not in logs[89, "yes"]
    for n in (2, 89):
        assert "self-test: 4 structures" in logs[n, "yes"]
    assert megabytes(logs[2, "yes"]) == megabytes(logs[2, "no"])
    # Maps of 87 elements, and nothing in their place.
    assert megabytes(logs[2, "no"]) < megabytes(logs[89, "no"]) - 1.0 * ranks
