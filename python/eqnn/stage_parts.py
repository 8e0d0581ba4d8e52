# SPDX-License-Identifier: BSD-3-Clause
"""Shared parts of the stages in plain NumPy: their context, layouts of features, functions.

A stage's function is called as ``function(context, stage, weights, **inputs)``: the stage's entry
in the file, its tensors, and its input values, both by their names in the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import erf

from eqnn.model_file import Model, degree_of, uniform_irreps
from eqnn.so3 import FloatArray, spherical_harmonics

Stage = dict[str, Any]
Weights = dict[str, FloatArray]
Features = dict[str, FloatArray]
"""Values [node, 2l+1, C] of each block, as in ``{"0e": ..., "1o": ...}``."""
StageFunction = Callable[..., Any]
SpeciesTables = Callable[[Stage], list[tuple[dict[str, Any], str, int]]]
"""From a stage to its tensors with a row for each element: an object and its key, which holds the
tensor's name, and how many of its first axes are elements."""


@dataclass(frozen=True)
class Edges:
    """Directed edges of a structure.

    Attributes
    ----------
    center, source : ndarray [edge]
        Atom i and its neighbor j.
    vector : ndarray [edge, 3]
        x_j - x_i of the image that is meant, Angstrom.
    """

    center: np.ndarray
    source: np.ndarray
    vector: FloatArray


@dataclass(frozen=True)
class Context:
    """The context of a stage, besides its inputs and weights.

    Attributes
    ----------
    model : Model
    species : ndarray [atom]
        Rows of species tables.
    edges : Edges
    """

    model: Model
    species: np.ndarray
    edges: Edges

    def tensor(self, name: str) -> FloatArray:
        """Return a tensor of the file in double; integers as they are."""
        tensor = self.model.tensors[name]
        return tensor if tensor.dtype == np.int32 else tensor.astype(np.float64)

    def distances(self) -> FloatArray:
        """Lengths [edge] in Angstrom."""
        return np.asarray(np.sqrt((self.edges.vector * self.edges.vector).sum(1)))

    def sum_over_edges(self, values: FloatArray) -> FloatArray:
        """Sum values [edge, ...] over the edges of each center: [atom, ...]."""
        out = np.zeros((len(self.species), *values.shape[1:]), dtype=values.dtype)
        np.add.at(out, self.edges.center, values)
        return out


# ---- features ----


def dense(features: Features) -> FloatArray:
    """Uniform features as one array [node, (l_max+1)^2, C]."""
    return np.concatenate(list(features.values()), axis=1)


def on_arrays(function: Callable[..., FloatArray]) -> StageFunction:
    """Make a stage from a function of uniform features, as arrays [node, d, C]."""

    def run(context: Context, stage: Stage, weights: Weights, **inputs: Any) -> Features:
        arrays = {role: dense(x) if isinstance(x, dict) else x for role, x in inputs.items()}
        out = function(context, stage, weights, **arrays)
        l_max, channels = math.isqrt(out.shape[1]) - 1, out.shape[2]
        blocks = {block for x in inputs.values() if isinstance(x, dict) for block in x}
        odd = any(block.endswith("o") for block in blocks)
        # Features of all even blocks with l > 0 stay so; other ones have the harmonics' parities.
        even = not odd and any(degree_of(block) for block in blocks)
        even = even or context.model.document["parity"] == "so3"
        irreps = uniform_irreps(l_max, channels, even)
        return {b: out[:, degree_of(b) ** 2 : (degree_of(b) + 1) ** 2] for b in irreps}

    return run


def each_m(per_degree: FloatArray) -> FloatArray:
    """Repeat [..., l, C] for each m: [..., l^2 + l + m, C]."""
    n = per_degree.shape[-2]
    return np.repeat(per_degree, 2 * np.arange(n) + 1, axis=-2)


# ---- functions ----


def sigmoid(x: FloatArray) -> FloatArray:
    """1/(1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def silu(x: FloatArray) -> FloatArray:
    """X sigmoid(x)."""
    return x * sigmoid(x)


def absolute(x: FloatArray) -> FloatArray:
    """|x|, of complex steps too."""
    return np.asarray(x * np.sign(x.real))


def gelu(x: FloatArray) -> FloatArray:
    """X (1 + erf(x/sqrt 2))/2."""
    return np.asarray(0.5 * x * (1.0 + erf(x / math.sqrt(2.0))))


def mish(x: FloatArray) -> FloatArray:
    """X tanh(log(1 + exp(x))), without overflow."""
    above = np.where(x.real > 0.0, x, 0.0)
    return np.asarray(x * np.tanh(above + np.log1p(np.exp(-absolute(x)))))


def shifted_softplus(x: FloatArray) -> FloatArray:
    """Compute log(1 + exp(x)) - log 2, without overflow."""
    above = np.where(x.real > 0.0, x, 0.0)
    return np.asarray(above + np.log1p(np.exp(-absolute(x))) - math.log(2.0))


ACTIVATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "none": lambda x: x,
    "silu": silu,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "abs": absolute,
    "gelu": gelu,
    "mish": mish,
    "shifted_softplus": shifted_softplus,
    "tanh_square": lambda x: np.asarray(np.tanh(x * x)),
}


def gated(features: FloatArray, gates: FloatArray) -> FloatArray:
    """Gate features [n, d, C] by gates [n, C]."""
    out = features * sigmoid(gates)[:, None, :]
    out[:, 0] = silu(features[:, 0])
    return out


def mlp(
    context: Context, layers: list[Stage], x: FloatArray, added: FloatArray | float = 0.0
) -> FloatArray:
    """Apply layers of a file to [row, in]: [row, out]; `added` goes to the first's W x."""
    for k, layer in enumerate(layers):
        x = x @ context.tensor(layer["weight"]).T
        if k == 0:
            x = x + added
        if layer["bias"] is not None:
            x = x + context.tensor(layer["bias"])
        if layer["layer_norm"] is not None:
            norm = layer["layer_norm"]
            x = x - x.mean(-1, keepdims=True)
            x = x / np.sqrt((x * x).mean(-1, keepdims=True) + norm["eps"])
            x = x * context.tensor(norm["scale"]) + context.tensor(norm["shift"])
        x = ACTIVATIONS[layer["activation"]](x)
    return x


def polynomial_envelope(x: FloatArray, p: float) -> FloatArray:
    """Polynomial envelope of DimeNet with three zeros at x = 1."""
    tail = (p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x * x
    return np.asarray(1.0 - x**p * tail)


def on_sphere(l_max: int, points: FloatArray) -> FloatArray:
    """Orthonormal harmonics [point, d]."""
    return spherical_harmonics(l_max, points) / math.sqrt(4 * math.pi)
