# SPDX-License-Identifier: BSD-3-Clause
"""Frames of ``eqnn evaluate``: every format, and every kind of bad frame by file and number."""

from __future__ import annotations

import gzip
import pickle
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import lmdb
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.build import molecule as known_molecule
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.db import connect
from ase.units import Bohr, Hartree

from eqnn.errors import EqnnError
from eqnn.evaluation.data import read_data, without
from eqnn.evaluation.frame import Frame, Keys, Kind, Problem, frame_of, key_of
from eqnn.evaluation.read import read_frames, set_names
from eqnn.evaluation.settings import Settings
from eqnn.evaluation.suspicion import (
    duplicates,
    energy_units,
    force_units,
    length_units,
    mixed_units,
)

KEYS = Keys()


def molecule(seed: int = 0, *, energy: float | None = -400.0, cell: Any = None) -> Atoms:
    """Methanol with noise, and with labels where there is an energy."""
    rng = np.random.default_rng(seed)
    atoms = Atoms(
        "COH4",
        [
            *([-0.05, 0.66, 0.0], [-0.05, -0.76, 0.0], [-1.08, 0.98, 0.0]),
            *([0.44, 1.07, 0.89], [0.44, 1.07, -0.89], [0.86, -1.06, 0.0]),
        ],
    )
    atoms.positions += 0.03 * rng.normal(size=(6, 3))
    if cell is not None:
        atoms.set_cell(cell)
        atoms.pbc = True
    if energy is not None:
        forces = rng.normal(size=(6, 3))
        stress = 1e-3 * rng.normal(size=6) if cell is not None else None
        label(atoms, energy + 0.01 * rng.normal(), forces, stress)
    return atoms


def label(atoms: Atoms, energy: float, forces: Any = None, stress: Any = None) -> None:
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, stress=stress)


def frame(seed: int = 0, set_name: str = "a", number: int | None = None, **more: Any) -> Frame:
    found = frame_of(molecule(seed, **more), set_name, seed if number is None else number, KEYS)
    assert isinstance(found, Frame), found
    return found


def read(path: Path, keys: Keys = KEYS) -> list[Frame | Problem]:
    return list(read_frames(path, "s", keys))


def problem(atoms: Atoms, keys: Keys = KEYS) -> Problem:
    found = frame_of(atoms, "s", 7, keys)
    assert isinstance(found, Problem)
    assert (found.set, found.number, found.is_left_out) == ("s", 7, True)
    return found


# ---- one frame ----


def test_a_frame_has_its_labels() -> None:
    atoms = molecule(1, cell=np.diag([8.0, 9.0, 10.0]))
    atoms.info = {"molecule": "methanol", "stage": "relax", "step": 3}
    found = frame_of(atoms, "s", 2, KEYS)
    assert isinstance(found, Frame)
    assert found.label == "s#2 (methanol 3 relax)" and found.stage == "relax"
    assert found.energy == atoms.get_potential_energy()
    assert found.forces is not None and (found.forces == atoms.get_forces()).all()
    assert found.stress is not None and (found.stress == atoms.get_stress(voigt=False)).all()


def test_a_slab_is_its_periodic_vectors() -> None:
    def slab(third: float, second: float = 9.0, pbc: tuple[bool, ...] = (True, True, False)) -> Any:
        atoms = molecule(1, cell=np.diag([8.0, second, third]))
        atoms.pbc = pbc
        atoms.calc.atoms.pbc = pbc  # ASE has them changed where they must not be
        return frame_of(atoms, "s", 0, KEYS)

    assert slab(10.0).key == slab(0.0).key
    assert len({slab(10.0).key, slab(10.0, 9.5).key, slab(10.0, pbc=(True, False, True)).key}) == 3
    assert slab(10.0).stress is not None and slab(0.0).stress is None
    assert (slab(10.0).atoms.pbc == (True, True, False)).all()


def test_energies_alone_are_enough_and_a_molecule_has_no_stress() -> None:
    atoms = molecule(energy=None)
    label(atoms, -1.0, None, np.ones(6))
    found = frame_of(atoms, "s", 0, KEYS)
    assert isinstance(found, Frame)
    assert (found.energy, found.forces, found.stress) == (-1.0, None, None)
    assert found.label == "s#0"


