# SPDX-License-Identifier: BSD-3-Clause
"""Exporter for MACE (mace-torch: ``MACE`` and ``ScaleShiftMACE``).

Read in mace-torch 0.3.16 and ACEsuit/mace at 667eee4e58d23a38ff5a75122109ec2025809649. Pickled
models (``.model``, ``.pt``) are read without torch; a state_dict as ``.safetensors`` needs the
configuration beside it. What the blocks compute and how their weights lie: docs/spec/mace.md.
"""

from __future__ import annotations

import itertools
import math
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii

from eqnn.builder import ModelBuilder, layer
from eqnn.errors import ChoiceNeededError, EqnnError
from eqnn.export import e3nn, foreign, known, mace_attention, mace_embedding, mace_nonlinear, verify
from eqnn.export.checkpoint import State, read_checkpoint
from eqnn.export.e3nn import Instruction, Segments
from eqnn.export.e3nn_known import e3nn_table
from eqnn.export.known import Known, Table
from eqnn.export.torch_file import (
    Stub,
    function_name,
    read_torch_file,
    state_dict,
    submodules,
    unwrapped,
)
from eqnn.export.upstream import (
    Log,
    Upstream,
    elements_of,
    kept_species,
    needs_no_config,
    provenance_of,
    read_json_object,
    typed,
)
from eqnn.model_file import HEAVIEST_ELEMENT, Array, Model, block_of, block_order, degree_of
from eqnn.options import charge, spin, told
from eqnn.so3 import FloatArray, wigner_3j

IGNORED = (
    r"\.output_mask$",
    r"_w3j_",
    r"_zeroed$",
    r"^num_interactions$",
    r"^atomic_numbers$",
    r"bessel_fn\.r_max$",
    r"\.covalent_radii$",
)


@dataclass(frozen=True)
class Block:
    """What distinguishes interaction blocks.

    Attributes
    ----------
    is_residual : bool
        Whether the element's own features go round the convolution.
    has_density : bool
        Whether messages are divided by a density of neighbors, in place of their average number.
    is_nonlinear : bool
        Whether a gate follows the convolution, and its weights depend on both elements.
    has_attention : bool
        Whether weights of the convolution depend on the features of both atoms.
    """

    is_residual: bool
    has_density: bool = False
    is_nonlinear: bool = False
    has_attention: bool = False


NONLINEAR = "RealAgnosticResidualNonLinearInteractionBlock"
# By their name.
BLOCKS = {
    "RealAgnosticInteractionBlock": Block(is_residual=False),
    "RealAgnosticResidualInteractionBlock": Block(is_residual=True),
    "RealAgnosticDensityInteractionBlock": Block(is_residual=False, has_density=True),
    "RealAgnosticDensityResidualInteractionBlock": Block(is_residual=True, has_density=True),
    "RealAgnosticAttResidualInteractionBlock": Block(is_residual=True, has_attention=True),
    NONLINEAR: Block(is_residual=True, has_density=True, is_nonlinear=True),
}
ZBL_EXPONENTS = [3.2, 0.9423, 0.4028, 0.2016]
ZBL_BOHR = 0.529
# Of the polynomial cutoff, as the model file has it.
LEAST_POWER = 2.0
RADIUS_ROUNDING = 1e-6
UNKNOWN_KEY = "unknown key; it may change the network"
MOST_LAYERS = 50
HIGHEST_CORRELATION = 4
SIGN_CURE = (
    'State the version beside "config" ("e3nn": "0.4.4" of mace-torch to date), '
    "or give the whole .model."
)
CUEQ_CURE = "mace_cueq_to_e3nn {} --output_model e3nn.model --return_model"
CHEBYSHEV_NOTE = (
    "Chebyshev basis: torch has no derivative of these polynomials, so mace-torch's own forces "
    "lack a part. Those of the exported model are the gradient of the energy."
)
# How far a stored table of couplings may be from the one that is computed again in double.
COUPLING_ROUNDING = 1e-5


@dataclass(frozen=True)
class MaceLayer:
    """One interaction and the product after it.

    Attributes
    ----------
    block : str
        Class of the interaction block.
    inputs, edges, targets, outputs : list of segments
        Features before, what the convolution takes of them, what it makes, features after.
    average : float
        Number of neighbors by which messages are divided.
    paths : list of Instruction, optional
        The convolution's, where the checkpoint holds them.
    """

    block: str
    inputs: Segments
    edges: Segments
    targets: Segments
    outputs: Segments
    average: float
    paths: list[Instruction] | None = None


@dataclass(frozen=True)
class MaceNetwork:
    """What the state_dict does not say.

    Attributes
    ----------
    elements : list of int
        Atomic numbers in the order of upstream's one-hot vectors.
    harmonics : list of segments
    layers : list of MaceLayer
    heads : list of str
    apply_cutoff : bool
        Whether the envelope multiplies the radial basis; otherwise what is made of it.
    gate : str
        Function of the readout's hidden layer: a value of `GATES`.
    embedded : mapping
        Quantities of the whole system that are embedded, as upstream has them.
    transform : str
        Of distances: ``agnesi``, ``soft`` or, empty, what the weights say.
    has_old_signs : bool, optional
        Whether Wigner 3j have the signs of e3nn 0.4, where the configuration says it.
    stated : mapping
        Arguments of a configuration that the state_dict holds too, to be held against it.
    """

    elements: list[int]
    harmonics: Segments
    layers: list[MaceLayer]
    heads: list[str] = field(default_factory=lambda: ["Default"])
    apply_cutoff: bool = True
    gate: str = "silu"
    embedded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    transform: str = ""
    has_old_signs: bool | None = None
    stated: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parity(self) -> str:
        """The file's parity: harmonics that are all even couple whatever their parity."""
        odd = any(degree % 2 and parity == 1 for _, degree, parity in self.harmonics)
        return "so3" if odd else "o3"


# ---- the network from a configuration ----

# Upstream's arguments, each used or held against the weights; others are refused.
CONFIG_KEYS = (
    *("r_max", "num_bessel", "num_polynomial_cutoff", "max_ell", "correlation", "hidden"),
    *("first", "inter", "num_interactions", "MLP", "avg", "scale", "shift", "radial_MLP", "gate"),
    *("heads", "use_so3", "apply_cutoff", "use_reduced_cg"),
)
# Upstream's word for each function of the readout that has a stage.
GATES = {"silu": "silu", "tanh": "tanh", "abs": "abs", "None": "none"}


