# SPDX-License-Identifier: BSD-3-Clause
"""A row of a table for each atom: docs/spec/stages/species_embedding.md."""

from __future__ import annotations

import numpy as np

from eqnn.so3 import FloatArray
from eqnn.stage_parts import Context, Stage, Weights, on_arrays


def species_embedding(context: Context, stage: Stage, weights: Weights) -> FloatArray:
    """Features [node, d, C]: rows of a table at l = 0, zeros elsewhere."""
    table = weights["table"]
    out = np.zeros((len(context.species), (stage["l_max"] + 1) ** 2, table.shape[1]))
    out[:, 0] = table[context.species]
    return out


OPS = {"species_embedding": on_arrays(species_embedding)}
SPECIES_TABLES = {"species_embedding": lambda stage: [(stage["weights"], "table", 1)]}
