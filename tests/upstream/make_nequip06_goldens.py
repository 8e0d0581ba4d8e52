# SPDX-License-Identifier: BSD-3-Clause
"""Make or hold the golden of a deployed NequIP model of 0.6, a TorchScript archive.

    python tests/upstream/make_nequip06_goldens.py [--write]

`nequip_deployed`: with parity, energy scales of each element in the data's units under a global
one, every parameter random; deployed as `nequip-deploy` does, double precision. Of the archive only
pickled model, tensors and metadata are kept, not the code. Without --write, results are compared
with those stored. Needs nequip 0.6.1 (e3nn 0.4.4, torch), not our package.
"""

from __future__ import annotations

import argparse
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from ase import Atoms
from ase.neighborlist import neighbor_list
from nequip.data import AtomicData, AtomicDataDict
from nequip.model import model_from_config
from nequip.scripts import deploy
from nequip.utils import Config
from safetensors.numpy import load_file, save_file

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "pretrained"
NAME = "nequip_deployed"
SYMBOLS = ["C", "H", "O"]
CONFIG: dict[str, Any] = {
    "model_builders": [
        *("SimpleIrrepsConfig", "EnergyModel", "PerSpeciesRescale"),
        *("StressForceOutput", "RescaleEnergyEtc"),
    ],
    **{"default_dtype": "float64", "model_dtype": "float64", "seed": 3},
    **{"r_max": 4.0, "num_basis": 6, "BesselBasis_trainable": True, "PolynomialCutoff_p": 5},
    **{"num_layers": 4, "l_max": 2, "parity": True, "num_features": 3, "use_sc": True},
    **{"invariant_layers": 2, "invariant_neurons": 10, "avg_num_neighbors": 6.5},
    **{"nonlinearity_type": "gate", "resnet": False},
    "nonlinearity_scalars": {"e": "silu", "o": "tanh"},
    "nonlinearity_gates": {"e": "silu", "o": "tanh"},
    **{"chemical_symbols": SYMBOLS, "num_types": len(SYMBOLS), "type_names": SYMBOLS},
    **{"global_rescale_scale": 1.75, "global_rescale_shift": None},
    "per_species_rescale_scales": [1.1, 0.9, 1.3],
    "per_species_rescale_shifts": [-3.0, -1.0, -2.0],
    "per_species_rescale_arguments_in_dataset_units": True,
}


def deployed(path: Path) -> None:
    """Build, give every parameter a random number, and write as `nequip-deploy build` does."""
    torch.manual_seed(CONFIG["seed"])
    model = model_from_config(Config.from_dict(CONFIG), initialize=True, deploy=True)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            random = torch.randn(parameter.shape, dtype=parameter.dtype)
            if "bessel" in name:
                parameter.mul_(1.0 + 0.01 * random)
            else:  # radial networks without a bias need large weights to be more than small
                parameter.copy_(random * (2.0 if ".fc." in name else 1.0))
    extra = {
        "config": yaml.dump(CONFIG),
        "nequip_version": "0.6.1",
        "r_max": str(CONFIG["r_max"]),
        "n_species": str(len(SYMBOLS)),
        "type_names": " ".join(SYMBOLS),
        "default_dtype": "float64",
        "model_dtype": "float64",
        "allow_tf32": "0",
    }
    torch.jit.save(deploy._compile_for_deploy(model), path, _extra_files=extra)


def stripped(path: Path) -> bytes:
    """Keep of an archive what a reader of weights needs."""
    kept = path.with_suffix(".kept")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(kept, "w") as target:
        for entry in source.infolist():
            inside = entry.filename.split("/", 1)[1]
            if not inside.startswith(("code/", ".data/")):
                target.writestr(
                    zipfile.ZipInfo(entry.filename), source.read(entry), zipfile.ZIP_DEFLATED
                )
    return kept.read_bytes()


def structure() -> Atoms:
    """Scatter atoms in a triclinic cell."""
    rng = np.random.default_rng(8)
    cell = np.array([[4.9, 0.0, 0.0], [-0.4, 5.1, 0.0], [0.3, 0.7, 5.2]])
    numbers = [6, 8, 1, 1, 6, 8, 1]
    positions: list[np.ndarray] = []
    while len(positions) < len(numbers):
        trial = rng.random(3) @ cell
        atoms = Atoms(numbers[: len(positions) + 1], [*positions, trial], cell=cell, pbc=True)
        distances = neighbor_list("d", atoms, 6.0)
        if len(distances) == 0 or distances.min() > 1.1:
            positions.append(trial)
    return Atoms(numbers, np.round(positions, 6), cell=cell, pbc=True)


def evaluate(path: Path) -> dict[str, np.ndarray]:
    """Energy, forces and stress by the deployed model."""
    model, _ = deploy.load_deployed_model(path, freeze=False, set_global_options=False)
    atoms = structure()
    data = AtomicData.from_ase(atoms, r_max=CONFIG["r_max"])
    given = AtomicData.to_AtomicDataDict(data)
    types = [SYMBOLS.index(symbol) for symbol in atoms.get_chemical_symbols()]
    given[AtomicDataDict.ATOM_TYPE_KEY] = torch.tensor(types)[:, None]
    out = model(given)
    return {
        "energy": out["total_energy"].detach().numpy().reshape(1),
        "forces": np.ascontiguousarray(out["forces"].detach().numpy()),
        "stress": np.ascontiguousarray(out["stress"].detach().numpy().reshape(3, 3)),
        "positions": atoms.positions,
        "cell": np.ascontiguousarray(atoms.cell.array),
        "atomic_numbers": atoms.numbers,
    }


def main() -> None:
    """Make it, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    torch.set_default_dtype(torch.float64)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / f"{NAME}.pth"
        deployed(path)
        values = evaluate(path)
        file = GOLDEN / f"{NAME}.pbc7.safetensors"
        if write:
            (GOLDEN / path.name).write_bytes(stripped(path))
            save_file(values, file, metadata={"made_by": Path(__file__).name})
            file.chmod(0o644)
            return
    for key, stored in load_file(file).items():
        scale = max(1.0, float(np.abs(stored).max()))
        assert float(np.abs(stored - values[key]).max()) / scale <= 1e-12, key
    print(NAME, "as stored")


if __name__ == "__main__":
    main()
