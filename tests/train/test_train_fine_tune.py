# SPDX-License-Identifier: BSD-3-Clause
"""Published networks fine-tuned on fifty frames: better on others, and run by LAMMPS unchanged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from eqnn_models import ROOT
from train_models import jax, yaml

from eqnn.cli import main
from eqnn.library import Potential

assert jax is not None  # the skip where there is none

# Conformers of 3BPA at 300, 600 and 1200 K in turn; it has an element that the MACE does not know:
# for it, acetylacetone at 300 K.
FRAMES = {
    "sevennet_0": ROOT / "examples" / "data" / "3bpa_labelled.xyz",
    "mace_solvents": ROOT / "data" / "acetylacetone" / "test_MD_300K.xyz.gz",
}
LAMMPS = ROOT / ".eqnn" / "venv" / "bin" / "lmp"
LEARNING_RATE = {"mace_solvents": 2e-3, "sevennet_0": 5e-5}


def labels(atoms: Atoms) -> tuple[float, np.ndarray]:
    calculator = atoms.calc
    assert isinstance(calculator, SinglePointCalculator)
    return calculator.results["energy"], calculator.results["forces"]


def force_mae(path: Path, frames: list[Atoms]) -> float:
    """Mean absolute error in eV/Angstrom, by the engine."""
    with Potential(path, "double") as potential:
        return float(
            np.mean(
                [
                    np.abs(potential.evaluate(f.numbers, f.positions).forces - labels(f)[1])
                    for f in frames
                ]
            )
        )


def by_lammps(folder: Path, model: Path, atoms: Atoms) -> tuple[float, np.ndarray]:
    """Energy and forces in LAMMPS, by the plugin of this build, with no other step."""
    symbols = sorted(set(atoms.get_chemical_symbols()))
    boxed = atoms.copy()
    boxed.center(vacuum=10.0)
    ase.io.write(folder / "data", boxed, format="lammps-data", specorder=symbols, masses=True)
    (folder / "in").write_text(
        f"""
units metal
boundary f f f
read_data data
pair_style eqnn precision double
pair_coeff * * {model} {" ".join(symbols)}
thermo_modify format float %.17g
dump forces all custom 1 forces id fx fy fz
dump_modify forces format float %.17g sort id
run 0
"""
    )
    words = [sys.executable, "-m", "eqnn.cli", "lmp", "-in", "in", "-log", "log", "-screen", "none"]
    environment = os.environ | {"EQNN_LAMMPS": str(LAMMPS), "PYTHONPATH": str(ROOT / "python")}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (folder / "log").read_text().splitlines()
    columns = next(k for k, line in enumerate(lines) if line.split()[:1] == ["Step"])
    energy = float(lines[columns + 1].split()[lines[columns].split().index("E_pair")])
    return energy, np.loadtxt(folder / "forces", skiprows=9)[:, 1:]


@pytest.mark.skipif(not LAMMPS.exists(), reason="needs LAMMPS: `make test` installs it")
@pytest.mark.parametrize("name", FRAMES)
def test_a_published_network_is_tuned_and_runs(tmp_path: Path, name: str) -> None:
    start = ROOT / "potentials" / f"{name}.eqnn"
    frames = ase.io.read(FRAMES[name], ":60")
    assert isinstance(frames, list) and len(frames) == 60
    held_out = frames[5::6]
    train = [f for k, f in enumerate(frames) if k % 6 != 5]
    assert len(train) == 50
    ase.io.write(tmp_path / "train.xyz", train)
    config = {
        "model": str(start),
        "output": "tuned",
        "data": {"train": ["train.xyz"], "validation_fraction": 0.1},
        "energies": {"reference": "refit"},
        "loss": {"kind": "huber", "energy": 1, "forces": 10},
        "optimizer": {"learning_rate": LEARNING_RATE[name], "ema": 0.9},
        "provenance": {"data": "3BPA", "level_of_theory": "wB97X/6-31G(d)", "licence": "MIT"},
        "epochs": 4,
        "batch_size": 5,
        "shapes": 1,
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["train", str(tmp_path / "config.yaml")]) == 0
    tuned = tmp_path / "tuned" / "model.eqnn"
    before, after = force_mae(start, held_out), force_mae(tuned, held_out)
    print(f"{name}: {1e3 * before:.0f} -> {1e3 * after:.0f} meV/Angstrom")
    assert after < 0.7 * before
    assert main(["validate", str(tuned)]) == 0
    atoms = held_out[0]
    energy, forces = by_lammps(tmp_path, tuned, atoms)
    with Potential(tuned, "double") as potential:
        expected = potential.evaluate(atoms.numbers, atoms.positions)
    assert abs(energy - expected.energy) <= 1e-8
    assert np.abs(forces - expected.forces).max() <= 1e-8
