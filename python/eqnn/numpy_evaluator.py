# SPDX-License-Identifier: BSD-3-Clause
"""Evaluates a model file's graph in plain NumPy, stage by stage (`eqnn.stages`).

Energies and their derivatives along a direction; slow, short, and independent of the C++ code.
Formulas: docs/spec/stages. Everything is analytic in the edge vectors, so that they may be
complex: a complex step gives derivatives without rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from eqnn.errors import EqnnError
from eqnn.model_file import Model
from eqnn.so3 import FloatArray
from eqnn.stage_parts import Context, Edges
from eqnn.stages import FUNCTION_OF
from eqnn.structures import neighbors

COMPLEX_STEP = 1e-100


def edges_of(atoms: Atoms, cutoff: float) -> Edges:
    """Return all edges with r < cutoff, images of the atom itself included."""
    center, source, vector = neighbors("ijD", atoms, cutoff)
    inside = np.linalg.norm(vector, axis=1) < cutoff
    return Edges(center[inside], source[inside], vector[inside])


def energy(model: Model, atoms: Atoms) -> float:
    """Total energy in eV of a structure, periodic along the directions in its pbc."""
    numbers = atoms.get_atomic_numbers()
    edges = edges_of(atoms, model.document["cutoff"])
    e_i = site_energies(model, numbers, edges)
    said = model.document["energy"]
    index = {z: k for k, z in enumerate(model.document["species"])}
    rest = sum(said["shift"] + said["reference"][index[z]] for z in numbers)
    return float((_scales(model, numbers) * e_i).sum() + rest)


def _scales(model: Model, numbers: np.ndarray) -> FloatArray:
    """Factor of each atom's e_i in the total energy, eV."""
    said = model.document["energy"]
    index = {z: k for k, z in enumerate(model.document["species"])}
    per_species = np.broadcast_to(np.asarray(said["scale"], dtype=float), len(index))
    factor = len(numbers) if said["semantics"] == "mean-per-atom" else 1
    return np.asarray(factor * per_species[[index[int(z)] for z in numbers]])


def edge_derivative(
    model: Model, numbers: np.ndarray, edges: Edges, direction: FloatArray
) -> float:
    """Differentiate the total energy where all edge vectors move along a direction.

    Parameters
    ----------
    model : Model
    numbers : ndarray [atom]
    edges : Edges
    direction : ndarray [edge, 3]
        d(edge vector)/dt in Angstrom; of atoms moving by u_i, u_source - u_center.

    Returns
    -------
    float
        dE/dt in eV, exact up to rounding.
    """
    moved = Edges(edges.center, edges.source, edges.vector + 1j * COMPLEX_STEP * direction)
    e_i = site_energies(model, numbers, moved)
    return float((_scales(model, numbers) * e_i).sum().imag / COMPLEX_STEP)


def forces(model: Model, atoms: Atoms) -> FloatArray:
    """Return forces [atom, 3], minus the gradient of the energy, in eV/Angstrom; slow."""
    edges = edges_of(atoms, model.document["cutoff"])
    out = np.zeros((len(atoms), 3))
    for i in range(len(atoms)):
        moves = (edges.source == i).astype(float) - (edges.center == i)
        for axis in range(3):
            direction = moves[:, None] * np.eye(3)[axis]
            out[i, axis] = -edge_derivative(model, atoms.numbers, edges, direction)
    return out


def site_energies(model: Model, numbers: np.ndarray, edges: Edges) -> FloatArray:
    """Return e_i [atom], the energy stage's output before scale, shift and reference energies."""
    *_, e_i = run(model, numbers, edges).values()
    if model.document["energy"]["isolated_atoms"] == "zero":
        has_neighbor = np.zeros(len(numbers), dtype=bool)
        has_neighbor[edges.center] = True
        e_i = np.where(has_neighbor, e_i, 0.0)
    return np.asarray(e_i)


def free_atoms(model: Model) -> dict[int, float]:
    """Return a free atom's energy without reference energy and shift, in eV."""
    numbers = np.array(model.document["species"])
    none = Edges(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros((0, 3)))
    scale = np.asarray(model.document["energy"]["scale"], dtype=float)
    found = scale * site_energies(model, numbers, none)
    return dict(zip(numbers.tolist(), found.tolist(), strict=True))


def run(model: Model, numbers: np.ndarray, edges: Edges) -> dict[str, Any]:
    """Values of all stages by name; features block by block, see `stage_parts.dense`.

    Parameters
    ----------
    model : Model
    numbers : ndarray [atom]
        Atomic numbers.
    edges : Edges
    """
    index = {z: k for k, z in enumerate(model.document["species"])}
    unknown = sorted(set(map(int, numbers)) - set(index))
    if unknown:
        raise EqnnError(
            f"{model.name}: the model has no element {unknown[0]}, it has {sorted(index)}. "
            "Remove those atoms or use another model."
        )
    context = Context(model, np.array([index[int(z)] for z in numbers]), edges)
    values: dict[str, Any] = {}
    for stage in model.document["graph"]:
        inputs = {
            role: [values[n] for n in name] if isinstance(name, list) else values[name]
            for role, name in stage["inputs"].items()
        }
        weights = {role: context.tensor(name) for role, name in stage["weights"].items()}
        values[stage["output"]] = FUNCTION_OF[stage["op"]](context, stage, weights, **inputs)
    return values
