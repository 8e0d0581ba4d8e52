# SPDX-License-Identifier: BSD-3-Clause
"""Structures for self-tests: a molecule, rotated, inverted, and a small periodic cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.cell import Cell
from ase.data import chemical_symbols, covalent_radii
from ase.neighborlist import neighbor_list

from eqnn.errors import EqnnError, one_line
from eqnn.so3 import FloatArray, random_rotations

# No pair may be nearer to the cutoff: rounding would decide whether it is an edge.
CUTOFF_MARGIN = 1e-4  # Angstrom
# Farther from the origin, doubles are more than 1.5e-8 Angstrom apart, which changes forces.
FARTHEST = 1e8  # Angstrom
# As in the library: a volume far below means lattice vectors in one plane.
_SMALLEST_VOLUME = 1e-6  # Angstrom^3
_ATTEMPTS = 400


def read_structure(path: Path) -> Atoms:
    """Read the first structure of a file in any format that ASE knows."""
    if not path.is_file():
        raise EqnnError(f"{path}: no such file. Give the path of a structure.")
    try:
        atoms = ase.io.read(path, index=0)
    except Exception as error:  # ASE's readers raise whatever they meet
        raise EqnnError(
            f"{path}: ASE cannot read it ({one_line(error, 80)}). "
            "Give a format that ASE knows, such as extended XYZ."
        ) from None
    if not isinstance(atoms, Atoms) or len(atoms) == 0:
        raise EqnnError(f"{path}: holds no atoms. Give a file with a structure.")
    require_near(atoms, str(path))
    cell_with_vacuum(atoms, 0.0, str(path))
    return atoms


def require_near(atoms: Atoms, name: str = "the structure") -> None:
    """Raise if a coordinate is NaN, infinite, or too large for double precision."""
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise EqnnError(f"{name}: holds NaN or infinite coordinates. Correct the structure.")
    largest = max(
        np.abs(atoms.positions).max(initial=0.0), np.abs(atoms.cell.array).max(initial=0.0)
    )
    if largest > FARTHEST:
        raise EqnnError(
            f"{name}: reaches {largest:g} A from the origin, expected at most {FARTHEST:g}: "
            "farther away, double precision is too coarse.\n"
            "Move it to the origin, or wrap it into its cell."
        )


def neighbors(quantities: str, atoms: Atoms, cutoff: float) -> Any:
    """ASE's neighbor_list, which would silently ignore a NaN, after a check of the structure.

    Parameters
    ----------
    quantities : str
        As ASE's: ``i`` and ``j`` atoms, ``d`` distances, ``D`` vectors from i to j (Angstrom).
    atoms : Atoms
        Periodic atoms may be any number of cells away from each other.
    cutoff : float
        Angstrom.
    """
    require_near(atoms)
    return neighbor_list(quantities, wrapped(atoms), cutoff)


def wrapped(atoms: Atoms) -> Atoms:
    """Return the atoms wrapped by whole cells, so that coordinates keep their digits."""
    if not atoms.pbc.any():
        return atoms
    if atoms.pbc.all():
        _require_volume(atoms.cell.array, "the structure")
    cell = periodic_axes(atoms).array
    cells = np.floor(atoms.positions @ np.linalg.inv(cell)) * atoms.pbc
    out: Atoms = atoms.copy()
    out.cell[:] = cell
    for axis in range(3):
        out.positions -= cells[:, axis, None] * cell[axis]
    return out


def _require_volume(cell: FloatArray, name: str) -> None:
    volume = abs(float(np.linalg.det(cell)))
    if not volume > _SMALLEST_VOLUME:
        raise EqnnError(
            f"{name}: periodic in a cell of {volume:g} A^3, expected above {_SMALLEST_VOLUME:g}. "
            "Correct the cell."
        )


def is_partly_periodic(atoms: Atoms) -> bool:
    """Whether a structure is periodic along one or two of its axes: a chain, a slab."""
    return bool(atoms.pbc.any() and not atoms.pbc.all())


def has_volume(atoms: Atoms) -> bool:
    """Whether stress is defined: for a periodic structure in a cell of three vectors."""
    return bool(atoms.pbc.any() and atoms.cell.volume > _SMALLEST_VOLUME)


def periodic_axes(atoms: Atoms, name: str = "the structure") -> Cell:
    """Lattice vectors (Angstrom) along periodic axes, and unit vectors orthogonal to them.

    Cell vectors along axes that are not periodic are ignored.
    """
    vectors = atoms.cell.array[atoms.pbc]
    # Length, area or volume; NaN is refused too.
    if not np.sqrt(max(np.linalg.det(vectors @ vectors.T), 0.0)) > _SMALLEST_VOLUME:
        raise EqnnError(
            f"{name}: its periodic lattice vectors are zero or parallel. Correct the cell."
        )
    out: Cell = Cell(np.where(atoms.pbc[:, None], atoms.cell.array, 0.0)).complete()
    return out


def cell_with_vacuum(
    atoms: Atoms, cutoff: float, name: str = "the structure", *, room: float = 0.0
) -> FloatArray | None:
    """Lattice vectors as rows [3, 3] of a structure that is periodic along any axes, or None.

    Along the others, the vectors are so long that no image is within the cutoff. Energies are
    exactly those of the structure without these images.

    Parameters
    ----------
    atoms : Atoms
    cutoff : float
        Angstrom.
    name : str
        What messages call the structure.
    room : float
        Angstrom, by which atoms may move and still see no image.
    """
    if not atoms.pbc.any():
        return None
    if atoms.pbc.all():
        _require_volume(atoms.cell.array, name)
        return np.array(atoms.cell.array, dtype=np.float64)
    out = np.array(periodic_axes(atoms, name).array)
    for axis in np.flatnonzero(~atoms.pbc):
        along = atoms.positions @ out[axis]
        out[axis] *= (np.ptp(along) if len(atoms) else 0.0) + cutoff + 1.0 + 2.0 * room
    return out


def elements_in(structures: Iterable[Atoms], species: Iterable[int]) -> list[int] | None:
    """Return the elements with which to open a model for these structures.

    Parameters
    ----------
    structures : iterable of Atoms
    species : iterable of int
        The model's atomic numbers.

    Returns
    -------
    list of int or None
        Their atomic numbers, in order. None, for all elements, where one is not the model's, so
        that its refusal names all that are, and where there is no atom.
    """
    found = {int(z) for atoms in structures for z in np.unique(atoms.numbers)}
    return sorted(found) if found and found <= set(species) else None


def refuse_foreign(atoms: Atoms, species: Sequence[int], name: str) -> None:
    """Raise if a structure has an element that the model lacks."""
    foreign = sorted(set(atoms.numbers.tolist()) - set(species))
    if foreign:
        known = " ".join(chemical_symbols[z] for z in species)
        raise EqnnError(
            f"{name}: holds {chemical_symbols[foreign[0]]}, the model has {known}. "
            "Give a structure of the model's elements."
        )


def cutoff_margins(atoms: Atoms, cutoff: float) -> FloatArray:
    """Smallest |r - cutoff| of each atom's pairs [n], Angstrom; 0.5 at most."""
    center, r = neighbors("id", atoms, cutoff + 0.5)
    out = np.full(len(atoms), 0.5)
    np.minimum.at(out, center, np.abs(r - cutoff))
    return out


