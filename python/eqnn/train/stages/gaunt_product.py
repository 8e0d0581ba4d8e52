# SPDX-License-Identifier: BSD-3-Clause
"""Products of functions on the sphere: docs/spec/stages/gaunt_product.md."""

from __future__ import annotations

import math
from functools import cache

import jax.numpy as jnp
import numpy as np

from eqnn import so3
from eqnn.so3 import FloatArray, sphere_quadrature
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


@cache
def _turned(l_max: int, degree: int) -> FloatArray:
    """Orthonormal harmonics' slopes (u x grad) S on the points of a rule: [3, point, d]."""
    points, _ = sphere_quadrature(degree)
    step = 1e-30  # complex steps have no rounding
    rows = [
        so3.spherical_harmonics(l_max, points + 1j * step * np.cross(axis, points)).imag / step
        for axis in np.eye(3)
    ]
    return np.stack(rows) / math.sqrt(4 * math.pi)


def gaunt_product(context: Context, stage: Stage, weights: Weights, a: Tensor, b: Tensor) -> Tensor:
    """Features [node, d, C]: products of functions on the sphere."""
    l_a, l_b, l_out = (math.isqrt(a.shape[1]) - 1, math.isqrt(b.shape[1]) - 1, stage["l_max"])
    a = a * each_m(weights["scale_a"]) if "scale_a" in weights else a
    b = b * each_m(weights["scale_b"]) if "scale_b" in weights else b
    # On points: exact, and without an array of node, two components and channel.
    degree = l_a + l_b + l_out
    points, weight = sphere_quadrature(degree)
    on_a, on_b, on_out = (
        so3.spherical_harmonics(n, points) / math.sqrt(4 * math.pi) for n in (l_a, l_b, l_out)
    )
    back = context.array(weight[:, None] * on_out)

    def at_points(matrix: FloatArray, features: Tensor) -> Tensor:
        return einsum("pi,nic->npc", context.array(matrix), features)

    def projected(values: Tensor) -> Tensor:
        return einsum("pk,npc->nkc", back, values)

    out = projected(at_points(on_a, a) * at_points(on_b, b))
    if "scale_out" in weights:
        out = out * each_m(weights["scale_out"])
    if "curl" in weights:
        # Of two tangents, u.(a x b) = u.((u x a) x (u x b)).
        f = [at_points(matrix, a) for matrix in _turned(l_a, degree)]
        g = [at_points(matrix, b) for matrix in _turned(l_b, degree)]
        u = context.array(points.T)[:, None, :, None]
        cross = [f[i] * g[j] - f[j] * g[i] for i, j in ((1, 2), (2, 0), (0, 1))]
        triple = jnp.sum(u * jnp.stack(cross), axis=0)
        out = out + projected(triple) * each_m(weights["curl"])
    return out


OPS = {"gaunt_product": TrainedOp(on_arrays(gaunt_product), all_weights)}
