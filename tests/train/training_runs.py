# SPDX-License-Identifier: BSD-3-Clause
"""A small training: frames that a model made, and another model of its kind to learn them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress
from eqnn_models import tiny_cp_model
from train_models import random_cluster, yaml

from eqnn.library import Potential
from eqnn.model_file import Model, write_model
from eqnn.train.network import trained_names

SPECIES = [1, 6, 8]


def labeled(potential: Potential, atoms: Atoms) -> Atoms:
    """Return atoms with the energy, forces and stress of a potential."""
    cell = atoms.cell.array if atoms.pbc.all() else None
    found = potential.evaluate(atoms.numbers, atoms.positions, cell)
    results: dict[str, Any] = {"energy": found.energy, "forces": found.forces}
    if cell is not None:
        assert found.virial is not None
        # Symmetric, as a potential's stress is; what is asymmetric is rounding.
        stress = -(found.virial + found.virial.T) / 2 / atoms.cell.volume
        results["stress"] = full_3x3_to_voigt_6_stress(stress)
    out: Atoms = atoms.copy()
    out.calc = SinglePointCalculator(out, **results)
    return out


def crystal(seed: int) -> Atoms:
    """Three atoms in a small cell."""
    atoms = random_cluster(SPECIES, 3, seed=seed, size=1.9)
    atoms.set_cell(np.diag([2.9, 3.0, 3.2]) + 0.1)
    atoms.pbc = True
    return atoms


def perturbed(model: Model, size: float = 0.1) -> Model:
    """Return the model with other weights."""
    rng = np.random.default_rng(2)
    tensors = dict(model.tensors)
    for name in trained_names(model.document):
        tensors[name] = tensors[name] * (1 + size * rng.normal(size=tensors[name].shape))
    return Model(model.document, tensors, model.name)


def prepare(folder: Path, **changed: Any) -> Path:
    """Write model, frames and configuration; return the configuration's path.

    Parameters
    ----------
    folder : Path
    changed
        Keys of the configuration; mappings are merged into its sections.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth = tiny_cp_model()
    write_model(folder / "truth.eqnn", truth.document, truth.tensors)
    start = perturbed(truth)
    write_model(folder / "start.eqnn", start.document, start.tensors)
    sizes = [2, 3, 4, 5, 6, 7, 3, 5]
    with Potential(folder / "truth.eqnn", "reference") as potential:
        frames = [
            labeled(potential, random_cluster(SPECIES, n, seed=k)) for k, n in enumerate(sizes * 2)
        ]
        frames += [labeled(potential, crystal(seed)) for seed in (40, 41)]
        watched = [labeled(potential, random_cluster(SPECIES, n, seed=90 + n)) for n in (3, 5, 6)]
        watched.append(labeled(potential, crystal(50)))
    ase.io.write(folder / "train.xyz", frames)
    ase.io.write(folder / "watch.xyz", watched)
    said: dict[str, Any] = {
        "model": "start.eqnn",
        "output": "out",
        "data": {"train": ["train.xyz"], "validation": ["watch.xyz"]},
        "loss": {"kind": "squares", "energy": 1.0, "forces": 1.0, "stress": 1.0},
        "optimizer": {"learning_rate": 0.01, "warm_up": 0.05, "ema": 0.9},
        "precision": "float64",
        "epochs": 12,
        "batch_size": 4,
        "shapes": 2,
    }
    for key, value in changed.items():
        said[key] = {**said.get(key, {}), **value} if isinstance(value, dict) else value
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(said))
    return path
