# SPDX-License-Identifier: BSD-3-Clause
"""Attention over a node's edges: docs/spec/stages/edge_attention.md."""

from __future__ import annotations

import numpy as np

from eqnn.so3 import FloatArray
from eqnn.stage_parts import Context, Stage, Weights, gated, on_arrays, sigmoid

# Far below all logits.
_NOTHING = -1e30


def edge_attention(
    context: Context,
    stage: Stage,
    weights: Weights,
    source: FloatArray,
    center: FloatArray,
    matrix: FloatArray,
    radial: FloatArray,
) -> FloatArray:
    """Features [node, d, C]: messages weighted by softmax over each node's edges."""
    edges, w = context.edges, radial[:, None, :]
    n_edges, heads, slope = len(edges.center), stage["heads"], stage["negative_slope"]
    u = (matrix @ (source[edges.source] + center[edges.center])) * w

    q = u[:, 0] @ weights["logit_weight"].T + weights["logit_bias"]
    q = 0.5 * (1 + slope) * q + 0.5 * (1 - slope) * q * (2 * sigmoid(q) - 1)
    z = (q.reshape(n_edges, heads, q.shape[1] // heads) * weights["logit_vector"]).sum(-1)
    if "envelope" in stage:
        z = z + _log_envelope(context, stage["envelope"]["p"])[:, None]
    largest = np.full((len(context.species), heads), -np.inf)
    np.maximum.at(largest, edges.center, z.real)
    a = np.exp(z - largest[edges.center])
    a = a / (context.sum_over_edges(a) + stage["eps"])[edges.center]

    value = u @ weights["value_weight"].T
    value[:, 0] += weights["value_bias"]
    p = gated(value, u[:, 0] @ weights["gate_weight"].T + weights["gate_bias"])
    message = (matrix @ p) * w
    per_channel = np.repeat(a, message.shape[2] // heads, axis=1)
    return context.sum_over_edges(message * per_channel[:, None, :])


def _log_envelope(context: Context, p: int) -> FloatArray:
    """Logarithm [edge] of a polynomial envelope of order p, without its digits that cancel."""
    x = context.distances() / context.model.document["cutoff"]
    inside = np.where(x.real < 1.0, x, 0.0)
    rest = sum(0.5 * (k + 1) * (k + 2) * inside**k for k in range(p))
    return np.where(x.real < 1.0, 3.0 * np.log(1.0 - inside) + np.log(rest), _NOTHING)


OPS = {"edge_attention": on_arrays(edge_attention)}
