# SPDX-License-Identifier: BSD-3-Clause
"""The specification in plain NumPy against what upstream's code gave.

Energies, and by differences along the stored edge gradients also their derivatives.
"""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from eqnn_models import (
    RANDOM_MODELS,
    ROOT,
    TDN,
    TRAINED,
    max_error,
    refusal,
    relative_error,
    tiny_model,
)
from safetensors.numpy import load_file

from eqnn.model_file import Model, read_model
from eqnn.numpy_evaluator import Edges, edges_of, energy, run, site_energies

SETS = [(name, kind) for name in RANDOM_MODELS for kind in ("3bpa0", "3bpa1", "acac2", "pbc16")]
TRAINED_SETS = ("trace_val0", "trace_hot440", "pbc_hot440")


def edges_in(golden: dict[str, np.ndarray]) -> Edges:
    return Edges(golden["edge_dst"], golden["edge_src"], golden["edge_vec"])


def per_graph(values: np.ndarray, golden: dict[str, np.ndarray]) -> np.ndarray:
    return np.bincount(golden["batch"], weights=values)


@pytest.mark.parametrize(("name", "kind"), SETS)
def test_energies_of_random_networks_equal_upstream(name: str, kind: str) -> None:
    model = read_model(TDN / f"model_{name}.eqnn")
    golden = load_file(TDN / f"model_{name}.{kind}.safetensors")
    e_i = site_energies(model, golden["atomic_numbers"], edges_in(golden))
    found = per_graph(e_i, golden)
    assert relative_error(found, golden["energy"]) <= 1e-10


@pytest.mark.parametrize("kind", TRAINED_SETS)
def test_energies_of_the_trained_network_equal_upstream(kind: str) -> None:
    model = read_model(TRAINED / "tdn_3bpa.eqnn")
    golden = load_file(TRAINED / f"{kind}.safetensors")
    e_i = site_energies(model, golden["atomic_numbers"], edges_in(golden))
    assert relative_error(per_graph(e_i, golden), golden["energy"]) <= 1e-10


def test_total_energies_of_twenty_frames_equal_upstream() -> None:
    model = read_model(TRAINED / "tdn_3bpa.eqnn")
    golden = load_file(TRAINED / "golden20.safetensors")
    found = [energy(model, Atoms(golden["atomic_numbers"], x)) for x in golden["positions"]]
    # 1e-10 of the network's share, which is what training changes, not of 17 keV.
    scale = float(np.abs(golden["E_model"]).max())
    assert max_error(found, golden["E_total"]) <= 1e-10 * max(scale, 1.0)


def test_edges_found_from_a_structure_are_upstreams() -> None:
    golden = load_file(TDN / "model_l2_h16_b2.pbc16.safetensors")
    model = read_model(TDN / "model_l2_h16_b2.eqnn")
    atoms = Atoms(golden["atomic_numbers"], golden["positions"], cell=golden["cell"], pbc=True)
    edges = edges_of(atoms, model.document["cutoff"])
    assert len(edges.center) == len(golden["edge_dst"])
    assert relative_error(energy(model, atoms), golden["energy"][0]) <= 1e-10


@pytest.mark.parametrize("name", RANDOM_MODELS)
def test_atoms_without_neighbours_have_no_energy(name: str) -> None:
    model = read_model(TDN / f"model_{name}.eqnn")
    golden = load_file(TDN / f"model_{name}.isolated.safetensors")
    atoms = Atoms(golden["atomic_numbers"], golden["positions"])
    assert not golden["mask"].all()
    e_i = site_energies(model, atoms.numbers, edges_of(atoms, model.document["cutoff"]))
    np.testing.assert_array_equal(e_i == 0.0, ~golden["mask"])
    assert relative_error(e_i.sum(), golden["energy"][0]) <= 1e-10


