# SPDX-License-Identifier: BSD-3-Clause
"""The specification in plain NumPy against what upstream's code gave.

Energies, and by differences along the stored edge gradients also their derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
    tiny_cg_model,
    tiny_cp_model,
    tiny_density_model,
    tiny_gate_model,
    tiny_gaunt_model,
    tiny_model,
    tiny_network_model,
    tiny_norm_model,
)
from safetensors.numpy import load_file

from eqnn.library import Potential
from eqnn.model_file import Model, read_model, write_model
from eqnn.numpy_evaluator import edges_of, energy, forces, free_atoms, run, site_energies
from eqnn.so3 import gaunt, gaunt_curl, random_rotations, sphere_quadrature, spherical_harmonics
from eqnn.stage_parts import Context, Edges, dense
from eqnn.stages import FUNCTION_OF

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
def test_atoms_without_neighbors_have_no_energy(name: str) -> None:
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
        value = values[ours]
        found = (dense(value) if isinstance(value, dict) else value).reshape(expected.shape)
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


def test_a_neighbor_enters_an_attention_with_an_envelope_at_weight_zero(tmp_path: Path) -> None:
    jumps = []
    for name, model in (("plain", tiny_model()), ("fading", tiny_model(fading=6))):
        path = tmp_path / f"{name}.eqnn"
        write_model(path, model.document, model.tensors)
        found = []
        for r in (3.0 - 1e-4, 3.0 + 1e-4):
            # Each atom has a neighbor that stays; two more pairs cross the cutoff, one at a time.
            atoms = Atoms("HOCC", [[0, 0, 0], [0, 0.9, 0], [r, 0, 0], [r, 1.1, 0.2]])
            expected = energy(model, atoms)
            with Potential(path, "double") as potential:
                found.append(potential.evaluate(atoms.numbers, atoms.positions).energy)
            assert abs(found[-1] - expected) <= 1e-11
        jumps.append(abs(found[1] - found[0]))
    plain, fading = jumps
    assert plain > 1e-4
    # Of third order in 1e-4 of 3 Angstrom.
    assert fading < 1e-10


def test_an_atom_with_neighbors_at_the_cutoff_alone_has_no_nan() -> None:
    model = tiny_model(fading=6)
    edges = Edges(np.zeros(2, int), np.ones(2, int), np.array([[3.0, 0, 0], [0, 3.0, 0]]))
    values = run(model, np.array([1, 8]), edges)
    assert all(np.isfinite(x).all() for x in values["attention"].values())
    assert max(np.abs(x).max() for x in values["attention"].values()) == 0


# ---- stages with Clebsch-Gordan paths and Gaunt products ----

NEW_MODELS: dict[str, Callable[[], Model]] = {
    "paths": tiny_cg_model,
    "paths without parity": lambda: tiny_cg_model("so3"),
    "xplor": lambda: tiny_cg_model(envelope="xplor", on="output"),
    "odd gates": tiny_gate_model,
    "densities": tiny_density_model,
    "networks on edges": tiny_network_model,
    "functions of norms": tiny_norm_model,
    "Gaunt": lambda: tiny_gaunt_model(curl=False),
    "Gaunt with curl": tiny_gaunt_model,
    "CP": tiny_cp_model,
    "CP of even paths": lambda: tiny_cp_model("o3"),
}


def cluster() -> Atoms:
    positions = np.random.default_rng(0).uniform(0.0, 2.6, size=(7, 3))
    return Atoms("CHOHCHH", positions)


@pytest.mark.parametrize("name", NEW_MODELS)
def test_energies_do_not_depend_on_orientation_nor_on_order(name: str) -> None:
    model, atoms = NEW_MODELS[name](), cluster()
    start, gradient = energy(model, atoms), forces(model, atoms)
    rotation = random_rotations(1, seed=3)[0]
    turned = atoms.copy()
    turned.positions = atoms.positions @ rotation.T
    assert abs(energy(model, turned) - start) <= 1e-12 * abs(start)
    assert max_error(forces(model, turned), gradient @ rotation.T) <= 1e-11
    assert abs(energy(model, atoms[::-1]) - start) <= 1e-12 * abs(start)
    assert np.abs(gradient.sum(0)).max() <= 1e-11


@pytest.mark.parametrize("name", NEW_MODELS)
def test_energies_change_under_inversion_where_parity_says_so(name: str) -> None:
    model, atoms = NEW_MODELS[name](), cluster()
    start = energy(model, atoms)
    inverted = atoms.copy()
    inverted.positions = -atoms.positions
    change = abs(energy(model, inverted) - start)
    assert (change <= 1e-12 * abs(start)) == (model.document["parity"] == "o3")


@pytest.mark.parametrize("name", NEW_MODELS)
def test_complex_steps_are_the_limit_of_differences(name: str) -> None:
    model, atoms = NEW_MODELS[name](), cluster()
    exact = forces(model, atoms)
    assert np.abs(exact).max() > 0.1
    move = np.random.default_rng(1).normal(size=exact.shape)
    errors = []
    for step in (1e-3, 1e-4):
        ends = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions += sign * step * move
            ends.append(energy(model, moved))
        errors.append(abs((ends[0] - ends[1]) / (2 * step) + (exact * move).sum()))
    assert errors[1] <= 1e-5 * np.abs(exact).max()
    assert errors[1] <= 0.05 * errors[0]  # falls with the square of the step


@pytest.mark.slow
def test_forces_of_a_golden_network_equal_upstream() -> None:
    model = read_model(TDN / "model_l1_h16_b1.eqnn")
    golden = load_file(TDN / "model_l1_h16_b1.pbc16.safetensors")
    atoms = Atoms(golden["atomic_numbers"], golden["positions"], cell=golden["cell"], pbc=True)
    assert max_error(forces(model, atoms), golden["forces"]) <= 1e-12


def pair(r: float = 1.1) -> tuple[Atoms, Edges]:
    atoms = Atoms("CO", [[0.0, 0.0, 0.0], [0.0, 0.6 * r, -0.8 * r]])
    return atoms, edges_of(atoms, 3.0)


def test_one_path_by_hand() -> None:
    model = tiny_cg_model()
    atoms, edges = pair()
    values = run(model, atoms.numbers, edges)
    x, w = values["species"]["0e"], values["radial1"]
    e = int(np.flatnonzero(edges.center == 0)[0])
    # w3j(0,1,1) = delta/sqrt(3) and Y_1 = sqrt(3) u.
    expected = edges.vector[e][:, None] / 1.1 * (w[e, 3:6] * x[1, 0])
    assert max_error(values["messages1"]["1o"][0], expected) <= 1e-15


def test_the_gates_order_and_scalars_by_hand() -> None:
    values = run(tiny_gate_model(), cluster().numbers, edges_of(cluster(), 3.0))
    x, y = values["mixed"], values["gated"]
    assert list(y) == ["0e", "0o", "1e", "1o"]
    gates = np.tanh(x["0o"][:, :, 1:])
    assert max_error(y["0o"], np.tanh(x["0o"][:, :, :1])) == 0.0
    assert max_error(y["0e"], x["0e"] / (1 + np.exp(-x["0e"]))) <= 1e-15
    # 1e comes first, gated by the first two, and becomes 1o.
    assert max_error(y["1o"], x["1e"] * gates[:, :, :2]) == 0.0
    assert max_error(y["1e"], x["1o"] * gates[:, :, 2:]) == 0.0


def test_functions_of_norms_by_hand() -> None:
    atoms = cluster()
    values = run(tiny_norm_model(), atoms.numbers, edges_of(atoms, 3.0))
    for block, x in values["messages1"].items():
        n = np.linalg.norm(x, axis=1, keepdims=True)
        assert max_error(values["silu"][block], x / (1 + np.exp(-n))) <= 1e-15
    for block, x in values["silu"].items():
        n = np.linalg.norm(x, axis=1, keepdims=True)
        assert max_error(values["tanh"][block], x * np.tanh(n) / n) <= 1e-15
    for block, x in values["tanh"].items():
        n = np.linalg.norm(x, axis=1, keepdims=True)
        f = (np.log(1 + np.exp(n)) - np.log(2)) / n
        assert max_error(values["shifted_softplus"][block], x * f) <= 1e-14
    assert list(values["soft"]) == ["0e", "1o"]
    for block, x in values["messages2"].items():
        u = np.linalg.norm(x, axis=1, keepdims=True) / (0.4 * np.sqrt(x.shape[1]))
        assert u.max() > 1.0 > u.min()
        assert max_error(values["soft"][block], x / (1 + u * np.exp(-1 / u))) <= 1e-15


def test_functions_of_norms_are_finite_where_there_are_no_neighbors() -> None:
    model, atoms = tiny_norm_model(), cluster()
    atoms += Atoms("C", [[30.0, 0.0, 0.0]])
    values = run(model, atoms.numbers, edges_of(atoms, 3.0))
    for name in ("silu", "tanh", "shifted_softplus", "soft"):
        for x in values[name].values():
            assert np.isfinite(x).all() and (x[-1] == 0.0).all() and (x[0] != 0.0).any()
    assert np.isfinite(forces(model, atoms)).all()


def test_the_norm_and_the_contraction_by_hand() -> None:
    model = tiny_cg_model()
    atoms = cluster()
    values = run(model, atoms.numbers, edges_of(atoms, 3.0))
    x, y = values["gated1"], values["normed"]
    size = np.sqrt(sum((v**2).mean((1, 2)) for v in x.values()) / 3 + 1e-6)
    for block, v in x.items():
        expected = v * model.tensors[f"normed/{block}"] / size[:, None, None]
        assert max_error(y[block], expected) <= 1e-14
    x = dense(values["sum"])
    species = [model.document["species"].index(z) for z in atoms.numbers]
    weights = [model.tensors[f"product/terms/{k}/weights"][species] for k in range(5)]
    cubes = 0.5 * x[:, 0] * (x[:, 1:4] ** 2).sum(1)
    squares = (x[:, 1:4] ** 2).sum(1)
    expected = weights[0][:, 0] * x[:, 0] + weights[2][:, 0] * cubes
    expected = expected + weights[1][:, 0] * x[:, 0] ** 2 + weights[1][:, 1] * squares
    assert max_error(values["product"]["0e"][:, 0], expected) <= 1e-13
    vectors = (weights[3][:, :1] + weights[4][:, :1] * x[:, :1]) * x[:, 1:4]
    assert max_error(values["product"]["1o"], vectors) <= 1e-13


def test_repulsion_by_hand() -> None:
    for r, inside in ((1.1, True), (1.49, True), (1.51, False)):
        atoms, edges = pair(r)
        found = run(tiny_cg_model(), atoms.numbers, edges)["repulsion"]
        x = r * (6**0.3 + 8**0.3) / (0.4543 * 0.529)
        terms = zip((0.1818, 0.5099, 0.2802, 0.02817), (3.2, 0.9423, 0.4028, 0.2016), strict=True)
        phi = sum(c * np.exp(-e * x) for c, e in terms)
        t = r / 1.5
        envelope = 1 - 28 * t**6 + 48 * t**7 - 21 * t**8 if inside else 0.0
        expected = 14.3996 * 6 * 8 / (2 * r) * phi * envelope
        assert max_error(found, [expected] * 2) <= 1e-12


@pytest.mark.parametrize("on", ["basis", "output"])
def test_the_xplor_envelope_by_hand(on: str) -> None:
    # Inside its start nothing changes; further out only what it multiplies does.
    for r in (1.5, 2.5):
        atoms, edges = pair(r)
        model = tiny_cg_model(envelope="xplor", on=on)
        found = run(model, atoms.numbers, edges)["radial1"][0]
        factor = 1.0 if r < 2.0 else (9 - r**2) ** 2 * (9 + 2 * r**2 - 12) / (9 - 4) ** 3
        k = np.arange(1, 5)
        basis = 2 / 3 * np.sin(np.pi * k * r / 3) / r
        hidden = (basis * factor if on == "basis" else basis) @ model.tensors[
            "radial1/layers/0/weight"
        ].T
        expected = model.tensors["radial1/layers/1/weight"] @ (hidden / (1 + np.exp(-hidden)))
        assert max_error(found, expected * (factor if on == "output" else 1.0)) <= 1e-14


def test_products_on_the_sphere_are_pointwise_products() -> None:
    model = tiny_gaunt_model()
    atoms = cluster()
    edges = edges_of(atoms, 3.0)
    values = run(model, atoms.numbers, edges)
    points, weights = sphere_quadrature(12)
    s = spherical_harmonics(4, points) / np.sqrt(4 * np.pi)

    def at_points(features: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("pi,nic->npc", s[:, : features.shape[1]], features))

    def project(f: np.ndarray, n: int) -> np.ndarray:
        return np.asarray(np.einsum("p,pk,npc->nkc", weights, s[:, :n], f))

    degree = np.array([0, 1, 1, 1])
    f = at_points(dense(values["density"]))
    species = [model.document["species"].index(z) for z in atoms.numbers]
    expected = np.zeros((len(atoms), 4, 2))
    for nu in (1, 2, 3):
        w = model.tensors[f"power/order_{nu}"][species][:, :, degree].transpose(0, 2, 1)
        expected += w * project(f**nu, 4)
    assert max_error(dense(values["power"]), expected) <= 1e-13

    # A filter is zonal about its edge.
    y = spherical_harmonics(2, edges.vector)
    w = values["radial2"].reshape(-1, 3, 2)[:, [0, 1, 1, 1, 2, 2, 2, 2, 2]]
    product = at_points(dense(values["power"]))[edges.source] * at_points(y[:, :, None] * w)
    sums = np.zeros((len(atoms), 16, 2))
    np.add.at(sums, edges.center, project(product, 16))
    assert max_error(dense(values["messages"]), sums) <= 1e-12

    both = at_points(dense(values["product"])) * at_points(dense(values["messages"]))
    assert max_error(dense(values["norms"]), project(both, 1)) <= 1e-12


def test_factors_of_a_gaunt_product_enter_where_they_say() -> None:
    model = tiny_gaunt_model()
    atoms = cluster()
    values = run(model, atoms.numbers, edges_of(atoms, 3.0))
    t = {
        key: model.tensors[f"product/{key}"] for key in ("scale_a", "scale_b", "scale_out", "curl")
    }
    degree = np.array([0] + [1] * 3 + [2] * 5 + [3] * 7)
    a = dense(values["density"]) * t["scale_a"][degree[:9]]
    b = dense(values["messages"]) * t["scale_b"][degree]
    even = np.einsum("ijk,nic,njc->nkc", gaunt(2, 3, 2), a, b) * t["scale_out"][degree[:9]]
    odd = np.einsum("ijk,nic,njc->nkc", gaunt_curl(2, 3, 2), a, b) * t["curl"][degree[:9]]
    assert np.abs(odd).max() > 1e-2
    assert max_error(dense(values["product"]), even + odd) <= 1e-12


@pytest.mark.parametrize("l_max", [1, 2, 3, 4])
def test_products_in_cp_form_equal_upstream(l_max: int) -> None:
    """Each of upstream's products is a node with one edge, to itself."""
    golden = load_file(TDN / f"op_cptp_l{l_max}.safetensors")
    nodes = np.arange(len(golden["x"]))
    context = Context(tiny_cp_model(), nodes, Edges(nodes, nodes, golden["vec"]))
    names = {"source_factor": "cp_a", "harmonic_factor": "cp_b", "out_factor": "cp_c"}
    weights = {name: golden[upstream] for name, upstream in names.items()}
    found = dense(
        FUNCTION_OF["cp_convolution"](
            context,
            {},
            weights,
            source=golden["x"],
            harmonics=golden["y"][:, :, 0],
            radial=golden["w"][:, 0],
        )
    )
    assert relative_error(found, golden["out"]) <= 1e-13