def test_a_box_that_is_not_periodic_is_vacuum() -> None:
    atoms = molecule()
    atoms.set_cell(50 * np.eye(3))
    found = frame_of(atoms, "s", 0, KEYS)
    assert isinstance(found, Frame) and not found.atoms.pbc.any()


def test_labels_may_have_other_names() -> None:
    atoms = molecule(energy=None, cell=9 * np.eye(3))
    atoms.info |= {"E": -3.0, "S": np.arange(9.0)}
    atoms.arrays["F"] = np.ones((6, 3))
    found = frame_of(atoms, "s", 0, Keys("E", "F", "S"))
    assert isinstance(found, Frame) and found.forces is not None and found.stress is not None
    assert found.energy == -3.0 and found.forces.shape == (6, 3)
    assert (found.stress == np.arange(9.0).reshape(3, 3)).all()


def bad(**labels: Any) -> Atoms:
    atoms = molecule(energy=None)
    label(atoms, labels.pop("energy", -1.0), labels.pop("forces", None))
    for key, value in labels.items():
        setattr(atoms, key, value)
    return atoms


def shifted(value: float) -> Atoms:
    atoms = bad()
    atoms.positions[2, 1] = value
    return atoms


def flat() -> Atoms:
    atoms = bad()
    atoms.set_cell([[5, 0, 0], [0, 5, 0], [5, 5, 0]])
    atoms.pbc = True
    return atoms


@pytest.mark.parametrize(
    ("atoms", "kind", "text"),
    [
        (Atoms(), Kind.EMPTY, "the frame holds no atoms"),
        (molecule(energy=None), Kind.NO_ENERGY, "no energy"),
        (bad(energy=np.nan), Kind.NOT_FINITE, "energy holds NaN or an infinity"),
        (bad(energy=-np.inf), Kind.NOT_FINITE, "energy holds NaN or an infinity"),
        (bad(energy="low"), Kind.SHAPE, "energy is 'low', expected numbers"),
        (bad(forces=np.full((6, 3), np.nan)), Kind.NOT_FINITE, "forces holds NaN or an infinity"),
        (bad(forces=np.ones((5, 3))), Kind.SHAPE, "forces has shape [5, 3], expected [6, 3]"),
        (shifted(np.nan), Kind.NOT_FINITE, "NaN or infinite coordinates"),
        (
            shifted(1e9),
            Kind.CELL,
            "reaches 1e+09 A from the origin, expected at most 1e+08: farther away, "
            "double precision is too coarse",
        ),
        (
            bad(pbc=(True, False, True), cell=np.diag([9.0, 9.0, 0.0])),
            Kind.CELL,
            "its periodic lattice vectors are zero or parallel",
        ),
        (flat(), Kind.CELL, "periodic in a cell of 0 A^3, expected above 1e-06"),
    ],
)
def test_a_bad_frame_is_a_problem_of_its_kind(atoms: Atoms, kind: Kind, text: str) -> None:
    found = problem(atoms)
    assert (found.kind, found.what) == (kind, text)
    assert found.text() == f"s#7: {kind.value}: {text} (left out)"


def test_an_energy_under_another_name_is_asked_for() -> None:
    atoms = molecule(energy=None)
    atoms.info |= {"Energy": -3.0, "note": "Energy"}
    assert problem(atoms).what == "no energy; it has Energy: name one by --energy-key"
    assert problem(atoms, Keys(energy="E")).what == (
        "no E; it has Energy: name one by --energy-key"
    )


def test_results_of_where_the_atoms_were_are_no_labels() -> None:
    atoms = molecule(1)
    atoms.positions[0] += 0.1
    assert problem(atoms).what == (
        "the calculator's results are of another structure: the atoms changed after it ran"
    )
    fresh = molecule(1)
    fresh.set_constraint(FixAtoms([0]))
    found = frame_of(fresh, "s", 0, KEYS)
    assert isinstance(found, Frame) and found.forces is not None
    assert np.abs(found.forces[0]).max() > 0.0  # as DFT has it, not as the constraint leaves it
    idle = molecule(energy=None)
    idle.calc = LennardJones()
    assert problem(idle).what == "no energy"


