# SPDX-License-Identifier: BSD-3-Clause
"""Shared by test files: paths, comparisons that fail on NaN, small models of every stage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from safetensors.numpy import load_file

from eqnn.builder import ModelBuilder, layer
from eqnn.cp import exact_factors
from eqnn.errors import EqnnError
from eqnn.library import Potential
from eqnn.model_file import Array, Model, write_model
from eqnn.numpy_evaluator import edge_derivative, edges_of, energy
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
    """Return the message that an action must raise; at most two lines, as for all errors."""
    with pytest.raises(EqnnError) as caught:
        action()
    text = str(caught.value)
    assert text.count("\n") <= 1
    return text


def checkpoint(name: str = "l1_h16_b1") -> dict[str, Array]:
    """Upstream's random weights of a golden model."""
    return dict(load_file(TDN / f"model_{name}.weights.safetensors"))


def config(name: str = "l1_h16_b1") -> dict[str, Any]:
    """Read the JSON file that belongs to them."""
    document: dict[str, Any] = json.loads((TDN / f"model_{name}.config.json").read_text())
    return document


def tiny_model(
    *,
    forces: str = "gradient",
    envelope: float | None = 6.0,
    isolated: str = "network",
    fading: int | None = None,
) -> Model:
    """Random model with every stage of the specification, without self-test; opens at once.

    `envelope` and `fading` are orders of the envelopes of radial functions and of the attention.
    """
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
    ends: dict[str, Any] = {"kind": "none"}
    if envelope is not None:
        ends = {"kind": "polynomial", "p": envelope, "on": "output"}
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
    attributes: dict[str, Any] = {"heads": heads, "negative_slope": 0.2, "eps": 1e-16}
    if fading is not None:
        attributes["envelope"] = {"kind": "polynomial", "p": fading}
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


def bessel(cutoff: float, n: int = 4) -> dict[str, Any]:
    """Bessel functions of a radial stage."""
    frequency = np.pi * np.arange(1, n + 1) / cutoff
    return {"kind": "bessel", "frequency": frequency, "amplitude": np.full(n, 2.0 / cutoff)}


SAID = {
    "semantics": "extensive",
    "scale": [1.5, 0.5, -2.0],
    "shift": 0.5,
    "reference": [-1.0, -2.0, -3.0],
    "isolated_atoms": "network",
}


