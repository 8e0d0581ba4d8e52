# SPDX-License-Identifier: BSD-3-Clause
"""Exporter for Nequix (``.nqx``: a line of JSON and the leaves of an equinox module).

The files of its torch version (``.pt``: the same line, and a state_dict) hold the same weights in
another arrangement. Read in nequix 0.4.5 and atomicarchitects/nequix at
0ffdf881603d2c97f9105c64c3ec2df74dc1c224, with e3nn_jax. Neither JAX nor equinox is needed. See
docs/spec/nequip.md.
"""

from __future__ import annotations

import json
import math
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from ase.data import chemical_symbols

from eqnn.builder import ModelBuilder, layer
from eqnn.errors import EqnnError, one_line
from eqnn.export import e3nn, known, verify
from eqnn.export.checkpoint import State
from eqnn.export.e3nn import Segments, Weights
from eqnn.export.torch_file import read_torch_bytes
from eqnn.export.upstream import (
    Log,
    Upstream,
    elements_of,
    kept_species,
    provenance_of,
    typed,
)
from eqnn.model_file import Array, Model, block_of
from eqnn.so3 import FloatArray

# 1/sqrt(E[f(x)^2]) as e3nn_jax integrates it.
NORMALIZED = {"silu": 1 / 0.5964586854233045, "tanh": 1 / 0.6279282481638502}
NORM_EPS = 1e-12
# Keys of the first line that say what the network is, each used below.
MODEL_KEYS = (
    *("atomic_numbers", "cutoff", "lmax", "n_layers", "radial_basis_size", "radial_mlp_size"),
    *("radial_mlp_layers", "radial_polynomial_p", "index_weights", "layer_norm", "shift", "scale"),
    *("avg_n_neighbors", "hidden_irreps"),
)
# Those of training, of how it is computed, and of what the arrays hold.
OTHER_KEYS = (
    *("atom_energies", "avg_n_edges", "avg_n_nodes", "max_n_edges", "max_n_nodes", "kernel"),
    *("mlp_init_scale", "batch_size", "cache_dir", "ema_decay", "energy_weight", "finetune_from"),
    *("force_weight", "grad_clip_norm", "learning_rate", "log_every", "loss_type", "n_epochs"),
    *("optimizer", "readout_initialization", "resume_from", "state_path", "stress_weight"),
    *("train_path", "valid_frac", "valid_path", "warmup_epochs", "warmup_factor", "weight_decay"),
    *("seed", "wandb_project", "wandb_entity", "num_workers", "max_runtime"),
)
# The first bytes of a zip archive, which torch writes.
_ZIP = b"PK"


class NequixConfig:
    """What the line of JSON says of the network.

    Parameters
    ----------
    config : mapping
        Upstream's configuration; keys of training and data are of no account.
    name : str
        Where it stands, for messages.
    """

    def __init__(self, config: Mapping[str, Any], name: str) -> None:
        self.name = name
        known.refuse(
            [
                ("unknown key; it may change the network", key)
                for key in config
                if key not in (*MODEL_KEYS, *OTHER_KEYS)
            ],
            name,
            "This file is of a version that has no exporter.",
        )
        self.elements = elements_of(config, "atomic_numbers", name)
        self.cutoff = float(typed(config, "cutoff", int | float, "a length", name))
        self.l_max = typed(config, "lmax", int, "a degree", name)
        self.n_layers = typed(config, "n_layers", int, "a number of layers", name)
        self.n_basis = typed(config, "radial_basis_size", int, "a number", name)
        self.n_hidden = typed(config, "radial_mlp_size", int, "a number", name)
        self.n_hidden_layers = typed(config, "radial_mlp_layers", int, "a number", name)
        self.p = float(typed(config, "radial_polynomial_p", int | float, "a number", name))
        self.index_weights = typed(config, "index_weights", bool, "true or false", name)
        self.layer_norm = typed(config, "layer_norm", bool, "true or false", name)
        self.shift = float(typed(config, "shift", int | float, "an energy", name))
        self.scale = float(typed(config, "scale", int | float, "an energy", name))
        self.average = float(typed(config, "avg_n_neighbors", int | float, "a number", name))
        text = typed(config, "hidden_irreps", str, "irreps", name)
        self.hidden = e3nn.merged(e3nn.segments(text, f"{name}/hidden_irreps"))
        degrees = [degree for _, degree, _ in self.hidden]
        natural = all(parity == (-1) ** degree for _, degree, parity in self.hidden)
        if not natural or degrees != sorted(set(degrees)) or not degrees or degrees[0]:
            raise EqnnError(
                f"{name}/hidden_irreps: found {text}, expected each degree once, with the parity "
                "of the harmonics, scalars first.\nOther features have no exporter."
            )
        if degrees[-1] > self.l_max:
            raise EqnnError(
                f"{name}/hidden_irreps: found {text} with lmax {self.l_max}, expected degrees up "
                "to lmax: nequix itself does not run this. Get the file again."
            )

    @property
    def harmonics(self) -> Segments:
        """Irreps of the harmonics."""
        return [(1, degree, (-1) ** degree) for degree in range(self.l_max + 1)]


