# SPDX-License-Identifier: BSD-3-Clause
"""MACE and NequIP of InstaDeep's mlip: couplings, heads, and what is refused by name.

Energies, forces and stresses against upstream's code: test_exporters_upstream.py.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from eqnn_models import EXPORTERS, engine_errors, refusal
from exporter_cases import export
from safetensors.numpy import load_file
from scipy.linalg import block_diag

from eqnn.builder import contraction_defect
from eqnn.errors import ChoiceNeededError
from eqnn.export.mace import coupling_entries
from eqnn.export.mlip import (
    HIGHEST_CORRELATION,
    HIGHEST_GAUNT_CORRELATION,
    head_names,
    head_number,
    power_couplings,
)
from eqnn.export.mlip_symmetric import symmetric_couplings
from eqnn.export.recognize import describe_checkpoint, recognize
from eqnn.library import Potential
from eqnn.model_file import write_model
from eqnn.numpy_evaluator import edges_of, run
from eqnn.so3 import random_rotations, wigner_d

PLAIN = EXPORTERS / "mlip_mace.zip"
HEADS = EXPORTERS / "mlip_mace_heads.zip"
CURE = (
    "Evaluate it with mlip, or train its MACE or NequIP of 0.2 without these parts, or with a code "
    "that has an exporter."
)


def changed(
    folder: Path,
    change: Callable[[dict[str, Any], dict[str, Any]], None],
    path: Path = PLAIN,
) -> Path:
    """Write a copy whose JSON and arrays were changed."""
    with zipfile.ZipFile(path) as archive:
        said = json.loads(archive.read("hyperparams.json"))
        with np.load(io.BytesIO(archive.read("params.npz"))) as file:
            arrays = {key: file[key] for key in file.files}
    change(said, arrays)
    content = io.BytesIO()
    np.savez(content, **arrays)
    out = folder / "changed.zip"
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("hyperparams.json", json.dumps(said))
        archive.writestr("params.npz", content.getvalue())
    return out


def refused(folder: Path, **config: Any) -> str:
    path = changed(folder, lambda said, arrays: said["config"].update(config))
    return refusal(lambda: export("mlip", path)).removeprefix(f"{path}")


@pytest.mark.parametrize("l_out", [0, 1, 2])
def test_couplings_are_equivariant_and_as_many_as_upstream_has(l_out: int) -> None:
    tables = power_couplings([(degree, (-1) ** degree) for degree in range(3)], 3, l_out)
    with zipfile.ZipFile(PLAIN) as archive, np.load(io.BytesIO(archive.read("params.npz"))) as file:
        shapes = {key: file[key].shape for key in file.files if "LinearIndexwise" in key}
    for degree in range(l_out + 1):
        for power in tables:
            indices, values = coupling_entries(power[degree], degree)
            if len(values):
                assert contraction_defect(degree, indices, values, n_rotations=4) <= 1e-13
        n = sum(power[degree].shape[-1] for power in tables)
        layer = 1 if l_out == 0 else 0
        for key, shape in shapes.items():
            if f"layers_{layer}#" in key and f"weight{degree}_" in key and l_out < 2:
                assert shape[-1] == n


def multiplicities(irreps: list[tuple[int, int]], power: int, l_out: int) -> dict[int, int]:
    """How often each degree of the harmonics' parity is in a symmetric power, by characters."""
    n = 64  # equally spaced angles: exact for the degrees that occur
    angles = 2.0 * np.pi * np.arange(n) / n

    def character(k: int, sign: int) -> np.ndarray:
        """Of the k-th power of a rotation, or of one with the inversion."""
        total = np.zeros(n)
        for degree, parity in irreps:
            orders = np.arange(-degree, degree + 1)
            total += (parity if sign**k < 0 else 1) * np.cos(np.outer(k * angles, orders)).sum(1)
        return total

    found = dict.fromkeys(range(l_out + 1), 0.0)
    for sign in (1, -1):
        one, two, three = (character(k, sign) for k in (1, 2, 3))
        whole = {1: one, 2: (one**2 + two) / 2, 3: (one**3 + 3 * one * two + 2 * three) / 6}[power]
        for degree in found:
            own = np.cos(np.outer(angles, np.arange(-degree, degree + 1))).sum(1)
            own *= (-1) ** degree if sign < 0 else 1
            found[degree] += 0.5 * float((whole * own * (1.0 - np.cos(angles))).mean())
    return {degree: round(count) for degree, count in found.items()}


