# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from lmp import (
    GOLDEN,
    KOKKOS,
    LAMMPS_DATE,
    POTENTIALS,
    Setup,
    environment,
    golden,
    read_dump,
    run_script,
    succeed,
    with_bonds,
)
from safetensors.numpy import load_file
from tried import tried

from eqnn.model_file import read_model, write_model
from eqnn.so3 import FloatArray

EXACT = POTENTIALS / "tdn_3bpa_exact.eqnn"
SMALL = GOLDEN / "tdn" / "model_l1_h16_b1.eqnn"
# Sums in another order: some 1e3 terms of 1e-16 relative to -17.7 keV of atomic energies
ENERGY = 1e-8  # eV
FORCE = 1e-10  # eV/Angstrom


def molecule() -> Atoms:
    data = load_file(GOLDEN / "tdn_3bpa" / "golden20.safetensors")
    return Atoms(data["atomic_numbers"], data["positions"][3])


def periodic() -> Atoms:
    atoms: Atoms = golden("tdn_3bpa/pbc_hot440", EXACT).atoms
    return atoms


def test_memory_is_reported_once(tmp_path: Path) -> None:
    setup = Setup(SMALL, golden("tdn/model_l1_h16_b1.pbc16", SMALL).atoms)
    log = succeed(tmp_path, setup.script(tmp_path) + "run 0\nrun 1\n", 2)
    said = r"eqnn memory: [\d.]+ MB on all ranks, tables included; [\d.]+ kB per atom"
    assert len(re.findall(said, log)) == 1


@pytest.mark.parametrize("ranks", [2, 4])
@tried("Ranks and threads", "ranks without atoms", "one rank")
def test_ranks_without_atoms_take_part(tmp_path: Path, ranks: int) -> None:
    atoms = molecule()
    one = Setup(EXACT, atoms).evaluate(tmp_path)
    atoms.set_cell(np.diag([200.0, 40.0, 40.0]))
    atoms.pbc = True
    atoms.positions += [10.0, 20.0, 20.0]
    many = Setup(EXACT, atoms, before=f"processors {ranks} 1 1").evaluate(tmp_path, ranks)
    assert abs(many.energy - one.energy) <= ENERGY
    assert np.abs(many.forces - one.forces).max() <= FORCE


@tried("Ranks and threads", "more ranks than atoms", "one rank")
def test_more_ranks_than_atoms(tmp_path: Path) -> None:
    atoms = Atoms([6, 1], [[0.0, 0.0, 0.0], [1.0, 0.2, 0.1]])
    one, many = (Setup(SMALL, atoms).evaluate(tmp_path, ranks) for ranks in (1, 4))
    assert abs(many.energy - one.energy) <= ENERGY
    assert np.abs(many.forces - one.forces).max() <= FORCE


@pytest.mark.parametrize("model", ["l1_h16_b1", "l2_h32_b3"])
@tried("What LAMMPS computes from it", "atoms without neighbors", "upstream's energies")
def test_isolated_atoms_count_as_upstream_counts_them(tmp_path: Path, model: str) -> None:
    path = GOLDEN / "tdn" / f"model_{model}.eqnn"
    data = load_file(GOLDEN / "tdn" / f"model_{model}.isolated.safetensors")
    result = Setup(path, Atoms(data["atomic_numbers"], data["positions"])).evaluate(tmp_path, 2)
    assert abs(result.energy - data["energy"][0]) <= 1e-10
    has_neighbor = data["mask"].astype(bool)
    assert np.abs(result.forces[has_neighbor] - data["forces_masked"]).max() <= 1e-9
    assert not result.forces[~has_neighbor].any()
    assert not result.atom_energies[~has_neighbor].any()


@tried("What LAMMPS computes from it", "one atom alone", "its reference energy")
def test_an_atom_alone_has_its_reference_energy(tmp_path: Path) -> None:
    result = Setup(EXACT, Atoms([8], [[0.0, 0.0, 0.0]])).evaluate(tmp_path)
    said = read_model(EXACT).document
    assert result.energy == said["energy"]["reference"][3] + said["energy"]["shift"]
    assert not result.forces.any()


@tried("Other styles beside this one", "types mapped to NULL", "the run without these atoms")
def test_null_types_are_not_seen(tmp_path: Path) -> None:
    atoms = molecule()
    alone = Setup(EXACT, atoms).evaluate(tmp_path, 2)
    with_argon = atoms + Atoms("Ar2", atoms.positions[[0, 9]] + 1.3)
    setup = Setup(
        EXACT,
        with_argon,
        elements=[1, 6, 7, 8, 18],
        style="hybrid/overlay eqnn zero 5.0",
        coeffs=[f"pair_coeff * * eqnn {EXACT} H C N O NULL", "pair_coeff * * zero"],
    )
    found = setup.evaluate(tmp_path, 2)
    assert abs(found.energy - alone.energy) <= ENERGY
    assert np.abs(found.forces[:27] - alone.forces).max() <= FORCE
    assert not found.forces[27:].any()


