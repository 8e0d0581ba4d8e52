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


def _transformed(context: Context, transform: Stage | None, r: Tensor) -> Tensor:
    """Return what the basis takes in the place of r: [edge, 1]."""
    if transform is None:
        return r
    if transform["kind"] == "pair_cutoff":
        of_pair = context.tensor(transform["cutoff"])[
            context.of_center(context.species), context.of_source(context.species)
        ]
        return r * (context.document["cutoff"] / of_pair)[:, None]
    radius = jnp.take(context.tensor(transform["radius"]), context.species)
    r_0 = (context.of_center(radius) + context.of_source(radius))[:, None]
    if transform["kind"] == "agnesi":
        a, q, p = (transform[key] for key in "aqp")
        x = r / (0.5 * r_0)
        return 1 / (1 + a * x**q / (1 + x ** (q - p)))
    p_0, p_1 = 3 / 4 * r_0, 4 / 3 * r_0
    steps = transform["alpha"] / (p_1 - p_0) * (r - 0.5 * (p_0 + p_1))
    return p_0 + (r - p_0) * 0.5 * (1 + jnp.tanh(steps))


def _of_species(context: Context, terms: Stage | None) -> Tensor | float:
    """Return what both atoms add to the first layer: [edge, out]."""
    if terms is None:
        return 0.0
    center, source = (
        jnp.take(context.tensor(terms[key]), context.species, axis=0)
        for key in ("center", "source")
    )
    return context.of_center(center) + context.of_source(source)


def _trained(stage: Stage) -> list[str]:
    """Layers and what species add to them; the basis is a grid and stays."""
    return of_layers(stage) + list(stage.get("species", {}).values())


def _chebyshev(x: Tensor, n: int) -> Tensor:
    """Chebyshev polynomials of order 1 to n: [edge, n]."""
    orders = [jnp.ones_like(x), x]
    while len(orders) <= n:
        orders.append(2.0 * x * orders[-1] - orders[-2])
    return jnp.concatenate(orders[1:], axis=1)


def _factor(context: Context, stage: Stage, x: Tensor, r: Tensor) -> Tensor:
    """Values [edge, 1] of the stage's envelope; x is what the basis takes."""
    if stage["envelope"]["kind"] == "none":
        return jnp.ones_like(r)
    if stage.get("transform", {}).get("kind") != "pair_cutoff":
        return _envelope(context, stage["envelope"], r)
    cutoff = context.document["cutoff"]
    inside = x < cutoff
    # Beyond, the slope too is zero: no NaN goes through.
    return jnp.where(inside, _envelope(context, stage["envelope"], jnp.where(inside, x, cutoff)), 0)


def radial(context: Context, stage: Stage, weights: Weights) -> Tensor:
    """Functions of distance [edge, C]."""
    r = context.distances()[:, None]
    basis = {k: context.tensor(name) for k, name in stage["basis"].items() if k != "kind"}
    x = _transformed(context, stage.get("transform"), r)
    added = _of_species(context, stage.get("species"))
    if stage["basis"]["kind"] == "gaussian":
        t = (x - basis["center"]) / basis["width"]
        values = basis["amplitude"] * jnp.exp(-0.5 * t * t)
    elif stage["basis"]["kind"] == "chebyshev":
        values = basis["amplitude"] * _chebyshev(x, basis["amplitude"].size)
    else:
        values = basis["amplitude"] * jnp.sin(basis["frequency"] * x) / x
    factor = _factor(context, stage, x, r)
    on_basis = stage["envelope"].get("on") == "basis"
    out = mlp(context, stage["layers"], values * factor if on_basis else values, added)
    if not on_basis:
        out = out * factor
    if "powers" in stage:
        powers = [int(p) for p in context.constant(stage["powers"])]
        raised = [jnp.ones_like(r)]
        while len(raised) <= max(powers):
            raised.append(raised[-1] * r)
        out = out * jnp.concatenate(raised, axis=1)[:, jnp.asarray(powers)]
    return out


OPS = {"radial": TrainedOp(radial, _trained)}