class _Leaves:
    """The arrays of a file, one after the other, each with the shape that its place asks for."""

    def __init__(self, arrays: Sequence[Array], name: str) -> None:
        self.arrays = list(arrays)
        self.name = name
        self.n_taken = 0

    def take(self, what: str, *shape: int) -> FloatArray:
        k = self.n_taken
        if k >= len(self.arrays):
            raise EqnnError(
                f"{self.name}: ends after {k} arrays, before {what}. "
                "The file is cut short: get it again."
            )
        found = self.arrays[k]
        if found.shape != shape:
            raise EqnnError(
                f"{self.name}: array {k} ({what}) has shape {list(found.shape)}, expected "
                f"{list(shape)}.\nThe network is not what its first line says: get the file again."
            )
        if found.dtype not in (np.float32, np.float64) or not np.isfinite(found).all():
            raise EqnnError(
                f"{self.name}: array {k} ({what}) of type {found.dtype} does not hold finite "
                "floating-point numbers. Get the file again."
            )
        self.n_taken += 1
        return found.astype(np.float64)

    def finish(self, log: Log) -> None:
        """Pass over numbers at the end, which upstream does not read; refuse arrays."""
        rest = self.arrays[self.n_taken :]
        if any(array.ndim for array in rest):
            raise EqnnError(
                f"{self.name}: {len(rest)} arrays are left over. "
                "This is another kind of network; it cannot be exported."
            )
        if rest:
            log(f"{len(rest)} numbers after the last array, which upstream does not read either.")


class _TorchLeaves(_Leaves):
    """The same arrays from a state_dict of the torch version.

    A layer of e3nn has its blocks one after the other in one tensor, in the order in which they are
    asked for here.
    """

    def __init__(self, tensors: Mapping[str, Array], name: str) -> None:
        super().__init__([], name)
        # Tables of products, which upstream makes again.
        ignored = (r"\.tp\.", r"\.tp_conv\.", r"\.output_mask$", r"\.gate\.")
        self.state = State(tensors, name, ignored)
        self.taken: dict[str, int] = {}

    def take(self, what: str, *shape: int) -> FloatArray:
        first, *block = what.replace("[", ".").replace("]", "").split()
        n = self.taken.get(first, 0)
        if first.endswith(".radial_mlp"):
            found = self.state.take(f"{first}.layers.{n}.weights", *shape)
            self.taken[first] = n + 1
        elif first.endswith(".layer_norm"):
            found = self.state.take(f"{first}.affine_weight.{n}", *shape)
            self.taken[first] = n + 1
        elif first == "atom_energies":
            found = self.state.take(first, *shape)
        else:
            whole = self.state.take(f"{first}.weight", None)
            size = math.prod(shape)
            found = whole[n : n + size]
            if found.size != size:
                raise EqnnError(
                    f"{self.name}: {first}.weight has {whole.size} numbers, expected {n + size} "
                    f"or more ({' '.join(block) or 'all'}).\nThe network is not what its first "
                    "line says: get the file again."
                )
            found = found.reshape(shape)
            self.taken[first] = n + size
        return found.astype(np.float64)

    def finish(self, log: Log) -> None:
        for first, n in self.taken.items():
            key = f"{first}.weight"
            if key in self.state and self.state.everything[key].size != n:
                raise EqnnError(
                    f"{self.name}: {key} has {self.state.everything[key].size} numbers, expected "
                    f"{n}.\nThe network is not what its first line says: get the file again."
                )
        self.state.finish()