def network_from_config(document: Mapping[str, Any], name: str) -> MaceNetwork:
    """Read the JSON file that belongs to a state_dict.

    Parameters
    ----------
    document : mapping
        ``{"config": {...}, "elements": [...]}`` with upstream's arguments; docs/spec/mace.md.
    name : str
        The file's name for messages.
    """
    config = typed(document, "config", dict, "an object with upstream's arguments", name)
    where = f"{name}: /config"
    unknown = [(UNKNOWN_KEY, f"/config/{key}") for key in config if key not in CONFIG_KEYS]
    known.refuse(
        unknown,
        name,
        "Remove it if it does not, otherwise this exporter cannot express it.",
    )
    l_max = typed(config, "max_ell", int, "a degree", where)
    n_layers = typed(config, "num_interactions", int, "a number of layers", where)
    if not (0 <= l_max <= e3nn.HIGHEST_DEGREE and 1 <= n_layers <= MOST_LAYERS):
        raise EqnnError(
            f"{where}: found max_ell {l_max} and num_interactions {n_layers}, expected up to "
            f"{e3nn.HIGHEST_DEGREE} and 1 to {MOST_LAYERS}. Correct the configuration."
        )
    hidden = e3nn.merged(
        e3nn.segments(typed(config, "hidden", str, "irreps", where), f"{where}/hidden")
    )
    average = float(typed(config, "avg", int | float, "a number of neighbors", where))
    even = typed(config, "use_so3", bool, "true or false", where, False)
    typed(config, "use_reduced_cg", bool, "true or false", where, False)
    gate = typed(config, "gate", str, "a word", where, "silu")
    if gate not in GATES:
        raise EqnnError(
            f'{where}/gate: found "{gate}", expected {", ".join(GATES)}. Others have no stage.'
        )
    harmonics = [(1, degree, 1 if even else (-1) ** degree) for degree in range(l_max + 1)]
    n_channels = e3nn.channels(hidden).get("0e", 0)
    cure = "Give the hidden irreps that the network was trained with, as in 8x0e+8x1e."
    _reachable(hidden, harmonics, f"{where}/hidden", cure)
    first = [(n_channels, degree, parity) for _, degree, parity in harmonics]
    later = first
    if "0o" in e3nn.channels(hidden):
        # Upstream's messages then have both parities.
        later = [(n_channels, degree, p) for degree in range(l_max + 1) for p in (-1, 1)]
    blocks = [
        typed(config, "inter" if k else "first", str, "a block's name", where)
        for k in range(n_layers)
    ]
    known.refuse(
        [
            (f"{block} has no stage", f"interactions.{k}")
            for k, block in enumerate(blocks)
            if block not in BLOCKS
        ],
        where,
        f"Blocks that have stages: {', '.join(name for name in BLOCKS if name != NONLINEAR)}.",
    )
    if NONLINEAR in blocks:
        raise EqnnError(
            f"{where}: found {NONLINEAR}, whose weights do not determine it.\n"
            "Give the whole .model instead of a state_dict."
        )
    layers = []
    for k in range(n_layers):
        inputs = [(n_channels, 0, 1)] if k == 0 else hidden
        layers.append(
            MaceLayer(
                block=blocks[k],
                inputs=inputs,
                edges=inputs,
                targets=later if k else first,
                outputs=hidden[:1] if k == n_layers - 1 else hidden,
                average=average,
            )
        )
    _expressible(layers, where)
    version = typed(document, "e3nn", str, "a version as in 0.4.4", name, "")
    return MaceNetwork(
        elements=elements_of(document, "elements", name),
        harmonics=harmonics,
        layers=layers,
        heads=[str(h) for h in typed(config, "heads", list, "names", where, ["Default"])],
        apply_cutoff=typed(config, "apply_cutoff", bool, "true or false", where, True),
        gate=GATES[gate],
        has_old_signs=e3nn.sign_is_old(version or None, f"{name}: /e3nn"),
        stated=config,
    )


def _reachable(hidden: Segments, harmonics: Segments, where: str, cure: str) -> None:
    """Refuse features that no path of the first layer can make: upstream leaves them empty."""
    even = all(parity == 1 for _, _, parity in harmonics)
    lost = [block_of(degree, parity) for _, degree, parity in hidden if even and parity == -1]
    if lost:
        raise EqnnError(
            f"{where}: found {', '.join(lost)}, which use_so3 never makes: there all parities are "
            f"even.\n{cure}"
        )


def _expressible(layers: Sequence[MaceLayer], name: str) -> None:
    """Refuse layers that mace-torch can make and a model file cannot hold."""
    for k, spec in enumerate(layers):
        where = f"{name}: interactions.{k}"
        has_average = not BLOCKS[spec.block].has_density
        if has_average and not (math.isfinite(spec.average) and spec.average > 0.0):
            raise EqnnError(
                f"{where}: avg_num_neighbors is {spec.average:g}, expected a positive number: "
                "messages are divided by it.\nSuch a network has no energy; it cannot be exported."
            )
        for irreps in (spec.inputs, spec.edges, spec.targets):
            blocks = [block_of(degree, parity) for _, degree, parity in irreps]
            if len(set(blocks)) != len(blocks):
                raise EqnnError(
                    f"{where}: irreps {e3nn.written(irreps)} name a block twice, expected each "
                    "once. It cannot be exported."
                )
        missing = [
            block for block in e3nn.channels(spec.edges) if block not in e3nn.channels(spec.inputs)
        ]
        if missing:
            raise EqnnError(
                f"{where}: edge_irreps {e3nn.written(spec.edges)} have {', '.join(missing)}, "
                f"which the features {e3nn.written(spec.inputs)} lack.\nOnly networks whose "
                "edge_irreps keep to the blocks of hidden_irreps can be exported."
            )
    if "0e" not in e3nn.channels(layers[-1].outputs):
        raise EqnnError(
            f"{name}: the last layer makes {e3nn.written(layers[-1].outputs)}, the first block of "
            "the hidden irreps, expected 0e.\nIts readout gets no scalars. It cannot be exported."
        )


# ---- the network from a pickled model ----

_FIELDS = "external fields have no stage"


def _acceleration(module: Stub, name: str) -> str | None:
    """Refuse layouts of cuEquivariance and OpenEquivariance, unless they were off."""
    config = module.__dict__.get(name)
    if config is None or (isinstance(config, Stub) and not config.__dict__.get("enabled")):
        return None
    return "another layout of features and weights"


def _correlation_known(module: Stub, name: str) -> str | None:
    found = module.__dict__.get(name)
    if isinstance(found, int) and 1 <= found <= HIGHEST_CORRELATION:
        return None
    return f"correlation {found} has no stage, 1 to {HIGHEST_CORRELATION} have"


def _width_known(module: Stub, name: str) -> str | None:
    """Hold the width of Gaussians against their distance from each other."""
    centers = known.attributes(module)["gaussian_weights"]
    found = module.__dict__.get(name)
    expected = -0.5 * ((centers.size - 1) / float(centers[-1])) ** 2
    if isinstance(found, float) and math.isclose(found, expected, rel_tol=1e-6):
        return None
    return f"{found}, expected {expected:.6g} of {centers.size} Gaussians up to r_max"


def _orders_known(module: Stub, name: str) -> str | None:
    """Hold the orders of Chebyshev's polynomials against 1, 2, ..."""
    orders = np.asarray(known.attributes(module)[name], dtype=float).reshape(-1)
    if np.array_equal(orders, np.arange(1, orders.size + 1)):
        return None
    return "other polynomials than those of order 1, 2, ..."


