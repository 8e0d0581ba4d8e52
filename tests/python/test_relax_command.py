# SPDX-License-Identifier: BSD-3-Clause
"""`eqnn relax`: records, resuming after a kill, reasons, references and refusals."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import lmdb
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms, FixBondLength
from eqnn_models import ROOT, refusal

import eqnn
from eqnn.cli import main
from eqnn.errors import readable
from eqnn.library import Potential
from eqnn.relaxation import Settings, many
from eqnn.relaxation.command import Teller
from eqnn.relaxation.compare import compare, rmsd
from eqnn.relaxation.jobs import read_input, read_jobs
from eqnn.relaxation.many import _cell_of
from eqnn.relaxation.records import Output, Record
from eqnn.relaxation.references import mismatch
from eqnn.relaxation.result import Outcome, Result
from eqnn.relaxation.run import file_name
from eqnn.relaxation.tables import overview
from eqnn.so3 import random_rotations

MACE = ROOT / "potentials" / "mace_solvents.eqnn"
COLUMNS = ("symbols", "positions")
VALIDATION = ROOT / "data" / "qcr-small" / "validation.xyz.gz"


def some_molecules(n: int, name: str = "H2O") -> list[Atoms]:
    """Rattle a molecule n times, and number them."""
    out = []
    for k in range(n):
        atoms = molecule(name)
        atoms.rattle(0.05, seed=k)
        atoms.info = {"id": f"{name} {k}"}
        out.append(atoms)
    return out


def written(path: Path, structures: Sequence[Atoms]) -> Path:
    """Write structures as extended XYZ."""
    ase.io.write(path, list(structures), format="extxyz")
    return path


def relaxed(folder: Path, structures: Path, *options: str, name: str = "out") -> Path:
    """Run the command, which must succeed, and return its output."""
    out = folder / f"{name}.xyz"
    given = ["--input", str(structures), "--output", str(out), "--precision", "single"]
    assert main(["relax", str(MACE), *given, *options]) == 0
    return out


def records(path: Path) -> dict[str, str]:
    """Return the text of each record by its id."""
    lines = path.read_text().splitlines()
    out = {}
    while lines:
        n = int(lines[0]) + 2
        name = lines[1].split('"')[1]
        assert name not in out
        out[name] = "\n".join(lines[:n])
        lines = lines[n:]
    return out


def in_process(
    structures: Path, out: Path, *options: str, threads: int = 1
) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "eqnn.cli", "relax", str(MACE), "--precision", "single"),
            *("--input", str(structures), "--output", str(out), *options),
        ],
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT / "python")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# ---- records ----


def test_records_are_structures_that_ase_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    structures = some_molecules(3)
    structures[1].set_constraint(FixAtoms([0]))
    given = tmp_path / "in.xyz"
    ase.io.write(given, structures, format="extxyz", columns=[*COLUMNS, "move_mask"])
    out = relaxed(tmp_path, given)
    structures = list(ase.io.iread(given, index=":"))
    assert structures[1].constraints  # as the file says
    found = {atoms.info["id"]: atoms for atoms in ase.io.iread(out, index=":")}
    assert list(found) and set(found) == {atoms.info["id"] for atoms in structures}
    direct = eqnn.relax(structures, MACE, precision="single")
    for atoms, expected in zip(structures, direct, strict=True):
        one = found[atoms.info["id"]]
        assert expected is not None and expected.status == "converged"
        assert one.info["status"] == "converged" and one.info["steps"] == expected.steps
        assert abs(one.get_potential_energy() - expected.energy) <= 1e-9 * abs(expected.energy)
        assert abs(one.info["first_energy"] - expected.first_energy) <= 1e-6
        assert one.info["fmax"] < 0.05
        forces = expected.atoms.get_forces(apply_constraint=False)
        assert np.abs(one.positions - expected.atoms.positions).max() <= 1e-10
        assert np.abs(one.get_forces() - forces).max() <= 1e-10
    assert np.array_equal(found["H2O 1"].positions[0], structures[1].positions[0])
    said = capsys.readouterr()
    assert "  converged" in said.out and "3 of 3 structures, " in said.err


def test_cells_are_relaxed_where_that_is_asked_for(tmp_path: Path) -> None:
    water = some_molecules(2)
    for atoms in water:
        atoms.set_cell(np.diag([4.0, 4.2, 4.4]))
        atoms.pbc = True
    structures = written(tmp_path / "in.xyz", water)
    options = ("--max-steps", "5")
    fixed = ase.io.read(relaxed(tmp_path, structures, *options), index=0)
    moved = ase.io.read(relaxed(tmp_path, structures, *options, "--cell", name="cell"), index=0)
    assert isinstance(fixed, Atoms) and isinstance(moved, Atoms)
    assert np.array_equal(fixed.cell.array, water[0].cell.array)
    assert np.abs(moved.cell.array - water[0].cell.array).max() > 1e-3
    assert moved.pbc.all()


def test_trajectories_have_every_step(tmp_path: Path) -> None:
    structures = written(tmp_path / "in.xyz", some_molecules(3))
    out = relaxed(tmp_path, structures, "--trajectories", str(tmp_path / "steps"))
    for record in ase.io.iread(out, index=":"):
        path = tmp_path / "steps" / f"{file_name(record.info['id'])}.xyz"
        steps = list(ase.io.iread(path, index=":"))
        assert [frame.info["step"] for frame in steps] == list(range(record.info["steps"] + 1))
        assert np.abs(steps[-1].positions - record.positions).max() <= 1e-7
        assert abs(steps[-1].get_potential_energy() - record.get_potential_energy()) <= 1e-6
    assert not list((tmp_path / "steps").glob("*.partial"))


def test_names_of_files_tell_ids_apart() -> None:
    names = ["a/b", "a_b", "a b", "a_2f_b", "../a", "A.xyz:1"]
    assert len({file_name(name) for name in names}) == len(names)
    assert all("/" not in file_name(name) for name in names)


# ---- what does not change results ----


@pytest.mark.slow
def test_neither_order_nor_passes_nor_threads_change_a_record(tmp_path: Path) -> None:
    structures = some_molecules(20) + some_molecules(10, "CH3OH")
    forwards = written(tmp_path / "in.xyz", structures)
    backwards = written(tmp_path / "backwards.xyz", structures[::-1])
    expected = records(relaxed(tmp_path, forwards, "--atoms-at-once", "1"))
    assert len(expected) == 30
    for k, (path, threads, at_once) in enumerate(
        [(forwards, 2, "0"), (backwards, 1, "17"), (backwards, 2, "1000")]
    ):
        out = tmp_path / f"{k}.xyz"
        run = in_process(path, out, "--atoms-at-once", at_once, threads=threads)
        assert run.wait() == 0, run.communicate()
        assert records(out) == expected


# ---- what fails ----

POISONED = {
    "iron": ("unknown_element", "atom 0 is Fe, which the model does not know"),
    "same place": ("invalid", "node 1 is 0 Angstrom from atom 0"),
    "nan": ("nan", "atom 1 is at (0, 0, nan), expected finite coordinates."),
    "infinite": ("nan", "atom 1 is at (0, 0, inf), expected finite coordinates."),
    "empty": ("invalid", "there are no atoms, expected one or more."),
    "flat": ("invalid", "the cell's volume is 0 A^3"),
    "far": ("invalid", "atom 1 is at (0, 0, 1e+09), expected within 1e+08 Angstrom"),
    "exploded": ("exploded", "after 2 steps: node 1 is "),
    "slab": ("invalid", "the structure: its periodic lattice vectors are zero or parallel."),
}


def poisoned() -> str:
    """Return all of them, and one of no element, as extended XYZ."""

    def pair(name: str, x: str, first: str = "O", more: str = "") -> str:
        columns = "Properties=species:S:1:pos:R:3"
        return f'2\n{columns} id="{name}"{more}\n{first} 0 0 0\nH 0 0 {x}\n'

    cell = ' Lattice="{} 0 0 5 0 0 0 0 5"'
    return (
        pair("iron", "1.0", "Fe")
        + pair("same place", "0.0")
        + pair("nan", "nan")
        + pair("infinite", "inf")
        + '0\nProperties=species:S:1:pos:R:3 id="empty"\n'
        + pair("flat", "1.0", more=cell.format(5))
        + pair("far", "1e9")
        + pair("exploded", "0.0001")
        + pair("slab", "1.0", more=' Lattice="5 0 0 5 0 0 0 0 5" pbc="T T F"')
        + pair("no element", "1.0", "Qq")
    )


@pytest.mark.slow
def test_a_thousand_molecules_with_ten_poisoned_have_990_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = written(tmp_path / "good.xyz", some_molecules(990)).read_text()
    half = len(good) // 2
    half = good.index("3\nProperties", half)
    (tmp_path / "in.xyz").write_text(good[:half] + poisoned() + good[half:])
    found = {}
    out = relaxed(tmp_path, tmp_path / "in.xyz", "--report", str(tmp_path / "report"))
    with Output(out) as output:
        found = dict(output.records)
    assert len(found) == 1000
    bad = {name: record for name, record in found.items() if record.status != "converged"}
    assert len(bad) == 10
    for name, (status, reason) in POISONED.items():
        assert (name, bad[name].status) == (name, status), bad[name].reason
        assert bad[name].reason.startswith(reason), bad[name].reason
    (unread,) = set(bad) - set(POISONED)
    assert bad[unread].status == "invalid"
    assert bad[unread].reason.startswith("ASE cannot read it (KeyError: 'Qq'")
    said = capsys.readouterr().out
    assert "Not converged" in said and "atom 0 is Fe" in said
    document = json.loads((tmp_path / "report" / "result.json").read_text())
    assert document["schema"] == "eqnn-relax-1"
    assert document["counts"] == {
        "converged": 990,
        "max_steps": 0,
        "nan": 2,
        "exploded": 1,
        "unknown_element": 1,
        "invalid": 6,
    }
    assert len(document["structures"]) == 1000


def test_constraints_other_than_fixed_atoms_are_a_reason(tmp_path: Path) -> None:
    water = some_molecules(2)
    water[0].set_constraint(FixBondLength(0, 1))
    first, second = eqnn.relax(water, MACE)
    assert first is not None and second is not None
    assert (first.status, second.status) == ("invalid", "converged")
    assert first.reason == (
        "the structure has the constraint FixBondLengths, expected only FixAtoms.\nRemove it, or "
        "fix atoms instead."
    )


# ---- the next run goes on ----


@pytest.mark.slow
def test_after_a_kill_the_same_command_goes_on(tmp_path: Path) -> None:
    structures = written(tmp_path / "in.xyz", some_molecules(300, "CH3CH2OH"))
    out, steps = tmp_path / "killed.xyz", tmp_path / "steps"
    run = in_process(structures, out, "--trajectories", str(steps), "--atoms-at-once", "30")
    while run.poll() is None and (not out.exists() or out.stat().st_size < 20_000):
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL, "it was done before it was killed"
    run.communicate()
    with out.open("ab") as file:  # as if the kill had come in the middle of a record
        file.write(b'9\nid="CH3CH2OH 299" status=conv')
    before = out.read_bytes()
    n_before = len(records_of_whole(before))
    assert 0 < n_before < 300
    run = in_process(structures, out, "--trajectories", str(steps))
    _, said = run.communicate()
    assert run.returncode == 0, said
    assert f"{out}: the last record was cut short, and is done again.\n" in said
    assert f"{out} has {n_before} records; {300 - n_before} are left.\n" in said
    whole = before[: before.rindex(b'9\nid="CH3CH2OH 299" status=conv')]
    assert out.read_bytes().startswith(whole)  # what was there stays as it was
    expected = records(relaxed(tmp_path, structures, name="whole"))
    assert records(out) == expected
    assert len(list(steps.glob("*.xyz"))) == 300


def records_of_whole(content: bytes) -> list[bytes]:
    """Return the comment lines of the records that are whole, of ethanol."""
    lines = content.split(b"\n")
    return [lines[k + 1] for k in range(0, len(lines) - 11, 11)]


def test_a_record_that_was_cut_anywhere_is_done_again(tmp_path: Path) -> None:
    structures = written(tmp_path / "in.xyz", some_molecules(3))
    out = relaxed(tmp_path, structures)
    whole = out.read_bytes()
    last = whole.rindex(b"3\nid=")
    for end in (last + 1, last + 2, last + 4, last + 40, len(whole) - 70, len(whole) - 1):
        out.write_bytes(whole[:end])
        relaxed(tmp_path, structures)
        assert out.read_bytes() == whole, end


def test_an_output_of_another_run_is_refused_and_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    structures = written(tmp_path / "in.xyz", some_molecules(2))
    out = relaxed(tmp_path, structures)
    whole = out.read_bytes()

    def refused(*options: str, given: Path = structures) -> str:
        capsys.readouterr()
        command = ["relax", str(MACE), "--input", str(given), "--output", str(out), *options]
        assert main(command) == 1
        assert out.read_bytes() == whole
        return capsys.readouterr().err

    sha = eqnn.read_model(MACE).sha256[:12]
    assert refused("--precision", "single", "--fmax", "0.01") == (
        f"eqnn: --output {out}: has records of `{sha} single lbfgs fmax 0.05 max_steps 500`, this "
        f"run is `{sha} single lbfgs fmax 0.01 max_steps 500`.\nName another path, or give the "
        "same model and options as before.\n"
    )
    others = some_molecules(2)
    others[1].rattle(0.01)
    other = written(tmp_path / "other.xyz", others)
    assert refused("--precision", "single", given=other) == (
        f"eqnn: --output {out}: its 'H2O 1' started from another structure than that of --input.\n"
        "Name another path, or give the same input as before.\n"
    )
    assert refused("--precision", "single", given=out) == (
        f"eqnn: --output {out}: is an input too. Give another path.\n"
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"notes of mine\n", "what"),
        (b"12345", "what"),
        (b"1\nProperties=species:S:1:pos:R:3\nH 0 0 0\n", "frames that"),
        (b"2\nmolecule\nH 0 0 0\n", "what"),
    ],
)
def test_files_of_others_are_not_written_to(tmp_path: Path, content: bytes, what: str) -> None:
    out = tmp_path / "out.xyz"
    out.write_bytes(content)
    if content.isdigit():  # the count of a record that was cut short
        with Output(out) as output:
            assert output.torn == len(content)
        return
    assert refusal(lambda: Output(out)) == (
        f"--output {out}: holds {what} `eqnn relax` did not write, and stays as it is. "
        "Name another path."
    )
    assert out.read_bytes() == content


# ---- ids and references ----


def test_ids_name_structures_once(tmp_path: Path) -> None:
    twins = some_molecules(1) * 2
    path = written(tmp_path / "in.xyz", twins)
    assert refusal(lambda: read_jobs([path])) == (
        "--input: two structures have the id 'H2O 0', expected one each.\nGive them different "
        "ids, or name another key with --id-key."
    )
    assert refusal(lambda: read_jobs([path], id_key="name")) == (
        "in:0 has no name, which --id-key names; it has id.\nName a key that all have, or leave "
        "--id-key out."
    )
    nameless = [Atoms("H"), Atoms("O")]
    jobs = read_jobs([written(tmp_path / "no ids.xyz", nameless)])
    assert [job.id for job in jobs] == ["no ids:0", "no ids:1"]
    assert refusal(lambda: read_jobs([tmp_path / "none.xyz"])) == (
        f"--input {tmp_path / 'none.xyz'}: no such file. Give the path of a file with structures."
    )
    (tmp_path / "nothing.xyz").write_text("")
    said = refusal(lambda: read_jobs([tmp_path / "nothing.xyz"]))
    assert said.startswith(f"--input {tmp_path / 'nothing.xyz'}: holds no structure (")
    assert said.endswith(").\nGive a file with structures.")


def test_runs_of_a_data_set_have_their_minima() -> None:
    jobs = read_jobs([VALIDATION])
    with gzip.open(VALIDATION, "rt") as file:
        n_minima = file.read().count("relaxed=T")
    assert len(jobs) == n_minima == 24
    job = next(job for job in jobs if job.id == "cyanamide-0")
    assert job.atoms is not None and job.reference is not None
    assert job.atoms.info["step"] == 0 and job.atoms.info["stage"] == "relax"
    assert job.reference.info["relaxed"]
    assert job.reference_steps == job.reference.info["step"] > 0


def test_minima_may_be_in_a_file_of_their_own(tmp_path: Path) -> None:
    structures = some_molecules(3)
    minima = [atoms.copy() for atoms in structures[:2]]
    minima[0].info["steps"] = 7
    given = written(tmp_path / "in.xyz", structures)
    jobs = read_jobs([given], written(tmp_path / "minima.xyz", minima[::-1]))
    assert [job.reference is not None for job in jobs] == [True, True, False]
    assert [job.reference_steps for job in jobs] == [7, None, None]
    for atoms in minima:
        atoms.info = {}
    few = written(tmp_path / "few.xyz", minima)
    assert refusal(lambda: read_jobs([given], few)) == (
        f"--reference {few}: 2 minima without id for 3 structures, expected one for each.\nGive "
        "each the id of its structure."
    )
    other = written(tmp_path / "other.xyz", [*minima, Atoms("HHO", np.eye(3))])
    assert refusal(lambda: read_jobs([given], other)) == (
        f"--reference {other}: the minimum of H2O 2 is H2O in another order or another molecule "
        "than H2O.\nGive the same atoms in the same order."
    )


def test_against_references(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    structures = written(tmp_path / "in.xyz", some_molecules(4, "CH3CH2OH"))
    minima = relaxed(tmp_path, structures, "--fmax", "0.001", name="minima")
    report = tmp_path / "report"
    relaxed(tmp_path, structures, "--reference", str(minima), "--report", str(report))
    said = capsys.readouterr().out
    assert "compared with a reference" in said and "bonds kept" in said
    document = json.loads((report / "result.json").read_text())
    summary = document["summary"]
    assert summary["compared"] == 4
    assert 0.0 <= summary["mean_rmsd"] <= summary["largest_rmsd"] < 0.02
    assert summary["bonds_kept_fraction"] == 1.0
    for entry in document["structures"]:
        assert entry["reference"]["made"] == entry["reference"]["broken"] == []
        assert entry["reference"]["reference_steps"] > entry["steps"]
    names = {path.name for path in report.iterdir()}
    assert names == {
        *("report.html", "report.txt", "result.json", "structures.csv", "rmsd.png", "steps.png")
    }
    page = (report / "report.html").read_text()
    assert "http" not in page.split("</style>")[1] and page.count("<img") == 2
    assert (report / "structures.csv").read_text().count("\n") == 5


# ---- progress ----


def test_progress_tells_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    teller = Teller()
    teller(0, 10, 5)  # too early for a line
    now[0] += 20.0
    teller(0, 10, 50)
    teller(2, 10, 60)
    now[0] += 20.0
    teller(4, 10, 100)
    teller(10, 10, 200)
    assert capsys.readouterr().err.splitlines() == [
        "0 of 10 structures, 50 evaluations",
        "4 of 10 structures, 100 evaluations, 60 s left",
        "10 of 10 structures, 200 evaluations, 0 s left",
    ]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    teller = Teller()
    now[0] += 20.0
    teller(5, 10, 100)
    teller(10, 10, 200)
    teller.end()
    assert capsys.readouterr().err == (
        "\r5 of 10 structures, 100 evaluations, 20 s left"
        "\r10 of 10 structures, 200 evaluations, 0 s left\n"
    )


def test_callbacks_can_end_it_and_their_exceptions_come_through() -> None:
    water = some_molecules(5)
    settings = Settings(atoms_at_once=3)
    found = eqnn.relax(water, MACE, settings, finished=lambda k, _: k < 1)
    assert [one is None for one in found] == [False, False, True, True, True]

    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        eqnn.relax(water, MACE, settings, progress=interrupted)
    with pytest.raises(eqnn.EqnnError, match=r"^optimizer 'bfgs', expected lbfgs or fire\.$"):
        eqnn.relax(water, MACE, Settings(optimizer="bfgs"))
    for name in ("fmax", "exploded_force", "exploded_distance", "exploded_volume"):
        for value in (0.0, -1.0, np.nan, np.inf):
            with pytest.raises(eqnn.EqnnError) as error:
                eqnn.relax(water, MACE, replace(settings, **dict[str, Any]({name: value})))
            assert str(error.value) == (
                f"{name} is {value:g}, expected a finite number above 0. Correct it."
            )


# ---- what a stranger broke ----


def refused(options: Sequence[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the command, which must refuse in these words."""
    capsys.readouterr()
    assert main(["relax", str(MACE), "--precision", "single", *options]) == 1
    said = capsys.readouterr().err
    assert words in said, said