def test_unknown_elements_are_refused() -> None:
    model = tiny_model()
    atoms = Atoms("HN", [[0, 0, 0], [1, 0, 0]])
    assert "the model has no element 7, it has [1, 6, 8]" in refusal(lambda: energy(model, atoms))


def test_the_shipped_potential_is_the_golden_one() -> None:
    shipped = read_model(ROOT / "potentials" / "tdn_3bpa.eqnn")
    assert shipped.sha256 == read_model(TRAINED / "tdn_3bpa.eqnn").sha256


@pytest.mark.parametrize(
    "make",
    [
        tiny_model,
        tiny_cg_model,
        tiny_gate_model,
        tiny_density_model,
        tiny_network_model,
        tiny_norm_model,
        tiny_gaunt_model,
        tiny_cp_model,
    ],
    ids=lambda f: f.__name__,
)
def test_free_atoms_have_what_the_library_gives_them(
    tmp_path: Path, make: Callable[[], Model]
) -> None:
    model = make()
    said = model.document["energy"]
    write_model(tmp_path / "m.eqnn", model.document, model.tensors)
    with Potential(tmp_path / "m.eqnn", "reference") as potential:
        for k, (z, beyond) in enumerate(free_atoms(model).items()):
            found = potential.evaluate([z], [[0.0, 0.0, 0.0]]).energy
            assert abs(found - said["shift"] - said["reference"][k] - beyond) <= 1e-10
