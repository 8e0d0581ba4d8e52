# SPDX-License-Identifier: BSD-3-Clause
"""docs/tutorials/fine_tune.md, for two epochs. Needs JAX."""

from __future__ import annotations

from pathlib import Path

import pytest
from tutorials import run_tutorial

pytest.importorskip("jax", reason="JAX is not installed: `make test-train` has it")


def test_fine_tuning(tmp_path: Path) -> None:
    said = run_tutorial("fine_tune", tmp_path, {"epochs: 30": "epochs: 1"})
    assert "frames: 54 train, 6 watch" in said
    assert (tmp_path / "tuned" / "model.eqnn").is_file()
    assert said.count("tdn_3bpa_exact") >= 2
