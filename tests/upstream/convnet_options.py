# SPDX-License-Identifier: BSD-3-Clause
"""Every switch and word of NequIP's, SevenNet's and Nequix's constructors: followed, or refused.

    make test-upstream-convnets

As mace_options.py does for mace-torch. NequIP's networks are built and pickled without training and
packaging; SevenNet's and Nequix's are saved as their own code saves them, and verified by --verify.
"""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import equinox
import jax
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from nequip.data import AtomicDataDict
from nequip.model import FullNequIPGNNModel
from nequip.utils.global_state import set_global_state
from nequix.model import Nequix, save_model
from sevenn import _const
from sevenn.model_build import build_E3_equivariant_model

from eqnn import cli
from eqnn.errors import EqnnError
from eqnn.export.nequip_package import NequipPackage, PackageExporter
from eqnn.export.torch_file import read_torch_file
from eqnn.library import Potential
from eqnn.model_file import write_model

FOLLOWED = None
PROVENANCE = dict.fromkeys(
    ("upstream", "exporter", "data", "level_of_theory", "licence"), "none: a test"
)
STRUCTURE = Atoms(
    "OHHCH",
    [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0], [1.5, 1.6, 0.9], [2.2, 0.9, 1.6]],
)
SYMBOLS = ["C", "H", "O"]


# ---- NequIP ----

NEQUIP: dict[str, Any] = {
    **{"seed": 1, "model_dtype": "float64", "r_max": 4.0, "type_names": SYMBOLS},
    **{"radial_mlp_depth": [1, 1, 1], "radial_mlp_width": [6, 6, 6], "num_bessels": 4},
    "feature_irreps_hidden": ["4x0e+4x1o+4x2e", "4x0e+4x1o+4x2e", "4x0e"],
    **{"irreps_edge_sh": "1x0e+1x1o+1x2e", "type_embed_num_features": 4},
    **{
        "avg_num_neighbors": 5.0,
        "per_type_energy_shifts": dict(zip(SYMBOLS, [-1.0, -2.0, -3.0], strict=True)),
    },
}
NEQUIP_FLIPS: dict[str, tuple[dict[str, Any], str | None]] = {
    "parity": ({"feature_irreps_hidden": ["4x0e+4x0o+4x1e+4x1o"] * 2 + ["4x0e"]}, FOLLOWED),
    "even": (
        {
            "irreps_edge_sh": "1x0e+1x1e+1x2e",
            "feature_irreps_hidden": ["4x0e+4x1e+4x2e"] * 2 + ["4x0e"],
        },
        FOLLOWED,
    ),
    "readout_mlp_nonlinearity silu": ({"readout_mlp_hidden_layers_depth": 1}, FOLLOWED),
    "readout_mlp_nonlinearity mish": (
        {"readout_mlp_hidden_layers_depth": 1, "readout_mlp_nonlinearity": "mish"},
        FOLLOWED,
    ),
    "readout_mlp_nonlinearity gelu": (
        {"readout_mlp_hidden_layers_depth": 1, "readout_mlp_nonlinearity": "gelu"},
        FOLLOWED,
    ),
    "readout_mlp_nonlinearity ssp": (
        {"readout_mlp_hidden_layers_depth": 1, "readout_mlp_nonlinearity": "ssp"},
        FOLLOWED,
    ),
    "readout_mlp_nonlinearity None": (
        {"readout_mlp_hidden_layers_depth": 1, "readout_mlp_nonlinearity": None},
        FOLLOWED,
    ),
    "per_edge_type_cutoff": (
        {"per_edge_type_cutoff": {"C": 2.0, "H": {"H": 2.0, "C": 4.0, "O": 4.0}, "O": 4.0}},
        FOLLOWED,
    ),
    "avg_num_neighbors": ({"avg_num_neighbors": {"C": 2.0, "H": 3.0, "O": 4.0}}, FOLLOWED),
    "learnable_shift": ({"learnable_shift": True}, FOLLOWED),
    "per_type_energy_scales": (
        {"per_type_energy_scales": {"C": 1.5, "H": 2.0, "O": 0.5}},
        FOLLOWED,
    ),
    "pair_potential": (
        {
            "pair_potential": {
                "_target_": "nequip.nn.pair_potential.ZBL",
                **{"units": "metal", "chemical_species": SYMBOLS},
            }
        },
        FOLLOWED,
    ),
    "convnet_sc": ({"convnet_sc": False}, FOLLOWED),
    "convnet_resnet": (
        {"convnet_resnet": True, "feature_irreps_hidden": ["4x0e+4x1o+4x2e"] * 2 + ["4x0e"]},
        FOLLOWED,
    ),
    "convnet_nonlinearity_type": (
        {"convnet_nonlinearity_type": "norm"},
        FOLLOWED,
    ),
    "convnet_nonlinearity_type tanh": (
        {
            "convnet_nonlinearity_type": "norm",
            "convnet_nonlinearity_scalars": {"e": "tanh", "o": "tanh"},
        },
        FOLLOWED,
    ),
    "convnet_nonlinearity_type abs": (
        {
            "convnet_nonlinearity_type": "norm",
            "convnet_nonlinearity_scalars": {"e": "abs", "o": "tanh"},
        },
        FOLLOWED,
    ),
    "convnet_nonlinearity_type ssp": (
        {
            "convnet_nonlinearity_type": "norm",
            "convnet_nonlinearity_scalars": {"e": "ssp", "o": "tanh"},
        },
        FOLLOWED,
    ),
    "convnet_nonlinearity_scalars": (
        {"convnet_nonlinearity_scalars": {"e": "tanh", "o": "tanh"}},
        FOLLOWED,
    ),
    "convnet_nonlinearity_scalars ssp": (
        {"convnet_nonlinearity_scalars": {"e": "ssp", "o": "tanh"}},
        FOLLOWED,
    ),
    "convnet_nonlinearity_gates": (
        {"convnet_nonlinearity_gates": {"e": "tanh", "o": "tanh"}},
        FOLLOWED,
    ),
    "convnet_nonlinearity_gates abs": (
        {"convnet_nonlinearity_gates": {"e": "abs", "o": "tanh"}},
        FOLLOWED,
    ),
    "polynomial_cutoff_p": ({"polynomial_cutoff_p": 4}, FOLLOWED),
}
NEQUIP_WITHOUT_EFFECT: dict[str, tuple[dict[str, Any], str | None]] = {
    "bessel_trainable": ({"bessel_trainable": True}, FOLLOWED),
    "per_type_energy_shifts_trainable": ({"per_type_energy_shifts_trainable": True}, FOLLOWED),
    "per_type_energy_scales_trainable": (
        {
            "per_type_energy_scales": dict.fromkeys(SYMBOLS, 1.0),
            "per_type_energy_scales_trainable": True,
        },
        FOLLOWED,
    ),
    "do_derivatives": ({"do_derivatives": False}, "do_derivatives: False, expected True"),
}