def test_atoms_that_are_fixed_belong_to_where_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (water,) = some_molecules(1)
    out = relaxed(tmp_path, written(tmp_path / "free.xyz", [water]))
    water.set_constraint(FixAtoms([0]))
    fixed = tmp_path / "fixed.xyz"
    ase.io.write(fixed, water, format="extxyz", columns=[*COLUMNS, "move_mask"])
    before = out.read_bytes()
    words = "started from another structure"
    refused(["--input", str(fixed), "--output", str(out)], words, capsys)
    assert out.read_bytes() == before


def test_fmax_to_the_last_digit_belongs_to_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = written(tmp_path / "in.xyz", some_molecules(1))
    out = relaxed(tmp_path, given)
    options = ["--input", str(given), "--output", str(out), "--fmax", "0.0500000001"]
    refused(options, "fmax 0.0500000001", capsys)


def test_two_runs_do_not_write_one_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = written(tmp_path / "in.xyz", some_molecules(1))
    out = tmp_path / "out.xyz"
    with Output(out):
        refused(["--input", str(given), "--output", str(out)], "another process writes it", capsys)
    relaxed(tmp_path, given)


def test_ids_too_long_for_a_file_have_a_trajectory(tmp_path: Path) -> None:
    structures = some_molecules(2)
    for k, atoms in enumerate(structures):
        atoms.info["id"] = "x" * 400 + str(k)
    given = written(tmp_path / "in.xyz", structures)
    relaxed(tmp_path, given, "--trajectories", str(tmp_path / "steps"))
    assert len(list((tmp_path / "steps").glob("*.xyz"))) == 2


