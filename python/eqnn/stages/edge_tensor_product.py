# SPDX-License-Identifier: BSD-3-Clause
"""Clebsch-Gordan paths along edges: docs/spec/stages/edge_tensor_product.md."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eqnn.model_file import block_order, degree_of
from eqnn.so3 import FloatArray, wigner_3j
from eqnn.stage_parts import Context, Features, Stage, Weights


def sum_of_paths(
    context: Context,
    paths: Sequence[tuple[str, int, str]],
    source: Features,
    harmonics: FloatArray,
    weights: FloatArray,
) -> Features:
    """Features of the paths' output blocks, with weights [edge, channels of all paths]."""
    parts: dict[str, list[FloatArray]] = {}
    start = 0
    for block, l2, target in paths:
        x = source[block][context.edges.source]
        w = weights[:, None, start : start + x.shape[2]]
        start += x.shape[2]
        w3j = wigner_3j(degree_of(block), l2, degree_of(target))
        turned = np.einsum("ijk,ej->eki", w3j, harmonics[:, l2 * l2 : (l2 + 1) ** 2])
        parts.setdefault(target, []).append(context.sum_over_edges((turned @ x) * w))
    order = sorted(parts, key=block_order)
    return {block: np.concatenate(parts[block], axis=2) for block in order}


def edge_tensor_product(
    context: Context,
    stage: Stage,
    weights: Weights,
    source: Features,
    harmonics: FloatArray,
    radial: FloatArray,
) -> Features:
    """Features of the paths' output blocks, summed over each node's edges."""
    return sum_of_paths(context, stage["paths"], source, harmonics, radial)


OPS = {"edge_tensor_product": edge_tensor_product}
