# SPDX-License-Identifier: BSD-3-Clause
"""Exporter for SevenNet (sevenn), with one of several fidelities where a checkpoint has them.

Read in sevenn 0.13.0 with e3nn 0.5.6 and MDIL-SNU/SevenNet at
b3d99aa7bb4bbc112fdcc49272b5ddaaed83867b. Checkpoints (``.pth``) are read without torch; a
state_dict as ``.npz`` or ``.safetensors`` needs the configuration beside it. See
docs/spec/nequip.md.
"""

from __future__ import annotations

import math
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from eqnn.builder import ModelBuilder, layer
from eqnn.errors import ChoiceNeededError, EqnnError, shortened
from eqnn.export import e3nn, foreign, known, verify
from eqnn.export.checkpoint import State, plain_names, read_checkpoint, read_npz
from eqnn.export.e3nn import Segments, Weights
from eqnn.export.torch_file import read_torch_file
from eqnn.export.upstream import (
    Log,
    Upstream,
    kept_species,
    needs_no_config,
    provenance_of,
    read_json_object,
    typed,
)
from eqnn.model_file import Array, Model
from eqnn.options import told
from eqnn.so3 import FloatArray

UNKNOWN_KEY = "unknown key; it may change the network"
IGNORED = (
    *(r"\.output_mask$", r"_w3j_", r"_equivariant_gate\."),
    # Constants of cuEquivariance's products; those of e3nn's convolution, which takes its weights.
    *(r"\.f\.tp\.", r"_convolution\.convolution\."),
)
SORTED_SINCE = (0, 11, 0)
# Names before 2404, as upstream still maps them.
_OLD_NAMES = {
    "EdgeEmbedding": "edge_embedding",
    "reducing nn input to hidden": "reduce_input_to_hidden",
    "reducing nn hidden to energy": "reduce_hidden_to_energy",
    "rescale atomic energy": "rescale_atomic_energy",
}
# Keys of upstream's configuration that say what the network is: each is used below or seen in the
# weights.
MODEL_KEYS = (
    *("_model_type", "interaction_type", "_normalize_sph", "act_radial", "act_scalar", "act_gate"),
    *("cutoff", "num_convolution_layer", "lmax", "lmax_edge", "lmax_node", "is_parity", "channel"),
    *("irreps_manual", "radial_basis", "cutoff_function", "version", "_type_map"),
    *("use_modality", "_modal_map", "use_modal_node_embedding", "use_modal_self_inter_intro"),
    *("use_modal_self_inter_outro", "use_modal_output_block", "readout_fcn_activation"),
    *("readout_as_fcn", "weight_nn_hidden_neurons", "self_connection_type"),
    *("use_bias_in_linear", "optimize_by_reduce", "cuequivariance_config"),
)
# Those of training, data and devices, and those whose values lie in the weights or beside them.
OTHER_KEYS = (
    *("_chemical_species_by_atomic_number", "_is_trace_stress", "_num_workers", "shift", "scale"),
    *("_number_of_modalities", "_number_of_species", "avg_num_neigh", "batch_size", "best_metric"),
    *("chemical_species", "compute_statistics", "conv_denominator", "continue", "csv_log"),
    *("data_divide_ratio", "data_format", "data_format_args", "data_shuffle", "dataset_type"),
    *("ddp_backend", "default_modal", "device", "dtype", "epoch", "error_record", "ewc_lambda"),
    *("fisher_information", "force_loss_weight", "format_outputs_for_ase", "is_ddp", "rank"),
    *("is_train_stress", "load_dataset_path", "load_memory_path", "load_testset_path"),
    *("load_trainset_path", "load_validset_path", "local_rank", "loss", "loss_param"),
    *("mem_batch_size", "mem_ratio", "modal_list", "num_workers", "opt_params", "optim_param"),
    *("optimizer", "per_epoch", "preprocess_num_cores", "random_seed", "rehearsal", "when"),
    *("readout_fcn_hidden_neurons", "save_by_label", "save_by_train_valid", "save_dataset_path"),
    *("scheduler", "scheduler_param", "stress_loss_weight", "structure_list", "train_denominator"),
    *("train_avg_num_neigh", "train_shift_scale", "train_shuffle", "use_flash_tp", "use_oeq"),
    *("use_modal_wise_scale", "use_modal_wise_shift", "use_species_wise_shift_scale"),
    *("use_testset", "use_weight", "world_size", "_flash_lammps", "data_weight", "data_modality"),
    # Of our own.
    "provenance",
)
# Upstream's words for functions, those of the file.
ACTIVATIONS = {"silu": "silu", "tanh": "tanh", "ssp": "shifted_softplus"}
BASIS_KEYS = ("radial_basis_name", "bessel_basis_num", "trainable_coeff")
CUTOFF_KEYS = ("cutoff_function_name", "poly_cut_p_value", "cutoff_on")
# Accelerators: weights lie as e3nn's, as sevenn's own conversion takes them. Their checkpoints have
# no tables, and sevenn, since it has them, needs an e3nn with today's signs.
_ACCELERATORS = ("use_flash_tp", "use_oeq")


