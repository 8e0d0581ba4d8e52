# SPDX-License-Identifier: BSD-3-Clause
"""The sum of what adds to an atom's energy: docs/spec/stages/energy.md."""

from __future__ import annotations

from eqnn.train.stage_parts import Context, Stage, Tensor, TrainedOp, Weights, nothing


def energy(context: Context, stage: Stage, weights: Weights, terms: list[Tensor]) -> Tensor:
    """Sum of terms [node]."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


OPS = {"energy": TrainedOp(energy, nothing)}