def test_the_key_is_of_the_structure_alone() -> None:
    assert key_of(molecule(1)) == key_of(molecule(1, energy=None))
    keys = {key_of(molecule(1)), key_of(molecule(2)), key_of(molecule(1, cell=9 * np.eye(3)))}
    moved = molecule(1)
    moved.positions[0, 0] += 1e-12
    other = molecule(1)
    other.numbers[0] = 7
    assert len(keys | {key_of(moved), key_of(other)}) == 5


# ---- files ----


def same(found: list[Frame | Problem], expected: list[Atoms]) -> None:
    assert len(found) == len(expected)
    for k, (one, atoms) in enumerate(zip(found, expected, strict=True)):
        assert isinstance(one, Frame), one
        assert one.number == k
        assert one.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-7)
        assert one.forces is not None
        assert np.abs(one.forces - atoms.get_forces()).max() <= 1e-7


@pytest.mark.parametrize("suffix", ["xyz", "xyz.gz", "traj", "db", "json"])
def test_frames_of_any_format(tmp_path: Path, suffix: str) -> None:
    frames = [molecule(k) for k in range(4)]
    path = tmp_path / f"a.{suffix}"
    if suffix == "db":
        with connect(path) as database:
            for k, atoms in enumerate(frames):
                database.write(atoms, molecule="methanol", stage=f"relax{k}")
    elif suffix == "xyz.gz":
        ase.io.write(tmp_path / "a.xyz", frames)
        path.write_bytes(gzip.compress((tmp_path / "a.xyz").read_bytes()))
    else:
        ase.io.write(path, frames)
    found = read(path)
    same(found, frames)
    if suffix == "db":
        last = found[-1]
        assert isinstance(last, Frame) and last.label == "s#3 (methanol relax3)"


def test_a_database_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"no database" * 100)
    (found,) = read(path)
    assert isinstance(found, Problem) and (found.number, found.kind) == (0, Kind.UNREADABLE)
    assert found.what.startswith("ASE cannot read it, nor what comes after (DatabaseError: ")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EqnnError) as error:
        read(tmp_path / "a.xyz")
    assert str(error.value) == (
        f"{tmp_path / 'a.xyz'}: no such file. Give the path of a file with DFT frames."
    )


@pytest.mark.parametrize("content", [b"", b"\x00\x01nothing of ASE's\xff" * 9])
def test_a_file_that_ase_cannot_read_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(content)
    (found,) = read(path)
    assert isinstance(found, Problem) and (found.number, found.kind) == (0, Kind.UNREADABLE)
    assert found.what.startswith("ASE cannot read it, nor what comes after (")


def test_a_packed_file_that_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz.gz"
    path.write_bytes(gzip.compress(b"1\n\nH 0 0 0\n" * 1000)[:-20])
    with pytest.raises(
        EqnnError, match=r"a\.xyz\.gz: cannot be unpacked \(.*\)\. Download the file "
    ):
        read(path)


@pytest.fixture
def broken(tmp_path: Path) -> tuple[Path, list[str]]:
    """Ten frames as lines of extended XYZ, to be spoilt."""
    path = tmp_path / "a.xyz"
    ase.io.write(path, [molecule(k) for k in range(10)])
    return path, path.read_text().splitlines(keepends=True)


def test_frames_around_one_that_cannot_be_read_are_read(broken: tuple[Path, list[str]]) -> None:
    path, lines = broken
    lines[6 * 8 + 3] = lines[6 * 8 + 3].replace(".", "?", 1)  # a coordinate of frame 6
    path.write_text("".join(lines))
    found = read(path)
    assert [f.number for f in found] == list(range(10))
    bad_ones = [f for f in found if isinstance(f, Problem)]
    assert [(p.number, p.kind) for p in bad_ones] == [(6, Kind.UNREADABLE)]
    assert re.match(r"ASE cannot read it \(\w+: .*\)$", bad_ones[0].what)


def test_where_frames_cannot_be_told_apart_the_rest_is_named(
    broken: tuple[Path, list[str]],
) -> None:
    path, lines = broken
    del lines[6 * 8 + 4]  # an atom of frame 6: it takes the next frame's head for one
    path.write_text("".join(lines))
    found = read(path)
    assert [f.number for f in found if isinstance(f, Frame)] == list(range(6))
    last = found[-1]
    assert isinstance(last, Problem) and (last.number, last.kind) == (6, Kind.UNREADABLE)
    assert last.what.startswith("ASE cannot read it, nor what comes after (")


