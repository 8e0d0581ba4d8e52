# SPDX-License-Identifier: BSD-3-Clause
"""Polynomials of a node's components: docs/spec/stages/symmetric_contraction.md."""

from __future__ import annotations

import numpy as np

from eqnn.model_file import degree_of, parse_irreps
from eqnn.stage_parts import Context, Features, Stage, Weights, dense


def symmetric_contraction(
    context: Context, stage: Stage, weights: Weights, features: Features
) -> Features:
    """Features of the given irreps: polynomials of a node's components."""
    x = dense(features)
    out: Features = {}
    for block in parse_irreps(stage["irreps"]):
        shape = (x.shape[0], 2 * degree_of(block) + 1, x.shape[2])
        out[block] = np.zeros(shape, dtype=x.dtype)
    for term in stage["terms"]:
        indices, values = context.tensor(term["indices"]), context.tensor(term["values"])
        of_node = context.tensor(term["weights"])[context.species]
        for (m3, k, *components), value in zip(indices, values, strict=True):
            product = value * of_node[:, k]
            for i in components:
                product = product * x[:, i]
            out[term["irrep"]][:, m3] += product
    return out


OPS = {"symmetric_contraction": symmetric_contraction}
SPECIES_TABLES = {
    "symmetric_contraction": lambda stage: [(term, "weights", 1) for term in stage["terms"]]
}
