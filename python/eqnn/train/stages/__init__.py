# SPDX-License-Identifier: BSD-3-Clause
"""Stages in JAX, one module each, named as the stage: `eqnn.stages` has the only list.

A module has its operations, functions and what of them is trained, in ``OPS``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from eqnn.stages import STAGES
from eqnn.train.stage_parts import TrainedOp

OP_OF: dict[str, TrainedOp] = {
    op: trained
    for stage in STAGES
    if find_spec(f"{__name__}.{stage}") is not None  # without, its models cannot be trained
    for op, trained in import_module(f"{__name__}.{stage}").OPS.items()
}
"""By the operation's name in a file."""