def cutoff_margin(atoms: Atoms, cutoff: float) -> float:
    """Smallest |r - cutoff| over all pairs, Angstrom; 0.5 at most."""
    return float(cutoff_margins(atoms, cutoff).min())


def cluster(species: Sequence[int], cutoff: float) -> Atoms:
    """Atoms of all the elements at molecular distances; deterministic.

    Parameters
    ----------
    species : sequence of int
        Atomic numbers; each occurs at least once.
    cutoff : float
        Angstrom; no pair comes near it.
    """
    numbers = (list(species) * 8)[: max(8, len(species))]
    rng = np.random.default_rng(0)
    for _ in range(_ATTEMPTS):
        positions = [np.zeros(3)]
        while len(positions) < len(numbers):
            k = len(positions)
            anchor = rng.integers(k)
            bond = covalent_radii[numbers[k]] + covalent_radii[numbers[anchor]]
            direction = rng.normal(size=3)
            trial = positions[anchor] + direction * (1.1 * bond / np.linalg.norm(direction))
            r = np.linalg.norm(np.array(positions) - trial, axis=1)
            if (r > covalent_radii[numbers[:k]] + covalent_radii[numbers[k]]).all():
                positions.append(trial)
        atoms = Atoms(numbers, np.round(positions, 6))
        if cutoff_margin(atoms, cutoff) > CUTOFF_MARGIN:
            return atoms
    raise EqnnError(
        f"no random cluster of these elements keeps its pairs off the cutoff of {cutoff:g} A. "
        "Give a molecule with --self-test-structure."
    )


