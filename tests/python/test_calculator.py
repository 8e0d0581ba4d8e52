# SPDX-License-Identifier: BSD-3-Clause
"""The ASE calculator against the engine, finite differences of energies, and explicit images."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.calculators.socketio import SocketIOCalculator
from ase.io import read, write
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from eqnn_models import tiny_model
from numpy.typing import ArrayLike

from eqnn import EQNN, EqnnError
from eqnn.library import Potential
from eqnn.model_file import write_model

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "potentials" / "mace_solvents.eqnn"
OTHER = ROOT / "potentials" / "mace_acetylacetone.eqnn"


def assert_close(
    found: ArrayLike, expected: ArrayLike, rtol: float = 1e-7, atol: float = 0.0
) -> None:
    """NumPy's assert_allclose, but NaN is not equal to NaN."""
    x, y = np.asarray(found), np.asarray(expected)
    assert x.shape == y.shape
    assert (np.abs(x - y) <= atol + rtol * np.abs(y)).all()


def ethanol(**box: object) -> Atoms:
    atoms: Atoms = molecule("CH3CH2OH", **box)
    atoms.rattle(0.05, seed=3)
    return atoms


def crystal() -> Atoms:
    """Carbon in a sheared cell, smaller than the cutoff."""
    atoms = bulk("C", "diamond", a=3.7)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.03 * np.arange(9).reshape(3, 3) / 9), True)
    atoms.rattle(0.05, seed=1)
    return atoms


def member(folder: Path, seed: int) -> Path:
    """Write a model of a committee: the tiny one with other energies of free atoms and weights."""
    model = tiny_model()
    rng = np.random.default_rng(seed)
    tensors = {
        name: values * (1 + 0.01 * rng.normal()) if values.dtype == np.float64 else values
        for name, values in model.tensors.items()
    }
    write_model(folder / f"{seed}.eqnn", model.document, tensors)
    return folder / f"{seed}.eqnn"


@pytest.mark.parametrize("precision", ["reference", "double", "mixed", "single"])
def test_results_are_the_engines(precision: str) -> None:
    atoms = crystal()
    atoms.calc = EQNN(MODEL, precision=precision)
    with Potential(MODEL, precision) as potential:
        found = potential.evaluate(atoms.numbers, atoms.positions, atoms.cell.array)
    assert found.virial is not None
    assert atoms.get_potential_energy() == found.energy
    assert atoms.get_potential_energy(force_consistent=True) == found.energy
    assert np.array_equal(atoms.get_potential_energies(), found.atom_energies)
    assert np.array_equal(atoms.get_forces(), found.forces)
    stress = -found.virial / atoms.get_volume()
    assert np.array_equal(atoms.get_stress(voigt=False), (stress + stress.T) / 2)


def test_forces_and_stresses_are_derivatives() -> None:
    atoms = crystal()
    atoms.calc = EQNN(MODEL)
    forces = calculate_numerical_forces(atoms, eps=1e-4)
    assert np.abs(forces).max() > 1  # eV/Angstrom
    assert_close(atoms.get_forces(), forces, atol=2e-6)
    stress = calculate_numerical_stress(atoms, eps=1e-5)
    assert_close(atoms.get_stress(), stress, atol=1e-6)


def test_a_molecule_has_no_stress() -> None:
    for atoms in (ethanol(), ethanol(vacuum=5.0)):
        atoms.calc = EQNN(MODEL)
        assert np.isfinite(atoms.get_forces()).all()
        with pytest.raises(PropertyNotImplementedError):
            atoms.get_stress()


