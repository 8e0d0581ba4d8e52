# SPDX-License-Identifier: BSD-3-Clause
"""Channels times a function of their norms: docs/spec/stages/norm_activation.md."""

from __future__ import annotations

import math

import numpy as np

from eqnn.so3 import FloatArray
from eqnn.stage_parts import ACTIVATIONS, Context, Features, Stage, Weights

# exp(-1/u) is 0 in double precision for smaller u.
LEAST_ARGUMENT = 1e-3


def norms(x: FloatArray, least: float) -> FloatArray:
    """Norms [node, 1, C] of features [node, 2l+1, C], those below `least` raised to it."""
    squares = (x * x).sum(1, keepdims=True)
    return np.asarray(np.sqrt(np.where(squares.real > least * least, squares, least * least)))


def norm_activation(
    context: Context, stage: Stage, weights: Weights, features: Features
) -> Features:
    """Each channel times function(n)/n."""
    function = ACTIVATIONS[stage["function"]]
    out = {}
    for block, x in features.items():
        n = norms(x, stage["eps"])
        out[block] = x * (function(n) / n)
    return out


def soft_normalization(
    context: Context, stage: Stage, weights: Weights, features: Features
) -> Features:
    """Each channel over 1 + u exp(-1/u), u being its norm over sqrt(2l+1) and the limit."""
    out = {}
    for block, x in features.items():
        unit = stage["limit"] * math.sqrt(x.shape[1])
        u = norms(x, LEAST_ARGUMENT * unit) / unit
        out[block] = x / (1.0 + u * np.exp(-1.0 / u))
    return out


OPS = {"norm_activation": norm_activation, "soft_normalization": soft_normalization}
