# SPDX-License-Identifier: BSD-3-Clause
"""A number of each atom: docs/spec/stages/readout.md."""

from __future__ import annotations

from eqnn.train.stage_parts import (
    Context,
    Features,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    mlp,
    of_layers,
)


def readout(context: Context, stage: Stage, weights: Weights, features: Features) -> Tensor:
    """Numbers [node]: an MLP of the block 0e."""
    return mlp(context, stage["layers"], features["0e"][:, 0])[:, 0]


OPS = {"readout": TrainedOp(readout, of_layers)}
