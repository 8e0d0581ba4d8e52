# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from eqnn_models import (
    PROVENANCE,
    TDN,
    TRAINED,
    checkpoint,
    config,
    max_error,
    refusal,
    relative_error,
)
from safetensors.numpy import load_file, save_file
from test_torch_file import Danger, Tensor, torch_file

from eqnn.export.checkpoint import read_checkpoint
from eqnn.export.tdn import EXTENSIVE_FORMULA, TdnConfig, export_tdn
from eqnn.model_file import Array, Model
from eqnn.numpy_evaluator import edges_of, run
from eqnn.so3 import coupling_tensor
from eqnn.stage_parts import Edges

SPECIES = [1, 6, 7, 8]


def export(
    state: dict[str, Array] | None = None,
    document: dict[str, Any] | None = None,
    log: list[str] | None = None,
    **options: Any,
) -> Model:
    lines = [] if log is None else log
    settings = TdnConfig(config() if document is None else document, "c.json")
    options = {"species": SPECIES, "energy": "extensive", **options}
    return export_tdn(
        checkpoint() if state is None else state,
        settings,
        provenance=PROVENANCE,
        name="w.safetensors",
        log=lines.append,
        **options,
    )


def same(found: Model, expected: Model) -> bool:
    return found.sha256 == expected.sha256


# ---- what is exported ----


def test_the_force_head_is_dropped_and_said_to_be() -> None:
    log: list[str] = []
    model = export(log=log)
    assert model.document["forces"] == "gradient"
    assert not any("force" in name for name in model.tensors)
    head = {n: t for n, t in checkpoint().items() if n.startswith(("force_head.", "force_proj."))}
    size = sum(t.size for t in head.values())
    assert len(head) == 28
    assert log[0].startswith(f"Dropped the direct-force head ({len(head)} tensors, {size} numbers)")


def test_a_checkpoint_without_force_head_gives_the_same_model() -> None:
    state = {n: t for n, t in checkpoint().items() if not n.startswith("force_")}
    assert same(export(state), export())


def test_factors_that_are_equal_are_stored_once() -> None:
    log: list[str] = []
    model = export(log=log)
    assert "3 tensor products hold 1 distinct set(s) of factors of rank 7." in log
    assert [s["op"] for s in model.document["graph"]].count("edge_matrix") == 1


def test_factors_that_differ_are_stored_each() -> None:
    state = checkpoint()
    state["edge_embed.tp.cp_tp.cp_a"] = state["edge_embed.tp.cp_tp.cp_a"] + 0.01
    log: list[str] = []
    model = export(state, log=log)
    assert "3 tensor products hold 2 distinct set(s) of factors of rank 7." in log
    matrices = [s["output"] for s in model.document["graph"] if s["op"] == "edge_matrix"]
    assert matrices == ["matrix", "matrix1"]
    used = {
        s["output"]: s["inputs"]["matrix"]
        for s in model.document["graph"]
        if "matrix" in s["inputs"]
    }
    assert used == {"edge_embed": "matrix", "blocks.0.attn": "matrix1"}
    for name, product in (("matrix", "edge_embed.tp"), ("matrix1", "blocks.0.attn.tp1")):
        a, b, c = (state[f"{product}.cp_tp.cp_{factor}"] for factor in "abc")
        expected = np.einsum("ir,jr,kr->kji", a, b, c)
        assert max_error(model.tensors[f"{name}/coupling"], expected) <= 1e-14
    # The defect that the file states is that of the worse one.
    assert model.document["equivariance"]["defect"] > export().document["equivariance"]["defect"]


def test_the_two_products_of_a_block_must_hold_the_same_factors() -> None:
    state = checkpoint()
    state["blocks.0.attn.tp2.cp_tp.cp_b"] = state["blocks.0.attn.tp2.cp_tp.cp_b"] + 0.01
    text = refusal(lambda: export(state))
    assert "blocks.0.attn.tp1 and .tp2 hold different factors" in text
    assert "Export with --exact-products" in text
    export(state, exact_products=True)  # the cure cures


def test_exact_products_are_exact_and_the_report_tells_both_defects() -> None:
    log: list[str] = []
    model = export(log=log, exact_products=True)
    assert max_error(model.tensors["matrix/coupling"], coupling_tensor(1)) == 0.0
    assert model.document["equivariance"]["exact"]
    assert model.document["equivariance"]["defect"] <= 1e-14
    before, after = log[-2:]
    # The goldens' README states the error of these factors.
    assert before.startswith("Fitted coupling tensor: relative error 1.572e-02, equivariance def")
    assert after.startswith("Exact coupling tensor in its place: relative error 0, equivarianc")