_CONFIGS = {"cueq_config": _acceleration, "oeq_config": _acceleration}
_MODEL = Known(
    used=(
        *("atomic_numbers", "r_max", "heads", "node_embedding", "interactions"),
        *("radial_embedding", "spherical_harmonics", "atomic_energies_fn", "products"),
        *("readouts", "scale_shift", "pair_repulsion_fn", "num_interactions"),
        # These are seen in the irreps, weights and tables of the modules.
        *("edge_irreps", "use_edge_irreps_first", "use_last_readout_only", "use_so3"),
        *("use_agnostic_product", "use_reduced_cg", "pair_repulsion"),
        *("joint_embedding", "embedding_readout"),
    ),
    fixed={"lammps_mliap": (False,)},
    # That of radial_embedding, and that of joint_embedding, counts.
    inert=("apply_cutoff", "embedding_specs"),
    refused={
        "les": "long-range electrostatics have no stage",
        "field_dependent_charges_map": _FIELDS,
    },
)
_INTERACTION = Known(
    used=(
        *("node_feats_irreps", "edge_attrs_irreps", "target_irreps", "avg_num_neighbors"),
        *("linear_up", "conv_tp", "conv_tp_weights", "linear", "skip_tp"),
    ),
    checks=_CONFIGS,
    inert=(
        *("node_attrs_irreps", "edge_feats_irreps", "hidden_irreps", "radial_MLP", "irreps_out"),
        *("edge_irreps",),
    ),
    closed=("reshape",),
    refused={"conv_fusion": "a layout of cuEquivariance or OpenEquivariance"},
)
_ATTENTION = replace(
    _INTERACTION,
    used=(
        *("node_feats_irreps", "edge_attrs_irreps", "target_irreps", "avg_num_neighbors"),
        *("linear_up", "linear_down", "conv_tp", "conv_tp_weights", "linear", "skip_linear"),
    ),
    inert=(*_INTERACTION.inert, "node_feats_down_irreps"),
)
_DENSITY = replace(_INTERACTION, used=(*_INTERACTION.used, "density_fn"))
_ORDERS = range(1, 10)
# All that modules of these classes may have; known.py says what for.
TABLE: Table = {
    **e3nn_table("silu", "tanh", "abs", hidden=("silu",)),
    **mace_nonlinear.TABLE,
    **mace_embedding.TABLE,
    "mace.MACE": _MODEL,
    "mace.ScaleShiftMACE": _MODEL,
    "mace.LinearNodeEmbeddingBlock": Known(used=("linear",)),
    "mace.RadialEmbeddingBlock": Known(
        used=("bessel_fn", "cutoff_fn", "apply_cutoff", "distance_transform"), inert=("out_dim",)
    ),
    "mace.BesselBasis": Known(used=("bessel_weights", "prefactor"), inert=("r_max",)),
    "mace.GaussianBasis": Known(used=("gaussian_weights",), checks={"coeff": _width_known}),
    "mace.ChebychevBasis": Known(checks={"n": _orders_known}, inert=("num_basis", "r_max")),
    "mace.AgnesiTransform": Known(used=("a", "q", "p", "covalent_radii")),
    "mace.SoftTransform": Known(used=("alpha", "covalent_radii")),
    "mace.PolynomialCutoff": Known(used=("p", "r_max")),
    "mace.ZBLBasis": Known(used=("c", "p", "covalent_radii", "a_exp", "a_prefactor")),
    "mace.AtomicEnergiesBlock": Known(used=("atomic_energies",)),
    "mace.ScaleShiftBlock": Known(used=("scale", "shift")),
    "mace.RealAgnosticInteractionBlock": _INTERACTION,
    "mace.RealAgnosticResidualInteractionBlock": _INTERACTION,
    "mace.RealAgnosticDensityInteractionBlock": _DENSITY,
    "mace.RealAgnosticDensityResidualInteractionBlock": _DENSITY,
    "mace.RealAgnosticAttResidualInteractionBlock": _ATTENTION,
    "mace.EquivariantProductBasisBlock": Known(
        used=("symmetric_contractions", "linear", "use_sc", "use_agnostic_product"),
        checks=_CONFIGS,
    ),
    "mace.SymmetricContraction": Known(
        used=("contractions",),
        fixed={"internal_weights": (True,)},
        inert=("irreps_in", "irreps_out", "shared_weights"),
    ),
    "mace.Contraction": Known(
        used=("weights", "weights_max", *(f"U_matrix_{nu}" for nu in _ORDERS)),
        checks={"correlation": _correlation_known},
        inert=(
            *("num_features", "coupling_irreps", "weights_max_zeroed"),
            *(f"weights_{nu - 1}_zeroed" for nu in _ORDERS),
        ),
        closed=("contractions_weighting", "contractions_features", "graph_opt_main"),
    ),
    "mace.LinearReadoutBlock": Known(used=("linear",)),
    "mace.NonLinearReadoutBlock": Known(
        used=("linear_1", "non_linearity", "linear_2", "num_heads"), inert=("hidden_irreps",)
    ),
}

# Of distances, by their class.
_TRANSFORMS = {"AgnesiTransform": "agnesi", "SoftTransform": "soft"}
# What mace-torch writes beside a model, by its class, and what it was made from.
_COPIES = {
    "LAMMPS_MACE": ("mace_create_lammps_model", "the .model that it was made from"),
    "LAMMPS_MLIAP_MACE": ("mace_create_lammps_model", "the .model that it was made from"),
    "MACEEdgeForcesWrapper": ("mace_create_lammps_model", "the .model that it was made from"),
}


def _given(module: Any, name: str) -> Stub:
    """Return the model of a file, without the wrappers of training; refuse its compiled copies."""
    module = unwrapped(module)
    elsewhere = foreign.read_elsewhere(module, "mace")
    if elsewhere:
        raise EqnnError(f"{name}: {elsewhere}")
    if not isinstance(module, Stub):
        kind = type(module).__name__
        if isinstance(module, Mapping) and any(isinstance(v, np.ndarray) for v in module.values()):
            kind = "state_dict"
        raise EqnnError(
            f"{name}: holds a {kind}, expected a model. Give what mace-torch saved as .model,\n"
            "or a state_dict as .safetensors with --config."
        )
    kind = known.short(module)
    if kind == "AveragedModel":
        raise EqnnError(
            f"{name}: holds an AveragedModel of torch.optim.swa_utils, expected the model in it.\n"
            "Save that: torch.save(averaged.module, FILE.model)."
        )
    if kind in _COPIES:
        made_by, cure = _COPIES[kind]
        raise EqnnError(
            f"{name}: holds a {kind}, a copy for LAMMPS that {made_by} made. Give {cure}."
        )
    if "__torch__" in module.class_name.split("."):
        raise EqnnError(
            f"{name}: holds a compiled copy of {kind} (TorchScript), which does not contain the "
            "original model.\nGive the .model that mace_run_train wrote beside it (without "
            "_compiled)."
        )
    if kind not in ("MACE", "ScaleShiftMACE"):
        raise EqnnError(
            f"{name}: holds a {module.class_name}, expected MACE or ScaleShiftMACE. "
            "Other models of mace-torch cannot be exported."
        )
    return module


def _lora(module: Stub) -> str | None:
    """Name the class of a layer that keeps a fine-tuning's low-rank weights beside its own."""
    if known.short(module).startswith("LoRA"):
        return known.short(module)
    return next(filter(None, map(_lora, submodules(module).values())), None)


def _is_cuequivariant(module: Stub) -> bool:
    if module.class_name.startswith("cuequivariance"):
        return True
    return any(map(_is_cuequivariant, submodules(module).values()))


