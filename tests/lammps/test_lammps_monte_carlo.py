# SPDX-License-Identifier: BSD-3-Clause
"""Fixes that add, remove and exclude atoms: excluded atoms contribute nothing."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from lmp import POTENTIALS, succeed
from tried import tried

from eqnn.library import Potential

SOLVENTS = POTENTIALS / "mace_solvents.eqnn"
BOLTZMANN = 8.617343e-5  # eV/K, as LAMMPS has it for units metal
WATER = [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]

# Two molecules that touch, alone in a box.
TWO_WATERS = f"""
units metal
atom_style atomic
region b block 0 30 0 30 0 30
create_box 3 b
mass 1 1.008
mass 2 12.011
mass 3 15.999
create_atoms 3 single 14 15 15
create_atoms 1 single 14.96 15 15
create_atoms 1 single 13.76 15.93 15
create_atoms 3 single 16.9 15 15
create_atoms 1 single 17.86 15 15
create_atoms 1 single 16.66 15.93 15
group first id 1:3
group second id 4:6
pair_style eqnn
pair_coeff * * {SOLVENTS} H C O
compute e all pe/atom
thermo_style custom step atoms pe
thermo_modify norm no
"""
RESULT = 'run 0\nprint "RESULT $(pe:%.17g)"\n'


def results(log: str) -> list[float]:
    return [float(line.split()[1]) for line in log.splitlines() if line.startswith("RESULT ")]


@pytest.mark.parametrize("ranks", [1, 2])
@tried(
    "Atoms that come, go and change",
    "neigh_modify exclude group all, delete_atoms, create_atoms of the same molecule",
    "each other, 1e-10 eV",
)
def test_excluded_and_deleted_atoms_are_the_same(tmp_path: Path, ranks: int) -> None:
    log = succeed(
        tmp_path,
        TWO_WATERS
        + RESULT
        + "group gone id 4:6\nneigh_modify exclude group gone all\n"
        + "dump d all custom 1 dump.test id fx fy fz c_e\ndump_modify d sort id\n"
        + RESULT
        + "neigh_modify exclude none\n"
        + RESULT
        + "delete_atoms group gone compress no\n"
        + RESULT
        + "create_atoms 3 single 16.9 15 15\ncreate_atoms 1 single 17.86 15 15\n"
        + "create_atoms 1 single 16.66 15.93 15\n"
        + RESULT,
        ranks,
    )
    both, excluded, again, deleted, inserted = results(log)
    assert abs(both + 256.748951592) <= 1e-8
    # Deletion and insertion of the same atoms: opposite energies, to rounding of 257 eV.
    assert abs(excluded - deleted) <= 1e-10
    assert abs(again - both) <= 1e-10
    assert abs(inserted - both) <= 1e-10
    assert "the model does not see the pairs" not in log
    table = np.loadtxt(tmp_path / "dump.test", skiprows=9, max_rows=6)
    assert not table[3:, 1:].any()
    assert np.abs(table[:3, 4]).min() > 1.0


@tried(
    "Atoms that come, go and change",
    "neigh_modify exclude type, from all",
    "the run without these atoms, 1e-10 eV",
)
def test_types_that_are_excluded_from_all_count_for_nothing(tmp_path: Path) -> None:
    """Carbon, alone in the box, is excluded from all mapped types, including itself."""
    script = TWO_WATERS.replace(
        "create_atoms 3 single 16.9 15 15", "create_atoms 2 single 17 17 17"
    )
    script = script.replace("create_atoms 1 single 17.86 15 15", "")
    script = script.replace("create_atoms 1 single 16.66 15.93 15", "")
    log = succeed(
        tmp_path,
        script
        + "neigh_modify exclude type 1 2 exclude type 2 2 exclude type 2 3\n"
        + RESULT
        + "neigh_modify exclude none\ngroup carbon type 2\ndelete_atoms group carbon compress no\n"
        + RESULT,
    )
    excluded, deleted = results(log)
    assert abs(excluded - deleted) <= 1e-10
    assert "the model does not see the pairs" not in log


@tried(
    "Atoms that come, go and change",
    "neigh_modify exclude type 1 1, with and without atoms of other types",
    "energies that differ by those of the others",
)
def test_exclusion_does_not_ask_what_other_atoms_there_are(tmp_path: Path) -> None:
    """A carbon far away must not decide whether hydrogens count."""
    script = f"""
