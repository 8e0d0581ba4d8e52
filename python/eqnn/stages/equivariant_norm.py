# SPDX-License-Identifier: BSD-3-Clause
"""A norm of each degree: docs/spec/stages/equivariant_norm.md."""

from __future__ import annotations

import numpy as np

from eqnn.so3 import FloatArray
from eqnn.stage_parts import Context, Stage, Weights, on_arrays


def equivariant_norm(
    context: Context, stage: Stage, weights: Weights, features: FloatArray
) -> FloatArray:
    """Features [node, d, C], of each degree by its own root mean square."""
    scale = weights["scale"]
    out = features.copy()
    out[:, 0] -= out[:, 0].mean(-1, keepdims=True)
    for degree in range(scale.shape[0]):
        block = slice(degree**2, (degree + 1) ** 2)
        mean_square = (out[:, block] ** 2).mean((1, 2), keepdims=True)
        out[:, block] *= scale[degree] / np.sqrt(mean_square + stage["eps"])
    out[:, 0] += weights["shift"]
    return out


OPS = {"equivariant_norm": on_arrays(equivariant_norm)}