def network_from_module(module: Any, name: str) -> MaceNetwork:
    """Read the attributes of a pickled model; refuse all at once what has no stage."""
    module = _given(module, name)
    if _is_cuequivariant(module):
        raise EqnnError(
            f"{name}: is in the layout of cuEquivariance. Convert it back with mace-torch and "
            "cuequivariance-torch:\n" + CUEQ_CURE.format(name)
        )
    lora = _lora(module)
    if lora:
        raise EqnnError(
            f"{name}: holds weights of LoRA beside the network's own ({lora}). Merge them with "
            "mace-torch and save the model:\nmace.modules.lora.merge_lora_weights(model)."
        )
    known.refuse(known.faults(module, TABLE), name)
    parts = submodules(module)
    if "pair_repulsion_fn" in parts and "pair_repulsion" not in module.__dict__:
        raise EqnnError(
            f"{name}: has pair_repulsion_fn, but no attribute pair_repulsion, without which "
            "mace-torch ignores it.\nSet it to True and save the model again, or delete both."
        )
    radial = parts["radial_embedding"]
    layers = []
    harmonics: Segments = []
    products = submodules(parts["products"])
    for key, block in submodules(parts["interactions"]).items():
        where = f"{name}: interactions.{key}"
        product = products[key]
        kind = known.short(block)
        if BLOCKS[kind].is_residual and not product.__dict__.get("use_sc", True):
            raise EqnnError(
                f"{name}: products.{key}.use_sc: False after a {kind}, which no version of "
                "mace-torch makes. It cannot be exported."
            )
        convolved = submodules(block)["conv_tp"].__dict__
        harmonics = e3nn.segments(block.__dict__["edge_attrs_irreps"], where)
        paths = [Instruction(*path.args[:3]) for path in convolved["instructions"]]
        outputs = submodules(product)["linear"].__dict__["irreps_out"]
        layers.append(
            MaceLayer(
                block=kind,
                inputs=e3nn.segments(block.__dict__["node_feats_irreps"], where),
                edges=e3nn.segments(convolved["irreps_in1"], where),
                targets=e3nn.segments(block.__dict__["target_irreps"], where),
                outputs=e3nn.merged(e3nn.segments(outputs, where)),
                average=float(block.__dict__["avg_num_neighbors"]),
                paths=paths,
            )
        )
    for k, spec in enumerate(layers):
        cure = "It cannot be exported: train with even irreps, as in 8x0e+8x1e."
        _reachable(spec.outputs, harmonics, f"{name}: products.{k}", cure)
    _expressible(layers, name)
    numbers = state_dict(module).get("atomic_numbers")
    if numbers is None:
        raise EqnnError(f"{name}: holds no atomic_numbers. Save the model with mace-torch again.")
    elements = [int(z) for z in numbers]
    wrong = [z for z in elements if not 1 <= z <= HEAVIEST_ELEMENT]
    if wrong:
        raise EqnnError(
            f"{name}: atomic_numbers: found {wrong[0]}, expected numbers from 1 to "
            f"{HEAVIEST_ELEMENT}. Networks of other atoms cannot be exported."
        )
    heads = [str(head) for head in module.__dict__.get("heads") or ["Default"]]
    transform = submodules(radial).get("distance_transform")
    return MaceNetwork(
        elements=elements,
        harmonics=harmonics,
        layers=layers,
        heads=heads,
        apply_cutoff=bool(radial.__dict__.get("apply_cutoff", True)),
        gate=_gate_of(parts["readouts"], len(heads), name),
        embedded=_embedded(parts, len(heads), known.short(module), name),
        transform=_TRANSFORMS[transform.class_name.rsplit(".", 1)[-1]] if transform else "",
    )


def _embedded(
    parts: Mapping[str, Stub], n_heads: int, kind: str, name: str
) -> dict[str, dict[str, Any]]:
    """Quantities of the whole system that a model embeds."""
    if "embedding_readout" in parts and kind == "MACE" and n_heads > 1:
        raise EqnnError(
            f"{name}: embedding_readout of {n_heads} heads in a {kind}, which mace-torch itself "
            "does not run. It cannot be exported."
        )
    if "joint_embedding" not in parts:
        return {}
    specs = mace_embedding.specs_of(parts["joint_embedding"])
    if not specs:
        raise EqnnError(
            f"{name}: joint_embedding.specs: nothing is embedded, expected a quantity. "
            "It cannot be exported."
        )
    return specs


def _gate_of(readouts: Stub, n_heads: int, name: str) -> str:
    """Name the function of readouts' hidden layers; none where upstream has None."""
    gate = "silu"
    for key, readout in submodules(readouts).items():
        if known.short(readout) not in ("NonLinearReadoutBlock", "NonLinearBiasReadoutBlock"):
            continue
        # Only a module that knows the heads lets each have its own part of the hidden layer.
        found = readout.__dict__.get("num_heads", 1)
        if found != n_heads:
            raise EqnnError(
                f"{name}: readouts.{key}.num_heads: {found}, expected {n_heads} as in heads. "
                "It cannot be exported."
            )
        acts = submodules(submodules(readout)["non_linearity"]).get("acts")
        functions = [_function_of(act) for act in submodules(acts).values()] if acts else []
        gate = functions[0] if functions else "none"
    return gate


def _function_of(act: Stub) -> str:
    """Name the function of a ``normalize2mom``, which the table let through."""
    return function_name(act.__dict__.get("f", submodules(act).get("f"))).lower()


# ---- the graph ----