def read_nqx(path: Path) -> tuple[dict[str, Any], list[Array] | dict[str, Array]]:
    """Read the configuration and the arrays of a file; those of the torch version by name."""
    try:
        with path.open("rb") as file:
            first = file.readline()
            if first.startswith(_ZIP):
                raise ValueError("it is a file of torch, expected one of JAX")
            config = json.loads(first)
            if not isinstance(config, dict):
                raise ValueError("its first line is no JSON object")
            place = file.tell()
            if file.read(len(_ZIP)) == _ZIP:
                file.seek(place)
                return config, _torch_weights(file.read(), str(path))
            file.seek(place)
            return config, list(_arrays(file))
    except FileNotFoundError:
        raise EqnnError(f"{path}: no such file. Give the checkpoint's path.") from None
    except (OSError, ValueError, EOFError) as error:
        raise EqnnError(
            f"{path}: not readable as .nqx ({one_line(error, named=False)}). Get the file again."
        ) from None


def _torch_weights(content: bytes, name: str) -> dict[str, Array]:
    found = read_torch_bytes(content, name)
    if not isinstance(found, Mapping) or not all(isinstance(v, np.ndarray) for v in found.values()):
        raise EqnnError(
            f"{name}: line 1 is followed by a {type(found).__name__}, expected a state_dict. "
            "Save the model with nequix.torch_impl.model.save_model."
        )
    return dict(found)


def _arrays(file: BinaryIO) -> Iterator[Array]:
    while True:
        start = file.tell()
        rest = file.read(16)
        if not rest.strip():
            return
        file.seek(start)
        yield np.load(file, allow_pickle=False)


def export_nequix(
    config: NequixConfig,
    arrays: Sequence[Array] | Mapping[str, Array],
    *,
    provenance: Mapping[str, Any],
    species: Sequence[int] | None = None,
    name: str = "checkpoint",
    log: Log = print,
) -> Model:
    """Turn upstream's weights into a model, still without self-test.

    Parameters
    ----------
    config : NequixConfig
    arrays : sequence of ndarray, or mapping
        Leaves of upstream's module, in its order; of the torch version its state_dict.
    provenance : mapping
        For the file's ``provenance``.
    species : sequence of int, optional
        Atomic numbers to keep; all of them if left out.
    name : str
        What messages call the checkpoint.
    log : callable
        Takes lines for people.
    """
    leaves = _TorchLeaves(arrays, name) if isinstance(arrays, Mapping) else _Leaves(arrays, name)
    kept = kept_species(config.elements, species, name)
    rows = [config.elements.index(z) for z in kept]
    n_elements = len(config.elements)
    energies = leaves.take("atom_energies", n_elements)
    build = ModelBuilder(family="nequix", species=kept, cutoff=config.cutoff, l_max=config.l_max)
    build.stage("spherical_harmonics", "harmonics", l_max=config.l_max)
    numbers = np.arange(1, config.n_basis + 1)
    basis = {
        "kind": "bessel",
        "frequency": build.tensor("radial_basis/frequency", numbers * np.pi / config.cutoff),
        "amplitude": build.tensor(
            "radial_basis/amplitude", np.full(config.n_basis, 2.0 / config.cutoff)
        ),
    }
    envelope = {"kind": "polynomial", "p": config.p, "on": "basis"}

    inputs: Segments = [(n_elements, 0, 1)]
    x: str | FloatArray = np.eye(n_elements)[rows]
    factors: dict[str, float] = {}
    for k in range(config.n_layers):
        spec = _layer(k, config, leaves, inputs, factors, rows)
        x = e3nn.add_convnet_layer(build, f"layer{k}", x, spec, basis, envelope)
        inputs, factors = spec.gate.outputs, spec.gate.factors
    n_scalars = e3nn.channels(inputs)["0e"]
    readout = leaves.take("readout", n_scalars, 1).T / math.sqrt(n_scalars) * factors["0e"]
    leaves.finish(log)
    build.stage("readout", "site_energy", {"features": x}, layers=[layer(readout)])
    build.stage("energy", "energy", {"terms": ["site_energy"]})
    model = build.finish(
        energy={
            "semantics": "extensive",
            "scale": config.scale,
            "shift": config.shift,
            "reference": [float(energies[row]) for row in rows],
            "isolated_atoms": "network",
        },
        forces="gradient",
        parity="o3",
        provenance=provenance,
        name=name,
    )
    log(f"Equivariance defect {model.document['equivariance']['defect']:.3e}.")
    return model


