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


def _transformed(context: Context, transform: Stage | None, r: FloatArray) -> FloatArray:
    """Return what the basis takes in the place of r: [edge, 1]."""
    if transform is None:
        return r
    if transform["kind"] == "pair_cutoff":
        species = context.species
        of_pair = context.tensor(transform["cutoff"])[
            species[context.edges.center], species[context.edges.source]
        ]
        return np.asarray(r * (context.model.document["cutoff"] / of_pair)[:, None])
    radius = context.tensor(transform["radius"])[context.species]
    r_0 = (radius[context.edges.center] + radius[context.edges.source])[:, None]
    if transform["kind"] == "agnesi":
        a, q, p = (transform[key] for key in "aqp")
        x = r / (0.5 * r_0)
        return np.asarray(1 / (1 + a * x**q / (1 + x ** (q - p))))
    p_0, p_1 = 3 / 4 * r_0, 4 / 3 * r_0
    steps = transform["alpha"] / (p_1 - p_0) * (r - 0.5 * (p_0 + p_1))
    return np.asarray(p_0 + (r - p_0) * 0.5 * (1 + np.tanh(steps)))


def _of_species(context: Context, terms: Stage | None) -> FloatArray | float:
    """Return what both atoms add to the first layer: [edge, out]."""
    if terms is None:
        return 0.0
    center, source = (context.tensor(terms[key])[context.species] for key in ("center", "source"))
    return np.asarray(center[context.edges.center] + source[context.edges.source])


def _chebyshev(x: FloatArray, n: int) -> FloatArray:
    """Chebyshev polynomials of order 1 to n: [edge, n]."""
    orders = [np.ones_like(x), x]
    while len(orders) <= n:
        orders.append(2.0 * x * orders[-1] - orders[-2])
    return np.concatenate(orders[1:], axis=1)


def _factor(context: Context, stage: Stage, x: FloatArray, r: FloatArray) -> FloatArray:
    """Values [edge, 1] of the stage's envelope; x is what the basis takes."""
    if stage["envelope"]["kind"] == "none":
        return np.ones_like(r)
    if stage.get("transform", {}).get("kind") != "pair_cutoff":
        return _envelope(context, stage["envelope"], r)
    inside = x.real < context.model.document["cutoff"]
    return np.where(inside, _envelope(context, stage["envelope"], x), 0.0)


def radial(context: Context, stage: Stage, weights: Weights) -> FloatArray:
    """Functions of distance [edge, C]."""
    r = context.distances()[:, None]
    basis = {k: context.tensor(name) for k, name in stage["basis"].items() if k != "kind"}
    x = _transformed(context, stage.get("transform"), r)
    added = _of_species(context, stage.get("species"))
    if stage["basis"]["kind"] == "gaussian":
        t = (x - basis["center"]) / basis["width"]
        values = basis["amplitude"] * np.exp(-0.5 * t * t)
    elif stage["basis"]["kind"] == "chebyshev":
        values = basis["amplitude"] * _chebyshev(x, basis["amplitude"].size)
    else:
        values = basis["amplitude"] * np.sin(basis["frequency"] * x) / x
    factor = _factor(context, stage, x, r)
    on_basis = stage["envelope"].get("on") == "basis"
    out = mlp(context, stage["layers"], values * factor if on_basis else values, added)
    if not on_basis:
        out = out * factor
    return out * r ** context.tensor(stage["powers"]) if "powers" in stage else out


def _species_tables(stage: Stage) -> list[tuple[Stage, str, int]]:
    transform, terms = stage.get("transform", {}), stage.get("species", {})
    axes = {"radius": 1, "cutoff": 2}
    tables = [(transform, key, n) for key, n in axes.items() if key in transform]
    return tables + [(terms, key, 1) for key in terms]


OPS = {"radial": radial}
SPECIES_TABLES = {"radial": _species_tables}
