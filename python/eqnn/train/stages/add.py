# SPDX-License-Identifier: BSD-3-Clause
"""A sum of features: docs/spec/stages/add.md."""

from __future__ import annotations

from eqnn.train.stage_parts import Context, Features, Stage, TrainedOp, Weights, nothing


def add(context: Context, stage: Stage, weights: Weights, a: Features, b: Features) -> Features:
    """Sum of features; blocks that b lacks count as zero."""
    return {block: x + b[block] if block in b else x for block, x in a.items()}


OPS = {"add": TrainedOp(add, nothing)}
