# SPDX-License-Identifier: BSD-3-Clause
"""Products on the sphere along edges: docs/spec/stages/gaunt_convolution.md."""

from __future__ import annotations

import math

import numpy as np

from eqnn.so3 import FloatArray, gaunt
from eqnn.stage_parts import Context, Stage, Weights, each_m, on_arrays


def gaunt_convolution(
    context: Context,
    stage: Stage,
    weights: Weights,
    source: FloatArray,
    harmonics: FloatArray,
    radial: FloatArray,
) -> FloatArray:
    """Features [node, d, C]: products with zonal filters, summed over each node's edges."""
    x = source[context.edges.source]
    l_source, l_filter = (math.isqrt(v.shape[1]) - 1 for v in (x, harmonics))
    n_channels = radial.shape[1] // (l_filter + 1)
    h = harmonics[:, :, None] * each_m(radial.reshape(len(radial), l_filter + 1, n_channels))
    table = gaunt(l_source, l_filter, stage["l_max"])
    return context.sum_over_edges(np.einsum("ijk,eic,ejc->ekc", table, x, h, optimize=True))


OPS = {"gaunt_convolution": on_arrays(gaunt_convolution)}