def test_the_fitted_model_states_its_defect() -> None:
    said = export().document["equivariance"]
    assert not said["exact"]
    assert 1e-3 < said["defect"] < 0.1


@pytest.mark.parametrize("name", ["l1_h16_b1", "l2_h16_b2"])
def test_direct_forces_equal_upstream(name: str) -> None:
    document = config(name)
    document["config"]["gradient_force"] = False
    model = export(checkpoint(name), document)
    golden = load_file(TDN / f"model_{name}.direct.safetensors")
    assert model.document["forces"] == "direct"
    atoms = Atoms(golden["atomic_numbers"], golden["positions"])
    values = run(model, atoms.numbers, edges_of(atoms, model.document["cutoff"]))
    assert relative_error(values["direct_forces"], golden["forces"]) <= 1e-12
    assert relative_error(values["energy"].sum(), golden["energy"][0]) <= 1e-12


def test_direct_forces_need_their_head() -> None:
    document = config()
    document["config"]["gradient_force"] = False
    state = {n: t for n, t in checkpoint().items() if not n.startswith("force_")}
    text = refusal(lambda: export(state, document))
    assert '28 tensor(s) that c.json asks for are missing: "force_head.merge_src.linear.w' in text
    assert "Check num_interactions, fc_neurons and gradient_force." in text


def test_the_products_of_the_force_head_are_checked_too() -> None:
    document = config()
    document["config"]["gradient_force"] = False
    state = checkpoint()
    state["force_head.tp2.cp_tp.cp_b"] = state["force_head.tp2.cp_tp.cp_b"] + 0.01
    text = refusal(lambda: export(state, document))
    assert "force_head.tp1 and .tp2 hold different factors" in text


def test_energies_of_the_trained_model_come_from_its_configuration() -> None:
    document = json.loads((TRAINED / "tdn_3bpa.config.json").read_text())
    state = dict(load_file(TRAINED / "tdn_3bpa.weights.safetensors"))
    model = export(state, document, species=None, energy=None)
    assert model.document["species"] == SPECIES
    energy = model.document["energy"]
    assert energy["semantics"] == "extensive"
    assert energy["shift"] == document["energy_shift_per_atom"]
    assert energy["reference"] == [document["iso_energies"][s] for s in "HCNO"]
    assert energy["isolated_atoms"] == "zero"


def test_fewer_elements_keep_their_own_rows() -> None:
    all_of_them, some = export(), export(species=[8, 6])
    assert some.document["species"] == [6, 8]
    table, fewer = (m.tensors["atom_embed/table"] for m in (all_of_them, some))
    assert max_error(fewer, table[[1, 3]]) == 0.0


def test_basis_functions_survive_their_new_scale() -> None:
    """Upstream's Gaussian of w r/r_c + b against the stored one of r, at some distances."""
    state = checkpoint()
    state["rbf.weight"] = np.array([[-0.7]])
    state["rbf.bias"] = np.array([[0.9]])
    model = export(state)
    r = np.array([0.7, 2.0, 4.4])[:, None]
    std = np.abs(state["rbf.std"]) + 1e-5
    x = -0.7 * r / 4.5 + 0.9
    expected = np.exp(-0.5 * ((x - state["rbf.mean"]) / std) ** 2) / (np.sqrt(2 * np.pi) * std)
    center, width, amplitude = (
        model.tensors[f"radial_basis/{name}"] for name in ("center", "width", "amplitude")
    )
    found = amplitude * np.exp(-0.5 * ((r - center) / width) ** 2)
    assert relative_error(found, expected) <= 1e-13
    assert (width > 0).all()


def test_exporting_twice_gives_the_same_bytes() -> None:
    assert same(export(), export())


# ---- the configuration ----


def without(*keys: str) -> dict[str, Any]:
    document = config()
    for key in keys:
        del document["config"][key]
    return document


def with_config(**changes: Any) -> dict[str, Any]:
    document = config()
    document["config"] |= changes
    return document


