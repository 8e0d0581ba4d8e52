# SPDX-License-Identifier: BSD-3-Clause
"""A norm of each degree: docs/spec/stages/equivariant_norm.md."""

from __future__ import annotations

import jax.numpy as jnp

from eqnn.train.stage_parts import (
    Context,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    all_weights,
    on_arrays,
)


def equivariant_norm(context: Context, stage: Stage, weights: Weights, features: Tensor) -> Tensor:
    """Features [node, d, C], of each degree by its own root mean square."""
    scale = weights["scale"]
    out = []
    for degree in range(scale.shape[0]):
        x = features[:, degree**2 : (degree + 1) ** 2]
        if degree == 0:
            x = x - x.mean(-1, keepdims=True)
        mean_square = (x * x).mean((1, 2), keepdims=True)
        x = x * (scale[degree] / jnp.sqrt(mean_square + stage["eps"]))
        out.append(x + weights["shift"] if degree == 0 else x)
    return jnp.concatenate(out, axis=1)


OPS = {"equivariant_norm": TrainedOp(on_arrays(equivariant_norm), all_weights)}