def periodic_cell(species: Sequence[int], cutoff: float) -> Atoms:
    """Few atoms in a triclinic cell smaller than the cutoff, so that atoms see their own images.

    Parameters
    ----------
    species : sequence of int
        Atomic numbers.
    cutoff : float
        Angstrom.
    """
    shape = np.array([[0.80, 0.0, 0.0], [0.10, 0.86, 0.0], [-0.07, 0.13, 0.93]])
    numbers = (list(species) * 6)[:6]
    rng = np.random.default_rng(1)
    # As densely as covalent radii allow, or less densely if chance finds no such place.
    for attempt in range(_ATTEMPTS):
        n = max(1, len(numbers) - attempt // 50)
        atoms = Atoms(numbers[:n], cell=cutoff * shape, pbc=True)
        atoms.set_scaled_positions(rng.random((n, 3)))
        atoms.positions = np.round(atoms.positions, 6)
        i, j, r = neighbors("ijd", atoms, cutoff)
        radii = covalent_radii[atoms.numbers]
        if (r > 0.9 * (radii[i] + radii[j])).all() or n == 1:
            if cutoff_margin(atoms, cutoff) > CUTOFF_MARGIN:
                return atoms
    raise EqnnError(
        f"no random cell of these elements keeps its pairs off the cutoff of {cutoff:g} A. "
        "Report it with the elements and the cutoff."
    )


def self_test_structures(
    species: Sequence[int], cutoff: float, molecule: Atoms | None = None
) -> list[tuple[str, Atoms]]:
    """Return the names and structures of a model file's self-tests.

    Parameters
    ----------
    species : sequence of int
        Atomic numbers of the model.
    cutoff : float
        Angstrom.
    molecule : Atoms, optional
        Taken in the place of the built-in cluster; its cell is ignored.
    """
    if molecule is None:
        molecule = cluster(species, cutoff)
    molecule = Atoms(molecule.numbers, molecule.positions)
    refuse_foreign(molecule, species, "the self-test structure")
    if len(neighbors("i", molecule, cutoff)) == 0:
        raise EqnnError(
            f"no two atoms of the self-test structure are within the cutoff of {cutoff:g} A, so it "
            "tests nothing. Give another one."
        )
    margin = cutoff_margin(molecule, cutoff)
    if margin <= CUTOFF_MARGIN:
        raise EqnnError(
            f"the self-test structure has a pair {margin:.1e} A from the cutoff: rounding would "
            "decide its energy.\nGive a structure without (distance to the cutoff above "
            f"{CUTOFF_MARGIN:g} A)."
        )
    rotated, inverted = molecule.copy(), molecule.copy()
    rotated.positions = molecule.positions @ random_rotations(1, seed=7)[0].T
    inverted.positions = -molecule.positions
    return [
        ("molecule", molecule),
        ("molecule, rotated", rotated),
        ("molecule, inverted", inverted),
        ("periodic cell", periodic_cell(species, cutoff)),
    ]
