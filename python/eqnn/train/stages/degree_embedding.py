# SPDX-License-Identifier: BSD-3-Clause
"""What the neighbors' directions say: docs/spec/stages/degree_embedding.md."""

from __future__ import annotations

import jax.numpy as jnp

from eqnn.train.stage_parts import (
    Context,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    all_weights,
    matmul,
    on_arrays,
    with_first,
)


def degree_embedding(
    context: Context, stage: Stage, weights: Weights, matrix: Tensor, radial: Tensor
) -> Tensor:
    """Features [node, d, Cout] of the directions of a node's neighbors."""
    message = matrix[:, :, 0, None] * radial[:, None, :]
    out = matmul(context.sum_over_edges(message), weights["weight"].T)
    n_neighbors = context.sum_over_edges(jnp.ones_like(radial[:, :1]))
    return with_first(out[:, 0] + n_neighbors * weights["bias"], out)


OPS = {"degree_embedding": TrainedOp(on_arrays(degree_embedding), all_weights)}
