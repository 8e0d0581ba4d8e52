# SPDX-License-Identifier: BSD-3-Clause
"""Tensor products with Clebsch-Gordan paths: docs/spec/stages/edge_tensor_product.md."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp

from eqnn.model_file import block_order, degree_of
from eqnn.so3 import wigner_3j
from eqnn.train.stage_parts import (
    Context,
    Features,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    einsum,
    matmul,
    nothing,
)


def sum_of_paths(
    context: Context,
    paths: Sequence[tuple[str, int, str]],
    source: Features,
    harmonics: Tensor,
    weights: Tensor,
) -> Features:
    """Features of the paths' output blocks, with weights [edge, channels of all paths]."""
    parts: dict[str, list[Tensor]] = {}
    gathered = {block: context.of_source(source[block]) for block, _, _ in paths}
    start = 0
    for block, l2, target in paths:
        x = gathered[block]
        w = weights[:, None, start : start + x.shape[2]]
        start += x.shape[2]
        w3j = context.array(wigner_3j(degree_of(block), l2, degree_of(target)))
        turned = einsum("ijk,ej->eki", w3j, harmonics[:, l2 * l2 : (l2 + 1) ** 2])
        message = turned * x if turned.shape[2] == 1 else matmul(turned, x)
        parts.setdefault(target, []).append(context.sum_over_edges(message * w))
    order = sorted(parts, key=block_order)
    return {block: jnp.concatenate(parts[block], axis=2) for block in order}


def edge_tensor_product(
    context: Context,
    stage: Stage,
    weights: Weights,
    source: Features,
    harmonics: Tensor,
    radial: Tensor,
) -> Features:
    """Features of the paths' output blocks, summed over each node's edges."""
    return sum_of_paths(context, stage["paths"], source, harmonics, radial)


OPS = {"edge_tensor_product": TrainedOp(edge_tensor_product, nothing)}
