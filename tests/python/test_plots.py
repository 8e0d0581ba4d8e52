# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of `eqnn evaluate`: what a reader takes from one to the next."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from eqnn.evaluation import plots
from eqnn.report.picture import PALETTE


def test_a_model_has_one_color_in_all_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also beside one that a picture leaves out, since it has no forces."""
    errors = {"without": None, "a": 3.0, "b": 5.0}
    found: Any = SimpleNamespace(
        models=[
            SimpleNamespace(
                judged=SimpleNamespace(name=name),
                microseconds=7.0,
                overall=SimpleNamespace(forces=SimpleNamespace(rmse=error)),
            )
            for name, error in errors.items()
        ]
    )
    legends = []
    monkeypatch.setattr(
        plots, "_legend", lambda _, names, colors: legends.append((list(names), list(colors)))
    )
    assert plots._bars(found, {name: {"H": error} for name, error in errors.items()})
    assert plots._speed(found)
    assert legends == [(["a", "b"], list(PALETTE[1:3]))] * 2
