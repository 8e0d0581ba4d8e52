# SPDX-License-Identifier: BSD-3-Clause
"""Exporters of MACE and MACE-Gaunt against numbers of upstream's code."""

from __future__ import annotations

import copy
import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.data import covalent_radii
from eqnn_models import (
    EXPORTERS,
    MACE,
    MACE_GAUNT,
    PRETRAINED,
    PROVENANCE,
    assert_as_golden,
    golden_atoms,
    max_error,
    refusal,
)
from safetensors.numpy import load_file

from eqnn.export import mace, mace_gaunt
from eqnn.export.checkpoint import State
from eqnn.export.e3nn import old_wigner_3j
from eqnn.export.mace import coupling_table, export_mace, network_from_config, network_from_module
from eqnn.export.mace_gaunt import export_mace_gaunt
from eqnn.export.torch_file import Stub, _stub_class, read_torch_file, state_dict, submodules
from eqnn.info import cutoff_defects, describe
from eqnn.model_file import Array, Model
from eqnn.numpy_evaluator import edges_of, energy, forces, run

RANDOM = ("mace_l2c2", "mace_l3c3")
GAUNT = ("mg_l2_h8_c2", "mg_l3_h8_c3", "mg_l2_h8_c3_b3")
PICKLED = {
    "mace_acac.pt": ("md300_0", "md300_400_flipped", "acac3_pbc", "acac1_pbc_small", "isolated_h"),
    "mace_tutorial.model": ("ethanol_md0", "ethanol8_pbc", "solvent_idx40"),
}


def state(name: str = "mace_l2c2", folder: Path = MACE) -> dict[str, Array]:
    return dict(load_file(folder / f"{name}.weights.safetensors"))


def document(name: str = "mace_l2c2", folder: Path = MACE) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.config.json").read_text())
    return found


def export(
    tensors: dict[str, Array] | None = None,
    config: dict[str, Any] | None = None,
    log: list[str] | None = None,
    **options: Any,
) -> Model:
    lines = [] if log is None else log
    return export_mace(
        state() if tensors is None else tensors,
        network_from_config(document() if config is None else config, "c.json"),
        provenance=PROVENANCE,
        name="w.safetensors",
        log=lines.append,
        **options,
    )


def export_gaunt(
    name: str = GAUNT[0],
    tensors: dict[str, Array] | None = None,
    config: dict[str, Any] | None = None,
    **options: Any,
) -> Model:
    return export_mace_gaunt(
        state(name, MACE_GAUNT) if tensors is None else tensors,
        mace_gaunt.network_from_config(config or document(name, MACE_GAUNT), "c.json"),
        provenance=PROVENANCE,
        name="w.safetensors",
        log=lambda line: None,
        **options,
    )


def pickled(name: str = "mace_acac.pt") -> Stub:
    module = read_torch_file(PRETRAINED / name)
    assert isinstance(module, Stub)
    return module


def export_pickled(module: Stub, log: list[str] | None = None, **options: Any) -> Model:
    lines = [] if log is None else log
    return export_mace(
        state_dict(module),
        network_from_module(module, "m.model"),
        provenance=PROVENANCE,
        name="m.model",
        log=lines.append,
        **options,
    )


