# SPDX-License-Identifier: BSD-3-Clause
"""A matrix for each edge: docs/spec/stages/edge_matrix.md."""

from __future__ import annotations

from eqnn.train.stage_parts import Context, Stage, Tensor, TrainedOp, Weights, matmul, nothing


def edge_matrix(context: Context, stage: Stage, weights: Weights, harmonics: Tensor) -> Tensor:
    """Matrices [edge, d, d], M[k, i] = sum_j T[k][j][i] Y_j."""
    coupling = weights["coupling"].transpose(1, 0, 2)
    d = len(coupling)
    return matmul(harmonics, coupling.reshape(d, d * d)).reshape(-1, d, d)


OPS = {"edge_matrix": TrainedOp(edge_matrix, nothing)}
