# SPDX-License-Identifier: BSD-3-Clause
"""Exporter for MACE-Gaunt (Gaunt-Tensor-Product, force-field-modeling-3bpa/MACE).

Read at commit 7c5630a7f1316a1408c5811d836df864f26c02cb. It is a MACE whose symmetric contraction is
a polynomial of functions on the sphere, computed upstream by Fourier transforms; the weights of the
convolution stand in the order in which its paths are found, not sorted. See docs/spec/mace.md.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ase.data import chemical_symbols

from eqnn.errors import EqnnError
from eqnn.export import e3nn, mace
from eqnn.export.checkpoint import State, read_checkpoint
from eqnn.export.mace import MaceExporter, MaceLayer, MaceNetwork
from eqnn.export.upstream import Log, Upstream, provenance_of, read_json_object, typed
from eqnn.model_file import Array, Model

BLOCK = "RealAgnosticResidualInteractionBlock"


class _Exporter(MaceExporter):
    family = "mace-gaunt"
    sorted_weights = False

    def _product(self, name: str, x: str, spec: MaceLayer) -> str:
        prefix = f"{name}.efficient_multi_tensorproduct.weights"
        degrees = [degree for _, degree, _ in spec.outputs]
        if degrees != list(range(len(degrees))):
            raise EqnnError(
                f"{self.state.name}: {name}: outputs {e3nn.written(spec.outputs)}, expected all "
                "degrees up to the highest. Upstream's product makes these."
            )
        orders: dict[str, Array] = {}
        n_elements, n_channels = len(self.network.elements), spec.targets[0][0]
        while f"{prefix}.{len(orders) + 1}" in self.state:
            nu = len(orders) + 1
            shape = (1, n_elements, n_channels, len(degrees))
            orders[f"order_{nu}"] = self.state.take(f"{prefix}.{nu}", *shape)[0][self.rows]
        if not orders:
            self.state.take(f"{prefix}.1")
        self._agrees("correlation", len(orders))
        self.log(f"{name}: functions on the sphere up to the power {len(orders)}.")
        return self.build.stage(
            "sphere_polynomial", f"{name}.power", {"features": x}, orders, l_max=degrees[-1]
        )


def network_from_config(document: Mapping[str, Any], name: str) -> MaceNetwork:
    """Read the JSON file of a state_dict: MACE's, with the blocks that upstream uses."""
    config = typed(document, "config", dict, "an object with upstream's arguments", name)
    coupling = typed(config, "num_radial_coupling", int, "a number", f"{name}: /config", 1)
    if coupling != 1:
        raise EqnnError(
            f"{name}: /config/num_radial_coupling: found {coupling}, expected 1. "
            "Other numbers have no exporter."
        )
    given = {key: value for key, value in config.items() if key != "num_radial_coupling"}
    given = {"first": BLOCK, "inter": BLOCK} | given
    return mace.network_from_config({**document, "config": given}, name)


def export_mace_gaunt(
    tensors: Mapping[str, Array],
    network: MaceNetwork,
    *,
    provenance: Mapping[str, Any],
    species: Sequence[int] | None = None,
    name: str = "checkpoint",
    log: Log = print,
) -> Model:
    """Turn upstream's weights into a model, still without self-test.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        Upstream's state_dict.
    network : MaceNetwork
    provenance : mapping
        For the file's ``provenance``.
    species : sequence of int, optional
        Atomic numbers to keep; all of them if left out.
    name : str
        What messages call the checkpoint.
    log : callable
        Takes lines for people.
    """
    # Upstream's harmonics have the parity (-1)^l and its cutoff is that of the radial basis.
    network = replace(network, apply_cutoff=True)
    state = State(tensors, name, mace.IGNORED)
    if "radial_embedding.bessel_fn.r_max" in tensors:
        state.tensors["r_max"] = tensors["radial_embedding.bessel_fn.r_max"]
    return _Exporter(state, network, log).export(species, None, provenance)


def _from_options(options: Namespace, log: Log) -> Model:
    document = read_json_object(options.config, "the JSON file that belongs to the weights")
    network = network_from_config(document, str(options.config))
    tensors = read_checkpoint(options.checkpoint)
    provenance = provenance_of(
        options,
        upstream="MACE-Gaunt, Gaunt-Tensor-Product",
        stated=document.get("provenance"),
        source=str(options.config),
    )
    elements = ", ".join(chemical_symbols[z] for z in network.elements)
    outputs = " then ".join(e3nn.written(spec.outputs) for spec in network.layers)
    log(f"{len(network.layers)} layers, {outputs}; elements {elements}.")
    return export_mace_gaunt(
        tensors,
        network,
        provenance=provenance,
        species=options.species,
        name=str(options.checkpoint),
        log=log,
    )


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        metavar="JSON",
        help="arguments of the upstream code and elements, which the checkpoint does not contain",
    )


UPSTREAM = Upstream(
    name="mace-gaunt",
    title="MACE-Gaunt (Gaunt-Tensor-Product)",
    add_options=_add_options,
    export=_from_options,
)