def nequip_model(**changes: Any) -> torch.nn.Module:
    set_global_state()
    model: torch.nn.Module = FullNequIPGNNModel(**(NEQUIP | changes))
    return model.double().eval()


def nequip_energy(model: torch.nn.Module) -> float:
    torch.set_default_dtype(torch.float64)
    i, j, shift = neighbor_list("ijS", STRUCTURE, 4.0)
    types = [SYMBOLS.index(symbol) for symbol in STRUCTURE.get_chemical_symbols()]
    given = {
        AtomicDataDict.POSITIONS_KEY: torch.tensor(STRUCTURE.positions),
        AtomicDataDict.EDGE_INDEX_KEY: torch.tensor(np.stack([i, j])),
        AtomicDataDict.ATOM_TYPE_KEY: torch.tensor(types),
        AtomicDataDict.CELL_KEY: 100.0 * torch.eye(3)[None],
        AtomicDataDict.EDGE_CELL_SHIFT_KEY: torch.tensor(shift.astype(float)),
    }
    return float(model(given)["total_energy"].detach())


def nequip_exported(model: torch.nn.Module, folder: Path) -> float:
    """Energy of the exported network by the engine."""
    torch.save(torch.nn.ModuleDict({"sole_model": model}), folder / "m.pt")
    package = NequipPackage(read_torch_file(folder / "m.pt"), {}, "m.nequip.zip")
    made = PackageExporter(package, lambda line: None).export(1.0, None, PROVENANCE)
    write_model(folder / "m.eqnn", made.document, made.tensors)
    with Potential(folder / "m.eqnn", "double") as potential:
        return potential.evaluate(STRUCTURE.numbers, STRUCTURE.positions).energy