def tiny_cg_model(parity: str = "o3", envelope: str = "polynomial", on: str = "basis") -> Model:
    """Random model with every stage that knows Clebsch-Gordan paths, without self-test."""
    rng = np.random.default_rng(6)
    odd = "o" if parity == "o3" else "e"
    build = ModelBuilder(family="tiny", species=[1, 6, 8], cutoff=3.0, l_max=2)

    def random(*shape: int) -> Array:
        out: Array = rng.normal(size=shape) / np.sqrt(shape[-1])
        return out

    def per_block(irreps: dict[str, int], n_in: dict[str, int], *first: int) -> dict[str, Array]:
        return {block: random(*first, c, n_in[block]) for block, c in irreps.items()}

    def radial(name: str, n_out: int) -> str:
        layers = [layer(random(5, 4), activation="silu"), layer(random(n_out, 5))]
        ends: dict[str, Any] = {"kind": envelope, "on": on}
        ends |= {"p": 6.0} if envelope == "polynomial" else {"start": 2.0}
        return build.stage("radial", name, basis=bessel(3.0), envelope=ends, layers=layers)

    build.stage("spherical_harmonics", "harmonics", l_max=2)
    build.stage("species_embedding", "species", weights={"table": random(3, 3)}, l_max=0)
    paths: list[list[Any]] = [["0e", 0, "0e"], ["0e", 1, f"1{odd}"], ["0e", 2, "2e"]]
    inputs = {"source": "species", "harmonics": "harmonics", "radial": radial("radial1", 9)}
    build.stage("edge_tensor_product", "messages1", inputs, paths=paths)
    wide = {"0e": 2 + 4, f"1{odd}": 2, "2e": 2}
    made = {"0e": 3, f"1{odd}": 3, "2e": 3}
    weights = per_block(wide, made) | {"bias": random(6)}
    build.stage("irreps_linear", "mixed1", {"features": "messages1"}, weights, irreps=wide)
    activations = {"0e": "silu", "gates": "sigmoid"}
    scalars = {"0e": 2}
    build.stage(
        "irreps_gate",
        "gated1",
        {"features": "mixed1"},
        scalars=scalars,
        activations=activations,
        gates="0e",
    )
    scales = {block: 1.0 + 0.1 * rng.normal(size=2) for block in ("0e", f"1{odd}", "2e")}
    build.stage("rms_norm", "normed", {"features": "gated1"}, scales, eps=1e-6)

    if parity == "o3":
        paths = [
            ["1o", 1, "0e"],
            ["1o", 1, "1e"],
            ["2e", 1, "1o"],
            ["1o", 2, "1o"],
            ["0e", 0, "0e"],
        ]
        paths += [["2e", 2, "2e"], ["2e", 2, "1e"]]
        made = {"0e": 4, "1e": 4, "1o": 4, "2e": 2}
    else:
        paths = [
            ["1e", 1, "0e"],
            ["1e", 1, "1e"],
            ["2e", 1, "1e"],
            ["0e", 0, "0e"],
            ["2e", 1, "2e"],
        ]
        made = {"0e": 4, "1e": 4, "2e": 2}
    n_weights = 2 * len(paths)
    inputs = {"source": "normed", "harmonics": "harmonics", "radial": radial("radial2", n_weights)}
    build.stage("edge_tensor_product", "messages2", inputs, paths=paths)
    uniform = {"0e": 3, f"1{odd}": 3, "2e": 3}
    mixed = per_block(uniform, made)
    build.stage("irreps_linear", "mixed2", {"features": "messages2"}, mixed, irreps=uniform)
    own = {"0e": 3, "2e": 3}
    residual = per_block(own, {"0e": 2, "2e": 2}, 3)
    build.stage("species_linear", "own", {"features": "normed"}, residual, irreps=own)
    build.stage("add", "sum", {"a": "mixed2", "b": "own"})

    terms: list[dict[str, Any]] = []

    def term(irrep: str, entries: list[tuple[int, ...]], values: list[float]) -> None:
        indices = np.array(entries, dtype=np.int32)
        weights = random(3, int(indices[:, 1].max()) + 1, 3)
        values_ = np.array(values)
        terms.append({"irrep": irrep, "indices": indices, "values": values_, "weights": weights})

    term("0e", [(0, 0, 0)], [1.0])
    term("0e", [(0, 0, 0, 0), (0, 1, 1, 1), (0, 1, 2, 2), (0, 1, 3, 3)], [1.0] * 4)
    term("0e", [(0, 0, 0, m, m) for m in (1, 2, 3)], [0.5] * 3)
    term(f"1{odd}", [(m, 0, 1 + m) for m in range(3)], [1.0] * 3)
    term(f"1{odd}", [(m, 0, 0, 1 + m) for m in range(3)], [1.0] * 3)
    irreps = {"0e": 3, f"1{odd}": 3}
    build.stage("symmetric_contraction", "product", {"features": "sum"}, irreps=irreps, terms=terms)
    # A square of vectors, so that energies depend on them.
    squares = [{"irrep": "0e", "indices": np.array([(0, 0, m, m) for m in (1, 2, 3)], np.int32)}]
    squares[0] |= {"values": np.ones(3), "weights": random(3, 1, 3)}
    build.stage(
        "symmetric_contraction", "lengths", {"features": "product"}, irreps="3x0e", terms=squares
    )
    last = [layer(random(4, 3), random(4), "silu"), layer(random(1, 4), random(1))]
    build.stage("readout", "site1", {"features": "lengths"}, layers=last)
    build.stage("readout", "site2", {"features": "product"}, layers=[layer(random(1, 3))])
    build.stage(
        "zbl",
        "repulsion",
        weights={"radius": np.array([0.3, 0.8, 0.7])},
        p=6.0,
        screening_length=0.4543 * 0.529,
        screening_exponent=0.3,
        coefficients=[0.1818, 0.5099, 0.2802, 0.02817],
        exponents=[3.2, 0.9423, 0.4028, 0.2016],
    )
    build.stage("energy", "energy", {"terms": ["site1", "site2", "repulsion"]})
    return build.finish(
        energy=SAID, forces="gradient", parity=parity, provenance=PROVENANCE, name="tiny"
    )


