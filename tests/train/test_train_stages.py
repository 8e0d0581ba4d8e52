# SPDX-License-Identifier: BSD-3-Clause
"""Stages in JAX against the library's reference evaluator, and their slopes against differences."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from eqnn_models import (
    ROOT,
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
from train_models import batch_of, jax, random_cluster, self_test_atoms

from eqnn.library import Potential
from eqnn.model_file import Model, read_model, write_model
from eqnn.stages import FUNCTION_OF, STAGES
from eqnn.structures import cell_with_vacuum
from eqnn.train.network import Batch, Network, trained_names
from eqnn.train.packing import Shape, example_of
from eqnn.train.stage_parts import spherical_harmonics
from eqnn.train.stages import OP_OF

FILES = [
    *sorted((ROOT / "potentials").glob("*.eqnn")),
    *sorted((ROOT / "tests" / "golden").rglob("*.eqnn")),
]


def with_xplor(model: Model) -> Model:
    for stage in model.document["graph"]:
        if stage["op"] == "radial":
            stage["envelope"] = {"kind": "xplor", "start": 1.5, "on": "output"}
    return model


TINY: dict[str, Callable[[], Model]] = {
    "attention": tiny_model,
    "attention_isolated": lambda: tiny_model(isolated="zero"),
    "attention_fading": lambda: tiny_model(fading=5),
    "direct": lambda: tiny_model(forces="direct"),
    "paths": tiny_cg_model,
    "paths_so3_xplor": lambda: with_xplor(tiny_cg_model("so3", "polynomial", "output")),
    "gates": tiny_gate_model,
    "densities": tiny_density_model,
    "networks": tiny_network_model,
    "networks_without_envelope": lambda: tiny_network_model(None),
    "norms": tiny_norm_model,
    "sphere": tiny_gaunt_model,
    "factors": tiny_cp_model,
}


def of_means(model: Model) -> Model:
    """Return the model with energies that are a mean of the atoms times their number."""
    said = {**model.document["energy"], "semantics": "mean-per-atom"}
    return Model({**model.document, "energy": said}, model.tensors, model.name)


def compare(model: Model, path: Path, structures: list[Atoms]) -> None:
    """Hold energies, forces and virials of all structures at once against the reference."""
    network = Network(model)
    found = jax.jit(network.evaluate)(network.weights, batch_of(model, structures))
    direct = model.document["forces"] == "direct"
    reference = np.asarray(model.document["energy"]["reference"])
    first = 0
    with Potential(path, "reference", has_virial=not direct) as potential:
        for k, atoms in enumerate(structures):
            cell = cell_with_vacuum(atoms, model.document["cutoff"])
            expected = potential.evaluate(atoms.numbers, atoms.positions, cell)
            species = example_of(atoms, model.document).species
            energy = float(found.energy[k]) + reference[species].sum()
            assert relative_error(energy, expected.energy) <= 1e-10
            largest = max(np.abs(expected.forces).max(), 1e-6)
            rows = slice(first, first + len(atoms))
            assert max_error(found.forces[rows], expected.forces) <= 1e-10 * largest
            first += len(atoms)
            if expected.virial is not None:
                largest = max(np.abs(expected.virial).max(), 1e-6)
                assert max_error(found.virial[k], expected.virial) <= 1e-10 * largest
    # Padding adds nothing at all.
    assert np.abs(found.energy[len(structures) :]).max() == 0
    assert np.abs(found.forces[first:]).max() == 0
    assert np.abs(found.virial[len(structures) :]).max() == 0


def test_each_operation_of_a_file_has_a_function_here() -> None:
    assert set(OP_OF) == set(FUNCTION_OF)
    for stage in STAGES:
        assert (ROOT / "python" / "eqnn" / "train" / "stages" / f"{stage}.py").is_file()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_give_what_the_reference_evaluator_gives(path: Path) -> None:
    model = read_model(path)
    compare(model, path, self_test_atoms(model))


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("means", [False, True])
def test_small_models_give_what_the_reference_evaluator_gives(
    tmp_path: Path, name: str, means: bool
) -> None:
    model = of_means(TINY[name]()) if means else TINY[name]()
    write_model(tmp_path / "m.eqnn", model.document, model.tensors)
    cell = random_cluster([1, 6, 8], 5, seed=8, size=2.2)
    cell.set_cell(np.diag([2.9, 3.0, 3.2]) + 0.1)
    cell.pbc = True
    alone = Atoms("O", [[0, 0, 0]])
    far = Atoms("HC", [[0, 0, 0], [0, 0, 20.0]])
    slab = cell.copy()
    slab.pbc = (True, False, True)
    structures = [random_cluster([1, 6, 8]), cell, slab, alone, far, random_cluster([6, 8], 3)]
    compare(model, tmp_path / "m.eqnn", structures)


def test_small_models_have_every_operation() -> None:
    ops = {stage["op"] for name in TINY for stage in TINY[name]().document["graph"]}
    assert ops == set(FUNCTION_OF)


def numbers_in(model: Model) -> set[str]:
    """Names of tensors that hold no grid, coupling or radius."""
    constant = r".*/(basis/(frequency|center|width|amplitude)|coupling|\w+_factor|radius)"
    constant += r"|.*/terms/\d+/(indices|values)"
    return {name for name in model.tensors if not re.fullmatch(constant, name)}


@pytest.mark.parametrize("name", TINY)
def test_weights_are_trained_and_constants_are_not(name: str) -> None:
    model = TINY[name]()
    assert set(trained_names(model.document)) == {
        name for name in numbers_in(model) if not name.startswith(("basis", "coupling"))
    }


def objective(network: Network, batch: Batch) -> Callable[[Any], Any]:
    """Make a number that energies, forces and virials enter: what is trained has its slope."""
    rng = np.random.default_rng(4)
    a, b, c = (
        rng.normal(size=shape)
        for shape in (
            batch.structure_mask.shape,
            (*batch.species.shape, 3),
            (*batch.structure_mask.shape, 3, 3),
        )
    )

    def of(weights: Any) -> Any:
        found = network.evaluate(weights, batch)
        squares = (found.forces**2).sum() + (found.virial**2).sum()
        linear = (found.energy * a).sum() + (found.forces * b).sum() + (found.virial * c).sum()
        return linear + 0.1 * squares

    return of


@pytest.mark.parametrize("name", TINY)
def test_slopes_by_weights_are_those_of_differences(name: str) -> None:
    model = TINY[name]()
    network = Network(model)
    batch = batch_of(model, [random_cluster([1, 6, 8]), random_cluster([1, 6], 4, seed=5)])
    value = jax.jit(objective(network, batch))
    slope = jax.jit(jax.grad(objective(network, batch)))(network.weights)
    assert set(slope) == set(network.weights)
    rng = np.random.default_rng(1)
    step = 1e-4
    n_zero = 0
    for key, w in network.weights.items():
        assert np.isfinite(slope[key]).all()
        direction = rng.normal(size=w.shape)

        def at(t: float, key: str = key, w: Any = w, direction: Any = direction) -> float:
            return float(value({**network.weights, key: w + t * direction}))

        # Two steps take the error of third order away.
        one, two = ((at(t) - at(-t)) / (2 * t) for t in (step, 2 * step))
        expected = (4 * one - two) / 3
        found = float((slope[key] * direction).sum())
        # Rounding of values near 1 divided by the step, and the fifth order.
        assert abs(found - expected) <= 1e-8 * (1 + abs(at(0.0)) + abs(expected)), key
        n_zero += expected == 0
    # Of what enters nothing a difference would say nothing: in "gates", odd scalars that vanish.
    assert n_zero <= len(network.weights) // 4


@pytest.mark.parametrize("name", TINY)
def test_padding_has_no_slope_and_changes_none(name: str) -> None:
    model = TINY[name]()
    network = Network(model)
    structures = [random_cluster([1, 6, 8]), random_cluster([1, 6], 4, seed=5)]
    slopes = []
    for extra in (Shape(1, 0, 1), Shape(9, 40, 3)):
        batch = batch_of(model, structures, extra)

        def of(weights: Any, vector: Any, batch: Batch = batch) -> Any:
            found = network.evaluate(weights, batch._replace(vector=vector))
            return (found.energy**2).sum() + (found.forces**2).sum() + (found.virial**2).sum()

        by_weights, by_vector = jax.jit(jax.grad(of, argnums=(0, 1)))(network.weights, batch.vector)
        n = int(batch.edge_mask.sum())
        assert np.isfinite(by_vector).all() and np.abs(by_vector[:n]).max() > 0
        assert np.abs(by_vector[n:]).max(initial=0.0) == 0
        slopes.append(by_weights)
    for key, slope in slopes[0].items():
        largest = max(float(np.abs(slope).max()), 1e-6)
        assert max_error(slopes[1][key], slope) <= 1e-12 * largest, key


@pytest.mark.parametrize("name", TINY)
def test_edges_without_length_and_along_axes_have_finite_slopes(name: str) -> None:
    model = TINY[name]()
    network = Network(model)
    axes = np.concatenate([[np.zeros(3)], np.eye(3), -np.eye(3)])
    batch = batch_of(model, [Atoms("OHCOHCO", axes)])
    alone = int(np.flatnonzero(batch.edge_mask)[-1])
    vector = np.array(batch.vector)
    vector[alone] = 0.0

    def of(weights: Any, vector: Any) -> Any:
        found = network.evaluate(weights, batch._replace(vector=vector))
        return (found.energy**2).sum() + (found.forces**2).sum() + (found.virial**2).sum()

    for slope in jax.tree.leaves(jax.jit(jax.grad(of, argnums=(0, 1)))(network.weights, vector)):
        assert np.isfinite(slope).all()


def test_harmonics_are_smooth_at_the_poles() -> None:
    poles = np.concatenate([np.eye(3), -np.eye(3)])
    by_vector = jax.jacfwd(jax.jacrev(lambda v: spherical_harmonics(4, v[None])[0]))
    for pole in poles:
        step = 1e-3
        tilt = np.roll(pole, 1) * step
        at_pole, beside = by_vector(pole), (by_vector(pole + tilt) + by_vector(pole - tilt)) / 2
        assert np.isfinite(at_pole).all()
        assert max_error(at_pole, beside) <= 1e3 * step**2 * 10


@pytest.mark.parametrize("name", TINY)
def test_single_precision_is_double_precision_rounded(name: str) -> None:
    model = TINY[name]()
    structures = [random_cluster([1, 6, 8]), random_cluster([1, 6], 4, seed=5)]
    double, single = Network(model), Network(model, "float32")
    expected = jax.jit(double.evaluate)(double.weights, batch_of(model, structures))
    rounded = batch_of(model, structures, dtype="float32")
    found = jax.jit(single.evaluate)(single.weights, rounded)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == np.float32
        # Sums of some hundred terms, in models whose weights are not small.
        assert max_error(a, b) <= 2e-5 * max(float(np.abs(b).max()), 1.0)


def test_a_stage_that_cannot_be_trained_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(OP_OF, "zbl")
    assert refusal(lambda: Network(tiny_cg_model())) == (
        'the stage "repulsion" is a zbl, which cannot be trained. Write its function in\n'
        "python/eqnn/train/stages: docs/adding_an_architecture.md."
    )


def test_atoms_in_one_place_are_refused() -> None:
    atoms = Atoms("CHO", [[0, 0, 0], [1, 0, 0], [1, 0, 0]])
    assert refusal(lambda: example_of(atoms, tiny_model().document, "set#4")) == (
        "set#4: atoms 1 and 2 are in the same place. Correct the structure."
    )


def test_the_stage_of_the_document_is_that_of_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/adding_an_architecture.md has both functions of its example."""
    text = (ROOT / "docs" / "adding_an_architecture.md").read_text()
    files = dict(re.findall(r"^\*\*(python/\S+)\*\*\n\n```python\n(.*?)^```\n", text, re.M | re.S))
    modules: list[Any] = []
    for k, content in enumerate(files.values()):
        path = tmp_path / f"stage_of_document_{k}.py"
        path.write_text(content)
        spec = spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, path.stem, module)
        spec.loader.exec_module(module)
        modules.append(module)
    plain, in_jax = modules
    x = {"0e": np.ones((2, 1, 3)), "1o": np.ones((2, 3, 2))}
    w = {"0e": np.array([1.0, 2.0, 3.0]), "1o": np.array([4.0, 5.0])}
    stage = {"weights": {"0e": "a", "1o": "b"}}
    op = in_jax.OPS["channel_scale"]
    assert op.trained(stage) == ["a", "b"]
    found = op.forward(None, stage, w, features=x)
    expected = plain.OPS["channel_scale"](None, stage, w, features=x)
    assert all(max_error(found[b], expected[b]) == 0 for b in x)