@pytest.mark.parametrize(
    "irreps", [[(0, 1), (1, -1), (2, 1)], [(0, 1), (0, -1), (1, -1), (1, 1)], [(0, 1)]]
)
def test_couplings_of_symmetric_tensors(irreps: list[tuple[int, int]]) -> None:
    """Equivariant, symmetric and orthonormal, and as many as there are."""
    l_out = max(degree for degree, _ in irreps)
    blocks = wigner_d(l_out, random_rotations(1, seed=4)[0])

    def turn(degree: int, parity: int) -> np.ndarray:
        """With the inversion."""
        part = slice(degree**2, (degree + 1) ** 2)
        return np.asarray(parity * blocks[part, part])

    of_features = block_diag(*[turn(*irrep) for irrep in irreps])
    for power, tables in enumerate(symmetric_couplings(irreps, 3, l_out), start=1):
        counted = {degree: table.shape[-1] for degree, table in tables.items()}
        assert counted == multiplicities(irreps, power, l_out)
        for degree, table in tables.items():
            turned = np.tensordot(turn(degree, (-1) ** degree), table, (1, 0))
            for axis in range(1, power + 1):
                turned = np.moveaxis(np.tensordot(of_features, turned, (1, axis)), 0, axis)
                assert np.abs(np.swapaxes(table, 1, axis) - table).max() <= 1e-14
            assert np.abs(turned - table).max() <= 1e-13
            rows = table.reshape(-1, table.shape[-1])
            gram = rows.T @ rows / (2 * degree + 1)
            assert np.abs(gram - np.eye(len(gram))).max() <= 1e-13


@pytest.mark.slow
def test_the_factor_of_the_basis_is_of_single_precision_upstream(tmp_path: Path) -> None:
    """Upstream computes it from numbers of single precision: 6e-8 each, some of them in a sum."""
    model = export("mlip", EXPORTERS / "mlip_mace_r_min.zip")
    for structure in ("cell", "molecule"):
        golden = dict(load_file(EXPORTERS / f"mlip_mace_r_min.{structure}.safetensors"))
        for what, error in engine_errors(model, golden, tmp_path).items():
            assert error <= 1e-6, (what, error)


def test_heads_are_chosen_by_name(tmp_path: Path) -> None:
    with pytest.raises(ChoiceNeededError) as choice:
        export("mlip", HEADS)
    assert choice.value.choices == ["a", "b"]
    assert str(choice.value) == f"{HEADS}: has 2 heads: a, b. Choose one with --head."
    text = refusal(lambda: export("mlip", HEADS, head="c"))
    assert text == f"--head c: {HEADS} has a, b. Choose one of them."
    said: list[str] = []
    first = export("mlip", HEADS, head="a", log=said.append).document["energy"]["reference"]
    second = export("mlip", HEADS, head="b").document["energy"]["reference"]
    assert second == [2.0 * energy for energy in first]
    assert said[0] == "MACE, 3 layers; head a of a, b; elements H, C, O, Si."

    def without_names(said: dict[str, Any], arrays: dict[str, Any]) -> None:
        said["dataset_info"]["dataset_name"] = None

    path = changed(tmp_path, without_names, HEADS)
    for file in (path, HEADS):
        assert export("mlip", file, head="1").document["energy"]["reference"] == second
    for other in ("2", "-1", "\N{SUPERSCRIPT TWO}"):
        text = refusal(lambda other=other: export("mlip", path, head=other))  # type: ignore[misc]
        assert text == f"--head {other}: {path} has 0, 1. Choose one of them."
    text = refusal(lambda: export("mlip", PLAIN, head="a"))
    assert text == f"--head a: {PLAIN} has one head, 0. Leave the option out."
    # A name comes first.
    assert head_number(["1", "0"], "1") == 0
    assert head_names({"dataset_name": "md17"}, 1) == ["md17"]

    def other_elements(said: dict[str, Any], arrays: dict[str, Any]) -> None:
        said["dataset_info"]["atomic_energies_map"][1]["2"] = 1.0

    path = changed(tmp_path, other_elements, HEADS)
    assert "heads have different elements" in refusal(lambda: export("mlip", path, head="a"))

    def too_few(said: dict[str, Any], arrays: dict[str, Any]) -> None:
        said["dataset_info"]["atomic_energies_map"].pop()

    path = changed(tmp_path, too_few, HEADS)
    assert "found 1 of 2 heads, expected" in refusal(lambda: export("mlip", path, head="a"))


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("gaunt", "messages and contractions"),
        ("gaunt_messages", "messages"),
        ("gaunt_powers", "contractions"),
    ],
)
def test_gaunt_products_are_told(name: str, where: str) -> None:
    said: list[str] = []
    model = export("mlip", EXPORTERS / f"mlip_{name}.zip", log=said.append)
    assert f" layers; Gaunt products in {where}; elements H, C, O, Si." in said[0]
    ops = [stage["op"] for stage in model.document["graph"]]
    # A product for each factor after the first, in each layer.
    assert ops.count("gaunt_product") == {"gaunt": 4, "gaunt_messages": 0, "gaunt_powers": 3}[name]
    assert ("symmetric_contraction" in ops) == (name == "gaunt_messages")


