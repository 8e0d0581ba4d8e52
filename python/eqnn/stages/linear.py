# SPDX-License-Identifier: BSD-3-Clause
"""Linear maps of channels, of which a file has three forms: docs/spec/stages/linear.md."""

from __future__ import annotations

import numpy as np

from eqnn.model_file import parse_irreps
from eqnn.so3 import FloatArray
from eqnn.stage_parts import Context, Features, Stage, Weights, on_arrays


def uniform_linear(
    context: Context,
    stage: Stage,
    weights: Weights,
    features: FloatArray,
) -> FloatArray:
    """Features [node, d, Cout], each degree by the same matrix."""
    out = features[:, : (stage["l_max"] + 1) ** 2] @ weights["weight"].T
    if "bias" in weights:
        out[:, 0] += weights["bias"]
    return np.asarray(out)


def irreps_linear(context: Context, stage: Stage, weights: Weights, features: Features) -> Features:
    """Each block by its own matrix."""
    blocks = parse_irreps(stage["irreps"])
    out = {block: features[block] @ weights[block].T for block in blocks}
    if "bias" in weights:
        out["0e"] = out["0e"] + weights["bias"]
    return out


def species_linear(
    context: Context, stage: Stage, weights: Weights, features: Features
) -> Features:
    """Each block by its own matrix of the node's species."""
    blocks = parse_irreps(stage["irreps"])
    of_node = {block: weights[block][context.species].transpose(0, 2, 1) for block in blocks}
    return {block: features[block] @ of_node[block] for block in blocks}


OPS = {
    "linear": on_arrays(uniform_linear),
    "irreps_linear": irreps_linear,
    "species_linear": species_linear,
}
SPECIES_TABLES = {
    "species_linear": lambda stage: [(stage["weights"], b, 1) for b in stage["weights"]]
}
