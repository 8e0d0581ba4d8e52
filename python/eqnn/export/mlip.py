# SPDX-License-Identifier: BSD-3-Clause
"""Exporter for MACE and NequIP of InstaDeep's mlip (a zip archive of JSON and arrays of NumPy).

Read in mlip 0.2.5, e3j 0.1.1 and e3nn_jax 0.21.0. None of them is needed, nor is JAX. What is
multiplied where, and how weights lie: docs/spec/mace.md and docs/spec/nequip.md.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from eqnn.builder import ModelBuilder, layer
from eqnn.errors import ChoiceNeededError, EqnnError, one_line, shortened
from eqnn.export import e3nn, foreign, known, verify
from eqnn.export.checkpoint import State
from eqnn.export.e3nn import Segments, Weights
from eqnn.export.mace import component_places, coupling_entries
from eqnn.export.mlip_symmetric import Irrep, symmetric_couplings, upstream_order
from eqnn.export.nequix import NORMALIZED
from eqnn.export.upstream import Log, Upstream, kept_species, provenance_of, typed
from eqnn.model_file import Array, Model, block_of, degree_of
from eqnn.options import told
from eqnn.so3 import FloatArray, clebsch_gordan, wigner_3j

FILES = ("hyperparams.json", "params.npz")
# Keys of the configuration that say what the network is, each used below.
_ALL = (
    *("num_layers", "l_max", "num_readout_heads", "num_rbf", "radial_mlp_hidden"),
    *("radial_mlp_activation", "add_atomic_energies"),
)
USED = {
    "MACE": (
        *(*_ALL, "num_channels", "node_symmetry", "correlation", "readout_irreps", "activation"),
        *("residual_connection_first_layer", "include_pseudotensors", "gate_nodes"),
        *("symmetric_contraction_backend", "use_gaunt_tp_message_passing", "soft_normalization"),
    ),
    "NequIP": (*_ALL, "target_irreps", "use_residual_connection", "gate_nonlinearities"),
}
# Keys of parts that have no stage or no translation here, and the value that leaves them out.
_PLAIN: dict[str, Any] = {
    **{"radial_envelope": "polynomial_envelope", "predict_partial_charges": False},
    **{"use_coulomb_term": False, "use_total_charge_embedding": False},
}
FIXED: dict[str, dict[str, Any]] = {"MACE": _PLAIN, "NequIP": _PLAIN}
# Keys that change no number: what upstream itself does not read, and how it computes.
INERT = (
    *("avg_num_neighbors", "avg_r_min", "num_species", "embed_activation"),
    *("deterministic_scatter_ops", "radial_mlp_variance_scale"),
)
# Upstream's words for functions that have stages.
ACTIVATIONS = {"silu": "silu", "swish": "silu", "tanh": "tanh", "none": "none"}
ENVELOPE_POWER = 5.0
# Bases of the contraction: powers by Wigner 3j, in two orders and of symmetric tensors alone, and
# products on the sphere.
BACKENDS = ("e3j", "e3nn", "e3nn_symmetric", "gaunt_tp")
# Tables of four factors have a billion entries; products on the sphere have no tables.
HIGHEST_CORRELATION = 3
HIGHEST_GAUNT_CORRELATION = 4
MOST_LAYERS = 50
# Points at which upstream takes the mean square of its radial basis.
BASIS_POINTS = 1000
_PREFIX = "params#mlip_network#"
_NOTHING = "(?!)"  # no name matches


@dataclass(frozen=True)
class MlipConfig:
    """What the JSON of a file says of the network.

    Attributes
    ----------
    config, info : mapping
        Upstream's ``config`` and ``dataset_info``.
    name : str
        Where they stand, for messages.
    """

    config: Mapping[str, Any]
    info: Mapping[str, Any]
    name: str

    def whole(self, key: str, least: int, most: int) -> int:
        """Return a whole number of the configuration."""
        value: int = typed(self.config, key, int, "a whole number", f"{self.name}/config")
        if not least <= value <= most:
            raise EqnnError(
                f"{self.name}/config/{key}: found {value}, expected {least} to {most}. "
                "Others have no exporter."
            )
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a number of what is said of the data."""
        where = f"{self.name}/dataset_info"
        value = float(typed(self.info, key, int | float, "a number", where, default))
        if not math.isfinite(value):
            raise EqnnError(f"{where}/{key}: found {value}, expected a number. Train it again.")
        return value

    def positive(self, key: str, default: float | None = None, *, of_config: bool = False) -> float:
        """Return a number above 0 of what is said of the data, or of the configuration."""
        part = "config" if of_config else "dataset_info"
        said = self.config if of_config else self.info
        where = f"{self.name}/{part}"
        value = float(typed(said, key, int | float, "a number", where, default))
        if not (math.isfinite(value) and value > 0.0):
            raise EqnnError(
                f"{where}/{key}: found {value:g}, expected a number above 0. Train it again."
            )
        return value

    def average(self) -> float:
        """Return the average number of neighbors, by which NequIP divides messages."""
        of_config = self.config.get("avg_num_neighbors") is not None
        return self.positive("avg_num_neighbors", 1.0, of_config=of_config)

    def flag(self, key: str, default: bool | None = None) -> bool:
        """Return a truth value of the configuration."""
        return bool(typed(self.config, key, bool, "true or false", f"{self.name}/config", default))

    def backend(self) -> str:
        """Return the basis of MACE's contractions."""
        where = f"{self.name}/config"
        word = str(typed(self.config, "symmetric_contraction_backend", str, "a word", where))
        if word not in BACKENDS:
            raise EqnnError(
                f"{where}/symmetric_contraction_backend: found {shortened(word, 20)}, expected "
                f"{', '.join(BACKENDS)}. Others have no exporter."
            )
        return word

    def function(self, key: str) -> str:
        """Return a stage's word for an activation."""
        word = str(typed(self.config, key, str, "a word", f"{self.name}/config"))
        if word not in ACTIVATIONS:
            raise EqnnError(
                f"{self.name}/config/{key}: found {shortened(word, 20)}, "
                f"expected {', '.join(ACTIVATIONS)}. "
                "Others have no stage."
            )
        return ACTIVATIONS[word]

    def target_irreps(self) -> Segments:
        """Return NequIP's features, each irrep once, in upstream's order."""
        where = f"{self.name}/config/target_irreps"
        text = str(typed(self.config, "target_irreps", str, "irreps", f"{self.name}/config"))
        found = [segment for segment in e3nn.segments(text, where) if segment[0]]
        irreps = [segment[1:] for segment in found]
        if irreps != sorted(set(irreps), key=upstream_order) or (0, 1) not in irreps:
            raise EqnnError(
                f"{where}: found {shortened(text, 40)}, "
                "expected each irrep once, with 0e, by degree, the "
                "harmonics' parity first.\nOthers have no exporter."
            )
        return found

    def gate_functions(self) -> dict[str, str]:
        """Return NequIP's activations by parity."""
        where = f"{self.name}/config/gate_nonlinearities"
        said = typed(self.config, "gate_nonlinearities", dict, "words", f"{self.name}/config")
        found = {key: ACTIVATIONS.get(str(word), "") for key, word in said.items()}
        if found.keys() != {"e", "o"} or found["e"] not in NORMALIZED or found["o"] != "tanh":
            raise EqnnError(
                f"{where}: found {shortened(str(said), 40)}, "
                "expected silu, swish or tanh for e, and tanh for o. "
                "Others have no stage."
            )
        return found

    def irreps(self) -> tuple[int, int]:
        """Return the widths of the readout's hidden layer and of its output."""
        where = f"{self.name}/config/readout_irreps"
        given = typed(self.config, "readout_irreps", list, "two irreps", f"{self.name}/config")
        found = [e3nn.merged(e3nn.segments(one, where)) for one in given]
        if len(found) != 2 or any([s[1:] for s in one] != [(0, 1)] for one in found):
            raise EqnnError(f"{where}: found {given}, expected scalars as in 16x0e and 0e.")
        return found[0][0][0], found[1][0][0]


