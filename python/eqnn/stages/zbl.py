# SPDX-License-Identifier: BSD-3-Clause
"""Screened repulsion of nuclei: docs/spec/stages/zbl.md."""

from __future__ import annotations

import numpy as np

from eqnn.so3 import FloatArray
from eqnn.stage_parts import Context, Stage, Weights, polynomial_envelope

COULOMB = 14.3996  # eV Angstrom


def zbl(context: Context, stage: Stage, weights: Weights) -> FloatArray:
    """Repulsion [node] in eV, half of each pair's to each atom."""
    r = context.distances()
    center, source = context.edges.center, context.edges.source
    z = np.array(context.model.document["species"], dtype=float)[context.species]
    powers = z ** stage["screening_exponent"]
    x = r / (stage["screening_length"] / (powers[center] + powers[source]))
    pairs = zip(stage["coefficients"], stage["exponents"], strict=True)
    screening = sum(c * np.exp(-e * x) for c, e in pairs)
    reach = weights["radius"][context.species]
    reduced = r / (reach[center] + reach[source])
    cut = np.where(reduced.real < 1.0, polynomial_envelope(reduced, stage["p"]), 0.0)
    per_edge = COULOMB * z[center] * z[source] / (2 * r) * screening * cut
    return context.sum_over_edges(per_edge)


OPS = {"zbl": zbl}
SPECIES_TABLES = {"zbl": lambda stage: [(stage["weights"], "radius", 1)]}
