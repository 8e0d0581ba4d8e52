# SPDX-License-Identifier: BSD-3-Clause
"""Make the goldens of packaged NequIP models, with nequip's own training, packaging and evaluation.

    python tests/upstream/make_nequip_goldens.py [--write] [NAME ...]

`nequip_parity`: full parity, neighbors and energy scales of each element, a readout with a hidden
layer. `nequip_zbl`: no parity, one number of neighbors, repulsion. `nequip_cutoffs`: cutoffs of
each pair of elements, residual connections, other functions of gates and readout. `nequip_norms`:
functions of norms in the place of gates, residual connections, the shifted softplus in the readout.
Two steps of training on random labels, so that every weight is the optimizer's, double precision.
Of a package only the pickled model, its storages and its metadata are kept. Without --write, the
networks are trained again and their results compared with those stored. Needs nequip 0.19.1 (e3nn
0.6.0, torch), not our package.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write as write_atoms
from ase.neighborlist import neighbor_list
from safetensors.numpy import load_file, save_file

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "pretrained"
MODEL: dict[str, Any] = {
    "_target_": "nequip.model.NequIPGNNModel",
    "seed": 7,
    "model_dtype": "float64",
    "type_names": ["C", "H", "O"],
    "r_max": 4.0,
    "num_bessels": 6,
    "num_layers": 4,
    "l_max": 2,
    "num_features": [4, 3, 2],
    "type_embed_num_features": 5,
    "radial_mlp_width": 12,
    "per_type_energy_scales": {"C": 1.1, "H": 0.9, "O": 1.3},
    "per_type_energy_shifts": {"C": -3.0, "H": -1.0, "O": -2.0},
}
MODELS: dict[str, dict[str, Any]] = {
    "nequip_parity": {
        **{"parity": True, "bessel_trainable": True, "radial_mlp_depth": 2},
        **{"readout_mlp_hidden_layers_depth": 1, "readout_mlp_hidden_layers_width": 5},
        "avg_num_neighbors": {"C": 3.0, "H": 2.0, "O": 4.0},
    },
    "nequip_zbl": {
        **{"parity": False, "radial_mlp_depth": 1, "avg_num_neighbors": 3.5},
        "pair_potential": {
            "_target_": "nequip.nn.pair_potential.ZBL",
            "units": "metal",
            "chemical_species": ["C", "H", "O"],
        },
    },
    "nequip_cutoffs": {
        **{"parity": True, "l_max": 1, "num_features": [4, 3], "radial_mlp_depth": 1},
        "avg_num_neighbors": 2.5,
        "per_edge_type_cutoff": {"C": 3.5, "H": {"C": 3.0, "H": 2.0, "O": 4.0}},
        "convnet_resnet": True,
        "convnet_nonlinearity_gates": {"e": "abs", "o": "tanh"},
        **{"readout_mlp_hidden_layers_depth": 2, "readout_mlp_hidden_layers_width": 5},
        "readout_mlp_nonlinearity": "gelu",
    },
    "nequip_norms": {
        **{"parity": True, "num_features": 3, "radial_mlp_depth": 1, "avg_num_neighbors": 2.5},
        **{"convnet_nonlinearity_type": "norm", "convnet_resnet": True},
        "convnet_nonlinearity_scalars": {"e": "tanh", "o": "tanh"},
        **{"readout_mlp_hidden_layers_depth": 1, "readout_mlp_hidden_layers_width": 5},
        "readout_mlp_nonlinearity": "ssp",
    },
}


def configuration(folder: Path, model: dict[str, Any]) -> dict[str, Any]:
    """Build nequip's configuration of a short training."""
    names = MODEL["type_names"]
    loader = {"_target_": "torch.utils.data.DataLoader", "batch_size": 4}
    coefficients = {"total_energy": 1.0, "forces": 1.0}
    return {
        "run": ["train"],
        "data": {
            "_target_": "nequip.data.datamodule.ASEDataModule",
            "seed": 1,
            "split_dataset": {"file_path": str(folder / "d.xyz"), "train": 8, "val": 4},
            "transforms": [
                {
                    "_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper",
                    "model_type_names": names,
                    "chemical_species_to_atom_type_map": {name: name for name in names},
                },
                {
                    "_target_": "nequip.data.transforms.NeighborListTransform",
                    "r_max": MODEL["r_max"],
                },
            ],
            "train_dataloader": loader,
            "val_dataloader": loader,
            "stats_manager": {
                "_target_": "nequip.data.CommonDataStatisticsManager",
                "dataloader_kwargs": {"batch_size": 4},
                "type_names": names,
            },
        },
        "trainer": {
            "_target_": "lightning.Trainer",
            **{"accelerator": "cpu", "max_epochs": 1, "logger": False},
            "callbacks": [
                {
                    "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
                    **{"dirpath": str(folder), "save_last": True},
                }
            ],
        },
        "training_module": {
            "_target_": "nequip.train.NequIPLightningModule",
            "loss": {"_target_": "nequip.train.EnergyForceLoss", "coeffs": coefficients},
            "val_metrics": {
                "_target_": "nequip.train.EnergyForceMetrics",
                "coeffs": {"total_energy_mae": 1.0},
            },
            "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
            "model": {**MODEL, **model},
        },
    }