def test_sets_are_called_by_their_files() -> None:
    paths = [Path("x/test.xyz.gz"), Path("x/b.db"), Path("y/b.xyz"), Path("c")]
    assert set_names(paths) == ["test", "x/b", "y/b", "c"]
    # Where folders do not tell them apart, suffixes do.
    assert set_names([Path("/x/b.db"), Path("/x/b.xyz")]) == ["/x/b.db", "/x/b.xyz"]
    assert set_names([Path("1/x/b.db"), Path("2/x/b.db")]) == ["1/x/b", "2/x/b"]
    assert set_names([]) == []
    # No two have one name, also where one's is what another's would be with its folder or suffix.
    alike = [Path("x.xyz"), Path("x.db"), Path("x.xyz.xyz"), Path("d/x.db")]
    assert len(set(set_names(alike))) == len(alike)


# ---- PubChemQCR ----


def step(atoms: Atoms, energy: float) -> dict[str, Any]:
    symbols = atoms.get_chemical_symbols()
    axes = [dict(zip("xyz", x, strict=True)) for x in atoms.positions.tolist()]
    gradient = [{"dx": 0.1, "dy": 0.0, "dz": -0.1} for _ in symbols]
    return {
        "energy": energy,
        "coordinates": [{"atom": s, **x} for s, x in zip(symbols, axes, strict=True)],
        "gradient": [{"atom": s, **g} for s, g in zip(symbols, gradient, strict=True)],
    }


def write_lmdb(path: Path) -> Path:
    steps = [step(molecule(k), -115.0 - k) for k in range(3)]
    steps[1]["energy"] = float("nan")
    values = {b"000000887": {"pm3": steps, "DFT_1st": steps, "DFT_2nd": None}, b"000000890": 7}
    with (
        lmdb.open(str(path), subdir=False, map_size=2**20) as database,
        database.begin(write=True) as transaction,
    ):
        for key, value in values.items():
            transaction.put(key, gzip.compress(pickle.dumps(value)))
    return path


def test_pubchemqcr_is_read_and_damaged_steps_are_named(tmp_path: Path) -> None:
    found = read(write_lmdb(tmp_path / "Data06.lmdb"))
    frames = [f for f in found if isinstance(f, Frame)]
    assert [f.label for f in frames] == [
        "s#0 (CID000000887 0 DFT_1st)",
        "s#2 (CID000000887 2 DFT_1st)",
    ]
    # Each has a place of its own, in the file's order: problems are told from frames by it.
    assert [f.number for f in found] == [0, 1, 2, 3]
    assert [isinstance(f, Frame) for f in found] == [True, False, True, False]
    assert frames[1].energy == pytest.approx(-117.0 * Hartree, rel=1e-6)
    assert frames[0].forces is not None
    assert frames[0].forces[0] == pytest.approx([-0.1 * Hartree / Bohr, 0, 0.1 * Hartree / Bohr])
    assert [p.what for p in found if isinstance(p, Problem)] == [
        "000000887: DFT_1st[1]: energy is nan, expected a finite number",
        "000000890: a record is a int, expected a dict of stages",
    ]


def test_the_frame_after_a_damaged_step_is_kept(tmp_path: Path) -> None:
    path = write_lmdb(tmp_path / "a.lmdb")
    again = write_lmdb(tmp_path / "b.lmdb")
    with lmdb.open(str(path), subdir=False) as database, database.begin(write=True) as some:
        some.put(b"000000001", b"no record")
    sets, frames, problems = read_data([path, again], Settings())
    assert {(p.set, p.number) for p in problems} == {
        *(("a", 0), ("a", 2), ("a", 4)),
        *(("b", 1), ("b", 3)),
    }
    assert without(frames, problems) == frames
    assert [f.name for f in frames] == ["CID000000887 0", "CID000000887 2"] * 2
    assert [(s.n_frames, s.n_bad, s.n_not_drawn, s.n_good) for s in sets] == [
        (5, 3, 0, 2),
        (4, 2, 0, 2),
    ]


