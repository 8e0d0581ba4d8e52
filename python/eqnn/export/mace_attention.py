# SPDX-License-Identifier: BSD-3-Clause
"""MACE's attention block: weights of edges from the radial basis and scalars of both atoms.

What it computes and how its weights lie: docs/spec/mace.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from eqnn.builder import layer
from eqnn.errors import EqnnError
from eqnn.export import e3nn
from eqnn.so3 import FloatArray

if TYPE_CHECKING:
    from eqnn.export.mace import MaceExporter


def _first_layer(
    of: MaceExporter, name: str, weight: FloatArray, down: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Split the first layer: what acts on the radial basis, on a source and on a center.

    Parameters
    ----------
    of : MaceExporter
    name : str
        What messages call it.
    weight : ndarray [out, basis + 2 scalars]
        It takes the basis, the scalars of upstream's sender, those of its receiver.
    down : ndarray [scalars, 0e channels of the features]

    Returns
    -------
    tuple of ndarray
        [out, basis], and twice [out, 0e channels].
    """
    n = len(down)
    expected = of.n_basis + 2 * n
    if weight.shape[1] != expected:
        raise EqnnError(
            f"{of.state.name}: {name}: the first layer takes {weight.shape[1]} numbers, expected "
            f"{of.n_basis} of the basis and {n} of each atom. The checkpoint is damaged: get it "
            "again."
        )
    basis, source, center = np.split(weight, [of.n_basis, of.n_basis + n], axis=1)
    return basis, source @ down, center @ down


def add_interaction(of: MaceExporter, k: int, x: str) -> tuple[str, str]:
    """Add the block of layer k; return the messages and what goes round product and block.

    Parameters
    ----------
    of : MaceExporter
    k : int
    x : str
        Features; empty for the first layer, which acts on species.
    """
    state, build, spec = of.state, of.build, of.network.layers[k]
    name = f"interactions.{k}"

    def linear(part: str, inputs: e3nn.Segments, outputs: e3nn.Segments) -> e3nn.Weights:
        weight = state.take(f"{name}.{part}.weight")
        return e3nn.linear(weight, inputs, outputs, f"{name}.{part}")

    up = linear("linear_up", spec.inputs, spec.edges)
    around = linear("skip_linear", spec.inputs, spec.outputs)
    weight = state.take(f"{name}.linear_down.weight", None)
    scalars = [(weight.size // e3nn.channels(spec.inputs)["0e"], 0, 1)]
    down = e3nn.linear(weight, spec.inputs, scalars, f"{name}.linear_down")["0e"]
    layers = e3nn.network(state.layers(f"{name}.conv_tp_weights"), f"{name}.conv_tp_weights")
    of_basis, of_source, of_center = _first_layer(
        of, f"{name}.conv_tp_weights", layers[0]["weight"], down
    )
    layers[0] = {**layers[0], "weight": of_basis}
    if x:
        skipped = e3nn.add_linear(build, f"{name}.skip_linear", x, around)
        # Sources send the features for the paths and the scalars for the network together.
        sent = {**up, "0e": np.concatenate([up["0e"], of_source]) if "0e" in up else of_source}
        sent = {"0e": sent.pop("0e"), **sent}
        source = e3nn.add_linear(build, f"{name}.linear_up", x, sent)
        center = e3nn.add_linear(build, f"{name}.linear_down", x, {"0e": of_center})
        y, mid = _messages(of, k, source, center, layers)
    else:
        # All before the first convolution depends on the species alone, and so do the weights.
        skipped = of.species_table(f"{name}.skip_linear", of.embedding @ around["0e"].T)
        source = of.species_table(f"{name}.linear_up", of.embedding @ up["0e"].T)
        terms = {"source": of.embedding @ of_source.T, "center": of.embedding @ of_center.T}
        y, mid = of.messages(k, source, layers, species=terms)
    mixing = linear("linear", e3nn.merged(mid), spec.targets)
    return e3nn.add_linear(build, f"{name}.linear", y, e3nn.scaled(mixing, 1.0 / spec.average)), (
        skipped
    )


def _messages(
    of: MaceExporter, k: int, source: str, center: str, layers: list[dict[str, Any]]
) -> tuple[str, e3nn.Segments]:
    """Add the convolution of a later layer; return its name and its output's segments."""
    name = f"interactions.{k}"
    convolved = of.convolution_of(k, layers[-1]["weight"].shape[0])
    folded = e3nn.fold_rows(layers, convolved)
    envelope: dict[str, Any] = {}
    on_basis = dict(of.envelope)
    if on_basis.pop("on") == "output":
        envelope = {"envelope": on_basis}
    radial = of.build.stage(
        "radial",
        f"{name}.radial",
        basis=of.basis,
        envelope={"kind": "none"} if envelope else of.envelope,
        layers=[layer(layers[0]["weight"])],
        **of.transform,
    )
    inputs = {"source": source, "center": center, "harmonics": "harmonics", "radial": radial}
    y = of.build.stage(
        "edge_network_product",
        f"{name}.conv_tp",
        inputs,
        activation=folded[0]["activation"],
        layers=folded[1:],
        paths=convolved.paths,
        **envelope,
    )
    return y, convolved.outputs
