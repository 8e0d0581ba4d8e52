# SPDX-License-Identifier: BSD-3-Clause
"""A model file's graph in plain NumPy: one function per stage, the specification made executable.

Energies only; slow, short, and independent of the C++ code. Formulas: docs/spec/model_file.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from eqnn.errors import EqnnError
from eqnn.model_file import Model
from eqnn.so3 import FloatArray, spherical_harmonics

Stage = dict[str, Any]


@dataclass(frozen=True)
class Edges:
    """Directed edges of a structure.

    Attributes
    ----------
    center, source : ndarray [edge]
        Atom i and its neighbour j.
    vector : ndarray [edge, 3]
        x_j - x_i of the image that is meant, Angstrom.
    """

    center: np.ndarray
    source: np.ndarray
    vector: FloatArray


def edges_of(atoms: Atoms, cutoff: float) -> Edges:
    """All edges with r < cutoff, images of the atom itself included."""
    center, source, vector = neighbor_list("ijD", atoms, cutoff)
    inside = np.linalg.norm(vector, axis=1) < cutoff
    return Edges(center[inside], source[inside], vector[inside])


def energy(model: Model, atoms: Atoms) -> float:
    """Total energy in eV of a structure (periodic in the directions that it says)."""
    numbers = atoms.get_atomic_numbers()
    edges = edges_of(atoms, model.document["cutoff"])
    e_i = site_energies(model, numbers, edges)
    said = model.document["energy"]
    index = {z: k for k, z in enumerate(model.document["species"])}
    rest = sum(said["shift"] + said["reference"][index[z]] for z in numbers)
    factor = len(numbers) if said["semantics"] == "mean-per-atom" else 1
    return float(factor * said["scale"] * e_i.sum() + rest)


def site_energies(model: Model, numbers: np.ndarray, edges: Edges) -> FloatArray:
    """Return e_i [atom], the energy stage's output before scale, shift and reference energies."""
    *_, e_i = run(model, numbers, edges).values()
    if model.document["energy"]["isolated_atoms"] == "zero":
        has_neighbour = np.zeros(len(numbers), dtype=bool)
        has_neighbour[edges.center] = True
        e_i = np.where(has_neighbour, e_i, 0.0)
    return e_i