@tried("Atoms that come, go and change", "several types of one element", "one type, bit by bit")
def test_an_element_may_have_several_types(tmp_path: Path) -> None:
    atoms = molecule()
    once = Setup(EXACT, atoms).evaluate(tmp_path)
    types = [{1: 1, 6: 2, 7: 3, 8: 4}[z] for z in atoms.numbers.tolist()]
    hydrogens = [k for k, kind in enumerate(types) if kind == 1]
    for k in hydrogens[::2]:
        types[k] = 5
    twice = Setup(EXACT, atoms, elements=[1, 6, 7, 8, 1], types=types).evaluate(tmp_path)
    assert twice.energy == once.energy
    assert np.array_equal(twice.forces, once.forces)


@pytest.mark.parametrize("ranks", [1, 2])
@tried("Other styles beside this one", "hybrid/overlay with zbl", "the sum of both alone")
def test_hybrid_overlay_adds(tmp_path: Path, ranks: int) -> None:
    atoms = periodic()
    elements = [1, 6, 7, 8]
    zbl = [f"pair_coeff {i + 1} {j + 1} ZBL {elements[i]} {elements[j]}"
           for i in range(4) for j in range(i, 4)]  # fmt: skip
    network = Setup(EXACT, atoms).evaluate(tmp_path, ranks)
    repulsion = Setup(
        EXACT, atoms, style="zbl 1.5 2.5", coeffs=[line.replace(" ZBL", "") for line in zbl]
    ).evaluate(tmp_path, ranks)
    both = Setup(
        EXACT,
        atoms,
        style="hybrid/overlay zbl 1.5 2.5 eqnn",
        coeffs=[
            f"pair_coeff * * eqnn {EXACT} H C N O",
            *(line.replace("ZBL", "zbl") for line in zbl),
        ],
    ).evaluate(tmp_path, ranks)
    assert abs(repulsion.energy) > 0.1
    assert abs(both.energy - network.energy - repulsion.energy) <= ENERGY
    assert np.abs(both.forces - network.forces - repulsion.forces).max() <= FORCE
    assert np.abs(both.virial - network.virial - repulsion.virial).max() <= 1e-9
    assert (
        np.abs(both.atom_energies - network.atom_energies - repulsion.atom_energies).max() <= ENERGY
    )


NVE = """
neighbor 0.3 bin
velocity all create 300 7 loop geom
timestep 0.0005
fix 1 all nve
thermo 10
thermo_style custom step pe etotal
thermo_modify norm no format float %.17g
dump d all custom 20 traj.test id xu yu zu vx vy vz
dump_modify d sort id format float %.17g
"""


def trajectory(folder: Path, runs: str, ranks: int = 1, threads: int = 1) -> FloatArray:
    env = environment() | {"OMP_NUM_THREADS": str(threads)}
    done = run_script(folder, Setup(EXACT, periodic()).script(folder) + NVE + runs, ranks, env)
    assert done.returncode == 0, done.stdout + done.stderr
    return read_dump(folder / "traj.test", 27, slice(1, 7))


@tried("Integrators and minimizers", "run 20 twice, with and without pre no", "run 40")
def test_run_after_run_continues_as_if_it_were_one(tmp_path: Path) -> None:
    one = trajectory(tmp_path, "run 40\n")
    two = trajectory(tmp_path, "run 20\nrun 20 pre no\n")
    assert np.array_equal(one, two)
    # with set-up between, neighbor lists are built at another step: another order of sums
    three = trajectory(tmp_path, "run 20\nrun 20\n")
    assert np.abs(one - three).max() <= 1e-9


@tried("Ranks and threads", "three threads; three ranks; 40 steps", "one: bit by bit; to 1e-9")
def test_threads_change_no_bit_and_ranks_only_rounding(tmp_path: Path) -> None:
    one = trajectory(tmp_path, "run 40\n")
    three = trajectory(tmp_path, "run 40\n", threads=3)
    # several threads of KOKKOS make neighbor lists whose order is not fixed
    assert np.abs(one - three).max() <= 1e-9 if KOKKOS else np.array_equal(one, three)
    assert np.abs(one - trajectory(tmp_path, "run 40\n", ranks=3)).max() <= 1e-9


