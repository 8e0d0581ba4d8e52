# SPDX-License-Identifier: BSD-3-Clause
"""Every input script of examples/lammps_inputs runs as it stands."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import iread, read
from lmp import GOLDEN, POTENTIALS, ROOT, read_dump, run_script
from safetensors.numpy import load_file

from eqnn.library import Potential
from eqnn.relaxation import Settings, relax
from eqnn.relaxation.compare import rmsd

INPUTS = ROOT / "examples" / "lammps_inputs"
EXACT = POTENTIALS / "tdn_3bpa_exact.eqnn"


def run_example(folder: Path, name: str, **variables: object) -> str:
    """Run an example in a folder of its own; return LAMMPS's output."""
    for file in INPUTS.iterdir():
        shutil.copy(file, folder)
    lines = [f"variable {key} index {value}" for key, value in variables.items()]
    # the first definition of an index variable stands
    script = "\n".join(lines) + "\n" + (INPUTS / name).read_text()
    script = script.replace("../../potentials", str(POTENTIALS))
    done = run_script(folder, script.replace("../data", str(ROOT / "examples" / "data")))
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
    frames: list[Atoms] = list(iread(ROOT / "examples" / "data" / "3bpa_labelled.xyz"))
    log = run_example(tmp_path, "in.3bpa_labelled_frames")
    energies = tables(log)[0]["PotEng"]
    assert len(frames) == len(energies) == 60
    forces = read_dump(tmp_path / "3bpa_forces.lammpstrj", 27, slice(1, 4))
    with Potential(EXACT, "reference") as potential:
        for k, atoms in enumerate(frames):
            expected = potential.evaluate(atoms.numbers.tolist(), atoms.positions)
            assert abs(energies[k] - expected.energy) <= 1e-6
            assert np.abs(forces[k] - expected.forces).max() <= 1e-9


def upstream(name: str) -> float:
    """Energy of a structure by the network's own code (eV)."""
    data = load_file(GOLDEN / "pretrained" / f"{name}.safetensors")
    return float(np.ravel(data["energy"])[0])


def test_a_solid_is_relaxed_and_run_at_constant_pressure(tmp_path: Path) -> None:
    positions, cell, npt = tables(run_example(tmp_path, "in.silicon_sevennet", steps=20))
    energy = upstream("sevennet_0.si16_triclinic")
    assert abs(positions["PotEng"][0] - energy) <= 2e-5  # single precision, 16 atoms
    assert positions["PotEng"][-1] < energy - 1.5
    assert positions["Fmax"][-1] <= 0.02
    assert cell["PotEng"][-1] < positions["PotEng"][-1] - 0.3
    assert abs(cell["Press"][-1]) <= 500.0 < abs(cell["Press"][0])  # bar
    assert npt["Step"][-1] == 20
    assert np.all(np.abs(npt["Volume"] / npt["Volume"][0] - 1.0) <= 0.1)


def test_an_adsorbate_relaxes_on_a_slab(tmp_path: Path) -> None:
    (relaxation,) = tables(run_example(tmp_path, "in.cu111_co_nequix"))
    energy = upstream("nequix_mp_1.slab_cu111_co")
    assert abs(relaxation["PotEng"][0] - energy) <= 2e-5
    assert relaxation["PotEng"][-1] < energy - 0.1
    assert relaxation["Fmax"][-1] <= 0.03
    start = (INPUTS / "data.cu111_co").read_text().split("atomic\n\n")[1].split()
    moved = (
        next(iread(tmp_path / "cu111_co_relaxed.xyz")).positions
        - np.reshape(np.array(start, dtype=float), (-1, 5))[:, 2:]
    )
    held = np.abs(moved).max(axis=1) <= 1e-5  # xyz has five decimals
    assert 0 < held.sum() < len(held)


def test_a_liquid_keeps_its_temperature(tmp_path: Path) -> None:
    relaxation, liquid = tables(run_example(tmp_path, "in.ethanol_mace", steps=400))
    energy = upstream("mace_solvents.ethanol8_pbc")
    assert abs(relaxation["PotEng"][0] - energy) <= 1e-4
    assert liquid["Step"][-1] == 400
    assert 200.0 <= liquid["Temp"][-10:].mean() <= 400.0


def test_acetylacetone_keeps_its_energy(tmp_path: Path) -> None:
    (nve,) = tables(run_example(tmp_path, "in.acetylacetone_mace", steps=400))
    energy = upstream("mace_acac.md300_0")
    assert abs(nve["PotEng"][0] - energy) <= 1e-7
    assert np.abs(nve["TotEng"] - nve["TotEng"][0]).max() <= 2e-3


def test_acetylacetone_relaxes_and_moves(tmp_path: Path) -> None:
    relaxation, nvt, nve = tables(run_example(tmp_path, "in.acetylacetone_gaunt", steps=400))
    golden = load_file(GOLDEN / "pretrained" / "gaunt_acetylacetone.md300_0.safetensors")
    assert abs(relaxation["PotEng"][0] - golden["energy"][0]) <= 1e-7
    assert abs(relaxation["Fmax"][0] - np.abs(golden["forces"]).max()) <= 1e-9
    with Potential(POTENTIALS / "gaunt_acetylacetone.eqnn", "reference") as potential:
        relaxed = next(iread(tmp_path / "acetylacetone_relaxed.xyz"))
        end = potential.evaluate(relaxed.numbers.tolist(), relaxed.positions)
    assert abs(relaxation["PotEng"][-1] - end.energy) <= 1e-5  # xyz has five decimals
    assert np.linalg.norm(end.forces) <= 0.015  # the input asks for 0.01
    assert relaxation["PotEng"][-1] < relaxation["PotEng"][0] - 0.3
    assert 100.0 <= nvt["Temp"][-10:].mean() <= 500.0
    assert nve["Step"][-1] == 800
    assert np.abs(nve["TotEng"] - nve["TotEng"][0]).max() <= 2e-3


def test_a_folder_of_data_files_relaxes_as_eqnn_relax_does_it(tmp_path: Path) -> None:
    run_example(tmp_path, "in.relax_many", tolerance=0.0005)
    rows = [line.split() for line in (tmp_path / "relaxed.txt").read_text().splitlines()]
    paths = sorted(INPUTS.glob("data.molecule_*"))
    assert [Path(row[0]).name for row in rows] == [path.name for path in paths]
    assert len(rows) == 4
    structures = []
    for path in paths:
        atoms = read(path, format="lammps-data")
        assert isinstance(atoms, Atoms)
        atoms.pbc = False
        structures.append(atoms)
    by_lammps = list(iread(tmp_path / "relaxed.xyz"))
    model, settings = POTENTIALS / "mace_solvents.eqnn", Settings(fmax=0.0005, max_steps=2000)
    by_eqnn = relax(structures, model, settings)
    for row, one, other in zip(rows, by_lammps, by_eqnn, strict=True):
        assert other is not None and other.status == "converged"
        assert float(row[2]) <= 0.0005
        assert abs(float(row[1]) - other.energy) <= 2e-6 * len(one)
        # A soft torsion turns by so much at this force; xyz has five decimals.
        assert rmsd(one, other.atoms) <= 0.01


@pytest.mark.parametrize("path", sorted(INPUTS.glob("in.*")), ids=lambda path: path.name)
def test_every_input_has_a_test(path: Path) -> None:
    assert f'"{path.name}"' in Path(__file__).read_text()
    assert not re.search(r"^\s*(log|suffix|package)\b", path.read_text(), re.MULTILINE)
