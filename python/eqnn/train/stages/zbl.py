# SPDX-License-Identifier: BSD-3-Clause
"""Screened repulsion of nuclei: docs/spec/stages/zbl.md."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from eqnn.stages.zbl import COULOMB
from eqnn.train.stage_parts import (
    Context,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    nothing,
    polynomial_envelope,
)


def zbl(context: Context, stage: Stage, weights: Weights) -> Tensor:
    """Repulsion [node] in eV, half of each pair's to each atom."""
    r = context.distances()
    numbers = np.array(context.document["species"], dtype=float)
    z = jnp.take(context.array(numbers), context.species)
    powers = jnp.take(context.array(numbers ** stage["screening_exponent"]), context.species)
    reach = jnp.take(weights["radius"], context.species)

    def both(values: Tensor) -> tuple[Tensor, Tensor]:
        return context.of_center(values), context.of_source(values)

    x = r / (stage["screening_length"] / sum(both(powers)))
    pairs = zip(stage["coefficients"], stage["exponents"], strict=True)
    screening = sum(c * jnp.exp(-e * x) for c, e in pairs)
    reduced = r / sum(both(reach))
    cut = jnp.where(reduced < 1.0, polynomial_envelope(reduced, stage["p"]), 0.0)
    z_i, z_j = both(z)
    return context.sum_over_edges(COULOMB * z_i * z_j / (2 * r) * screening * cut)


OPS = {"zbl": TrainedOp(zbl, nothing)}
