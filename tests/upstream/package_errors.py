# SPDX-License-Identifier: BSD-3-Clause
"""Make or hold the errors against DFT that networks' own packages get on data of this project.

    .eqnn/venv-upstream-mace/bin/python tests/upstream/package_errors.py mace_acac [--write]
    .eqnn/venv-upstream-convnets/bin/python tests/upstream/package_errors.py sevennet_0 [--write]

The MACE of acetylacetone by mace-torch in double precision, on data/acetylacetone; SevenNet-0 by
sevenn, which has single precision alone, on data/qcr-small. Energies in meV a molecule, forces in
meV/Angstrom. Without --write, what is computed is compared with what is stored. Our package is not
needed.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent.parent
PRETRAINED = ROOT / "tests" / "golden" / "pretrained"
SETS = {
    "mace_acac": ("acetylacetone/test_MD_300K", "acetylacetone/test_MD_600K"),
    "sevennet_0": ("qcr-small/validation", "qcr-small/test"),
}


def calculator(name: str) -> Any:
    """Return the package's own calculator for ASE."""
    if name == "mace_acac":
        from mace.calculators import MACECalculator

        path = str(PRETRAINED / "mace_acac.pt")
        return MACECalculator(model_paths=path, device="cpu", default_dtype="float64")
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator("7net-0_11July2024", device="cpu")


def errors(of: Any, name: str, molecules: list[str] | None) -> dict[str, float]:
    """Mean absolute and rms errors over a data set, or over these molecules of it."""
    text = gzip.open(ROOT / "data" / f"{name}.xyz.gz", "rt").read()
    frames = ase.io.read(io.StringIO(text), index=":", format="extxyz")
    if molecules:
        frames = [atoms for atoms in frames if atoms.info["molecule"] in molecules]
    energies, forces = [], []
    for atoms in frames:
        dft_energy, dft_forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = of
        energies.append(1e3 * (atoms.get_potential_energy() - dft_energy))
        forces.append(1e3 * (atoms.get_forces() - dft_forces))
    e, f = np.array(energies), np.concatenate(forces)
    return {
        "n": len(frames),
        "energy_mae": float(np.abs(e).mean()),
        "energy_rmse": float(np.sqrt((e**2).mean())),
        "force_mae": float(np.abs(f).mean()),
        "force_rmse": float(np.sqrt((f**2).mean())),
    }


def main() -> None:
    """Compute, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=SETS)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    of = calculator(options.name)
    path = PRETRAINED / f"{options.name}.errors.json"
    before = json.loads(path.read_text())
    molecules = before.pop("molecules", None)  # of a set that grows, those that it had then
    sets = SETS[options.name]
    found = {name.split("/")[1]: errors(of, name, molecules) for name in sets}
    if options.write:
        said = {"molecules": molecules, **found} if molecules else found
        path.write_text(json.dumps(said, indent=1) + "\n")
        before = found
    # Of single precision, another processor has other last digits.
    tolerance = 1e-9 if options.name == "mace_acac" else 1e-6
    for name, row in found.items():
        for key, value in row.items():
            assert abs(value - before[name][key]) <= tolerance * value, (name, key)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
