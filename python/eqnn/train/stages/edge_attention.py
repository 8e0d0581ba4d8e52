# SPDX-License-Identifier: BSD-3-Clause
"""Attention over a node's edges: docs/spec/stages/edge_attention.md."""

from __future__ import annotations

import jax.numpy as jnp

from eqnn.train.stage_parts import (
    Context,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    all_weights,
    gated,
    matmul,
    on_arrays,
    sigmoid,
    with_first,
)

# Far below all logits.
_NOTHING = -1e30


def edge_attention(
    context: Context,
    stage: Stage,
    weights: Weights,
    source: Tensor,
    center: Tensor,
    matrix: Tensor,
    radial: Tensor,
) -> Tensor:
    """Features [node, d, C]: messages weighted by softmax over each node's edges."""
    w = radial[:, None, :]
    n_edges, heads, slope = len(radial), stage["heads"], stage["negative_slope"]
    u = matmul(matrix, context.of_source(source) + context.of_center(center)) * w

    q = matmul(u[:, 0], weights["logit_weight"].T) + weights["logit_bias"]
    q = 0.5 * (1 + slope) * q + 0.5 * (1 - slope) * q * (2 * sigmoid(q) - 1)
    z = (q.reshape(n_edges, heads, q.shape[1] // heads) * weights["logit_vector"]).sum(-1)
    if "envelope" in stage:
        z = z + _log_envelope(context, stage["envelope"]["p"])[:, None]
    a = jnp.exp(z - context.of_center(context.max_over_edges(z)))
    total = context.sum_over_edges(a)
    # An atom without edges, as padding is, has no total to divide by.
    a = a / context.of_center(jnp.where(total > 0, total, 1) + stage["eps"])

    value = matmul(u, weights["value_weight"].T)
    value = with_first(value[:, 0] + weights["value_bias"], value)
    p = gated(value, matmul(u[:, 0], weights["gate_weight"].T) + weights["gate_bias"])
    per_channel = jnp.repeat(a, p.shape[2] // heads, axis=1)
    return context.sum_over_edges(matmul(matrix, p) * (w * per_channel[:, None, :]))


def _log_envelope(context: Context, p: int) -> Tensor:
    """Logarithm [edge] of a polynomial envelope of order p, without its digits that cancel."""
    x = context.distances() / context.document["cutoff"]
    inside = jnp.where(x < 1.0, x, 0.0)
    rest = jnp.zeros_like(x)
    for k in reversed(range(p)):
        rest = rest * inside + 0.5 * (k + 1) * (k + 2)
    return jnp.where(x < 1.0, 3.0 * jnp.log(1.0 - inside) + jnp.log(rest), _NOTHING)


OPS = {"edge_attention": TrainedOp(on_arrays(edge_attention), all_weights)}