def package(name: str, folder: Path) -> Path:
    """Train and package a model; keep what a reader of weights needs."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(12):
        atoms = Atoms(
            "OHHCH",
            [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0], [1.5, 1.6, 0.9], [2.2, 0.9, 1.6]],
        )
        atoms.positions += 0.1 * rng.normal(size=(5, 3))
        labels = {"energy": float(rng.normal()), "forces": rng.normal(size=(5, 3))}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    write_atoms(folder / "d.xyz", frames)
    (folder / "t.yaml").write_text(yaml.dump(configuration(folder, MODELS[name])))
    train = ["nequip.scripts.train", "-cp", str(folder), "-cn", "t", f"hydra.run.dir={folder}/h"]
    pack = ["nequip.scripts.package", "build", f"{folder}/last.ckpt", f"{folder}/{name}.nequip.zip"]
    for words in (train, pack):
        subprocess.run([sys.executable, "-m", *words], check=True, env=os.environ)
    whole = folder / f"{name}.nequip.zip"
    kept = folder / "kept.zip"
    with (
        zipfile.ZipFile(whole) as source,
        zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for entry in source.infolist():
            inside = entry.filename.split("/", 1)[1]
            wanted = inside.endswith((".storage", ".txt")) or inside == "model/eager_model.pkl"
            if wanted:
                target.writestr(
                    zipfile.ZipInfo(entry.filename), source.read(entry), zipfile.ZIP_DEFLATED
                )
    return whole


def structure() -> Atoms:
    """Scatter atoms in a triclinic cell, some near enough for the repulsion."""
    rng = np.random.default_rng(5)
    cell = np.array([[5.2, 0.0, 0.0], [0.5, 4.9, 0.0], [-0.3, 0.6, 5.4]])
    numbers = [6, 8, 1, 1, 6, 8, 1, 6, 1]
    positions: list[np.ndarray] = []
    while len(positions) < len(numbers):
        trial = rng.random(3) @ cell
        atoms = Atoms(numbers[: len(positions) + 1], [*positions, trial], cell=cell, pbc=True)
        distances = neighbor_list("d", atoms, 6.0)
        if len(distances) == 0 or distances.min() > 1.0:
            positions.append(trial)
    return Atoms(numbers, np.round(positions, 6), cell=cell, pbc=True)


def evaluate(path: Path) -> dict[str, np.ndarray]:
    """Energy, forces and stress by nequip's own model."""
    import torch
    from nequip.data import AtomicDataDict, compute_neighborlist_, from_ase
    from nequip.model.saved_models import load_saved_model

    model = load_saved_model(str(path))
    torch.set_default_dtype(torch.float64)  # of positions
    atoms = structure()
    data = compute_neighborlist_(from_ase(atoms), r_max=MODEL["r_max"])
    names = MODEL["type_names"]
    types = [names.index(symbol) for symbol in atoms.get_chemical_symbols()]
    data[AtomicDataDict.ATOM_TYPE_KEY] = torch.tensor(types)
    out = model(data)
    return {
        "energy": out["total_energy"].detach().numpy().reshape(1),
        "forces": np.ascontiguousarray(out["forces"].detach().numpy()),
        "stress": np.ascontiguousarray(out["stress"].detach().numpy().reshape(3, 3)),
        "positions": atoms.positions,
        "cell": np.ascontiguousarray(atoms.cell.array),
        "atomic_numbers": atoms.numbers,
    }


def main() -> None:
    """Make all, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("names", nargs="*", default=list(MODELS), choices=list(MODELS))
    options = parser.parse_args()
    write = options.write
    for name in options.names:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            whole = package(name, folder)
            values = evaluate(whole)
            file = GOLDEN / f"{name}.pbc9.safetensors"
            if write:
                (GOLDEN / f"{name}.nequip.zip").write_bytes((folder / "kept.zip").read_bytes())
                file.write_bytes(b"")
                save_file(values, file, metadata={"made_by": "make_nequip_goldens.py"})
                file.chmod(0o644)
                continue
            for key, stored in load_file(file).items():
                scale = max(1.0, float(np.abs(stored).max()))
                error = float(np.abs(stored - values[key]).max()) / scale
                # Training sums in another order on another machine.
                assert error <= 1e-6, (name, key, error)
            print(name, "as stored")


if __name__ == "__main__":
    main()
