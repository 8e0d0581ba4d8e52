# SPDX-License-Identifier: BSD-3-Clause
"""The network's energy of each atom: docs/spec/stages/energy.md."""

from __future__ import annotations

import numpy as np

from eqnn.so3 import FloatArray
from eqnn.stage_parts import Context, Stage, Weights


def energy(context: Context, stage: Stage, weights: Weights, terms: list[FloatArray]) -> FloatArray:
    """Sum of terms [node]."""
    return np.asarray(sum(terms))


OPS = {"energy": energy}