def test_what_is_no_lmdb(tmp_path: Path) -> None:
    path = tmp_path / "a.lmdb"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(EqnnError, match=r"a\.lmdb: no LMDB file \(.*\)\. Download it again\."):
        read(path)


def test_without_lmdb_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lmdb(tmp_path / "a.lmdb")
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(EqnnError) as error:
        read(path)
    assert str(error.value).startswith(
        f"{path}: reading LMDB needs lmdb, which is not installed: `pip install lmdb`, "
    )


# ---- frames together ----


def test_a_structure_in_two_sets_is_named_with_both_places_and_kept() -> None:
    frames = [frame(k, "train") for k in range(4)] + [frame(9, "test")]
    copy = molecule(2)
    copy.positions += [1.0, 2.0, -3.0]  # moved, and rounded as a file has it
    copy.positions = np.round(copy.positions, 8)
    again = frame_of(copy, "test", 1, KEYS)
    assert isinstance(again, Frame)
    (found,) = duplicates([*frames, again])
    assert found.text() == (
        "test#1: duplicate: the same structure as train#2, of another set (kept)"
    )
    # Within a set a structure may come twice.
    assert duplicates([*frames, frame(1, "train")]) == []
    other = molecule(2)
    other.positions[1] += 0.01
    label(other, -400.0)
    assert duplicates([*frames, frame_of(other, "test", 1, KEYS)]) == []  # type: ignore[list-item]


def test_copies_that_were_moved_and_written_with_fewer_digits_are_duplicates() -> None:
    random = np.random.default_rng(5)
    frames = []
    for k in range(20):
        atoms = frame(k, "train").atoms.copy()
        atoms.positions = random.uniform(-2.0, 2.0, size=atoms.positions.shape)
        moved = atoms.copy()
        moved.positions = np.round(moved.positions + np.array([1.1, 2.3, -0.7]), 4)
        frames += [replace(frame(k, "train"), atoms=atoms), replace(frame(k, "test"), atoms=moved)]
    assert [(p.set, p.number) for p in duplicates(frames)] == [("test", k) for k in range(20)]


def with_energy(k: int, energy: float) -> Frame:
    atoms = molecule(k, energy=None)
    label(atoms, energy)
    found = frame_of(atoms, "s", k, KEYS)
    assert isinstance(found, Frame)
    return found


@pytest.mark.parametrize(
    ("unit", "name"),
    [(Hartree, "Hartree"), (1 / 23.0605, "kcal/mol"), (1 / 96.485, "kJ/mol"), (1e-3, "meV")],
)
def test_an_energy_in_another_unit_than_the_others(unit: float, name: str) -> None:
    energies = [-3120.0 - 1e-4 * k for k in range(10)]
    frames = [with_energy(k, e / (unit if k in (2, 7) else 1.0)) for k, e in enumerate(energies)]
    found = mixed_units(frames)
    assert [p.number for p in found] == [2, 7]
    assert found[0].kind is Kind.UNITS and found[0].is_left_out
    assert found[0].what == (
        f"energy {-3120.0 / unit:.6g} is {1 / unit:.4g} times that of the "
        f"molecule's other frames, as {name} is of eV"
    )


def test_energies_around_zero_have_any_ratio_and_are_left_alone() -> None:
    energies = [0.01 * 27.2114, 0.01, 0.02, -0.3, 0.0, 0.2, 0.11]
    assert mixed_units([with_energy(k, e) for k, e in enumerate(energies)]) == []
    # Atomization energies, hot frames among them
    assert mixed_units([with_energy(k, -30.0 + 2.0 * k) for k in range(10)]) == []


def test_of_two_frames_none_is_the_rule() -> None:
    assert mixed_units([with_energy(0, -3120.0), with_energy(1, -3120.0 / Hartree)]) == []


def test_positions_in_bohr_among_angstrom() -> None:
    frames = []
    for k in range(8):
        atoms = molecule(k)
        if k == 5:
            labels = atoms.calc.results
            atoms.positions /= Bohr
            label(atoms, labels["energy"], labels["forces"])
        one = frame_of(atoms, "s", k, KEYS)
        assert isinstance(one, Frame)
        frames.append(one)
    (found,) = mixed_units(frames)
    assert found.number == 5
    assert re.match(
        r"distances are 1\.\d+ times those of the molecule's other frames: Bohr$", found.what
    )