def holds(model: torch.nn.Module, refusal: str | None, folder: Path) -> None:
    if refusal is None:
        expected = nequip_energy(model)
        assert abs(nequip_exported(model, folder) - expected) <= 1e-10 * (1.0 + abs(expected))
        return
    with pytest.raises(EqnnError) as caught:
        nequip_exported(model, folder)
    assert refusal in str(caught.value)


@pytest.mark.parametrize("option", NEQUIP_FLIPS)
def test_an_option_of_nequip_that_matters(option: str, tmp_path: Path) -> None:
    changes, refusal = NEQUIP_FLIPS[option]
    model = nequip_model(**changes)
    assert abs(nequip_energy(model) - nequip_energy(nequip_model())) > 1e-8
    holds(model, refusal, tmp_path)


@pytest.mark.parametrize("option", NEQUIP_WITHOUT_EFFECT)
def test_an_option_of_nequip_that_changes_nothing(option: str, tmp_path: Path) -> None:
    changes, refusal = NEQUIP_WITHOUT_EFFECT[option]
    model = nequip_model(**changes)
    assert abs(nequip_energy(model) - nequip_energy(nequip_model())) <= 1e-12
    holds(model, refusal, tmp_path)


def words_of(function: Callable[..., Any]) -> set[str]:
    """Names of arguments that are switches or words, by annotation and default."""
    found = set()
    for name, parameter in inspect.signature(function).parameters.items():
        if isinstance(parameter.default, bool | str) or "bool" in str(parameter.annotation):
            found.add(name)
    return found


def test_every_switch_and_word_of_nequip_is_here() -> None:
    flips = NEQUIP_FLIPS | NEQUIP_WITHOUT_EFFECT
    tested = {key for changes, _ in flips.values() for key in changes}
    assert words_of(FullNequIPGNNModel) <= tested


# ---- SevenNet ----

