# SPDX-License-Identifier: BSD-3-Clause
"""Powers of a function on the sphere: docs/spec/stages/sphere_polynomial.md."""

from __future__ import annotations

import math

import numpy as np

from eqnn.so3 import FloatArray, sphere_quadrature
from eqnn.stage_parts import Context, Stage, Weights, each_m, on_arrays, on_sphere


def sphere_polynomial(
    context: Context, stage: Stage, orders: Weights, features: FloatArray
) -> FloatArray:
    """Features [node, d, C]: projections of powers of functions on the sphere."""
    l_in, l_max = math.isqrt(features.shape[1]) - 1, stage["l_max"]
    points, weights = sphere_quadrature(len(orders) * l_in + l_max)
    f = np.einsum("pi,nic->npc", on_sphere(l_in, points), features)
    back = weights[:, None] * on_sphere(l_max, points)
    out = np.zeros((features.shape[0], back.shape[1], features.shape[2]), dtype=features.dtype)
    for nu in range(1, len(orders) + 1):
        power = np.einsum("pk,npc->nkc", back, f**nu)
        out += power * each_m(orders[f"order_{nu}"][context.species].transpose(0, 2, 1))
    return out


OPS = {"sphere_polynomial": on_arrays(sphere_polynomial)}
SPECIES_TABLES = {
    "sphere_polynomial": lambda stage: [(stage["weights"], k, 1) for k in stage["weights"]]
}