def tiny_gate_model() -> Model:
    """Random model whose gates are odd scalars, which flip the parity of what they gate."""
    rng = np.random.default_rng(8)
    build = ModelBuilder(family="tiny", species=[1, 6, 8], cutoff=3.0, l_max=1)

    def random(*shape: int) -> Array:
        out: Array = rng.normal(size=shape) / np.sqrt(shape[-1])
        return out

    def radial(name: str, n_out: int) -> str:
        envelope = {"kind": "polynomial", "p": 5.0, "on": "output"}
        layers = [layer(random(n_out, 4), random(n_out))]
        return build.stage("radial", name, basis=bessel(3.0), envelope=envelope, layers=layers)

    build.stage("spherical_harmonics", "harmonics", l_max=1)
    build.stage("species_embedding", "species", weights={"table": random(3, 2)}, l_max=0)

    def convolve(k: int, source: str, paths: list[list[Any]], n_weights: int) -> None:
        inputs = {"source": source, "harmonics": "harmonics"}
        inputs["radial"] = radial(f"radial{k}", n_weights)
        build.stage("edge_tensor_product", f"messages{k}", inputs, paths=paths)

    paths: list[list[Any]] = [["0e", 0, "0e"], ["0e", 1, "1o"]]
    convolve(1, "species", paths, 4)
    convolve(2, "messages1", [*paths, ["1o", 1, "1e"], ["1o", 0, "1o"]], 8)
    paths = [["0e", 0, "0e"], ["1e", 1, "0o"], ["1o", 0, "1o"], ["1e", 1, "1o"], ["1o", 1, "1e"]]
    convolve(3, "messages2", paths, 2 + 2 + 4 + 2 + 4)
    wide = {"0e": 2, "0o": 1 + 2 + 1, "1e": 2, "1o": 1}
    made = {"0e": 2, "0o": 2, "1e": 4, "1o": 6}
    weights = {block: random(c, made[block]) for block, c in wide.items()}
    build.stage("irreps_linear", "mixed", {"features": "messages3"}, weights, irreps=wide)
    build.stage(
        "irreps_gate",
        "gated",
        {"features": "mixed"},
        scalars={"0e": 2, "0o": 1},
        activations={"0e": "silu", "0o": "tanh", "gates": "tanh"},
        gates="0o",
    )
    weights = {"1e": random(1, 1), "0o": random(1, 1), "1o": random(2, 2), "0e": random(2, 2)}
    irreps = {"0e": 2, "0o": 1, "1e": 1, "1o": 2}
    build.stage("irreps_linear", "last", {"features": "gated"}, weights, irreps=irreps)
    one = [["1o", 1, "0e"], ["1e", 1, "0o"], ["0o", 1, "1e"], ["0e", 0, "0e"]]
    inputs = {
        "source": "last",
        "harmonics": "harmonics",
        "radial": radial("radial4", 2 + 1 + 1 + 2),
    }
    build.stage("edge_tensor_product", "messages4", inputs, paths=one)
    build.stage("readout", "site", {"features": "messages4"}, layers=[layer(random(1, 4))])
    build.stage("energy", "energy", {"terms": ["site"]})
    return build.finish(
        energy=SAID, forces="gradient", parity="o3", provenance=PROVENANCE, name="tiny"
    )