def run(model: Model, numbers: np.ndarray, edges: Edges) -> dict[str, FloatArray]:
    """Values of all stages by name.

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
    context = _Context(model, np.array([index[int(z)] for z in numbers]), edges)
    values: dict[str, FloatArray] = {}
    for stage in model.document["graph"]:
        inputs = {
            role: [values[n] for n in name] if isinstance(name, list) else values[name]
            for role, name in stage["inputs"].items()
        }
        weights = {role: context.tensor(name) for role, name in stage["weights"].items()}
        values[stage["output"]] = _STAGES[stage["op"]](context, stage, **inputs, **weights)
    return values


@dataclass(frozen=True)
class _Context:
    model: Model
    species: np.ndarray
    edges: Edges

    def tensor(self, name: str) -> FloatArray:
        return self.model.tensors[name].astype(np.float64)

    def sum_over_edges(self, values: FloatArray) -> FloatArray:
        out = np.zeros((len(self.species), *values.shape[1:]))
        np.add.at(out, self.edges.center, values)
        return out


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def _silu(x: FloatArray) -> FloatArray:
    return x * _sigmoid(x)


def _mlp(context: _Context, layers: list[Stage], x: FloatArray) -> FloatArray:
    for layer in layers:
        x = x @ context.tensor(layer["weight"]).T
        if layer["bias"] is not None:
            x = x + context.tensor(layer["bias"])
        if layer["layer_norm"] is not None:
            norm = layer["layer_norm"]
            x = x - x.mean(-1, keepdims=True)
            x = x / np.sqrt((x * x).mean(-1, keepdims=True) + norm["eps"])
            x = x * context.tensor(norm["scale"]) + context.tensor(norm["shift"])
        if layer["activation"] == "silu":
            x = _silu(x)
    return x


def _spherical_harmonics(context: _Context, stage: Stage) -> FloatArray:
    return spherical_harmonics(stage["l_max"], context.edges.vector)


def _edge_matrix(
    context: _Context, stage: Stage, harmonics: FloatArray, coupling: FloatArray
) -> FloatArray:
    return np.asarray(np.einsum("kji,ej->eki", coupling, harmonics))


def _radial(context: _Context, stage: Stage) -> FloatArray:
    r = np.linalg.norm(context.edges.vector, axis=1)[:, None]
    basis = {key: context.tensor(stage["basis"][key]) for key in ("center", "width", "amplitude")}
    t = (r - basis["center"]) / basis["width"]
    out = _mlp(context, stage["layers"], basis["amplitude"] * np.exp(-0.5 * t * t))
    if stage["envelope"]["kind"] == "polynomial":
        p = stage["envelope"]["p"]
        x = r / context.model.document["cutoff"]
        tail = (p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x * x
        out = out * (1.0 - x**p * tail)
    return out


def _species_embedding(context: _Context, stage: Stage, table: FloatArray) -> FloatArray:
    out = np.zeros((len(context.species), (stage["l_max"] + 1) ** 2, table.shape[1]))
    out[:, 0] = table[context.species]
    return out


def _degree_embedding(
    context: _Context,
    stage: Stage,
    matrix: FloatArray,
    radial: FloatArray,
    weight: FloatArray,
    bias: FloatArray,
) -> FloatArray:
    message = (matrix[:, :, 0, None] * radial[:, None, :]) @ weight.T
    message[:, 0] += bias
    return context.sum_over_edges(message)


def _add(context: _Context, stage: Stage, a: FloatArray, b: FloatArray) -> FloatArray:
    return a + b


def _equivariant_norm(
    context: _Context, stage: Stage, features: FloatArray, scale: FloatArray, shift: FloatArray
) -> FloatArray:
    out = features.copy()
    out[:, 0] -= out[:, 0].mean(-1, keepdims=True)
    for degree in range(scale.shape[0]):
        block = slice(degree**2, (degree + 1) ** 2)
        mean_square = (out[:, block] ** 2).mean((1, 2), keepdims=True)
        out[:, block] *= scale[degree] / np.sqrt(mean_square + stage["eps"])
    out[:, 0] += shift
    return out


def _linear(
    context: _Context,
    stage: Stage,
    features: FloatArray,
    weight: FloatArray,
    bias: FloatArray | None = None,
) -> FloatArray:
    out = features[:, : (stage["l_max"] + 1) ** 2] @ weight.T
    if bias is not None:
        out[:, 0] += bias
    return np.asarray(out)


def _gated(features: FloatArray, gates: FloatArray) -> FloatArray:
    """Gate features [n, d, C] by gates [n, C]."""
    out = features * _sigmoid(gates)[:, None, :]
    out[:, 0] = _silu(features[:, 0])
    return out


def _gate(context: _Context, stage: Stage, features: FloatArray, gates: FloatArray) -> FloatArray:
    return _gated(features, gates[:, 0])


def _edge_attention(
    context: _Context,
    stage: Stage,
    source: FloatArray,
    center: FloatArray,
    matrix: FloatArray,
    radial: FloatArray,
    **weights: FloatArray,
) -> FloatArray:
    edges, w = context.edges, radial[:, None, :]
    n_edges, heads, slope = len(edges.center), stage["heads"], stage["negative_slope"]
    u = (matrix @ (source[edges.source] + center[edges.center])) * w

    q = u[:, 0] @ weights["logit_weight"].T + weights["logit_bias"]
    q = 0.5 * (1 + slope) * q + 0.5 * (1 - slope) * q * (2 * _sigmoid(q) - 1)
    z = (q.reshape(n_edges, heads, -1) * weights["logit_vector"]).sum(-1)
    largest = np.full((len(context.species), heads), -np.inf)
    np.maximum.at(largest, edges.center, z)
    a = np.exp(z - largest[edges.center])
    a = a / (context.sum_over_edges(a) + stage["eps"])[edges.center]

    value = u @ weights["value_weight"].T
    value[:, 0] += weights["value_bias"]
    p = _gated(value, u[:, 0] @ weights["gate_weight"].T + weights["gate_bias"])
    message = (matrix @ p) * w
    per_channel = np.repeat(a, message.shape[2] // heads, axis=1)
    return context.sum_over_edges(message * per_channel[:, None, :])


def _readout(context: _Context, stage: Stage, features: FloatArray) -> FloatArray:
    return _mlp(context, stage["layers"], features[:, 0])[:, 0]


def _direct_forces(context: _Context, stage: Stage, features: FloatArray) -> FloatArray:
    return features[:, 1:4, 0]


def _energy(context: _Context, stage: Stage, terms: list[FloatArray]) -> FloatArray:
    return np.asarray(sum(terms))


_STAGES: dict[str, Callable[..., FloatArray]] = {
    "spherical_harmonics": _spherical_harmonics,
    "edge_matrix": _edge_matrix,
    "radial": _radial,
    "species_embedding": _species_embedding,
    "degree_embedding": _degree_embedding,
    "add": _add,
    "equivariant_norm": _equivariant_norm,
    "linear": _linear,
    "gate": _gate,
    "edge_attention": _edge_attention,
    "readout": _readout,
    "direct_forces": _direct_forces,
    "energy": _energy,
}
