# SPDX-License-Identifier: BSD-3-Clause
"""Every pair of mapped atoms within the cutoff is in the neighbor list, or the user is told."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from lmp import GOLDEN, POTENTIALS, ROOT, Setup, fail, golden, run_script, succeed, with_words
from tried import tried

from eqnn.library import Potential

SMALL = GOLDEN / "tdn" / "model_l1_h16_b1.eqnn"
ACAC = POTENTIALS / "mace_acetylacetone.eqnn"
NEQUIX = POTENTIALS / "nequix_mp_1.eqnn"
MEMORY_OF_TABLES = 170.0  # MB, of NEQUIX: 89 elements
INPUTS = ROOT / "examples" / "lammps_inputs"
HIDES = "special_bonds removes 1-2 neighbors from the neighbor list, but the model needs all pairs"


def water() -> Atoms:
    return Atoms("OHH", [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


# ---- special_bonds: bonds that are there, or may come ----


def with_room_for_bonds(style: str, special_bonds: str = "", bonds: int = 4) -> str:
    """Return a script of a water molecule without bonds, in a box that has room for them."""
    room = f"bond/types 1 extra/bond/per/atom {bonds} extra/special/per/atom 12" if bonds else ""
    return f"""
units metal
atom_style {style}
{special_bonds}
region b block -10 20 -10 20 -10 20
create_box 2 b {room}
create_atoms 2 single 0 0 0
create_atoms 1 single 0.96 0 0
create_atoms 1 single -0.24 0.93 0
mass 1 1.008
mass 2 15.999
{"bond_style zero" if bonds else ""}
{"bond_coeff *" if bonds else ""}
pair_style eqnn
pair_coeff * * {ACAC} H O
comm_modify cutoff 12
fix 1 all nve
timestep 1e-6
thermo 1
thermo_style custom step pe
thermo_modify norm no format float %.15g
"""


BOND_MAKERS = {
    "fix bond/create": "fix 2 all bond/create 1 1 2 1.3 1",
    "fix deposit": "molecule m bonded.mol\nregion top block 5 9 5 9 5 9\n"
    "fix 2 all deposit 1 0 1 77 mol m region top near 2.0",
    "nothing yet": "",
}


@pytest.mark.parametrize("style", ["bond", "full", "molecular"])
@pytest.mark.parametrize("maker", BOND_MAKERS)
@tried(
    "Refused with a sentence",
    "room for bonds with special_bonds 0: fix bond/create, fix deposit mol, none yet",
    "before the first step",
)
def test_bonds_that_may_appear(tmp_path: Path, style: str, maker: str) -> None:
    """There is no bond when the run starts; it is still refused before the first step."""
    (tmp_path / "bonded.mol").write_text(
        "m\n\n2 atoms\n1 bonds\n\nCoords\n\n1 0 0 0\n2 0.96 0 0\n\nTypes\n\n1 2\n2 1\n\nBonds\n\n"
        "1 1 1 2\n"
    )
    script = with_room_for_bonds(style) + BOND_MAKERS[maker] + "\n"
    text = fail(tmp_path, script + "run 3\n")
    assert f"{HIDES}: use 'special_bonds lj/coul 1 1 1'" in text
    assert " Step " not in text


@tried(
    "Refused with a sentence", "bonds by create_atoms mol, special_bonds 0", "before the first step"
)
def test_bonds_made_by_create_atoms(tmp_path: Path) -> None:
    (tmp_path / "bonded.mol").write_text(
        "m\n\n2 atoms\n1 bonds\n\nCoords\n\n1 0 0 0\n2 0.96 0 0\n\nTypes\n\n1 2\n2 1\n\nBonds\n\n"
        "1 1 1 2\n"
    )
    make = "molecule m bonded.mol\ncreate_atoms 0 single 6 6 6 mol m 77\n"
    text = fail(tmp_path, with_room_for_bonds("bond") + make + "run 0\n")
    assert HIDES in text


@tried(
    "Atoms that come, go and change",
    "fix bond/create, special_bonds 1",
    "the energy before the bonds",
)
def test_bonds_made_during_a_run_change_no_energy_where_weights_are_one(tmp_path: Path) -> None:
    script = with_room_for_bonds("bond", "special_bonds lj/coul 1 1 1").replace(
        " pe\n", " pe bonds\n"
    )
    maker = BOND_MAKERS["fix bond/create"] + "\ntimestep 1e-9\n"  # atoms as good as at rest
    log = succeed(tmp_path, script + maker + "run 4\n")
    table = np.array(re.findall(r"^ +\d+ +(-\S+) +(\d+)", log, re.MULTILINE), dtype=float)
    assert table[0, 1] == 0
    assert table[-1, 1] == 2
    assert np.abs(table[:, 0] - table[0, 0]).max() <= 1e-9


@tried("Atoms that come, go and change", "atom_style full without bonds", "atom_style atomic")
def test_molecular_styles_without_room_for_bonds_run(tmp_path: Path) -> None:
    """atom_style full is used for its charges and molecule IDs; LAMMPS's default weights are 0."""
    log = succeed(tmp_path, with_room_for_bonds("full", bonds=0) + "run 0\n")
    assert float(re.findall(r"^ +0 +(-\S+)", log, re.MULTILINE)[0]) == pytest.approx(
        -2078.9046507, abs=1e-6
    )