# ---- numbers ----


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["3bpa0", "pbc16"])
@pytest.mark.parametrize("name", RANDOM)
def test_random_networks_equal_upstream(name: str, kind: str) -> None:
    model = export(state(name), document(name))
    assert model.document["parity"] == "o3"
    assert model.document["equivariance"]["exact"]
    assert_as_golden(model, MACE / f"{name}.{kind}.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["3bpa0", "pbc16"])
@pytest.mark.parametrize("name", GAUNT)
def test_random_mace_gaunt_equals_upstream(name: str, kind: str) -> None:
    model = export_gaunt(name)
    assert model.document["equivariance"] == {"exact": True, "defect": 0.0}
    assert_as_golden(model, MACE_GAUNT / f"{name}.{kind}.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("name", PICKLED)
def test_pickled_models_equal_upstream_without_torch(name: str) -> None:
    log: list[str] = []
    model = export_pickled(pickled(name), log)
    assert model.document["equivariance"]["exact"]  # tables of single precision were made again
    assert any("products of features in" in line for line in log)
    for structure in PICKLED[name]:
        golden = PRETRAINED / f"{Path(name).stem}.{structure}.safetensors"
        assert_as_golden(model, golden)


@pytest.mark.slow
def test_all_force_components_of_a_pickled_model_equal_upstream() -> None:
    golden = load_file(PRETRAINED / "mace_acac.md300_0.safetensors")
    found = forces(export_pickled(pickled()), golden_atoms(golden))
    assert max_error(found, golden["forces"]) <= 1e-9


def test_a_subset_of_the_elements_has_the_same_energies() -> None:
    golden = load_file(MACE / "mace_l2c2.3bpa0.safetensors")
    atoms = golden_atoms(golden)
    some = atoms[np.isin(atoms.numbers, [1, 6])]
    subset = export(species=[6, 1])
    assert subset.document["species"] == [1, 6]
    assert subset.n_parameters < export().n_parameters
    assert abs(energy(subset, some) - energy(export(), some)) <= 1e-9


@pytest.mark.slow
def test_wigner_3j_has_the_signs_of_e3nn_0_4() -> None:
    for *place, value in json.loads((MACE / "wigner_3j.json").read_text()):
        l1, l2, l3, i, j, k = map(int, place)
        assert abs(old_wigner_3j(l1, l2, l3)[i, j, k] - value) <= 1e-13
        assert abs(old_wigner_3j(l3, l1, l2)[k, i, j] - value) <= 1e-13


def test_tables_are_made_as_mace_torch_makes_them() -> None:
    tensors = state()
    harmonics = [(1, degree, (-1) ** degree) for degree in range(3)]
    for c, degree in ((0, 0), (1, 1)):
        prefix = f"products.0.symmetric_contractions.contractions.{c}"
        for nu in (1, 2):
            stored = tensors[f"{prefix}.U_matrix_{nu}"]
            made = coupling_table(harmonics, degree, (-1) ** degree, nu)
            assert max_error(made, stored if degree else stored[None]) <= 1e-14


def test_a_model_without_tables_is_the_same() -> None:
    tensors = {key: value for key, value in state().items() if "U_matrix" not in key}
    found, expected = export(tensors), export()
    assert found.document["graph"] == expected.document["graph"]
    for key, value in expected.tensors.items():
        assert max_error(found.tensors[key], value) <= 1e-13, key


def test_a_table_of_another_kind_is_taken_as_it_is() -> None:
    tensors = state()
    key = "products.0.symmetric_contractions.contractions.0.U_matrix_2"
    tensors[key] = (tensors[key] * 1.001).astype(np.float32)
    log: list[str] = []
    model = export(tensors, log=log)
    assert f"{key} is not the table of mace-torch: taken as it is, in single precision." in log
    golden = golden_atoms(load_file(MACE / "mace_l2c2.3bpa0.safetensors"))
    assert abs(energy(model, golden) - energy(export(), golden)) > 1e-6


def test_each_layer_has_the_stages_that_it_needs() -> None:
    ops = [stage["op"] for stage in export().document["graph"]]
    assert ops.count("edge_tensor_product") == 2
    assert ops.count("species_linear") == 1  # the first layer's is a table of species
    assert ops.count("species_embedding") == 2
    ops = [
        stage["op"] for stage in export_pickled(pickled("mace_tutorial.model")).document["graph"]
    ]
    assert ops.count("species_linear") == 2  # of the messages, and the second layer's residual


def test_products_that_know_no_elements() -> None:
    tensors = state()
    for k in range(2):
        for key in [key for key in tensors if key.startswith(f"products.{k}.symmetric")]:
            if "weights" in key:
                tensors[key] = tensors[key][:1]
    once = export(tensors)
    for key in [key for key in tensors if key.startswith("products.") and "weights" in key]:
        if "symmetric" in key:
            tensors[key] = np.repeat(tensors[key], 4, axis=0)
    assert once.sha256 == export(tensors).sha256


def test_a_contraction_without_weights_is_refused_unless_it_is_zero() -> None:
    prefix = "products.0.symmetric_contractions.contractions.0"
    tensors = changed(f"{prefix}.weights.0", None)
    assert f'tensor "{prefix}.weights.0" is missing' in refusal(lambda: export(tensors))
    tensors[f"{prefix}.U_matrix_1"] = np.zeros((9, 1))
    without = export(tensors)
    terms = next(s for s in without.document["graph"] if s["op"] == "symmetric_contraction")
    assert len(terms["terms"]) == 3
    # There is no way to make a pseudoscalar of one feature.
    table = coupling_table([(1, degree, (-1) ** degree) for degree in range(3)], 0, -1, 1)
    assert table.shape == (1, 9, 1) and not table.any()


def test_a_network_that_reads_out_its_last_layer_alone() -> None:
    tensors = {k: v for k, v in state().items() if not k.startswith("readouts.0.")}
    tensors = {k.replace("readouts.1.", "readouts.0."): v for k, v in tensors.items()}
    model = export(tensors)
    assert model.document["graph"][-1]["inputs"]["terms"] == ["readouts.0"]
    readout = model.document["graph"][-2]
    assert readout["op"] == "readout" and len(readout["layers"]) == 2
    assert readout["inputs"]["features"] == "products.1"


# ---- heads ----


def two_heads() -> tuple[dict[str, Array], dict[str, Any]]:
    """Make a network whose first head is the golden one and whose second differs in every part."""
    rng = np.random.default_rng(4)
    tensors, config = state(), document()
    config["config"]["heads"] = ["a", "b"]
    del config["config"]["scale"], config["config"]["shift"]
    for key in ("scale_shift.scale", "scale_shift.shift"):
        tensors[key] = np.array([tensors[key], 3.0])
    energies = tensors["atomic_energies_fn.atomic_energies"]
    tensors["atomic_energies_fn.atomic_energies"] = np.stack([energies, energies + 1.0])
    linear = tensors["readouts.0.linear.weight"]
    pair = np.stack([linear, rng.normal(size=16)], axis=1)
    tensors["readouts.0.linear.weight"] = pair.reshape(-1)
    first = tensors["readouts.1.linear_1.weight"].reshape(16, 16)
    both = np.concatenate([first, rng.normal(size=(16, 16))], axis=1)
    tensors["readouts.1.linear_1.weight"] = both.reshape(-1)
    last = np.zeros((32, 2))
    last[:16, 0] = tensors["readouts.1.linear_2.weight"] * np.sqrt(2.0)  # of 1/sqrt(32)
    last[16:, 1] = rng.normal(size=16)
    last[16:, 0] = 7.0  # masked upstream
    tensors["readouts.1.linear_2.weight"] = last.reshape(-1)
    return tensors, config


def test_the_chosen_head_has_its_own_part_of_everything() -> None:
    log: list[str] = []
    tensors, config = two_heads()
    model = export(tensors, config, log, head="a")
    assert "Head a of a, b." in log
    assert_as_golden(model, MACE / "mace_l2c2.3bpa0.safetensors")
    other = export(tensors, config, head="b")
    assert other.document["energy"]["scale"] == 3.0
    change = np.subtract(
        other.document["energy"]["reference"], model.document["energy"]["reference"]
    )
    assert max_error(change, np.ones(4)) <= 1e-9
    assert other.tensors["readouts.1/layers/1/weight"].shape == (1, 16)


def test_a_head_must_be_chosen_and_exist() -> None:
    tensors, config = two_heads()
    text = refusal(lambda: export(tensors, config))
    assert text == "w.safetensors: has 2 heads: a, b. Choose one with --head."
    text = refusal(lambda: export(tensors, config, head="c"))
    assert text == "--head c: w.safetensors has a, b. Choose one of them."
    text = refusal(lambda: export(state(), document(), head="c"))
    assert text == "--head c: w.safetensors has one head, Default. Leave the option out."


@pytest.mark.slow
@pytest.mark.parametrize("head", ["pbe", "ccsd"])
def test_heads_repulsion_and_three_layers_equal_upstream(head: str) -> None:
    """Also another correlation in each layer, and couplings that are made, not stored."""
    model = export(state("mace_heads"), document("mace_heads"), head=head)
    assert_as_golden(model, MACE / f"mace_heads.{head}.pbc9.safetensors")
    atoms = golden_atoms(load_file(MACE / f"mace_heads.{head}.pbc9.safetensors"))
    edges = edges_of(atoms, model.document["cutoff"])
    assert run(model, atoms.numbers, edges)["pair_repulsion_fn"].max() > 0.01


def test_a_network_of_one_layer_without_scale_equals_upstream() -> None:
    model = export(state("mace_plain"), document("mace_plain"))
    assert_as_golden(model, MACE / "mace_plain.pbc9.safetensors")


def test_correlations_of_each_layer_are_held_against_the_weights() -> None:
    config = document("mace_heads")
    config["config"]["correlation"] = [3, 3, 1]
    text = refusal(lambda: export(state("mace_heads"), config, head="pbe"))
    assert "correlation is 2, but the configuration says 3" in text


# ---- attention blocks ----


def attention() -> dict[str, Array]:
    module = read_torch_file(EXPORTERS / "mace_attention.model")
    return dict(state_dict(module))


ATTENTION_BLOCK = "RealAgnosticAttResidualInteractionBlock"
ATTENTION = {
    "elements": [1, 6, 8, 14],
    "e3nn": "0.4.4",
    "config": {
        **{"max_ell": 2, "num_interactions": 3, "hidden": "6x0e+6x1o+6x2e", "avg": 11.0},
        **{"first": ATTENTION_BLOCK, "inter": ATTENTION_BLOCK},
        "radial_MLP": [16, 16],  # upstream's block ignores it
    },
}


def test_attention_blocks_of_a_state_dict_equal_upstream() -> None:
    model = export(attention(), ATTENTION)
    assert_as_golden(model, EXPORTERS / "mace_attention.molecule.safetensors")
    ops = [stage["op"] for stage in model.document["graph"]]
    assert ops.count("edge_network_product") == 2
    assert ops.count("edge_tensor_product") == 1  # of the first layer, whose weights are a table
    told = "the cutoff energies jump where a pair crosses it (radial functions with a bias after"
    assert told in " ".join(describe(model).split())


def test_weights_with_an_envelope_of_their_own_end_at_the_cutoff() -> None:
    name = "mace_attention_output_cutoff"
    model = export_pickled(read_torch_file(EXPORTERS / f"{name}.model"))
    assert cutoff_defects(model) == []
    assert cutoff_defects(export(attention(), ATTENTION)) == [
        "radial functions with a bias after the envelope",
        "weights of edges that depend on both atoms, without an envelope",
    ]


@pytest.mark.parametrize("k", [0, 1])
def test_attention_blocks_that_do_not_fit(k: int) -> None:
    tensors = attention()
    key = f"interactions.{k}.conv_tp_weights.layer0.weight"
    tensors[key] = tensors[key][:-1]
    text = refusal(lambda: export(tensors, ATTENTION))
    assert text == (
        f"w.safetensors: interactions.{k}.conv_tp_weights: the first layer takes 133 numbers, "
        "expected 6 of the basis and 64 of each atom. The checkpoint is damaged: get it again."
    )
    tensors = attention()
    key = f"interactions.{k}.linear_down.weight"
    tensors[key] = tensors[key][:-1]
    text = refusal(lambda: export(tensors, ATTENTION))
    assert f"interactions.{k}.linear_down: 383 weights, expected 378 of a layer from 6x0e" in text
    del tensors[key]
    text = refusal(lambda: export(tensors, ATTENTION))
    assert f'w.safetensors: tensor "{key}" is missing' in text
    tensors = attention()
    key = f"interactions.{k}.conv_tp_weights.layer3.weight"
    tensors[key] = tensors[key][:, :-1]
    text = refusal(lambda: export(tensors, ATTENTION))
    assert f"interactions.{k}.conv_tp_weights: {tensors[key].shape[1]} outputs, expected " in text


# ---- repulsion ----


def test_repulsion_becomes_a_stage() -> None:
    tensors = state()
    tensors["pair_repulsion_fn.c"] = np.array([0.1818, 0.5099, 0.2802, 0.02817])
    tensors["pair_repulsion_fn.p"] = np.array(5, dtype=np.int32)
    tensors["pair_repulsion_fn.a_exp"] = np.array(0.3)
    tensors["pair_repulsion_fn.a_prefactor"] = np.array(0.4543)
    tensors["pair_repulsion_fn.covalent_radii"] = covalent_radii.astype(np.float32)
    model = export(tensors)
    stage = next(s for s in model.document["graph"] if s["op"] == "zbl")
    assert stage["p"] == 5.0
    assert abs(stage["screening_length"] - 0.4543 * 0.529) <= 1e-15
    assert max_error(model.tensors["pair_repulsion_fn/radius"], [0.31, 0.76, 0.71, 0.66]) <= 1e-15
    assert model.document["graph"][-1]["inputs"]["terms"][-1] == "pair_repulsion_fn"


# ---- refusals ----


def with_config(**changes: Any) -> dict[str, Any]:
    out = document()
    out["config"] |= changes
    return {**out, "config": {k: v for k, v in out["config"].items() if v is not None}}


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": (with_config(dropout=0.1), "c.json: /config/dropout: unknown key; it may change"),
    "gate": (with_config(gate="relu"), 'c.json: /config/gate: found "relu", expected silu, tanh'),
    "missing": (with_config(avg=None), 'c.json: /config: key "avg" is missing, expected a number'),
    "type": (with_config(max_ell="2"), "c.json: /config/max_ell: found '2', expected a degree"),
    "bool": (with_config(max_ell=True), "c.json: /config/max_ell: found True, expected a degree"),
    "irreps": (with_config(hidden="16x"), "/config/hidden: found 16x, expected irreps as in 128x0"),
    "no config": ({"elements": [1]}, 'c.json: key "config" is missing, expected an object with'),
    "no elements": (
        {k: v for k, v in document().items() if k != "elements"},
        'c.json: key "elements" is missing, expected atomic numbers',
    ),
    "cutoff": (with_config(r_max=5.0), "r_max is 4.5, but the configuration says 5.0"),
    "bessel": (with_config(num_bessel=8), "num_bessel is 6, but the configuration says 8"),
    "p": (with_config(num_polynomial_cutoff=6), "num_polynomial_cutoff is 5, but the config"),
    "correlation": (with_config(correlation=3), "correlation is 2, but the configuration says 3"),
    "scale": (with_config(scale=2.0), "scale is 0.8, but the configuration says 2.0"),
    "block": (
        with_config(inter="RealAgnosticOtherInteractionBlock"),
        "interactions.1: RealAgnosticOtherInteractionBlock has no stage.\nBlocks",
    ),
    "width": (with_config(hidden="8x0e+8x1o"), "weights, expected 32 of a layer from 4x0e to 8x0"),
    "hidden": (
        with_config(hidden="16x0e"),
        "weights, expected 256 of a layer from 16x0e to 16x0e",
    ),
    "l_max": (with_config(max_ell=3), "interactions.0.conv_tp_weights: 48 outputs, expected 64"),
}


@pytest.mark.parametrize("fault", CONFIGS)
def test_configurations_that_do_not_fit(fault: str) -> None:
    config, expected = CONFIGS[fault]
    assert expected in refusal(lambda: export(config=config))


def changed(key: str, value: Array | None) -> dict[str, Array]:
    tensors = state()
    if value is None:
        del tensors[key]
    else:
        tensors[key] = value
    return tensors


UP = "interactions.1.linear_up.weight"
STATES: dict[str, tuple[dict[str, Array], str]] = {
    "missing": (changed(UP, None), f'w.safetensors: tensor "{UP}" is missing'),
    "size": (changed(UP, np.zeros(3)), "interactions.1.linear_up: 3 weights, expected 512"),
    "NaN": (changed(UP, np.full(512, np.nan)), f'"{UP}" holds NaN or infinity'),
    "type": (changed(UP, np.zeros(512, dtype=np.float16)), f'"{UP}" has type float16, expected'),
    "extra": (
        changed("interactions.0.density_fn.layer0.weight", np.ones((6, 1))),
        '1 tensor(s) belong to no part that this exporter knows: "interactions.0.density_fn',
    ),
    "bias": (
        changed("interactions.0.linear_up.bias", np.ones(16)),
        '1 tensor(s) belong to no part that this exporter knows: "interactions.0.linear_up.bias"',
    ),
    "number": (
        changed("radial_embedding.bessel_fn.prefactor", np.ones(2)),
        '"radial_embedding.bessel_fn.prefactor" has shape [2], expected one number',
    ),
    "shape": (
        changed("products.0.symmetric_contractions.contractions.0.weights.0", np.ones((4, 2, 16))),
        'contractions.0.weights.0" has shape [4, 2, 16], expected [any, 1, 16]',
    ),
    "radial": (
        changed("interactions.0.conv_tp_weights.layer1.weight", np.ones((31, 32))),
        "interactions.0.conv_tp_weights: layer 1 has shape [31, 32] after [6, 32], expected",
    ),
    "readout": (
        changed("readouts.1.linear_mid.weight", np.ones((16, 16))),
        'tensor "readouts.1.linear_mid.bias" is missing',
    ),
    "correlation": (
        {
            **state(),
            **{
                f"products.0.symmetric_contractions.contractions.0.U_matrix_{nu}": np.ones(nu)
                for nu in (3, 4, 5)
            },
        },
        "products.0.symmetric_contractions.contractions.0: correlation 5, expected 1 to 4",
    ),
}


@pytest.mark.parametrize("fault", STATES)
def test_state_dicts_that_do_not_fit(fault: str) -> None:
    tensors, expected = STATES[fault]
    config = with_config(correlation=None)
    assert expected in refusal(lambda: export(tensors, config))


def test_elements_that_the_network_does_not_know() -> None:
    text = refusal(lambda: export(species=[1, 14]))
    assert text == (
        "--species: Si is not among the elements of w.safetensors: H, C, N, O.\nName only those."
    )


def find(module: Stub, path: str) -> Stub:
    for name in path.split("."):
        module = submodules(module)[name]
    return module


def part(class_name: str) -> Stub:
    """Make an empty module of a class."""
    module, name = class_name.rsplit(".", 1)
    out = _stub_class(module, name)()
    out.__setstate__({"_modules": {}, "_parameters": {}, "_buffers": {}})
    return out


def add(path: str, name: str, class_name: str) -> Callable[[Stub], None]:
    def apply(module: Stub) -> None:
        where = find(module, path) if path else module
        where.__dict__["_modules"][name] = part(class_name)

    return apply


def set_activation(module: Stub) -> None:
    find(module, "readouts.1.non_linearity.acts.0").__dict__["f"] = part("torch.functional.tanh")


def set_radial_activation(module: Stub) -> None:
    act = find(module, "interactions.0.conv_tp_weights.layer0.act")
    act.__dict__["f"] = part("torch.functional.tanh")


def drop_numbers(module: Stub) -> None:
    del module.__dict__["_buffers"]["atomic_numbers"]


MODULES: dict[str, tuple[Callable[[Stub], None], str]] = {
    "embedding": (
        add("", "joint_embedding", "mace.GenericJointEmbedding"),
        "m.model: joint_embedding.specs: nothing is embedded, expected a quantity",
    ),
    "transform": (
        add("radial_embedding", "distance_transform", "mace.AgnesiTransform"),
        'tensor "radial_embedding.distance_transform.a" is missing',
    ),
    "basis": (
        add("radial_embedding", "bessel_fn", "mace.LaguerreBasis"),
        "radial_embedding.bessel_fn: LaguerreBasis has no stage",
    ),
    "general readout": (
        add("readouts", "1", "mace.modules.blocks.GeneralNonLinearBiasReadoutBlock"),
        "readouts.1: GeneralNonLinearBiasReadoutBlock has no stage",
    ),
    "block": (
        add("interactions", "1", "mace.modules.blocks.RealAgnosticOtherInteractionBlock"),
        "interactions.1: RealAgnosticOtherInteractionBlock has no stage",
    ),
    "radial activation": (
        set_radial_activation,
        "interactions.0.conv_tp_weights.hs: activation tanh with constant 1.6791767923989418",
    ),
    "activation": (
        set_activation,
        "readouts.1.non_linearity.acts.0.f: activation tanh with constant 1.6791767923989418",
    ),
    "elements": (drop_numbers, "m.model: holds no atomic_numbers"),
}


@pytest.mark.parametrize("fault", MODULES)
def test_pickled_models_that_have_no_stages(fault: str) -> None:
    apply, expected = MODULES[fault]
    module = pickled()
    apply(module)
    assert expected in refusal(lambda: export_pickled(module))


def test_other_models_of_mace_torch() -> None:
    module = part("mace.modules.models.EnergyDipolesMACE")
    text = refusal(lambda: network_from_module(module, "m.model"))
    assert "holds a mace.modules.models.EnergyDipolesMACE, expected MACE or ScaleShiftMACE" in text


def test_mace_gaunt_that_does_not_fit() -> None:
    config = document(GAUNT[0], MACE_GAUNT)
    more = copy.deepcopy(config)
    more["config"]["num_radial_coupling"] = 2
    text = refusal(lambda: export_gaunt(config=more))
    assert "c.json: /config/num_radial_coupling: found 2, expected 1" in text
    more = copy.deepcopy(config)
    more["config"]["hidden"] = "8x0e+8x2e"
    text = refusal(lambda: export_gaunt(config=more))
    assert "expected" in text
    more = copy.deepcopy(config)
    more["config"]["correlation"] = 3
    text = refusal(lambda: export_gaunt(config=more))
    assert "correlation is 2, but the configuration says 3" in text
    tensors = state(GAUNT[0], MACE_GAUNT)
    tensors["products.0.efficient_multi_tensorproduct.weights.2"] = np.ones((1, 4, 8, 3))
    text = refusal(lambda: export_gaunt(tensors=tensors))
    assert "has shape [1, 4, 8, 3], expected [1, 4, 8, 2]" in text
    tensors = state(GAUNT[0], MACE_GAUNT)
    for nu in (1, 2):
        del tensors[f"products.0.efficient_multi_tensorproduct.weights.{nu}"]
    text = refusal(lambda: export_gaunt(tensors=tensors))
    assert '"products.0.efficient_multi_tensorproduct.weights.1" is missing' in text


def test_mace_gaunt_whose_product_lacks_a_degree() -> None:
    class Layer:
        outputs = ((8, 0, 1), (8, 2, 1))
        targets = ((8, 0, 1),)

    network = mace_gaunt.network_from_config(document(GAUNT[0], MACE_GAUNT), "c.json")
    exporter = mace_gaunt._Exporter(State({}, "w", mace.IGNORED), network, print)
    text = refusal(lambda: exporter._product("products.0", "x", Layer()))  # type: ignore[arg-type]
    assert "w: products.0: outputs 8x0e+8x2e, expected all degrees up to the highest" in text


# ---- the command ----


def options(**changes: Any) -> Namespace:
    given: dict[str, Any] = dict.fromkeys(
        ("config", "species", "head", "charge", "spin", "data", "level_of_theory", "licence")
    )
    given["checkpoint"] = PRETRAINED / "mace_acac.pt"
    return Namespace(**(given | changes))


def test_a_pickled_model_needs_no_configuration() -> None:
    log: list[str] = []
    model = mace.UPSTREAM.export(options(species=[1, 6], data="acac"), log.append)
    assert log[0] == "2 layers, 16x0e+16x1o then 16x0e; elements H, C, O."
    told = model.document["provenance"]
    assert told["upstream"] == "MACE, mace-torch"
    assert told["data"] == "acac"
    assert told["checkpoint"] == "mace_acac.pt"
    assert len(told["checkpoint_sha256"]) == 64


def test_a_state_dict_needs_its_configuration() -> None:
    weights = MACE / "mace_l2c2.weights.safetensors"
    text = refusal(lambda: mace.UPSTREAM.export(options(checkpoint=weights), print))
    assert "a state_dict does not describe the network. Give its configuration with --c" in text
    given = options(checkpoint=weights, config=MACE / "mace_l2c2.config.json")
    assert mace.UPSTREAM.export(given, lambda line: None).tensors.keys() == export().tensors.keys()


def test_a_file_that_holds_no_model() -> None:
    given = options(checkpoint=PRETRAINED / "sevennet_cp0.pth")
    text = refusal(lambda: mace.UPSTREAM.export(given, print))
    assert "holds a checkpoint of SevenNet, which `eqnn export sevennet` reads." in text


def test_the_chosen_head_is_in_the_provenance(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    tensors, config = two_heads()
    save_file(tensors, tmp_path / "w.safetensors")
    (tmp_path / "c.json").write_text(json.dumps(config))
    paths = {"checkpoint": tmp_path / "w.safetensors", "config": tmp_path / "c.json"}
    model = mace.UPSTREAM.export(options(**paths, head="b"), lambda line: None)
    assert model.document["provenance"]["head"] == "b"


def test_mace_gaunt_of_the_command() -> None:
    log: list[str] = []
    given = options(
        checkpoint=MACE_GAUNT / f"{GAUNT[1]}.weights.safetensors",
        config=MACE_GAUNT / f"{GAUNT[1]}.config.json",
    )
    model = mace_gaunt.UPSTREAM.export(given, log.append)
    assert model.document["family"] == "mace-gaunt"
    assert log[0].startswith("2 layers, 8x0e+8x1o")
    assert "products.0: functions on the sphere up to the power 3." in log