units metal
atom_style atomic
region b block 0 60 0 60 0 60
create_box 2 b
mass 1 1.008
mass 2 12.011
create_atoms 1 single 5 5 5
create_atoms 1 single 6.5 5 5
create_atoms 2 single 45 45 45
pair_style eqnn
pair_coeff * * {SOLVENTS} H C
neigh_modify exclude type 1 1
thermo_modify norm no
"""
    log = succeed(tmp_path, script + RESULT + "group c type 2\ndelete_atoms group c\n" + RESULT)
    with_carbon, without = results(log)
    with Potential(SOLVENTS, "double") as potential:
        carbon, hydrogen = (potential.evaluate([z], [[0.0, 0.0, 0.0]]).energy for z in (6, 1))
    assert abs(with_carbon - without - carbon) <= 1e-10
    assert abs(without - 2 * hydrogen) <= 1e-10
    assert log.count("the model does not see the pairs") == 2


PARTIAL = [
    "neigh_modify exclude type 1 3",
    "neigh_modify exclude group first second",
    # the second molecule keeps its own pairs, and so is no excluded one
    "neigh_modify exclude group first first",
]


@pytest.mark.parametrize("command", PARTIAL)
@pytest.mark.parametrize("ranks", [1, 2])
@tried("Warned of", "neigh_modify exclude of some pairs", "once a run")
def test_partial_exclusion_is_told(tmp_path: Path, command: str, ranks: int) -> None:
    log = succeed(tmp_path, TWO_WATERS + command + "\n" + RESULT + RESULT, ranks)
    said = "the model does not see the pairs that 'neigh_modify exclude' removes from the neighbor"
    assert log.count(said) == 2  # once a run


@tried("Warned of", "exclusion that begins during a run", "at that step")
def test_partial_exclusion_is_told_where_it_begins_during_a_run(tmp_path: Path) -> None:
    """A group that is empty when the run starts, and fills between two of its steps."""
    log = succeed(
        tmp_path,
        TWO_WATERS
        + "velocity all create 300 1\nfix 1 all nve\ntimestep 1e-4\nthermo 1\n"
        + "group late empty\nneigh_modify exclude group late first\n"
        + "neigh_modify every 1 delay 0 check no\n"
        + 'run 0\nrun 6 pre no every 3 "group late id 4:6"\n',
    )
    before, after = log.split("the model does not see the pairs that 'neigh_modify exclude'")
    assert re.findall(r"^ +(\d+) +6 ", before, re.MULTILINE)[-1] == "3"
    assert re.findall(r"^ +(\d+) +6 ", after, re.MULTILINE)[-1] == "6"


def ideal_gas(pressure: float, fix: str, style: str = "energy_zero free_atoms") -> str:
    """Return a script of ten atoms so dilute that they never meet; P V = 10 kT at the pressure."""
    return f"""
units metal
atom_style atomic
region b block 0 2000 0 2000 0 2000
create_box 1 b
create_atoms 1 random 10 4711 NULL overlap 100.0
mass 1 1.008
neighbor 2.0 nsq
pair_style eqnn {style}
pair_coeff * * {SOLVENTS} H
velocity all create 300 1
fix 1 all nve
fix 2 all {fix.format(pressure=pressure)}
thermo_style custom step atoms pe
thermo_modify norm no format float %.15g
thermo 1
"""


def numbers_of_atoms(log: str) -> np.ndarray:
    rows = re.findall(r"^ +\d+ +(\d+) +(\S+)", log, re.MULTILINE)
    return np.array(rows, dtype=float)


def expect_mean(found: np.ndarray, mean: float) -> None:
    """Check within three standard errors, from blocks longer than the correlation time."""
    blocks = found[-600:].reshape(12, -1).mean(axis=1)
    error = blocks.std(ddof=1) / np.sqrt(len(blocks))
    assert error <= 0.1 * mean
    assert abs(blocks.mean() - mean) <= 3 * error, (blocks.mean(), error)


# P V / kT = 10: ten atoms in (2000 A)^3 at 300 K
PRESSURE = 10 * BOLTZMANN * 300 / 2000**3 * 1.6021765e6


@tried(
    "Atoms that come, go and change",
    "fix gcmc, ideal gas of atoms",
    "P V = N kT, three standard errors",
)
def test_gcmc_of_an_ideal_gas_of_atoms(tmp_path: Path) -> None:
    fix = "gcmc 1 20 0 1 29494 300.0 0.0 0.1 pressure {pressure:.10g} full_energy"
    script = ideal_gas(PRESSURE, fix)
    log = succeed(tmp_path, script + "run 700\n")
    assert "energies are relative to free atoms: H -10.7072 eV are left out" in log
    assert "compares energies that include those of free atoms" not in log
    table = numbers_of_atoms(log)
    expect_mean(table[:, 0], 10.0)
    assert not table[:, 1].any()
    # Trials draw the same random numbers on any number of ranks.
    of_two = numbers_of_atoms(succeed(tmp_path, script + "run 60\n", 2))
    assert np.array_equal(of_two, table[: len(of_two)])


@tried(
    "Atoms that come, go and change",
    "fix gcmc, free-atom energies in mu or left out",
    "each other, every move",
)
def test_gcmc_with_energies_of_free_atoms_in_the_chemical_potential(tmp_path: Path) -> None:
    """Mu = kT ln(rho L^3) + E(free atom) gives the same run, move by move."""
    with Potential(SOLVENTS, "double") as potential:
        free = potential.evaluate([1], [[0.0, 0.0, 0.0]]).energy
    wavelength = np.sqrt(4.135667403e-3**2 / (2 * np.pi * 1.008 * 1.0364269e-4 * BOLTZMANN * 300))
    mu = BOLTZMANN * 300 * np.log(10 / 2000**3 * wavelength**3)
    runs = []
    for style, shift in (("energy_zero free_atoms", 0.0), ("", free)):
        fix = f"gcmc 1 20 0 1 29494 300.0 {mu + shift:.15g} 0.1 full_energy"
        runs.append(succeed(tmp_path, ideal_gas(0.0, fix, style) + "run 60\n"))
    assert "H -10.7072 eV): its chemical potentials must include them too" in runs[1]
    left_out, kept = map(numbers_of_atoms, runs)
    assert np.array_equal(left_out[:, 0], kept[:, 0])
    assert left_out[:, 0].std() > 0.5
    assert np.abs(kept[:, 1] - kept[:, 0] * free).max() <= 1e-9


@tried(
    "Atoms that come, go and change",
    "fix gcmc, ideal gas of molecules",
    "P V = N kT, three standard errors",
)
def test_gcmc_of_an_ideal_gas_of_molecules(tmp_path: Path) -> None:
    """The molecule's own energy is fix gcmc's intra_energy: a deleted one must lose all of it."""
    with Potential(SOLVENTS, "double") as potential:
        energy = potential.evaluate([8, 1, 1], WATER).energy
        energy -= sum(potential.evaluate([z], [[0.0, 0.0, 0.0]]).energy for z in (8, 1, 1))
    rows = "\n".join(f"{k + 1} {x} {y} {z}" for k, (x, y, z) in enumerate(WATER))
    (tmp_path / "water.mol").write_text(
        f"water\n\n3 atoms\n\nCoords\n\n{rows}\n\nTypes\n\n1 2\n2 1\n3 1\n"
    )
    script = f"""
