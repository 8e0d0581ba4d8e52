# SPDX-License-Identifier: BSD-3-Clause
"""Exporter for NequIP: models that ``nequip-deploy`` of 0.5 and 0.6 wrote, and later packages.

Read in nequip 0.6.1 with e3nn 0.4.4; packages are the matter of nequip_package.py. The archive is
read without torch: it keeps every module's irreps and paths beside its weights. See
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
from ase import units
from ase.data import atomic_numbers, chemical_symbols

from eqnn.builder import ModelBuilder, layer
from eqnn.errors import ChoiceNeededError, EqnnError
from eqnn.export import e3nn, foreign, known, nequip_package, verify
from eqnn.export.checkpoint import State
from eqnn.export.e3nn import Instruction, Segments, Weights
from eqnn.export.e3nn_known import e3nn_table
from eqnn.export.known import Known, Table
from eqnn.export.torch_file import (
    Stub,
    is_of,
    read_extra_files,
    read_torch_file,
    state_dict,
    submodules,
)
from eqnn.export.upstream import Log, Upstream, kept_species, provenance_of
from eqnn.model_file import Array, Model
from eqnn.so3 import FloatArray

IGNORED = (r"\.output_mask$", r"_w3j_", r"\._empty$")
ENERGY_UNITS = {
    "eV": 1.0,
    "meV": 1e-3,
    "kcal/mol": units.kcal / units.mol,
    "kJ/mol": units.kJ / units.mol,
    "Hartree": units.Hartree,
}
# Upstream's words for functions of scalars and gates, those of the file.
ACTIVATIONS = {"silu": "silu", "tanh": "tanh", "abs": "abs", "ssp": "shifted_softplus"}
# Those of nequip 0.6 where the configuration says nothing; 0.5 has others.
_DEFAULTS = {"e": "silu", "o": "tanh"}
# Modules of the network that has stages, in upstream's order; convolutions stand in between.
_FIRST = ("one_hot", "spharm_edges", "radial_basis", "chemical_embedding")
_LAST = (
    *("conv_to_output_hidden", "output_hidden_to_scalar"),
    *("per_species_rescale", "total_energy_sum"),
)

# Names of fields and what was asked for: seen in the modules themselves.
_FIELDS = (
    *("irreps_in", "irreps_out", "field", "out_field", "num_types", "type_names", "default_dtype"),
    *("model_dtype", "trainable"),
)


# All that modules of these classes may have; known.py says what for. Activations are in no
# attribute of TorchScript: the metadata tell them.
TABLE: Table = {
    **e3nn_table("silu", "tanh", "abs", "shifted_softplus"),
    "nequip.RescaleOutput": Known(
        used=("scale_by", "shift_by", "model"),
        inert=(
            *("has_scale", "has_shift", "rescale_trainable", "scale_trainble", "shift_trainable"),
            *("scale_keys", "shift_keys", "_all_keys", *_FIELDS),
        ),
    ),
    **{
        f"nequip.{name}": Known(used=("func",), inert=("do_forces", "_empty", "sign", *_FIELDS))
        for name in ("StressOutput", "GradientOutput", "ForceOutput")
    },
    "nequip.SequentialGraphNetwork": Known(
        used=(*_FIRST, *_LAST, *(f"layer{k}_convnet" for k in range(100))), inert=_FIELDS
    ),
    "nequip.OneHotAtomEncoding": Known(fixed={"set_features": (True,)}, inert=_FIELDS),
    "nequip.SphericalHarmonicEdgeAttrs": Known(used=("irreps_edge_sh", "sh"), inert=_FIELDS),
    "nequip.RadialBasisEdgeEncoding": Known(used=("basis", "cutoff"), inert=_FIELDS),
    "nequip.BesselBasis": Known(
        used=("bessel_weights", "r_max", "prefactor"), inert=("num_basis", *_FIELDS)
    ),
    "nequip.PolynomialCutoff": Known(used=("p", "_factor")),
    "nequip.AtomwiseLinear": Known(used=("linear",), inert=_FIELDS),
    "nequip.ConvNetLayer": Known(
        used=("conv", "equivariant_nonlin", "resnet"),
        inert=("feature_irreps_hidden", "num_layers", *_FIELDS),
    ),
    "nequip.InteractionBlock": Known(
        used=("linear_1", "linear_2", "fc", "tp", "sc", "use_sc", "avg_num_neighbors"),
        inert=_FIELDS,
    ),
    "nequip.PerSpeciesScaleShift": Known(
        used=("scales", "shifts"),
        inert=(
            *("has_scales", "has_shifts", "scales_trainable", "shifts_trainable", *_FIELDS),
            *("arguments_in_dataset_units", "_use_fma"),
        ),
    ),
    "nequip.AtomwiseReduce": Known(fixed={"constant": (1.0,), "reduce": ("sum",)}, inert=_FIELDS),
}


class NequipModule:
    """A deployed model's parts and what its metadata say.

    Parameters
    ----------
    module : object
        What the archive holds.
    metadata : mapping of str to bytes
        Its extra files.
    name : str
        What messages call it.
    """

    def __init__(self, module: Any, metadata: Mapping[str, bytes], name: str) -> None:
        self.name = name
        self.metadata = {key: value.decode(errors="replace") for key, value in metadata.items()}
        rescale = self._child(module, "model", "RescaleOutput")
        self.rescale = rescale
        inner = self._child(rescale, "model", "StressOutput", "GradientOutput", "ForceOutput")
        self.parts = submodules(self._child(inner, "func", "SequentialGraphNetwork"))
        self.parts = {k: v for k, v in self.parts.items() if not is_of(v, "restore_type_tag")}
        self.layers = [key for key in self.parts if re.fullmatch(r"layer\d+_convnet", key)]
        expected = [*_FIRST, *self.layers, *_LAST]
        found = list(self.parts)
        if found != expected:
            more = [key for key in found if key not in expected]
            less = [key for key in expected if key not in found]
            raise EqnnError(
                f"{name}: the network's modules are not those of NequIP with energies per atom "
                f"(more: {', '.join(more) or 'none'}; missing: {', '.join(less) or 'none'}).\n"
                "Others, pair potentials among them, have no exporter."
            )
        known.refuse(known.faults(rescale, TABLE), name)
        config = self.metadata.get("config", "")
        self.scalar_activations = self._activations(config, "nonlinearity_scalars")
        self.gate_activations = self._activations(config, "nonlinearity_gates")
        self.elements = self._elements()

    def _child(self, module: Any, key: str, *kinds: str) -> Stub:
        child = submodules(module).get(key) if isinstance(module, Stub) else None
        if child is None or not any(is_of(child, kind) for kind in kinds):
            found = "nothing" if child is None else child.class_name.rsplit(".", 1)[-1]
            raise EqnnError(
                f"{self.name}: {key} is {found}, expected {' or '.join(kinds)} of nequip 0.5 or "
                "0.6.\nGive what nequip-deploy of these versions made, or a package of a later "
                "one (.nequip.zip)."
            )
        return child

    def _activations(self, config: str, key: str) -> dict[str, str]:
        version = self.metadata.get("nequip_version", "").strip()
        out = _yaml_words(config, key)
        if out is None and version.startswith("0.6."):
            out = dict(_DEFAULTS)
        if out is None:
            raise EqnnError(
                f"{self.name}: the metadata's config says no {key}, and nequip "
                f"{version or 'of unknown version'} deployed it, expected 0.6, whose defaults are "
                "known.\nSay them in the config.yaml of the training, and deploy again."
            )
        for parity in "eo":
            if out.get(parity) not in (ACTIVATIONS if parity == "e" else {"tanh"}):
                raise EqnnError(
                    f"{self.name}: {key} of parity {parity} is {out.get(parity)}, expected "
                    f"{' or '.join(ACTIVATIONS)} (odd: tanh). Other activations have no stage."
                )
        return {parity: ACTIVATIONS[out[parity]] for parity in "eo"}

    def _elements(self) -> list[int]:
        names = self.metadata.get("type_names", "").split()
        for symbol in names:
            if not atomic_numbers.get(symbol):
                raise EqnnError(
                    f"{self.name}: type_names: {symbol!r} is not a chemical symbol, so that the "
                    "element of this type is not known. Deploy the model with symbols."
                )
        if not names:
            raise EqnnError(
                f"{self.name}: holds no type_names. Deploy the model with nequip-deploy."
            )
        return [atomic_numbers[symbol] for symbol in names]

    def irreps(self, module: Stub, key: str) -> Segments:
        """Irreps of a module."""
        return e3nn.segments(module.__dict__[key], f"{self.name}: {key}")


def _yaml_words(config: str, key: str) -> dict[str, str] | None:
    """Find a mapping of words at the top of a YAML document; None if the key is not there.

    A mapping that two keys share stands at the first of them, with an anchor (``&id001``), and the
    other key names it (``*id001``).
    """
    said = re.search(rf"^{key}:(.*\n?(?: .*\n?)*)", config, re.MULTILINE)
    if not said:
        return None
    value = said[1]
    alias = re.match(r" *\*(\w+)", value)
    if alias:
        shared = re.search(rf"&{alias[1]}\b(.*\n?(?: .*\n?)*)", config)
        value = shared[1] if shared else ""
    return dict(re.findall(r"(\w+): *(\w+)", value))


def _tagged(value: Any) -> Any:
    """Strip the type that TorchScript puts on lists."""
    return value.args[0] if is_of(value, "restore_type_tag") else value


def export_nequip(
    module: NequipModule,
    *,
    energy_unit: str,
    provenance: Mapping[str, Any],
    species: Sequence[int] | None = None,
    log: Log = print,
) -> Model:
    """Turn a deployed model into ours, still without self-test.

    Parameters
    ----------
    module : NequipModule
    energy_unit : str
        Of the data that it was trained on, a key of `ENERGY_UNITS`; lengths are Angstrom.
    provenance : mapping
        For the file's ``provenance``.
    species : sequence of int, optional
        Atomic numbers to keep; all of them if left out.
    log : callable
        Takes lines for people.
    """
    return _Exporter(module, log).export(energy_unit, species, provenance)


class _Exporter:
    def __init__(self, module: NequipModule, log: Log) -> None:
        self.module = module
        self.log = log
        tensors: dict[str, Array] = {}
        for key, part in module.parts.items():
            tensors |= {f"{key}.{name}": value for name, value in state_dict(part).items()}
        rescale = {
            name: value for name, value in state_dict(module.rescale).items() if "." not in name
        }
        self.state = State(tensors | rescale, module.name, IGNORED)

    def export(
        self, energy_unit: str, species: Sequence[int] | None, provenance: Mapping[str, Any]
    ) -> Model:
        module, state, parts = self.module, self.state, self.module.parts
        kept = kept_species(module.elements, species, module.name)
        self.rows = [module.elements.index(z) for z in kept]
        self.harmonics = module.irreps(parts["spharm_edges"], "irreps_edge_sh")
        radial = submodules(parts["radial_basis"])
        basis, cutoff = radial["basis"].__dict__, radial["cutoff"].__dict__
        r_max, l_max = float(basis["r_max"]), max(degree for _, degree, _ in self.harmonics)
        build = ModelBuilder(family="nequip", species=kept, cutoff=r_max, l_max=l_max)
        build.stage("spherical_harmonics", "harmonics", l_max=l_max)
        frequency = state.take("radial_basis.basis.bessel_weights", None).astype(float) / r_max
        amplitude = np.full(frequency.size, float(basis["prefactor"]))
        functions = {
            "kind": "bessel",
            "frequency": build.tensor("radial_basis/frequency", frequency),
            "amplitude": build.tensor("radial_basis/amplitude", amplitude),
        }
        if not math.isclose(float(cutoff.get("_factor", 1.0 / r_max)), 1.0 / r_max, rel_tol=1e-9):
            raise EqnnError(
                f"{module.name}: radial_basis.cutoff ends at {1.0 / float(cutoff['_factor']):g}, "
                f"expected r_max, {r_max:g}. It cannot be exported."
            )
        envelope = {"kind": "polynomial", "p": float(cutoff["p"]), "on": "basis"}

        table, _ = self._linear("chemical_embedding.linear")
        x: str | FloatArray = table["0e"].T[self.rows]
        factors: dict[str, float] = {}
        for key in module.layers:
            spec = self._layer(key, factors)
            if key == module.layers[-1]:
                spec = e3nn.scalars_alone(spec)
            x = e3nn.add_convnet_layer(build, key, x, spec, functions, envelope)
            factors = dict.fromkeys(spec.gate.factors, 1.0) if spec.kept else spec.gate.factors
        first, _ = self._linear("conv_to_output_hidden.linear")
        last, _ = self._linear("output_hidden_to_scalar.linear")
        # Nothing stands between both: they are one.
        weight = last["0e"] @ first["0e"] * factors["0e"]
        build.stage("readout", "site_energy", {"features": x}, layers=[layer(weight)])
        build.stage("energy", "energy", {"terms": ["site_energy"]})
        said = self._energy(energy_unit)
        state.finish()
        even = all(parity == 1 for _, _, parity in self.harmonics)
        model = build.finish(
            energy=said,
            forces="gradient",
            parity="so3" if even and l_max else "o3",
            provenance=provenance,
            name=module.name,
        )
        self.log(f"Equivariance defect {model.document['equivariance']['defect']:.3e}.")
        return model

    def _find(self, path: str) -> Stub:
        first, *rest = path.split(".")
        found = self.module.parts[first]
        for key in rest:
            found = submodules(found)[key]
        return found

    def _linear(self, path: str) -> tuple[Weights, Segments]:
        part = self._find(path)
        inputs, outputs = (self.module.irreps(part, f"irreps_{end}") for end in ("in", "out"))
        weight = self.state.take(f"{path}.weight")
        return e3nn.linear(weight, inputs, outputs, f"{self.module.name}: {path}"), outputs

    def _layer(self, key: str, factors: Mapping[str, float]) -> e3nn.ConvnetLayer:
        module, state = self.module, self.state
        part = self._find(key)
        conv, nonlin = submodules(part)["conv"], submodules(part)["equivariant_nonlin"]
        if is_of(nonlin, "NormActivation"):
            multiplied = submodules(nonlin)["scalar_multiplier"]
            gate = e3nn.norm_activation(
                module.irreps(multiplied, "irreps_in2"), module.scalar_activations["e"]
            )
        else:
            gate = e3nn.gate(
                module.irreps(nonlin, "irreps_scalars"),
                module.irreps(nonlin, "irreps_gated"),
                module.scalar_activations,
                module.gate_activations,
            )
        source, inputs = self._linear(f"{key}.conv.linear_1")
        product = submodules(conv)["tp"]
        paths = [Instruction(*path[:3]) for path in _tagged(product.__dict__["instructions"])]
        outputs = module.irreps(product, "irreps_out")
        convolved = e3nn.convolution(paths, inputs, self.harmonics, outputs, negated=False)
        convolved = e3nn.with_stored_signs(
            convolved, state.everything, f"{key}.conv.tp", module.name, self.log
        )
        mixing, into = self._linear(f"{key}.conv.linear_2")
        if into != gate.inputs:
            raise EqnnError(
                f"{module.name}: {key}: the gate takes {e3nn.written(gate.inputs)}, but linear_2 "
                f"makes {e3nn.written(into)}.\nThis version of e3nn sorts irreps differently; "
                "deploy the model with e3nn 0.4 or 0.5."
            )
        average = conv.__dict__.get("avg_num_neighbors")
        skip: Weights = {}
        if conv.__dict__.get("use_sc"):
            around = self._find(f"{key}.conv.sc")
            before = module.irreps(around, "irreps_in1")
            weight = state.take(f"{key}.conv.sc.weight")
            skip = e3nn.species_linear(
                weight, before, len(module.elements), into, f"{module.name}: {key}.conv.sc"
            )
            skip = {block: tensor[self.rows] for block, tensor in skip.items()}
        kept: dict[str, float] = {}
        if part.__dict__.get("resnet"):
            kept = e3nn.kept_around(factors, inputs, gate, f"{module.name}: {key}.resnet")
        activation = module.scalar_activations["e"]
        if activation not in ("silu", "shifted_softplus"):
            raise EqnnError(
                f"{module.name}: radial networks use {activation}, expected silu or ssp. "
                "Upstream has no others."
            )
        return e3nn.ConvnetLayer(
            source=e3nn.scale_inputs(source, factors),
            radial=e3nn.network(state.layers(f"{key}.conv.fc"), f"{key}.conv.fc", activation),
            convolution=convolved,
            mixing=e3nn.scaled(mixing, 1.0 / math.sqrt(average) if average else 1.0),
            skip=e3nn.scale_inputs(skip, factors),
            gate=gate,
            kept=kept,
        )

    def _energy(self, energy_unit: str) -> dict[str, Any]:
        """Energies of the document: (scale_by (s x + shift) + ..) in the data's unit, then eV."""
        state, n = self.state, len(self.module.elements)
        unit = ENERGY_UNITS[energy_unit]
        total = state.number("scale_by") if "scale_by" in state else 1.0
        if "shift_by" in state and state.take("shift_by").any():
            raise EqnnError(
                f"{self.module.name}: shift_by shifts the energy of a whole structure, whatever "
                "its size. Such energies are not extensive and cannot be exported."
            )

        def per_species(key: str, default: float) -> FloatArray:
            name = f"per_species_rescale.{key}"
            values = state.take(name).astype(float) if name in state else np.array(default)
            return np.asarray(np.broadcast_to(values.reshape(-1), (n,))[self.rows])

        scales, shifts = per_species("scales", 1.0) * total * unit, per_species("shifts", 0.0)
        if energy_unit != "eV":
            self.log(
                f"Energies from {energy_unit} to eV: times {unit:.15g} "
                f"(scale {total * unit:g} eV, lengths stay Angstrom)."
            )
        is_same = bool((scales == scales[0]).all())
        return {
            "semantics": "extensive",
            "scale": float(scales[0]) if is_same else [float(s) for s in scales],
            "shift": 0.0,
            "reference": [float(s) for s in shifts * total * unit],
            "isolated_atoms": "network",
        }