@pytest.mark.parametrize("option", ["--max-steps", "--atoms-at-once"])
@pytest.mark.parametrize("number", ["-5", "2147483648", "4294967296"])
def test_numbers_that_the_library_does_not_count_to(
    tmp_path: Path, option: str, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = written(tmp_path / "in.xyz", some_molecules(1))
    options = ["--input", str(given), "--output", str(tmp_path / "out.xyz"), option, number]
    refused(options, f"is {number}, expected 0 to 2147483647", capsys)


def test_references_of_ids_that_are_cleaned_are_found(tmp_path: Path) -> None:
    structures = some_molecules(2)
    structures[0].info["id"] = "two  spaces"
    structures[1].info["id"] = "a/b"
    jobs = read_jobs(
        [written(tmp_path / "in.xyz", structures)], written(tmp_path / "ref.xyz", structures)
    )
    assert [job.id for job in jobs] == ["two spaces", "a/b"]
    assert all(job.reference is not None for job in jobs)


# ---- references that cannot be compared ----


def periodic(atoms: Atoms, *sides: float) -> Atoms:
    atoms.set_cell(np.diag(sides))
    atoms.pbc = True
    return atoms


BAD_MINIMA: dict[str, tuple[Callable[[Atoms], object], str]] = {
    "nan": (lambda m: m.positions.__setitem__((0, 0), np.nan), "a coordinate is not finite"),
    "energy": (lambda m: m.info.update(energy=np.nan), "the energy is not finite"),
    "steps": (lambda m: m.info.update(steps="abc"), "steps is 'abc', expected a whole number"),
    "steps of numpy": (
        lambda m: m.info.update(steps=2.5),
        "steps is 2.5, expected a whole number",
    ),
    "periodic": (
        lambda m: periodic(m, 5.0, 5.0, 5.0),
        "periodic along a and b and c, the structure is not periodic",
    ),
    "others": (
        lambda m: m.set_atomic_numbers([1, 8, 1]),
        "H2O in another order or another molecule than H2O",
    ),
}


@pytest.mark.parametrize("name", BAD_MINIMA)
def test_a_bad_reference_is_named_and_the_others_are_compared(tmp_path: Path, name: str) -> None:
    change, words = BAD_MINIMA[name]
    given = written(tmp_path / "in.xyz", some_molecules(3))
    minima = some_molecules(3)
    change(minima[1])
    found = read_input([given], written(tmp_path / "ref.xyz", minima))
    assert [job.reference is not None for job in found.jobs] == [True, False, True]
    (bad,) = found.references.bad
    assert (bad.id, bad.number, bad.what) == ("H2O 1", 1, words)
    assert found.references.lines() == ["1 minimum is bad and not compared: H2O 1."]
    for one in minima:
        one.info["id"] = "H2O 1"
    only = written(tmp_path / "only.xyz", minima[1:2])
    said = refusal(lambda: read_jobs([given], only))
    assert said.startswith(f"--reference {only}: no minimum can be compared. Frame 0 (H2O 1): ")


def test_of_two_minima_with_one_id_none_is_compared_and_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = written(tmp_path / "in.xyz", some_molecules(3))
    minima = some_molecules(3)
    minima[2].info["id"] = "H2O 0"
    strangers = some_molecules(7, "CH3OH")
    reference = written(tmp_path / "ref.xyz", [*minima, *strangers])
    report = tmp_path / "report"
    relaxed(tmp_path, given, "--reference", str(reference), "--report", str(report), "--no-plots")
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert f"--reference {reference}: 2 minima are bad and not compared: H2O 0, H2O 0." in lines
    assert (
        f"--reference {reference}: 7 minima are of no structure: CH3OH 0, CH3OH 1, CH3OH 2, "
        "CH3OH 3, CH3OH 4 and 2 more."
    ) in lines
    assert re.search(r"^ +bad references +2 *$", said.out, re.MULTILINE)
    assert re.search(r"^ +references of no structure +7 *$", said.out, re.MULTILINE)
    assert "2 minima have this id" in said.out
    document = json.loads((report / "result.json").read_text())
    assert [one["number"] for one in document["bad_references"]] == [0, 2]
    assert document["unused_references"] == [f"CH3OH {k}" for k in range(7)]
    assert document["summary"]["compared"] == 1
    page = (report / "report.html").read_text()
    assert "2 minima have this id" in page and "CH3OH 4" in page and "CH3OH 5" not in page


def test_minima_of_no_structure_at_all_are_refused(tmp_path: Path) -> None:
    given = written(tmp_path / "in.xyz", some_molecules(1))
    reference = written(tmp_path / "ref.xyz", some_molecules(2, "CH3OH"))
    assert refusal(lambda: read_jobs([given], reference)) == (
        f"--reference {reference}: no minimum has the id of a structure, as 'CH3OH 0' has not.\n"
        "Give minima with the ids of --input."
    )


def cell(vectors: object) -> Atoms:
    return Atoms("HOH", [[0, 0.7, 0], [0, 0, 0.5], [1, 1, 1]], cell=vectors, pbc=True)


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (np.diag([4.1, 5.2, 6.0]), ""),  # relaxed
        (np.diag([4.1, 5.2, 6.0]) @ random_rotations(1, seed=3)[0].T, ""),  # and turned
        (np.diag([5.0, 4.0, 6.0]), "its cell is 5 4 6 90 90 90 (A, degrees), that of the str"),
        ([[4, 0, 0], [4, 5, 0], [0, 0, 6]], "its cell is 4 6.403 6 90 90 51.34 (A, degrees)"),
        (np.diag([4.0, 5.0, -6.0]), "one cell is left-handed and one right-handed: mirror images"),
        (np.diag([8.0, 10.0, 12.0]), "its cell is 8 10 12 90 90 90 (A, degrees)"),
        (np.zeros((3, 3)), "a cell has no volume"),
    ],
)
def test_minima_in_another_choice_of_cell_are_not_compared(vectors: object, words: str) -> None:
    found = mismatch(cell(np.diag([4.0, 5.0, 6.0])), cell(vectors))
    assert found.startswith(words) and bool(found) == bool(words)