@tried("Neighbor lists and communication", "two skins, 40 steps", "each other, 1e-9")
def test_the_neighbor_skin_changes_only_rounding(tmp_path: Path) -> None:
    one = trajectory(tmp_path, "run 40\n")
    other = trajectory(tmp_path, "neighbor 2.0 bin\nneigh_modify every 5 delay 5\nrun 40\n")
    assert np.abs(one - other).max() <= 1e-9


@tried(
    "Neighbor lists and communication",
    "comm_style tiled with balance rcb, four ranks",
    "brick, one rank",
)
def test_tiled_communication_and_balancing(tmp_path: Path) -> None:
    atoms = periodic()
    brick = Setup(EXACT, atoms).evaluate(tmp_path)
    tiled = Setup(EXACT, atoms, after="comm_style tiled\nbalance 1.0 rcb").evaluate(tmp_path, 4)
    assert abs(tiled.energy - brick.energy) <= ENERGY
    assert np.abs(tiled.forces - brick.forces).max() <= FORCE


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("style", ["eqnn", "hybrid/overlay eqnn zero 4.0"])
@tried("Neighbor lists and communication", "newton off, alone and in hybrid/overlay", "newton on")
def test_newton_off(tmp_path: Path, style: str, ranks: int) -> None:
    atoms = periodic()
    coeffs = [f"pair_coeff * * eqnn {EXACT} H C N O", "pair_coeff * * zero"]
    on = Setup(EXACT, atoms).evaluate(tmp_path, ranks)
    off = Setup(
        EXACT,
        atoms,
        style=style,
        coeffs=coeffs if "zero" in style else None,
        before="newton off",
    ).evaluate(tmp_path, ranks)
    assert abs(off.energy - on.energy) <= ENERGY
    assert np.abs(off.forces - on.forces).max() <= FORCE
    assert np.abs(off.virial - on.virial).max() <= 1e-9
    assert np.abs(off.atom_energies - on.atom_energies).max() <= ENERGY
    assert np.abs(off.atom_virials - on.atom_virials).max() <= 1e-9


@tried("What LAMMPS computes from it", "units real", "units metal times LAMMPS's factor")
def test_units_real_are_kcal_per_mol(tmp_path: Path) -> None:
    atoms = periodic()
    metal = Setup(EXACT, atoms).evaluate(tmp_path)
    real = Setup(EXACT, atoms, units="real").evaluate(tmp_path)
    # LAMMPS's factor between the two unit styles
    factor = real.energy / metal.energy
    assert abs(factor - 23.060549) <= 1e-5
    assert np.abs(real.forces - factor * metal.forces).max() <= 1e-8
    assert np.abs(real.atom_energies - factor * metal.atom_energies).max() <= 1e-8
    # pressures are in atmospheres there, in bar here
    assert np.abs(real.virial * 1.01325 - metal.virial).max() <= 1e-5 * np.abs(metal.virial).max()


@tried(
    "Neighbor lists and communication", "bonds with special_bonds 1e-50", "the run without bonds"
)
def test_bonded_atoms_see_each_other_where_special_bonds_lets_them(tmp_path: Path) -> None:
    """Weights of 1e-50 keep pairs in the neighbor list, with bits set in their index."""
    atoms = molecule()
    bare = Setup(EXACT, atoms).evaluate(tmp_path)
    weights = "special_bonds lj/coul 1e-50 1e-50 1e-50"
    script = with_bonds(tmp_path, Setup(EXACT, atoms), weights, n_bonds=26)
    out = succeed(tmp_path, script + 'run 0\nprint "RESULT $(pe:%.17g)"\n')
    energy = float(out.split("RESULT")[-1].split()[0])
    assert abs(energy - bare.energy) <= ENERGY


@tried(
    "Files, restarts and drivers",
    "read_restart, pair_style and pair_coeff again",
    "the energy before",
)
def test_restart_files_hold_no_model_but_the_run_goes_on(tmp_path: Path) -> None:
    script = Setup(EXACT, periodic()).script(tmp_path)
    out = succeed(
        tmp_path,
        script
        + 'run 0\nprint "RESULT $(pe:%.17g)"\nwrite_restart r.test\nclear\nread_restart r.test\n'
        + f"pair_style eqnn\npair_coeff * * {EXACT} H C N O\nrun 0\n"
        + 'print "RESULT $(pe:%.17g)"\n',
    )
    first, second = (float(part.split()[0]) for part in out.split("RESULT")[1:] if part[1] == "-")
    assert abs(first - second) <= ENERGY


