# SPDX-License-Identifier: BSD-3-Clause
"""What test files share: paths, comparisons that fail on NaN, a small model of every stage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from eqnn.builder import ModelBuilder
from eqnn.errors import EqnnError
from eqnn.model_file import Array, Model
from eqnn.so3 import coupling_tensor

ROOT = Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests" / "golden"
TDN = GOLDEN / "tdn"
TRAINED = GOLDEN / "tdn_3bpa"
RANDOM_MODELS = ("l1_h16_b1", "l1_h32_b2", "l2_h16_b2", "l2_h32_b3", "l3_h16_b2", "l3_h32_b1")

PROVENANCE = {
    "upstream": "none",
    "exporter": "tests",
    "data": "none: random weights",
    "level_of_theory": "none",
    "licence": "BSD-3-Clause",
}


def max_error(found: Any, expected: Any) -> float:
    """Largest |found - expected|; NaN if there is one, for which no bound holds."""
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max(initial=0.0))


def relative_error(found: Any, expected: Any) -> float:
    """max_error over the largest expected value."""
    return max_error(found, expected) / float(np.abs(np.asarray(expected)).max())


def refusal(action: Callable[[], Any]) -> str:
    """Text of the error that an action must raise; at most two lines, as all of ours."""
    with pytest.raises(EqnnError) as caught:
        action()
    text = str(caught.value)
    assert text.count("\n") <= 1
    return text


def checkpoint(name: str = "l1_h16_b1") -> dict[str, Array]:
    """Upstream's random weights of a golden model."""
    return dict(load_file(TDN / f"model_{name}.weights.safetensors"))


def config(name: str = "l1_h16_b1") -> dict[str, Any]:
    """Read the JSON that stands beside them."""
    document: dict[str, Any] = json.loads((TDN / f"model_{name}.config.json").read_text())
    return document


def tiny_model(
    *, forces: str = "gradient", envelope: float | None = 6.0, isolated: str = "network"
) -> Model:
    """Random model with every stage of the specification, without self-test; opens at once."""
    rng = np.random.default_rng(5)
    c, heads, n_basis = 4, 2, 6
    build = ModelBuilder(family="tiny", species=[1, 6, 8], cutoff=3.0, l_max=1)

    def matrix(n_out: int, n_in: int) -> Array:
        out: Array = rng.normal(size=(n_out, n_in)) / np.sqrt(n_in)
        return out

    def vector(n: int) -> Array:
        return 0.1 * rng.normal(size=n)

    build.stage("spherical_harmonics", "harmonics", l_max=1)
    coupling = {"coupling": coupling_tensor(1)}
    build.stage("edge_matrix", "matrix", {"harmonics": "harmonics"}, coupling)
    basis = {
        "kind": "gaussian",
        "center": np.linspace(0.0, 3.0, n_basis),
        "width": np.full(n_basis, 0.8),
        "amplitude": np.ones(n_basis),
    }
    norm = {"scale": 1.0 + vector(5), "shift": vector(5), "eps": 1e-5}
    layers = [
        {
            "weight": matrix(5, n_basis),
            "bias": vector(5),
            "layer_norm": norm,
            "activation": "silu",
        },
        {"weight": matrix(c, 5), "bias": None, "layer_norm": None, "activation": "none"},
    ]
    ends = {"kind": "none"} if envelope is None else {"kind": "polynomial", "p": envelope}
    build.stage("radial", "radial", basis=basis, envelope=ends, layers=layers)
    table = {"table": rng.normal(size=(3, c))}
    build.stage("species_embedding", "species", weights=table, l_max=1)
    degree = {"weight": matrix(c, c), "bias": np.zeros(c)}
    build.stage("degree_embedding", "degree", {"matrix": "matrix", "radial": "radial"}, degree)
    build.stage("add", "embedding", {"a": "species", "b": "degree"})
    scales = {"scale": 1.0 + 0.1 * rng.normal(size=(2, c)), "shift": vector(c)}
    build.stage("equivariant_norm", "norm", {"features": "embedding"}, scales, eps=1e-5)
    biased = {"weight": matrix(c, c), "bias": vector(c)}
    build.stage("linear", "source", {"features": "norm"}, biased, l_max=1)
    weights = {f"{kind}_weight": matrix(c, c) for kind in ("logit", "value", "gate")}
    weights |= {f"{kind}_bias": vector(c) for kind in ("logit", "value", "gate")}
    weights["logit_vector"] = matrix(heads, c // heads)
    inputs = {"source": "source", "center": "norm", "matrix": "matrix", "radial": "radial"}
    attributes = {"heads": heads, "negative_slope": 0.2, "eps": 1e-16}
    build.stage("edge_attention", "attention", inputs, weights, **attributes)
    build.stage("linear", "gates", {"features": "attention"}, {"weight": matrix(c, c)}, l_max=0)
    build.stage("gate", "gated", {"features": "attention", "gates": "gates"})
    if forces == "direct":
        one = {"weight": matrix(1, c)}
        build.stage("linear", "vectors", {"features": "gated"}, one, l_max=1)
        build.stage("direct_forces", "forces", {"features": "vectors"})
    last = [{"weight": matrix(1, c), "bias": vector(1), "layer_norm": None, "activation": "none"}]
    build.stage("readout", "site", {"features": "gated"}, layers=last)
    build.stage("energy", "energy", {"terms": ["site"]})
    said = {
        "semantics": "extensive",
        "scale": 2.0,
        "shift": 0.5,
        "reference": [-1.0, -2.0, -3.0],
        "isolated_atoms": isolated,
    }
    return build.finish(
        energy=said, forces=forces, parity="so3", provenance=PROVENANCE, name="tiny"
    )