class SevenNetConfig:
    """What a checkpoint's ``config`` says of the network.

    Parameters
    ----------
    config : mapping
        Upstream's configuration; keys of training and data are of no account.
    name : str
        Where it stands, for messages.
    """

    def __init__(self, config: Mapping[str, Any], name: str) -> None:
        self.config = config
        self.name = name
        self._known_keys()
        kind = config.get("_model_type", "E3_equivariant_model")
        self._must("interaction_type", "nequip", config.get("interaction_type", "nequip"))
        self._must("_model_type", "E3_equivariant_model", kind)
        # A missing key means an old checkpoint, whose harmonics grow with the distance.
        self.normalized = typed(config, "_normalize_sph", bool, "true or false", name, False)
        self.radial_activation = self.function("act_radial", "silu")
        self.cutoff = float(typed(config, "cutoff", int | float, "a length", name))
        self.n_layers = typed(config, "num_convolution_layer", int, "a number of layers", name)
        l_max = typed(config, "lmax", int, "a degree", name)
        edge, node = (config.get(key, -1) for key in ("lmax_edge", "lmax_node"))
        self.l_max_edge = edge if edge > 0 else l_max
        self.l_max_node = node if node > 0 else l_max
        self.is_parity = typed(config, "is_parity", bool, "true or false", name)
        self.channels = typed(config, "channel", int, "a number of channels", name)
        self.scalar_activations = self._activations("act_scalar")
        self.gate_activations = self._activations("act_gate")
        self.elements = self._elements()
        self.sorted_weights = self._sorted_weights()
        cueq = config.get("cuequivariance_config")
        self.is_accelerated = any(config.get(key) for key in _ACCELERATORS) or bool(
            isinstance(cueq, Mapping) and cueq.get("use")
        )
        self.modalities: dict[str, int] = {}
        if config.get("use_modality"):
            modalities = typed(config, "_modal_map", dict, "an object of indices", name)
            self.modalities = {str(key): int(k) for key, k in modalities.items()}
        given = config.get("irreps_manual") or []
        if not isinstance(given, list | tuple) or (given and len(given) != self.n_layers + 1):
            raise EqnnError(
                f"{name}/irreps_manual: found {shortened(str(given), 60)}, "
                "expected irreps of the input and of "
                f"each of {self.n_layers} layers. Correct the configuration."
            )
        self.manual = [e3nn.segments(text, f"{name}/irreps_manual") for text in given]
        for text, irreps in zip(given, self.manual, strict=True):
            degrees = [degree for _, degree, _ in irreps]
            if 0 in degrees[degrees.count(0) :]:
                raise EqnnError(
                    f"{name}/irreps_manual: found {shortened(str(text), 60)}, "
                    "expected scalars first, as e3nn's "
                    "gate returns them: of others sevenn itself\nmakes energies that depend on "
                    "orientation. Train with scalars first; this cannot be exported."
                )

    def _known_keys(self) -> None:
        """Refuse keys that may change the network, all at once."""
        found = []
        for key, value in self.config.items():
            plain = str(key).removesuffix("_cp")  # of the checkpoint that training started from
            if key not in MODEL_KEYS and plain not in (*MODEL_KEYS, *OTHER_KEYS):
                found.append((UNKNOWN_KEY, str(key)))
            allowed = {"radial_basis": BASIS_KEYS, "cutoff_function": CUTOFF_KEYS}.get(key)
            if allowed and isinstance(value, Mapping):
                found += [(UNKNOWN_KEY, f"{key}/{k}") for k in value if k not in allowed]
        known.refuse(found, self.name, "This checkpoint is of a version that has no exporter.")

    def _sorted_weights(self) -> bool:
        """Whether a convolution's weights are sorted, which the version alone tells."""
        said = str(self.config.get("version"))
        found = re.match(r"(\d+)\.(\d+)\.(\d+)", said)
        if found is None:
            raise EqnnError(
                f"{self.name}: version is {shortened(said, 40)}, "
                "expected sevenn's as in 0.11.0: it "
                "determines the order of the convolutions' weights. Add the version that made "
                "the checkpoint."
            )
        numbers = tuple(int(number) for number in found.groups())
        # Of the versions before a release, 0.11.0.dev0 alone did not sort yet.
        is_first = numbers == SORTED_SINCE and said[found.end() :] == ".dev0"
        return numbers >= SORTED_SINCE and not is_first

    def _must(self, key: str, wanted: Any, found: Any) -> None:
        if found != wanted:
            raise EqnnError(
                f"{self.name}: {key} is {found}, expected {wanted}: nothing else has stages. "
                "This checkpoint cannot be exported."
            )

    def _activations(self, key: str) -> dict[str, str]:
        found = typed(self.config, key, dict, "an object", self.name, {"e": "silu", "o": "tanh"})
        for parity, name in found.items():
            if name not in ACTIVATIONS or (parity == "o" and name != "tanh"):
                raise EqnnError(
                    f"{self.name}: {key} of parity {parity} is {name}, expected "
                    f"{', '.join(ACTIVATIONS)} (odd: tanh). Other activations have no stage."
                )
        return {parity: ACTIVATIONS[name] for parity, name in found.items()}

    def function(self, key: str, default: str) -> str:
        """Return a stage's word for the function of a network's hidden layers."""
        found = self.config.get(key, default)
        if found not in ACTIVATIONS:
            raise EqnnError(
                f"{self.name}: {key} is {found}, expected {', '.join(ACTIVATIONS)}. "
                "Other activations have no stage."
            )
        return ACTIVATIONS[found]

    def _elements(self) -> list[int]:
        """Atomic numbers in the order of the one-hot vectors."""
        table = typed(self.config, "_type_map", dict, "an object of atomic numbers", self.name)
        place = {int(k): int(z) for z, k in table.items()}
        if sorted(place) != list(range(len(place))) or len(place) != len(table):
            raise EqnnError(
                f"{self.name}/_type_map: indices are not 0 to {len(table) - 1}, each once. "
                "The checkpoint is damaged: get it again."
            )
        return [place[k] for k in range(len(place))]

    @property
    def harmonics(self) -> Segments:
        """Irreps of the harmonics."""
        sign = -1 if self.is_parity else 1
        return [(1, degree, sign**degree) for degree in range(self.l_max_edge + 1)]

    def outputs(self, inputs: Segments, t: int) -> Segments:
        """Irreps after layer t."""
        if self.manual:
            return self.manual[t + 1]
        is_last = t == self.n_layers - 1
        highest = 0 if is_last else self.l_max_node
        return [
            (self.channels, degree, p)
            for _, degree, p in self._product(inputs)
            if degree <= highest and (p == 1 or not is_last)
        ]

    def _product(self, inputs: Segments) -> Segments:
        """Irreps of all products of features and harmonics, sorted and joined."""
        found = {
            (l3, p1 * p2)
            for _, l1, p1 in inputs
            for _, l2, p2 in self.harmonics
            for l3 in range(abs(l1 - l2), l1 + l2 + 1)
        }
        return [(1, *ir) for ir in sorted(found)]

    def targets(self, inputs: Segments, outputs: Segments, t: int) -> Segments:
        """Irreps that layer t's convolution makes."""
        highest = max(degree for _, degree, _ in outputs)
        is_last = t == self.n_layers - 1
        return [
            (mul, degree, p)
            for mul, degree, p in self._product(inputs)
            if degree <= highest and (p == 1 or not is_last)
        ]