# ---- PubChemQCR ----


def step(atoms: Atoms, energy: float) -> dict[str, object]:
    """Give a step as PubChemQCR has it."""
    symbols = atoms.get_chemical_symbols()
    places = [dict(zip("xyz", x, strict=True)) for x in atoms.positions.tolist()]
    return {
        "energy": energy,
        "coordinates": [{"atom": s, **x} for s, x in zip(symbols, places, strict=True)],
        "gradient": [{"atom": s, "dx": 0.0, "dy": 0.0, "dz": 0.0} for s in symbols],
    }


def write_records(path: Path, records: dict[bytes, object]) -> None:
    with (
        lmdb.open(str(path), subdir=False, map_size=2**20) as database,
        database.begin(write=True) as transaction,
    ):
        for key, value in records.items():
            transaction.put(key, gzip.compress(pickle.dumps(value)))


def test_pubchemqcr_is_relaxed_from_its_first_step_against_its_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "qcr.lmdb"
    first, second = some_molecules(2)
    steps = [step(atoms, -76.0 - k / 1000) for k, atoms in enumerate((first, second))]
    torn = [steps[0], {**steps[1], "energy": float("nan")}]
    write_records(
        path,
        {
            b"000000887": {"pm3": steps, "DFT_1st": steps[:1], "DFT_2nd": steps[1:]},
            b"000000890": {"DFT_1st": torn},
        },
    )
    jobs = read_jobs([path])
    assert [job.id for job in jobs] == ["CID000000887", "CID000000890", "qcr:damaged 0"]
    assert [job.reference_steps for job in jobs] == [1, None, None]
    assert jobs[1].reference is None and jobs[1].atoms is not None
    assert jobs[2].problem == "000000890: DFT_1st[1]: energy is nan, expected a finite number"
    assert refusal(lambda: read_jobs([path], id_key="cid")) == (
        f"--input {path}: molecules of PubChemQCR are called by their compound number. Leave "
        "--id-key out."
    )
    assert refusal(lambda: read_jobs([path], path)) == (
        f"--reference {path}: is a file of PubChemQCR, whose minima belong to its own starts.\n"
        "Give it as --input, and it is compared with its own minima."
    )
    relaxed(tmp_path, path)
    assert re.search(r"compared with a reference +1\b", capsys.readouterr().out)


