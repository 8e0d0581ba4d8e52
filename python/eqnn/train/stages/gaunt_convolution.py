# SPDX-License-Identifier: BSD-3-Clause
"""Products with zonal filters along edges: docs/spec/stages/gaunt_convolution.md."""

from __future__ import annotations

import math

from eqnn.so3 import gaunt
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


def gaunt_convolution(
    context: Context,
    stage: Stage,
    weights: Weights,
    source: Tensor,
    harmonics: Tensor,
    radial: Tensor,
) -> Tensor:
    """Features [node, d, C]: products with zonal filters, summed over each node's edges."""
    x = context.of_source(source)
    l_source, l_filter = (math.isqrt(v.shape[1]) - 1 for v in (x, harmonics))
    w = radial.reshape(len(radial), l_filter + 1, -1)
    table = gaunt(l_source, l_filter, stage["l_max"])
    # A matrix for each edge and degree of the filter: no product of edge, two components, channel.
    message = context.array(0.0)
    for degree in range(l_filter + 1):
        block = slice(degree**2, (degree + 1) ** 2)
        matrix = einsum("ijk,ej->eki", context.array(table[:, block]), harmonics[:, block])
        message = message + matmul(matrix, x) * w[:, degree, None, :]
    return context.sum_over_edges(message)


OPS = {"gaunt_convolution": TrainedOp(on_arrays(gaunt_convolution), nothing)}
