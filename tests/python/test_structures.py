# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.data import covalent_radii
from eqnn_models import max_error, refusal, tiny_model

from eqnn import structures
from eqnn.model_file import Model
from eqnn.numpy_evaluator import edges_of
from eqnn.numpy_evaluator import energy as numpy_energy
from eqnn.self_test import add_self_test
from eqnn.structures import (
    CUTOFF_MARGIN,
    cell_with_vacuum,
    cluster,
    cutoff_margin,
    cutoff_margins,
    neighbors,
    periodic_cell,
    read_structure,
    self_test_structures,
)

DIMER = Atoms("OH", [[0, 0, 0], [1.0, 0, 0]])
ALL_ELEMENTS = list(range(1, 97))


@pytest.mark.parametrize("species", [[1], [1, 6, 7, 8], [79], ALL_ELEMENTS])
@pytest.mark.parametrize("cutoff", [3.0, 6.0])
def test_clusters_hold_every_element_at_sensible_distances(
    species: list[int], cutoff: float
) -> None:
    atoms = cluster(species, cutoff)
    assert set(atoms.numbers) == set(species)
    assert len(atoms) == max(8, len(species))
    r = atoms.get_all_distances() + 9.0 * np.eye(len(atoms))
    radii = covalent_radii[atoms.numbers]
    assert (r > (radii[:, None] + radii[None, :]) * 0.999).all()
    assert cutoff_margin(atoms, cutoff) > CUTOFF_MARGIN
    assert max_error(cluster(species, cutoff).positions, atoms.positions) == 0.0


@pytest.mark.parametrize(
    ("species", "cutoff"), [([1], 3.0), ([1, 6, 7, 8], 5.0), (ALL_ELEMENTS, 6.0), ([79], 4.5)]
)
def test_cells_are_smaller_than_the_cutoff(species: list[int], cutoff: float) -> None:
    atoms = periodic_cell(species, cutoff)
    assert atoms.pbc.all()
    assert atoms.cell.lengths().min() < cutoff  # an atom sees its own image
    assert cutoff_margin(atoms, cutoff) > CUTOFF_MARGIN
    assert np.linalg.matrix_rank(atoms.cell.array - np.diag(np.diag(atoms.cell.array))) > 0


def test_self_test_structures_are_one_molecule_in_three_poses_and_a_cell() -> None:
    (_, molecule), (_, rotated), (_, inverted), (name, cell) = self_test_structures([1, 8], 3.0)
    assert max_error(inverted.positions, -molecule.positions) == 0.0
    # Not merely moved: distances stay, positions do not, and the hand does.
    distances = [a.get_all_distances() for a in (molecule, rotated)]
    assert max_error(*distances) <= 1e-12
    assert np.abs(rotated.positions - molecule.positions).max() > 0.1
    assert name == "periodic cell" and cell.pbc.all() and not molecule.pbc.any()


def test_margins_are_the_nearest_pairs_distance_to_the_cutoff() -> None:
    atoms = Atoms("HHH", [[0, 0, 0], [2.9, 0, 0], [2.9, 3.05, 0]])
    assert max_error(cutoff_margins(atoms, 3.0), [0.1, 0.05, 0.05]) <= 1e-12
    assert cutoff_margin(Atoms("H"), 3.0) == 0.5


def test_given_molecules_lose_their_cell() -> None:
    boxed = DIMER.copy()
    boxed.set_cell([9, 9, 9])
    boxed.pbc = True
    found = self_test_structures([1, 8], 3.0, boxed)
    assert not found[0][1].pbc.any()


def test_foreign_elements_are_refused() -> None:
    text = refusal(lambda: self_test_structures([1, 6], 3.0, DIMER))
    assert "the self-test structure: holds O, the model has H C." in text


def test_lonely_atoms_are_refused() -> None:
    far = Atoms("OH", [[0, 0, 0], [7, 0, 0]])
    text = refusal(lambda: self_test_structures([1, 8], 3.0, far))
    assert "no two atoms of the self-test structure are within the cutoff of 3 A" in text


def test_pairs_at_the_cutoff_are_refused() -> None:
    edge = Atoms("OHH", [[0, 0, 0], [1, 0, 0], [0, 3.00001, 0]])
    text = refusal(lambda: self_test_structures([1, 8], 3.0, edge))
    assert "has a pair 1.0e-05 A from the cutoff: rounding would decide its energy" in text


def test_where_chance_finds_nothing_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structures, "CUTOFF_MARGIN", 1.0)  # no pair can be so far off
    monkeypatch.setattr(structures, "_ATTEMPTS", 5)
    text = refusal(lambda: cluster([1, 8], 3.0))
    assert "no random cluster of these elements keeps its pairs off the cutoff of 3 A" in text
    assert "Give a molecule with --self-test-structure." in text
    assert "no random cell of these elements" in refusal(lambda: periodic_cell([1], 3.0))


# ---- reading ----


def test_the_first_structure_of_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.xyz"
    ase.io.write(path, [DIMER, Atoms("H")])
    assert len(read_structure(path)) == 2


def test_missing_structures(tmp_path: Path) -> None:
    text = refusal(lambda: read_structure(tmp_path / "none.xyz"))
    assert "none.xyz: no such file. Give the path of a structure." in text