def _layer(
    k: int,
    config: NequixConfig,
    leaves: _Leaves,
    inputs: Segments,
    factors: Mapping[str, float],
    rows: Sequence[int],
) -> e3nn.ConvnetLayer:
    outputs = config.hidden if k < config.n_layers - 1 else config.hidden[:1]
    activations = {"e": "silu", "o": "tanh"}
    gate = e3nn.gate(outputs[:1], outputs[1:], activations, activations, NORMALIZED)
    paths, mid = e3nn.instructions(inputs, config.harmonics, outputs, sorted_weights=True)
    convolved = e3nn.convolution(paths, inputs, config.harmonics, mid, negated=False)
    name = f"layers[{k}]"

    # The radial network has neither e3nn's constants nor its 1/sqrt(fan in).
    sizes = [config.n_basis, *[config.n_hidden] * config.n_hidden_layers, convolved.factors.size]
    radial = []
    for n, (n_in, n_out) in enumerate(pairwise(sizes)):
        weight = leaves.take(f"{name}.radial_mlp", n_in, n_out).T
        radial.append(layer(weight, activation="silu" if n < len(sizes) - 2 else "none"))

    def linear(what: str, n_in: Segments, n_out: Segments, *first: int) -> Weights:
        out = {}
        have = e3nn.channels(n_in)
        for mul, degree, parity in n_out:
            block = block_of(degree, parity)
            if block in have:
                weight = leaves.take(f"{name}.{what} {block}", *first, have[block], mul)
                out[block] = weight.swapaxes(-1, -2) / math.sqrt(have[block])
        return out

    source = linear("linear_1", inputs, inputs)
    mixing = linear("linear_2", e3nn.merged(mid), gate.inputs)
    first = (len(config.elements),) if config.index_weights else ()
    skip = linear("skip", inputs, gate.inputs, *first)
    if config.index_weights:
        skip = {block: tensor[list(rows)] for block, tensor in skip.items()}
    norm = {}
    if config.layer_norm:
        # Upstream takes the sum over channels over (2l+1)^2, the file's stage the mean over both:
        # features are scaled before the norm so that both are equal, and back by its weights.
        for mul, degree, parity in gate.inputs:
            block = block_of(degree, parity)
            scale = math.sqrt(mul / (2 * degree + 1))
            norm[block] = leaves.take(f"{name}.layer_norm {block}", mul) / scale
            for weights in (mixing, skip):
                if block in weights:
                    weights[block] = weights[block] * scale
    return e3nn.ConvnetLayer(
        source=e3nn.scale_inputs(source, factors),
        radial=radial,
        convolution=convolved,
        mixing=e3nn.scaled(mixing, 1.0 / math.sqrt(config.average)),
        skip=e3nn.scale_inputs(skip, factors),
        gate=gate,
        norm=norm,
        eps=NORM_EPS,
    )


def _from_options(options: Namespace, log: Log) -> Model:
    path: Path = options.checkpoint
    document, arrays = read_nqx(path)
    config = NequixConfig(document, f"{path}: line 1")
    provenance = provenance_of(options, upstream="Nequix")
    symbols = ", ".join(chemical_symbols[z] for z in sorted(config.elements))
    log(f"{config.n_layers} layers of {e3nn.written(config.hidden)}; elements {symbols}.")
    return export_nequix(
        config, arrays, provenance=provenance, species=options.species, name=str(path), log=log
    )


def _add_options(parser: ArgumentParser) -> None:
    """Add nothing: the file says everything."""


UPSTREAM = Upstream(
    name="nequix",
    title="Nequix",
    add_options=_add_options,
    export=_from_options,
    verifier=verify.NEQUIX,
)