class _Exporter:
    def __init__(
        self,
        tensors: Mapping[str, Array],
        config: SevenNetConfig,
        modality: str | None,
        name: str,
        log: Log,
    ) -> None:
        renamed = {_new_name(key): value for key, value in plain_names(tensors, name).items()}
        self.state = State(renamed, name, IGNORED)
        self.all = renamed
        self.config = config
        self.log = log
        self.modality = self._modality(modality)

    def _modality(self, chosen: str | None) -> int | None:
        known = self.config.modalities
        names = ", ".join(known)
        if chosen is not None and chosen not in known:
            raise EqnnError(
                f"--modality {chosen}: {self.state.name} has {names or 'none'}. "
                + ("Choose one of them." if known else "Leave the option out.")
            )
        if chosen is None and known:
            raise ChoiceNeededError(
                f"{self.state.name}: has {len(known)} modalities: {names}. "
                "Choose one with --modality.",
                "--modality",
                list(known),
            )
        if chosen is not None:
            self.log(f"Modality {chosen} of {names}.")
        return None if chosen is None else known[chosen]

    def export(self, species: Sequence[int] | None, provenance: Mapping[str, Any]) -> Model:
        state, config = self.state, self.config
        # Of a table of all rows, "univ" among them, some are of no element.
        real = [z for z in config.elements if 0 < z < len(chemical_symbols)]
        kept = kept_species(real, species, state.name)
        self.rows = [config.elements.index(z) for z in kept]
        self.build = ModelBuilder(
            family="sevennet", species=kept, cutoff=config.cutoff, l_max=config.l_max_edge
        )
        self.build.stage("spherical_harmonics", "harmonics", l_max=config.l_max_edge)
        frequency = self._frequencies()
        self.basis = {
            "kind": "bessel",
            "frequency": self.build.tensor("radial_basis/frequency", frequency.astype(float)),
            "amplitude": self.build.tensor(
                "radial_basis/amplitude", np.full(frequency.size, 2.0 / config.cutoff)
            ),
        }
        self.envelope = self._envelope()

        inputs = config.manual[0] if config.manual else [(config.channels, 0, 1)]
        one_hot = [(len(config.elements), 0, 1)]
        weights, bias = self._linear(
            "onehot_to_feature_x", one_hot, inputs, "use_modal_node_embedding"
        )
        table = weights["0e"].T[self.rows]
        x: str | FloatArray = table if bias is None else table + bias
        factors: dict[str, float] = {}
        for t in range(config.n_layers):
            spec = self._layer(t, inputs, factors)
            x = e3nn.add_convnet_layer(self.build, f"layer{t}", x, spec, self.basis, self.envelope)
            inputs, factors = spec.gate.outputs, spec.gate.factors
        assert isinstance(x, str)
        self._readout(x, inputs, factors)
        self.build.stage("energy", "energy", {"terms": ["site_energy"]})
        said = self._energy()
        state.finish()
        model = self.build.finish(
            energy=said,
            forces="gradient",
            parity="o3" if config.is_parity else "so3",
            provenance=provenance,
            name=state.name,
        )
        self.log(f"Equivariance defect {model.document['equivariance']['defect']:.3e}.")
        return model

    def _frequencies(self) -> Array:
        """Frequencies of the Bessel functions; upstream leaves them out where it trains none."""
        key = "edge_embedding.basis_function.coeffs"
        said = self.config.config.get("radial_basis")
        said = said if isinstance(said, Mapping) else {}
        name = said.get("radial_basis_name", "bessel")
        if name != "bessel":
            raise EqnnError(
                f"{self.config.name}/radial_basis: found {name}, expected bessel. "
                "Others have no stage."
            )
        count = said.get("bessel_basis_num", 8)
        if key in self.state:
            frequency = self.state.take(key, None)
            if "bessel_basis_num" in said and frequency.size != count:
                self.state.take(key, count)
            return frequency
        if said.get("trainable_coeff") is not False or not isinstance(count, int):
            return self.state.take(key, None)
        # Upstream's numbers are of single precision, whatever the network's.
        numbers = np.arange(1, count + 1) * math.pi / self.config.cutoff
        return np.asarray(numbers.astype(np.float32))

    def _envelope(self) -> dict[str, Any]:
        where = f"{self.config.name}/cutoff_function"
        said = typed(self.config.config, "cutoff_function", dict, "an object", self.config.name)
        kind = said.get("cutoff_function_name")
        if kind == "poly_cut":
            p = typed(said, "poly_cut_p_value", int | float, "a number", where, 6)
            return {"kind": "polynomial", "p": float(p), "on": "basis"}
        if kind == "XPLOR":
            start = typed(said, "cutoff_on", int | float, "a length", where)
            return {"kind": "xplor", "start": float(start), "on": "basis"}
        raise EqnnError(f"{where}: found {kind}, expected poly_cut or XPLOR. Others have no stage.")

    def _linear(
        self, name: str, inputs: Segments, outputs: Segments, modal_key: str = ""
    ) -> tuple[Weights, FloatArray | None]:
        """Weights of an IrrepsLinear, and its bias: its own, and that of the chosen modality."""
        is_modal = self.modality is not None and bool(self.config.config.get(modal_key))
        given = [*inputs, (len(self.config.modalities), 0, 1)] if is_modal else inputs
        weight = self.state.take(f"{name}.linear.weight").reshape(-1)
        weights = e3nn.linear(weight, given, outputs, name)
        bias = None
        if is_modal and "0e" in weights:
            n = e3nn.channels(inputs).get("0e", 0)
            assert self.modality is not None
            bias = weights["0e"][:, n + self.modality]
            weights["0e"] = weights["0e"][:, :n]
            if not n:
                del weights["0e"]
        if f"{name}.linear.bias" in self.state:
            own = self.state.take(f"{name}.linear.bias", e3nn.channels(outputs).get("0e", 0))
            bias = own.astype(float) + (0.0 if bias is None else bias)
        return weights, bias

    def _layer(self, t: int, inputs: Segments, factors: Mapping[str, float]) -> e3nn.ConvnetLayer:
        config, state = self.config, self.state
        outputs = config.outputs(inputs, t)
        gate = e3nn.gate(
            [s for s in outputs if s[1] == 0],
            [s for s in outputs if s[1] > 0],
            config.scalar_activations,
            config.gate_activations,
        )
        source, source_bias = self._linear(
            f"{t}_self_interaction_1", inputs, inputs, "use_modal_self_inter_intro"
        )
        paths, mid = e3nn.instructions(
            inputs,
            config.harmonics,
            config.targets(inputs, outputs, t),
            sorted_weights=config.sorted_weights,
        )
        convolved = e3nn.convolution(paths, inputs, config.harmonics, mid, negated=False)
        name = f"{t}_convolution"
        weights = state.layers(f"{name}.weight_nn")
        stated = config.config.get("weight_nn_hidden_neurons")
        widths = [weight.shape[-1] for weight in weights[:-1]]
        if stated is not None and list(stated) != widths:
            raise EqnnError(
                f"{state.name}: {name}.weight_nn: hidden layers of {widths}, but the configuration "
                f"says {stated}. Give the configuration that the network was trained with."
            )
        if weights[-1].shape[-1] != convolved.factors.size:
            raise EqnnError(
                f"{state.name}: {name}.weight_nn: {weights[-1].shape[-1]} outputs, expected "
                f"{convolved.factors.size} of the convolution's paths.\n"
                "Give the configuration that the network was trained with."
            )
        convolved = e3nn.with_stored_signs(
            convolved,
            self.all,
            f"{name}.convolution",
            self.state.name,
            self.log,
            is_old=False if config.is_accelerated else None,
        )
        mixing, mixing_bias = self._linear(
            f"{t}_self_interaction_2", e3nn.merged(mid), gate.inputs, "use_modal_self_inter_outro"
        )
        mixing = e3nn.scaled(mixing, 1.0 / state.number(f"{name}.denominator"))
        skip = self._skip(t, inputs, gate)
        lost = [block for block in e3nn.channels(gate.inputs) if block not in {**mixing, **skip}]
        if lost:
            raise EqnnError(
                f"{state.name}: layer {t} makes {e3nn.written(outputs)}, but nothing leads to "
                f"{', '.join(lost)}: it stays zero, which has no stage.\nOnly networks all of "
                "whose features are reached can be exported."
            )
        return e3nn.ConvnetLayer(
            source=e3nn.scale_inputs(source, factors),
            source_bias=source_bias,
            radial=e3nn.network(weights, name, config.radial_activation),
            convolution=convolved,
            mixing=mixing,
            mixing_bias=mixing_bias,
            skip=e3nn.scale_inputs(skip, factors),
            gate=gate,
            grows=not config.normalized,
        )

    def _skip(self, t: int, inputs: Segments, gate: e3nn.Gate) -> Weights:
        name = f"{t}_self_connection_intro"
        if f"{name}.fc_tensor_product.weight" in self.state:
            weight = self.state.take(f"{name}.fc_tensor_product.weight").reshape(-1)
            n = len(self.config.elements)
            weights = e3nn.species_linear(weight, inputs, n, gate.inputs, name)
            return {block: tensor[self.rows] for block, tensor in weights.items()}
        return self._linear(name, inputs, gate.inputs)[0]

    def _readout(self, x: str, inputs: Segments, factors: Mapping[str, float]) -> None:
        if "readout_FCN.fcn.layer0.weight" in self.state:
            activation = self.config.function("readout_fcn_activation", "relu")
            weights = self.state.layers("readout_FCN.fcn")
            layers = e3nn.network(weights, "readout_FCN", activation)
            layers[0]["weight"] = layers[0]["weight"] * factors["0e"]
        else:
            n_hidden = sum(mul * (2 * degree + 1) for mul, degree, _ in inputs) // 2
            hidden = [(n_hidden, 0, 1)]
            first, bias = self._linear(
                "reduce_input_to_hidden", inputs, hidden, "use_modal_output_block"
            )
            first = e3nn.scale_inputs(first, factors)
            last, last_bias = self._linear("reduce_hidden_to_energy", hidden, [(1, 0, 1)])
            # Nothing stands between both: they are one.
            total = None if bias is None else last["0e"] @ bias
            if last_bias is not None:
                total = last_bias + (0.0 if total is None else total)
            layers = [layer(last["0e"] @ first["0e"], total)]
        self.build.stage("readout", "site_energy", {"features": x}, layers=layers)

    def _energy(self) -> dict[str, Any]:
        n = len(self.config.elements)
        scale, shift = (
            self._per_species(f"rescale_atomic_energy.{key}", n) for key in ("scale", "shift")
        )
        is_same = bool((scale == scale[0]).all())
        return {
            "semantics": "extensive",
            "scale": float(scale[0]) if is_same else [float(s) for s in scale],
            "shift": 0.0,
            "reference": [float(s) for s in shift],
            "isolated_atoms": "network",
        }

    def _per_species(self, key: str, n: int) -> FloatArray:
        values = self.state.take(key).astype(float)
        if values.ndim == 2:  # of each modality
            if self.modality is None:
                self.state.take(key, n)
            values = values[self.modality]
        if values.size == 1:
            values = np.full(n, values.reshape(-1)[0])
        if values.size != n:
            self.state.take(key, n)
        return np.asarray(values.reshape(-1)[self.rows])