def beside(**changes: Any) -> dict[str, Any]:
    return config() | changes


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, 'c.json: key "config" with the network\'s constants is missing'),
        ({"config": 3}, 'c.json: key "config" with the network\'s constants is missing'),
        (without("lmax"), 'c.json: /config: key "lmax" is missing and the checkpoint does not'),
        (without("avg_degree"), 'key "avg_degree" is missing'),
        (without("gradient_force"), 'key "gradient_force" is missing'),
        (with_config(lmax=0), "/config/lmax: found 0, expected a positive integer"),
        (with_config(lmax=1.0), "/config/lmax: found 1.0, expected a positive integer"),
        (with_config(lmax=True), "/config/lmax: found True, expected a positive integer"),
        (with_config(cutoff=-1), "/config/cutoff: found -1, expected a number above 0"),
        (with_config(cutoff="5"), "/config/cutoff: found '5', expected a number above 0"),
        (with_config(cutoff=float("nan")), "/config/cutoff: found nan, expected a number above 0"),
        (with_config(gradient_force=1), "/config/gradient_force: found 1, expected true or false"),
        (with_config(fc_neurons=64), "/config/fc_neurons: found 64, expected an array of integers"),
        (with_config(fc_neurons=[0]), "/config/fc_neurons: found [0], expected an array of posit"),
        (with_config(fc_neurons=[True]), "expected an array of positive integers"),
        (with_config(rope=1), "/config/rope: unknown key; it may change the network"),
        (with_config(num_heads=3), "/config/num_heads: 3 heads do not divide 16 hidden_channels"),
    ],
)
def test_bad_constants_are_refused(document: dict[str, Any], expected: str) -> None:
    assert expected in refusal(lambda: TdnConfig(document, "c.json"))


def test_the_neighbor_cap_may_be_left_out() -> None:
    assert same(export(document=without("max_num_neighbors")), export())


@pytest.mark.parametrize(
    ("document", "options", "expected"),
    [
        (config(), {"species": None}, "neither elements_Z nor iso_energies tells which of the"),
        (config(), {"species": [80]}, "element 80 has no row in upstream's embedding (1 to 79)"),
        (
            beside(elements_Z={"H": 1, "O": 8}),
            {},
            "--species: C is not among the elements that c.json lists (H, O). Name only those.",
        ),
        (beside(elements_Z=[1]), {}, "/elements_Z: found [1], expected an object from chemical"),
        (beside(elements_Z={"H": 2}), {}, "/elements_Z/H: found 2, expected 1"),
        (beside(elements_Z={"H": "1"}), {}, "/elements_Z/H: found '1', expected an atomic number"),
        (beside(elements_Z={"Q": 1}), {}, "/elements_Z: 'Q' is not a chemical symbol"),
        (beside(elements_Z={"X": 0}), {}, "/elements_Z: 'X' is not a chemical symbol"),
        (beside(iso_energies=3), {}, "/iso_energies: found 3, expected an object from chemical"),
        (beside(iso_energies={"H": None}), {}, "/iso_energies/H: found None, expected an energy"),
        (
            beside(iso_energies={"H": float("nan")}),
            {},
            "/iso_energies/H: found nan, expected an energy in eV",
        ),
        (
            beside(elements_Z={"H": 1, "C": 6}, iso_energies={"H": 1.0}),
            {"species": None},
            "/iso_energies: no energy for C. Add it, or leave the element out with --species.",
        ),
        (beside(energy_shift_per_atom="1"), {}, "/energy_shift_per_atom: found '1', expected a"),
        (beside(rank="7"), {}, "/rank: found '7', expected a positive integer"),
        (config(), {"energy": None}, "c.json does not say whether the network was trained on"),
        (
            beside(energy_semantics="total"),
            {},
            "/energy_semantics: found 'total', expected one of extensive, mean-per-atom",
        ),
        (
            beside(total_energy=EXTENSIVE_FORMULA),
            {"energy": "mean-per-atom"},
            "--energy mean-per-atom contradicts c.json, which says extensive",
        ),
    ],
)
def test_what_cannot_be_known_is_asked_for(
    document: dict[str, Any], options: dict[str, Any], expected: str
) -> None:
    assert expected in refusal(lambda: export(document=document, **options))


def test_energies_per_atom_are_marked() -> None:
    model = export(document=beside(energy_semantics="mean-per-atom"), energy=None)
    assert model.document["energy"]["semantics"] == "mean-per-atom"


# ---- the checkpoint ----


