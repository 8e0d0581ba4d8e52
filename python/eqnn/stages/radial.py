# SPDX-License-Identifier: BSD-3-Clause
"""A learned function of distance for each edge: docs/spec/stages/radial.md."""

from __future__ import annotations

import numpy as np

from eqnn.so3 import FloatArray
from eqnn.stage_parts import Context, Stage, Weights, mlp, polynomial_envelope


def _envelope(context: Context, envelope: Stage, r: FloatArray) -> FloatArray:
    """Values [edge, 1] of an envelope at r in Angstrom."""
    cutoff = context.model.document["cutoff"]
    if envelope["kind"] == "polynomial":
        return polynomial_envelope(r / cutoff, envelope["p"])
    a2, c2, r2 = envelope["start"] ** 2, cutoff**2, r * r
    falling = (c2 - r2) ** 2 * (c2 + 2 * r2 - 3 * a2) / (c2 - a2) ** 3
    return np.where(r.real < envelope["start"], 1.0, falling)


def radial(context: Context, stage: Stage, weights: Weights) -> FloatArray:
    """Functions of distance [edge, C]."""
    r = context.distances()[:, None]
    basis = {k: context.tensor(name) for k, name in stage["basis"].items() if k != "kind"}
    if stage["basis"]["kind"] == "gaussian":
        t = (r - basis["center"]) / basis["width"]
        values = basis["amplitude"] * np.exp(-0.5 * t * t)
    else:
        values = basis["amplitude"] * np.sin(basis["frequency"] * r) / r
    envelope = stage["envelope"]
    if envelope["kind"] == "none":
        return mlp(context, stage["layers"], values)
    factor = _envelope(context, envelope, r)
    if envelope["on"] == "basis":
        return mlp(context, stage["layers"], values * factor)
    return mlp(context, stage["layers"], values) * factor


OPS = {"radial": radial}