@pytest.mark.slow
@pytest.mark.parametrize("pbc", [p for p in np.ndindex(2, 2, 2) if 0 < sum(p) < 3])
@pytest.mark.parametrize("is_flat", [False, True])
def test_images_are_those_of_the_periodic_axes_only(pbc: tuple[int, ...], is_flat: bool) -> None:
    """The other lattice vectors are ignored, even if they are zero."""
    atoms = crystal()
    atoms.pbc = pbc
    # As large a piece as there are images within reach of the first atoms: each path through
    # two layers ends within twice the cutoff.
    n = 9
    piece = atoms.repeat([n if p else 1 for p in pbc])
    piece.pbc = False
    piece.cell = None
    middle = (n // 2) * sum(
        atoms.cell.array[k] for k, periodic in enumerate(pbc) if periodic
    ) + np.zeros(3)
    of_middle = [
        int(np.argmin(np.linalg.norm(piece.positions - middle - x, axis=1)))
        for x in atoms.positions
    ]
    if is_flat:
        atoms.set_cell(np.where(np.array(pbc, bool)[:, None], atoms.cell.array, 0.0))
    atoms.calc = EQNN(MODEL)
    piece.calc = EQNN(MODEL)
    assert_close(
        atoms.get_potential_energies(), piece.get_potential_energies()[of_middle], atol=1e-9
    )
    assert_close(atoms.get_forces(), piece.get_forces()[of_middle], atol=1e-9)


def test_a_slab_has_a_stress_where_its_cell_has_a_volume() -> None:
    atoms = crystal()
    atoms.pbc = (True, True, False)
    atoms.calc = EQNN(MODEL)
    # Only strains within the plane: the third vector is none of its lattice.
    numerical = calculate_numerical_stress(atoms, eps=1e-5)
    assert_close(atoms.get_stress()[[0, 1, 5]], numerical[[0, 1, 5]], atol=1e-6)
    atoms.cell[2] = 0
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_results_follow_every_change() -> None:
    atoms = ethanol()
    atoms.calc = EQNN(MODEL)
    before = atoms.get_potential_energy()
    atoms.positions[0] += 0.1
    moved = atoms.get_potential_energy()
    assert abs(moved - before) > 1e-3  # eV
    atoms.numbers[0] = 8
    assert abs(atoms.get_potential_energy() - moved) > 1  # eV
    del atoms[3]
    assert atoms.get_forces().shape == (8, 3)


def test_md_conserves_energy_and_relaxations_end() -> None:
    atoms = ethanol()
    atoms.calc = EQNN(MODEL)
    assert BFGS(atoms, logfile=None).run(fmax=0.01, steps=200)
    atoms.rattle(0.05, seed=2)
    before = atoms.get_total_energy()
    VelocityVerlet(atoms, 0.25 * units.fs).run(100)
    assert abs(atoms.get_kinetic_energy()) > 0.05  # eV: something moves
    assert abs(atoms.get_total_energy() - before) < 2e-3


def test_nothing_and_one_atom() -> None:
    nothing = Atoms(calculator=EQNN(MODEL))
    assert nothing.get_potential_energy() == 0
    assert nothing.get_forces().shape == (0, 3)
    one = Atoms("C", calculator=EQNN(MODEL))
    assert np.array_equal(one.get_forces(), np.zeros((1, 3)))


def test_a_committee_gives_means_and_deviations(tmp_path: Path) -> None:
    paths = [member(tmp_path, seed) for seed in (1, 2, 3)]
    atoms = ethanol(vacuum=2.0)
    atoms.pbc = True
    of_each = []
    for path in paths:
        atoms.calc = EQNN(path)
        of_each.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
    atoms.calc = EQNN(paths)
    atoms.get_potential_energy()
    for k, name in enumerate(("energy", "forces", "stress")):
        values = np.array([one[k] for one in of_each])
        assert_close(atoms.calc.results[name], values.mean(axis=0), rtol=1e-12)
        deviation = atoms.calc.get_property(f"{name}_std", atoms)
        assert_close(deviation, values.std(axis=0), rtol=1e-9, atol=1e-12)
        assert np.max(deviation) > 1e-6


def test_one_model_has_no_deviation() -> None:
    atoms = ethanol()
    atoms.calc = EQNN([MODEL])
    with pytest.raises(PropertyNotImplementedError):
        atoms.calc.get_property("forces_std", atoms)