def replaced(name: str, values: Array) -> Callable[[dict[str, Array]], None]:
    return lambda state: state.update({name: values})


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (
            lambda state: state.pop("rbf.mean"),
            'w.safetensors: 1 tensor(s) that c.json asks for are missing: "rbf.mean".',
        ),
        (
            lambda state: [state.pop(n) for n in list(state) if n.startswith("blocks.")],
            '"blocks.0.attn.merge_src.bias", ....\nCheck num_interactions, fc_neurons and',
        ),
        (
            replaced("blocks.1.norm1.affine_bias", np.zeros((1, 1, 16))),
            'w.safetensors: 1 tensor(s) that c.json does not account for: "blocks.1.norm1.affine',
        ),
        (
            replaced("rbf.mean", np.zeros((1, 15))),
            'w.safetensors: "rbf.mean" has shape [1, 15], expected [1, 16] after c.json',
        ),
        (
            replaced("rbf.mean", np.zeros((1, 16), dtype=np.float16)),
            '"rbf.mean" has type float16, expected float32 or float64',
        ),
        (
            replaced("rbf.mean", np.full((1, 16), np.nan)),
            '"rbf.mean" holds NaN or infinity: the training diverged',
        ),
        (
            replaced("rbf.weight", np.zeros((1, 1))),
            "rbf.weight is 0, so that nothing depends on distance",
        ),
        (
            replaced("edge_embed.tp.cp_tp.cp_a", np.zeros(())),
            '"edge_embed.tp.cp_tp.cp_a" has shape [], expected [4, 7]',
        ),
    ],
)
def test_bad_weights_are_refused(spoil: Callable[[Any], Any], expected: str) -> None:
    state = checkpoint()
    spoil(state)
    assert expected in refusal(lambda: export(state))


@pytest.mark.parametrize(
    "renamed",
    [
        lambda name: "module." + name,
        lambda name: "_orig_mod." + name,
        lambda name: "module._orig_mod." + name,
        lambda name: "_orig_mod.module." + name,
        lambda name: "module." + name.replace("blocks.0.", "blocks.0._orig_mod."),
    ],
)
def test_what_torch_wraps_around_names_is_taken_off(
    tmp_path: Path, renamed: Callable[[str], str]
) -> None:
    path = tmp_path / "w.safetensors"
    save_file({renamed(name): tensor for name, tensor in checkpoint().items()}, path)
    found = read_checkpoint(path)
    assert found.keys() == checkpoint().keys()
    for name, tensor in checkpoint().items():
        np.testing.assert_array_equal(found[name], tensor)


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"x": np.zeros(1), "module.x": np.ones(1)}, path)
    text = refusal(lambda: read_checkpoint(path))
    assert '"x" occurs twice, with and without torch\'s prefixes' in text


def test_missing_checkpoints(tmp_path: Path) -> None:
    text = refusal(lambda: read_checkpoint(tmp_path / "none.safetensors"))
    assert "no such file. Give the checkpoint's path with --checkpoint." in text
    assert "no such file" in refusal(lambda: read_checkpoint(tmp_path))


def test_damaged_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"not safetensors")
    assert "not a readable safetensors file" in refusal(lambda: read_checkpoint(path))


def test_torch_files_need_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    tensors = [Tensor(values, str(k)) for k, values in enumerate(checkpoint().values())]
    state = {f"module.{name}": t for name, t in zip(checkpoint(), tensors, strict=True)}
    for content in (state, {"model_state_dict": state, "epoch": 3}):
        found = read_checkpoint(torch_file(tmp_path, content, *tensors))
        assert found.keys() == checkpoint().keys()
        for name, values in checkpoint().items():
            assert found[name].dtype == values.dtype
            np.testing.assert_array_equal(found[name], values)


def test_torch_files_that_hold_no_weights(tmp_path: Path) -> None:
    cases: list[tuple[Any, str]] = [
        ([1], "model.pt: holds a list, expected a state_dict. Save model.state_dict()."),
        ({"epoch": 3}, '"epoch" is a int, expected a tensor. Save model.state_dict() alone or'),
        (Danger(), "model.pt: holds a __builtin__.print, expected a state_dict"),
    ]
    for content, expected in cases:
        text = refusal(lambda content=content: read_checkpoint(torch_file(tmp_path, content)))  # type: ignore[misc]
        assert expected in text
    (tmp_path / "w.pt").write_bytes(b"")
    assert "w.pt: is an empty file, expected a checkpoint." in refusal(
        lambda: read_checkpoint(tmp_path / "w.pt")
    )


def test_edges_are_what_the_exporter_means() -> None:
    """Edges run from the center to the source: turning them round changes the energy."""
    model = export()
    golden = load_file(TDN / "model_l1_h16_b1.3bpa1.safetensors")
    edges = Edges(golden["edge_dst"], golden["edge_src"], golden["edge_vec"])
    turned = Edges(edges.center, edges.source, -edges.vector)
    numbers = golden["atomic_numbers"]
    expected = golden["energy"][0]
    assert relative_error(run(model, numbers, edges)["energy"].sum(), expected) <= 1e-12
    assert relative_error(run(model, numbers, turned)["energy"].sum(), expected) > 1e-6
