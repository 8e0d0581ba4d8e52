# SPDX-License-Identifier: BSD-3-Clause
"""Harmonics of the edges: docs/spec/stages/spherical_harmonics.md."""

from __future__ import annotations

from eqnn.train import stage_parts
from eqnn.train.stage_parts import Context, Stage, Tensor, TrainedOp, Weights, nothing


def spherical_harmonics(context: Context, stage: Stage, weights: Weights) -> Tensor:
    """Harmonics [edge, d] of the edges' directions."""
    return stage_parts.spherical_harmonics(stage["l_max"], context.vector)


OPS = {"spherical_harmonics": TrainedOp(spherical_harmonics, nothing)}
