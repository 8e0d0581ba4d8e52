# SPDX-License-Identifier: BSD-3-Clause
"""Functions of distance: docs/spec/stages/radial.md."""

from __future__ import annotations

import jax.numpy as jnp

from eqnn.train.stage_parts import (
    Context,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    mlp,
    of_layers,
    polynomial_envelope,
)


def _envelope(context: Context, envelope: Stage, r: Tensor) -> Tensor:
    """Values [edge, 1] of an envelope at r in Angstrom."""
    cutoff = context.document["cutoff"]
    if envelope["kind"] == "polynomial":
        return polynomial_envelope(r / cutoff, envelope["p"])
    a2, c2, r2 = envelope["start"] ** 2, cutoff**2, r * r
    falling = (c2 - r2) ** 2 * (c2 + 2 * r2 - 3 * a2) / (c2 - a2) ** 3
    return jnp.where(r < envelope["start"], 1.0, falling)


def radial(context: Context, stage: Stage, weights: Weights) -> Tensor:
    """Functions of distance [edge, C]."""
    r = context.distances()[:, None]
    basis = {k: context.tensor(name) for k, name in stage["basis"].items() if k != "kind"}
    if stage["basis"]["kind"] == "gaussian":
        t = (r - basis["center"]) / basis["width"]
        values = basis["amplitude"] * jnp.exp(-0.5 * t * t)
    else:
        values = basis["amplitude"] * jnp.sin(basis["frequency"] * r) / r
    envelope = stage["envelope"]
    if envelope["kind"] == "none":
        return mlp(context, stage["layers"], values)
    factor = _envelope(context, envelope, r)
    if envelope["on"] == "basis":
        return mlp(context, stage["layers"], values * factor)
    return mlp(context, stage["layers"], values) * factor


# The basis is a grid: centres, widths and frequencies stay.
OPS = {"radial": TrainedOp(radial, of_layers)}
