# SPDX-License-Identifier: BSD-3-Clause
"""Products on the sphere: docs/spec/stages/gaunt_product.md."""

from __future__ import annotations

import math

import numpy as np

from eqnn.so3 import FloatArray, gaunt, gaunt_curl
from eqnn.stage_parts import Context, Stage, Weights, each_m, on_arrays


def gaunt_product(
    context: Context, stage: Stage, weights: Weights, a: FloatArray, b: FloatArray
) -> FloatArray:
    """Features [node, d, C]: products of functions on the sphere."""
    degrees = (math.isqrt(a.shape[1]) - 1, math.isqrt(b.shape[1]) - 1, stage["l_max"])
    a = a * each_m(weights["scale_a"]) if "scale_a" in weights else a
    b = b * each_m(weights["scale_b"]) if "scale_b" in weights else b
    out = np.einsum("ijk,nic,njc->nkc", gaunt(*degrees), a, b, optimize=True)
    if "scale_out" in weights:
        out = out * each_m(weights["scale_out"])
    if "curl" in weights:
        turned = np.einsum("ijk,nic,njc->nkc", gaunt_curl(*degrees), a, b, optimize=True)
        out = out + turned * each_m(weights["curl"])
    return np.asarray(out)


OPS = {"gaunt_product": on_arrays(gaunt_product)}
