# SPDX-License-Identifier: BSD-3-Clause
"""Harmonics of all edges: docs/spec/stages/spherical_harmonics.md."""

from __future__ import annotations

from eqnn import so3
from eqnn.so3 import FloatArray
from eqnn.stage_parts import Context, Stage, Weights


def spherical_harmonics(context: Context, stage: Stage, weights: Weights) -> FloatArray:
    """Harmonics [edge, d] of the edges' directions."""
    return so3.spherical_harmonics(stage["l_max"], context.edges.vector)


OPS = {"spherical_harmonics": spherical_harmonics}