# ---- Ctrl-C ----


def test_an_interrupted_run_says_what_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = written(tmp_path / "in.xyz", some_molecules(2))
    out = tmp_path / "out.xyz"
    words = ["relax", str(MACE), "--input", str(given), "--output", str(out)]

    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("eqnn.relaxation.command.read_input", interrupt)
        assert main(words) == 130
        assert capsys.readouterr().err == "eqnn: interrupted; nothing is done yet.\n"
    with monkeypatch.context() as patch:
        patch.setattr(Teller, "__call__", interrupt)
        assert main(words) == 130
    assert capsys.readouterr().err == (
        f"eqnn: interrupted; {out} keeps all that is done. The same command continues.\n"
    )
    assert main(words) == 0


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(tmp_path: Path) -> None:
    structures = written(tmp_path / "in.xyz", some_molecules(300, "CH3CH2OH"))
    out = tmp_path / "out.xyz"
    # Shells have what they start in the background ignore it, and children inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    run = in_process(structures, out, "--atoms-at-once", "30")
    signal.signal(signal.SIGINT, before)
    while run.poll() is None and (not out.exists() or out.stat().st_size < 20_000):
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate()
    assert run.returncode == 130, said
    assert said.splitlines()[-1] == (
        f"eqnn: interrupted; {out} keeps all that is done. The same command continues."
    )
    assert "Traceback" not in said
    run = in_process(structures, out)
    _, said = run.communicate()
    assert run.returncode == 0 and f"{out} has " in said, said
    assert len(records(out)) == 300


