# SPDX-License-Identifier: BSD-3-Clause
"""What the neighbors' directions say: docs/spec/stages/degree_embedding.md."""

from __future__ import annotations

from eqnn.so3 import FloatArray
from eqnn.stage_parts import Context, Stage, Weights, on_arrays


def degree_embedding(
    context: Context,
    stage: Stage,
    weights: Weights,
    matrix: FloatArray,
    radial: FloatArray,
) -> FloatArray:
    """Features [node, d, Cout] of the directions of a node's neighbors."""
    message = (matrix[:, :, 0, None] * radial[:, None, :]) @ weights["weight"].T
    message[:, 0] += weights["bias"]
    return context.sum_over_edges(message)


OPS = {"degree_embedding": on_arrays(degree_embedding)}
