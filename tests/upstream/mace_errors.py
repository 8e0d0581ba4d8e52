# SPDX-License-Identifier: BSD-3-Clause
"""Make or hold the errors against DFT of the trained MACE, by mace-torch in double precision.

    .eqnn/venv-upstream-mace/bin/python tests/upstream/mace_errors.py [--write]

Over the published test sets of data/acetylacetone, with energies in meV a molecule and forces in
meV/Angstrom. Without --write, what is computed is compared with what is stored. Our package is not
needed.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
from pathlib import Path

import ase.io
import numpy as np
import torch
from mace.calculators import MACECalculator

ROOT = Path(__file__).resolve().parent.parent.parent
PRETRAINED = ROOT / "tests" / "golden" / "pretrained"
SETS = ("test_MD_300K", "test_MD_600K")


def errors(calculator: MACECalculator, name: str) -> dict[str, float]:
    """Mean absolute and rms errors over a test set."""
    text = gzip.open(ROOT / "data" / "acetylacetone" / f"{name}.xyz.gz", "rt").read()
    frames = ase.io.read(io.StringIO(text), index=":", format="extxyz")
    energies, forces = [], []
    for atoms in frames:
        dft_energy, dft_forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = calculator
        energies.append(1e3 * (atoms.get_potential_energy() - dft_energy))
        forces.append(1e3 * (atoms.get_forces() - dft_forces))
    e, f = np.array(energies), np.array(forces)
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
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = str(PRETRAINED / "mace_acac.pt")
    calculator = MACECalculator(model_paths=model, device="cpu", default_dtype="float64")
    found = {name: errors(calculator, name) for name in SETS}
    path, text = PRETRAINED / "mace_acac.errors.json", json.dumps(found, indent=1) + "\n"
    if options.write:
        path.write_text(text)
    before = json.loads(path.read_text())
    for name, row in found.items():
        for key, value in row.items():
            assert abs(value - before[name][key]) <= 1e-6 * value, (name, key)
    print(text)


if __name__ == "__main__":
    main()