class MaceExporter:
    """Writes MACE's graph; the product of each layer is a method, so that others can replace it.

    Parameters
    ----------
    state : State
    network : MaceNetwork
    log : callable
        Takes lines for people.
    """

    family = "mace"
    sorted_weights = True

    def __init__(self, state: State, network: MaceNetwork, log: Log) -> None:
        self.state = state
        self.network = network
        self.log = log
        self.tables: dict[tuple[str, int, int, int, bool], FloatArray] = {}

    def export(
        self,
        species: Sequence[int] | None,
        head: str | None,
        provenance: Mapping[str, Any],
        embedded: Mapping[str, float | None] | None = None,
    ) -> Model:
        """Build the model, still without self-test."""
        state, network = self.state, self.network
        self.head = self._head(head)
        kept = kept_species(network.elements, species, state.name)
        self.species = kept
        self.rows = [network.elements.index(z) for z in kept]
        self.ones = ""  # a feature that is 1 for each atom, where one is needed
        self.cutoff = state.number("r_max" if "r_max" in state else "radial_embedding.r_max")
        self.l_max = max(degree for _, degree, _ in network.harmonics)
        self.build = ModelBuilder(
            family=self.family, species=kept, cutoff=self.cutoff, l_max=self.l_max
        )
        self.build.stage("spherical_harmonics", "harmonics", l_max=self.l_max)
        self._basis()
        n_elements = len(network.elements)
        first = network.layers[0].inputs
        weight = state.take("node_embedding.linear.weight")
        embedding = e3nn.linear(weight, [(n_elements, 0, 1)], first, "node_embedding.linear")
        self.embedding = embedding["0e"].T[self.rows]
        if network.embedded:
            vector = mace_embedding.joint_embedding(state, network.embedded, embedded or {})
            self.embedding = self.embedding + vector
        x = ""
        terms = []
        for k in range(len(network.layers)):
            x = self._layer(k, x)
            if any(key.startswith(f"readouts.{self._readout_of(k)}.") for key in state.tensors):
                terms.append(self._readout(k, x))
        if "pair_repulsion_fn.c" in state:
            terms.append(self._repulsion())
        self.build.stage("energy", "energy", {"terms": terms})
        said = self._energy()
        state.finish()
        model = self.build.finish(
            energy=said,
            forces="gradient",
            parity=network.parity,
            provenance=provenance,
            name=state.name,
        )
        self.log(f"Equivariance defect {model.document['equivariance']['defect']:.3e}.")
        return model

    def _readout_of(self, k: int) -> int:
        """Index of the readout after a layer: where there is but one, it is the last layer's."""
        is_single = not any(key.startswith("readouts.1.") for key in self.state.tensors)
        last = len(self.network.layers) - 1
        if is_single:
            return 0 if k == last else -1
        return k

    def _head(self, chosen: str | None) -> int:
        heads = self.network.heads
        names = ", ".join(heads)
        if chosen is None and len(heads) > 1:
            raise ChoiceNeededError(
                f"{self.state.name}: has {len(heads)} heads: {names}. Choose one with --head.",
                "--head",
                heads,
            )
        if chosen is not None and chosen not in heads:
            known = f"{names}. Choose one of them."
            if len(heads) == 1:
                known = f"one head, {names}. Leave the option out."
            raise EqnnError(f"--head {chosen}: {self.state.name} has {known}")
        head = heads.index(chosen) if chosen is not None else 0
        if len(heads) > 1:
            self.log(f"Head {heads[head]} of {names}.")
        return head

    def _energy(self) -> dict[str, Any]:
        state = self.state
        energies = np.atleast_2d(state.take("atomic_energies_fn.atomic_energies"))
        head = self.head if energies.shape[0] > 1 else 0
        scale, shift = 1.0, 0.0
        if "scale_shift.scale" in state:
            scales = state.take("scale_shift.scale").reshape(-1)
            shifts = state.take("scale_shift.shift").reshape(-1)
            scale = float(scales[self.head if scales.size > 1 else 0])
            shift = float(shifts[self.head if shifts.size > 1 else 0])
        reference = energies[head, self.rows]
        name = "embedding_readout.linear"
        if f"{name}.weight" in state:  # energies of the elements, with what is embedded
            weight = state.take(f"{name}.weight")
            out = [(len(self.network.heads), 0, 1)]
            own = e3nn.linear(weight, self.network.layers[0].inputs, out, name)["0e"][self.head]
            reference = reference + self.embedding @ own
        self._agrees("scale", scale)
        self._agrees("shift", shift)
        return {
            "semantics": "extensive",
            "scale": scale,
            "shift": shift,
            "reference": [float(e) for e in reference],
            "isolated_atoms": "network",
        }

    def _agrees(self, key: str, found: float, k: int = 0) -> None:
        """Hold a number of the state_dict against what the configuration states, of layer k."""
        stated = self.network.stated.get(key)
        if isinstance(stated, list):  # of each layer
            stated = stated[k] if k < len(stated) else None
        if stated is not None and not math.isclose(float(stated), found, rel_tol=1e-6):
            raise EqnnError(
                f"{self.state.name}: {key} is {found:g}, but the configuration says {stated}. "
                "Give the configuration of this checkpoint."
            )

    def _agrees_irreps(self, key: str, found: Segments) -> None:
        """Hold irreps of the state_dict against what the configuration states."""
        stated = self.network.stated.get(key)
        if stated is None:
            return
        if e3nn.merged(e3nn.segments(stated, f"{self.state.name}: /config/{key}")) != found:
            raise EqnnError(
                f"{self.state.name}: {key} is {e3nn.written(found)}, but the configuration says "
                f"{stated}. Give the configuration of this checkpoint."
            )

    def _basis(self) -> None:
        state = self.state
        self.basis, self.n_basis = self._functions()
        p = float(state.tensors["radial_embedding.cutoff_fn.p"].reshape(-1)[0])
        state.used.add("radial_embedding.cutoff_fn.p")
        if not p >= LEAST_POWER:
            raise EqnnError(
                f"{state.name}: radial_embedding.cutoff_fn.p is {p:g}, expected at least "
                f"{LEAST_POWER:g}: no other envelope has a stage. It cannot be exported."
            )
        ends = float(state.tensors["radial_embedding.cutoff_fn.r_max"].reshape(-1)[0])
        state.used.add("radial_embedding.cutoff_fn.r_max")
        if not math.isclose(ends, self.cutoff, rel_tol=1e-6):
            raise EqnnError(
                f"{state.name}: radial_embedding.cutoff_fn.r_max is {ends:g}, expected r_max, "
                f"{self.cutoff:g}. It cannot be exported."
            )
        self._agrees("r_max", self.cutoff)
        self._agrees("num_polynomial_cutoff", p)
        self._agrees("num_bessel", self.n_basis)
        self.transform = self._distance_transform()
        on = "basis" if self.network.apply_cutoff else "output"
        self.envelope = {"kind": "polynomial", "p": p, "on": on}

    def _functions(self) -> tuple[dict[str, Any], int]:
        """Store the functions of the radial basis; return what the stages say, and their number."""
        state, name = self.state, "radial_embedding.bessel_fn"
        arrays: dict[str, FloatArray] = {}
        if f"{name}.gaussian_weights" in state:
            centers = state.take(f"{name}.gaussian_weights", None).astype(float)
            n = centers.size
            width = float(centers[-1]) / (n - 1)
            arrays = {"center": centers, "width": np.full(n, width), "amplitude": np.ones(n)}
        elif f"{name}.n" in state:
            n = state.take(f"{name}.n").size
            self.log(CHEBYSHEV_NOTE)
            arrays = {"amplitude": np.ones(n)}
        else:
            frequency = state.take(f"{name}.bessel_weights", None).astype(float)
            n = frequency.size
            prefactor = state.number(f"{name}.prefactor")
            arrays = {"frequency": frequency, "amplitude": np.full(n, prefactor)}
        stored = {key: self.build.tensor(f"radial_basis/{key}", a) for key, a in arrays.items()}
        kinds = {"center": "gaussian", "frequency": "bessel", "amplitude": "chebyshev"}
        return {"kind": kinds[next(iter(arrays))], **stored}, n

    def _distance_transform(self) -> dict[str, Any]:
        """Say what the basis takes in the place of the distance: an attribute of radial stages."""
        state, name = self.state, "radial_embedding.distance_transform"
        kind = self.network.transform
        for key, of_key in (("a", "agnesi"), ("alpha", "soft")):
            if not kind and f"{name}.{key}" in state:
                kind = of_key
        if not kind:
            return {}
        keys = ("a", "q", "p") if kind == "agnesi" else ("alpha",)
        numbers = {key: state.number(f"{name}.{key}") for key in keys}
        wrong = [key for key, value in numbers.items() if not value > 0.0]
        if wrong:
            raise EqnnError(
                f"{state.name}: {name}.{wrong[0]} is {numbers[wrong[0]]:g}, expected a positive "
                "number: others have no stage. It cannot be exported."
            )
        radius = self.build.tensor("radial_basis/radius", self._radii(name))
        return {"transform": {"kind": kind, "radius": radius, **numbers}}

    def _radii(self, name: str) -> FloatArray:
        """Covalent radii of the species, as a module has them; Angstrom."""
        radii = self.state.everything.get(f"{name}.covalent_radii", covalent_radii)
        radii = np.asarray(radii, dtype=float).reshape(-1)
        if radii.size <= max(self.species) or not np.isfinite(radii).all():
            raise EqnnError(
                f"{self.state.name}: {name}.covalent_radii: {radii.size} radii, expected one for "
                "each element. The checkpoint is damaged: get it again."
            )
        ours = covalent_radii[: radii.size]
        if np.abs(radii[: ours.size] - ours).max() <= RADIUS_ROUNDING:
            radii = ours  # before they were rounded
        return np.asarray(radii[self.species])

    def species_table(self, name: str, table: FloatArray) -> str:
        """Add features of the species alone: scalars [species, C]."""
        return self.build.stage("species_embedding", name, weights={"table": table}, l_max=0)

    def _layer(self, k: int, x: str) -> str:
        """Add interaction and product; `x` is empty for the first layer, which acts on species."""
        spec = self.network.layers[k]
        if BLOCKS[spec.block].is_nonlinear:
            y, skipped = mace_nonlinear.add_interaction(self, k, x)
        elif BLOCKS[spec.block].has_attention:
            y, skipped = mace_attention.add_interaction(self, k, x)
        else:
            y, skipped = self._interaction(k, x)
        y = self._product(f"products.{k}", y, spec)
        weights = e3nn.linear(
            self.state.take(f"products.{k}.linear.weight"),
            spec.outputs,
            spec.outputs,
            f"products.{k}.linear",
        )
        y = e3nn.add_linear(self.build, f"products.{k}.linear", y, weights)
        if not skipped:
            return y
        return self.build.stage("add", f"products.{k}", {"a": y, "b": skipped})

    def _interaction(self, k: int, x: str) -> tuple[str, str]:
        """Add a linear block; return messages and what goes round them, if anything does."""
        state, network, build = self.state, self.network, self.build
        spec, name = network.layers[k], f"interactions.{k}"
        residual = BLOCKS[spec.block].is_residual
        n_elements = len(network.elements)
        up = e3nn.linear(
            state.take(f"{name}.linear_up.weight"), spec.inputs, spec.edges, f"{name}.linear_up"
        )
        skip = state.take(f"{name}.skip_tp.weight")
        skipped = ""
        if residual:
            around = e3nn.species_linear(
                skip, spec.inputs, n_elements, spec.outputs, f"{name}.skip_tp"
            )
            around = {block: tensor[self.rows] for block, tensor in around.items()}
        if k == 0:
            # All before the first convolution is a table of the species.
            source = self.species_table(f"{name}.linear_up", self.embedding @ up["0e"].T)
            if residual:
                table = np.einsum("zoi,zi->zo", around["0e"], self.embedding)
                skipped = self.species_table(f"{name}.skip_tp", table)
        else:
            source = e3nn.add_linear(build, f"{name}.linear_up", x, up)
            if residual:
                skipped = e3nn.add_species_linear(build, f"{name}.skip_tp", x, around)

        y, mid = self.messages(k, source, self._network_of(f"{name}.conv_tp_weights"))
        weights = e3nn.linear(
            state.take(f"{name}.linear.weight"), e3nn.merged(mid), spec.targets, f"{name}.linear"
        )
        has_density = BLOCKS[spec.block].has_density
        factor = 1.0 if has_density else 1.0 / spec.average
        y = e3nn.add_linear(build, f"{name}.linear", y, e3nn.scaled(weights, factor))
        if has_density:
            layers = e3nn.network(state.layers(f"{name}.density_fn"), f"{name}.density_fn")
            y = self.divided(name, y, layers, (1.0, 1.0))
        if not residual:
            weights = e3nn.species_linear(
                skip, spec.targets, n_elements, spec.targets, f"{name}.skip_tp"
            )
            weights = {block: tensor[self.rows] for block, tensor in weights.items()}
            y = e3nn.add_species_linear(build, f"{name}.skip_tp", y, weights)
        return y, skipped

    def messages(
        self,
        k: int,
        source: str,
        layers: list[dict[str, Any]],
        *,
        species: Mapping[str, Array] | None = None,
    ) -> tuple[str, Segments]:
        """Add the convolution of layer k; return its name and its output's segments.

        Parameters
        ----------
        k : int
        source : str
            Features of neighbors.
        layers : list of layers
            Of the radial function, in upstream's order of paths.
        species : mapping, optional
            What elements add to the first layer, as the stage takes it.
        """
        name = f"interactions.{k}"
        convolved = self.convolution_of(k, layers[-1]["weight"].shape[0])
        folded = e3nn.fold_rows(layers, convolved)
        radial = self._radial(f"{name}.conv_tp_weights", folded, species)
        inputs = {"source": source, "harmonics": "harmonics", "radial": radial}
        y = self.build.stage(
            "edge_tensor_product", f"{name}.conv_tp", inputs, paths=convolved.paths
        )
        return y, convolved.outputs

    def convolution_of(self, k: int, n_out: int) -> e3nn.Convolution:
        """Return the paths of layer k, whose network has this many outputs."""
        network, name = self.network, f"interactions.{k}"
        spec = network.layers[k]
        default, outputs = e3nn.instructions(
            spec.edges, network.harmonics, spec.targets, sorted_weights=self.sorted_weights
        )
        convolved = e3nn.convolution(
            spec.paths or default, spec.edges, network.harmonics, outputs, negated=True
        )
        convolved = e3nn.with_stored_signs(
            convolved,
            self.state.everything,
            f"{name}.conv_tp",
            self.state.name,
            self.log,
            is_old=network.has_old_signs,
            cure=SIGN_CURE,
        )
        expected = convolved.factors.size
        if n_out != expected:
            raise EqnnError(
                f"{self.state.name}: {name}.conv_tp_weights: {n_out} outputs, expected {expected} "
                "of the convolution's paths.\n"
                "Give the configuration that the network was trained with."
            )
        return convolved

    def divided(
        self,
        name: str,
        y: str,
        layers: list[dict[str, Any]],
        line: tuple[float, float],
        *,
        species: Mapping[str, Array] | None = None,
    ) -> str:
        """Divide features by b density + a: the density is a sum over neighbors of tanh(f(r)^2).

        Parameters
        ----------
        name : str
            Prefix of the stages' names.
        y : str
            Features.
        layers : list of layers
            Of f.
        line : (float, float)
            b and a.
        species : mapping, optional
            What elements add to the first layer, as the stage takes it.
        """
        build = self.build
        if not self.ones:
            self.ones = self.species_table("ones", np.ones((len(self.rows), 1)))
        layers = [*layers[:-1], {**layers[-1], "activation": "tanh_square"}]
        radial = self._radial(f"{name}.density_fn", layers, species)
        inputs = {"source": self.ones, "harmonics": "harmonics", "radial": radial}
        path = ["0e", 0, "0e"]
        density = build.stage("edge_tensor_product", f"{name}.density", inputs, paths=[path])
        slope, constant = line
        divisor = e3nn.add_linear(
            build,
            f"{name}.divisor",
            density,
            {"0e": np.array([[slope]])},
            np.array([constant]),
        )
        inputs = {"features": y, "divisor": divisor}
        return build.stage("divide", f"{name}.divided", inputs)

    def _radial(
        self, name: str, layers: list[dict[str, Any]], species: Mapping[str, Array] | None
    ) -> str:
        more = dict(self.transform)
        if species is not None:
            more["species"] = dict(species)
        return self.build.stage(
            "radial", name, basis=self.basis, envelope=self.envelope, layers=layers, **more
        )

    def _network_of(self, name: str) -> list[dict[str, Any]]:
        """Layers of a radial network without biases."""
        weights = self.state.layers(name)
        stated = self.network.stated.get("radial_MLP")
        widths = [weight.shape[-1] for weight in weights[:-1]]
        if stated is not None and stated != widths:
            raise EqnnError(
                f"{self.state.name}: {name}: hidden layers of {widths}, but the configuration says "
                f"radial_MLP {stated}. Give the configuration of this checkpoint."
            )
        return e3nn.network(weights, name)

    def _product(self, name: str, x: str, spec: MaceLayer) -> str:
        """Symmetric contraction with the checkpoint's couplings."""
        state = self.state
        n_channels = spec.targets[0][0]
        places = component_places(spec.targets)
        terms: list[dict[str, Any]] = []
        irreps = {}
        for c, (_, degree, parity) in enumerate(spec.outputs):
            block = block_of(degree, parity)
            irreps[block] = n_channels
            prefix = f"{name}.symmetric_contractions.contractions.{c}"
            correlation = self._correlation(prefix)
            if not 1 <= correlation <= HIGHEST_CORRELATION:
                raise EqnnError(
                    f"{state.name}: {prefix}: correlation {correlation}, expected 1 to "
                    f"{HIGHEST_CORRELATION}. Higher products have no stage."
                )
            self._agrees("correlation", correlation, int(name.split(".")[1]))
            for nu in range(1, correlation + 1):
                key = "weights_max" if nu == correlation else f"weights.{correlation - 1 - nu}"
                table = self._couplings(f"{prefix}.U_matrix_{nu}", spec, degree, parity, nu)
                if not table.any():  # no such coupling: upstream empties the weights or not
                    state.used.add(f"{prefix}.{key}")
                    continue
                weights = state.take(f"{prefix}.{key}", None, table.shape[-1], n_channels)
                if weights.shape[0] == 1:  # the same for all elements
                    weights = np.repeat(weights, len(self.network.elements), axis=0)
                entries = coupling_entries(table, degree)
                entries[0][:, 2:] = places[entries[0][:, 2:]]
                if not len(entries[1]):  # antisymmetric: nothing is left of equal features
                    continue
                terms.append(
                    {
                        "irrep": block,
                        "indices": entries[0],
                        "values": entries[1],
                        "weights": weights.astype(float)[self.rows],
                    }
                )
        for block in irreps:
            if all(term["irrep"] != block for term in terms):
                # No coupling leads to it, as to a pseudovector of two features: it is zero.
                terms.append(
                    {
                        "irrep": block,
                        "indices": np.zeros((1, 3), dtype=np.int32),
                        "values": np.zeros(1),
                        "weights": np.zeros((len(self.rows), 1, n_channels)),
                    }
                )
        n_entries = sum(len(term["values"]) for term in terms)
        self.log(f"{name}: {n_entries} products of features in {len(terms)} terms.")
        return self.build.stage(
            "symmetric_contraction",
            name + ".contraction",
            {"features": x},
            irreps=irreps,
            terms=terms,
        )

    def _correlation(self, prefix: str) -> int:
        """Highest power of a contraction, by its tables or, where these were left out, weights."""
        for name, first in ((f"{prefix}.U_matrix_{{}}", 1), (f"{prefix}.weights.{{}}", 0)):
            count = 0
            while name.format(first + count) in self.state:
                count += 1
            if count:
                return count + (0 if first else 1)
        return 1 if f"{prefix}.weights_max" in self.state else 0

    def _couplings(
        self, key: str, spec: MaceLayer, degree: int, parity: int, nu: int
    ) -> FloatArray:
        """Table [2l+1, d, .., d, K] of a contraction; computed where it is rounded or left out."""
        stored = self.state.everything.get(key)
        if stored is not None and stored.size:
            self.state.take(key)
        if stored is not None and stored.ndim == nu + (degree > 0) + 1 and not stored.shape[-1]:
            return np.zeros((2 * degree + 1, *stored.shape[-nu - 1 : -1], 0))  # no such coupling
        if stored is not None and stored.dtype == np.float64 and stored.size:
            return stored[None] if degree == 0 else stored
        if stored is None and self.network.stated.get("use_reduced_cg"):
            raise EqnnError(
                f"{self.state.name}: {key} is missing, and with use_reduced_cg only the checkpoint "
                "has it. Give a state_dict with its tables, or the whole .model."
            )
        old, new = (self._computed(spec, degree, parity, nu, is_old) for is_old in (True, False))
        if stored is None or not stored.size:
            if np.array_equal(old, new):
                return new
            if self.network.has_old_signs is None:
                raise e3nn.untold_signs(key, self.state.name, SIGN_CURE)
            return old if self.network.has_old_signs else new
        table = stored.astype(np.float64)
        if degree == 0:
            table = table[None]
        for exact in (old, new):
            if exact.shape == table.shape and np.abs(exact - table).max() <= COUPLING_ROUNDING:
                return exact
        self.log(f"{key} is not the table of mace-torch: taken as it is, in single precision.")
        return table

    def _computed(
        self, spec: MaceLayer, degree: int, parity: int, nu: int, is_old: bool
    ) -> FloatArray:
        place = e3nn.written(spec.targets), degree, parity, nu, is_old
        if place not in self.tables:
            self.tables[place] = coupling_table(spec.targets, degree, parity, nu, is_old=is_old)
        return self.tables[place]

    def _readout(self, k: int, x: str) -> str:
        state, spec = self.state, self.network.layers[k]
        name = f"readouts.{self._readout_of(k)}"
        n_heads = len(self.network.heads)
        if f"{name}.linear.weight" in state:
            weight = e3nn.linear(
                state.take(f"{name}.linear.weight"), spec.outputs, [(n_heads, 0, 1)], name
            )["0e"]
            layers = [layer(weight[self.head : self.head + 1])]
            return self.build.stage("readout", name, {"features": x}, layers=layers)
        if f"{name}.linear_mid.weight" in state:
            return mace_nonlinear.add_readout(self, name, x, spec)
        second = state.take(f"{name}.linear_2.weight").reshape(-1)
        n_hidden = second.size // n_heads
        self._agrees_irreps("MLP", [(n_hidden // n_heads, 0, 1)])
        hidden = [(n_hidden, 0, 1)]
        first = e3nn.linear(state.take(f"{name}.linear_1.weight"), spec.outputs, hidden, name)
        last = e3nn.linear(second, hidden, [(n_heads, 0, 1)], name)
        # A head has its own part of the hidden layer; upstream sets the others to zero.
        size = n_hidden // n_heads
        own = slice(self.head * size, (self.head + 1) * size)
        gate = self.network.gate
        constant = e3nn.NORMALIZED[gate]
        layers = [
            layer(first["0e"][own], activation=gate),
            layer(last["0e"][self.head : self.head + 1, own] * constant),
        ]
        return self.build.stage("readout", name, {"features": x}, layers=layers)

    def _repulsion(self) -> str:
        state, name = self.state, "pair_repulsion_fn"
        p = float(state.tensors[f"{name}.p"].reshape(-1)[0])
        state.used.add(f"{name}.p")
        return self.build.stage(
            "zbl",
            name,
            weights={"radius": self._radii(name)},
            p=p,
            screening_length=state.number(f"{name}.a_prefactor") * ZBL_BOHR,
            screening_exponent=state.number(f"{name}.a_exp"),
            coefficients=[float(c) for c in state.take(f"{name}.c", len(ZBL_EXPONENTS))],
            exponents=ZBL_EXPONENTS,
        )


def coupling_entries(table: FloatArray, degree: int) -> tuple[Array, FloatArray]:
    """Non-zero entries of a table [2l+1, d, .., d, K], each product of components once."""
    order = table.ndim - 2
    summed = np.zeros_like(table)
    for permuted in itertools.permutations(range(1, order + 1)):
        summed += table.transpose(0, *permuted, order + 1)
    summed /= math.factorial(order)
    found = np.argwhere(np.abs(summed) > 1e-14 * max(np.abs(summed).max(), 1.0))
    # Increasing components, with as many copies as there are distinct orders of them.
    components = found[:, 1 : order + 1]
    found = found[(np.diff(components, axis=1) >= 0).all(1)]
    copies = np.array([len(set(itertools.permutations(row[1 : order + 1]))) for row in found])
    values = summed[tuple(found.T)] * copies if len(found) else np.zeros(0)
    indices = np.concatenate([found[:, :1], found[:, order + 1 :], found[:, 1 : order + 1]], axis=1)
    return indices.astype(np.int32), values


def component_places(irreps: Segments) -> Array:
    """Where components of features stand in the file: blocks by degree, even before odd.

    Parameters
    ----------
    irreps : list of segments
        Each block once, in upstream's order.

    Returns
    -------
    ndarray of int [component]
    """
    blocks = [block_of(degree, parity) for _, degree, parity in irreps]
    first, starts = 0, {}
    for block in sorted(blocks, key=block_order):
        starts[block] = first
        first += 2 * degree_of(block) + 1
    return np.concatenate([starts[b] + np.arange(2 * degree_of(b) + 1) for b in blocks])


def coupling_table(
    features: Segments, degree: int, parity: int, nu: int, *, is_old: bool = True
) -> FloatArray:
    """Couplings of nu features to one irrep, [2l+1, d, .., d, K], as mace-torch enumerates them.

    Features are joined one after the other by Wigner 3j with the norm sqrt(2l+1); couplings are
    ordered by the irreps on the way, odd before even.

    Parameters
    ----------
    features : list of segments
        Irreps of the features; their channels are of no account.
    degree, parity : int
        Of the irrep that they make.
    nu : int
    is_old : bool
        Whether Wigner 3j have the signs of e3nn 0.4, which mace-torch pins.
    """
    w3j_of = e3nn.old_wigner_3j if is_old else wigner_3j
    d = sum(2 * ell + 1 for _, ell, _ in features)
    found: list[tuple[int, int, FloatArray]] = []
    start = 0
    for _, ell, p in features:
        found.append((ell, p, np.eye(d)[start : start + 2 * ell + 1]))
        start += 2 * ell + 1
    for order in range(2, nu + 1):
        joined: list[tuple[int, int, FloatArray]] = []
        for l1, p1, left in found:
            start = 0
            for _, l2, p2 in features:
                where = slice(start, start + 2 * l2 + 1)
                start += 2 * l2 + 1
                for l3 in range(abs(l1 - l2), l1 + l2 + 1):
                    if order == nu and (l3, p1 * p2) != (degree, parity):
                        continue
                    w3j = w3j_of(l3, l1, l2) * math.sqrt(2 * l3 + 1)
                    out = np.zeros((2 * l3 + 1, *[d] * order))
                    out[..., where] = np.einsum(
                        "ijl,jk->ikl", w3j, left.reshape(len(left), -1)
                    ).reshape(2 * l3 + 1, *[d] * (order - 1), 2 * l2 + 1)
                    joined.append((l3, p1 * p2, out))
        found = sorted(joined, key=lambda entry: entry[:2])
    kept = [table for ell, p, table in found if (ell, p) == (degree, parity)]
    if not kept:
        return np.zeros((2 * degree + 1, *[d] * nu, 1))
    return np.stack(kept, axis=-1)


# ---- the command ----


def export_mace(
    tensors: Mapping[str, Array],
    network: MaceNetwork,
    *,
    provenance: Mapping[str, Any],
    species: Sequence[int] | None = None,
    head: str | None = None,
    embedded: Mapping[str, float | None] | None = None,
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
    head : str, optional
        Needed where there are several.
    embedded : mapping, optional
        ``total_charge`` and ``total_spin`` (a multiplicity), where the network embeds them.
    name : str
        What messages call the checkpoint.
    log : callable
        Takes lines for people.
    """
    return MaceExporter(State(tensors, name, IGNORED), network, log).export(
        species, head, provenance, embedded
    )


def read(options: Namespace) -> tuple[dict[str, Array], MaceNetwork, Any]:
    """Read a pickled model, or a state_dict and its configuration; the last is what it states."""
    path: Path = options.checkpoint
    if path.suffix == ".safetensors":
        if options.config is None:
            raise EqnnError(
                f"{path}: a state_dict does not describe the network. "
                "Give its configuration with --config (docs/spec/mace.md)."
            )
        document = read_json_object(options.config, "the JSON file that belongs to the weights")
        network = network_from_config(document, str(options.config))
        return read_checkpoint(path), network, document.get("provenance")
    needs_no_config(options)
    module = unwrapped(read_torch_file(path))
    network = network_from_module(module, str(path))
    return state_dict(module), network, None


def _from_options(options: Namespace, log: Log) -> Model:
    tensors, network, stated = read(options)
    provenance = provenance_of(
        options, upstream="MACE, mace-torch", stated=stated, source=str(options.config)
    )
    if len(network.heads) > 1 and options.head:
        provenance["head"] = options.head
    elements = ", ".join(chemical_symbols[z] for z in network.elements)
    outputs = " then ".join(e3nn.written(spec.outputs) for spec in network.layers)
    log(f"{len(network.layers)} layers, {outputs}; elements {elements}.")
    embedded = {"total_charge": options.charge, "total_spin": options.spin}
    for key, option in mace_embedding.OPTIONS.items():
        if embedded[key] is not None and key not in network.embedded:
            raise EqnnError(
                f"{option}: {options.checkpoint} has no embedding of {key}. Leave the option out."
            )
        if key in network.embedded:
            provenance[key] = embedded[key]
    return export_mace(
        tensors,
        network,
        provenance=provenance,
        species=options.species,
        head=options.head,
        embedded=embedded,
        name=str(options.checkpoint),
        log=log,
    )


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="JSON",
        help="description of the network, if the checkpoint is a state_dict (docs/spec/mace.md)",
    )
    parser.add_argument("--head", type=told, help="the head, if the model has several")
    parser.add_argument(
        "--charge", type=charge, help="charge of the system in e, if energies depend on it"
    )
    parser.add_argument(
        "--spin", type=spin, help="spin multiplicity of the system, if energies depend on it"
    )


UPSTREAM = Upstream(
    name="mace",
    title="MACE (mace-torch)",
    add_options=_add_options,
    export=_from_options,
    verifier=verify.MACE,
)
