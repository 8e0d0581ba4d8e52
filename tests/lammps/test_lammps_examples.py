# SPDX-License-Identifier: BSD-3-Clause
"""Every input script of examples/lammps_inputs runs as it stands."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import iread
from lmp import POTENTIALS, ROOT, read_dump, run_script, write_trajectory

from eqnn.library import Potential

INPUTS = ROOT / "examples" / "lammps_inputs"
EXACT = POTENTIALS / "tdn_3bpa_exact.eqnn"


def run_example(folder: Path, name: str, **variables: object) -> str:
    """Run an example in a folder of its own; return LAMMPS's output."""
    for file in INPUTS.iterdir():
        shutil.copy(file, folder)
    lines = [f"variable {key} index {value}" for key, value in variables.items()]
    # the first definition of an index variable stands
    script = "\n".join(lines) + "\n" + (INPUTS / name).read_text()
    done = run_script(folder, script.replace("../../potentials", str(POTENTIALS)))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tables(log: str) -> list[dict[str, np.ndarray]]:
    """Return the thermo tables of a log."""
    found = []
    for match in re.finditer(r"^ +Step .*?(?=^Loop time)", log, re.MULTILINE | re.DOTALL):
        head, *rows = match.group(0).splitlines()
        numbers = np.array([row.split() for row in rows if re.match(r"^ +\d+ ", row)], dtype=float)
        found.append(dict(zip(head.split(), numbers.T, strict=True)))
    return found


def test_3bpa_relax_and_nve(tmp_path: Path) -> None:
    log = run_example(tmp_path, "in.3bpa_relax_and_nve", steps=40)
    relaxation, nve = tables(log)
    with Potential(EXACT, "reference") as potential:
        numbers, positions = data_3bpa()
        start = potential.evaluate(numbers, positions)
        relaxed = next(iread(tmp_path / "3bpa_relaxed.xyz"))
        end = potential.evaluate(relaxed.numbers.tolist(), relaxed.positions)
    assert abs(relaxation["PotEng"][0] - start.energy) <= 1e-5  # thermo prints ten digits
    assert abs(relaxation["Fmax"][0] - np.abs(start.forces).max()) <= 1e-8
    assert abs(relaxation["PotEng"][-1] - end.energy) <= 1e-4  # xyz has five decimals
    assert relaxation["PotEng"][-1] < relaxation["PotEng"][0] - 4.0
    assert np.linalg.norm(end.forces) <= 0.06  # the input asks for 0.05
    assert nve["Step"][-1] == 40
    assert np.abs(nve["TotEng"] - nve["TotEng"][0]).max() <= 0.05  # jumps at the cutoff


def data_3bpa() -> tuple[list[int], np.ndarray]:
    """Return atomic numbers and positions of data.3bpa."""
    rows = (INPUTS / "data.3bpa").read_text().split("Atoms  # atomic\n\n")[1].splitlines()
    table = np.array([row.split() for row in rows if row], dtype=float)
    return [(6, 1, 7, 8)[int(kind) - 1] for kind in table[:, 1]], table[:, 2:5]


def test_3bpa_labelled_frames(tmp_path: Path) -> None:
    frames: list[Atoms] = list(iread(ROOT / "examples" / "data" / "3bpa_labelled.xyz"))[::15]
    positions = np.array([atoms.positions for atoms in frames])
    write_trajectory(tmp_path / "3bpa_frames.lammpstrj", frames[0].numbers, positions, margin=8.0)
    log = run_example(tmp_path, "in.3bpa_labelled_frames")
    energies = tables(log)[0]["PotEng"]
    forces = read_dump(tmp_path / "3bpa_forces.lammpstrj", 27, slice(1, 4))
    with Potential(EXACT, "reference") as potential:
        for k, atoms in enumerate(frames):
            expected = potential.evaluate(atoms.numbers.tolist(), atoms.positions)
            assert abs(energies[k] - expected.energy) <= 1e-6
            assert np.abs(forces[k] - expected.forces).max() <= 1e-9


@pytest.mark.parametrize("path", sorted(INPUTS.glob("in.*")), ids=lambda path: path.name)
def test_every_input_has_a_test(path: Path) -> None:
    assert f'"{path.name}"' in Path(__file__).read_text()
    assert not re.search(r"^\s*(log|suffix|package)\b", path.read_text(), re.MULTILINE)
