# SPDX-License-Identifier: BSD-3-Clause
"""A norm of all blocks together: docs/spec/stages/rms_norm.md."""

from __future__ import annotations

import jax.numpy as jnp

from eqnn.train.stage_parts import Context, Features, Stage, TrainedOp, Weights, all_weights


def rms_norm(context: Context, stage: Stage, weights: Weights, features: Features) -> Features:
    """Features over one root mean square of all blocks."""
    squares = [(x * x).mean((1, 2), keepdims=True) for x in features.values()]
    size = jnp.sqrt(sum(squares) / len(squares) + stage["eps"])
    return {block: x * weights[block] / size for block, x in features.items()}


OPS = {"rms_norm": TrainedOp(rms_norm, all_weights)}