SEVENNET: dict[str, Any] = {
    **copy.deepcopy(_const.DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG),
    **{"cutoff": 4.0, "channel": 4, "lmax": 2, "num_convolution_layer": 3},
    **{"weight_nn_hidden_neurons": [6], "conv_denominator": 5.0, "version": "0.13.0"},
    **{"_type_map": {6: 0, 1: 1, 8: 2}, "_number_of_species": 3, "shift": -1.5, "scale": 1.25},
    **{"_model_type": "E3_equivariant_model", "_number_of_modalities": 2},
    **{"_modal_map": {"a": 0, "b": 1}, "chemical_species": ["C", "H", "O"]},
}
MODAL = {
    **{"use_modality": True, "use_modal_wise_shift": True, "use_modal_wise_scale": False},
    **{"shift": [[-1.0, -2.0, -3.0], [-2.0, -3.0, -4.0]], "scale": [1.0, 1.5, 2.0]},
}
WITH_ODD = ["4x0e", "4x0e+4x1o+4x2e", "4x0e+4x1o+4x1e", "4x0e"]
SEVENNET_FLIPS: dict[str, tuple[dict[str, Any], str | None]] = {
    "is_parity": ({"is_parity": False}, FOLLOWED),
    "lmax_edge": ({"lmax_edge": 1}, FOLLOWED),
    "radial_basis": (
        {
            "radial_basis": {
                **{"radial_basis_name": "bessel", "bessel_basis_num": 5},
                "trainable_coeff": False,
            }
        },
        FOLLOWED,
    ),
    "cutoff_function": (
        {"cutoff_function": {"cutoff_function_name": "XPLOR", "cutoff_on": 2.0}},
        FOLLOWED,
    ),
    "poly_cut_p_value": (
        {"cutoff_function": {"cutoff_function_name": "poly_cut", "poly_cut_p_value": 4}},
        FOLLOWED,
    ),
    **{
        f"act_radial {name}": (
            {"act_radial": name},
            FOLLOWED if name in ("tanh", "ssp") else f"act_radial is {name}, expected silu",
        )
        for name in _const.ACTIVATION
        if name != "silu"
    },
    "act_scalar ssp": (
        {"act_scalar": {"e": "ssp", "o": "tanh"}},
        FOLLOWED,
    ),
    "act_scalar abs": (
        {"act_scalar": {"e": "silu", "o": "abs"}, "irreps_manual": WITH_ODD},
        "act_scalar of parity o is abs, expected silu, tanh, ssp (odd: tanh)",
    ),
    "act_gate ssp": (
        {"act_gate": {"e": "ssp", "o": "tanh"}},
        FOLLOWED,
    ),
    "irreps_manual": ({"irreps_manual": WITH_ODD}, FOLLOWED),
    "irreps_manual that nothing makes": (
        {"irreps_manual": ["4x0e", "4x0e+4x0o+4x1o", "4x0e+4x1o", "4x0e"]},
        "layer 0 makes 4x0e+4x0o+4x1o, but nothing leads to 0o: it stays zero",
    ),
    "use_bias_in_linear": ({"use_bias_in_linear": True}, FOLLOWED),
    "readout_as_fcn": (
        {
            **{"readout_as_fcn": True, "readout_fcn_activation": "silu"},
            "readout_fcn_hidden_neurons": [5],
        },
        FOLLOWED,
    ),
    **{
        f"readout_fcn_activation {name}": (
            {
                **{"readout_as_fcn": True, "readout_fcn_activation": name},
                "readout_fcn_hidden_neurons": [5],
            },
            FOLLOWED
            if name in ("tanh", "ssp")
            else f"readout_fcn_activation is {name}, expected silu",
        )
        for name in _const.ACTIVATION
        if name != "silu"
    },
    "self_connection_type": ({"self_connection_type": "linear"}, FOLLOWED),
    "self_connection_type of each": (
        {"self_connection_type": ["nequip", "linear", "nequip"]},
        FOLLOWED,
    ),
    "_normalize_sph": ({"_normalize_sph": False}, FOLLOWED),
    **{
        key: ({**MODAL, key: True}, FOLLOWED)
        for key in (
            *("use_modal_node_embedding", "use_modal_self_inter_intro"),
            *("use_modal_self_inter_outro", "use_modal_output_block"),
        )
    },
}
SEVENNET_WITHOUT_EFFECT: dict[str, tuple[dict[str, Any], str | None]] = {
    "train_shift_scale": ({"train_shift_scale": True}, FOLLOWED),
    "train_denominator": ({"train_denominator": True}, FOLLOWED),
    # Accelerators, which fall back where there is no GPU.
    "use_flash_tp": ({"use_flash_tp": True}, FOLLOWED),
    "use_oeq": ({"use_oeq": True}, FOLLOWED),
}
# There is but one word that upstream takes; or the number that it stands for is in the weights.
SEVENNET_SETTLED = ("interaction_type", "conv_denominator")