@tried(
    "Other styles beside this one",
    "bonds with special_bonds 0 and kspace_style ewald",
    "the library",
)
def test_weights_that_long_range_styles_keep_in_the_list(tmp_path: Path) -> None:
    """With a kspace style LAMMPS keeps all pairs in the list, whatever the weights are."""
    rows = "\n".join(
        f"{k + 1} 1 {2 if k == 0 else 1} {-0.02 if k == 0 else 0.01} {x} {y} {z}"
        for k, (x, y, z) in enumerate((water().positions + 5.0).tolist())
    )
    (tmp_path / "data.bonded").write_text(
        "water\n\n3 atoms\n2 atom types\n2 bonds\n1 bond types\n\n"
        "0 12 xlo xhi\n0 12 ylo yhi\n0 12 zlo zhi\n\nMasses\n\n1 1.008\n2 15.999\n\n"
        f"Atoms # full\n\n{rows}\n\nBonds\n\n1 1 1 2\n2 1 1 3\n"
    )
    log = succeed(
        tmp_path,
        f"""
units metal
atom_style full
read_data data.bonded
bond_style zero
bond_coeff *
pair_style hybrid/overlay eqnn coul/long 5.0
pair_coeff * * eqnn {ACAC} H O
pair_coeff * * coul/long
kspace_style ewald 1e-4
compute network all pair eqnn
thermo_style custom step pe c_network
run 0
print "RESULT $(c_network:%.15g)"
""",
    )
    with Potential(ACAC, "double") as potential:
        expected = potential.evaluate([8, 1, 1], water().positions, 12 * np.eye(3)).energy
    assert abs(float(log.split("RESULT")[-1].split()[0]) - expected) <= 1e-8


# ---- groups ----


def two_molecules(folder: Path, command: str) -> str:
    return (
        Setup(SMALL, water() + Atoms("OHH", water().positions + 3.0)).script(folder)
        + f"group mob id 1:3\natom_modify first mob\n{command}\nrun 0\n"
    )


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("neigh_modify include mob", "neigh_modify include"),
        ("neigh_modify include mob\ncomm_modify group mob", "neigh_modify include"),
    ],
)
@pytest.mark.parametrize("ranks", [1, 2])
@tried(
    "Refused with a sentence", "neigh_modify include with atoms outside", "before the first step"
)
def test_atoms_left_out_of_the_list(tmp_path: Path, command: str, name: str, ranks: int) -> None:
    text = fail(tmp_path, two_molecules(tmp_path, command), ranks)
    assert (
        f"'{name}' leaves 3 of the model's atoms out of the neighbor list, but the model needs all "
        "of them: remove it, or map the types of these atoms to NULL" in text
    )


