# SPDX-License-Identifier: BSD-3-Clause
"""MACE's nonlinear interaction block, and readouts with biases: what MACE-MH-1 and OMOL-0 have.

What they compute and how their weights lie: docs/spec/mace.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from eqnn.builder import layer
from eqnn.errors import EqnnError
from eqnn.export import e3nn
from eqnn.export.known import CONTAINERS, Known, Table, short
from eqnn.export.torch_file import Stub, function_name, is_of, submodules
from eqnn.model_file import Array
from eqnn.so3 import FloatArray

if TYPE_CHECKING:
    from eqnn.export.mace import MaceExporter, MaceLayer

# 1/sqrt(E[f(x)^2]), from a million random numbers of the seed that e3nn takes.
NORMALIZED = {"silu": e3nn.NORMALIZED["silu"], "sigmoid": 1.8467055342154763}
# torch's LayerNorm, where nothing else is said; the table lets no other through.
NORM_EPS = 1e-5


def _is_function(found: Any, constant: Any, name: str) -> bool:
    """Whether it is this function with e3nn's constant."""
    return (
        function_name(found).lower() == name
        and isinstance(constant, int | float)
        and abs(constant - NORMALIZED[name]) <= 1e-9
    )


def _is_activation(module: Stub | None, name: str) -> bool:
    """Whether e3nn's ``Activation`` has this function for each of its segments, or has none."""
    acts = submodules(submodules(module)["acts"]) if module is not None else {}
    return all(
        _is_function(act.__dict__.get("f", submodules(act).get("f")), act.__dict__.get("cst"), name)
        for act in acts.values()
    )


def _gate_known(module: Stub, name: str) -> str | None:
    """Hold the gate against silu for scalars and sigmoid for gates: of mace-torch, or e3nn's."""
    gate = submodules(module)[name]
    own = gate.__dict__
    if is_of(gate, "GatedEquivariantBlock"):
        if own.get("_layout_is_ir_mul") is not False:
            return "a layout of cuEquivariance"
        is_known = _is_function(own["_act_scalar"], own["_scalar_cst"], "silu") and (
            own["_act_gate"] is None or _is_function(own["_act_gate"], own["_gate_cst"], "sigmoid")
        )
    elif is_of(gate, "Gate"):
        parts = submodules(gate)
        is_known = _is_activation(parts.get("act_scalars"), "silu") and _is_activation(
            parts.get("act_gates"), "sigmoid"
        )
    else:
        return f"{short(gate)} has no stage"
    return None if is_known else "another gate than silu for scalars and sigmoid for the others"


def _stack_known(module: Stub, name: str) -> str | None:
    """Hold a radial network against the layers linear, norm, SiLU, ..., linear."""
    net = submodules(module)[name]
    if short(net) not in CONTAINERS:
        return f"{short(net)} has no stage"
    found = [short(part) for part in submodules(net).values()]
    n_hidden = (len(found) - 1) // 3
    if found != ["Linear", "LayerNorm", "SiLU"] * n_hidden + ["Linear"]:
        return "layers in another order than Linear, LayerNorm and SiLU"
    for part in submodules(net).values():
        if short(part) == "LayerNorm" and part.__dict__.get("eps") != NORM_EPS:
            return f"a LayerNorm of eps {part.__dict__.get('eps')}, expected {NORM_EPS}"
    return None


# All that modules of these classes may have; known.py says what for.
TABLE: Table = {
    "mace.RealAgnosticResidualNonLinearInteractionBlock": Known(
        used=(
            *("node_feats_irreps", "edge_attrs_irreps", "target_irreps", "avg_num_neighbors"),
            *("source_embedding", "target_embedding", "linear_up", "linear_res", "linear_1"),
            *("linear_2", "conv_tp", "conv_tp_weights", "skip_tp", "density_fn", "alpha", "beta"),
        ),
        checks={"equivariant_nonlin": _gate_known},
        inert=(
            *("node_attrs_irreps", "edge_feats_irreps", "hidden_irreps", "radial_MLP"),
            *("irreps_out", "edge_irreps", "irreps_nonlin"),
        ),
        closed=("reshape",),
        refused={"conv_fusion": "a layout of cuEquivariance or OpenEquivariance"},
    ),
    "mace.RadialMLP": Known(checks={"net": _stack_known}, inert=("hs",)),
    "mace.NonLinearBiasReadoutBlock": Known(
        used=("linear_1", "non_linearity", "linear_mid", "linear_2", "num_heads"),
        inert=("hidden_irreps",),
    ),
}


def _radial_layers(of: MaceExporter, name: str) -> tuple[list[dict[str, Any]], FloatArray]:
    """Layers of a ``RadialMLP``, and the columns of the first that take both atoms' embeddings."""
    state = of.state
    places: list[int] = []
    while f"{name}.net.{3 * len(places)}.weight" in state:
        places.append(3 * len(places))
    if not places:
        state.take(f"{name}.net.0.weight", None, None)
    layers = []
    embedded = np.zeros((0, 0))
    n_in: int | None = None
    for place in places:
        weight = state.take(f"{name}.net.{place}.weight", None, n_in).astype(float)
        n_in = weight.shape[0]
        bias = state.take(f"{name}.net.{place}.bias", n_in).astype(float)
        if place == 0:
            weight, embedded = weight[:, : of.n_basis], weight[:, of.n_basis :]
        is_last = place == places[-1]
        made = layer(weight, bias, "none" if is_last else "silu")
        if not is_last:
            made["layer_norm"] = {
                "scale": state.take(f"{name}.net.{place + 1}.weight", n_in).astype(float),
                "shift": state.take(f"{name}.net.{place + 1}.bias", n_in).astype(float),
                "eps": NORM_EPS,
            }
        layers.append(made)
    return layers, embedded