def test_copies_compute_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    atoms = ethanol()
    calculator = EQNN("potentials/mace_solvents.eqnn", precision="single")
    atoms.calc = calculator
    energy = atoms.get_potential_energy()
    monkeypatch.chdir(tmp_path)  # the path was relative
    for other in (pickle.loads(pickle.dumps(calculator)), copy.deepcopy(calculator)):
        atoms.calc = other
        atoms.positions += 1.0  # so that nothing is remembered
        assert abs(atoms.get_potential_energy() - energy) < 1e-5
        assert str(MODEL) in str(other.todict())


def test_trajectories_keep_results(tmp_path: Path) -> None:
    atoms = ethanol()
    atoms.calc = EQNN(MODEL)
    forces = atoms.get_forces()
    for name in ("frames.xyz", "frames.traj"):
        write(tmp_path / name, atoms)
        again = read(tmp_path / name)
        assert isinstance(again, Atoms)
        assert_close(again.get_forces(), forces, atol=1e-7)


def test_threads_take_turns() -> None:
    """Each thread its own structure, and two calculators between them."""
    calculators = [EQNN(MODEL), EQNN(OTHER)]
    structures = [molecule(name) for name in ("CH3CH2OH", "CH4", "C2H4", "CH3OCH3") * 8]
    for k, atoms in enumerate(structures):
        atoms.rattle(0.05, seed=k)

    def energy(k: int) -> float:
        found = (
            calculators[k % 2]
            .potentials[0]
            .evaluate(structures[k].numbers, structures[k].positions)
        )
        return found.energy

    one_by_one = [energy(k) for k in range(len(structures))]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(energy, range(len(structures)))) == one_by_one


FORKED = """
import multiprocessing, os, sys
from ase.build import molecule
from eqnn import EQNN
from eqnn.library import validate

def energy(method):
    atoms = molecule("CH4")
    atoms.calc = EQNN(sys.argv[1])
    try:
        return repr(atoms.get_potential_energy())
    except Exception as error:
        return str(error)

if __name__ == "__main__":
    method, first = sys.argv[2:]
    here = energy("") if first == "evaluate" else validate(sys.argv[1], load=True)
    with multiprocessing.get_context(method).Pool(1) as pool:
        try:
            print(here == pool.apply(energy, ("",)))
        except Exception as error:
            print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "threads", "first", "expected"),
    [
        ("fork", 1, "evaluate", "True"),
        ("spawn", 2, "evaluate", "True"),
        ("fork", 2, "evaluate", "whose threads it lacks"),
        ("fork", 2, "validate", "whose threads it lacks"),
    ],
)
def test_processes(tmp_path: Path, method: str, threads: int, first: str, expected: str) -> None:
    """A process that fork() made used to wait forever."""
    script = tmp_path / "forked.py"
    script.write_text(FORKED)
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, str(script), str(MODEL), method, first],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=env,
    )
    assert expected in done.stdout, done.stderr
    assert multiprocessing.get_start_method(allow_none=True) is None


BLOCKS = [
    block
    for path in (ROOT / "README.md", ROOT / "docs" / "ase.md")
    for block in re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
]


# Others have tests of their own: below, and in test_torch_sim.py.
RUN_HERE = [block for block in BLOCKS if "Socket" not in block and "torch_sim" not in block]


@pytest.mark.parametrize("block", RUN_HERE)
def test_the_documents_programs_run(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    exec(block, {})


def test_a_socket_serves_other_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The document's program on one side, a relaxation by forces from the socket on the other."""
    (block,) = [block for block in BLOCKS if "Socket" in block]
    name = f"eqnn-{os.getpid()}"
    monkeypatch.chdir(ROOT)
    atoms = molecule("CH3CH2OH")
    with SocketIOCalculator(unixsocket=name, timeout=60) as server:
        client = threading.Thread(target=exec, args=(block.replace('"eqnn"', f'"{name}"'), {}))
        client.start()
        atoms.calc = server
        forces = atoms.get_forces()
    client.join(60)
    assert not client.is_alive()
    atoms.calc = EQNN(MODEL)
    assert_close(forces, atoms.get_forces(), atol=1e-9)


