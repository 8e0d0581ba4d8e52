# SPDX-License-Identifier: BSD-3-Clause
"""What an atom is: docs/spec/stages/species_embedding.md."""

from __future__ import annotations

import jax.numpy as jnp

from eqnn.train.stage_parts import (
    Context,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    all_weights,
    on_arrays,
)


def species_embedding(context: Context, stage: Stage, weights: Weights) -> Tensor:
    """Features [node, d, C]: rows of a table at l = 0, zeros elsewhere."""
    rows = jnp.take(weights["table"], context.species, axis=0)[:, None]
    n_zeros = (stage["l_max"] + 1) ** 2 - 1
    return jnp.pad(rows, ((0, 0), (0, n_zeros), (0, 0)))


OPS = {"species_embedding": TrainedOp(on_arrays(species_embedding), all_weights)}