def _new_name(key: str) -> str:
    first, *rest = key.split(".")
    first = _OLD_NAMES.get(first, first)
    number = first.split(" ", 1)[0]
    if number.isdigit():
        first = first.replace(" ", "_")
    return ".".join([first, *rest]).replace("denumerator", "denominator")


def export_sevennet(
    tensors: Mapping[str, Array],
    config: SevenNetConfig,
    *,
    provenance: Mapping[str, Any],
    species: Sequence[int] | None = None,
    modality: str | None = None,
    name: str = "checkpoint",
    log: Log = print,
) -> Model:
    """Turn upstream's weights into a model, still without self-test.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        Upstream's state_dict.
    config : SevenNetConfig
    provenance : mapping
        For the file's ``provenance``.
    species : sequence of int, optional
        Atomic numbers to keep; all of them if left out.
    modality : str, optional
        Needed where the network has several.
    name : str
        What messages call the checkpoint.
    log : callable
        Takes lines for people.
    """
    return _Exporter(tensors, config, modality, name, log).export(species, provenance)


def read(options: Namespace) -> tuple[dict[str, Array], SevenNetConfig, Any]:
    """Read a checkpoint, or a state_dict and its configuration; the last is what it states."""
    path: Path = options.checkpoint
    if path.suffix in (".npz", ".safetensors"):
        if options.config is None:
            raise EqnnError(
                f"{path}: a state_dict does not describe the network. "
                "Give its configuration with --config (docs/spec/nequip.md)."
            )
        config = read_json_object(options.config, "the JSON file that belongs to the weights")
        tensors = read_npz(path) if path.suffix == ".npz" else read_checkpoint(path)
        return tensors, SevenNetConfig(config, str(options.config)), config.get("provenance")
    needs_no_config(options)
    found = read_torch_file(path)
    elsewhere = foreign.read_elsewhere(found, "sevennet")
    if elsewhere:
        raise EqnnError(f"{path}: {elsewhere}")
    if not isinstance(found, dict) or not {"config", "model_state_dict"} <= found.keys():
        raise EqnnError(
            f"{path}: holds no config and model_state_dict. Give a checkpoint of sevenn, "
            "or a state_dict as .npz or .safetensors with --config."
        )
    for key in ("config", "model_state_dict"):
        if not isinstance(found[key], Mapping):
            raise EqnnError(
                f"{path}: {key} is a {type(found[key]).__name__}, expected a dictionary. "
                "Give a checkpoint of sevenn."
            )
    tensors = {k: v for k, v in found["model_state_dict"].items() if isinstance(v, np.ndarray)}
    return tensors, SevenNetConfig(found["config"], f"{path}: config"), None


def _from_options(options: Namespace, log: Log) -> Model:
    tensors, config, stated = read(options)
    provenance = provenance_of(
        options, upstream="SevenNet, sevenn", stated=stated, source=config.name
    )
    if options.modality is not None:
        provenance["modality"] = options.modality
    symbols = ", ".join(chemical_symbols[z] for z in sorted(config.elements))
    log(f"{config.n_layers} layers, l_max {config.l_max_edge}; elements {symbols}.")
    return export_sevennet(
        tensors,
        config,
        provenance=provenance,
        species=options.species,
        modality=options.modality,
        name=str(options.checkpoint),
        log=log,
    )


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="JSON",
        help="description of the network, if the checkpoint is a state_dict (docs/spec/nequip.md)",
    )
    parser.add_argument("--modality", type=told, help="the fidelity, if the network has several")


UPSTREAM = Upstream(
    name="sevennet",
    title="SevenNet (sevenn)",
    add_options=_add_options,
    export=_from_options,
    verifier=verify.SEVENNET,
)