@tried("Refused with a sentence", "comm_modify group with atoms outside", "before the first step")
def test_atoms_left_out_of_communication(tmp_path: Path) -> None:
    """LAMMPS requires comm_modify group to match neigh_modify include; here it is alone."""
    script = two_molecules(tmp_path, "comm_modify group mob")
    done = run_script(tmp_path, script, 2)
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "'comm_modify group' leaves 3 of the model's atoms out of the neighbor list" in text


@tried(
    "Neighbor lists and communication",
    "neigh_modify include of all mapped atoms",
    "the run without the others",
)
def test_a_group_that_holds_all_of_the_models_atoms_may_be_included(tmp_path: Path) -> None:
    atoms = Setup(SMALL, water()).evaluate(tmp_path)
    setup = Setup(
        SMALL,
        water() + Atoms("Ar", [[4.0, 4.0, 4.0]]),
        style="hybrid/overlay eqnn zero 5.0",
        coeffs=[f"pair_coeff * * eqnn {SMALL} H O NULL", "pair_coeff * * zero"],
        after="group network type 1 2\natom_modify first network\nneigh_modify include network",
    )
    assert abs(setup.evaluate(tmp_path).energy - atoms.energy) <= 1e-10


# ---- pair style hybrid ----

HYBRID = [
    ("hybrid eqnn lj/cut 9.0", ["pair_coeff 1 2 lj/cut 0.0 2.0"]),
    ("hybrid eqnn lj/cut 9.0", ["pair_coeff 2 2 lj/cut 0.0 2.0"]),
    ("hybrid/overlay eqnn lj/cut 9.0", ["pair_coeff * * lj/cut 0.0 2.0", "pair_coeff 1 2 none"]),
    ("hybrid eqnn", ["pair_coeff 1 2 none"]),
]


@pytest.mark.parametrize(("style", "coeffs"), HYBRID)
@pytest.mark.parametrize("ranks", [1, 2])
@tried(
    "Refused with a sentence",
    "pair style hybrid that gives mapped pairs to another style or to none",
    "before the first step",
)
def test_pairs_of_the_model_given_away(
    tmp_path: Path, style: str, coeffs: list[str], ranks: int
) -> None:
    setup = Setup(SMALL, water(), style=style, coeffs=[f"pair_coeff * * eqnn {SMALL} H O", *coeffs])
    text = fail(tmp_path, setup.script(tmp_path) + "run 0\n", ranks)
    assert "are mapped to elements, but pair_coeff gives their pairs to another style or to" in text
    assert "use pair_style hybrid/overlay, or map one of the types to NULL" in text


@tried("Other styles beside this one", "hybrid, types of their own", "the run without the others")
def test_hybrid_with_types_of_their_own_runs(tmp_path: Path) -> None:
    alone = Setup(SMALL, water()).evaluate(tmp_path)
    setup = Setup(
        SMALL,
        water() + Atoms("Ar", [[3.0, 3.0, 0.0]]),
        style="hybrid eqnn lj/cut 9.0",
        coeffs=[f"pair_coeff * * eqnn {SMALL} H O NULL", "pair_coeff * 3 lj/cut 0.0 2.0"],
    )
    assert abs(setup.evaluate(tmp_path).energy - alone.energy) <= 1e-10


# ---- counting ----


@pytest.mark.parametrize("example", sorted(path.name for path in INPUTS.glob("in.*")))
@pytest.mark.parametrize("ranks", [1, 2])
@tried(
    "Neighbor lists and communication",
    "every example, edges counted at each step",
    "another search for neighbors",
)
def test_every_example_sees_all_pairs(tmp_path: Path, example: str, ranks: int) -> None:
    """A few steps of each, with edges counted by another search at every one of them."""
    for file in INPUTS.iterdir():
        shutil.copy(file, tmp_path)
    script = with_words((INPUTS / example).read_text(), "check_edges yes")
    assert "check_edges yes" in script
    script = script.replace("../../potentials", str(POTENTIALS))
    script = re.sub(r"^(run +)\S+", r"\g<1>8", script, flags=re.MULTILINE)
    script = re.sub(r"^(minimize +\S+ +\S+ +)\S+ +\S+", r"\g<1>5 20", script, flags=re.MULTILINE)
    script = script.replace("../data", str(ROOT / "examples" / "data"))
    done = run_script(tmp_path, script, ranks)
    assert done.returncode == 0, done.stdout + done.stderr