@pytest.mark.parametrize("content", ["", "hello", "2\n\nH 0 0 0\n"])
def test_files_that_ase_cannot_read(tmp_path: Path, content: str) -> None:
    path = tmp_path / "s.xyz"
    path.write_text(content)
    text = refusal(lambda: read_structure(path))
    assert "s.xyz: ASE cannot read it (" in text or "holds no atoms" in text


def test_files_without_atoms(tmp_path: Path) -> None:
    path = tmp_path / "s.xyz"
    path.write_text("0\n\n")
    assert "s.xyz: holds no atoms" in refusal(lambda: read_structure(path))


def test_coordinates_that_are_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "s.xyz"
    path.write_text("1\n\nH 0 0 nan\n")
    assert "holds NaN or infinite coordinates" in refusal(lambda: read_structure(path))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_search_for_neighbors_passes_over_nan(bad: float) -> None:
    lost = Atoms("H", [[0, bad, 0]])
    crystal = Atoms("H", [[0, bad, 0]], cell=[4, 4, 4], pbc=True)
    open_cell = Atoms("H", [[0, 0, 0]], cell=[4, 4, bad])
    for atoms in (lost, lost + DIMER, crystal, open_cell):
        for use in (
            lambda a=atoms: neighbors("i", a, 3.0),
            lambda a=atoms: cutoff_margin(a, 3.0),
            lambda a=atoms: edges_of(a, 3.0),
            lambda a=atoms: numpy_energy(tiny_model(), a),
        ):
            assert "the structure: holds NaN or infinite coordinates" in refusal(use)


def test_structures_where_doubles_are_too_coarse() -> None:
    text = refusal(lambda: neighbors("i", Atoms("H", [[0, -3e8, 0]]), 3.0))
    assert "the structure: reaches 3e+08 A from the origin, expected at most 1e+08" in text
    assert "Move it to the origin, or wrap it into its cell." in text


@pytest.mark.parametrize("pbc", [True, (True, False, True)])
def test_neighbors_of_atoms_that_were_never_wrapped(pbc: bool | tuple[bool, ...]) -> None:
    # In 64ths, so that displacements by whole cells are exact.
    cell = np.array([[4.25, 0, 0], [0.75, 3.5, 0], [-1.25, 0.5, 4.0]])
    atoms = Atoms("OH", [[0.25, 0.125, 0.5], [2.0, 0.046875, 0.25]], cell=cell, pbc=pbc)
    far = atoms.copy()
    far.positions += (np.array([[10**6, 7, -300], [-12345, 0, 10**6]]) * atoms.pbc) @ cell
    found, expected = (
        sorted(zip(i.tolist(), j.tolist(), vectors.tolist(), strict=True))
        for i, j, vectors in (neighbors("ijD", a, 5.1) for a in (far, atoms))
    )
    assert len(expected) >= 20 and found == expected


def test_lattice_vectors_that_depend_on_each_other() -> None:
    atoms = Atoms("H", cell=[[1, 0, 0], [2, 0, 0], [0, 0, 1]], pbc=True)
    text = refusal(lambda: neighbors("i", atoms, 3.0))
    assert "periodic in a cell of 0 A^3, expected above 1e-06. Correct the cell." in text


def test_periodic_in_some_directions_only(tmp_path: Path) -> None:
    path = tmp_path / "slab.xyz"
    slab = DIMER.copy()
    slab.set_cell([5, 5, 20])
    slab.pbc = [True, True, False]
    ase.io.write(path, slab)
    assert (read_structure(path).pbc == slab.pbc).all()
    slab.cell[1] = 2 * slab.cell[0]
    ase.io.write(path, slab)
    assert refusal(lambda: read_structure(path)) == (
        f"{path}: its periodic lattice vectors are zero or parallel. Correct the cell."
    )


def test_neighbors_of_a_slab_do_not_depend_on_what_is_no_lattice_vector() -> None:
    slab = Atoms("OH", [[0, 0, 0], [0.5, 14.2, 0.7]], pbc=[True, True, False])
    found = []
    for third in ([0, 0, 20], [0, 0, 0], [3, 0, 0]):
        slab.set_cell([[5, 0, 0], [1, 5, 0], third])
        found.append(np.sort(neighbors("d", slab, 6.0)))
    assert found[0].size > 8
    assert max_error(found[1], found[0]) <= 1e-13 and max_error(found[2], found[0]) <= 1e-13


def test_periodic_without_a_cell() -> None:
    atoms = DIMER.copy()
    atoms.pbc = True
    text = refusal(lambda: cell_with_vacuum(atoms, 3.0))
    assert "the structure: periodic in a cell of 0 A^3, expected above 1e-06" in text


# ---- self-tests ----


@pytest.mark.parametrize("forces", ["gradient", "direct"])
def test_self_tests_are_what_the_reference_gives(forces: str) -> None:
    model = add_self_test(tiny_model(forces=forces), DIMER)
    tests = model.document["self_test"]
    assert tests[0]["name"] == "molecule" and len(tests) == 4
    turned = abs(tests[0]["energy"] - tests[1]["energy"])
    assert turned <= 1e-13  # exact couplings
    assert all((t["virial"] is None) == (forces == "direct") for t in tests)
    assert tests[3]["cell"] is not None


def test_old_self_tests_are_replaced() -> None:
    once = add_self_test(tiny_model(), DIMER)
    again = add_self_test(Model(once.document, once.tensors, "m"), DIMER)
    assert again.sha256 == once.sha256
