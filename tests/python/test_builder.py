# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import numpy as np
from eqnn_models import EXPORTERS, PROVENANCE, max_error, refusal, tiny_cg_model, tiny_model

from eqnn.builder import EXACT_DEFECT, ModelBuilder, contraction_defect, graph_defect
from eqnn.model_file import read_model, validate
from eqnn.so3 import coupling_tensor, equivariance_defect

ENERGY = {
    "semantics": "extensive",
    "scale": 1.0,
    "shift": 0.0,
    "reference": [0.0],
    "isolated_atoms": "network",
}


def builder() -> ModelBuilder:
    return ModelBuilder(family="f", species=[1], cutoff=4.0, l_max=0)


def smallest(build: ModelBuilder) -> ModelBuilder:
    """Energies of species alone: a graph without edges."""
    build.stage("species_embedding", "x", weights={"table": np.array([[0.5]])}, l_max=0)
    layer = {"weight": np.eye(1), "bias": None, "layer_norm": None, "activation": "none"}
    build.stage("readout", "site", {"features": "x"}, layers=[layer])
    build.stage("energy", "energy", {"terms": ["site"]})
    return build


def test_arrays_anywhere_in_a_stage_become_tensors_named_by_their_place() -> None:
    model = tiny_model()
    radial = next(s for s in model.document["graph"] if s["op"] == "radial")
    assert radial["basis"]["center"] == "radial/basis/center"
    assert radial["layers"][0]["layer_norm"]["scale"] == "radial/layers/0/layer_norm/scale"
    assert radial["layers"][1]["bias"] is None
    assert radial["weights"] == {}
    assert model.tensors["radial/basis/center"].shape == (6,)


def test_a_built_model_is_valid_and_knows_its_defect() -> None:
    model = tiny_model()
    validate(model)
    assert model.document["equivariance"]["exact"]
    assert model.document["equivariance"]["defect"] == equivariance_defect(coupling_tensor(1))
    assert model.document["self_test"] == []


def finish(build: ModelBuilder, **changes: object) -> object:
    options = {
        "energy": ENERGY,
        "forces": "gradient",
        "parity": "o3",
        "provenance": PROVENANCE,
        **changes,
    }
    return build.finish(**options)  # type: ignore[arg-type]


def test_a_model_without_couplings_is_exact() -> None:
    model = smallest(builder()).finish(
        energy=ENERGY, forces="gradient", parity="o3", provenance=PROVENANCE
    )
    assert model.document["equivariance"] == {"exact": True, "defect": 0.0}
    assert max_error(model.tensors["x/table"], [[0.5]]) == 0.0


def test_two_tensors_of_one_name_are_refused() -> None:
    build = builder()
    assert build.tensor("shared", np.zeros(2)) == "shared"
    text = refusal(lambda: build.tensor("shared", np.zeros(2)))
    assert text == 'tensor "shared" exists already. Give each tensor a name of its own.'


def test_two_stages_of_one_name_are_refused_by_their_tensors_or_the_validator() -> None:
    build = builder()
    table = {"table": np.array([[0.5]])}
    build.stage("species_embedding", "x", weights=table, l_max=0)
    assert 'tensor "x/table" exists already' in refusal(
        lambda: build.stage("species_embedding", "x", weights=table, l_max=0)
    )


def test_finishing_an_invalid_graph_names_the_model() -> None:
    build = builder()
    text = refusal(lambda: finish(build, name="checkpoint.pt"))
    assert text.startswith("checkpoint.pt: /graph: no stage, expected at least one.")


def test_later_changes_of_an_array_do_not_reach_the_model() -> None:
    build = builder()
    values = np.array([[0.5]])
    build.stage("species_embedding", "x", weights={"table": values}, l_max=0)
    layer = {"weight": np.eye(1), "bias": None, "layer_norm": None, "activation": "none"}
    build.stage("readout", "site", {"features": "x"}, layers=[layer])
    build.stage("energy", "energy", {"terms": ["site"]})
    values[0, 0] = 7.0
    model = build.finish(energy=ENERGY, forces="gradient", parity="o3", provenance=PROVENANCE)
    assert model.tensors["x/table"][0, 0] == 0.5


def test_irreps_may_be_a_mapping_and_a_layer_is_one_line() -> None:
    model = tiny_cg_model()
    entries = {s["output"]: s for s in model.document["graph"]}
    assert entries["mixed1"]["irreps"] == "6x0e+2x1o+2x2e"
    assert entries["site2"]["layers"] == [
        {"weight": "site2/layers/0/weight", "bias": None, "layer_norm": None, "activation": "none"}
    ]


def test_the_defect_counts_contractions() -> None:
    model = tiny_cg_model()
    assert model.document["equivariance"]["exact"]
    tensors = dict(model.tensors)
    tensors["product/terms/1/values"] = np.array([1.0, 1.0, 1.0, 1.01])  # x^2 + y^2 + 1.01 z^2
    defect = graph_defect(model.document["graph"], tensors)
    assert 1e-3 < defect < 1e-2


def test_the_defect_knows_blocks_of_the_same_degree() -> None:
    """Of 0e+1o+1e, the product of both vectors is a pseudoscalar; of 0e+1o+2e it is nothing."""
    indices, values = np.array([[0, 0, 1 + m, 4 + m] for m in range(3)]), np.ones(3)
    assert contraction_defect(0, indices, values, features=[0, 1, 1]) <= 1e-14
    assert contraction_defect(0, indices, values, features=[0, 1, 2]) > 0.1
    # One component of a block against the other block's: a vector of its own.
    copy = np.array([[m, 0, 4 + m] for m in range(3)])
    assert contraction_defect(1, copy, values) > 0.1
    assert contraction_defect(1, copy, values, features=[0, 1, 1]) <= 1e-14


def test_a_model_of_both_parities_is_exactly_equivariant() -> None:
    model = read_model(EXPORTERS / "mace_pseudo.eqnn")
    assert model.document["equivariance"]["exact"]
    assert graph_defect(model.document["graph"], model.tensors) <= EXACT_DEFECT


def test_the_defect_knows_that_a_contraction_is_symmetric() -> None:
    # x y + y x once or twice: the same function, which rotates into x^2 - y^2.
    once = contraction_defect(0, np.array([[0, 0, 1, 2]]), np.array([2.0]))
    twice = contraction_defect(0, np.array([[0, 0, 1, 2], [0, 0, 2, 1]]), np.ones(2))
    assert abs(once - twice) <= 1e-14
    assert once > 0.1