def tiny_norm_model() -> Model:
    """Random model with functions of norms, each of which the energy depends on."""
    rng = np.random.default_rng(11)
    build = ModelBuilder(family="tiny", species=[1, 6, 8], cutoff=3.0, l_max=2)

    def random(*shape: int) -> Array:
        out: Array = rng.normal(size=shape) / np.sqrt(shape[-1])
        return out

    def convolve(k: int, source: str, paths: list[list[Any]], n_weights: int) -> str:
        ends = {"kind": "polynomial", "p": 5.0, "on": "basis"}
        layers = [layer(2 * random(5, 4), activation="shifted_softplus")]
        layers.append(layer(4 * random(n_weights, 5)))
        inputs = {"source": source, "harmonics": "harmonics"}
        inputs["radial"] = build.stage(
            "radial", f"radial{k}", basis=bessel(3.0), envelope=ends, layers=layers
        )
        return build.stage("edge_tensor_product", f"messages{k}", inputs, paths=paths)

    build.stage("spherical_harmonics", "harmonics", l_max=2)
    build.stage("species_embedding", "species", weights={"table": random(3, 2)}, l_max=0)
    x = convolve(1, "species", [["0e", 0, "0e"], ["0e", 1, "1o"], ["0e", 2, "2e"]], 6)
    for function in ("silu", "tanh", "shifted_softplus"):
        x = build.stage("norm_activation", function, {"features": x}, function=function, eps=1e-8)
    paths: list[list[Any]] = [["0e", 0, "0e"], ["1o", 1, "0e"], ["1o", 0, "1o"], ["2e", 2, "0e"]]
    x = convolve(2, x, [*paths, ["2e", 1, "1o"]], 10)
    x = build.stage("soft_normalization", "soft", {"features": x}, limit=0.4)
    convolve(3, x, [["0e", 0, "0e"], ["1o", 1, "0e"]], 10)
    last = [layer(random(4, 10), random(4), "shifted_softplus"), layer(2 * random(1, 4))]
    build.stage("readout", "site", {"features": "messages3"}, layers=last)
    build.stage("energy", "energy", {"terms": ["site"]})
    return build.finish(
        energy=SAID, forces="gradient", parity="o3", provenance=PROVENANCE, name="tiny"
    )


def tiny_density_model() -> Model:
    """Random model whose radial functions depend on species, and that divides by densities."""
    rng = np.random.default_rng(9)
    build = ModelBuilder(family="tiny", species=[1, 6, 8], cutoff=3.0, l_max=1)
    radius = build.tensor("basis/radius", np.array([0.31, 0.76, 0.66]))

    def random(*shape: int) -> Array:
        out: Array = rng.normal(size=shape) / np.sqrt(shape[-1])
        return out

    def radial(name: str, layers: list[dict[str, Any]], on: str, **more: Any) -> str:
        ends = {"kind": "polynomial", "p": 5.0, "on": on}
        basis = bessel(3.0)
        return build.stage("radial", name, basis=basis, envelope=ends, layers=layers, **more)

    agnesi = {"kind": "agnesi", "radius": radius, "a": 1.0805, "q": 0.9183, "p": 4.5791}
    soft = {"kind": "soft", "radius": radius, "alpha": 4.0}
    build.stage("spherical_harmonics", "harmonics", l_max=1)
    build.stage("species_embedding", "ones", weights={"table": np.ones((3, 1))}, l_max=0)
    build.stage("species_embedding", "species", weights={"table": 3 * random(3, 3)}, l_max=0)

    norm = {"scale": 1.0 + 0.1 * rng.normal(size=5), "shift": random(5), "eps": 1e-5}
    layers = [layer(random(5, 4), random(5), "silu"), layer(random(6, 5), random(6))]
    layers[0]["layer_norm"] = norm
    terms = {"center": random(3, 5), "source": random(3, 5)}
    w = radial("radial1", layers, "output", transform=agnesi, species=terms)
    inputs = {"source": "species", "harmonics": "harmonics", "radial": w}
    paths: list[list[Any]] = [["0e", 0, "0e"], ["0e", 1, "1o"]]
    build.stage("edge_tensor_product", "messages1", inputs, paths=paths)
    w = radial("density_radial", [layer(random(1, 4), activation="tanh_square")], "basis")
    inputs = {"source": "ones", "harmonics": "harmonics", "radial": w}
    build.stage("edge_tensor_product", "density", inputs, paths=[["0e", 0, "0e"]])
    weights = {"0e": np.array([[0.7]]), "bias": np.array([1.2])}
    build.stage("irreps_linear", "divisor", {"features": "density"}, weights, irreps="1x0e")
    build.stage("divide", "divided", {"features": "messages1", "divisor": "divisor"})

    layers = [layer(3 * random(5, 4), activation="silu"), layer(2 * random(6, 5))]
    w = radial("radial2", layers, "basis", transform=soft)
    inputs = {"source": "divided", "harmonics": "harmonics", "radial": w}
    paths = [["0e", 0, "0e"], ["1o", 1, "0e"]]
    build.stage("edge_tensor_product", "messages2", inputs, paths=paths)
    last = [layer(3 * random(4, 6), random(4), "silu"), layer(2 * random(1, 4), random(1))]
    build.stage("readout", "site", {"features": "messages2"}, layers=last)
    build.stage("energy", "energy", {"terms": ["site"]})
    return build.finish(
        energy=SAID, forces="gradient", parity="o3", provenance=PROVENANCE, name="tiny"
    )


