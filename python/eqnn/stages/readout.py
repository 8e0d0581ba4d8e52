# SPDX-License-Identifier: BSD-3-Clause
"""A number of each atom: docs/spec/stages/readout.md."""

from __future__ import annotations

from eqnn.so3 import FloatArray
from eqnn.stage_parts import Context, Features, Stage, Weights, mlp


def readout(context: Context, stage: Stage, weights: Weights, features: Features) -> FloatArray:
    """Numbers [node]: an MLP of the block 0e."""
    return mlp(context, stage["layers"], features["0e"][:, 0])[:, 0]


OPS = {"readout": readout}
