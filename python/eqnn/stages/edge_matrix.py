# SPDX-License-Identifier: BSD-3-Clause
"""A matrix for each edge: docs/spec/stages/edge_matrix.md."""

from __future__ import annotations

import numpy as np

from eqnn.so3 import FloatArray
from eqnn.stage_parts import Context, Stage, Weights


def edge_matrix(
    context: Context, stage: Stage, weights: Weights, harmonics: FloatArray
) -> FloatArray:
    """Matrices [edge, d, d], M[k, i] = sum_j T[k][j][i] Y_j."""
    return np.asarray(np.einsum("kji,ej->eki", weights["coupling"], harmonics))


OPS = {"edge_matrix": edge_matrix}
