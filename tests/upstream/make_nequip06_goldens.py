# SPDX-License-Identifier: BSD-3-Clause
"""Make or hold the goldens of deployed NequIP models of 0.6, TorchScript archives.

    python tests/upstream/make_nequip06_goldens.py [--write] [NAME ...]

`nequip_deployed`: with parity, energy scales of each element in the data's units under a global
one; `nequip_norm`: functions of norms in the place of gates, both parities; `nequip_norm_ssp`: the
same with the shifted softplus, all even; `nequip_ssp`: the shifted softplus in gates and radial
networks, residual connections. Every parameter is random; deployed as `nequip-deploy` does, double
precision. Of an archive only pickled model, tensors and metadata are kept, not the code. Without
--write, results are compared with those stored. Needs nequip 0.6.1 (e3nn 0.4.4, torch), not our
package.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

# e3nn 0.4 reads a table of its own with torch.load, which torch 2.6 and later refuse otherwise.
os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")

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

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
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


_SMALL: dict[str, Any] = {
    **{"chemical_symbols": ["H", "C", "O", "Si"], "type_names": ["H", "C", "O", "Si"]},
    **{"num_types": 4, "num_features": 4, "global_rescale_scale": None},
    "per_species_rescale_scales": [1.1, 0.9, 1.3, 0.7],
    "per_species_rescale_shifts": [-1.0, -3.0, -2.0, -4.0],
}
_SSP = {"e": "ssp", "o": "tanh"}
# By name: changes of the configuration. Networks after the first are in golden/exporters.
MODELS: dict[str, dict[str, Any]] = {
    "nequip_deployed": {},
    "nequip_norm": {**_SMALL, "nonlinearity_type": "norm"},
    "nequip_norm_ssp": {
        **{**_SMALL, "nonlinearity_type": "norm", "parity": False, "num_layers": 3},
        "nonlinearity_scalars": _SSP,
    },
    "nequip_ssp": {
        **{**_SMALL, "num_layers": 3, "parity": False, "resnet": True},
        **{"nonlinearity_scalars": _SSP, "nonlinearity_gates": dict(_SSP)},  # in YAML no alias
    },
}


def deployed(path: Path, config: dict[str, Any]) -> None:
    """Build, give every parameter a random number, and write as `nequip-deploy build` does."""
    torch.manual_seed(config["seed"])
    model = model_from_config(Config.from_dict(config), initialize=True, deploy=True)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            random = torch.randn(parameter.shape, dtype=parameter.dtype)
            if "bessel" in name:
                parameter.mul_(1.0 + 0.01 * random)
            else:  # radial networks without a bias need large weights to be more than small
                parameter.copy_(random * (2.0 if ".fc." in name else 1.0))
    symbols = config["type_names"]
    extra = {
        "config": yaml.dump(config),
        "nequip_version": "0.6.1",
        "r_max": str(config["r_max"]),
        "n_species": str(len(symbols)),
        "type_names": " ".join(symbols),
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


def structures(name: str) -> dict[str, Atoms]:
    """Return atoms in triclinic cells, and those of the other goldens of exporters."""
    if name == "nequip_deployed":
        return {"pbc7": scattered()}
    found = {}
    for kind in ("molecule", "cell"):
        data = load_file(GOLDEN / "exporters" / f"mace_soft.{kind}.safetensors")
        cell = data.get("cell")
        found[kind] = Atoms(
            data["atomic_numbers"], data["positions"], cell=cell, pbc=cell is not None
        )
    return found


def scattered() -> Atoms:
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


def evaluate(path: Path, atoms: Atoms, config: dict[str, Any]) -> dict[str, np.ndarray]:
    """Energy, forces and, of a cell, stress by the deployed model."""
    model, _ = deploy.load_deployed_model(path, freeze=False, set_global_options=False)
    boxed = atoms
    if not atoms.pbc.all():  # upstream's stress needs a cell
        boxed = Atoms(atoms.numbers, atoms.positions, cell=100.0 * np.eye(3), pbc=True)
    data = AtomicData.from_ase(boxed, r_max=config["r_max"])
    given = AtomicData.to_AtomicDataDict(data)
    types = [config["type_names"].index(symbol) for symbol in atoms.get_chemical_symbols()]
    given[AtomicDataDict.ATOM_TYPE_KEY] = torch.tensor(types)[:, None]
    out = model(given)
    found = {
        "energy": out["total_energy"].detach().numpy().reshape(1),
        "forces": np.ascontiguousarray(out["forces"].detach().numpy()),
        "positions": atoms.positions,
        "atomic_numbers": atoms.numbers,
    }
    if atoms.pbc.all():
        found["stress"] = np.ascontiguousarray(out["stress"].detach().numpy().reshape(3, 3))
        found["cell"] = np.ascontiguousarray(atoms.cell.array)
    return found


def main() -> None:
    """Make all, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME", help="these alone")
    given = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    for name in given.names or MODELS:
        config = CONFIG | MODELS[name]
        folder = GOLDEN / ("exporters" if MODELS[name] else "pretrained")
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / f"{name}.pth"
            deployed(path, config)
            if given.write:
                (folder / path.name).write_bytes(stripped(path))
            for kind, atoms in structures(name).items():
                values = evaluate(path, atoms, config)
                file = folder / f"{name}.{kind}.safetensors"
                if given.write:
                    save_file(values, file, metadata={"made_by": Path(__file__).name})
                    file.chmod(0o644)
                    continue
                for key, stored in load_file(file).items():
                    scale = max(1.0, float(np.abs(stored).max()))
                    error = float(np.abs(stored - values[key]).max()) / scale
                    assert error <= 1e-12, (name, kind, key, error)
        print(name, "written" if given.write else "as stored")


if __name__ == "__main__":
    main()