def _of_species(embedded: FloatArray, tables: dict[str, FloatArray], name: str) -> dict[str, Array]:
    """Say what both atoms add to the first layer: upstream's sender is the source."""
    n = tables["source"].shape[1]
    if embedded.shape[1] != 2 * n:
        raise EqnnError(
            f"{name}: the first layer takes {embedded.shape[1]} numbers of both atoms, expected "
            f"{2 * n}. The checkpoint is damaged: get it again."
        )
    columns = {"source": embedded[:, :n], "center": embedded[:, n:]}
    return {role: tables[role] @ matrix.T for role, matrix in columns.items()}


def add_interaction(of: MaceExporter, k: int, x: str) -> tuple[str, str]:
    """Add the block of layer k; return the messages and what goes round product and block.

    Parameters
    ----------
    of : MaceExporter
    k : int
    x : str
        Features; empty for the first layer, which acts on species.
    """
    state, build = of.state, of.build
    spec: MaceLayer = of.network.layers[k]
    name = f"interactions.{k}"
    gate = e3nn.gate(
        [segment for segment in spec.targets if segment[1] == 0],
        [segment for segment in spec.targets if segment[1] > 0],
        {"e": "silu", "o": "none"},
        {"e": "sigmoid", "o": "none"},
        {**NORMALIZED, "none": 1.0},
    )

    def linear(part: str, inputs: e3nn.Segments, outputs: e3nn.Segments) -> e3nn.Weights:
        weight = state.take(f"{name}.{part}.weight")
        return e3nn.linear(weight, inputs, outputs, f"{name}.{part}")

    n_elements = len(of.network.elements)
    one_hot: e3nn.Segments = [(n_elements, 0, 1)]
    n_scalars = e3nn.channels(spec.inputs)["0e"]
    tables = {
        role: linear(f"{part}_embedding", one_hot, [(n_scalars, 0, 1)])["0e"].T[of.rows]
        for role, part in (("source", "source"), ("center", "target"))
    }
    up = linear("linear_up", spec.inputs, spec.edges)
    around = linear("skip_tp", spec.inputs, spec.outputs)
    residual = linear("linear_res", spec.edges, gate.inputs)
    # The residual acts on what linear_up makes: one map of the features before.
    residual = {block: w @ up[block] for block, w in gate.arranged(residual).items() if block in up}
    if x:
        source = e3nn.add_linear(build, f"{name}.linear_up", x, up)
        skipped = e3nn.add_linear(build, f"{name}.skip_tp", x, around)
        added = e3nn.add_linear(build, f"{name}.linear_res", x, residual)
    else:
        source, skipped, added = (
            of.species_table(f"{name}.{part}", of.embedding @ weights["0e"].T)
            for part, weights in (("linear_up", up), ("skip_tp", around), ("linear_res", residual))
        )

    layers, embedded = _radial_layers(of, f"{name}.conv_tp_weights")
    terms = _of_species(embedded, tables, f"{name}.conv_tp_weights")
    y, mid = of.messages(k, source, layers, species=terms)
    mixing = gate.arranged(linear("linear_1", e3nn.merged(mid), gate.inputs))
    y = e3nn.add_linear(build, f"{name}.linear_1", y, mixing)

    layers, embedded = _radial_layers(of, f"{name}.density_fn")
    terms = _of_species(embedded, tables, f"{name}.density_fn")
    divisor = (state.number(f"{name}.beta"), state.number(f"{name}.alpha"))
    y = of.divided(name, y, layers, divisor, species=terms)
    y = build.stage("add", f"{name}.sum", {"a": y, "b": added})
    y = build.stage("irreps_gate", f"{name}.gate", {"features": y}, **gate.attributes)
    last = e3nn.scale_inputs(linear("linear_2", spec.targets, spec.targets), gate.factors)
    return e3nn.add_linear(build, f"{name}.linear_2", y, last), skipped


def add_readout(of: MaceExporter, name: str, x: str, spec: MaceLayer) -> str:
    """Add a ``NonLinearBiasReadoutBlock``: two hidden layers, of which a head has its own part."""
    state = of.state
    n_heads = len(of.network.heads)
    n_hidden = state.take(f"{name}.linear_mid.bias", None).size
    hidden: e3nn.Segments = [(n_hidden, 0, 1)]
    size = n_hidden // n_heads
    own = slice(of.head * size, (of.head + 1) * size)

    def linear(part: str, inputs: e3nn.Segments, outputs: e3nn.Segments) -> FloatArray:
        weight = state.take(f"{name}.{part}.weight")
        return e3nn.linear(weight, inputs, outputs, f"{name}.{part}")["0e"]

    first = linear("linear_1", spec.outputs, hidden)[own]
    middle = linear("linear_mid", hidden, hidden)[own, own]
    last = linear("linear_2", hidden, [(n_heads, 0, 1)])[of.head : of.head + 1, own]
    middle_bias = state.take(f"{name}.linear_mid.bias", n_hidden).astype(float)[own]
    last_bias = state.take(f"{name}.linear_2.bias", n_heads).astype(float)
    gate = of.network.gate
    constant = e3nn.NORMALIZED[gate]
    layers = [
        layer(first, activation=gate),
        layer(middle * constant, middle_bias, gate),
        layer(last * constant, last_bias[of.head : of.head + 1]),
    ]
    return of.build.stage("readout", name, {"features": x}, layers=layers)
