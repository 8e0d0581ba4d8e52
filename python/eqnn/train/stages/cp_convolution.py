# SPDX-License-Identifier: BSD-3-Clause
"""Tensor products in CP form along edges: docs/spec/stages/cp_convolution.md."""

from __future__ import annotations

from eqnn.train.stage_parts import (
    Context,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    einsum,
    matmul,
    nothing,
    on_arrays,
)


def cp_convolution(
    context: Context,
    stage: Stage,
    weights: Weights,
    source: Tensor,
    harmonics: Tensor,
    radial: Tensor,
) -> Tensor:
    """Features [node, d, C]: C((A^T x) * (B^T Y)) w, summed over each node's edges."""
    # One matrix an edge, of d1 x d3 and not of rank R: R is larger than d.
    a, b, c = (weights[f"{name}_factor"] for name in ("source", "harmonic", "out"))
    coupling = einsum("kr,jr,ir->jki", c, b, a)
    matrix = matmul(harmonics, coupling.reshape(len(coupling), -1))
    matrix = matrix.reshape(len(harmonics), *coupling.shape[1:])
    message = matmul(matrix, context.of_source(source))
    return context.sum_over_edges(message * radial[:, None, :])


OPS = {"cp_convolution": TrainedOp(on_arrays(cp_convolution), nothing)}
