# SPDX-License-Identifier: BSD-3-Clause
"""Clebsch-Gordan paths with weights of both atoms: docs/spec/stages/edge_network_product.md."""

from __future__ import annotations

import numpy as np

from eqnn.so3 import FloatArray
from eqnn.stage_parts import (
    ACTIVATIONS,
    Context,
    Features,
    Stage,
    Weights,
    mlp,
    polynomial_envelope,
)
from eqnn.stages.edge_tensor_product import sum_of_paths


def edge_network_product(
    context: Context,
    stage: Stage,
    weights: Weights,
    source: Features,
    center: Features,
    harmonics: FloatArray,
    radial: FloatArray,
) -> Features:
    """Features of the paths' output blocks, summed over each node's edges."""
    edges, n_scalars = context.edges, radial.shape[1]
    scalars = source["0e"][:, :, -n_scalars:]
    features = {**source, "0e": source["0e"][:, :, :-n_scalars]}
    total = radial + scalars[edges.source, 0] + center["0e"][edges.center, 0]
    w = mlp(context, stage["layers"], ACTIVATIONS[stage["activation"]](total))
    if "envelope" in stage:
        x = context.distances()[:, None] / context.model.document["cutoff"]
        w = w * polynomial_envelope(x, stage["envelope"]["p"])
    return sum_of_paths(context, stage["paths"], features, harmonics, np.asarray(w))


OPS = {"edge_network_product": edge_network_product}