def tiny_network_model(envelope: float | None = 5.0) -> Model:
    """Random model with weights of edges that depend on both atoms, without self-test.

    `envelope` is the order of that of these weights.
    """
    rng = np.random.default_rng(10)
    build = ModelBuilder(family="tiny", species=[1, 6, 8], cutoff=3.0, l_max=1)

    def random(*shape: int) -> Array:
        out: Array = rng.normal(size=shape) / np.sqrt(shape[-1])
        return out

    def radial(name: str, layers: list[dict[str, Any]]) -> str:
        ends = {"kind": "polynomial", "p": 5.0, "on": "basis"}
        return build.stage("radial", name, basis=bessel(3.0), envelope=ends, layers=layers)

    build.stage("spherical_harmonics", "harmonics", l_max=1)
    build.stage("species_embedding", "species", weights={"table": 3 * random(3, 3)}, l_max=0)
    w = radial("radial1", [layer(3 * random(5, 4), activation="silu"), layer(2 * random(6, 5))])
    inputs = {"source": "species", "harmonics": "harmonics", "radial": w}
    paths: list[list[Any]] = [["0e", 0, "0e"], ["0e", 1, "1o"]]
    build.stage("edge_tensor_product", "messages1", inputs, paths=paths)
    # Of the source's seven scalars, the last five are for the network.
    irreps = {"0e": 2 + 5, "1o": 3}
    weights = {block: 2 * random(n, 3) for block, n in irreps.items()}
    build.stage("irreps_linear", "sent", {"features": "messages1"}, weights, irreps=irreps)
    weights = {"0e": 2 * random(5, 3)}
    build.stage("irreps_linear", "center", {"features": "messages1"}, weights, irreps="5x0e")
    w = radial("radial2", [layer(2 * random(5, 4))])
    inputs = {"source": "sent", "center": "center", "harmonics": "harmonics", "radial": w}
    ends: dict[str, Any] = {}
    if envelope is not None:
        ends["envelope"] = {"kind": "polynomial", "p": envelope}
    build.stage(
        "edge_network_product",
        "messages2",
        inputs,
        activation="silu",
        layers=[layer(2 * random(4, 5), random(4), "tanh"), layer(2 * random(5, 4))],
        paths=[["0e", 0, "0e"], ["1o", 1, "0e"]],
        **ends,
    )
    last = [layer(2 * random(4, 5), random(4), "silu"), layer(2 * random(1, 4), random(1))]
    build.stage("readout", "site", {"features": "messages2"}, layers=last)
    build.stage("energy", "energy", {"terms": ["site"]})
    return build.finish(
        energy=SAID, forces="gradient", parity="o3", provenance=PROVENANCE, name="tiny"
    )