def head_names(info: Mapping[str, Any], n: int) -> list[str]:
    """Name n readout heads by their data sets, or by their numbers where these have no names."""
    names = info.get("dataset_name")
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or len(names) != n:
        return [str(k) for k in range(n)]
    return [str(one) for one in names]


def head_number(names: Sequence[str], chosen: str) -> int | None:
    """Return the number of a head that is chosen by its name or its number; None of no head."""
    if chosen in names:
        return names.index(chosen)
    is_number = chosen.isascii() and chosen.isdigit() and int(chosen) < len(names)
    return int(chosen) if is_number else None


def read_mlip(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read the JSON and the arrays of a file that mlip saved."""
    try:
        with zipfile.ZipFile(path) as archive:
            said = json.loads(archive.read(FILES[0]))
            with np.load(io.BytesIO(archive.read(FILES[1])), allow_pickle=False) as arrays:
                tensors = {key: arrays[key] for key in arrays.files}
    except FileNotFoundError:
        raise EqnnError(f"{path}: no such file. Give the checkpoint's path.") from None
    except Exception as error:  # a damaged archive raises whatever it likes
        raise EqnnError(foreign.unreadable(path, one_line(error), "a model of mlip")) from None
    if not isinstance(said, dict) or not all(
        isinstance(said.get(key), dict) for key in ("config", "dataset_info")
    ):
        raise EqnnError(
            f"{path}: {FILES[0]} has no objects config and dataset_info. Get the file again."
        )
    return said, tensors


def refuse_others(said: Mapping[str, Any], name: str) -> None:
    """Raise for networks that this exporter does not read, naming all that stands in the way."""
    config = said["config"]
    kind = foreign.kind_of_mlip(config)
    if kind not in USED:
        raise EqnnError(
            f"{name}: is a model of mlip (InstaDeep, {kind}), expected its MACE or NequIP.\n"
            f"{foreign.MLIP_CURE}"
        )
    if kind == "MACE" and "symmetric_contraction_backend" not in config:
        raise EqnnError(
            f"{name}: is a MACE of mlip before 0.2, whose contractions use another basis than "
            f"those of 0.2.\n{foreign.MLIP_CURE}"
        )
    faults = [
        (f"{shortened(str(config[key]), 30)} has no stage", f"config/{key}")
        for key, plain in FIXED[kind].items()
        if config.get(key, plain) != plain
    ]
    faults += [
        ("unknown key; it may change the network", f"config/{key}")
        for key in config
        if key not in (*USED[kind], *FIXED[kind], *INERT)
    ]
    if said["dataset_info"].get("long_range_cutoff_angstrom") is not None:
        faults.append(("a second cutoff has no stage", "dataset_info/long_range_cutoff_angstrom"))
    known.refuse(faults, name, foreign.MLIP_CURE)


def power_couplings(
    features: Sequence[Irrep], correlation: int, l_out: int, *, with_root: bool = False
) -> list[dict[int, FloatArray]]:
    """Couplings of 1, 2, .. equal features to each degree, as upstream's powers enumerate them.

    Each power is joined with the features once more by Wigner 3j, all irreps on the way kept that
    still lead to an output; irreps of one power are sorted, copies in the order of their making.

    Parameters
    ----------
    features : sequence of (degree, parity)
        Irreps of the features, in upstream's order; 0e is among them.
    correlation : int
        Highest power.
    l_out : int
        Highest degree of the output, which has the parities of harmonics.
    with_root : bool
        Whether each Wigner 3j is multiplied by sqrt(2l+1), as in e3nn.

    Returns
    -------
    list of dict
        For each power: degree -> ndarray [2l+1, d, .., d, K], components in the order of features.
    """
    wanted = {(degree, (-1) ** degree) for degree in range(l_out + 1)}
    d = sum(2 * degree + 1 for degree, _ in features)
    groups: list[tuple[Irrep, FloatArray]] = []  # [copies, 2l+1, d, .., d]
    begin = 0
    for degree, parity in features:
        part = np.zeros((1, 2 * degree + 1, d))
        part[0, :, begin : begin + 2 * degree + 1] = np.eye(2 * degree + 1)
        begin += 2 * degree + 1
        groups.append(((degree, parity), part))
    powers = []
    for power in range(1, correlation + 1):
        if power > 1:
            reached = _reachable(wanted, features, correlation - power)
            groups = _joined(groups, features, reached, with_root=with_root)
        powers.append(
            {irrep[0]: np.moveaxis(part, 0, -1) for irrep, part in groups if irrep in wanted}
        )
    return powers


def _reachable(wanted: set[Irrep], features: Sequence[Irrep], n_products: int) -> set[Irrep]:
    """Irreps from which so many products with the features, or fewer, lead to one wanted."""
    found = wanted
    for _ in range(n_products):
        found = {
            (degree, parity * p2)
            for target, parity in found
            for l2, p2 in features  # with 0e, which keeps what was found
            for degree in range(abs(target - l2), target + l2 + 1)
        }
    return found


def _joined(
    groups: Sequence[tuple[Irrep, FloatArray]],
    features: Sequence[Irrep],
    kept: set[Irrep],
    *,
    with_root: bool,
) -> list[tuple[Irrep, FloatArray]]:
    d = sum(2 * degree + 1 for degree, _ in features)
    made: dict[Irrep, list[FloatArray]] = {}
    for (l1, p1), part in groups:
        begin = 0
        for l2, p2 in features:
            for l0 in range(abs(l1 - l2), l1 + l2 + 1):
                key = l0, p1 * p2
                if key not in kept:
                    continue
                factor = math.sqrt(2 * l0 + 1) if with_root else 1.0
                joined = np.zeros((part.shape[0], 2 * l0 + 1, *part.shape[2:], d))
                joined[..., begin : begin + 2 * l2 + 1] = np.einsum(
                    "mjk,cj...->cm...k", factor * wigner_3j(l0, l1, l2), part
                )
                made.setdefault(key, []).append(joined)
            begin += 2 * l2 + 1
    return [(irrep, np.concatenate(made[irrep])) for irrep in sorted(made, key=upstream_order)]


def export_mlip(
    said: Mapping[str, Any],
    tensors: Mapping[str, Array],
    *,
    provenance: Mapping[str, Any],
    species: Sequence[int] | None = None,
    head: str | None = None,
    name: str = "checkpoint",
    log: Log = print,
) -> Model:
    """Turn upstream's weights into a model, still without self-test.

    Parameters
    ----------
    said : mapping
        The file's JSON.
    tensors : mapping of str to ndarray
        The file's arrays.
    provenance : mapping
        For the file's ``provenance``.
    species : sequence of int, optional
        Atomic numbers to keep; all of them if left out.
    head : str, optional
        Which of several readout heads: the name of its data set, or its number from 0.
    name : str
        What messages call the checkpoint.
    log : callable
        Takes lines for people.
    """
    refuse_others(said, name)
    exporter = _Mace if foreign.kind_of_mlip(said["config"]) == "MACE" else _Nequip
    config = MlipConfig(said["config"], said["dataset_info"], name)
    return exporter(config, tensors, head, log).run(species, provenance)


class _Exporter:
    """What both networks have: heads, elements, the radial basis and its networks.

    Attributes
    ----------
    family : str
        Of the model file.
    scales_basis : bool
        Whether upstream scales the radial basis by ``avg_r_min_angstrom`` of the data. In NequIP it
        never does, whatever the file says.
    """

    family = ""
    scales_basis = True

    def __init__(
        self, config: MlipConfig, tensors: Mapping[str, Array], head: str | None, log: Log
    ) -> None:
        self.config, self.log, self.name = config, log, config.name
        self.state = State(tensors, config.name, (_NOTHING,))
        self.n_layers = config.whole("num_layers", 1, MOST_LAYERS)
        self.l_max = config.whole("l_max", 0, e3nn.HIGHEST_DEGREE)
        self.title = ""
        self.head, energies = self._head(head)
        self.elements = sorted(energies)
        self.energies = [energies[z] for z in self.elements]
        self.cutoff = config.positive("graph_cutoff_angstrom")
        self.basis: dict[str, Any] = {}
        self.rows: list[int] = []

    def _head(self, chosen: str | None) -> tuple[int, dict[int, float]]:
        """Return the number of the head, and energies of free atoms by their atomic numbers."""
        n = self.config.whole("num_readout_heads", 1, 1 << 10)
        where = f"{self.name}/dataset_info/atomic_energies_map"
        maps = self.config.info.get("atomic_energies_map")
        several: list[Any] = maps if isinstance(maps, list) else [maps] * n
        names = head_names(self.config.info, n)
        if len(several) != n or not all(isinstance(one, dict) and one for one in several):
            raise EqnnError(
                f"{where}: found {len(several)} of {n} heads, expected energies by atomic number "
                "for each.\nSuch a file has no exporter."
            )
        listed = ", ".join(names)
        if chosen is None and n > 1:
            text = f"{self.name}: has {n} heads: {listed}. Choose one with --head."
            raise ChoiceNeededError(text, "--head", names)
        head = 0 if chosen is None else head_number(names, chosen)
        if head is None:
            known_heads = f"{listed}. Choose one of them."
            if n == 1:
                known_heads = f"one head, {listed}. Leave the option out."
            raise EqnnError(f"--head {chosen}: {self.name} has {known_heads}")
        if n > 1:
            self.title = f"head {names[head]} of {listed}; "
        if any(one.keys() != several[head].keys() for one in several):
            raise EqnnError(
                f"{where}: heads have different elements, so that some of head {names[head]} have "
                "no energy.\nSuch a file has no exporter."
            )
        try:
            found = {int(key): float(value) for key, value in several[head].items()}
        except (TypeError, ValueError):
            found = {}
        if not found or not all(0 < z < len(chemical_symbols) for z in found):
            raise EqnnError(f"{where}: expected energies by atomic number. Get the file again.")
        if not self.config.flag("add_atomic_energies"):
            found = dict.fromkeys(found, 0.0)
        return head, found

    @property
    def harmonics(self) -> Segments:
        return [(1, degree, (-1) ** degree) for degree in range(self.l_max + 1)]

    def linear(self, key: str, inputs: Segments, outputs: Segments, *first: int) -> Weights:
        """Weights [Cout, Cin] or [species, Cout, Cin], their 1/sqrt(fan in) multiplied in.

        Arrays are numbered by the irreps of the output; what has no input is an empty one.
        """
        out = {}
        n_in, n_out = e3nn.channels(inputs), e3nn.channels(outputs)
        irreps = sorted({segment[1:] for segment in outputs}, key=upstream_order)
        for number, (degree, parity) in enumerate(irreps):
            block = block_of(degree, parity)
            stored = f"{_PREFIX}{key}#weight{number}_{degree}_{parity}"
            if block not in n_in and stored not in self.state:
                continue
            weight = self.state.take(stored, *first, n_out[block], n_in.get(block, 0))
            if block in n_in:
                out[block] = weight.astype(np.float64) / math.sqrt(n_in[block])
        return out

    def run(self, species: Sequence[int] | None, provenance: Mapping[str, Any]) -> Model:
        symbols = ", ".join(chemical_symbols[z] for z in self.elements)
        kind = foreign.kind_of_mlip(self.config.config)
        self.log(f"{kind}, {self.n_layers} layers; {self.title}elements {symbols}.")
        kept = kept_species(self.elements, species, self.name)
        self.rows = [self.elements.index(z) for z in kept]
        build = ModelBuilder(family=self.family, species=kept, cutoff=self.cutoff, l_max=self.l_max)
        self.build = build
        build.stage("spherical_harmonics", "harmonics", l_max=self.l_max)
        self._basis()
        terms = self.site_energies()
        self.state.finish()
        build.stage("energy", "energy", {"terms": terms})
        model = build.finish(
            energy={
                "semantics": "extensive",
                "scale": self.config.number("scaling_stdev", 1.0),
                "shift": self.config.number("scaling_mean", 0.0),
                "reference": [self.energies[row] for row in self.rows],
                "isolated_atoms": "network",
            },
            forces="gradient",
            parity="o3",
            provenance=provenance,
            name=self.name,
        )
        self.log(f"Equivariance defect {model.document['equivariance']['defect']:.3e}.")
        return model

    def _basis(self) -> None:
        n = self.config.whole("num_rbf", 1, 1 << 12)
        frequency = np.arange(1, n + 1) * np.pi / self.cutoff
        amplitude = math.sqrt(2.0 / self.cutoff)
        if self.scales_basis and self.config.info.get("avg_r_min_angstrom") is not None:
            # Upstream computes this number in single precision, and so to seven digits.
            r_min = self.config.positive("avg_r_min_angstrom")
            if r_min >= self.cutoff:
                raise EqnnError(
                    f"{self.name}/dataset_info/avg_r_min_angstrom: found {r_min:g}, expected less "
                    f"than the cutoff of {self.cutoff:g}. Train it again."
                )
            r = np.linspace(r_min, self.cutoff, BASIS_POINTS)
            x = r / self.cutoff
            p = ENVELOPE_POWER
            envelope = (
                1.0
                - (p + 1.0) * (p + 2.0) / 2.0 * x**p
                + p * (p + 2.0) * x ** (p + 1.0)
                - p * (p + 1.0) / 2.0 * x ** (p + 2.0)
            )
            envelope = np.where(x < 1.0, envelope, 0.0)
            values = amplitude * np.sin(r[:, None] * frequency) / r[:, None] * envelope[:, None]
            amplitude *= float(np.mean(values**2)) ** -0.5
        self.basis = {
            "kind": "bessel",
            "frequency": self.build.tensor("radial_basis/frequency", frequency),
            "amplitude": self.build.tensor("radial_basis/amplitude", np.full(n, amplitude)),
        }

    def site_energies(self) -> list[str]:
        """Append the network's stages and return those that are added up."""
        raise NotImplementedError

    def embedding(self, key: str, n_channels: int) -> FloatArray:
        """Scalars [species, C] that the network begins with."""
        n = len(self.elements)
        stored = self.state.take(f"{_PREFIX}{key}#embed#embedding", n, n_channels)
        table: FloatArray = stored.astype(np.float64)[self.rows] / math.sqrt(n)
        return table

    def radial_layers(self, key: str, n_paths: int, *, scaled: bool) -> list[dict[str, Any]]:
        """Layers of the radial network, in upstream's order of paths.

        Parameters
        ----------
        key : str
        n_paths : int
            Outputs that the convolution needs.
        scaled : bool
            Whether upstream divides by sqrt(fan in) and multiplies each activation by its constant.
        """
        widths = typed(
            self.config.config, "radial_mlp_hidden", list, "widths", f"{self.name}/config"
        )
        function = self.config.function("radial_mlp_activation")
        out = []
        n_in, constant = self.config.whole("num_rbf", 1, 1 << 12), 1.0
        for k, n_out in enumerate([*widths, None]):
            weight = self.state.take(f"{_PREFIX}{key}#layers_{k}#kernel", n_in, n_out)
            matrix = weight.astype(np.float64).T * (constant / math.sqrt(n_in) if scaled else 1.0)
            out.append(layer(matrix, activation="none" if n_out is None else function))
            n_in, constant = weight.shape[1], NORMALIZED.get(function, 1.0)
        if n_in != n_paths:
            raise EqnnError(
                f"{self.name}: {key}: {n_in} outputs, expected {n_paths} of the convolution's "
                "paths.\nThe network is not what its JSON says: get the file again."
            )
        return out


class _Mace(_Exporter):
    family = "mace"

    def __init__(
        self, config: MlipConfig, tensors: Mapping[str, Array], head: str | None, log: Log
    ) -> None:
        super().__init__(config, tensors, head, log)
        self.n_channels = config.whole("num_channels", 1, 1 << 16)
        self.l_out = config.whole("node_symmetry", 0, self.l_max)
        self.backend = config.backend()
        self.is_gaunt = self.backend == "gaunt_tp"
        self.has_gaunt_messages = config.flag("use_gaunt_tp_message_passing", False)
        kinds = {"messages": self.has_gaunt_messages, "contractions": self.is_gaunt}
        if any(kinds.values()):
            where = " and ".join(kind for kind, is_so in kinds.items() if is_so)
            self.title += f"Gaunt products in {where}; "
        highest = HIGHEST_GAUNT_CORRELATION if self.is_gaunt else HIGHEST_CORRELATION
        self.correlation = config.whole("correlation", 1, highest)
        self.has_both_parities = config.flag("include_pseudotensors", False)
        if self.has_both_parities and (self.is_gaunt or self.has_gaunt_messages):
            raise EqnnError(
                f"{self.name}/config/include_pseudotensors: found true with Gaunt products, which "
                "mlip itself cannot build.\nCorrect the configuration."
            )
        self._couplings: dict[int, list[dict[int, FloatArray]]] = {}
        self.n_hidden, n_out = config.irreps()
        if n_out != 1:
            raise EqnnError(
                f"{self.name}/config/readout_irreps: {n_out} outputs, expected one, the energy. "
                "Others have no exporter."
            )

    def features(self, l_max: int, *, both_parities: bool = False) -> Segments:
        """All channels of each degree up to l_max, of harmonics' parity or of both."""
        irreps = [
            (degree, parity)
            for degree in range(l_max + 1)
            for parity in (1, -1)
            if both_parities or parity == (-1) ** degree
        ]
        return [(self.n_channels, *irrep) for irrep in sorted(irreps, key=upstream_order)]

    def site_energies(self) -> list[str]:
        """Append the network's stages and return those that are added up."""
        x: str | FloatArray = self.embedding(
            "embedding_block#node_embedding_block", self.n_channels
        )
        terms = []
        for k in range(self.n_layers):
            x = self._layer(k, x)
            terms.append(self._readout(k, x))
        return terms

    def _layer(self, k: int, x: str | FloatArray) -> str:
        build, name = self.build, f"layers_{k}"
        is_last = k == self.n_layers - 1
        n_elements = len(self.elements)
        inputs = self.features(self.l_out if k else 0)
        targets = self.features(self.l_max, both_parities=self.has_both_parities)
        outputs = self.features(0 if is_last else self.l_out)
        is_residual = k > 0 or self.config.flag("residual_connection_first_layer")
        up = self.linear(f"{name}#interaction_block#linear_in", inputs, inputs)
        around = {}
        if is_residual:
            around = self.linear(f"{name}#residual_block", inputs, outputs, n_elements)
            around = {block: tensor[self.rows] for block, tensor in around.items()}
        skipped = ""
        if isinstance(x, str):
            source = e3nn.add_linear(build, f"{name}.linear_in", x, up)
            if is_residual:
                skipped = e3nn.add_species_linear(build, f"{name}.residual", x, around)
        else:
            # All before the first convolution is a table of the species.
            source = self._table(f"{name}.linear_in", x @ up["0e"].T)
            if is_residual:
                skipped = self._table(f"{name}.residual", np.einsum("zoi,zi->zo", around["0e"], x))
        y, reached = self._messages(name, source, inputs, targets)
        if not is_residual:
            own = self.linear(f"{name}#linear_by_species_block", targets, targets, n_elements)
            own = {block: own[block][self.rows] for block in reached}
            y = e3nn.add_species_linear(build, f"{name}.linear_by_species", y, own)
        if self.is_gaunt:
            y = self._gaunt_contraction(name, y, outputs)
        else:
            y = self._contraction(name, y, targets, reached, outputs)
        if self.config.flag("gate_nodes", False):
            y = self._gated(name, y, outputs)
        mixed = self.linear(f"{name}#expansion_block#linear_block", outputs, outputs)
        y = e3nn.add_linear(build, f"{name}.linear_block", y, mixed)
        if self.config.config.get("soft_normalization") is not None:
            limit = self.config.positive("soft_normalization", of_config=True)
            y = build.stage(
                "soft_normalization", f"{name}.normalized", {"features": y}, limit=limit
            )
        return build.stage("add", name, {"a": y, "b": skipped}) if skipped else y

    def _table(self, name: str, table: FloatArray) -> str:
        return self.build.stage("species_embedding", name, weights={"table": table}, l_max=0)

    def _messages(
        self, name: str, source: str, inputs: Segments, targets: Segments
    ) -> tuple[str, list[str]]:
        """Append a convolution; return its output and the blocks that it has."""
        block = f"{name}#interaction_block"
        paths, mid = e3nn.instructions(inputs, self.harmonics, targets, sorted_weights=True)
        convolved = e3nn.convolution(paths, inputs, self.harmonics, mid, negated=True)
        n_scalars = convolved.factors.size
        if self.has_gaunt_messages:
            convolved = self._with_gaunt_factors(block, convolved)
            n_scalars = len(targets) * self.n_channels
        else:
            convolved = replace(convolved, rows=_weight_rows(mid, self.n_channels))
        layers = self.radial_layers(f"{block}#radial_mlp", n_scalars, scaled=True)
        radial = self.build.stage(
            "radial",
            f"{name}.radial",
            basis=self.basis,
            envelope={"kind": "polynomial", "p": ENVELOPE_POWER, "on": "basis"},
            layers=e3nn.fold_rows(layers, convolved),
        )
        y = self.build.stage(
            "edge_tensor_product",
            f"{name}.messages",
            {"source": source, "harmonics": "harmonics", "radial": radial},
            paths=convolved.paths,
        )
        average = self.config.positive("avg_num_neighbors", 1.0)
        sizes = e3nn.channels(mid)
        if self.has_gaunt_messages:  # upstream has added up the paths
            weights = self.linear(f"{block}#linear_out", targets, targets)
            for key, weight in weights.items():
                weights[key] = np.tile(weight, sizes[key] // self.n_channels) / average
        else:
            weights = self.linear(f"{block}#linear_out", mid, targets)
            places = _places(mid, self.n_channels)
            weights = {key: weight[:, places[key]] / average for key, weight in weights.items()}
        return e3nn.add_linear(self.build, f"{name}.linear_out", y, weights), list(weights)

    def _with_gaunt_factors(self, block: str, convolved: e3nn.Convolution) -> e3nn.Convolution:
        """Give a convolution the coefficients of the sphere, and to all its paths shared weights.

        Upstream integrates products of functions whose harmonics have the norm 1, over 4 pi: paths
        couple by |3j(l1 l2 l3; 0 0 0)| w3j. A channel's harmonics are multiplied by a weight for
        each degree, and its messages by a radial function for each degree.
        """
        project = self.linear(f"{block}#linear_proj", self.harmonics, self.features(self.l_max))
        factors, rows = [], []
        for source, l2, target in convolved.paths:
            l1, l3 = degree_of(source), degree_of(target)
            zero = clebsch_gordan(l1, l2, l3)[l1, l2, l3] / math.sqrt(2 * l3 + 1)
            by_channel = project[block_of(l2, (-1) ** l2)][:, 0]
            factors.append((-1) ** l2 * abs(zero) * by_channel)
            rows.append(l3 * self.n_channels + np.arange(self.n_channels))
        return replace(convolved, factors=np.concatenate(factors), rows=np.concatenate(rows))

    def _gaunt_contraction(self, name: str, x: str, outputs: Segments) -> str:
        """Product of functions on the sphere, each a linear map of the features plus a constant."""
        block = f"{name}#expansion_block#symmetric_contraction"
        n, l_out = self.n_channels, outputs[-1][1]
        # Upstream's harmonics have the norm 1, and its integrals are means over the sphere.
        roots = np.sqrt(4.0 * np.pi / (2.0 * np.arange(self.l_max + 1) + 1.0))
        product = ""
        for k in range(self.correlation):
            weights = {}
            for degree in range(self.l_max + 1):
                irrep = block_of(degree, (-1) ** degree)
                key = f"linear_in_{k}#w[{degree},{degree}] {n}x{irrep},{n}x{irrep}"
                weight = self.state.take(f"{_PREFIX}{block}#{key}", n, n).astype(np.float64)
                weights[irrep] = weight.T * roots[degree] / math.sqrt(n)
            bias = self.state.take(f"{_PREFIX}{block}#gaunt_symmetric_contraction_bias_{k}", n)
            # Upstream adds none to the first.
            constant = bias.astype(np.float64) * roots[0] if k else None
            factor = e3nn.add_linear(self.build, f"{name}.factor_{k + 1}", x, weights, constant)
            if not k:
                product = factor
                continue
            later = self.correlation - 1 - k  # factors, which take degrees down to the output's
            degree = min((k + 1) * self.l_max, l_out + later * self.l_max)
            product = self.build.stage(
                "gaunt_product",
                f"{name}.product_{k + 1}",
                {"a": product, "b": factor},
                l_max=degree,
            )
        table = np.empty((len(self.rows), n, l_out + 1))
        for degree in range(l_out + 1):
            weight = self.state.take(
                f"{_PREFIX}{block}#linear_out#weight{degree}_{degree}_{(-1) ** degree}",
                *(len(self.elements), n, 1, 1),
            )
            scale = roots[degree] / (4.0 * np.pi)
            table[:, :, degree] = weight.astype(np.float64)[self.rows, :, 0, 0] * scale
        return self.build.stage(
            "sphere_polynomial",
            f"{name}.contraction",
            {"features": product},
            {"order_1": table},
            l_max=l_out,
        )

    def _gated(self, name: str, x: str, outputs: Segments) -> str:
        """Multiply features by a linear function of their scalars, with weights of the element."""
        n, n_degrees = self.n_channels, len(outputs)
        key = f"{_PREFIX}{name}#expansion_block#species_wise_gate"
        shape = len(self.elements), n, n_degrees * n
        weight = self.state.take(f"{key}_weights", *shape).astype(np.float64)[self.rows]
        bias = self.state.take(f"{key}_bias", shape[0], shape[2]).astype(np.float64)[self.rows]
        # A function of degree 0 is sqrt(4 pi) times its value.
        scale = math.sqrt(4.0 * np.pi)
        out = ""
        for degree in range(n_degrees):
            part, label = slice(degree * n, (degree + 1) * n), f"{name}.gate_{degree}"
            product = {"0e": weight[:, :, part].swapaxes(1, 2) * scale}
            gates = e3nn.add_species_linear(self.build, f"{label}.product", x, product)
            constant = self._table(f"{label}.constant", bias[:, part] * scale)
            gates = self.build.stage("add", label, {"a": gates, "b": constant})
            only = np.zeros((n_degrees, n))
            only[degree] = 1.0
            gated = self.build.stage(
                "gaunt_product",
                f"{name}.gated_{degree}",
                {"a": x, "b": gates},
                {"scale_out": only},
                l_max=n_degrees - 1,
            )
            if out:
                gated = self.build.stage("add", f"{label}.sum", {"a": out, "b": gated})
            out = gated
        return out

    def _contraction(
        self, name: str, x: str, features: Segments, reached: Sequence[str], outputs: Segments
    ) -> str:
        """Powers of the features, of which only the blocks that were reached are not zero."""
        terms: list[dict[str, Any]] = []
        irreps = {}
        source = [segment[1:] for segment in features]
        tables = self.couplings(source, outputs[-1][1])
        is_reached = [block_of(*irrep) in reached for irrep in source]
        kept = np.repeat(is_reached, [2 * degree + 1 for degree, _ in source])
        places = component_places([s for s, here in zip(features, is_reached, strict=True) if here])
        for _, degree, parity in outputs:
            block = block_of(degree, parity)
            irreps[block] = self.n_channels
            found = [power[degree] for power in tables if degree in power]
            weights = self._power_weights(name, degree, [table.shape[-1] for table in found])
            for table, own in zip(found, weights, strict=True):
                for axis in range(1, table.ndim - 1):
                    table = np.compress(kept, table, axis)
                indices, values = coupling_entries(table, degree)
                indices[:, 2:] = places[indices[:, 2:]]
                if len(values):  # antisymmetric: nothing is left of equal features
                    terms.append(
                        {"irrep": block, "indices": indices, "values": values, "weights": own}
                    )
        n_entries = sum(len(term["values"]) for term in terms)
        self.log(f"{name}: {n_entries} products of features in {len(terms)} terms.")
        return self.build.stage(
            "symmetric_contraction",
            f"{name}.contraction",
            {"features": x},
            irreps=irreps,
            terms=terms,
        )

    def couplings(self, features: Sequence[Irrep], l_out: int) -> list[dict[int, FloatArray]]:
        """Couplings of powers, made once for the layers that have the same outputs."""
        if l_out not in self._couplings:
            if self.backend == "e3nn_symmetric":
                found = symmetric_couplings(features, self.correlation, l_out)
            else:
                with_root = self.backend == "e3nn"
                found = power_couplings(features, self.correlation, l_out, with_root=with_root)
            self._couplings[l_out] = found
        return self._couplings[l_out]

    def _power_weights(self, name: str, degree: int, copies: Sequence[int]) -> list[FloatArray]:
        """Weights [species, K, C] of each power that leads to a degree."""
        block = f"{_PREFIX}{name}#expansion_block#symmetric_contraction"
        n, c = len(self.elements), self.n_channels
        if self.backend in ("e3nn", "e3nn_symmetric"):
            irrep = block_of(degree, (-1) ** degree)
            found = [
                self.state.take(f"{block}#w{power}_{irrep}", n, k, c)
                for power, k in enumerate(copies, start=1)
            ]
        else:
            key = f"{block}#LinearIndexwise_0#weight{degree}_{degree}_{(-1) ** degree}"
            joined = self.state.take(key, n, c, 1, sum(copies))[:, :, 0].swapaxes(1, 2)
            found = np.split(joined, np.cumsum(copies)[:-1], axis=1)
        return [part.astype(np.float64)[self.rows] for part in found]

    def _readout(self, k: int, x: str) -> str:
        is_last = k == self.n_layers - 1
        n_heads = self.config.whole("num_readout_heads", 1, 1 << 10)
        scalars, hidden, one = self.features(0), [(self.n_hidden, 0, 1)], [(1, 0, 1)]
        out = ""
        for head in range(n_heads):
            key = f"layers_{k}#readout_block#ReadoutBlock_{head}"
            # Every head's weights are taken: those of others are no part that was overlooked.
            if not is_last:
                layers = [layer(self.linear(f"{key}#Linear_0", scalars, one)["0e"])]
            else:
                function = self.config.function("activation")
                first = self.linear(f"{key}#Linear_0", scalars, hidden)["0e"]
                last = self.linear(f"{key}#Linear_1", hidden, one)["0e"]
                constant = NORMALIZED.get(function, 1.0)
                layers = [layer(first, activation=function), layer(last * constant)]
            if head == self.head:
                out = self.build.stage(
                    "readout", f"layers_{k}.readout", {"features": x}, layers=layers
                )
        return out


class _Nequip(_Exporter):
    family = "nequip"
    scales_basis = False

    def site_energies(self) -> list[str]:
        """Append the network's stages and return the one site energy."""
        target = self.config.target_irreps()
        inputs: Segments = [segment for segment in target if segment[1:] == (0, 1)]
        x: str | FloatArray = self.embedding(
            "NequipEmbeddingBlock_0#NodeEmbeddingBlock_0", inputs[0][0]
        )
        envelope = {"kind": "polynomial", "p": ENVELOPE_POWER, "on": "basis"}
        factors: dict[str, float] = {}
        for k in range(self.n_layers):
            spec = self._layer(f"NequipLayer_{k}", inputs, factors, target)
            inputs, factors = spec.gate.outputs, spec.gate.factors
            if k == self.n_layers - 1:
                spec = e3nn.scalars_alone(spec)
            x = e3nn.add_convnet_layer(self.build, f"layer{k}", x, spec, self.basis, envelope)
        return [self._readout(str(x), inputs, factors)]

    def _layer(
        self, name: str, inputs: Segments, factors: Mapping[str, float], target: Segments
    ) -> e3nn.ConvnetLayer:
        reached = {
            (degree, p1 * p2)
            for _, l1, p1 in inputs
            for _, l2, p2 in self.harmonics
            for degree in range(abs(l1 - l2), l1 + l2 + 1)
        }
        outputs = [segment for segment in target if segment[1:] in reached]
        functions = self.config.gate_functions()
        scalars = [segment for segment in outputs if segment[1] == 0]
        gated = [segment for segment in outputs if segment[1] > 0]
        gate = e3nn.gate(scalars, gated, functions, functions, NORMALIZED)
        paths, mid = e3nn.instructions(inputs, self.harmonics, outputs, sorted_weights=True)
        convolved = e3nn.convolution(paths, inputs, self.harmonics, mid, negated=True)
        # Features are split into so many parts, which stand innermost in upstream's arrays.
        n_parts = math.gcd(*(mul for mul, _, _ in inputs))
        places = _places(mid, n_parts)
        block = f"{name}#convolution_block"
        radial = self.radial_layers(f"{block}#radial_mlp", convolved.factors.size, scaled=False)
        # In the order of the file's paths, as the factors are.
        convolved = replace(convolved, rows=_weight_rows(mid, n_parts))
        mixing = self.linear(f"{block}#linear_out", mid, gate.inputs)
        average = self.config.average()
        mixing = {key: weight[:, places[key]] / average for key, weight in mixing.items()}
        skip: Weights = {}
        residual = self.config.flag("use_residual_connection")
        if residual:
            skip = self.linear(f"{name}#residual_block", inputs, gate.inputs, len(self.elements))
            skip = {key: weight[self.rows] for key, weight in skip.items()}
        return e3nn.ConvnetLayer(
            source=e3nn.scale_inputs(self.linear(f"{block}#linear_in", inputs, inputs), factors),
            radial=radial,
            convolution=convolved,
            mixing=mixing,
            skip=e3nn.scale_inputs(skip, factors),
            gate=gate,
        )

    def _readout(self, x: str, inputs: Segments, factors: Mapping[str, float]) -> str:
        n = e3nn.channels(inputs)["0e"]
        hidden: Segments = [(n // 2, 0, 1)]
        out = ""
        for head in range(self.config.whole("num_readout_heads", 1, 1 << 10)):
            key = (
                f"NequipMultiHeadReadoutBlock_0#MultiHeadReadoutBlock_0#ReadoutBlock_{head}#Linear_"
            )
            for number, (_, degree, parity) in enumerate(inputs[1:], start=1):
                empty = f"{_PREFIX}{key}0#weight{number}_{degree}_{parity}"
                if empty in self.state:  # of features that are no scalars there is nothing
                    self.state.take(empty, 0, None)
            first = self.linear(f"{key}0", inputs, hidden)["0e"]
            last = self.linear(f"{key}1", hidden, [(1, 0, 1)])["0e"]
            if head == self.head:
                weight = last @ first * factors["0e"]
                out = self.build.stage(
                    "readout", "site_energy", {"features": x}, layers=[layer(weight)]
                )
        return out


def _weight_rows(outputs: Segments, n_parts: int) -> np.ndarray:
    """Where the weights of the file's paths stand among upstream's.

    Upstream sorts the paths in its own order of irreps, and has the parts of each of a path's
    copies next to each other; the file has the copies of each part so.
    """
    begins, begin = {}, 0
    for k in sorted(range(len(outputs)), key=lambda k: upstream_order(outputs[k][1:])):
        begins[k] = begin
        begin += outputs[k][0]
    rows = []
    for k, (mul, _, _) in enumerate(outputs):
        part, copy = np.divmod(np.arange(mul), mul // n_parts)
        rows.append(begins[k] + copy * n_parts + part)
    return np.concatenate(rows)


def _places(outputs: Segments, n_parts: int) -> dict[str, np.ndarray]:
    """Where the file's channels of each block stand among upstream's: all paths of a part first."""
    sizes = e3nn.channels(outputs)
    before: dict[str, int] = {}
    out: dict[str, list[np.ndarray]] = {}
    for mul, degree, parity in outputs:
        block = block_of(degree, parity)
        part, copy = np.divmod(np.arange(mul), mul // n_parts)
        place = part * (sizes[block] // n_parts) + before.get(block, 0) + copy
        out.setdefault(block, []).append(place)
        before[block] = before.get(block, 0) + mul // n_parts
    return {block: np.concatenate(parts) for block, parts in out.items()}


def _from_options(options: Namespace, log: Log) -> Model:
    path: Path = options.checkpoint
    said, tensors = read_mlip(path)
    version = str(said.get("version", "before 0.2"))
    return export_mlip(
        said,
        tensors,
        provenance=provenance_of(options, upstream=f"mlip {version:.20}"),
        species=options.species,
        head=options.head,
        name=str(path),
        log=log,
    )


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--head", type=told, help="which of several readout heads: a data set's name or number"
    )


UPSTREAM = Upstream(
    name="mlip",
    title="InstaDeep's mlip (MACE, NequIP)",
    add_options=_add_options,
    export=_from_options,
    verifier=verify.MLIP,
)
