# SPDX-License-Identifier: BSD-3-Clause
"""Exporter for TDN (Tensor Decomposition Network; AIRS, OpenMol/TDN).

Normalizations, constants and units of the upstream code end here: the graph that is written has
none of them left. Formulas: docs/spec/tdn.md.
"""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from eqnn.builder import ModelBuilder, layer
from eqnn.errors import EqnnError, shortened
from eqnn.export.checkpoint import read_checkpoint
from eqnn.export.upstream import Log, Upstream, provenance_of, read_json_object
from eqnn.model_file import Array, Model
from eqnn.so3 import FloatArray, coupling_tensor, equivariance_defect

ENERGY_SEMANTICS = ("extensive", "mean-per-atom")
# How a configuration of ours says "extensive": the words of the training script.
EXTENSIVE_FORMULA = "E_total = E_model + n_atoms*energy_shift_per_atom + sum iso_energies[species]"

# Hard-coded upstream.
EMBEDDING_ROWS = 80
NORM_EPS = 1e-5
STD_FLOOR = 1e-5
SOFTMAX_EPS = 1e-16
NEGATIVE_SLOPE = 0.2


class TdnConfig:
    """The constants of a network, from the JSON that stands beside its weights.

    Parameters
    ----------
    document : mapping
        ``{"config": {...}, ...}``; beside ``config`` there may be ``rank``, ``elements_Z``,
        ``iso_energies``, ``energy_shift_per_atom``, ``total_energy``, ``energy_semantics``.
    name : str
        The file's name for messages.
    """

    def __init__(self, document: Mapping[str, Any], name: str) -> None:
        self.document = document
        self.name = name
        if not isinstance(document.get("config"), Mapping):
            raise EqnnError(
                f'{name}: key "config" with the network\'s constants is missing. '
                "Give the JSON file that belongs to the weights."
            )
        self.config: Mapping[str, Any] = document["config"]
        self.channels = self._integer("hidden_channels")
        self.n_blocks = self._integer("num_interactions")
        self.n_gaussians = self._integer("num_gaussians")
        self.l_max = self._integer("lmax")
        self.heads = self._integer("num_heads")
        self.cutoff = self._positive("cutoff")
        self.avg_num_nodes = self._positive("avg_num_nodes")
        self.avg_degree = self._positive("avg_degree")
        self.gradient_force = self._typed("gradient_force", bool, "true or false")
        self.hidden: list[int] = self._typed("fc_neurons", list, "an array of integers")
        # Upstream's cap drops neighbors by no physical rule; the engine has none, on purpose.
        self.max_num_neighbors = self._integer("max_num_neighbors", default=0)
        known = {
            *("hidden_channels", "num_interactions", "num_gaussians", "lmax", "num_heads"),
            *("cutoff", "avg_num_nodes", "avg_degree", "gradient_force", "fc_neurons"),
            "max_num_neighbors",
        }
        for key in self.config:
            if key not in known:
                raise EqnnError(
                    f"{name}: /config/{key}: unknown key; it may change the network. "
                    "Remove it if it does not, otherwise this exporter cannot express it."
                )
        for n in self.hidden:
            if not isinstance(n, int) or isinstance(n, bool) or n < 1:
                self._fail("fc_neurons", "an array of positive integers")
        if self.channels % self.heads:
            raise EqnnError(
                f"{name}: /config/num_heads: {self.heads} heads do not divide "
                f"{self.channels} hidden_channels. Correct the configuration."
            )

    def _fail(self, key: str, expected: str) -> Any:
        raise EqnnError(
            f"{self.name}: /config/{key}: found {self.config[key]!r}, expected {expected}. "
            "Correct the configuration."
        )

    def _typed(self, key: str, kind: type | UnionType, expected: str) -> Any:
        if key not in self.config:
            raise EqnnError(
                f'{self.name}: /config: key "{key}" is missing and the checkpoint does not hold '
                "it.\nAdd the value that the network was trained with."
            )
        value = self.config[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self._fail(key, expected)
        return value

    def _integer(self, key: str, default: int | None = None) -> int:
        if default is not None and key not in self.config:
            return default
        value = self._typed(key, int, "a positive integer")
        return int(value) if value > 0 else int(self._fail(key, "a positive integer"))

    def _positive(self, key: str) -> float:
        value = self._typed(key, int | float, "a number above 0")
        if not (math.isfinite(value) and value > 0):
            self._fail(key, "a number above 0")
        return float(value)

    def _beside(self, key: str, kind: type | UnionType, expected: str) -> Any:
        """Return what stands beside ``config`` under a key, None where there is nothing."""
        value = self.document.get(key)
        wrong = not isinstance(value, kind) or isinstance(value, bool)
        if value is not None and wrong:
            raise EqnnError(
                f"{self.name}: /{key}: found {shortened(repr(value), 60)}, expected {expected}. "
                "Correct the configuration."
            )
        return value

    def _by_symbol(self, key: str, kind: type | UnionType, expected: str) -> dict[str, Any]:
        """Return a table from chemical symbols to numbers, empty where there is none."""
        table = self._beside(key, dict, f"an object from chemical symbols to {expected}s") or {}
        for symbol, value in table.items():
            if symbol not in atomic_numbers or atomic_numbers[symbol] == 0:
                raise EqnnError(
                    f"{self.name}: /{key}: {symbol!r} is not a chemical symbol. "
                    "Correct the configuration."
                )
            is_number = isinstance(value, kind) and not isinstance(value, bool)
            if not (is_number and math.isfinite(value)):
                raise EqnnError(
                    f"{self.name}: /{key}/{symbol}: found {shortened(repr(value), 60)}, "
                    f"expected {expected}. "
                    "Correct the configuration."
                )
        return dict(table)

    @property
    def rank(self) -> int | None:
        """Rank of the fitted factors, where the configuration says it."""
        value = self._beside("rank", int, "a positive integer")
        return None if value is None else int(value)

    @property
    def energy_shift(self) -> float:
        """Energy in eV that the training took off each atom, beside the elements' own."""
        value = self._beside("energy_shift_per_atom", int | float, "a number")
        return float(value or 0.0)

    def species(self, chosen: Sequence[int] | None) -> list[int]:
        """Atomic numbers, increasing: all that the configuration lists, or those chosen."""
        listed = self._by_symbol("elements_Z", int, "an atomic number")
        for symbol, z in listed.items():
            if z != atomic_numbers[symbol]:
                raise EqnnError(
                    f"{self.name}: /elements_Z/{symbol}: found {z}, expected "
                    f"{atomic_numbers[symbol]}. Correct the configuration."
                )
        iso = self._by_symbol("iso_energies", int | float, "an energy in eV")
        known = sorted(atomic_numbers[symbol] for symbol in listed or iso)
        if chosen is None and not known:
            raise EqnnError(
                f"{self.name}: neither elements_Z nor iso_energies tells which of the embedding's "
                f"{EMBEDDING_ROWS} rows were trained.\nName the elements: --species H,C,N,O"
            )
        out = sorted(set(known if chosen is None else chosen))
        for z in out:
            if not 0 < z < EMBEDDING_ROWS:
                raise EqnnError(
                    f"{self.name}: element {z} has no row in upstream's embedding (1 to "
                    f"{EMBEDDING_ROWS - 1}). Name other elements with --species."
                )
            if known and z not in known:
                raise EqnnError(
                    f"--species: {chemical_symbols[z]} is not among the elements that "
                    f"{self.name} lists ({_symbols(known)}). Name only those."
                )
        return out

    def semantics(self, chosen: str | None) -> str:
        """Whether energies are extensive, from the option or the configuration, never guessed."""
        said = self.document.get("energy_semantics")
        if said is None and self.document.get("total_energy") == EXTENSIVE_FORMULA:
            said = "extensive"
        if said is not None and said not in ENERGY_SEMANTICS:
            raise EqnnError(
                f"{self.name}: /energy_semantics: found {said!r}, expected one of "
                f"{', '.join(ENERGY_SEMANTICS)}. Correct the configuration."
            )
        if chosen is not None and said is not None and chosen != said:
            raise EqnnError(
                f"--energy {chosen} contradicts {self.name}, which says {said}. "
                "Remove the option or correct the configuration."
            )
        if chosen is None and said is None:
            raise EqnnError(
                f"{self.name} does not say whether the network was trained on total energies or, "
                "as upstream's data are, on energies per atom.\n"
                "State it: --energy extensive or --energy mean-per-atom."
            )
        return str(chosen or said)

    def reference_energies(self, species: Sequence[int]) -> list[float]:
        """Return the energy of each element's free atom in eV; zeros where none are listed."""
        iso = self._by_symbol("iso_energies", int | float, "an energy in eV")
        if not iso:
            return [0.0] * len(species)
        for z in species:
            if chemical_symbols[z] not in iso:
                raise EqnnError(
                    f"{self.name}: /iso_energies: no energy for {chemical_symbols[z]}. "
                    "Add it, or leave the element out with --species."
                )
        return [float(iso[chemical_symbols[z]]) for z in species]

    def shapes(self, rank: int) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all tensors of the network, the force head's included."""
        c, d = self.channels, (self.l_max + 1) ** 2
        out: dict[str, tuple[int, ...]] = {
            "atom_embed.atom_type_lin.weight": (c, EMBEDDING_ROWS),
            "atom_embed.atom_type_lin.bias": (c,),
            "rbf.mean": (1, self.n_gaussians),
            "rbf.std": (1, self.n_gaussians),
            "rbf.weight": (1, 1),
            "rbf.bias": (1, 1),
        }

        def linear(name: str, n_out: int, bias: bool = True) -> None:
            out[f"{name}.linear.weight"] = (n_out, c)
            if bias:
                out[f"{name}.bias"] = (1, n_out)

        def product(name: str) -> None:
            for factor in "abc":
                out[f"{name}.cp_tp.cp_{factor}"] = (d, rank)

        def norm(name: str) -> None:
            out[f"{name}.affine_weight"] = (self.l_max + 1, 1, c)
            out[f"{name}.affine_bias"] = (1, 1, c)

        def radial(name: str) -> None:
            n_in = self.n_gaussians
            for k, n_out in enumerate(self.hidden):
                out[f"{name}.net.{3 * k}.weight"] = (n_out, n_in)
                out[f"{name}.net.{3 * k}.bias"] = (n_out,)
                out[f"{name}.net.{3 * k + 1}.weight"] = (n_out,)
                out[f"{name}.net.{3 * k + 1}.bias"] = (n_out,)
                n_in = n_out
            out[f"{name}.net.{3 * len(self.hidden)}.weight"] = (c, n_in)
            out[f"{name}.offset"] = (c,)

        def attention(name: str) -> None:
            linear(f"{name}.merge_src", c)
            linear(f"{name}.merge_dst", c, bias=False)
            radial(f"{name}.rad")
            product(f"{name}.tp1")
            product(f"{name}.tp2")
            linear(f"{name}.lin_alpha", c)
            linear(f"{name}.lin_value", 2 * c)
            linear(f"{name}.proj", c)
            out[f"{name}.alpha_dot"] = (self.heads, c // self.heads)

        linear("edge_embed.exp", c)
        linear("edge_embed.proj", c)
        radial("edge_embed.rad")
        product("edge_embed.tp")
        for k in range(self.n_blocks):
            norm(f"blocks.{k}.norm1")
            attention(f"blocks.{k}.attn")
            norm(f"blocks.{k}.norm2")
            linear(f"blocks.{k}.ffn.0", 2 * c)
            linear(f"blocks.{k}.ffn.2", c)
        norm("norm")
        linear("head.0", c)
        linear("head.2", 1)
        attention("force_head")
        linear("force_proj", 1)
        return out


def export_tdn(
    state: Mapping[str, Array],
    config: TdnConfig,
    *,
    provenance: Mapping[str, Any],
    species: Sequence[int] | None = None,
    energy: str | None = None,
    exact_products: bool = False,
    name: str = "checkpoint",
    log: Log = print,
) -> Model:
    """Turn upstream's weights into a model, still without self-test.

    Parameters
    ----------
    state : mapping of str to ndarray
        Upstream's state_dict, without torch's prefixes.
    config : TdnConfig
    provenance : mapping
        For the file's ``provenance``.
    species : sequence of int, optional
        Atomic numbers to keep; all that the configuration lists if left out.
    energy : str, optional
        ``extensive`` or ``mean-per-atom``; needed where the configuration does not say it.
    exact_products : bool
        Put exact coupling tensors in the place of the fitted factors.
    name : str
        What messages call the checkpoint.
    log : callable
        Takes lines for people.
    """
    return _Exporter(state, config, name, log).export(species, energy, exact_products, provenance)


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        metavar="JSON",
        help="constants that the checkpoint does not contain (docs/spec/tdn.md)",
    )
    parser.add_argument(
        "--energy",
        choices=ENERGY_SEMANTICS,
        help="what the network was trained on, if the configuration does not say so: total "
        "energies, or energies divided by the number of atoms",
    )
    parser.add_argument(
        "--exact-products",
        action="store_true",
        help="replace the fitted factors by exact coupling tensors: exactly equivariant, but "
        "energies and forces differ from those of the trained network",
    )


def _from_options(options: Namespace, log: Log) -> Model:
    document = read_json_object(options.config, "the JSON file that belongs to the weights")
    config = TdnConfig(document, str(options.config))
    state = read_checkpoint(options.checkpoint)
    provenance = provenance_of(
        options,
        upstream="TDN, AIRS/OpenMol/TDN",
        stated=document.get("provenance"),
        source=config.name,
    )
    if options.exact_products:
        provenance["products"] = "exact, in the place of the fitted ones, without retraining"
    return export_tdn(
        state,
        config,
        provenance=provenance,
        species=options.species,
        energy=options.energy,
        exact_products=options.exact_products,
        name=str(options.checkpoint),
        log=log,
    )


UPSTREAM = Upstream(
    name="tdn",
    title="TDN (Tensor Decomposition Network; AIRS, OpenMol/TDN)",
    add_options=_add_options,
    export=_from_options,
)


class _Exporter:
    def __init__(
        self,
        state: Mapping[str, Array],
        config: TdnConfig,
        name: str,
        log: Log,
    ) -> None:
        self.state = _checked(state, config, name, log)
        self.config = config
        self.name = name
        self.log = log

    def export(
        self,
        species: Sequence[int] | None,
        energy: str | None,
        exact_products: bool,
        provenance: Mapping[str, Any],
    ) -> Model:
        config = self.config
        numbers = config.species(species)
        said: dict[str, Any] = {
            "semantics": config.semantics(energy),
            "scale": 1.0,
            "shift": config.energy_shift,
            "reference": config.reference_energies(numbers),
            "isolated_atoms": "zero",  # upstream removes atoms without neighbors
        }
        self.build = ModelBuilder(
            family="tdn", species=numbers, cutoff=config.cutoff, l_max=config.l_max
        )
        self.build.stage("spherical_harmonics", "harmonics", l_max=config.l_max)
        self._edge_matrices(exact_products)
        self._radial_basis()
        x = self._embedding(numbers)
        for k in range(config.n_blocks):
            x = self._block(k, x)
        x = self._norm("norm", x)
        if not config.gradient_force:
            y = self._attention("force_head", x)
            # The bias acts on l = 0 only, which is no force.
            weight = self.state["force_proj.linear.weight"]
            y = self.build.stage(
                "linear", "force_proj", {"features": y}, {"weight": weight}, l_max=1
            )
            self.build.stage("direct_forces", "direct_forces", {"features": y})
        root = math.sqrt(config.avg_num_nodes)
        hidden = layer(
            self.state["head.0.linear.weight"], self.state["head.0.bias"][0], activation="silu"
        )
        last = layer(
            _double(self.state["head.2.linear.weight"]) / root,
            _double(self.state["head.2.bias"][0]) / root,
        )
        e = self.build.stage("readout", "site_energy", {"features": x}, layers=[hidden, last])
        self.build.stage("energy", "energy", {"terms": [e]})
        return self.build.finish(
            energy=said,
            forces="gradient" if config.gradient_force else "direct",
            parity="so3",  # upstream couples odd paths with even parity
            provenance=provenance,
            name=self.name,
        )

    def _edge_matrices(self, exact: bool) -> None:
        """One edge matrix for each distinct coupling tensor; remembers which product uses which."""
        config = self.config
        products = ["edge_embed.tp"]
        products += [f"blocks.{k}.attn.tp{n}" for k in range(config.n_blocks) for n in (1, 2)]
        if not config.gradient_force:
            products += ["force_head.tp1", "force_head.tp2"]
        truth = coupling_tensor(config.l_max)
        factors: list[list[Array]] = []
        self.matrix_of: dict[str, str] = {}
        for product in products:
            cp = [self.state[f"{product}.cp_tp.cp_{factor}"] for factor in "abc"]
            known = [all(map(np.array_equal, cp, other)) for other in factors]
            if not any(known):
                factors.append(cp)
                known.append(True)
            number = known.index(True)
            self.matrix_of[product] = f"matrix{number}" if number else "matrix"
        couplings = [_contract(*map(_double, cp)) for cp in factors]
        count = f"{len(products)} tensor products hold {len(factors)} distinct set(s) of factors"
        self.log(f"{count} of rank {factors[0][0].shape[1]}.")
        for number, fitted in enumerate(couplings):
            error = float(np.linalg.norm(fitted - truth) / np.linalg.norm(truth))
            label = f" {number}" if len(couplings) > 1 else ""
            self.log(
                f"Fitted coupling tensor{label}: relative error {error:.3e}, "
                f"equivariance defect {equivariance_defect(fitted):.3e}."
            )
        if exact:
            self.log(
                "Exact coupling tensor in its place: relative error 0, "
                f"equivariance defect {equivariance_defect(truth):.3e}. "
                "Energies and forces differ from the trained network's."
            )
            couplings = [truth]
            self.matrix_of = dict.fromkeys(products, "matrix")
        for k in range(config.n_blocks):
            self._check_pair(f"blocks.{k}.attn")
        if not config.gradient_force:
            self._check_pair("force_head")
        for number, coupling in enumerate(couplings):
            output = f"matrix{number}" if number else "matrix"
            self.build.stage(
                "edge_matrix", output, {"harmonics": "harmonics"}, {"coupling": coupling}
            )

    def _check_pair(self, attention: str) -> None:
        if self.matrix_of[f"{attention}.tp1"] != self.matrix_of[f"{attention}.tp2"]:
            raise EqnnError(
                f"{self.name}: {attention}.tp1 and .tp2 hold different factors, which the "
                "edge_attention stage cannot express.\n"
                "Export with --exact-products, or train with one set of factors."
            )

    def _radial_basis(self) -> None:
        """Gaussians of w r/r_c + b, rewritten as Gaussians of r in Angstrom."""
        weight = float(self.state["rbf.weight"][0, 0])
        bias = float(self.state["rbf.bias"][0, 0])
        if weight == 0.0:
            raise EqnnError(
                f"{self.name}: rbf.weight is 0, so that nothing depends on distance. "
                "Train the network again."
            )
        mean = _double(self.state["rbf.mean"][0])
        std = np.abs(_double(self.state["rbf.std"][0])) + STD_FLOOR
        scale = self.config.cutoff / weight
        tensors = {
            "center": (mean - bias) * scale,
            "width": std * abs(scale),
            "amplitude": 1.0 / (math.sqrt(2.0 * math.pi) * std),
        }
        self.basis: dict[str, str] = {"kind": "gaussian"}
        for key, values in tensors.items():
            self.basis[key] = self.build.tensor(f"radial_basis/{key}", values)

    def _radial(self, name: str, factor: FloatArray | None = None) -> str:
        """Radial MLP; `factor` [C] multiplies its output."""
        layers = []
        n_hidden = len(self.config.hidden)
        for k in range(n_hidden):
            linear, norm = f"{name}.net.{3 * k}", f"{name}.net.{3 * k + 1}"
            hidden = layer(
                self.state[f"{linear}.weight"], self.state[f"{linear}.bias"], activation="silu"
            )
            hidden["layer_norm"] = {
                "scale": self.state[f"{norm}.weight"],
                "shift": self.state[f"{norm}.bias"],
                "eps": NORM_EPS,
            }
            layers.append(hidden)
        weight = self.state[f"{name}.net.{3 * n_hidden}.weight"]
        bias = self.state[f"{name}.offset"]
        if factor is not None:
            weight, bias = _double(weight) * factor[:, None], _double(bias) * factor
        layers.append(layer(weight, bias))
        return self.build.stage(
            "radial", name, basis=self.basis, envelope={"kind": "none"}, layers=layers
        )

    def _embedding(self, numbers: Sequence[int]) -> str:
        state, build = self.state, self.build
        table = _double(state["atom_embed.atom_type_lin.weight"]).T[list(numbers)]
        table = table + _double(state["atom_embed.atom_type_lin.bias"])
        atoms = build.stage(
            "species_embedding", "atom_embed", weights={"table": table}, l_max=self.config.l_max
        )
        # The expansion acts on ones, whatever the element: a constant for each channel.
        expansion = _double(state["edge_embed.exp.linear.weight"]).sum(1)
        expansion = expansion + _double(state["edge_embed.exp.bias"][0])
        root = math.sqrt(self.config.avg_degree)
        degree = build.stage(
            "degree_embedding",
            "edge_embed",
            {
                "matrix": self.matrix_of["edge_embed.tp"],
                "radial": self._radial("edge_embed.rad", expansion),
            },
            {
                "weight": _double(state["edge_embed.proj.linear.weight"]) / root,
                "bias": _double(state["edge_embed.proj.bias"][0]) / root,
            },
        )
        return build.stage("add", "embedding", {"a": atoms, "b": degree})

    def _block(self, k: int, x: str) -> str:
        block, c = f"blocks.{k}", self.config.channels
        y = self._attention(f"{block}.attn", self._norm(f"{block}.norm1", x))
        x = self.build.stage("add", f"{block}.attended", {"a": x, "b": y})
        y = self._norm(f"{block}.norm2", x)
        value = self._linear(f"{block}.ffn.0", y, f"{block}.ffn.0.value", rows=slice(c))
        # Upstream computes the gates for all l and uses l = 0 alone.
        gates = self._linear(f"{block}.ffn.0", y, f"{block}.ffn.0.gates", slice(c, None), l_max=0)
        y = self.build.stage("gate", f"{block}.ffn.1", {"features": value, "gates": gates})
        y = self._linear(f"{block}.ffn.2", y)
        return self.build.stage("add", block, {"a": x, "b": y})

    def _attention(self, name: str, x: str) -> str:
        state, c = self.state, self.config.channels
        value_weight, value_bias = (
            state[f"{name}.lin_value.linear.weight"],
            f"{name}.lin_value.bias",
        )
        inputs = {
            "source": self._linear(f"{name}.merge_src", x),
            "center": self._linear(f"{name}.merge_dst", x),
            "matrix": self.matrix_of[f"{name}.tp1"],
            "radial": self._radial(f"{name}.rad"),
        }
        weights = {
            "logit_weight": state[f"{name}.lin_alpha.linear.weight"],
            "logit_bias": state[f"{name}.lin_alpha.bias"][0],
            "logit_vector": state[f"{name}.alpha_dot"],
            "value_weight": value_weight[:c],
            "value_bias": state[value_bias][0, :c],
            "gate_weight": value_weight[c:],
            "gate_bias": state[value_bias][0, c:],
        }
        y = self.build.stage(
            "edge_attention",
            name,
            inputs,
            weights,
            heads=self.config.heads,
            negative_slope=NEGATIVE_SLOPE,
            eps=SOFTMAX_EPS,
        )
        return self._linear(f"{name}.proj", y)

    def _norm(self, name: str, x: str) -> str:
        weights = {
            "scale": self.state[f"{name}.affine_weight"][:, 0],
            "shift": self.state[f"{name}.affine_bias"][0, 0],
        }
        return self.build.stage("equivariant_norm", name, {"features": x}, weights, eps=NORM_EPS)

    def _linear(
        self,
        name: str,
        x: str,
        output: str | None = None,
        rows: slice = slice(None),
        l_max: int | None = None,
    ) -> str:
        weights = {"weight": self.state[f"{name}.linear.weight"][rows]}
        if f"{name}.bias" in self.state:
            weights["bias"] = self.state[f"{name}.bias"][0, rows]
        l_out = self.config.l_max if l_max is None else l_max
        return self.build.stage("linear", output or name, {"features": x}, weights, l_max=l_out)


def _checked(
    state: Mapping[str, Array], config: TdnConfig, name: str, log: Log
) -> dict[str, Array]:
    """Hold the checkpoint's names, types and shapes against the configuration's network."""
    found = dict(state)
    if config.gradient_force:
        unused = [key for key in found if key.startswith(("force_head.", "force_proj."))]
        if unused:
            size = sum(found.pop(key).size for key in unused)
            log(
                f"Dropped the direct-force head ({len(unused)} tensors, {size} numbers): "
                "with gradient_force the network never uses it."
            )
    factor = found.get("edge_embed.tp.cp_tp.cp_a", np.zeros(0))
    shapes = config.shapes(config.rank or (factor.shape[-1] if factor.ndim else 0))
    if config.gradient_force:
        shapes = {
            key: shape
            for key, shape in shapes.items()
            if not key.startswith(("force_head.", "force_proj."))
        }
    missing = [key for key in shapes if key not in found]
    if missing:
        raise EqnnError(
            f"{name}: {len(missing)} tensor(s) that {config.name} asks for are missing: "
            f"{_some(missing)}.\nCheck num_interactions, fc_neurons and gradient_force."
        )
    unknown = [key for key in found if key not in shapes]
    if unknown:
        raise EqnnError(
            f"{name}: {len(unknown)} tensor(s) that {config.name} does not account for: "
            f"{_some(unknown)}.\nCheck num_interactions and fc_neurons, or this is another network."
        )
    for key, shape in shapes.items():
        tensor = found[key]
        if tensor.shape != shape:
            raise EqnnError(
                f'{name}: "{key}" has shape {list(tensor.shape)}, expected {list(shape)} after '
                f"{config.name}. Give the configuration that the network was trained with."
            )
        if tensor.dtype not in (np.float32, np.float64):
            raise EqnnError(
                f'{name}: "{key}" has type {tensor.dtype}, expected float32 or float64. '
                "Save the checkpoint in one of these."
            )
        if not np.isfinite(tensor).all():
            raise EqnnError(
                f'{name}: "{key}" holds NaN or infinity: the training diverged. '
                "Use an earlier checkpoint."
            )
    return found


def _contract(a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """Coupling tensor T[k][j][i] of CP factors [d, rank]."""
    return np.asarray(np.einsum("ir,jr,kr->kji", a, b, c))


def _double(values: Array) -> FloatArray:
    return values.astype(np.float64)


def _symbols(numbers: Sequence[int]) -> str:
    return ", ".join(chemical_symbols[z] for z in numbers)


def _some(names: Sequence[str], n: int = 4) -> str:
    return ", ".join(f'"{name}"' for name in names[:n]) + (", ..." if len(names) > n else "")