def tiny_gaunt_model(curl: bool = True) -> Model:
    """Random model with every stage of products on the sphere, without self-test."""
    rng = np.random.default_rng(7)
    build = ModelBuilder(family="tiny", species=[1, 6, 8], cutoff=3.0, l_max=2)

    def random(*shape: int) -> Array:
        out: Array = rng.normal(size=shape) / np.sqrt(shape[-1])
        return out

    def radial(name: str, n_out: int) -> str:
        layers = [layer(3 * random(5, 4), random(5), "silu"), layer(9 * random(n_out, 5))]
        ends = {"kind": "polynomial", "p": 6.0, "on": "output"}
        return build.stage("radial", name, basis=bessel(3.0), envelope=ends, layers=layers)

    c = 2
    build.stage("spherical_harmonics", "harmonics", l_max=2)
    build.stage("species_embedding", "species", weights={"table": random(3, c)}, l_max=0)
    inputs = {"source": "species", "harmonics": "harmonics", "radial": radial("radial1", 3 * c)}
    build.stage("gaunt_convolution", "density", inputs, l_max=2)
    orders = {f"order_{nu}": random(3, c, 2) for nu in (1, 2, 3)}
    build.stage("sphere_polynomial", "power", {"features": "density"}, orders, l_max=1)
    inputs = {"source": "power", "harmonics": "harmonics", "radial": radial("radial2", 3 * c)}
    build.stage("gaunt_convolution", "messages", inputs, l_max=3)
    scales = {"scale_a": random(3, c), "scale_b": random(4, c), "scale_out": random(3, c)}
    if curl:
        scales["curl"] = random(3, c)
    build.stage("gaunt_product", "product", {"a": "density", "b": "messages"}, scales, l_max=2)
    build.stage("gaunt_product", "norms", {"a": "product", "b": "messages"}, {}, l_max=0)
    build.stage("readout", "site", {"features": "norms"}, layers=[layer(random(1, c))])
    build.stage("energy", "energy", {"terms": ["site"]})
    parity = "so3" if curl else "o3"
    return build.finish(
        energy=SAID, forces="gradient", parity=parity, provenance=PROVENANCE, name="tiny"
    )


def even_factors() -> tuple[Array, Array, Array]:
    """Factors of the coupling of paths 0 x 0, 0 x 1, 1 x 0 and 1 x 1 -> 0: an entry each."""
    coupling = coupling_tensor(1)
    coupling[1:, 1:, 1:] = 0.0  # the cross product
    k, j, i = np.nonzero(coupling)
    unit = np.eye(4)
    return unit[i].T, unit[j].T, unit[k].T * coupling[k, j, i]


def tiny_cp_model(parity: str = "so3") -> Model:
    """Random model of convolutions with couplings in exact factors, without self-test."""
    rng = np.random.default_rng(9)
    build = ModelBuilder(family="tiny", species=[1, 6, 8], cutoff=3.0, l_max=1)

    def random(*shape: int) -> Array:
        out: Array = rng.normal(size=shape) / np.sqrt(shape[-1])
        return out

    def radial(name: str, n_out: int) -> str:
        layers = [layer(3 * random(5, 4), random(5), "silu"), layer(5 * random(n_out, 5))]
        ends = {"kind": "polynomial", "p": 6.0, "on": "output"}
        return build.stage("radial", name, basis=bessel(3.0), envelope=ends, layers=layers)

    c = 3
    a, b, out = exact_factors(1) if parity == "so3" else even_factors()
    build.stage("spherical_harmonics", "harmonics", l_max=1)
    build.stage("species_embedding", "species", weights={"table": random(3, c)}, l_max=0)
    x = "species"
    for name, l_source, l_out in (("density", 0, 1), ("messages", 1, 1), ("norms", 1, 0)):
        factors = {
            "source_factor": a[: (l_source + 1) ** 2],
            "harmonic_factor": b,
            "out_factor": out[: (l_out + 1) ** 2],
        }
        inputs = {"source": x, "harmonics": "harmonics", "radial": radial(f"radial_{name}", c)}
        build.stage("cp_convolution", name, inputs, factors, l_max=l_out)
        x = name
    build.stage("gaunt_product", "square", {"a": "messages", "b": "messages"}, {}, l_max=0)
    build.stage("add", "scalars", {"a": "square", "b": "norms"})
    build.stage("readout", "site", {"features": "scalars"}, layers=[layer(random(1, c))])
    build.stage("energy", "energy", {"terms": ["site"]})
    return build.finish(
        energy=SAID, forces="gradient", parity=parity, provenance=PROVENANCE, name="tiny"
    )


# ---- goldens of energies, forces and stresses ----