def test_fragments_that_part_are_no_other_unit() -> None:
    """Their extent grows by the factor of Bohr, their bonds do not."""
    frames = []
    for k in range(8):
        far = 3.0 / Bohr if k == 5 else 3.0
        atoms = Atoms("OHOH", [[0, 0, 0], [0, 0, 0.96], [far, 0, 0], [far, 0, 0.96]])
        label(atoms, -4000.0)
        one = frame_of(atoms, "s", k, KEYS)
        assert isinstance(one, Frame)
        frames.append(one)
    assert mixed_units(frames) == []


def predicted(frames: list[Frame], factors: list[float], noise: float = 0.1) -> Any:
    """Give forces of a model that is right but for noise and the factors."""
    rng = np.random.default_rng(5)
    out = {}
    for f, factor in zip(frames, factors, strict=True):
        assert f.forces is not None
        out[f.key] = factor * (f.forces + noise * rng.normal(size=f.forces.shape))
    return {"model": out}


def test_forces_in_another_unit_are_found_by_the_models() -> None:
    frames = [frame(k, "s") for k in range(6)]
    for k in (1, 4):  # these have a 51st of the forces that models see
        forces = frames[k].forces
        assert forces is not None
        forces /= Hartree / Bohr
    factors = [51.42 if k in (1, 4) else 1.0 for k in range(6)]
    said = predicted(frames, factors, noise=0.0)
    found = force_units(frames, said)
    assert [p.number for p in found] == [1, 4]
    assert found[0].what == (
        "against the models' the forces are in Hartree/Bohr, it seems, not in eV/Angstrom"
    )
    # Another model, with errors of its own, sees it too.
    noisy = predicted(frames, factors, noise=1e-3)
    assert force_units(frames, said | {"b": noisy["model"]}) == found
    # Another model that does not see it: then it is the models that differ.
    assert force_units(frames, said | {"b": predicted(frames, [1.0] * 6)["model"]}) == []


def test_a_set_of_gradients_is_found_and_one_frame_against_the_model_is_not() -> None:
    frames = [frame(k, "s") for k in range(6)]
    found = force_units(frames, predicted(frames, [-1.0] * 6))
    assert [p.number for p in found] == list(range(6))
    assert (
        found[0].what
        == "against the models' the forces have the other sign: the gradient, it seems"
    )
    assert force_units(frames, predicted(frames, [1.0] * 5 + [-1.0])) == []


def test_between_the_minima_of_model_and_dft_forces_have_any_ratio() -> None:
    frames = [frame(k, "s") for k in range(6)]
    assert force_units(frames, predicted(frames, [1.0] * 5 + [1 / 23.06])) == []
    assert force_units(frames, predicted(frames, [1.1] * 6, noise=0.5)) == []


def test_frames_without_forces_or_predictions_say_nothing_of_units() -> None:
    frames = [with_energy(k, -1.0) for k in range(3)] + [frame(k, "t") for k in range(3)]
    assert force_units(frames, {"model": {}}) == []


# ---- whole files in another unit ----


def a_set(seed: int, n: int = 12, compositions: int = 1) -> tuple[list[Frame], Any, Any]:
    """Frames whose energies and forces a poor model meets: noise, and zeros of its own."""
    rng = np.random.default_rng(seed)
    frames, energies, forces = [], {}, {}
    for k in range(n):
        atoms = molecule(100 * seed + k)
        if compositions > 1:
            atoms = atoms[: 3 + k % 4] if k % 2 else atoms
            label(atoms, 0.0, rng.normal(size=(len(atoms), 3)))
        zero = {1: -16.0, 6: -1030.0, 8: -2043.0}
        energy = sum(zero[z] for z in atoms.numbers) + rng.normal()
        atoms.calc.results["energy"] = energy
        one = frame_of(atoms, "s", k, KEYS)
        assert isinstance(one, Frame) and one.forces is not None
        frames.append(one)
        own = sum({1: -3.0, 6: -8.0, 8: -5.0}[z] for z in atoms.numbers)
        energies[one.key] = own + 0.7 * (energy - sum(zero[z] for z in atoms.numbers))
        energies[one.key] += 0.05 * rng.normal()
        forces[one.key] = 0.8 * one.forces + 0.5 * rng.normal(size=one.forces.shape)
    return frames, energies, forces


