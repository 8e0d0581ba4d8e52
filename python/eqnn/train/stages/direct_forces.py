# SPDX-License-Identifier: BSD-3-Clause
"""Forces that a network predicts: docs/spec/stages/direct_forces.md."""

from __future__ import annotations

from eqnn.train.stage_parts import (
    Context,
    Features,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    dense,
    nothing,
)


def direct_forces(context: Context, stage: Stage, weights: Weights, features: Features) -> Tensor:
    """Return forces [node, 3] in eV/Angstrom: the rows of l = 1."""
    return dense(features)[:, 1:4, 0]


OPS = {"direct_forces": TrainedOp(direct_forces, nothing)}
