# SPDX-License-Identifier: BSD-3-Clause
"""Couplings in factors: their exactness, and three ways to compute them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from eqnn_models import even_factors, refusal, tiny_cp_model

from eqnn.cp import exact_factors
from eqnn.library import Potential
from eqnn.model_file import write_model
from eqnn.so3 import coupling_tensor, equivariance_defect


@pytest.mark.parametrize(("l_max", "rank"), [(1, 8), (2, 30), (3, 90), (4, 215), (5, 441)])
def test_exact_factors_are_those_of_the_coupling(l_max: int, rank: int) -> None:
    a, b, c = exact_factors(l_max)
    assert a.shape == b.shape == c.shape == ((l_max + 1) ** 2, rank)
    found = np.einsum("kr,jr,ir->kji", c, b, a)
    expected = coupling_tensor(l_max)
    assert np.linalg.norm(found - expected) <= 3e-15 * np.linalg.norm(expected)
    assert equivariance_defect(found) <= 1e-13


@pytest.mark.parametrize("l_max", [0, 6, "2"])
def test_other_degrees_are_refused(l_max: int) -> None:
    said = refusal(lambda: exact_factors(l_max))
    assert f"exact factors of degree {l_max!r}, expected 1 to 5: no others are stored" in said


def test_a_network_in_exact_factors_is_equivariant_and_has_the_parity_that_it_says() -> None:
    for parity in ("so3", "o3"):
        document = tiny_cp_model(parity).document
        assert document["equivariance"] == {"exact": True, "defect": pytest.approx(0, abs=1e-12)}
    a, b, c = even_factors()
    assert a.shape[1] == 10
    assert np.abs(np.einsum("kr,jr,ir->kji", c, b, a)[1:, 1:, 1:]).max() == 0.0


def test_info_says_how_couplings_are_computed(tmp_path: Path) -> None:
    model = tiny_cp_model()
    write_model(tmp_path / "cp.eqnn", model.document, model.tensors)
    with Potential(tmp_path / "cp.eqnn", "double") as potential:
        (said,) = [p for p in potential.describe().split("; ") if "in factors: " in p]
    methods = said.removeprefix("couplings in factors: ").split(", ")
    assert len(methods) == 3
    assert set(methods) <= {"matrix", "cp", "node"}