def test_paths_of_gaunt_messages_share_radial_functions() -> None:
    """Rows of paths to one degree are multiples of each other, channel by channel."""
    model = export("mlip", EXPORTERS / "mlip_gaunt.zip")
    stages = {stage["output"]: stage for stage in model.document["graph"]}
    paths = stages["layers_1.messages"]["paths"]
    rows = model.tensors[stages["layers_1.radial"]["layers"][-1]["weight"]]
    rows = rows.reshape(len(paths), 4, -1)
    assert len(paths) == 7 and all((int(a[0]) + b + int(c[0])) % 2 == 0 for a, b, c in paths)
    by_target: dict[str, list[int]] = {}
    for k, (_, _, target) in enumerate(paths):
        by_target.setdefault(target, []).append(k)
    for same in by_target.values():
        for channel in range(4):
            assert np.linalg.matrix_rank(rows[same, channel], tol=1e-12) == 1
    assert np.linalg.matrix_rank(rows[:, 0]) == len(by_target)


def test_norms_of_the_golden_network_are_on_both_sides_of_the_limit() -> None:
    """Otherwise the numbers of upstream would be those of a network without the stage."""
    model = export("mlip", EXPORTERS / "mlip_mace_soft.zip")
    golden = load_file(EXPORTERS / "mlip_mace_soft.cell.safetensors")
    atoms = Atoms(golden["atomic_numbers"], golden["positions"], cell=golden["cell"], pbc=True)
    values = run(model, atoms.numbers, edges_of(atoms, model.document["cutoff"]))
    stages = [s for s in model.document["graph"] if s["op"] == "soft_normalization"]
    assert [s["output"] for s in stages] == [f"layers_{k}.normalized" for k in range(3)]
    for stage in stages:
        assert stage["limit"] == 0.004
        for x in values[stage["inputs"]["features"]].values():
            u = np.linalg.norm(x, axis=1) / (0.004 * np.sqrt(x.shape[1]))
            assert u.min() < 0.5 and u.max() > 1.0


def test_some_elements_get_the_same_energies(tmp_path: Path) -> None:
    numbers = [8, 1, 1]
    positions = [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]
    found = []
    for species in (None, [8, 1]):
        model = export("mlip", PLAIN, species=species)
        path = tmp_path / "model.eqnn"
        write_model(path, model.document, model.tensors)
        with Potential(path, "double") as potential:
            found.append(potential.evaluate(numbers, positions).energy)
    assert found[0] == found[1]


def test_energies_of_free_atoms_may_be_left_out(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda said, _: said["config"].update(add_atomic_energies=False))
    assert export("mlip", path).document["energy"]["reference"] == [0.0] * 4


PARTS = {
    "radial_envelope": "soft_envelope",
    "predict_partial_charges": True,
    "use_total_charge_embedding": True,
}


@pytest.mark.parametrize("key", PARTS)
def test_parts_without_a_stage_are_named(key: str, tmp_path: Path) -> None:
    value = PARTS[key]
    assert refused(tmp_path, **{key: value}) == f": config/{key}: {value} has no stage.\n{CURE}"


def test_all_that_is_refused_is_told_at_once(tmp_path: Path) -> None:
    def change(said: dict[str, Any], arrays: dict[str, Any]) -> None:
        said["config"] |= {"radial_envelope": "soft_envelope", "new_part": 1}
        said["dataset_info"]["long_range_cutoff_angstrom"] = 12.0

    path = changed(tmp_path, change)
    assert refusal(lambda: export("mlip", path)) == (
        f"{path}: config/radial_envelope: soft_envelope has no stage; config/new_part: unknown "
        "key; it may change the network; dataset_info/long_range_cutoff_angstrom: a second cutoff "
        f"has no stage.\n{CURE}"
    )


