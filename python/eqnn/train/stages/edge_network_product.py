# SPDX-License-Identifier: BSD-3-Clause
"""Tensor products with weights of both atoms: docs/spec/stages/edge_network_product.md."""

from __future__ import annotations

from eqnn.train.stage_parts import (
    ACTIVATIONS,
    Context,
    Features,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    mlp,
    of_layers,
    polynomial_envelope,
)
from eqnn.train.stages.edge_tensor_product import sum_of_paths


def edge_network_product(
    context: Context,
    stage: Stage,
    weights: Weights,
    source: Features,
    center: Features,
    harmonics: Tensor,
    radial: Tensor,
) -> Features:
    """Features of the paths' output blocks, summed over each node's edges."""
    n_scalars = radial.shape[1]
    scalars = source["0e"][:, 0, -n_scalars:]
    features = {**source, "0e": source["0e"][:, :, :-n_scalars]}
    total = radial + context.of_source(scalars) + context.of_center(center["0e"][:, 0])
    w = mlp(context, stage["layers"], ACTIVATIONS[stage["activation"]](total))
    if "envelope" in stage:
        x = context.distances()[:, None] / context.document["cutoff"]
        w = w * polynomial_envelope(x, stage["envelope"]["p"])
    return sum_of_paths(context, stage["paths"], features, harmonics, w)


OPS = {"edge_network_product": TrainedOp(edge_network_product, of_layers)}