@tried("Refused with a sentence", "a neighbor list that is too old, with check_edges", "counting")
def test_an_old_list_is_found_by_counting(tmp_path: Path) -> None:
    """Atoms move farther than the skin and the list is not built again."""
    setup = Setup(SMALL, water() + Atoms("O", [[8.0, 0.0, 0.0]]), style="eqnn check_edges yes")
    script = setup.script(tmp_path) + (
        "neighbor 0.1 bin\nneigh_modify every 1000 delay 1000 check no\nfix 1 all nve\n"
        "group far id 4\nvelocity far set -10 0 0\ntimestep 0.1\nrun 20\n"
    )
    text = fail(tmp_path, script)
    assert re.search(
        r"check_edges: atom \d has \d+ neighbors within [\d.]+ Angstrom, but the neighbor list "
        r"gave \d+: the list is too old \(neigh_modify, neighbor\) or a command removes pairs",
        text,
    )


@pytest.mark.parametrize("ranks", [1, 2, 4])
@tried(
    "Neighbor lists and communication",
    "a triclinic cell smaller than the cutoff, check_edges",
    "counting",
)
def test_counting_agrees_in_a_triclinic_cell_of_many_images(tmp_path: Path, ranks: int) -> None:
    model = GOLDEN / "tdn" / "model_l2_h16_b2.eqnn"
    setup = Setup(model, golden("tdn/model_l2_h16_b2.pbc16", model).atoms)
    plain = setup.evaluate(tmp_path, ranks)
    setup.style = "eqnn check_edges yes"
    assert setup.evaluate(tmp_path, ranks).energy == plain.energy


def test_counting_knows_excluded_atoms(tmp_path: Path) -> None:
    setup = Setup(
        SMALL,
        water() + Atoms("OHH", water().positions + 2.5),
        style="eqnn check_edges yes",
        after="group gone id 4:6\nneigh_modify exclude group gone all",
    )
    assert (
        abs(setup.evaluate(tmp_path).energy - Setup(SMALL, water()).evaluate(tmp_path).energy)
        <= 1e-10
    )


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("which", ["inter", "intra"])
@tried(
    "Neighbor lists and communication",
    "neigh_modify exclude molecule/inter, molecule/intra, check_edges",
    "the library on the parts, 1e-10; a warning",
)
def test_excluded_molecules_are_counted_and_warned_of(
    tmp_path: Path, which: str, ranks: int
) -> None:
    """Without pairs between molecules each is isolated; without those within, each atom is."""
    other = Atoms("OHH", water().positions + (2.5 if which == "inter" else 20.0))
    setup = Setup(
        SMALL,
        water() + other,
        style="eqnn check_edges yes",
        after="fix m all property/atom mol ghost yes\nset atom 1*3 mol 1\nset atom 4*6 mol 2\n"
        f"neigh_modify exclude molecule/{which} all",
    )
    log = succeed(tmp_path, setup.script(tmp_path) + 'run 0\nprint "RESULT $(pe:%.17g)"\n', ranks)
    assert (
        "Pair style eqnn: the model does not see the pairs that 'neigh_modify exclude' removes "
        "from the neighbor list"
    ) in log
    parts = [water(), other]
    if which == "intra":
        parts = [atoms[k : k + 1] for atoms in parts for k in range(3)]
    with Potential(SMALL, "double") as potential:
        expected = [potential.evaluate(part.numbers, part.positions).energy for part in parts]
        whole = potential.evaluate(setup.atoms.numbers, setup.atoms.positions).energy
    found = float(log.split("RESULT")[-1].split()[0])
    assert abs(found - sum(expected)) <= 1e-10
    assert abs(found - whole) > 1e-3


