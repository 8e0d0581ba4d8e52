# SPDX-License-Identifier: BSD-3-Clause
"""A norm of all blocks together: docs/spec/stages/rms_norm.md."""

from __future__ import annotations

import numpy as np

from eqnn.stage_parts import Context, Features, Stage, Weights


def rms_norm(context: Context, stage: Stage, weights: Weights, features: Features) -> Features:
    """Features over one root mean square of all blocks."""
    squares = [(x * x).mean((1, 2), keepdims=True) for x in features.values()]
    size = np.sqrt(sum(squares) / len(squares) + stage["eps"])
    return {block: x * weights[block] / size for block, x in features.items()}


OPS = {"rms_norm": rms_norm}
