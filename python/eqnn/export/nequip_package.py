# SPDX-License-Identifier: BSD-3-Clause
"""Exporter for packaged NequIP models (``.nequip.zip``, nequip 0.10 and later).

Read in nequip 0.14.0 and 0.19.1 with e3nn 0.6.0. A package is a torch.package with the pickled
model; it is read without torch. Called by the exporter of NequIP. See docs/spec/nequip.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from eqnn.builder import ModelBuilder, layer
from eqnn.errors import EqnnError
from eqnn.export import e3nn, known
from eqnn.export.checkpoint import State
from eqnn.export.e3nn import Instruction, Segments, Weights
from eqnn.export.e3nn_known import e3nn_table
from eqnn.export.known import Known, Table
from eqnn.export.torch_file import (
    Stub,
    function_name,
    is_of,
    read_torch_package,
    state_dict,
    submodules,
)
from eqnn.export.upstream import Log, kept_species
from eqnn.model_file import Array, Model
from eqnn.so3 import FloatArray
from eqnn.stages.zbl import COULOMB

MEMBER = "model/eager_model.pkl"
IGNORED = (r"\.output_mask$", r"_w3j_", r"\._empty$", r"^edge_norm\.", r"\.atomic_numbers$")
_PARTS = (
    *("type_embed", "spharm", "edge_norm", "bessel_encode", "factor", "per_atom_energy_readout"),
    *("per_type_energy_scale_shift", "total_energy_sum"),
)
# Hard-coded in upstream's ZBL, as in LAMMPS.
ZBL_LENGTH, ZBL_EXPONENT = 0.46850, 0.23
ZBL_COEFFICIENTS = (0.02817, 0.28022, 0.50986, 0.18175)
# Modules that apply a function.
MODULES = {
    **{"SiLU": "silu", "Mish": "mish", "GELU": "gelu", "Tanh": "tanh"},
    "ShiftedSoftplus": "shifted_softplus",
}
# Of a cutoff in Angstrom: what is stored is its inverse.
LENGTH_DIGITS = 12
ZBL_EXPONENTS = (0.20162, 0.40290, 0.94229, 3.19980)


# Names of fields, irreps of all of them, and what was asked for: seen in the modules themselves.
_FIELDS = (
    *("irreps_in", "irreps_out", "field", "in_field", "out_field", "edge_type_field", "out_dtype"),
    *("norm_length_field", "edge_invariant_field", "num_types", "type_names", "_output_dtype"),
    *("model_dtype", "model_input_fields", "trainable"),
)


def _no_fields(module: Stub, name: str) -> str | None:
    if not module.__dict__.get(name):
        return None
    return "embeddings of fields of the whole structure have no stage"


# All that modules of these classes may have; known.py says what for.
TABLE: Table = {
    **e3nn_table("silu", "tanh", "abs", "shifted_softplus"),
    "nequip.GraphModel": Known(
        used=("model", "type_names"),
        inert=(*(key for key in _FIELDS if key != "type_names"), "_metadata"),
    ),
    "nequip.ForceStressOutput": Known(
        used=("func",), fixed={"do_derivatives": (True,)}, inert=(*_FIELDS, "_empty")
    ),
    "nequip.SequentialGraphNetwork": Known(
        used=(*_PARTS, "pair_potential", *(f"layer{k}_convnet" for k in range(100))),
        inert=_FIELDS,
    ),
    "nequip.NodeTypeEmbed": Known(
        used=("embed_module",),
        fixed={"set_features": (True,)},
        checks={
            "do_categorical_graph_field_embed": _no_fields,
            "categorical_graph_field_embed_shifts": _no_fields,
        },
        inert=(*_FIELDS, "num_features", "type_embed_init"),
        closed=("categorical_graph_field_embed_modules",),
    ),
    "torch.Embedding": Known(
        used=("weight",),
        fixed={"padding_idx": (None,), "max_norm": (None,)},
        inert=(
            *("num_embeddings", "embedding_dim", "norm_type", "scale_grad_by_freq", "sparse"),
            "_freeze",
        ),
    ),
    "nequip.SphericalHarmonicEdgeAttrs": Known(used=("irreps_edge_sh", "sh"), inert=_FIELDS),
    "nequip.EdgeLengthNormalizer": Known(
        used=("r_max", "_rmax_recip"), inert=(*_FIELDS, "_per_edge_type")
    ),
    "nequip.BesselEdgeLengthEncoding": Known(
        used=("bessel_weights", "cutoff"), inert=(*_FIELDS, "num_bessels")
    ),
    "nequip.PolynomialCutoff": Known(used=("p",)),
    "nequip.ApplyFactor": Known(used=("factor",), inert=_FIELDS),
    "nequip.ConvNetLayer": Known(
        used=("conv", "equivariant_nonlin", "resnet"),
        inert=(*_FIELDS, "feature_irreps_hidden"),
    ),
    "nequip.InteractionBlock": Known(
        used=(
            *("linear_1", "tp_scatter", "edge_mlp", "linear_2", "sc", "use_sc"),
            *("avg_num_neighbors_norm", "scatter_norm_factor"),
        ),
        inert=(*_FIELDS, "is_first_layer"),
        closed=("ghost_exchange",),
    ),
    "nequip.AvgNumNeighborsNorm": Known(
        used=("norm_const",), inert=(*_FIELDS, "norm_key", "norm_shortcut")
    ),
    "nequip.TensorProductScatter": Known(
        used=("tp",),
        inert=(*_FIELDS, "feature_irreps_in", "irreps_edge_attr", "irreps_mid", "instructions"),
    ),
    "nequip.ScalarMLP": Known(used=("mlp_module",), inert=_FIELDS),
    "nequip.ScalarMLPFunction": Known(
        used=("mlp",), inert=("bias", "dims", "num_layers", "is_nonlinear")
    ),
    "nequip.ScalarLinearLayer": Known(
        used=("weight", "bias", "alpha"), inert=("in_features", "out_features")
    ),
    "nequip.DeepLinearMLP": Known(used=("weights", "alpha"), inert=("dims", "num_layers")),
    "torch.SiLU": Known(inert=("inplace",)),
    "torch.Mish": Known(inert=("inplace",)),
    "torch.GELU": Known(fixed={"approximate": ("none",)}),
    "torch.Tanh": Known(),
    "nequip.ShiftedSoftplus": Known(),
    "nequip.PerTypeScaleShift": Known(
        used=("scales", "shifts", "has_scales", "has_shifts"),
        inert=(
            *_FIELDS,
            *("scales_trainable", "shifts_trainable", "scales_shortcut", "shifts_shortcut"),
        ),
    ),
    "nequip.AtomwiseReduce": Known(fixed={"constant": (1.0,), "reduce": ("sum",)}, inert=_FIELDS),
    "nequip.ZBL": Known(
        used=("cutoff", "_qqr2exesquare", "atomic_numbers"),
        inert=(*_FIELDS, "per_atom_energy_field"),
        closed=("_zbl",),
    ),
}


class NequipPackage:
    """A packaged model's parts.

    Parameters
    ----------
    module : object
        What the package holds.
    texts : mapping of str to str
        What stands beside it.
    name : str
        What messages call it.
    """

    def __init__(self, module: Any, texts: Mapping[str, str], name: str) -> None:
        self.name = name
        self.texts = texts
        self.graph = self._child(module, "sole_model", "GraphModel")
        output = self._child(self.graph, "model", "ForceStressOutput")
        self.parts = submodules(self._child(output, "func", "SequentialGraphNetwork"))
        self.layers = [key for key in self.parts if re.fullmatch(r"layer\d+_convnet", key)]
        pair = [key for key in self.parts if key == "pair_potential"]
        # Upstream's order depends on its version, and changes nothing.
        expected = [*_PARTS, *self.layers, *pair]
        found = list(self.parts)
        if sorted(found) != sorted(expected):
            more = [key for key in found if key not in expected]
            less = [key for key in expected if key not in found]
            raise EqnnError(
                f"{name}: the network's modules are not those of NequIP "
                f"(more: {', '.join(more) or 'none'}; missing: {', '.join(less) or 'none'}).\n"
                "Allegro and other networks in packages have no exporter."
            )
        known.refuse(known.faults(self.graph, TABLE), name)
        self.elements = []
        for symbol in self.graph.__dict__.get("type_names") or []:
            if not atomic_numbers.get(symbol):
                raise EqnnError(
                    f"{name}: type_names: {symbol!r} is not a chemical symbol, so that the element "
                    "of this type is not known. Package a model with symbols."
                )
            self.elements.append(atomic_numbers[symbol])

    def _child(self, module: Any, key: str, kind: str) -> Stub:
        child = submodules(module).get(key) if isinstance(module, Stub) else None
        if child is None or not is_of(child, kind):
            found = "nothing" if child is None else child.class_name.rsplit(".", 1)[-1]
            raise EqnnError(
                f"{self.name}: {key} is {found}, expected {kind}. "
                "Package the model with nequip-package of nequip 0.10 or later."
            )
        return child

    @property
    def version(self) -> str:
        """Version of nequip that packaged the model."""
        found = re.search(r"^  nequip: (\S+)$", self.texts.get("package_metadata.txt", ""), re.M)
        return found[1] if found else "of unknown version"

    def find(self, path: str) -> Stub:
        """Find a module by its path."""
        first, *rest = path.split(".")
        found = self.parts[first]
        for key in rest:
            found = submodules(found)[key]
        return found

    def irreps(self, module: Stub, key: str) -> Segments:
        """Irreps of a module."""
        return e3nn.segments(module.__dict__[key], f"{self.name}: {key}")


def read(path: Path) -> NequipPackage:
    """Read a packaged model."""
    module, texts = read_torch_package(path, MEMBER)
    return NequipPackage(module, texts, str(path))


class PackageExporter:
    """Writes the graph of a packaged model.

    Parameters
    ----------
    package : NequipPackage
    log : callable
        Takes lines for people.
    """

    def __init__(self, package: NequipPackage, log: Log) -> None:
        self.package = package
        self.log = log
        tensors: dict[str, Array] = {}
        for key, part in package.parts.items():
            tensors |= {f"{key}.{name}": value for name, value in state_dict(part).items()}
        self.state = State(tensors, package.name, IGNORED)

    def export(
        self,
        unit: float,
        species: Sequence[int] | None,
        provenance: Mapping[str, Any],
    ) -> Model:
        """Build the model, still without self-test; `unit` is that of the data's energies in eV."""
        package, state, parts = self.package, self.state, self.package.parts
        kept = kept_species(package.elements, species, package.name)
        self.rows = [package.elements.index(z) for z in kept]
        self.r_max = float(parts["edge_norm"].__dict__["r_max"])
        self.harmonics = package.irreps(parts["spharm"], "irreps_edge_sh")
        l_max = max(degree for _, degree, _ in self.harmonics)
        self.build = ModelBuilder(family="nequip", species=kept, cutoff=self.r_max, l_max=l_max)
        self.build.stage("spherical_harmonics", "harmonics", l_max=l_max)
        basis, envelope = self._basis()
        transform = self._cutoffs()

        self.embedding = state.take("type_embed.embed_module.weight", len(package.elements), None)
        self.embedding = self.embedding.astype(float)[self.rows]
        x: str | FloatArray = self.embedding
        factors: dict[str, float] = {}
        for key in package.layers:
            spec = self._layer(key, factors)
            if key == package.layers[-1]:
                spec = e3nn.scalars_alone(spec)
            x = e3nn.add_convnet_layer(self.build, key, x, spec, basis, envelope, transform)
            factors = dict.fromkeys(spec.gate.factors, 1.0) if spec.kept else spec.gate.factors
        assert isinstance(x, str)
        said = self._energy(x, factors, unit)
        state.finish()
        even = all(parity == 1 for _, _, parity in self.harmonics)
        model = self.build.finish(
            energy=said,
            forces="gradient",
            parity="so3" if even and l_max else "o3",
            provenance=provenance,
            name=package.name,
        )
        self.log(f"Equivariance defect {model.document['equivariance']['defect']:.3e}.")
        return model

    def _refuse(self, where: str, why: str) -> None:
        raise EqnnError(f"{self.package.name}: {where}: {why}. It cannot be exported.")

    def _basis(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Radial basis b sinc(b r/r_max) times a factor, and the envelope."""
        state, encode = self.state, self.package.parts["bessel_encode"]
        roots = state.take("bessel_encode.bessel_weights").astype(float).reshape(-1)
        cutoff = submodules(encode)["cutoff"]
        factor = float(self.package.parts["factor"].__dict__["factor"])
        amplitude = np.full(roots.size, factor * self.r_max / math.pi)
        basis = {
            "kind": "bessel",
            "frequency": self.build.tensor("radial_basis/frequency", roots * math.pi / self.r_max),
            "amplitude": self.build.tensor("radial_basis/amplitude", amplitude),
        }
        return basis, {"kind": "polynomial", "p": float(cutoff.__dict__["p"]), "on": "basis"}

    def _cutoffs(self) -> dict[str, Any] | None:
        """Cutoffs of each pair of elements, where they have their own."""
        inverse = self.state.everything["edge_norm._rmax_recip"].astype(float).reshape(-1)
        n = len(self.package.elements)
        if inverse.size == 1:
            return None
        if inverse.size != n * n:
            self._refuse("edge_norm._rmax_recip", f"{inverse.size} numbers for {n} elements")
        if "pair_potential" in self.package.parts:
            self._refuse(
                "pair_potential", "a repulsion together with cutoffs per pair has no stages"
            )
        cutoff = np.round(1.0 / inverse.reshape(n, n), LENGTH_DIGITS)[np.ix_(self.rows, self.rows)]
        tensor = self.build.tensor("radial_basis/cutoff", cutoff)
        return {"kind": "pair_cutoff", "cutoff": tensor}

    def _linear(self, path: str) -> tuple[Weights, Segments]:
        part = self.package.find(path)
        inputs, outputs = (self.package.irreps(part, f"irreps_{end}") for end in ("in", "out"))
        weight = self.state.take(f"{path}.weight")
        return e3nn.linear(weight, inputs, outputs, f"{self.package.name}: {path}"), outputs

    def _network(self, path: str) -> list[dict[str, Any]]:
        """Layers of a ScalarMLPFunction: x W alpha, with a function between them."""
        part = submodules(self.package.find(path))["mlp"]
        layers: list[dict[str, Any]] = []
        if is_of(part, "DeepLinearMLP"):
            product = np.eye(1)
            for k in range(len(state_dict(submodules(part)["weights"]))):
                weight = self.state.take(f"{path}.mlp.weights.{k}").astype(float)
                product = weight if k == 0 else product @ weight
            return [layer((product * self.state.number(f"{path}.mlp.alpha")).T)]
        for key, child in submodules(part).items():
            kind = known.short(child)
            if kind in MODULES:
                layers[-1]["activation"] = MODULES[kind]
            elif is_of(child, "ScalarLinearLayer"):
                weight = self.state.take(f"{path}.mlp.{key}.weight", None, None).astype(float)
                layers.append(layer((weight * self.state.number(f"{path}.mlp.{key}.alpha")).T))
                if f"{path}.mlp.{key}.bias" in self.state:
                    layers[-1]["bias"] = self.state.take(f"{path}.mlp.{key}.bias").astype(float)
            else:
                self._refuse(f"{path}.mlp.{key}", f"{child.class_name} has no stage")
        return layers

    def _activations(self, gate: Stub, part: str, irreps: Segments) -> dict[str, str]:
        """Activation of each parity, from the modules themselves."""
        out = {"e": "silu", "o": "tanh"}
        acts = submodules(submodules(gate)[part])["acts"]
        for (_, _, parity), act in zip(irreps, submodules(acts).values(), strict=True):
            name = function_name(act.__dict__.get("f"))
            constant = float(act.__dict__.get("cst", 0.0))
            expected = e3nn.NORMALIZED.get(name, 0.0)
            if not abs(constant - expected) <= 1e-9 or (parity == -1 and name != "tanh"):
                self._refuse(part, f"activation {name} with constant {constant} has no stage")
            out["e" if parity == 1 else "o"] = name
        return out

    def _gate(self, nonlin: Stub) -> e3nn.Gate:
        package = self.package
        if is_of(nonlin, "NormActivation"):
            function = function_name(nonlin.__dict__.get("scalar_nonlinearity")).lower()
            return e3nn.norm_activation(package.irreps(nonlin, "irreps_in"), function)
        scalars, gates, gated = (
            package.irreps(nonlin, f"irreps_{what}") for what in ("scalars", "gates", "gated")
        )
        return e3nn.gate(
            scalars,
            gated,
            self._activations(nonlin, "act_scalars", scalars),
            self._activations(nonlin, "act_gates", _each(gates, nonlin)),
        )

    def _layer(self, key: str, factors: Mapping[str, float]) -> e3nn.ConvnetLayer:
        package, state = self.package, self.state
        part = package.find(key)
        conv, nonlin = submodules(part)["conv"], submodules(part)["equivariant_nonlin"]
        gate = self._gate(nonlin)
        source, inputs = self._linear(f"{key}.conv.linear_1")
        product = package.find(f"{key}.conv.tp_scatter.tp")
        paths = [Instruction(*path.args[:3]) for path in product.__dict__["instructions"]]
        outputs = package.irreps(product, "irreps_out")
        convolved = e3nn.convolution(paths, inputs, self.harmonics, outputs, negated=False)
        convolved = e3nn.with_stored_signs(
            convolved, state.everything, f"{key}.conv.tp_scatter.tp", package.name, self.log
        )
        mixing, into = self._linear(f"{key}.conv.linear_2")
        if into != gate.inputs:
            raise EqnnError(
                f"{package.name}: {key}: the gate takes {e3nn.written(gate.inputs)}, but linear_2 "
                f"makes {e3nn.written(into)}.\nThis version of e3nn sorts irreps differently: "
                "package the model with e3nn 0.4 to 0.6."
            )
        source = e3nn.scale_inputs(source, factors)
        if "avg_num_neighbors_norm" in submodules(conv):
            # Features are divided by the root of the neighbors that atoms of their element have.
            norm = state.take(f"{key}.conv.avg_num_neighbors_norm.norm_const").astype(float)
        else:  # before 0.16 there was one number for all, by which sums of messages are multiplied
            given = conv.__dict__.get("scatter_norm_factor")
            norm = np.array(1.0 if given is None else float(given))
        norm = np.broadcast_to(norm.reshape(-1), len(package.elements))[self.rows]
        if (norm == norm[0]).all():
            source = e3nn.scaled(source, float(norm[0]))
        else:
            source = {b: norm[:, None, None] * tensor for b, tensor in source.items()}
        skip: Weights = {}
        if conv.__dict__.get("use_sc"):
            around = package.find(f"{key}.conv.sc")
            before = package.irreps(around, "irreps_in1")
            # A bilinear layer of features and the elements' embedding.
            by_feature = e3nn.species_linear(
                state.take(f"{key}.conv.sc.weight"),
                before,
                self.embedding.shape[1],
                into,
                f"{package.name}: {key}.conv.sc",
            )
            skip = {b: np.einsum("zt,toi->zoi", self.embedding, w) for b, w in by_feature.items()}
        kept: dict[str, float] = {}
        if part.__dict__.get("resnet"):
            kept = e3nn.kept_around(factors, inputs, gate, f"{package.name}: {key}.resnet")
        return e3nn.ConvnetLayer(
            source=source,
            kept=kept,
            radial=self._network(f"{key}.conv.edge_mlp"),
            convolution=convolved,
            mixing=mixing,
            skip=e3nn.scale_inputs(skip, factors),
            gate=gate,
        )

    def _energy(self, x: str, factors: Mapping[str, float], unit: float) -> dict[str, Any]:
        """Add readout, pair potential and the sum; return energies of the document."""
        state, build, n = self.state, self.build, len(self.package.elements)
        layers = self._network("per_atom_energy_readout.mlp_module")
        layers[0]["weight"] = layers[0]["weight"] * factors["0e"]

        def per_type(key: str, default: float) -> FloatArray:
            name = f"per_type_energy_scale_shift.{key}"
            values = state.take(name).astype(float) if name in state else np.array(default)
            return np.asarray(np.broadcast_to(values.reshape(-1), (n,))[self.rows])

        scales, shifts = per_type("scales", 1.0) * unit, per_type("shifts", 0.0) * unit
        is_same = bool((scales == scales[0]).all())
        scale: float | list[float] = float(scales[0]) if is_same else [float(s) for s in scales]
        repelled = "pair_potential" in self.package.parts
        if repelled and not is_same:
            # The document's scales would multiply the repulsion too: they go into the readout.
            if len(layers) > 1:
                self._refuse(
                    "pair_potential",
                    "a repulsion together with scales per element and a readout with hidden layers "
                    "has no stages",
                )
            weight = scales[:, None, None] * layers[0]["weight"]
            x = e3nn.add_species_linear(build, "scaled_energy", x, {"0e": weight})
            layers, scale = [layer(np.eye(1))], 1.0
        terms = [build.stage("readout", "site_energy", {"features": x}, layers=layers)]
        if repelled:
            terms.append(self._repulsion(scale if isinstance(scale, float) else 1.0, unit))
        build.stage("energy", "energy", {"terms": terms})
        return {
            "semantics": "extensive",
            "scale": scale,
            "shift": 0.0,
            "reference": [float(s) for s in shifts],
            "isolated_atoms": "network",
        }

    def _repulsion(self, scale: float, unit: float) -> str:
        pair = self.package.parts["pair_potential"]
        cutoff = submodules(pair).get("cutoff")
        assert cutoff is not None
        charges = self.state.everything.get("pair_potential.atomic_numbers")
        if charges is not None and list(charges) != self.package.elements:
            self._refuse("pair_potential.atomic_numbers", "are not those of type_names")
        coulomb = self.state.number("pair_potential._qqr2exesquare")
        # Upstream's envelope ends at the cutoff, the stage's at the sum of two radii.
        return self.build.stage(
            "zbl",
            "pair_potential",
            weights={"radius": np.full(len(self.rows), 0.5 * self.r_max)},
            p=float(cutoff.__dict__["p"]),
            screening_length=ZBL_LENGTH,
            screening_exponent=ZBL_EXPONENT,
            coefficients=[c * 2.0 * coulomb * unit / (COULOMB * scale) for c in ZBL_COEFFICIENTS],
            exponents=list(ZBL_EXPONENTS),
        )


def _each(gates: Segments, nonlin: Stub) -> Segments:
    """Gates before e3nn joined them: one segment for each activation."""
    acts = submodules(submodules(submodules(nonlin)["act_gates"])["acts"])
    return [(0, 0, gates[0][2])] * len(acts) if gates else []
