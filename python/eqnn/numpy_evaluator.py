# SPDX-License-Identifier: BSD-3-Clause
"""A model file's graph in plain NumPy: one function per stage, the specification made executable.

Energies and their derivatives along a direction; slow, short, and independent of the C++ code.
Formulas: docs/spec/model_file.md. Everything is analytic in the edge vectors, so that they may be
complex: a complex step gives derivatives without rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from eqnn.errors import EqnnError
from eqnn.model_file import (
    Model,
    block_of,
    block_order,
    degree_of,
    parity_of,
    parse_irreps,
    uniform_irreps,
)
from eqnn.so3 import (
    FloatArray,
    gaunt,
    gaunt_curl,
    sphere_quadrature,
    spherical_harmonics,
    wigner_3j,
)
from eqnn.structures import neighbours

Stage = dict[str, Any]
Features = dict[str, FloatArray]
"""Values [node, 2l+1, C] of each block, as in ``{"0e": ..., "1o": ...}``."""

COMPLEX_STEP = 1e-100
COULOMB = 14.3996  # eV Angstrom


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
    """Return all edges with r < cutoff, images of the atom itself included."""
    center, source, vector = neighbours("ijD", atoms, cutoff)
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
        has_neighbour = np.zeros(len(numbers), dtype=bool)
        has_neighbour[edges.center] = True
        e_i = np.where(has_neighbour, e_i, 0.0)
    return np.asarray(e_i)


def free_atoms(model: Model) -> dict[int, float]:
    """Return what the network adds to the reference energy and shift of an atom alone, in eV."""
    numbers = np.array(model.document["species"])
    none = Edges(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros((0, 3)))
    scale = np.asarray(model.document["energy"]["scale"], dtype=float)
    found = scale * site_energies(model, numbers, none)
    return dict(zip(numbers.tolist(), found.tolist(), strict=True))


def run(model: Model, numbers: np.ndarray, edges: Edges) -> dict[str, Any]:
    """Values of all stages by name; features as `Features`, see `dense` for one array of them.

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
    values: dict[str, Any] = {}
    for stage in model.document["graph"]:
        inputs = {
            role: [values[n] for n in name] if isinstance(name, list) else values[name]
            for role, name in stage["inputs"].items()
        }
        weights = {role: context.tensor(name) for role, name in stage["weights"].items()}
        if stage["op"] in _PER_BLOCK:
            values[stage["output"]] = _PER_BLOCK[stage["op"]](context, stage, weights, **inputs)
        elif stage["op"] in _GENERAL:
            values[stage["output"]] = _GENERAL[stage["op"]](context, stage, **inputs, **weights)
        else:
            values[stage["output"]] = _uniform_stage(context, stage, inputs, weights)
    return values


def dense(features: Features) -> FloatArray:
    """Uniform features as one array [node, (l_max+1)^2, C]."""
    return np.concatenate(list(features.values()), axis=1)


def _uniform_stage(
    context: _Context, stage: Stage, inputs: dict[str, Any], weights: dict[str, FloatArray]
) -> Any:
    """Run a stage that knows uniform features as arrays [node, d, C]."""
    arrays = {role: dense(x) if isinstance(x, dict) else x for role, x in inputs.items()}
    out = _UNIFORM[stage["op"]](context, stage, **arrays, **weights)
    if out.ndim != 3 or stage["op"] == "edge_matrix":
        return out
    l_max, channels = math.isqrt(out.shape[1]) - 1, out.shape[2]
    blocks = {block for x in inputs.values() if isinstance(x, dict) for block in x}
    odd = any(block.endswith("o") for block in blocks)
    # Features of all even blocks with l > 0 stay so; other ones have the harmonics' parities.
    even = not odd and any(degree_of(block) for block in blocks)
    even = even or context.model.document["parity"] == "so3"
    irreps = uniform_irreps(l_max, channels, even)
    return {b: out[:, degree_of(b) ** 2 : (degree_of(b) + 1) ** 2] for b in irreps}


