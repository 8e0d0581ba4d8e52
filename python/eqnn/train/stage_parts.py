# SPDX-License-Identifier: BSD-3-Clause
"""Shared parts of the stages in JAX: their context, layouts of features, functions.

As in `eqnn.stage_parts`, a stage's function is called ``forward(context, stage, weights,
**inputs)``. The differences: everything is twice differentiable at every possible edge; edges and
atoms may be padding, which adds exact zeros; and a stage declares which of its tensors are trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from eqnn import so3
from eqnn.model_file import degree_of, uniform_irreps

Stage = dict[str, Any]
Tensor = Any
"""An array of JAX."""
Weights = dict[str, Tensor]
Features = dict[str, Tensor]
"""Values [node, 2l+1, C] of each block, as in ``{"0e": ..., "1o": ...}``."""

# Sums of products as exact as the type is: on some devices JAX would round factors.
PRECISION = "highest"
einsum = partial(jnp.einsum, precision=PRECISION, optimize="optimal")
matmul = partial(jnp.matmul, precision=PRECISION)


@dataclass(frozen=True)
class TrainedOp:
    """An operation of a file in JAX.

    Attributes
    ----------
    forward : callable
        As above.
    trained : callable
        Given the stage, the names of its tensors that are trained. The others are constants:
        couplings, grids, radii.
    """

    forward: Callable[..., Any]
    trained: Callable[[Stage], Sequence[str]]


def nothing(stage: Stage) -> list[str]:
    """No tensor is trained."""
    return []


def all_weights(stage: Stage) -> list[str]:
    """Each tensor of ``weights`` is trained."""
    return list(stage["weights"].values())


def of_layers(stage: Stage) -> list[str]:
    """Each tensor of ``layers`` is trained."""
    out = []
    for layer in stage["layers"]:
        norm = layer["layer_norm"] or {}
        names = [layer["weight"], layer["bias"], norm.get("scale"), norm.get("shift")]
        out += [name for name in names if name is not None]
    return out


@dataclass(frozen=True)
class Context:
    """The context of a stage, besides its inputs and weights.

    Attributes
    ----------
    document : dict
        Of the model.
    tensors : mapping
        Trained tensors, arrays of JAX, and constants, arrays of NumPy.
    dtype : dtype
        That everything is computed in.
    species : array [atom]
        Rows of species tables.
    center, source : array [edge]
        Sorted by center.
    vector : array [edge, 3]
        Angstrom; not zero, also where an edge is padding.
    mask : array of bool [edge]
        False for padding.
    """

    document: dict[str, Any]
    tensors: Mapping[str, Any]
    dtype: Any
    species: Tensor
    center: Tensor
    source: Tensor
    vector: Tensor
    mask: Tensor

    def tensor(self, name: str) -> Tensor:
        """Return a tensor of the file in the working precision."""
        return jnp.asarray(self.tensors[name], dtype=self.dtype)

    def constant(self, name: str) -> np.ndarray[Any, Any]:
        """Return a tensor that is not trained as an array of NumPy, as it is stored."""
        return np.asarray(self.tensors[name])

    def array(self, values: Any) -> Tensor:
        """Return numbers in the working precision."""
        return jnp.asarray(values, dtype=self.dtype)

    def distances(self) -> Tensor:
        """Lengths [edge] in Angstrom."""
        return jnp.sqrt((self.vector * self.vector).sum(1))

    def of_center(self, values: Tensor) -> Tensor:
        """Rows [edge, ...] of values [atom, ...] of the edges' centers."""
        return jnp.take(values, self.center, axis=0, indices_are_sorted=True)

    def of_source(self, values: Tensor) -> Tensor:
        """Rows [edge, ...] of values [atom, ...] of the edges' sources."""
        return jnp.take(values, self.source, axis=0)

    def sum_over_edges(self, values: Tensor) -> Tensor:
        """Sum values [edge, ...] over the edges of each center: [atom, ...]; padding adds 0."""
        shape = (len(self.mask),) + (1,) * (values.ndim - 1)
        kept = jnp.where(self.mask.reshape(shape), values, 0)
        return jax.ops.segment_sum(kept, self.center, len(self.species), indices_are_sorted=True)

    def max_over_edges(self, values: Tensor) -> Tensor:
        """Largest value [edge, ...] of the edges of each center: [atom, ...]; it has no slope."""
        return jax.ops.segment_max(
            jax.lax.stop_gradient(values), self.center, len(self.species), indices_are_sorted=True
        )


# ---- features ----


def dense(features: Features) -> Tensor:
    """Uniform features as one array [node, (l_max+1)^2, C]."""
    blocks = list(features.values())
    return blocks[0] if len(blocks) == 1 else jnp.concatenate(blocks, axis=1)


def on_arrays(function: Callable[..., Tensor]) -> Callable[..., Features]:
    """Make a stage from a function of uniform features, as arrays [node, d, C]."""

    def run(context: Context, stage: Stage, weights: Weights, **inputs: Any) -> Features:
        arrays = {role: dense(x) if isinstance(x, dict) else x for role, x in inputs.items()}
        out = function(context, stage, weights, **arrays)
        l_max, channels = math.isqrt(out.shape[1]) - 1, out.shape[2]
        blocks = {block for x in inputs.values() if isinstance(x, dict) for block in x}
        odd = any(block.endswith("o") for block in blocks)
        # Features of all even blocks with l > 0 stay so; other ones have the harmonics' parities.
        even = not odd and any(degree_of(block) for block in blocks)
        even = even or context.document["parity"] == "so3"
        irreps = uniform_irreps(l_max, channels, even)
        return {b: out[:, degree_of(b) ** 2 : (degree_of(b) + 1) ** 2] for b in irreps}

    return run