# ---- from Python ----


def test_what_is_no_sequence_of_atoms_is_refused() -> None:
    water: Any = some_molecules(1)[0]
    assert refusal(lambda: eqnn.relax(water, MACE)) == (
        "structures is one structure, expected a sequence of them. Give [atoms]."
    )
    wrong: Any = [water, "H2O"]
    assert refusal(lambda: eqnn.relax(wrong, MACE)) == (
        "structures[1] is a str, expected Atoms of ASE. Give those."
    )


@pytest.mark.parametrize("optimizer", ["lbfgs", "fire"])
def test_atoms_keep_calculators_constraints_and_places(optimizer: str) -> None:
    (water,) = some_molecules(1)
    water.calc = LennardJones()
    water.set_constraint(FixAtoms([0]))
    before = water.positions.copy()
    (found,) = eqnn.relax([water], MACE, Settings(optimizer=optimizer))
    assert found is not None and found.status == "converged"
    assert isinstance(water.calc, LennardJones) and np.array_equal(water.positions, before)
    assert np.array_equal(found.atoms.positions[0], before[0])
    assert found.atoms.get_potential_energy() == found.energy
    assert [type(one) for one in found.atoms.constraints] == [FixAtoms]


def test_a_report_has_no_pictures_of_an_earlier_run(tmp_path: Path) -> None:
    given, report = written(tmp_path / "in.xyz", some_molecules(2)), tmp_path / "report"
    relaxed(tmp_path, given, "--report", str(report))
    assert (report / "steps.png").exists()
    (report / "mine.png").write_bytes(b"of the user")
    relaxed(tmp_path, given, "--report", str(report), "--no-plots")
    assert [path.name for path in report.glob("*.png")] == ["mine.png"]