def sevennet_model(**changes: Any) -> tuple[torch.nn.Module, dict[str, Any]]:
    torch.set_default_dtype(torch.float64)
    config = copy.deepcopy(SEVENNET | changes)
    torch.manual_seed(7)
    model: torch.nn.Module = build_E3_equivariant_model(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter += torch.randn_like(parameter)
    return model, config


def sevennet_words(model: torch.nn.Module, config: dict[str, Any], folder: Path) -> list[str]:
    path = folder / "m.pth"
    torch.save({"config": config, "model_state_dict": model.state_dict()}, path)
    words = ["export", "sevennet", "--checkpoint", str(path), "--output", str(folder / "m.eqnn")]
    words += ["--modality", "b"] if config.get("use_modality") else []
    return [*words, "--force"]


def runs(words: list[str], refusal: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main([*words, "--verify"])
    ran = capsys.readouterr()
    if refusal is None:
        assert status == 0 and "  Verified with " in ran.out, ran
    else:
        assert status == 1 and "--verify" not in ran.err and refusal in ran.err, ran


@pytest.mark.parametrize("option", SEVENNET_FLIPS)
def test_an_option_of_sevennet(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, refusal = SEVENNET_FLIPS[option]
    model, config = sevennet_model(**changes)
    runs(sevennet_words(model, config, tmp_path), refusal, capsys)


@pytest.mark.parametrize("option", SEVENNET_WITHOUT_EFFECT)
def test_an_option_of_sevennet_that_changes_nothing(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, refusal = SEVENNET_WITHOUT_EFFECT[option]
    model, config = sevennet_model(**changes)
    runs(sevennet_words(model, config, tmp_path), refusal, capsys)


def test_a_checkpoint_of_single_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, config = sevennet_model()
    runs(sevennet_words(model.float(), config, tmp_path), FOLLOWED, capsys)


def test_every_switch_and_word_of_sevennet_is_here() -> None:
    flips = SEVENNET_FLIPS | SEVENNET_WITHOUT_EFFECT
    tested = {key for changes, _ in flips.values() for key in changes}
    for key, value in _const.DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG.items():
        if isinstance(value, bool | str | dict) and key != "cuequivariance_config":
            assert key in tested or key in SEVENNET_SETTLED, key
    assert _const.IMPLEMENTED_INTERACTION_TYPE == ["nequip"]
    assert _const.IMPLEMENTED_RADIAL_BASIS == ["bessel"]
    assert _const.IMPLEMENTED_CUTOFF_FUNCTION == ["poly_cut", "XPLOR"]
    assert _const.IMPLEMENTED_SELF_CONNECTION_TYPE == ["nequip", "linear"]


# ---- Nequix ----

NEQUIX: dict[str, Any] = {
    **{"lmax": 2, "cutoff": 4.0, "hidden_irreps": "4x0e+4x1o+2x2e", "n_layers": 3},
    **{"radial_basis_size": 4, "radial_mlp_size": 5, "radial_mlp_layers": 2},
    **{"radial_polynomial_p": 6.0, "mlp_init_scale": 4.0, "index_weights": True},
    **{"shift": 0.5, "scale": 1.5, "avg_n_neighbors": 6.0, "layer_norm": False},
}
NEQUIX_FLIPS = {
    "as it is": {},
    "index_weights": {"index_weights": False},
    "layer_norm": {"layer_norm": True},
}
# Needs a GPU's library, and stands for the same network.
NEQUIX_NOT_HERE = {"kernel"}


@pytest.mark.parametrize("option", NEQUIX_FLIPS)
def test_an_option_of_nequix(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jax.config.update("jax_enable_x64", False)
    given = NEQUIX | NEQUIX_FLIPS[option]
    model = Nequix(key=jax.random.key(0), n_species=3, **given)
    rng = np.random.default_rng(3)
    model = jax.tree.map(
        lambda leaf: (
            leaf + rng.normal(size=leaf.shape).astype(np.float32)
            if equinox.is_array(leaf)
            else leaf
        ),
        model,
    )
    path = tmp_path / "m.nqx"
    save_model(str(path), model, given | {"atomic_numbers": [1, 6, 8]})
    words = ["export", "nequix", "--checkpoint", str(path), "--output", str(tmp_path / "m.eqnn")]
    runs(words, FOLLOWED, capsys)


def test_every_switch_and_word_of_nequix_is_here() -> None:
    tested = {key for changes in NEQUIX_FLIPS.values() for key in changes} | NEQUIX_NOT_HERE
    assert words_of(Nequix.__init__) - {"hidden_irreps"} <= tested


# ---- golden checkpoints ----

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


@pytest.mark.parametrize(
    "words",
    [
        ["sevennet", "pretrained/sevennet_cp0.pth"],
        ["sevennet", "exporters/sevennet_omni_univ.pth", "--modality", "mpa", "--species", "H,C,O"],
        ["sevennet", "exporters/sevennet_growing.pth"],
        ["sevennet", "exporters/sevennet_cueq.pth"],
        ["nequix", "pretrained/nequix_norm.nqx"],
        ["nequix", "pretrained/nequix_torch.pt"],
        ["nequix", "pretrained/nequix_indexed.nqx"],
        ["nequip", "exporters/nequip_nequip_0.14_plain.nequip.zip", "--energy-unit", "kcal/mol"],
    ],
    ids=lambda words: Path(words[1]).stem,
)
def test_golden_checkpoints_verify(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream, file, *more = words
    given = ["export", upstream, "--checkpoint", str(GOLDEN / file), *more]
    runs([*given, "--output", str(tmp_path / "m.eqnn")], FOLLOWED, capsys)
