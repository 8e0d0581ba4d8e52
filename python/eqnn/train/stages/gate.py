# SPDX-License-Identifier: BSD-3-Clause
"""Gates: docs/spec/stages/gate.md."""

from __future__ import annotations

from eqnn.model_file import block_of, block_order, degree_of, parity_of
from eqnn.train.stage_parts import (
    ACTIVATIONS,
    Context,
    Features,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    gated,
    nothing,
    on_arrays,
)


def uniform_gate(
    context: Context, stage: Stage, weights: Weights, features: Tensor, gates: Tensor
) -> Tensor:
    """Features [node, d, C], gated by [node, 1, C]."""
    return gated(features, gates[:, 0])


def irreps_gate(context: Context, stage: Stage, weights: Weights, features: Features) -> Features:
    """Scalars through their functions, other blocks times those of their gates."""
    functions = {key: ACTIVATIONS[name] for key, name in stage["activations"].items()}
    out: Features = {}
    for block, n in stage["scalars"].items():
        if n:
            out[block] = functions[block](features[block][:, :, :n])
    flip = {"0e": 1, "0o": -1}[stage["gates"]]
    start = stage["scalars"].get(stage["gates"], 0)
    for block, x in features.items():
        if degree_of(block) > 0:
            gates = features[stage["gates"]][:, :, start : start + x.shape[2]]
            start += x.shape[2]
            target = block_of(degree_of(block), flip * parity_of(block))
            out[target] = x * functions["gates"](gates)
    return {block: out[block] for block in sorted(out, key=block_order)}


OPS = {
    "gate": TrainedOp(on_arrays(uniform_gate), nothing),
    "irreps_gate": TrainedOp(irreps_gate, nothing),
}
