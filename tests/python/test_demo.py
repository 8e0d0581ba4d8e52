# SPDX-License-Identifier: BSD-3-Clause
"""The demo's own checks. What it does in LAMMPS is in tests/lammps and tests/packaging."""

from __future__ import annotations

import math

import pytest
from eqnn_models import refusal

from eqnn.demo import require_relaxed


@pytest.mark.parametrize("largest", [0.0011, math.inf, math.nan])
def test_a_molecule_that_is_not_relaxed_ends_the_demo(largest: float) -> None:
    """A picture of it would look like a result."""
    require_relaxed("LAMMPS", "propene", 0.001, 0.001, 12)
    text = refusal(lambda: require_relaxed("LAMMPS", "propene", largest, 0.001, 10000))
    assert text == (
        f"LAMMPS did not relax propene: after 10000 steps the largest force is {largest:.3g} eV/A, "
        "expected at most 0.001.\n"
        "Check the installation with `eqnn doctor`, and the potential with `eqnn check`."
    )