@pytest.mark.parametrize("name", ["l1_h16_b1", "l2_h16_b2"])
def test_values_between_the_stages_equal_upstream(name: str) -> None:
    model = read_model(TDN / f"model_{name}.eqnn")
    golden = load_file(TDN / f"model_{name}.pbc16.safetensors")
    values = run(model, golden["atomic_numbers"], edges_in(golden))
    pairs = {
        "harmonics": "edge_sh",
        "atom_embed": "node_embed",
        "edge_embed": "degree_embed",
        "blocks.0.attn.rad": "blk0.rad_out",
        "blocks.0.attn.proj": "blk0.attn_out",
        "blocks.0": "x_block0",
        "norm": "x_norm",
        "energy": "e_atom",
    }
    for ours, upstreams in pairs.items():
        expected = golden[f"trace.{upstreams}"]
        found = values[ours].reshape(expected.shape)
        assert relative_error(found, expected) <= 1e-11, ours


@pytest.mark.parametrize("name", ["l1_h16_b1", "l3_h16_b2"])
def test_differences_follow_upstreams_edge_gradients(name: str) -> None:
    model = read_model(TDN / f"model_{name}.eqnn")
    golden = load_file(TDN / f"model_{name}.3bpa1.safetensors")
    direction = np.random.default_rng(0).normal(size=golden["edge_vec"].shape)
    expected = float((golden["dE_dedge_vec"] * direction).sum())
    errors = []
    for step in (1e-3, 1e-4, 1e-5, 1e-6):
        ends = []
        for sign in (1, -1):
            moved = golden["edge_vec"] + sign * step * direction
            edges = Edges(golden["edge_dst"], golden["edge_src"], moved)
            ends.append(site_energies(model, golden["atomic_numbers"], edges).sum())
        errors.append(abs((ends[0] - ends[1]) / (2 * step) - expected))
    assert np.min(errors) <= 1e-7 * max(1.0, abs(expected))
    assert errors[0] > errors[1]  # falls with the step: it is a derivative, not a coincidence


def test_scale_shift_and_references_enter_once() -> None:
    model = tiny_model()
    atoms = Atoms("HOC", [[0, 0, 0], [1, 0, 0], [0, 1.2, 0]])
    e_i = site_energies(model, atoms.numbers, edges_of(atoms, 3.0))
    expected = 2.0 * e_i.sum() + 3 * 0.5 - 1.0 - 3.0 - 2.0
    assert abs(energy(model, atoms) - expected) <= 1e-14
    document = {**model.document, "energy": {**model.document["energy"]}}
    document["energy"]["semantics"] = "mean-per-atom"
    per_atom = Model(document, model.tensors, "m")
    expected = 3 * 2.0 * e_i.sum() + 3 * 0.5 - 1.0 - 3.0 - 2.0
    assert abs(energy(per_atom, atoms) - expected) <= 1e-14


def test_the_envelope_ends_at_the_cutoff_with_three_zeros() -> None:
    model = tiny_model(envelope=6.0)
    step = 1e-3
    r = 3.0 - step * np.array([1.0, 2.0])
    edges = Edges(np.zeros(2, int), np.ones(2, int), np.stack([r, 0 * r, 0 * r], axis=1))
    without = run(tiny_model(envelope=None), np.array([1, 8]), edges)["radial"]
    ratio = run(model, np.array([1, 8]), edges)["radial"] / without
    # u and its first two derivatives vanish: twice as far inside, eight times as much.
    assert max_error(ratio[1] / ratio[0], np.full(4, 8.0)) <= 0.1
    assert np.abs(ratio).max() < 1e-5


def test_unknown_elements_are_refused() -> None:
    model = tiny_model()
    atoms = Atoms("HN", [[0, 0, 0], [1, 0, 0]])
    assert "the model has no element 7, it has [1, 6, 8]" in refusal(lambda: energy(model, atoms))


def test_the_shipped_potential_is_the_golden_one() -> None:
    shipped = read_model(ROOT / "potentials" / "tdn_3bpa.eqnn")
    assert shipped.sha256 == read_model(TRAINED / "tdn_3bpa.eqnn").sha256