EXPORTERS = GOLDEN / "exporters"
MACE = GOLDEN / "mace"
MACE_GAUNT = GOLDEN / "mace_gaunt"
PRETRAINED = GOLDEN / "pretrained"


def golden_atoms(golden: dict[str, Array]) -> Atoms:
    """Structure of a golden file."""
    cell = golden.get("cell")
    is_periodic = golden["pbc"] if "pbc" in golden else cell is not None
    return Atoms(golden["atomic_numbers"], golden["positions"], cell=cell, pbc=is_periodic)


def golden_errors(
    model: Model, golden: dict[str, Array], n_directions: int = 3
) -> dict[str, float]:
    """Errors of the evaluator in NumPy against a golden file.

    Returns
    -------
    dict of float
        ``energy`` in eV; ``forces``: largest error along random unit displacements of all atoms,
        eV/Angstrom; ``stress``: largest of three random strains, eV.
    """
    atoms = golden_atoms(golden)
    edges = edges_of(atoms, model.document["cutoff"])
    if "n_neigh" in golden:
        found = np.bincount(edges.center, minlength=len(atoms))
        np.testing.assert_array_equal(found, golden["n_neigh"])
    out = {"energy": max_error(energy(model, atoms), golden["energy"][0])}
    rng = np.random.default_rng(11)
    forces, stress = [0.0], [0.0]
    for _ in range(n_directions if len(edges.center) else 0):
        move = rng.normal(size=(len(atoms), 3))
        move /= np.linalg.norm(move)
        slope = edge_derivative(
            model, atoms.numbers, edges, move[edges.source] - move[edges.center]
        )
        forces.append(max_error(slope, -(move * golden["forces"]).sum()))
        if golden.get("stress", np.zeros(0)).shape == (3, 3):
            strain = rng.normal(size=(3, 3))
            slope = edge_derivative(model, atoms.numbers, edges, edges.vector @ strain)
            expected = (golden["stress"] * strain).sum() * atoms.get_volume()
            stress.append(max_error(slope, expected))
    return out | {"forces": float(np.max(forces)), "stress": float(np.max(stress))}


def assert_as_golden(model: Model, path: Path, n_directions: int = 3, **bounds: float) -> None:
    """Compare a model with a golden file.

    The default is rounding: 1e-11 of the largest force and stress (a wrong term may be small: a
    wrong sign in a coupling changed 1e-10), and 1e-13 of the energy.
    """
    golden = dict(load_file(path))
    volume = golden_atoms(golden).get_volume() if "stress" in golden else 0.0
    wanted = {
        "energy": 1e-13 * float(np.abs(golden["energy"]).max()) + 1e-13,
        "forces": 1e-11 * float(np.abs(golden["forces"]).max()) + 1e-16,
        "stress": 1e-11 * volume * float(np.abs(golden.get("stress", np.zeros(1))).max()) + 1e-13,
    } | bounds
    for what, error in golden_errors(model, golden, n_directions).items():
        assert error <= wanted[what], (path.name, what, error, wanted[what])


def engine_errors(model: Model, golden: dict[str, Array], folder: Path) -> dict[str, float]:
    """Errors of the engine in double against upstream's numbers, relative to their largest."""
    path = folder / "model.eqnn"
    write_model(path, model.document, model.tensors)
    atoms = golden_atoms(golden)
    cell = atoms.cell.array if atoms.pbc.all() else None
    with Potential(path, "double") as potential:
        found = potential.evaluate(atoms.numbers, atoms.positions, cell)
    expected = float(np.ravel(golden["energy"])[0])
    out = {
        "energy": abs(found.energy - expected) / abs(expected),
        "forces": relative_error(found.forces, golden["forces"]),
    }
    if cell is not None:
        assert found.virial is not None
        virial = 0.5 * (found.virial + found.virial.T)
        out["stress"] = relative_error(-virial / atoms.get_volume(), golden["stress"])
    return out


def assert_engine_as_upstream(model: Model, path: Path, folder: Path) -> None:
    """Compare the engine in double with upstream's numbers, to 1e-10 of their largest."""
    for what, error in engine_errors(model, dict(load_file(path)), folder).items():
        assert error <= 1e-10, (path.name, what, error)
