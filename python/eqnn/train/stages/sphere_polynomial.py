# SPDX-License-Identifier: BSD-3-Clause
"""Powers of functions on the sphere: docs/spec/stages/sphere_polynomial.md."""

from __future__ import annotations

import math

import jax.numpy as jnp

from eqnn.so3 import sphere_quadrature
from eqnn.stage_parts import on_sphere
from eqnn.train.stage_parts import (
    Context,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    all_weights,
    each_m,
    einsum,
    on_arrays,
)


def sphere_polynomial(context: Context, stage: Stage, weights: Weights, features: Tensor) -> Tensor:
    """Features [node, d, C]: projections of powers of functions on the sphere."""
    l_in, l_max = math.isqrt(features.shape[1]) - 1, stage["l_max"]
    points, weight = sphere_quadrature(len(weights) * l_in + l_max)
    f = einsum("pi,nic->npc", context.array(on_sphere(l_in, points)), features)
    back = context.array(weight[:, None] * on_sphere(l_max, points))
    out, power = context.array(0.0), f
    for nu in range(1, len(weights) + 1):
        power = power * f if nu > 1 else f
        of_node = jnp.take(weights[f"order_{nu}"], context.species, axis=0).transpose(0, 2, 1)
        out = out + einsum("pk,npc->nkc", back, power) * each_m(of_node)
    return out


OPS = {"sphere_polynomial": TrainedOp(on_arrays(sphere_polynomial), all_weights)}