@tried(
    "Refused with a sentence", "an atom that becomes one of the model's after a run, pre no", "-"
)
def test_an_atom_without_a_row_is_named(tmp_path: Path) -> None:
    """Its type was not one of the model's when the list was built, and the list is kept."""
    setup = Setup(
        SMALL,
        water() + Atoms("C", [[0.0, 0.0, 3.0]]),
        style="hybrid/overlay eqnn zero 6.0",
        coeffs=[f"pair_coeff * * eqnn {SMALL} H NULL O", "pair_coeff * * zero"],
    )
    script = setup.script(tmp_path) + (
        "neigh_modify every 1000 delay 1000 check no\nfix 1 all nve\nrun 0\n"
    )
    succeed(tmp_path, script + "run 1 pre no\n")
    text = fail(tmp_path, script + "set atom 4 type 1\nrun 1 pre no\n")
    assert (
        "atom 4 is not in the neighbor list, but the model needs all of its atoms: types were "
        "changed between runs without setup ('pre no'), or another command removes it from the "
        "list."
    ) in " ".join(text.split())


# ---- ghosts ----


def skewed_copper() -> str:
    return f"""
units metal
atom_style atomic
lattice fcc 3.62
region b prism 0 1 0 1 0 1 7.0 -6.0 9.0
create_box 1 b
create_atoms 1 box
displace_atoms all random 0.1 0.1 0.1 815
mass 1 63.546
pair_style eqnn
pair_coeff * * {NEQUIX} Cu
dump 1 all custom 1 dump.test id x y z fx fy fz
dump_modify 1 sort id format float %.17g
"""


@pytest.mark.parametrize("ranks", [1, 2, 4])
@tried(
    "Boxes and boundaries",
    "a cell so skewed that four atoms have 281 200 ghosts",
    "the library; memory of the edges",
)
def test_memory_goes_with_edges_and_not_with_ghosts(tmp_path: Path, ranks: int) -> None:
    """Four atoms in a cell so skewed that they have a quarter of a million ghosts."""
    log = succeed(tmp_path, skewed_copper() + 'run 0\nprint "RESULT $(pe:%.17g)"\n', ranks)
    ghosts = float(re.findall(r"Nghost: +(\S+)", log)[0])
    assert ghosts > 200_000
    # A row of this model's features has 832 numbers: 1.9 GB for the ghosts, if they had any.
    memory = float(re.findall(r"eqnn memory: (\S+) MB", log)[0])
    assert memory <= ranks * (MEMORY_OF_TABLES + 20.0)
    table = np.loadtxt(tmp_path / "dump.test", skiprows=9)
    cell = 3.62 * np.array([[1.0, 0.0, 0.0], [7.0, 1.0, 0.0], [-6.0, 9.0, 1.0]])
    with Potential(NEQUIX, "double") as potential:
        expected = potential.evaluate([29] * 4, table[:, 1:4], cell)
    assert abs(float(log.split("RESULT")[-1].split()[0]) - expected.energy) <= 1e-9
    assert np.abs(table[:, 4:] - expected.forces).max() <= 1e-9


@pytest.mark.parametrize("ranks", [1, 2, 4])
@tried(
    "Boxes and boundaries",
    "two atoms in a primitive cell, edges to themselves",
    "the library, 1e-10",
)
def test_a_cell_smaller_than_the_cutoff(tmp_path: Path, ranks: int) -> None:
    """Edges from an atom to itself, and several to one other: images are not told from owners."""
    model = POTENTIALS / "sevennet_0.eqnn"
    atoms = bulk("NaCl", "rocksalt", a=5.2)
    atoms.positions[1] += [0.2, -0.1, 0.3]
    cell, turn = atoms.cell.standard_form()
    atoms = Atoms(atoms.numbers, atoms.positions @ turn.T, cell=cell, pbc=True)
    with Potential(model, "double") as potential:
        expected = potential.evaluate(atoms.numbers, atoms.positions, atoms.cell.array)
    found = Setup(model, atoms, before="box tilt large").evaluate(tmp_path, ranks)
    assert abs(found.energy - expected.energy) <= 1e-10
    assert np.abs(found.forces - expected.forces).max() <= 1e-10
    assert np.abs(found.atom_virials.sum(axis=0) - found.virial).max() <= 1e-9