# ---- what people read ----


def test_reasons_have_numbers_of_six_digits(tmp_path: Path) -> None:
    near = Atoms("OH", [[0, 0, 0], [0.00012345678901, 1e-5 / 3, 0]])
    (found,) = eqnn.relax([near], MACE)
    assert found is not None
    assert re.search(r"node \d is \d\.\d+e-\d+ Angstrom from atom \d", found.reason), found.reason
    assert not re.search(r"\d\.\d{6}", found.reason)
    assert readable("0.9999999999 of 5, 1e-300, v1.2.34567890, -3.1400000001 (12345678)") == (
        "0.9999999999 of 5, 1e-300, v1.2.34567890, -3.14 (12345678)"
    )


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--fmax", "nan", "a finite number above 0"),
        ("--fmax", "-1", "a finite number above 0"),
        ("--max-steps", "-1", "0 to 2147483647"),
        ("--atoms-at-once", "-1", "0 to 2147483647"),
    ],
)
def test_an_option_out_of_range_is_called_as_the_user_calls_it(
    option: str, value: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, out = written(tmp_path / "a.xyz", some_molecules(1)), tmp_path / "out.xyz"
    assert main(["relax", str(MACE), "--input", str(given), "--output", str(out), option, value])
    said = f"eqnn: {option} is {value}, expected {expected}. Correct it.\n"
    assert capsys.readouterr().err == said
    assert not out.exists()


# ---- chains and slabs ----


def slab() -> Atoms:
    """Ethanol over its images along two axes; along the third it is alone."""
    atoms: Atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=2)
    atoms.set_cell([[6.0, 0.0, 0.0], [1.0, 6.5, 0.0], [0.0, 0.0, 9.0]])
    atoms.pbc = (True, True, False)
    return atoms