UNITS = [
    ("Hartree", Hartree),
    ("kcal/mol", 1 / 23.0605),
    ("kJ/mol", 1 / 96.485),
    ("meV", 1e-3),
    ("Rydberg", Hartree / 2),
]


@pytest.mark.parametrize("compositions", [1, 5])
@pytest.mark.parametrize(("name", "unit"), UNITS)
def test_all_energies_of_a_file_in_another_unit(name: str, unit: float, compositions: int) -> None:
    frames, energies, forces = a_set(1, 14, compositions)
    others = [replace(frame, energy=frame.energy / unit) for frame in frames]
    known: Any
    for known in (forces, {}):
        found = energy_units(others, {"m": energies}, {"m": known})
        assert [p.number for p in found] == list(range(14))
        assert all(p.kind is Kind.UNITS and p.is_left_out for p in found)
        start = "against the models' the energies are in "
        assert found[0].what.startswith(start) and found[0].what.endswith(", it seems, not in eV")
        named = found[0].what.removeprefix(start).removesuffix(", it seems, not in eV")
        assert name in named.split(" or ")
        assert energy_units(frames, {"m": energies}, {"m": known}) == []


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("name", "unit"),
    [("Hartree/Bohr", Hartree / Bohr), ("kcal/mol/Angstrom", 1 / 23.06), ("meV/Angstrom", 1e-3)],
)
def test_all_forces_of_a_file_in_another_unit(name: str, unit: float, sign: float) -> None:
    frames, _, forces = a_set(2)
    others = [replace(f, forces=sign * f.forces / unit) for f in frames if f.forces is not None]
    found = force_units(others, {"m": forces})
    assert [p.number for p in found] == list(range(12))
    turned = " and have the other sign (the gradient)" if sign < 0 else ""
    assert re.fullmatch(
        f"against the models' the forces are in (.* or )?{name}( or .*)?, it seems, not in "
        rf"eV/Angstrom,?{re.escape(turned)}",
        found[0].what,
    )
    assert force_units(frames, {"m": forces}) == []


def test_a_model_that_says_nothing_does_not_speak_against_the_others() -> None:
    frames, energies, forces = a_set(3)
    others = [replace(f, energy=f.energy / Hartree) for f in frames]
    rng = np.random.default_rng(0)
    noise = {key: float(rng.normal()) for key in energies}
    wild = {key: rng.normal(size=f.shape) for key, f in forces.items()}
    said = {"m": energies, "wild": noise}
    assert len(energy_units(others, said, {"m": forces, "wild": wild})) == 12
    assert energy_units(others, {"wild": noise}, {"wild": wild}) == []
    # One that finds them right is believed.
    right = {key: energy / Hartree for key, energy in energies.items()}
    assert energy_units(others, {"m": energies, "b": right}, {"m": forces, "b": forces}) == []


def test_one_frame_that_a_model_explodes_on_is_no_unit() -> None:
    frames, energies, forces = a_set(4)
    highest = max(frames, key=lambda frame: frame.energy)
    energies[highest.key] += 500.0
    assert energy_units(frames, {"m": energies}, {"m": forces}) == []
    assert energy_units(frames[:5], {"m": energies}, {"m": forces}) == []
    flat = [replace(frame, energy=-3120.0) for frame in frames]
    assert energy_units(flat, {"m": energies}, {"m": forces}) == []


# ---- positions of a file in another unit, which no model is asked about ----

DATA = Path(__file__).parents[2] / "data"
HONEST = [*sorted(DATA.glob("*/*.xyz.gz"))]
LENGTHS = [
    (1.0 / Bohr, "in Bohr"),
    (Bohr, "Angstrom that were converted from Bohr once more"),
    (0.1, "in nm"),
    (10.0, "Angstrom that were converted from nm once more"),
    (100.0, "in pm"),
]
# Close packed and open, with long and with short bonds for their radii, ionic, of one atom or not.
CRYSTALS = [
    *(bulk(symbol) for symbol in ("Cu", "Al", "Pb", "Ta", "Fe", "Cs", "Mg", "C", "Si", "Th")),
    *(bulk(symbol, cubic=True) for symbol in ("Ni", "Na", "Ge")),
    bulk("NaCl", "rocksalt", a=5.64),
    bulk("CsCl", "cesiumchloride", a=4.12),
    bulk("LiF", "rocksalt", a=4.03),
]


