# SPDX-License-Identifier: BSD-3-Clause
"""Tensor products in CP form along edges: docs/spec/stages/cp_convolution.md."""

from __future__ import annotations

import numpy as np

from eqnn.so3 import FloatArray
from eqnn.stage_parts import Context, Stage, Weights, on_arrays


def cp_convolution(
    context: Context,
    stage: Stage,
    weights: Weights,
    source: FloatArray,
    harmonics: FloatArray,
    radial: FloatArray,
) -> FloatArray:
    """Features [node, d, C]: C((A^T x) * (B^T Y)) w, summed over each node's edges."""
    x = np.einsum("ir,eic->erc", weights["source_factor"], source[context.edges.source])
    y = harmonics @ weights["harmonic_factor"]
    products = x * y[:, :, None] * radial[:, None, :]
    return context.sum_over_edges(np.einsum("kr,erc->ekc", weights["out_factor"], products))


OPS = {"cp_convolution": on_arrays(cp_convolution)}
