# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the set share: where it is, and a comparison that fails on NaN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent.parent
DATA = ROOT / "data" / "qcr-small"
LIST = ROOT / "data" / "qcr" / "qcr" / "molecules.csv"


def max_error(found: Any, expected: Any) -> float:
    """Largest |found - expected|; NaN if there is one, for which no bound holds."""
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max(initial=0.0))