def read(path: Path) -> NequipModule:
    """Read a deployed model."""
    if path.suffix == ".pt2":
        raise EqnnError(
            f"{path}: compiled models of nequip 0.7 and later hold machine code, no network.\n"
            "Give the package from which it was compiled (.nequip.zip)."
        )
    module = read_torch_file(path)
    if path.suffix == ".ckpt" or (
        isinstance(module, Mapping) and "pytorch-lightning_version" in module
    ):
        raise EqnnError(
            f"{path}: is a training checkpoint, which does not contain the whole network. Package "
            f"it with nequip:\nnequip-package build {path.name} {path.stem}.nequip.zip"
        )
    elsewhere = foreign.read_elsewhere(module, "nequip")
    if elsewhere:
        raise EqnnError(f"{path}: {elsewhere}")
    if isinstance(module, Mapping):
        raise EqnnError(
            f"{path}: holds a state_dict, which does not describe the network.\nGive what "
            "nequip-deploy of 0.5 or 0.6 made, or a package of a later version (.nequip.zip)."
        )
    if not is_of(module, "RescaleOutput") and "__torch__" not in getattr(module, "class_name", ""):
        found = getattr(module, "class_name", type(module).__name__)
        raise EqnnError(
            f"{path}: holds a {found}, expected what nequip-deploy of 0.5 or 0.6 made, "
            "or a package of a later version (.nequip.zip)."
        )
    return NequipModule(module, read_extra_files(path), str(path))