def scaled(atoms: Atoms, factor: float) -> Atoms:
    out: Atoms = atoms.copy()
    out.set_cell(out.cell.array * factor)
    out.positions *= factor
    return out


def a_file(structures: list[Atoms]) -> list[Frame]:
    found: list[Frame] = []
    for k, atoms in enumerate(structures):
        atoms = atoms.copy()
        label(atoms, -1.0)
        one = frame_of(atoms, "s", k, KEYS)
        assert isinstance(one, Frame), one
        found.append(one)
    return found


def box(name: str, distance: float) -> Atoms:
    """Eight molecules on a grid, periodic."""
    atoms = known_molecule(name)
    atoms.set_cell(np.eye(3) * distance)
    atoms.pbc = True
    out: Atoms = atoms.repeat(2)
    return out


@pytest.mark.parametrize("path", HONEST, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_lengths_of_whole_files_are_told_without_a_model(path: Path) -> None:
    structures: Any = ase.io.read(path, index=":600:40")
    assert length_units(a_file(structures)) == []
    for factor, unit in LENGTHS:
        frames = a_file([scaled(atoms, factor) for atoms in structures])
        found = length_units(frames)
        assert [(p.set, p.number) for p in found] == [(f.set, f.number) for f in frames]
        assert {p.kind for p in found} == {Kind.UNITS} and len({p.what for p in found}) == 1
        assert found[0].what.endswith(f" apart: positions are {unit}, it seems")


def sheet(atoms: Atoms) -> Atoms:
    """Return layers of a crystal, with two bare sides and no third lattice vector."""
    out: Atoms = atoms.repeat((1, 1, 2))
    out.cell[2] = 0.0
    out.pbc = (True, True, False)
    return out


@pytest.mark.parametrize(
    "atoms",
    [*CRYSTALS, *map(sheet, CRYSTALS), box("H2O", 3.1), box("H2", 3.5)],
    ids=lambda atoms: str(atoms.symbols),
)
def test_lengths_of_crystals_and_boxes_are_told_too(atoms: Atoms) -> None:
    for strain in (0.95, 1.0, 1.05):
        assert length_units(a_file([scaled(atoms, strain)])) == []
    (one,) = length_units(a_file([scaled(atoms, 1.0 / Bohr)]))
    assert one.what.endswith("in Bohr, it seems")
    (one,) = length_units(a_file([scaled(atoms, 0.1)]))
    assert one.what.endswith("in nm, it seems")


@pytest.mark.parametrize(
    "structures",
    [
        [Atoms("H"), Atoms("C"), Atoms("O")],
        [Atoms("Cs", cell=9.0 * np.eye(3), pbc=True)],
        [Atoms("C", cell=15.0 * np.eye(3), pbc=True)],
        [bulk("Ar", "fcc", a=5.26), bulk("Ne", cubic=True)],
        [Atoms("Ar3", [[0, 0, 0], [3.8, 0, 0], [0, 3.8, 0]])],
        [Atoms("ArF2Ar", [[0, 0, 0], [3.4, 0, 0], [30.0, 0, 0], [33.4, 0, 0]])],
        [Atoms("C2", [[0, 0, 0], [2.8, 0, 0]])],  # of a scan
        [Atoms("H3", [[0, 0, 0], [r, 0, 0], [2 * r, 0, 0]]) for r in np.linspace(0.6, 3.0, 20)],
        [scaled(bulk("Cu"), x) for x in np.linspace(0.8, 2.5, 20)],
    ],
)
def test_what_has_no_bonds_or_is_pulled_apart_is_no_other_unit(structures: list[Atoms]) -> None:
    assert length_units(a_file(structures)) == []


def test_of_two_files_the_one_in_bohr_is_named_and_not_the_other() -> None:
    right = [replace(one, set="right") for one in a_file([molecule(k) for k in range(4)])]
    wrong = a_file([scaled(molecule(k), 1.0 / Bohr) for k in range(9)])
    assert {p.set for p in length_units([*right, *wrong])} == {"s"}
    assert len(length_units([*right, *wrong])) == 9
    assert length_units([]) == []
