# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from lmp import GOLDEN, GoldenFrame, Setup, golden, read_dump, succeed, write_trajectory
from safetensors.numpy import load_file
from tried import tried

# Doubles throughout; sums run in another order than upstream's.
ENERGY = 1e-10  # relative to the network's energy
FORCE = 1e-9  # eV/Angstrom
MODELS = ("l1_h16_b1", "l1_h32_b2", "l2_h16_b2", "l2_h32_b3", "l3_h16_b2", "l3_h32_b1")
TRAINED = GOLDEN / "tdn_3bpa" / "tdn_3bpa.eqnn"


def expect_equal(setup: Setup, frame: GoldenFrame, folder: Path, ranks: int) -> None:
    found = setup.evaluate(folder, ranks)
    scale = max(abs(frame.energy), 1.0)
    assert abs(found.energy - frame.energy) <= ENERGY * scale
    assert np.abs(found.forces - frame.forces).max() <= FORCE
    assert abs(found.atom_energies.sum() - found.energy) <= 1e-12 * scale
    assert np.abs(found.atom_virials.sum(axis=0) - found.virial).max() <= 1e-10
    if frame.virial is not None:
        assert np.abs(found.virial - frame.virial).max() <= FORCE * len(frame.atoms)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("ranks", [1, 2, 4])
@tried("Boxes and boundaries", "TDN, periodic cells smaller than the cutoff", "upstream's numbers")
def test_periodic_cells_smaller_than_the_cutoff_equal_upstream(
    tmp_path: Path, model: str, ranks: int
) -> None:
    path = GOLDEN / "tdn" / f"model_{model}.eqnn"
    frame = golden(f"tdn/model_{model}.pbc16", path)
    expect_equal(Setup(path, frame.atoms), frame, tmp_path, ranks)


@pytest.mark.parametrize("ranks", [1, 2, 4])
@tried("Boxes and boundaries", "TDN, a triclinic box", "upstream's numbers")
def test_a_triclinic_box_equals_upstream(tmp_path: Path, ranks: int) -> None:
    frame = golden("tdn_3bpa/pbc_hot440", TRAINED)
    expect_equal(Setup(TRAINED, frame.atoms), frame, tmp_path, ranks)


@pytest.mark.parametrize("model", MODELS)
@tried("What LAMMPS computes from it", "TDN, molecules", "upstream's numbers")
def test_molecules_equal_upstream(tmp_path: Path, model: str) -> None:
    path = GOLDEN / "tdn" / f"model_{model}.eqnn"
    frame = golden(f"tdn/model_{model}.3bpa0", path)
    expect_equal(Setup(path, frame.atoms), frame, tmp_path, 2)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_the_twenty_frames_of_3bpa_equal_upstream(tmp_path: Path, ranks: int) -> None:
    data = load_file(GOLDEN / "tdn_3bpa" / "golden20.safetensors")
    numbers, frames = data["atomic_numbers"], data["positions"]
    write_trajectory(tmp_path / "frames.test", numbers, frames, margin=8.0)
    out = succeed(
        tmp_path,
        Setup(TRAINED, Atoms(numbers, frames[0])).script(tmp_path)
        + "thermo_style custom step pe\nthermo_modify norm no format float %.17g\nthermo 1\n"
        + "dump d all custom 1 dump.test id fx fy fz\n"
        + "dump_modify d sort id format float %.17g\n"
        + "rerun frames.test dump x y z box yes\n",
        ranks,
    )
    table = out.split("PotEng")[1].splitlines()[1:21]
    energies = np.array([float(line.split()[1]) for line in table])
    # E_total holds -17.6 keV of atomic energies: 1e-10 of the network's part is 1e-10 eV
    atomic = data["E_total"] - data["E_model"]
    network = energies - atomic
    assert np.abs(network - data["E_model"]).max() <= ENERGY * np.abs(data["E_model"]).max()
    forces = read_dump(tmp_path / "dump.test", len(numbers), slice(1, 4))
    assert forces.shape == data["forces"].shape
    assert np.abs(forces - data["forces"]).max() <= FORCE