def _from_options(options: Namespace, log: Log) -> Model:
    if foreign.is_package(options.checkpoint):
        package = nequip_package.read(options.checkpoint)
        _needs_unit(options)
        return _from_package(package, options, log)
    module = read(options.checkpoint)
    _needs_unit(options)
    provenance = provenance_of(options, upstream="NequIP, nequip " + _version(module))
    provenance["energy_unit_of_data"] = options.energy_unit
    symbols = ", ".join(chemical_symbols[z] for z in module.elements)
    log(f"{len(module.layers)} layers; elements {symbols}.")
    return export_nequip(
        module,
        energy_unit=options.energy_unit,
        provenance=provenance,
        species=options.species,
        log=log,
    )


def _needs_unit(options: Namespace) -> None:
    if options.energy_unit is None:
        raise ChoiceNeededError(
            "--energy-unit: a model does not say in which unit its training data were. "
            f"Say it: {', '.join(ENERGY_UNITS)}.",
            "--energy-unit",
            list(ENERGY_UNITS),
        )


def _from_package(package: nequip_package.NequipPackage, options: Namespace, log: Log) -> Model:
    provenance = provenance_of(options, upstream="NequIP, nequip " + package.version)
    provenance["energy_unit_of_data"] = options.energy_unit
    symbols = ", ".join(chemical_symbols[z] for z in package.elements)
    log(f"{len(package.layers)} layers; elements {symbols}.")
    unit = ENERGY_UNITS[options.energy_unit]
    if options.energy_unit != "eV":
        log(
            f"Energies from {options.energy_unit} to eV: times {unit:.15g} (lengths stay Angstrom)."
        )
    return nequip_package.PackageExporter(package, log).export(unit, options.species, provenance)


def _version(module: NequipModule) -> str:
    return module.metadata.get("nequip_version", "of unknown version").strip()


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--energy-unit",
        choices=list(ENERGY_UNITS),
        help="energy unit of the training data; its positions must have been in Angstrom",
    )


UPSTREAM = Upstream(
    name="nequip",
    title="NequIP (nequip: deployed models of 0.5 and 0.6, later packages)",
    add_options=_add_options,
    export=_from_options,
    verifier=verify.NEQUIP,
)
