# SPDX-License-Identifier: BSD-3-Clause
"""Linear maps of channels: docs/spec/stages/linear.md."""

from __future__ import annotations

import jax.numpy as jnp

from eqnn.model_file import parse_irreps
from eqnn.train.stage_parts import (
    Context,
    Features,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    all_weights,
    einsum,
    matmul,
    on_arrays,
    with_first,
)


def uniform_linear(context: Context, stage: Stage, weights: Weights, features: Tensor) -> Tensor:
    """Features [node, d, Cout], each degree by the same matrix."""
    out = matmul(features[:, : (stage["l_max"] + 1) ** 2], weights["weight"].T)
    return with_first(out[:, 0] + weights["bias"], out) if "bias" in weights else out


def irreps_linear(context: Context, stage: Stage, weights: Weights, features: Features) -> Features:
    """Each block by its own matrix."""
    blocks = parse_irreps(stage["irreps"])
    out = {block: matmul(features[block], weights[block].T) for block in blocks}
    if "bias" in weights:
        out["0e"] = out["0e"] + weights["bias"]
    return out


def species_linear(
    context: Context, stage: Stage, weights: Weights, features: Features
) -> Features:
    """Each block by its own matrix of the node's species."""
    blocks = parse_irreps(stage["irreps"])
    of_node = {block: jnp.take(weights[block], context.species, axis=0) for block in blocks}
    return {block: einsum("nmi,noi->nmo", features[block], of_node[block]) for block in blocks}


OPS = {
    "linear": TrainedOp(on_arrays(uniform_linear), all_weights),
    "irreps_linear": TrainedOp(irreps_linear, all_weights),
    "species_linear": TrainedOp(species_linear, all_weights),
}
