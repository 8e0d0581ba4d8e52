# SPDX-License-Identifier: BSD-3-Clause
"""Structures with their neighbors, and batches of them in few shapes. Needs no JAX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from eqnn.errors import EqnnError
from eqnn.numpy_evaluator import edges_of
from eqnn.so3 import FloatArray
from eqnn.structures import refuse_foreign


@dataclass(frozen=True, eq=False)
class Example:
    """A structure, its edges, and its labels.

    Attributes
    ----------
    name : str
        What messages call it.
    species : ndarray of int [atom]
        Rows of species tables.
    center, source : ndarray of int [edge]
        Sorted by center.
    vector : ndarray [edge, 3]
        Angstrom.
    volume : float
        Angstrom^3; 0 in vacuum.
    energy : float
        eV, less reference energies.
    forces : ndarray [atom, 3] or None
        eV/Angstrom.
    stress : ndarray [3, 3] or None
        eV/Angstrom^3.
    """

    name: str
    species: np.ndarray[Any, Any]
    center: np.ndarray[Any, Any]
    source: np.ndarray[Any, Any]
    vector: FloatArray
    volume: float = 0.0
    energy: float = 0.0
    forces: FloatArray | None = None
    stress: FloatArray | None = None

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.species)

    @property
    def n_edges(self) -> int:
        """Number of directed edges."""
        return len(self.center)


def example_of(
    atoms: Atoms,
    document: dict[str, Any],
    name: str = "the structure",
    *,
    energy: float = 0.0,
    forces: FloatArray | None = None,
    stress: FloatArray | None = None,
) -> Example:
    """Find a structure's edges within a model's cutoff.

    Parameters
    ----------
    atoms : Atoms
    document : dict
        Of the model.
    name : str
        What messages call the structure.
    energy, forces, stress
        Labels; the energy with the reference energies in it.
    """
    refuse_foreign(atoms, document["species"], name)
    edges = edges_of(atoms, document["cutoff"])
    length = np.linalg.norm(edges.vector, axis=1)
    if (length == 0).any():
        first = int(np.argmin(length))
        i, j = sorted((int(edges.center[first]), int(edges.source[first])))
        raise EqnnError(f"{name}: atoms {i} and {j} are in the same place. Correct the structure.")
    index = {z: k for k, z in enumerate(document["species"])}
    species = np.array([index[int(z)] for z in atoms.numbers], dtype=np.int32)
    order = np.argsort(edges.center, kind="stable")
    reference = np.asarray(document["energy"]["reference"], dtype=np.float64)
    return Example(
        name,
        species,
        edges.center[order].astype(np.int32),
        edges.source[order].astype(np.int32),
        edges.vector[order],
        float(atoms.cell.volume) if atoms.pbc.any() else 0.0,
        energy - float(reference[species].sum()),
        forces,
        stress,
    )


class Shape(NamedTuple):
    """Capacity of a batch; its last atom and last structure are padding."""

    atoms: int
    edges: int
    structures: int

    def holds(self, atoms: int, edges: int, structures: int) -> bool:
        """Whether these sizes fit beside the padding."""
        return atoms < self.atoms and edges <= self.edges and structures < self.structures


def shape_for(examples: Sequence[Example]) -> Shape:
    """Return the smallest shape that holds all of these."""
    atoms = sum(e.n_atoms for e in examples)
    return Shape(atoms + 1, sum(e.n_edges for e in examples), len(examples) + 1)


class Arrays(NamedTuple):
    """A batch as arrays: the fields of `eqnn.train.network.Batch`, then the labels.

    Attributes
    ----------
    energy : ndarray [structure]
        eV, less reference energies.
    forces : ndarray [atom, 3]
    stress : ndarray [structure, 3, 3]
    has_forces, has_stress : ndarray of bool [structure]
    n_atoms : ndarray [structure]
        1 for padding.
    volume : ndarray [structure]
        1 where there is none.
    """

    species: Any
    center: Any
    source: Any
    vector: Any
    edge_mask: Any
    atom_mask: Any
    structure: Any
    structure_mask: Any
    energy: Any
    forces: Any
    stress: Any
    has_forces: Any
    has_stress: Any
    n_atoms: Any
    volume: Any


def pack(examples: Sequence[Example], shape: Shape, dtype: str, cutoff: float) -> Arrays:
    """Pack structures into arrays of a shape.

    Parameters
    ----------
    examples : sequence of Example
    shape : Shape
        Which must hold them.
    dtype : str
        Of all numbers that are not whole.
    cutoff : float
        Angstrom: the length of an edge that is padding.
    """
    n_atoms, n_edges, n = shape
    species = np.zeros(n_atoms, np.int32)
    center, source = (np.full(n_edges, n_atoms - 1, np.int32) for _ in range(2))
    vector = np.tile(np.array([cutoff, 0.0, 0.0]), (n_edges, 1))
    structure = np.full(n_atoms, n - 1, np.int32)
    energy, size, volume = np.zeros(n), np.ones(n), np.ones(n)
    forces, stress = np.zeros((n_atoms, 3)), np.zeros((n, 3, 3))
    has_forces, has_stress = np.zeros(n, bool), np.zeros(n, bool)
    a = e = 0
    for k, one in enumerate(examples):
        atoms, edges = slice(a, a + one.n_atoms), slice(e, e + one.n_edges)
        species[atoms], structure[atoms] = one.species, k
        center[edges], source[edges], vector[edges] = one.center + a, one.source + a, one.vector
        energy[k], size[k], volume[k] = one.energy, one.n_atoms, one.volume or 1.0
        if one.forces is not None:
            forces[atoms], has_forces[k] = one.forces, True
        if one.stress is not None and one.volume > 0:
            stress[k], has_stress[k] = one.stress, True
        a, e = atoms.stop, edges.stop
    real = np.dtype(dtype)
    return Arrays(
        species,
        center,
        source,
        vector.astype(real),
        np.arange(n_edges) < e,
        np.arange(n_atoms) < a,
        structure,
        np.arange(n) < len(examples),
        energy.astype(real),
        forces.astype(real),
        stress.astype(real),
        has_forces,
        has_stress,
        size.astype(real),
        volume.astype(real),
    )