def test_what_is_no_models_to_compute_is_refused() -> None:
    with pytest.raises(EqnnError, match=r"no model, expected one or more. Name a \.eqnn file"):
        EQNN([])
    with pytest.raises(EqnnError, match="precision is 'half', expected one of reference, double"):
        EQNN(MODEL, precision="half")
    with pytest.raises(EqnnError, match="no kernels for"):
        EQNN(MODEL, device="gpu")
    with pytest.raises(EqnnError, match='device "tpu", expected auto, cpu or gpu'):
        EQNN(MODEL, device="tpu")
    with pytest.raises(EqnnError, match="reference evaluator runs on the CPU only"):
        EQNN(MODEL, precision="reference", device="gpu")
    with pytest.raises(EqnnError, match="its elements are not those of"):
        EQNN([MODEL, MODEL.with_name("nequip_toluene.eqnn")])
    with pytest.raises(EqnnError, match="is Si, which the model does not know"):
        Atoms("Si", calculator=EQNN(MODEL)).get_potential_energy()
    with pytest.raises(EqnnError, match="expected finite coordinates"):
        Atoms("C", [[np.nan, 0, 0]], calculator=EQNN(MODEL)).get_potential_energy()
    flat = Atoms("C", cell=[0, 3, 3], pbc=[True, True, False], calculator=EQNN(MODEL))
    with pytest.raises(EqnnError, match="vectors are zero or parallel"):
        flat.get_potential_energy()


def test_a_failure_leaves_no_results() -> None:
    atoms = ethanol()
    atoms.calc = EQNN(MODEL)
    atoms.get_forces()
    atoms.positions[0] = np.nan
    with pytest.raises(EqnnError):
        atoms.get_forces()
    assert atoms.calc.results == {}


def test_what_is_unfit_for_md_is_taken_where_allowed(tmp_path: Path) -> None:
    model = tiny_model(forces="direct")
    direct = tmp_path / "direct.eqnn"
    write_model(direct, model.document, model.tensors)
    with pytest.raises(EqnnError, match="Give allow_direct_forces=True"):
        EQNN(direct)
    atoms = ethanol()
    atoms.calc = EQNN(direct, allow_direct_forces=True)
    assert np.abs(atoms.get_forces()).max() > 0
    model = tiny_model()
    document = copy.deepcopy(model.document)
    document["energy"]["semantics"] = "mean-per-atom"
    write_model(tmp_path / "mean.eqnn", document, model.tensors)
    with pytest.raises(EqnnError, match="Give allow_mean_per_atom=True"):
        EQNN(tmp_path / "mean.eqnn")
    atoms.calc = EQNN(tmp_path / "mean.eqnn", allow_mean_per_atom=True)
    assert np.isfinite(atoms.get_potential_energy())


def test_elements_that_are_named_get_the_same_numbers() -> None:
    atoms = ethanol()
    atoms.calc = EQNN(MODEL)
    expected = atoms.get_forces()
    atoms.calc = EQNN(MODEL, elements=["O", "H", "C"])
    assert np.array_equal(atoms.get_forces(), expected)
    assert np.array_equal(pickle.loads(pickle.dumps(atoms.calc)).get_forces(atoms), expected)
    carbon = crystal()
    carbon.calc = EQNN(MODEL, elements=["C"])
    assert np.array_equal(carbon.get_forces(), EQNN(MODEL).get_forces(carbon))  # type: ignore[no-untyped-call]
    with pytest.raises(EqnnError, match="atom 2 is O, which the model does not know"):
        carbon.calc.get_forces(atoms)
    with pytest.raises(EqnnError, match=r"elements of EQNN\(\) has 'Q', expected chemical symbols"):
        EQNN(MODEL, elements=["Q"])