def test_values_that_have_no_exporter(tmp_path: Path) -> None:
    assert refused(tmp_path, correlation=4) == (
        f"/config/correlation: found 4, expected 1 to {HIGHEST_CORRELATION}. "
        "Others have no exporter."
    )
    assert refused(tmp_path, correlation=5, symmetric_contraction_backend="gaunt_tp") == (
        f"/config/correlation: found 5, expected 1 to {HIGHEST_GAUNT_CORRELATION}. "
        "Others have no exporter."
    )
    assert refused(tmp_path, symmetric_contraction_backend="e3x") == (
        "/config/symmetric_contraction_backend: found e3x, expected e3j, e3nn, e3nn_symmetric, "
        "gaunt_tp. Others have no exporter."
    )
    for limit in (0.0, -1.5):
        assert refused(tmp_path, soft_normalization=limit) == (
            f"/config/soft_normalization: found {limit:g}, expected a number above 0. "
            "Train it again."
        )
    for part in (
        {"use_gaunt_tp_message_passing": True},
        {"symmetric_contraction_backend": "gaunt_tp"},
    ):
        assert refused(tmp_path, include_pseudotensors=True, **part) == (
            "/config/include_pseudotensors: found true with Gaunt products, which mlip itself "
            "cannot build.\nCorrect the configuration."
        )
    assert refused(tmp_path, gate_nodes="yes") == (
        "/config/gate_nodes: found 'yes', expected true or false. Correct the configuration."
    )
    assert refused(tmp_path, activation="relu") == (
        "/config/activation: found relu, expected silu, swish, tanh, none. Others have no stage."
    )
    assert refused(tmp_path, readout_irreps=["4x0e+2x1o", "0e"]) == (
        "/config/readout_irreps: found ['4x0e+2x1o', '0e'], expected scalars as in 16x0e and 0e."
    )
    assert refused(tmp_path, readout_irreps=["5x0e", "2x0e"]) == (
        "/config/readout_irreps: 2 outputs, expected one, the energy. Others have no exporter."
    )


def test_other_networks_of_mlip_are_told(tmp_path: Path) -> None:
    for key, kind in {
        "vecnorm_type": "ViSNet",
        "sphere_channels": "eSEN",
        "x": "another network",
    }.items():

        def change(said: dict[str, Any], arrays: dict[str, Any], key: str = key) -> None:
            said["config"] = {key: 1}

        path = changed(tmp_path, change)
        text = refusal(lambda path=path: export("mlip", path))  # type: ignore[misc]
        said = (
            f"{path}: is a model of mlip (InstaDeep, {kind}), expected its MACE or NequIP.\n{CURE}"
        )
        assert text == said

    def before(said: dict[str, Any], arrays: dict[str, Any]) -> None:
        del said["config"]["symmetric_contraction_backend"]

    path = changed(tmp_path, before)
    assert refusal(lambda: export("mlip", path)) == (
        f"{path}: is a MACE of mlip before 0.2, whose contractions use another basis than those "
        f"of 0.2.\n{CURE}"
    )


NEQUIP = EXPORTERS / "mlip_nequip.zip"


def test_what_nequip_of_mlip_is_refused_for(tmp_path: Path) -> None:
    def refused_nequip(**config: Any) -> str:
        path = changed(tmp_path, lambda said, arrays: said["config"].update(config), NEQUIP)
        return refusal(lambda: export("mlip", path)).removeprefix(f"{path}")

    assert refused_nequip(use_total_charge_embedding=True, new_part=1) == (
        ": config/use_total_charge_embedding: True has no stage; config/new_part: unknown key; it "
        f"may change the network.\n{CURE}"
    )
    assert refused_nequip(radial_mlp_activation="beta_swish") == (
        "/config/radial_mlp_activation: found beta_swish, expected silu, swish, tanh, none. "
        "Others have no stage."
    )
    for irreps in ("4x0e + 2x1e + 2x1o", "4x0o + 2x1o", "4x0e + 2x1o + 2x1o"):
        assert refused_nequip(target_irreps=irreps) == (
            f"/config/target_irreps: found {irreps}, expected each irrep once, with 0e, by degree, "
            "the harmonics' parity first.\nOthers have no exporter."
        )
    for words in ({"e": "relu", "o": "tanh"}, {"e": "silu", "o": "silu"}, {"e": "silu"}):
        assert refused_nequip(gate_nonlinearities=words) == (
            f"/config/gate_nonlinearities: found {words!s:.40}, expected silu, swish or tanh for "
            "e, and tanh for o. Others have no stage."
        )
    assert refused_nequip(avg_num_neighbors=0.0) == (
        "/config/avg_num_neighbors: found 0, expected a number above 0. Train it again."
    )
    assert "outputs, expected " in refused_nequip(l_max=2)