def test_a_slab_is_relaxed_and_keeps_its_cell(tmp_path: Path) -> None:
    given = written(tmp_path / "slab.xyz", [slab()])
    out, steps = tmp_path / "out.xyz", tmp_path / "steps"
    options = ["--input", str(given), "--output", str(out), "--trajectories", str(steps)]
    assert main(["relax", str(MACE), *options]) == 0
    (found,) = ase.io.read(out, index=":")
    assert found.info["status"] == "converged"
    assert (found.pbc == slab().pbc).all() and (found.cell.array == slab().cell.array).all()
    energy = found.get_potential_energy()
    found.calc = eqnn.EQNN(MACE)
    assert abs(found.get_potential_energy() - energy) <= 1e-6
    (path,) = steps.iterdir()
    for one in ase.io.read(path, index=":"):
        assert (one.pbc == slab().pbc).all() and (one.cell.array == slab().cell.array).all()
    # Held against itself with another vacuum, and moved along it and across a boundary.
    (found,) = ase.io.read(out, index=":")
    found.cell[2, 2] = 20.0
    found.positions += found.cell.array[0] + [0, 0, 30.0]
    minimum = written(tmp_path / "minimum.xyz", [found])
    (outcome,) = read_input([given], minimum).jobs
    assert outcome.reference is not None
    (relaxed,) = ase.io.read(out, index=":")
    assert rmsd(relaxed, outcome.reference) <= 1e-6


def test_the_cell_of_a_slab_is_not_relaxed() -> None:
    (found,) = eqnn.relax([slab()], MACE, Settings(relax_cell=True))
    assert found is not None and found.status == "invalid"
    assert found.reason == (
        "its cell cannot be relaxed: the structure is periodic along 2 of 3 axes, expected all or "
        "none.\nRelax its atoms alone, or make it periodic along all axes, with vacuum."
    )


def test_a_chain_has_room_to_grow() -> None:
    """An image that comes within the cutoff on the way would be felt."""
    chain = molecule("CH4")
    chain.set_cell([8.0, 0, 0])
    chain.pbc = (True, False, False)
    settings = Settings(exploded_distance=20.0)
    cell = _cell_of(chain, settings, lambda: 5.0)
    extent = np.ptp(chain.positions, axis=0).max()
    assert cell[0, 0] == 8.0 and min(cell[1, 1], cell[2, 2]) > extent + 5.0 + 2 * 20.0
    along, alone = eqnn.relax([chain, molecule("CH4")], MACE)
    assert along is not None and alone is not None and along.status == "converged"
    assert np.abs(along.atoms.positions - alone.atoms.positions).max() <= 1e-9


def test_a_table_has_no_row_without_a_value() -> None:
    """Nothing converged: there is no RMSD, and its unit alone says nothing."""
    (water,) = some_molecules(1)
    nan = float("nan")
    record = Record("a", "", "run", "nan", "", 0, nan, nan, nan, water)
    found = overview(Result([Outcome(record, None)], {}))
    assert [row[0] for row in found.rows] == ["structures", "converged", "nan"]
    assert all(row[1] is not None for row in found.rows)
    (ended,) = some_molecules(1, "H2O")
    atom = compare(ended[:1], ended[:1], (None, None), (1, None))
    done = Record("b", "", "run", "converged", "", 1, 0.01, -1.0, -1.0, ended[:1])
    found = overview(Result([Outcome(done, atom)], {}))
    assert "compared with a reference" in [row[0] for row in found.rows]
    assert all(row[1] is not None for row in found.rows)


class Recording(Potential):
    """A potential that keeps what every one is opened with."""

    opened: list[Any] = []  # noqa: RUF012

    def __init__(self, *given: Any, **options: Any) -> None:
        self.opened.append(options["elements"])
        super().__init__(*given, **options)


def test_only_the_elements_of_the_structures_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    water = some_molecules(3)
    with Potential(MACE, "single", has_virial=False) as whole:  # H, C and O
        expected = eqnn.relax(water, whole)
    monkeypatch.setattr(many, "Potential", Recording)
    monkeypatch.setattr(Recording, "opened", [])
    found = eqnn.relax(water, MACE, precision="single")
    assert Recording.opened == [[1, 8]]
    for one, other in zip(found, expected, strict=True):
        assert one is not None and other is not None
        assert (one.status, one.steps, one.energy) == (other.status, other.steps, other.energy)
        assert np.array_equal(one.atoms.positions, other.atoms.positions)
    relaxed(tmp_path, written(tmp_path / "in.xyz", water))
    assert Recording.opened == [[1, 8]] * 2
    capsys.readouterr()


def test_a_foreign_element_is_told_all_that_the_model_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "Potential", Recording)
    monkeypatch.setattr(Recording, "opened", [])
    good, bad = eqnn.relax([*some_molecules(1), Atoms("Fe")], MACE, precision="single")
    assert good is not None and good.status == "converged"
    assert bad is not None and "expected one of H, C, O." in bad.reason
    assert Recording.opened == [None]