def each_m(per_degree: Tensor) -> Tensor:
    """Repeat [..., l, C] for each m: [..., l^2 + l + m, C]."""
    parts = []
    for degree in range(per_degree.shape[-2]):
        row = per_degree[..., degree : degree + 1, :]
        shape = (*row.shape[:-2], 2 * degree + 1, row.shape[-1])
        parts.append(jnp.broadcast_to(row, shape))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-2)


def with_first(first: Tensor, features: Tensor) -> Tensor:
    """Features [node, d, C] with another row l = 0 [node, C]."""
    return jnp.concatenate([first[:, None], features[:, 1:]], axis=1)


# ---- functions ----


def sigmoid(x: Tensor) -> Tensor:
    """1/(1 + exp(-x)), without overflow."""
    return 0.5 * (1.0 + jnp.tanh(0.5 * x))


def silu(x: Tensor) -> Tensor:
    """X sigmoid(x)."""
    return x * sigmoid(x)


def absolute(x: Tensor) -> Tensor:
    """|x|."""
    return jnp.abs(x)


def gelu(x: Tensor) -> Tensor:
    """X (1 + erf(x/sqrt 2))/2."""
    return jax.nn.gelu(x, approximate=False)


def mish(x: Tensor) -> Tensor:
    """X tanh(log(1 + exp(x))), without overflow."""
    return x * jnp.tanh(jax.nn.softplus(x))


def shifted_softplus(x: Tensor) -> Tensor:
    """Compute log(1 + exp(x)) - log 2, without overflow."""
    return jax.nn.softplus(x) - math.log(2.0)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "silu": silu,
    "tanh": jnp.tanh,
    "sigmoid": sigmoid,
    "abs": absolute,
    "gelu": gelu,
    "mish": mish,
    "shifted_softplus": shifted_softplus,
    "tanh_square": lambda x: jnp.tanh(x * x),
}


def gated(features: Tensor, gates: Tensor) -> Tensor:
    """Gate features [n, d, C] by gates [n, C]."""
    if features.shape[1] == 1:
        return silu(features)
    return with_first(silu(features[:, 0]), features * sigmoid(gates)[:, None, :])


def mlp(
    context: Context, layers: Sequence[Stage], x: Tensor, added: Tensor | float = 0.0
) -> Tensor:
    """Apply layers of a file to [row, in]: [row, out]; `added` goes to the first's W x."""
    for k, layer in enumerate(layers):
        x = matmul(x, context.tensor(layer["weight"]).T)
        if k == 0:
            x = x + added
        if layer["bias"] is not None:
            x = x + context.tensor(layer["bias"])
        if layer["layer_norm"] is not None:
            norm = layer["layer_norm"]
            x = x - x.mean(-1, keepdims=True)
            x = x / jnp.sqrt((x * x).mean(-1, keepdims=True) + norm["eps"])
            x = x * context.tensor(norm["scale"]) + context.tensor(norm["shift"])
        x = ACTIVATIONS[layer["activation"]](x)
    return x


def power(x: Tensor, exponent: float) -> Tensor:
    """X to a power, by multiplications where it is a whole number."""
    return x ** int(exponent) if float(exponent).is_integer() else x**exponent


def polynomial_envelope(x: Tensor, p: float) -> Tensor:
    """Polynomial envelope of DimeNet with three zeros at x = 1."""
    tail = (p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x * x
    return 1.0 - power(x, p) * tail


@cache
def _raised(degree: int) -> Any:
    """Table [2l+1, 3, 2l+3] by which Y_l and Y_1 of one direction make Y_{l+1}."""
    table = so3.wigner_3j(degree, 1, degree + 1)
    y = so3.spherical_harmonics(degree + 1, np.array([[0.3, 0.5, 0.7]]))[0]
    low, high = (y[n * n : (n + 1) ** 2] for n in (degree, degree + 1))
    made = np.einsum("ijk,i,j->k", table, low, y[1:4])
    return table * (high @ made) / (made @ made)


def spherical_harmonics(l_max: int, vectors: Tensor) -> Tensor:
    """Real spherical harmonics of directions, as of `eqnn.so3.spherical_harmonics`.

    Polynomials of the unit vector, each degree made of the one before by products with a matrix:
    no direction is special, poles neither, and derivatives of any order compile soon.

    Parameters
    ----------
    l_max : int
        Highest degree.
    vectors : array [edge, 3]
        Not zero.

    Returns
    -------
    array [edge, (l_max+1)^2]
    """
    unit = vectors / jnp.sqrt((vectors * vectors).sum(-1, keepdims=True))
    out = [jnp.ones_like(unit[:, :1]), math.sqrt(3) * unit]
    for degree in range(1, l_max):
        outer = (out[degree][:, :, None] * out[1][:, None, :]).reshape(len(unit), -1)
        table = jnp.asarray(_raised(degree), dtype=unit.dtype)
        out.append(matmul(outer, table.reshape(-1, 2 * degree + 3)))
    return jnp.concatenate(out[: l_max + 1], axis=1)