units metal
atom_style full
region b block 0 2000 0 2000 0 2000
create_box 2 b
mass 1 1.008
mass 2 15.999
molecule water water.mol
create_atoms 0 random 10 4711 NULL mol water 77 overlap 100.0
neighbor 2.0 nsq
pair_style eqnn energy_zero free_atoms
pair_coeff * * {SOLVENTS} H O
fix 2 all gcmc 1 20 0 0 29494 300.0 0.0 0.1 mol water pressure {PRESSURE:.10g} &
    full_energy intra_energy {energy:.15g}
thermo_style custom step atoms pe
thermo_modify norm no
thermo_modify format float %.15g
thermo 1
"""
    table = numbers_of_atoms(succeed(tmp_path, script + "run 700\n"))
    expect_mean(table[:, 0] / 3, 10.0)
    assert np.abs(table[:, 1] - table[:, 0] / 3 * energy).max() <= 1e-9
    of_two = numbers_of_atoms(succeed(tmp_path, script + "run 60\n", 2))
    assert np.array_equal(of_two[:, 0], table[: len(of_two), 0])


@pytest.mark.parametrize("ranks", [1, 2])
@tried("Atoms that come, go and change", "fix widom, ideal gas", "mu = 0")
def test_widom_insertion_into_an_ideal_gas_costs_nothing(tmp_path: Path, ranks: int) -> None:
    fix = "widom 1 5 1 29494 300.0"
    script = ideal_gas(0.0, fix).replace("step atoms pe", "step atoms pe f_2[1] f_2[2]")
    log = succeed(tmp_path, script + "run 10\n", ranks)
    rows = re.findall(r"^ +\d+ +10 +(\S+) +(\S+) +(\S+)", log, re.MULTILINE)
    energy, mu, boltzmann = np.array(rows, dtype=float)[1:].T
    assert np.abs(energy).max() <= 1e-10
    assert np.abs(mu).max() <= 1e-10
    assert np.abs(boltzmann - 1.0).max() <= 1e-9


@pytest.mark.parametrize("ranks", [1, 2])
@tried(
    "Atoms that come, go and change",
    "fix charge/regulation, ideal ions",
    "energy 0 after each trial",
)
def test_charge_regulation_keeps_an_ideal_gas(tmp_path: Path, ranks: int) -> None:
    """Pairs of free ions come and go; what is left after each trial is an ideal gas again."""
    log = succeed(
        tmp_path,
        f"""
units metal
atom_style charge
region b block 0 2000 0 2000 0 2000
create_box 2 b
create_atoms 1 random 5 4711 NULL overlap 100.0
create_atoms 2 random 5 815 NULL overlap 100.0
mass 1 1.008
mass 2 15.999
set type 1 charge 1
set type 2 charge -1
neighbor 2.0 nsq
pair_style eqnn energy_zero free_atoms
pair_coeff * * {SOLVENTS} H O
fix 2 all charge/regulation 1 2 lunit_nm 0.1 pIp 12.7 pIm 12.7 tempfixid NULL temp 300 &
    nevery 1 nmc 20 seed 123
thermo_style custom step atoms pe
thermo_modify norm no
thermo 1
run 60
""".replace("tempfixid NULL ", ""),
        ranks,
    )
    table = numbers_of_atoms(log)
    assert table[:, 0].std() > 0.5
    assert not table[:, 1].any()