def test_damaged_files(tmp_path: Path) -> None:
    def drop(said: dict[str, Any], arrays: dict[str, Any]) -> None:
        del said["dataset_info"]

    path = changed(tmp_path, drop)
    assert refusal(lambda: export("mlip", path)) == (
        f"{path}: hyperparams.json has no objects config and dataset_info. Get the file again."
    )

    def wider(said: dict[str, Any], arrays: dict[str, Any]) -> None:
        key = "params#mlip_network#layers_1#interaction_block#radial_mlp#layers_2#kernel"
        arrays[key] = np.zeros((7, 3), dtype=np.float32)

    path = changed(tmp_path, wider)
    assert "3 outputs, expected 42 of the convolution's paths" in refusal(
        lambda: export("mlip", path)
    )

    def more(said: dict[str, Any], arrays: dict[str, Any]) -> None:
        arrays["params#mlip_network#new_part#kernel"] = np.ones(3, dtype=np.float32)

    path = changed(tmp_path, more)
    assert "belong to no part that this exporter knows" in refusal(lambda: export("mlip", path))

    def infinite(said: dict[str, Any], arrays: dict[str, Any]) -> None:
        said["dataset_info"]["scaling_mean"] = float("inf")

    path = changed(tmp_path, infinite)
    assert "/dataset_info/scaling_mean: found inf, expected a number" in refusal(
        lambda: export("mlip", path)
    )
    for energies in ({"x": 1.0}, {"200": 1.0}, {"1": None}):

        def wrong(said: dict[str, Any], arrays: dict[str, Any], e: Any = energies) -> None:
            said["dataset_info"]["atomic_energies_map"] = e

        path = changed(tmp_path, wrong)
        assert refusal(lambda path=path: export("mlip", path)) == (  # type: ignore[misc]
            f"{path}/dataset_info/atomic_energies_map: expected energies by atomic number. "
            "Get the file again."
        )
    for file in (PLAIN, NEQUIP):
        for key in ("graph_cutoff_angstrom", "avg_num_neighbors"):
            for value in (0, -1.0, float("nan")):

                def none(said: dict[str, Any], arrays: Any, key: str = key, v: Any = value) -> None:
                    said["dataset_info"][key] = v

                path = changed(tmp_path, none, file)
                assert refusal(lambda path=path: export("mlip", path)) == (  # type: ignore[misc]
                    f"{path}/dataset_info/{key}: found {value:g}, expected a number above 0. "
                    "Train it again."
                )

    def far(said: dict[str, Any], arrays: dict[str, Any]) -> None:
        said["dataset_info"]["avg_r_min_angstrom"] = 4

    path = changed(tmp_path, far)
    assert refusal(lambda: export("mlip", path)) == (
        f"{path}/dataset_info/avg_r_min_angstrom: found 4, expected less than the cutoff of 4. "
        "Train it again."
    )

    def word(said: dict[str, Any], arrays: dict[str, Any]) -> None:
        said["config"]["use_residual_connection"] = "no"

    path = changed(tmp_path, word, NEQUIP)
    assert refusal(lambda: export("mlip", path)) == (
        f"{path}/config/use_residual_connection: found 'no', expected true or false. "
        "Correct the configuration."
    )
    path.write_bytes(PLAIN.read_bytes()[:2000])
    assert refusal(lambda: export("mlip", path)) == (
        f"{path}: not readable as a model of mlip (BadZipFile: File is not a zip file).\n"
        "It is damaged or incomplete: get it again."
    )
    missing = tmp_path / "missing.zip"
    assert refusal(lambda: export("mlip", missing)) == (
        f"{missing}: no such file. Give the checkpoint's path."
    )


def test_info_says_what_it_is() -> None:
    assert recognize(PLAIN).upstream.name == "mlip"
    assert describe_checkpoint(NEQUIP).splitlines() == [
        str(NEQUIP),
        "  is                a model of mlip, read by InstaDeep's mlip (MACE, NequIP)",
        "                    NequIP, 6 layers; elements H, C, O, Si.",
        "  can be exported   yes",
        f"  command           eqnn export mlip --checkpoint {NEQUIP} --output mlip_nequip.eqnn",
    ]
    text = describe_checkpoint(HEADS)
    assert "  --head            a, b: choose one\n" in text and text.endswith(" --head HEAD")