@pytest.mark.parametrize(
    ("precision", "energy", "force"), [("mixed", 2e-4, 2e-4), ("single", 2e-4, 2e-4)]
)
@tried(
    "What LAMMPS computes from it",
    "mixed and single precision",
    "double, ten times docs/accuracy.md",
)
def test_precision(tmp_path: Path, precision: str, energy: float, force: float) -> None:
    """Ten times the errors of docs/accuracy.md, for a molecule of 27 atoms in a box."""
    atoms = periodic()
    exact = Setup(EXACT, atoms).evaluate(tmp_path, 2)
    found = Setup(EXACT, atoms, style=f"eqnn precision {precision}").evaluate(tmp_path, 2)
    assert f"{precision} precision" in found.log
    assert 0.0 < abs(found.energy - exact.energy) <= energy
    assert 0.0 < np.abs(found.forces - exact.forces).max() <= force


@tried(
    "What LAMMPS computes from it",
    "virial of a triclinic cell",
    "differences of the energy by strain",
)
def test_the_virial_is_the_derivative_by_strain(tmp_path: Path) -> None:
    """All six components of a triclinic cell. The model is exactly equivariant, so six suffice."""
    atoms = periodic()
    virial = Setup(EXACT, atoms).evaluate(tmp_path).virial
    # strains that keep the cell lower triangular: x_b gains h x_a
    for component, (a, b) in enumerate(((0, 0), (1, 1), (2, 2), (1, 0), (2, 0), (2, 1))):
        errors = []
        for h in (1e-3, 1e-4, 1e-5):
            energies = []
            for sign in (1.0, -1.0):
                strain = np.eye(3)
                strain[a, b] += sign * h
                strained = atoms.copy()
                strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
                energies.append(Setup(EXACT, strained, virial=False).evaluate(tmp_path).energy)
            slope = (energies[0] - energies[1]) / (2 * h)
            errors.append(abs(-slope - virial[component]))
        # Truncation falls with h^2, rounding (1e-11 eV in -17.7 keV) grows with 1/h; pairs at the
        # cutoff, where this network jumps, do not cross it here.
        assert min(errors) <= 1e-6, (component, errors)
        assert errors[1] <= errors[0], (component, errors)


@tried("Boxes and boundaries", "replicate 2 2 1 on four ranks", "four times the energy")
def test_replicated_cells_have_multiples_of_the_energy(tmp_path: Path) -> None:
    one = Setup(EXACT, periodic()).evaluate(tmp_path)
    out = succeed(
        tmp_path,
        Setup(EXACT, periodic())
        .script(tmp_path)
        .replace("pair_style", "replicate 2 2 1\npair_style")
        + 'run 0\nprint "RESULT $(pe:%.17g)"\n',
        ranks=4,
    )
    energy = float(out.split("RESULT")[-1].split()[0])
    assert abs(energy - 4 * one.energy) <= 4 * ENERGY


def test_loading_says_what_runs(tmp_path: Path) -> None:
    log = Setup(EXACT, molecule()).evaluate(tmp_path).log
    for text in (
        f"for LAMMPS {LAMMPS_DATE}: double precision",
        "tdn_3bpa_exact.eqnn (tdn), sha256",
        "radial tables (up to",
        "self-test: 4 structures, errors up to",
        "Loaded 1 plugins",
    ):
        assert text in log


def test_the_self_test_can_be_left_out(tmp_path: Path) -> None:
    log = Setup(EXACT, molecule(), style="eqnn self_test no").evaluate(tmp_path).log
    assert "self-test" not in log


@tried(
    "What LAMMPS computes from it",
    "energies that are means per atom, when forced",
    "N times the extensive ones",
)
def test_mean_per_atom_energies_run_when_forced(tmp_path: Path) -> None:
    """E = N sum e_i: doubling the system must quadruple the network's part, and forces follow E."""
    atoms = molecule()
    path = tmp_path / "mean.eqnn"
    as_mean_per_atom(path)
    found = Setup(path, atoms, style="eqnn allow mean-per-atom").evaluate(tmp_path, 2)
    extensive = Setup(SMALL, atoms).evaluate(tmp_path)
    assert abs(found.energy - 27 * extensive.energy) <= 1e-9
    assert np.abs(found.forces - 27 * extensive.forces).max() <= 1e-9
    assert abs(found.atom_energies.sum() - found.energy) <= 1e-9


def as_mean_per_atom(path: Path) -> None:
    model = read_model(SMALL)
    document = model.document | {
        "energy": model.document["energy"] | {"semantics": "mean-per-atom"}
    }
    write_model(path, document | {"self_test": []}, model.tensors)