@dataclass(frozen=True)
class _Context:
    model: Model
    species: np.ndarray
    edges: Edges

    def tensor(self, name: str) -> FloatArray:
        tensor = self.model.tensors[name]
        return tensor if tensor.dtype == np.int32 else tensor.astype(np.float64)

    def distances(self) -> FloatArray:
        return np.asarray(np.sqrt((self.edges.vector * self.edges.vector).sum(1)))

    def sum_over_edges(self, values: FloatArray) -> FloatArray:
        out = np.zeros((len(self.species), *values.shape[1:]), dtype=values.dtype)
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


def _polynomial_envelope(x: FloatArray, p: float) -> FloatArray:
    """Polynomial envelope of DimeNet with three zeros at x = 1."""
    tail = (p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x * x
    return np.asarray(1.0 - x**p * tail)


def _envelope(context: _Context, envelope: Stage, r: FloatArray) -> FloatArray:
    cutoff = context.model.document["cutoff"]
    if envelope["kind"] == "polynomial":
        return _polynomial_envelope(r / cutoff, envelope["p"])
    a2, c2, r2 = envelope["start"] ** 2, cutoff**2, r * r
    falling = (c2 - r2) ** 2 * (c2 + 2 * r2 - 3 * a2) / (c2 - a2) ** 3
    return np.where(r.real < envelope["start"], 1.0, falling)


def _radial(context: _Context, stage: Stage) -> FloatArray:
    r = context.distances()[:, None]
    basis = {k: context.tensor(name) for k, name in stage["basis"].items() if k != "kind"}
    if stage["basis"]["kind"] == "gaussian":
        t = (r - basis["center"]) / basis["width"]
        values = basis["amplitude"] * np.exp(-0.5 * t * t)
    else:
        values = basis["amplitude"] * np.sin(basis["frequency"] * r) / r
    envelope = stage["envelope"]
    if envelope["kind"] == "none":
        return _mlp(context, stage["layers"], values)
    factor = _envelope(context, envelope, r)
    if envelope["on"] == "basis":
        return _mlp(context, stage["layers"], values * factor)
    return _mlp(context, stage["layers"], values) * factor


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


def _add(context: _Context, stage: Stage, a: Features, b: Features) -> Features:
    return {block: x + b[block] if block in b else x for block, x in a.items()}


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
    z = (q.reshape(n_edges, heads, q.shape[1] // heads) * weights["logit_vector"]).sum(-1)
    largest = np.full((len(context.species), heads), -np.inf)
    np.maximum.at(largest, edges.center, z.real)
    a = np.exp(z - largest[edges.center])
    a = a / (context.sum_over_edges(a) + stage["eps"])[edges.center]

    value = u @ weights["value_weight"].T
    value[:, 0] += weights["value_bias"]
    p = _gated(value, u[:, 0] @ weights["gate_weight"].T + weights["gate_bias"])
    message = (matrix @ p) * w
    per_channel = np.repeat(a, message.shape[2] // heads, axis=1)
    return context.sum_over_edges(message * per_channel[:, None, :])


def _readout(context: _Context, stage: Stage, features: Features) -> FloatArray:
    return _mlp(context, stage["layers"], features["0e"][:, 0])[:, 0]


def _direct_forces(context: _Context, stage: Stage, features: FloatArray) -> FloatArray:
    return features[:, 1:4, 0]


def _energy(context: _Context, stage: Stage, terms: list[FloatArray]) -> FloatArray:
    return np.asarray(sum(terms))


# ---- Clebsch-Gordan paths ----


def _irreps_linear(
    context: _Context, stage: Stage, weights: dict[str, FloatArray], features: Features
) -> Features:
    blocks = parse_irreps(stage["irreps"])
    out = {block: features[block] @ weights[block].T for block in blocks}
    if "bias" in weights:
        out["0e"] = out["0e"] + weights["bias"]
    return out


def _species_linear(
    context: _Context, stage: Stage, weights: dict[str, FloatArray], features: Features
) -> Features:
    blocks = parse_irreps(stage["irreps"])
    of_node = {block: weights[block][context.species].transpose(0, 2, 1) for block in blocks}
    return {block: features[block] @ of_node[block] for block in blocks}


def _edge_tensor_product(
    context: _Context, stage: Stage, source: Features, harmonics: FloatArray, radial: FloatArray
) -> Features:
    parts: dict[str, list[FloatArray]] = {}
    start = 0
    for block, l2, target in stage["paths"]:
        x = source[block][context.edges.source]
        w = radial[:, None, start : start + x.shape[2]]
        start += x.shape[2]
        w3j = wigner_3j(degree_of(block), l2, degree_of(target))
        turned = np.einsum("ijk,ej->eki", w3j, harmonics[:, l2 * l2 : (l2 + 1) ** 2])
        parts.setdefault(target, []).append(context.sum_over_edges((turned @ x) * w))
    order = sorted(parts, key=block_order)
    return {block: np.concatenate(parts[block], axis=2) for block in order}


_ACTIVATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "silu": _silu,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "none": lambda x: x,
}


def _irreps_gate(context: _Context, stage: Stage, features: Features) -> Features:
    functions = {key: _ACTIVATIONS[name] for key, name in stage["activations"].items()}
    out: Features = {}
    for block, n in stage["scalars"].items():
        if n:
            out[block] = functions[block](features[block][:, :, :n])
    flip = {"0e": 1, "0o": -1}[stage["gates"]]
    start = stage["scalars"].get(stage["gates"], 0)
    for block, x in features.items():
        if degree_of(block) > 0:
            gates = features[stage["gates"]][:, :, start : start + x.shape[2]]
            start += x.shape[2]
            target = block_of(degree_of(block), flip * parity_of(block))
            out[target] = x * functions["gates"](gates)
    return {block: out[block] for block in sorted(out, key=block_order)}


def _rms_norm(
    context: _Context, stage: Stage, weights: dict[str, FloatArray], features: Features
) -> Features:
    squares = [(x * x).mean((1, 2), keepdims=True) for x in features.values()]
    size = np.sqrt(sum(squares) / len(squares) + stage["eps"])
    return {block: x * weights[block] / size for block, x in features.items()}


def _symmetric_contraction(context: _Context, stage: Stage, features: Features) -> Features:
    x = dense(features)
    out: Features = {}
    for block in parse_irreps(stage["irreps"]):
        shape = (x.shape[0], 2 * degree_of(block) + 1, x.shape[2])
        out[block] = np.zeros(shape, dtype=x.dtype)
    for term in stage["terms"]:
        indices, values = context.tensor(term["indices"]), context.tensor(term["values"])
        weights = context.tensor(term["weights"])[context.species]
        for (m3, k, *components), value in zip(indices, values, strict=True):
            product = value * weights[:, k]
            for i in components:
                product = product * x[:, i]
            out[term["irrep"]][:, m3] += product
    return out


# ---- products of functions on the sphere ----


def _on_sphere(l_max: int, points: FloatArray) -> FloatArray:
    """Orthonormal harmonics [point, d]."""
    return spherical_harmonics(l_max, points) / math.sqrt(4 * math.pi)


def _sphere_polynomial(
    context: _Context, stage: Stage, features: FloatArray, **orders: FloatArray
) -> FloatArray:
    l_in, l_max = math.isqrt(features.shape[1]) - 1, stage["l_max"]
    points, weights = sphere_quadrature(len(orders) * l_in + l_max)
    f = np.einsum("pi,nic->npc", _on_sphere(l_in, points), features)
    back = weights[:, None] * _on_sphere(l_max, points)
    out = np.zeros((features.shape[0], back.shape[1], features.shape[2]), dtype=features.dtype)
    for nu in range(1, len(orders) + 1):
        power = np.einsum("pk,npc->nkc", back, f**nu)
        out += power * _each_m(orders[f"order_{nu}"][context.species].transpose(0, 2, 1))
    return out


def _each_m(per_degree: FloatArray) -> FloatArray:
    """Repeat [..., l, C] for each m: [..., l^2 + l + m, C]."""
    n = per_degree.shape[-2]
    return np.repeat(per_degree, 2 * np.arange(n) + 1, axis=-2)


def _gaunt_product(
    context: _Context,
    stage: Stage,
    a: FloatArray,
    b: FloatArray,
    scale_a: FloatArray | None = None,
    scale_b: FloatArray | None = None,
    scale_out: FloatArray | None = None,
    curl: FloatArray | None = None,
) -> FloatArray:
    degrees = (math.isqrt(a.shape[1]) - 1, math.isqrt(b.shape[1]) - 1, stage["l_max"])
    a = a if scale_a is None else a * _each_m(scale_a)
    b = b if scale_b is None else b * _each_m(scale_b)
    out = np.einsum("ijk,nic,njc->nkc", gaunt(*degrees), a, b, optimize=True)
    if scale_out is not None:
        out = out * _each_m(scale_out)
    if curl is not None:
        turned = np.einsum("ijk,nic,njc->nkc", gaunt_curl(*degrees), a, b, optimize=True)
        out = out + turned * _each_m(curl)
    return np.asarray(out)


def _gaunt_convolution(
    context: _Context, stage: Stage, source: FloatArray, harmonics: FloatArray, radial: FloatArray
) -> FloatArray:
    x = source[context.edges.source]
    l_source, l_filter = (math.isqrt(v.shape[1]) - 1 for v in (x, harmonics))
    n_channels = radial.shape[1] // (l_filter + 1)
    h = harmonics[:, :, None] * _each_m(radial.reshape(len(radial), l_filter + 1, n_channels))
    table = gaunt(l_source, l_filter, stage["l_max"])
    return context.sum_over_edges(np.einsum("ijk,eic,ejc->ekc", table, x, h, optimize=True))


def _zbl(context: _Context, stage: Stage, radius: FloatArray) -> FloatArray:
    r = context.distances()
    center, source = context.edges.center, context.edges.source
    z = np.array(context.model.document["species"], dtype=float)[context.species]
    powers = z ** stage["screening_exponent"]
    x = r / (stage["screening_length"] / (powers[center] + powers[source]))
    pairs = zip(stage["coefficients"], stage["exponents"], strict=True)
    screening = sum(c * np.exp(-e * x) for c, e in pairs)
    reach = radius[context.species]
    reduced = r / (reach[center] + reach[source])
    cut = np.where(reduced.real < 1.0, _polynomial_envelope(reduced, stage["p"]), 0.0)
    per_edge = COULOMB * z[center] * z[source] / (2 * r) * screening * cut
    return context.sum_over_edges(per_edge)


# Stages that take and make uniform features as arrays, or none at all.
_UNIFORM: dict[str, Callable[..., FloatArray]] = {
    "spherical_harmonics": _spherical_harmonics,
    "edge_matrix": _edge_matrix,
    "radial": _radial,
    "species_embedding": _species_embedding,
    "degree_embedding": _degree_embedding,
    "equivariant_norm": _equivariant_norm,
    "linear": _linear,
    "gate": _gate,
    "edge_attention": _edge_attention,
    "direct_forces": _direct_forces,
    "energy": _energy,
    "sphere_polynomial": _sphere_polynomial,
    "gaunt_product": _gaunt_product,
    "gaunt_convolution": _gaunt_convolution,
    "zbl": _zbl,
}
# Stages that know blocks.
_GENERAL: dict[str, Callable[..., Any]] = {
    "add": _add,
    "readout": _readout,
    "edge_tensor_product": _edge_tensor_product,
    "irreps_gate": _irreps_gate,
    "symmetric_contraction": _symmetric_contraction,
}
# The same, with weights named by blocks.
_PER_BLOCK: dict[str, Callable[..., Features]] = {
    "irreps_linear": _irreps_linear,
    "species_linear": _species_linear,
    "rms_norm": _rms_norm,
}
