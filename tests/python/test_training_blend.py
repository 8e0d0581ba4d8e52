# SPDX-License-Identifier: BSD-3-Clause
"""training/organic/blend.py: weights between two models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from organic.blend import blended

from eqnn.model_file import Model, read_model, write_model
from eqnn.train.new import Shape, new_tdn


def test_a_blend_is_between(tmp_path: Path) -> None:
    before, after = (new_tdn(Shape((1, 8), channels=4, l_max=1, seed=k)) for k in (1, 2))
    told = {**after.document["provenance"], "training": {"epoch": 3}}
    document = {**after.document, "provenance": told}
    after = Model(document, after.tensors, "after.eqnn")
    for part in (0.0, 0.25, 1.0):
        found = blended(before, after, part)
        for name, values in before.tensors.items():
            expected = values + part * (after.tensors[name] - values)
            assert np.abs(found.tensors[name] - expected).max() <= 1e-14
        write_model(tmp_path / "blend.eqnn", found.document, found.tensors)
        said = read_model(tmp_path / "blend.eqnn").document["provenance"]["training"]
        assert said["epoch"] == 3 and said["blend"]["part"] == part
        assert said["blend"]["with"] == before.sha256
    other = Model({**document, "graph": document["graph"][:-1]}, after.tensors, "other.eqnn")
    with pytest.raises(SystemExit, match=r"other.eqnn: have different graphs, expected one\."):
        blended(before, other, 0.5)
