# SPDX-License-Identifier: BSD-3-Clause
"""Channels times a function of their norms: docs/spec/stages/norm_activation.md."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax.numpy as jnp

from eqnn.train.stage_parts import (
    Context,
    Features,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    nothing,
    sigmoid,
)

# exp(-1/u) is 0 in double precision for smaller u.
LEAST_ARGUMENT = 1e-3

# function(n)/n for n > 0, without differences of nearly equal numbers.
FACTORS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": sigmoid,
    "tanh": lambda n: jnp.tanh(n) / n,
    "shifted_softplus": lambda n: 1.0 + jnp.log1p(0.5 * jnp.expm1(-n)) / n,
}


def norms(x: Tensor, least: float) -> Tensor:
    """Norms [node, 1, C] of features [node, 2l+1, C], those below `least` raised to it."""
    squares = (x * x).sum(1, keepdims=True)
    return jnp.sqrt(jnp.where(squares > least * least, squares, least * least))


def norm_activation(
    context: Context, stage: Stage, weights: Weights, features: Features
) -> Features:
    """Each channel times function(n)/n."""
    factor = FACTORS[stage["function"]]
    return {block: x * factor(norms(x, stage["eps"])) for block, x in features.items()}


def soft_normalization(
    context: Context, stage: Stage, weights: Weights, features: Features
) -> Features:
    """Each channel over 1 + u exp(-1/u), u being its norm over sqrt(2l+1) and the limit."""
    out = {}
    for block, x in features.items():
        unit = stage["limit"] * math.sqrt(x.shape[1])
        u = norms(x, LEAST_ARGUMENT * unit) / unit
        out[block] = x / (1.0 + u * jnp.exp(-1.0 / u))
    return out


OPS = {
    "norm_activation": TrainedOp(norm_activation, nothing),
    "soft_normalization": TrainedOp(soft_normalization, nothing),
}
