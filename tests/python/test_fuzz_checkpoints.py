# SPDX-License-Identifier: BSD-3-Clause
"""A few seconds of tests/fuzz/checkpoints.py, always the same mutants."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from eqnn_models import ROOT

sys.path.insert(0, str(ROOT / "tests" / "fuzz"))

import checkpoints


@pytest.mark.slow
def test_damaged_checkpoints_end_in_a_sentence(tmp_path: Path) -> None:
    counts = checkpoints.run(200, None, 7, tmp_path).counts
    assert sum(counts.values()) == 200
    # The mutants are worth something: most are refused, by sentences that were written for them.
    assert counts["refused"] > 100 > counts["refused by the last resort"]
    assert counts["exported"] > 10
