# SPDX-License-Identifier: BSD-3-Clause
"""Features over a number of each node: docs/spec/stages/divide.md."""

from __future__ import annotations

from eqnn.train.stage_parts import Context, Features, Stage, TrainedOp, Weights, nothing


def divide(
    context: Context, stage: Stage, weights: Weights, features: Features, divisor: Features
) -> Features:
    """Each component over the divisor."""
    return {block: x / divisor["0e"] for block, x in features.items()}


OPS = {"divide": TrainedOp(divide, nothing)}
