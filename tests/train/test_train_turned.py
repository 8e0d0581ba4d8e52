# SPDX-License-Identifier: BSD-3-Clause
"""The penalty on what changes when a structure is turned, for products that are not exact."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import ase.io
import numpy as np
from eqnn_models import ROOT, max_error, tiny_model
from train_models import batch_of, jax, random_cluster, yaml
from training_runs import labeled, prepare

from eqnn.cli import main
from eqnn.library import Potential
from eqnn.model_file import Model, read_model, write_model
from eqnn.train.config import read_config
from eqnn.train.fit import Trainer
from eqnn.train.network import Network
from eqnn.train.turned import evaluate_turned, random_rotations

FITTED = ROOT / "tests" / "golden" / "tdn" / "model_l1_h16_b1.eqnn"
EXACT = ROOT / "potentials" / "tdn_3bpa_exact.eqnn"


def test_rotations_are_rotations_all_over_the_sphere() -> None:
    found = np.asarray(random_rotations(jax.random.PRNGKey(3), 4000, np.float64))
    assert max_error(found @ found.transpose(0, 2, 1), np.broadcast_to(np.eye(3), found.shape)) < (
        1e-14
    )
    assert max_error(np.linalg.det(found), np.ones(4000)) < 1e-14
    # Of the uniform distribution: means vanish, squares of entries are 1/3, the trace's is 1.
    assert np.abs(found.mean(0)).max() < 0.05
    assert max_error((found**2).mean(0), np.full((3, 3), 1 / 3)) < 0.03
    assert abs((np.trace(found, axis1=1, axis2=2) ** 2).mean() - 1) < 0.1


def test_turned_structures_are_those_that_the_engine_evaluates() -> None:
    model = read_model(FITTED)
    structures = [random_cluster(model.document["species"], n, seed=n) for n in (2, 5, 7)]
    network, batch = Network(model), batch_of(model, structures)
    rotations = random_rotations(jax.random.PRNGKey(5), len(batch.structure_mask), np.float64)
    found = evaluate_turned(network, network.weights, batch, rotations)
    plain = network.evaluate(network.weights, batch)
    first = 0
    with Potential(FITTED, "reference", has_virial=False) as potential:
        for k, atoms in enumerate(structures):
            turn = np.asarray(rotations[k])
            expected = potential.evaluate(atoms.numbers, atoms.positions @ turn.T)
            reference = potential.evaluate(atoms.numbers, atoms.positions)
            rows = slice(first, first + len(atoms))
            first += len(atoms)
            change = expected.energy - reference.energy
            assert abs(float(found.energy[k] - plain.energy[k]) - change) <= 1e-10
            assert max_error(found.forces[rows], expected.forces @ turn) <= 1e-10
    changed = np.abs(np.asarray(found.energy - plain.energy))[: len(structures)]
    assert changed[1:].max() > 1e-7  # its products are not exact
    assert np.abs(np.asarray(found.forces))[first:].max() == 0


def test_nothing_changes_where_products_are_exact() -> None:
    model = read_model(EXACT)
    structures = [random_cluster(model.document["species"], 6, seed=2)]
    network, batch = Network(model), batch_of(model, structures)
    rotations = random_rotations(jax.random.PRNGKey(5), len(batch.structure_mask), np.float64)
    found = evaluate_turned(network, network.weights, batch, rotations)
    plain = network.evaluate(network.weights, batch)
    assert max_error(found.energy, plain.energy) <= 1e-10
    assert max_error(found.forces, plain.forces) <= 1e-10


def damaged(model: Model) -> Model:
    """Return a model whose products are far from exact."""
    (name,) = (
        s["weights"]["coupling"] for s in model.document["graph"] if s["op"] == "edge_matrix"
    )
    noise = 0.1 * np.random.default_rng(3).normal(size=model.tensors[name].shape)
    document = {**model.document, "equivariance": {"exact": False, "defect": 0.1}}
    return Model(document, {**model.tensors, name: model.tensors[name] + noise}, model.name)


def train(folder: Path, penalty: float) -> list[dict[str, float]]:
    """Fit forces that a model with exact products made; return the rows of metrics.csv."""
    folder.mkdir()
    truth = tiny_model(fading=5)
    write_model(folder / "truth.eqnn", truth.document, truth.tensors)
    with Potential(folder / "truth.eqnn", "reference") as potential:
        frames = [labeled(potential, random_cluster([1, 6, 8], 5, seed=k)) for k in range(10)]
    ase.io.write(folder / "train.xyz", frames[:8])
    ase.io.write(folder / "watch.xyz", frames[8:])
    start = damaged(truth)
    write_model(folder / "start.eqnn", start.document, start.tensors)
    said = {
        "model": "start.eqnn",
        "output": "out",
        "data": {"train": ["train.xyz"], "validation": ["watch.xyz"]},
        "loss": {"kind": "squares", "energy": 1.0, "forces": 10.0, "equivariance": penalty},
        "optimizer": {"learning_rate": 0.01, "ema": 0.5},
        "precision": "float64",
        "epochs": 20,
        "batch_size": 4,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(said))
    assert main(["train", str(folder / "config.yaml")]) == 0
    with (folder / "out" / "metrics.csv").open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def test_the_penalty_makes_the_change_smaller(tmp_path: Path) -> None:
    light, heavy = train(tmp_path / "light", 1e-9), train(tmp_path / "heavy", 4.0)
    assert heavy[-1]["turned_forces_rmse"] < 0.7 * light[-1]["turned_forces_rmse"]
    model = read_model(tmp_path / "heavy" / "out" / "model.eqnn")
    assert "turned_forces_rmse" in model.document["provenance"]["training"]["errors"]
    shutil.rmtree(tmp_path / "heavy" / "out")
    # Random rotations depend on the seed and the step alone.
    assert main(["train", str(tmp_path / "heavy" / "config.yaml")]) == 0
    again = read_model(tmp_path / "heavy" / "out" / "model.eqnn")
    assert again.sha256 == model.sha256


def test_the_penalty_fades_with_the_change_of_forces(tmp_path: Path) -> None:
    trainer = Trainer(read_config(prepare(tmp_path, loss={"equivariance": 0.5})))
    assert trainer._factors(0)[3] == 0.5
    for turned, expected in ((30.0, 0.25), (90.0, 0.5), (0.0, 0.0)):
        row = {"turned_forces_rmse": turned, "validation_forces_rmse": 60.0}
        assert abs(trainer._factors(0, [row])[3] - expected) <= 1e-7
