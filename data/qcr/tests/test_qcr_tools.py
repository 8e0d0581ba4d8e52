# SPDX-License-Identifier: BSD-3-Clause
"""The tools that make, build, check and convert: each refusal, and resuming after a kill.

What needs PySCF, geomeTRIC, RDKit and tblite is skipped where they are missing, as in `make test`;
`make test-dataset` brings them.
"""

from __future__ import annotations

import copy
import functools
import gzip
import json
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ase.io
import lmdb
import numpy as np
import pytest
from qcr_shared import DATA, max_error

from qcr import checks, frequencies, published
from qcr.__main__ import main
from qcr.build import build
from qcr.collection import Collection, read_collection, sum_errors
from qcr.errors import QcrError
from qcr.frequencies import minima
from qcr.molecules import SPLITS, molecules, runs, wanted
from qcr.runs import Frame, RunFile, read_run
from qcr.status import status
from qcr.topology import bond_error

HARTREE = 27.211386245988  # eV, CODATA 2018
BOHR = 0.529177210903  # Angstrom


@functools.cache
def shipped_set() -> Collection:
    """Read the shipped set once; nobody changes what it returns."""
    return read_collection(DATA)


# ---------------------------------------------------------------- list and order


def test_every_split_is_served_at_any_time() -> None:
    """Among the first n relaxations each split has about its share, which is 8 : 1 : 1."""
    order = [run.molecule.split for run in runs()]
    for n in range(40, len(order) + 1, 20):
        for split in ("validation", "test"):
            assert 0.05 <= order[:n].count(split) / n <= 0.16, (n, split)


def test_small_molecules_come_first() -> None:
    sizes = [run.molecule.basis_functions for run in runs()]
    assert max(sizes[:60]) < min(sizes[-60:])
    names = [run.name for run in runs()]
    assert len(names) == len(set(names)) == sum(molecule.runs for molecule in molecules())


# ---------------------------------------------------------------- bonds

WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


@pytest.mark.parametrize(
    ("atom", "factor", "relaxed", "message"),
    [
        (1, 1.0, True, None),
        (1, 1.3, False, None),  # 1.25 Angstrom: hot, but bonded
        (1, 1.3, True, "broken bond O0-H1 at 1.25"),
        (1, 1.5, False, "broken bond O0-H1 at 1.44"),
    ],
)
def test_bonds(atom: int, factor: float, relaxed: bool, message: str | None) -> None:
    positions = WATER.copy()
    positions[atom] *= factor
    error = bond_error(["O", "H", "H"], positions, [(0, 1), (2, 0)], relaxed)
    assert (error is None) if message is None else (error or "").startswith(message)


def test_a_new_bond_is_seen() -> None:
    positions = WATER.copy()
    positions[2] = [1.5, 0.2, 0.0]
    assert (bond_error(["O", "H", "H"], positions, [(0, 1)]) or "").startswith("new bond H1-H2")


def test_bonds_of_nowhere_are_broken() -> None:
    positions = WATER.copy()
    positions[1] = np.nan
    assert bond_error(["O", "H", "H"], positions, [(0, 1), (0, 2)]) is not None


# ---------------------------------------------------------------- build

NAMES = [runs()[0].name, runs()[4].name, runs()[9].name]  # train, validation, test


def run_file(name: str, **changes: Any) -> RunFile:
    """Make a finished run with numbers of no meaning."""
    (run,) = (run for run in runs() if run.name == name)
    random = np.random.default_rng(len(name))
    elements = [e for e, n in run.molecule.counts.items() for _ in range(n)]
    frames = [
        Frame(
            stage,
            step,
            random.normal(size=(len(elements), 3)).tolist(),
            float(random.normal()),
            random.normal(size=(len(elements), 3)).tolist(),
            5.0,
            1.5,
        )
        for stage, step in [("relax", 0), ("relax", 1), ("relax", 2), ("perturbed", 0)]
    ]
    start = frames[0].positions
    file = RunFile(
        name, elements, [(0, 1)], 1000.0, start, frames, True, 1e-10, {"pyscf": "0"}, True
    )
    for key, value in changes.items():
        setattr(file, key, value)
    return file


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_batches_give_the_same_bytes_as_all_at_once(tmp_path: Path) -> None:
    for name in NAMES:
        run_file(name).write(tmp_path / "all" / "runs")
    assert build(tmp_path / "once", tmp_path / "all") == 3
    for number, name in enumerate(reversed(NAMES)):
        run_file(name).write(tmp_path / str(number) / "runs")
        assert build(tmp_path / "batches", tmp_path / str(number)) == 1
    assert contents(tmp_path / "once") == contents(tmp_path / "batches")
    assert sum_errors(tmp_path / "once") == []
    assert build(tmp_path / "once", tmp_path / "all") == 0


def test_the_shipped_set_is_what_building_it_again_gives(tmp_path: Path) -> None:
    shutil.copytree(DATA, tmp_path / "set")
    assert build(tmp_path / "set", tmp_path / "nothing") == 0
    again, shipped = contents(tmp_path / "set"), contents(DATA)
    for name in ("train.xyz.gz", "validation.xyz.gz", "test.xyz.gz", "runs.json", "README.md"):
        assert again[name] == shipped[name], name


def test_units_and_keys_of_the_set(tmp_path: Path) -> None:
    file = run_file(NAMES[0])
    file.write(tmp_path / "work" / "runs")
    build(tmp_path / "set", tmp_path / "work")
    images = ase.io.read(tmp_path / "set" / "train.xyz.gz", ":")
    assert [image.info["relaxed"] for image in images] == [False, False, True, False]
    for frame, image in zip(file.frames, images, strict=True):
        assert abs(image.get_potential_energy() - frame.energy * HARTREE) <= 1e-9
        expected = -np.array(frame.gradient) * HARTREE / BOHR
        assert max_error(image.get_forces(), expected) <= 1e-8
        assert max_error(image.positions, frame.positions) <= 1e-10
        assert (image.info["stage"], image.info["step"]) == (frame.stage, frame.step)


def test_unfinished_runs_wait_and_failures_are_kept(tmp_path: Path) -> None:
    run_file(NAMES[0], complete=False).write(tmp_path / "runs")
    run_file(NAMES[1], complete=False, failure="broken bond O0-H1").write(tmp_path / "runs")
    assert build(tmp_path / "set", tmp_path) == 1
    collection = read_collection(tmp_path / "set")
    assert collection.runs == {}
    assert collection.failures == {NAMES[1]: "broken bond O0-H1"}
    assert "broken bond O0-H1" in (tmp_path / "set" / "README.md").read_text()
    text = status(tmp_path / "set", tmp_path)
    assert f"0 of {len(runs())} runs done: 0 train, 0 validation, 0 test" in text
    assert f"next {NAMES[0]}" in text and "broken bond O0-H1" in text
    assert f"{NAMES[0]} is on its way: 4 frames" in text


def test_a_damaged_set_is_not_built_upon(tmp_path: Path) -> None:
    run_file(NAMES[0]).write(tmp_path / "runs")
    build(tmp_path / "set", tmp_path)
    target = tmp_path / "set" / "train.xyz.gz"
    target.write_bytes(target.read_bytes()[:-1])
    before = contents(tmp_path / "set")
    with pytest.raises(QcrError, match=r"train.xyz.gz has another hash .* Restore the set"):
        build(tmp_path / "set", tmp_path)
    assert contents(tmp_path / "set") == before


def test_a_damaged_run_file_is_named(tmp_path: Path) -> None:
    run_file(NAMES[0]).write(tmp_path / "runs")
    path = tmp_path / "runs" / f"{NAMES[0]}.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(QcrError, match=r"no relaxation in the form .* Remove it"):
        build(tmp_path / "set", tmp_path)
    path.write_text('{"name": "x"}')
    with pytest.raises(QcrError, match="Remove it"):
        read_run(path)


def test_a_run_of_no_molecule_is_refused(tmp_path: Path) -> None:
    file = run_file(NAMES[0])
    file.name = "unobtainium-0"
    file.write(tmp_path / "runs")
    with pytest.raises(QcrError, match=r"unobtainium-0 is no run of molecules\.csv"):
        build(tmp_path / "set", tmp_path)


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs.json").write_text("{")
    with pytest.raises(QcrError, match=r"runs.json: damaged .* Restore it with git"):
        read_collection(tmp_path)


def test_a_damaged_xyz_file_is_named(tmp_path: Path) -> None:
    run_file(NAMES[0]).write(tmp_path / "runs")
    build(tmp_path / "set", tmp_path)
    (tmp_path / "set" / "test.xyz.gz").write_bytes(b"no gzip")
    with pytest.raises(QcrError, match=r"test.xyz.gz: no extended XYZ .* Download the file again"):
        read_collection(tmp_path / "set")


# ---------------------------------------------------------------- checks


def test_the_shipped_set_passes() -> None:
    assert checks.check(DATA) == []


@pytest.fixture(scope="module")
def shipped() -> Collection:
    """Three relaxed runs of the shipped set."""
    collection = shipped_set()
    small = Collection()
    for name, frames in collection.by_run().items():
        if len(small.runs) < 3 and any(frame.info["relaxed"] for frame in frames):
            split = next(s for s in SPLITS if frames[0] in collection.frames[s])
            small.frames[split] += frames
            small.runs[name] = collection.runs[name]
    assert checks.collection_errors(small) == []
    return small


Change = Callable[[Collection, list[Any]], object]


def _set(frame: Any, key: str, value: Any) -> None:
    frame.info[key] = value


CHANGES: dict[str, tuple[str, Change]] = {
    "energy": (
        "energy and forces disagree",
        lambda c, f: setattr(f[1], "energy", f[1].energy - 0.5),
    ),
    "uphill": ("eV above those before", lambda c, f: setattr(f[2], "energy", f[0].energy + 2.0)),
    "end": ("above its lowest", lambda c, f: setattr(f[0], "energy", f[0].energy - 99)),
    "sign": ("energy and forces disagree", lambda c, f: f[0].forces.__imul__(-1)),
    "nan energy": ("not finite", lambda c, f: setattr(f[1], "energy", float("nan"))),
    "nan force": ("not finite", lambda c, f: f[-1].forces.__setitem__((0, 0), np.nan)),
    "net force": ("net force", lambda c, f: f[1].forces.__iadd__(1e-5)),
    "torque": (
        "net torque",
        lambda c, f: f[1].forces.__iadd__(
            0.05 * np.cross([0, 0, 1], f[1].positions - f[1].positions.mean(0))
        ),
    ),
    "bond": ("broken bond", lambda c, f: f[-1].positions.__setitem__(0, [9.0, 9.0, 9.0])),
    "converged": ("not converged", lambda c, f: _set(f[1], "converged", False)),
    "gap": ("gap 0.1 eV", lambda c, f: _set(f[1], "gap", 0.1)),
    "step": ("steps of the relaxation are missing", lambda c, f: _set(f[1], "step", 7)),
    "perturbed": ("perturbed frames are missing", lambda c, f: _set(f[-1], "step", 0)),
    "stage": ("no relaxation followed by", lambda c, f: _set(f[1], "stage", "perturbed")),
    "relaxed": ("said to be relaxed", lambda c, f: _set(f[0], "relaxed", True)),
    "molecule": ("is in train", lambda c, f: _set(f[1], "molecule", "glycine")),
    "atoms": ("atoms are not", lambda c, f: f[1].elements.__setitem__(0, "H")),
    "manifest": ("only one of", lambda c, f: c.runs.pop(f[0].info["run"])),
    "solution": (
        "another guess",
        lambda c, f: c.runs[f[0].info["run"]].update(fresh_guess_difference=-1e-3),
    ),
    "split": ("is in test", lambda c, f: c.frames["test"].append(c.frames["train"].pop())),
}


@pytest.mark.parametrize("case", CHANGES)
def test_each_fault_is_found(shipped: Collection, case: str) -> None:
    collection = copy.deepcopy(shipped)
    message, change = CHANGES[case]
    frames = next(
        some for some in collection.by_run().values() if some[0] in collection.frames["train"]
    )
    change(collection, frames)
    assert any(message in error for error in checks.collection_errors(collection)), case


def test_a_force_too_large_for_a_relaxed_structure(shipped: Collection) -> None:
    frames = copy.deepcopy(next(iter(shipped.by_run().values())))
    path = [frame for frame in frames if frame.info["stage"] == "relax"]
    path[-1].forces[0, 0] += 0.1
    assert any("relaxed with a force" in error for error in checks.relaxation_errors(path))


def test_check_sees_files_and_readme(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(DATA, tmp_path / "set")
    (tmp_path / "set" / "README.md").write_text("none")
    (tmp_path / "set" / "stray").write_text("")
    (tmp_path / "set" / "LICENSE").unlink()
    assert main(["check", "--data", str(tmp_path / "set")]) == 1
    out = capsys.readouterr().out
    assert "README.md has another hash than SHA256SUMS says" in out
    assert "README.md does not say what `build` would write" in out
    assert "stray is not in SHA256SUMS" in out
    assert "LICENSE of SHA256SUMS is missing" in out
    (tmp_path / "set" / "SHA256SUMS").unlink()
    assert sum_errors(tmp_path / "set")[0].endswith("SHA256SUMS is missing")


def test_energies_that_pyscf_does_not_find_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyscf", reason="PySCF is not installed: `make test-dataset` brings it")
    assert checks.dft_errors(DATA, 1, 1) == []
    wrong = copy.deepcopy(shipped_set())
    for frames in wrong.frames.values():
        for frame in frames:
            frame.energy += 2e-8 * HARTREE
    monkeypatch.setattr(checks, "read_collection", lambda data: wrong)
    (error,) = checks.dft_errors(DATA, 1, 1)
    assert "PySCF's energy is -2.0e-08 Hartree off" in error


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_file(NAMES[0]).write(tmp_path / "work" / "runs")
    place = ["--data", str(tmp_path / "set"), "--work", str(tmp_path / "work")]
    assert main(["build", *place]) == 0
    assert main(["status", *place]) == 0
    assert main(["check", "--data", str(DATA)]) == 0
    out = capsys.readouterr().out
    assert "1 runs have more" in out and f"1 of {len(runs())} runs done" in out
    assert "all is well" in out
    assert main(["convert", str(tmp_path / "none.lmdb"), str(tmp_path / "out.xyz.gz")]) == 1
    assert capsys.readouterr().err.startswith("qcr: ")


@pytest.mark.parametrize("command", ["generate", "status", "build"])
def test_a_file_is_no_folder_for_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """It is left as it was."""
    if command == "generate":
        pytest.importorskip("pyscf")
    place = tmp_path / "file"
    place.write_text("text")
    assert main([command, "--data", str(tmp_path / "set"), "--work", str(place)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"qcr: {place}: ") and "Name another with --work." in said
    assert place.read_text() == "text" and not (tmp_path / "set").exists()


@pytest.mark.parametrize("words", [["generate", "--limit", "-1"], ["check", "--dft", "half"]])
def test_numbers_that_are_none_are_refused(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert f"found {words[-1]}, expected a number from " in capsys.readouterr().err


def test_splits_and_first_relaxations_are_chosen_in_order() -> None:
    assert wanted() == runs()
    held_out = wanted(["validation", "test"])
    assert {run.molecule.split for run in held_out} == {"validation", "test"}
    assert list(held_out) == [run for run in runs() if run.molecule.split != "train"]
    first = wanted(["test"], first=True)
    names = [m.name for m in molecules() if m.split == "test"]
    assert sorted(run.name for run in first) == sorted(f"{name}-0" for name in names)
    two = wanted(first=True, names=["tropone", "aniline"])
    assert [run.name for run in two] == ["aniline-0", "tropone-0"]
    with pytest.raises(QcrError, match=r"nonsense: no such molecule\. Expected a name of"):
        wanted(names=["aniline", "nonsense"])
    with pytest.raises(QcrError, match=r"aniline is in test, expected one of train, validation\."):
        wanted(["train", "validation"], names=["aniline"])


# ---------------------------------------------------------------- generate


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put springs in the place of the generator's DFT."""
    for package in ("pyscf", "rdkit", "tblite", "geometric"):
        pytest.importorskip(package, reason=f"{package} is not installed: see `make test-dataset`")
    from qcr import dft, generate

    class Springs:
        """Energy of springs between all atoms; may be told to die."""

        computed = 0
        dies_at: int | None = None

        def __init__(self, elements: list[str]):
            self.rest = 1.0 + 0.1 * np.arange(len(elements) ** 2).reshape(len(elements), -1) % 0.7
            self.rest = (self.rest + self.rest.T) / 2

        def _energy(self, positions: Any) -> tuple[float, Any]:
            delta = positions[:, None] - positions[None, :]
            r = np.linalg.norm(delta, axis=-1) + np.eye(len(positions))
            stretch = (r - self.rest) * (1 - np.eye(len(positions)))
            return 0.05 * (stretch**2).sum() / 2, 0.1 * (stretch / r)[..., None] * delta

        def energy_and_gradient(self, positions: Any) -> dft.Result:
            if Springs.computed == Springs.dies_at:
                raise KeyboardInterrupt
            Springs.computed += 1
            energy, pairs = self._energy(positions)
            return dft.Result(energy, pairs.sum(axis=1) * BOHR, 5.0)

        def energy_from_fresh_guess(self, positions: Any) -> float:
            return self._energy(positions)[0]

    monkeypatch.setattr(generate, "Dft", Springs)
    # Springs know no bonds.
    monkeypatch.setattr(generate, "bond_error", lambda *_, **__: None)
    monkeypatch.setattr(generate, "springs", Springs, raising=False)
    return generate


def test_a_killed_run_goes_on_where_it_was(generate: Any, tmp_path: Path) -> None:
    run = runs()[8]
    whole = generate.compute(run, tmp_path / "whole")
    assert whole.complete and whole.relaxed
    n = generate.springs.computed
    assert n == len(whole.frames) > 10
    for kill_at in (0, 1, 4, n - 11, n - 10, n - 5, n - 1):
        folder = tmp_path / str(kill_at)
        generate.springs.computed, generate.springs.dies_at = 0, kill_at
        with pytest.raises(KeyboardInterrupt):
            generate.compute(run, folder)
        if kill_at:
            assert len(read_run(folder / f"{run.name}.json").frames) == kill_at
        generate.springs.dies_at = None
        again = generate.compute(run, folder)
        assert generate.springs.computed == n, "a frame was computed twice"
        for a, b in zip(whole.frames, again.frames, strict=True):
            assert (a.stage, a.step, a.energy) == (b.stage, b.step, b.energy)
            assert max_error(a.positions, b.positions) == 0.0
        assert again.complete and again.relaxed


def test_a_broken_bond_ends_a_run(
    generate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "bond_error", lambda *_, **__: "broken bond X")
    file = generate.compute(runs()[0], tmp_path)
    assert file.failure == "broken bond X in relax step 0" and not file.complete
    assert read_run(tmp_path / f"{file.name}.json").failure == file.failure


def test_an_optimizer_that_gives_up_ends_a_run(
    generate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("SVD failed too many times")

    monkeypatch.setattr(generate.Optimizer, "optimizeGeometry", fail)
    file = generate.compute(runs()[0], tmp_path)
    assert file.failure == "geomeTRIC gives up (RuntimeError: SVD failed too many times)"


def test_a_relaxation_that_takes_too_long_is_kept_as_such(
    generate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "MAX_STEPS", 3)
    file = generate.compute(runs()[0], tmp_path)
    assert file.complete and not file.relaxed
    assert sum(frame.stage == "relax" for frame in file.frames) == 4


def test_two_solutions_end_a_run(
    generate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate.springs, "energy_from_fresh_guess", lambda *_: -1.0)
    file = generate.compute(runs()[0], tmp_path)
    assert "another guess leads to an energy" in file.failure and not file.complete


def test_what_the_set_holds_is_not_computed_again(generate: Any, tmp_path: Path) -> None:
    said: list[str] = []
    first = runs()[:3]
    generate.generate(tmp_path / "set", tmp_path / "a", 2, said.append)
    assert build(tmp_path / "set", tmp_path / "a") == 2
    shutil.rmtree(tmp_path / "a")  # another machine
    generate.generate(tmp_path / "set", tmp_path / "b", 1, said.append)
    assert [path.stem for path in (tmp_path / "b" / "runs").glob("*.json")] == [first[2].name]
    assert build(tmp_path / "set", tmp_path / "b") == 1
    assert list(read_collection(tmp_path / "set").runs) == [run.name for run in first]
    assert f"2 of {len(runs())} runs are in" in said[-2] and " left" in said[-1]


def test_runs_of_the_set_get_perturbed_frames_that_were_asked_for_later(
    generate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sigmas = generate.SIGMAS
    generate.generate(tmp_path / "once", tmp_path / "all", 2, print)
    build(tmp_path / "once", tmp_path / "all")
    monkeypatch.setattr(generate, "SIGMAS", sigmas[:5])
    generate.generate(tmp_path / "set", tmp_path / "a", 2, print)
    build(tmp_path / "set", tmp_path / "a")
    monkeypatch.setattr(generate, "SIGMAS", sigmas)
    generate.springs.computed = 0
    generate.generate(tmp_path / "set", tmp_path / "another machine", 2, print)
    assert generate.springs.computed == 2 * 5
    assert build(tmp_path / "set", tmp_path / "another machine") == 2
    assert build(tmp_path / "set", tmp_path / "another machine") == 0
    for name in ("train.xyz.gz", "validation.xyz.gz", "test.xyz.gz"):
        assert contents(tmp_path / "set")[name] == contents(tmp_path / "once")[name]


def test_two_generators_do_not_share_a_folder(generate: Any, tmp_path: Path) -> None:
    import fcntl

    with (tmp_path / "pid").open("w") as held:
        held.write("4711\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(QcrError, match="process 4711 is at work there: wait for it or stop"):
            generate.generate(tmp_path / "set", tmp_path, 1, print)


def test_generate_without_its_packages_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "qcr.generate", None)
    assert main(["generate", "--data", str(tmp_path), "--work", str(tmp_path)]) == 1
    assert "`make dataset` sets up PySCF" in capsys.readouterr().err


def test_dft_has_the_references_of_the_published_code() -> None:
    """Free atoms agree to a microhartree, so functional, VWN3 and basis are the same."""
    pytest.importorskip("pyscf", reason="PySCF is not installed: `make test-dataset` brings it")
    from pyscf import dft, gto

    for element, spin in {"H": 1, "C": 2, "N": 3, "O": 2}.items():
        field = dft.UKS(gto.M(atom=element, basis="6-31g*", cart=True, spin=spin, verbose=0))
        field.xc = "b3lypg"
        assert abs(field.kernel() - published.ATOMIC_REFERENCE[element]) <= 1e-6, element


def test_gradients_are_slopes_of_energies_whatever_the_guess() -> None:
    pytest.importorskip("pyscf", reason="PySCF is not installed: `make test-dataset` brings it")
    from qcr.dft import Dft

    field = Dft(["O", "H", "H"])
    result = field.energy_and_gradient(WATER)
    # Third derivatives leave some 3e-7, errors of 1e-10 in the energies 1e-7 Hartree/Bohr.
    step = np.zeros((3, 3))
    step[1, 0] = 5e-4
    up, down = (field.energy_and_gradient(WATER + sign * step).energy for sign in (1, -1))
    assert abs((up - down) / 1e-3 * BOHR - result.gradient[1, 0]) <= 1e-6
    assert max_error(result.gradient.sum(axis=0), np.zeros(3)) <= 1e-10
    again = Dft(["O", "H", "H"]).energy_from_fresh_guess(WATER + step)
    assert abs(again - up) <= 1e-9


# ---------------------------------------------------------------- PubChemQCR's own files


def record(n: int = 2, charges: bool = True, element: Callable[[str], str] = str) -> dict[str, Any]:
    """Make a record in PubChemQCR's form from frames of our set."""
    frames = shipped_set().frames["train"][:n]

    def entries(frame: Any, values: Any, axes: tuple[str, ...]) -> list[dict[str, Any]]:
        numbers = {"H": 1.0, "C": 6.0, "N": 7.0, "O": 8.0}
        return [
            {"atom": element(e)}
            | ({"charge": numbers[e]} if charges else {})
            | dict(zip(axes, map(float, row), strict=True))
            for e, row in zip(frame.elements, values, strict=True)
        ]

    steps = [
        {
            "coordinates": entries(frame, frame.positions, ("x", "y", "z")),
            "energy": frame.energy / HARTREE,
            "gradient": entries(frame, -frame.forces * BOHR / HARTREE, ("dx", "dy", "dz")),
        }
        for frame in frames
    ]
    return {"pm3": steps[:1], "hf": None, "DFT_1st": steps[:1], "DFT_2nd": steps[1:]}


def write_lmdb(path: Path, values: dict[bytes, Any]) -> Path:
    with lmdb.open(str(path), subdir=False, map_size=2**24) as database:
        with database.begin(write=True) as transaction:
            for key, value in values.items():
                packed = value if isinstance(value, bytes) else gzip.compress(pickle.dumps(value))
                transaction.put(key, packed)
    return path


def converted(tmp_path: Path, values: dict[bytes, Any], *words: str) -> tuple[int, list[Any]]:
    source = write_lmdb(tmp_path / "Data.lmdb", values)
    target = tmp_path / "out.xyz.gz"
    code = main(["convert", str(source), str(target), *words])
    images: Any = ase.io.read(target, ":") if gzip.decompress(target.read_bytes()) else []
    return code, images


@pytest.mark.parametrize("charges", [True, False])
@pytest.mark.parametrize("element", [str, str.upper, str.lower])
def test_converting_gives_back_our_own_frames(
    tmp_path: Path, charges: bool, element: Callable[[str], str]
) -> None:
    code, images = converted(tmp_path, {b"000000887": record(3, charges, element)})
    assert code == 0
    frames = shipped_set().frames["train"][:3]
    stages = [(image.info["stage"], image.info["step"]) for image in images]
    assert stages == [("DFT_1st", 0), ("DFT_2nd", 0), ("DFT_2nd", 1)]
    for image, frame in zip(images, frames, strict=True):
        assert image.info["molecule"] == "CID000000887"
        assert list(image.symbols) == frame.elements
        assert max_error(image.positions, frame.positions) <= 1e-10
        assert abs(image.get_potential_energy() - frame.energy) <= 2e-9
        assert max_error(image.get_forces(), frame.forces) <= 2e-8


def test_stages_can_be_chosen_and_missing_ones_are_no_fault(tmp_path: Path) -> None:
    code, images = converted(tmp_path, {b"000000887": record()}, "--stages", "pm3", "hf")
    assert code == 0
    assert [image.info["stage"] for image in images] == ["pm3"]


def test_atomization_subtracts_the_published_references(tmp_path: Path) -> None:
    code, images = converted(tmp_path, {b"000000887": record(2)}, "--atomization")
    assert code == 0
    references = {"H": -0.5002727762, "C": -37.8462799513, "N": -54.5844893657, "O": -75.0606214015}
    for image, frame in zip(images, shipped_set().frames["train"], strict=False):
        expected = frame.energy - HARTREE * sum(references[e] for e in frame.elements)
        assert abs(image.get_potential_energy() - expected) <= 2e-9
        assert expected < 0  # bound


class Evil:
    """Would run a command when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("open('evil', 'w')",)


def _damaged(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    made = record(3)
    change(made)
    return made


DAMAGE: dict[str, tuple[Any, str, int]] = {
    # value, message, good frames that are left
    "no gzip": (b"nothing", "no gzipped data", 0),
    "cut": (gzip.compress(pickle.dumps(1))[:-9], "no gzipped data", 0),
    "no pickle": (gzip.compress(b"nothing"), "no pickle", 0),
    "code": (gzip.compress(pickle.dumps(Evil())), "the pickle asks for builtins.eval", 0),
    "array": (gzip.compress(pickle.dumps(np.zeros(2))), "the pickle asks for numpy", 0),
    "list": ([], "a record is a list, expected a dict", 0),
    "stage": ({"DFT_3rd": []}, "unknown stages DFT_3rd, expected pm3", 0),
    "steps": ({"DFT_1st": 5}, "DFT_1st is a int, expected a list", 0),
    "step": ({"DFT_1st": [5]}, "DFT_1st[0] is a int, expected a dict", 0),
    "energy": (
        _damaged(lambda r: r["DFT_1st"][0].update(energy=None)),
        "DFT_1st[0]: energy is None, expected a finite number",
        2,
    ),
    "nan": (
        _damaged(lambda r: r["DFT_2nd"][0]["coordinates"][1].update(y=float("nan"))),
        "DFT_2nd[0]: y is nan",
        2,
    ),
    "text": (
        _damaged(lambda r: r["DFT_2nd"][1]["gradient"][0].update(dz="1.0")),
        "DFT_2nd[1]: dz is '1.0'",
        2,
    ),
    "no gradient": (
        _damaged(lambda r: r["DFT_2nd"][1].pop("gradient")),
        "DFT_2nd[1]: no gradient",
        2,
    ),
    "no atoms": (
        _damaged(lambda r: r["DFT_2nd"][1].update(coordinates=[])),
        "DFT_2nd[1]: no coordinates",
        2,
    ),
    "short": (
        _damaged(lambda r: r["DFT_2nd"][1]["gradient"].pop()),
        "DFT_2nd[1]: coordinates and gradient are of different atoms",
        2,
    ),
    "other atoms": (
        _damaged(lambda r: [r["DFT_2nd"][1][k].pop() for k in ("gradient", "coordinates")]),
        "DFT_2nd[1] has other atoms than the steps before it",
        2,
    ),
    "entry": (
        _damaged(lambda r: r["DFT_1st"][0]["coordinates"].__setitem__(1, 3)),
        "DFT_1st[0], coordinates[1] is a int",
        2,
    ),
    "atom": (
        _damaged(lambda r: r["DFT_1st"][0]["coordinates"][0].update(atom="Xx")),
        "DFT_1st[0], coordinates[0]: atom is 'Xx', expected an element",
        2,
    ),
    "charge": (
        _damaged(lambda r: r["DFT_1st"][0]["coordinates"][0].update(charge=17.0)),
        "has charge 17",
        2,
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_reported_with_its_key_and_the_rest_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    value, message, good = DAMAGE[case]
    code, images = converted(tmp_path, {b"000000001": value, b"000000887": record(2)})
    out = capsys.readouterr().out
    assert code == 1
    assert "damaged: 000000001: " in out and message in out
    assert f"{good + 2} frames of 2 records, 1 damaged" in out
    assert [i.info["molecule"] for i in images] == ["CID000000001"] * good + ["CID000000887"] * 2
    assert not (tmp_path / "evil").exists()


def test_a_key_that_is_no_compound_number_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, images = converted(tmp_path, {b"\xff12": record(2)})
    assert (code, images) == (1, [])
    assert r"damaged: \xff12: the key is no compound number" in capsys.readouterr().out


def test_an_element_without_reference_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = record(2, charges=False)
    for step in made["DFT_1st"]:
        step["coordinates"][0]["atom"] = step["gradient"][0]["atom"] = "Xe"
    code, images = converted(tmp_path, {b"000000887": made}, "--atomization")
    assert code == 1 and len(images) == 1
    assert "000000887: no reference energy for Xe" in capsys.readouterr().out


def test_numpy_scalars_are_numbers(tmp_path: Path) -> None:
    made = record(2)
    made["DFT_1st"][0]["energy"] = np.float64(-1.5)
    made["DFT_1st"][0]["coordinates"][0]["x"] = np.float32(0.25)
    code, images = converted(tmp_path, {b"000000887": made})
    assert code == 0
    assert abs(images[0].get_potential_energy() + 1.5 * HARTREE) <= 1e-9
    assert images[0].positions[0, 0] == 0.25


@pytest.mark.parametrize("dtype", ["O", "S8", "M8[s]"])
def test_numpy_types_that_are_no_numbers_are_refused(dtype: str) -> None:
    with pytest.raises(published.Damaged, match="expected a number"):
        published.decode(gzip.compress(pickle.dumps({"pm3": np.dtype(dtype)})))


def test_what_is_no_lmdb_file_is_refused(tmp_path: Path) -> None:
    source, target = tmp_path / "Data.lmdb", tmp_path / "out.xyz.gz"
    with pytest.raises(QcrError, match="no such file; expected an LMDB file"):
        published.convert(source, target)
    source.write_bytes(b"nothing" * 1000)
    with pytest.raises(QcrError, match="no LMDB file"):
        published.convert(source, target)
    assert not list(tmp_path.glob("out*"))
    target.write_text("precious")
    with pytest.raises(QcrError, match="exists already"):
        published.convert(write_lmdb(tmp_path / "b.lmdb", {b"000000887": record()}), target)
    assert target.read_text() == "precious"


def test_the_manifest_is_json() -> None:
    document = json.loads((DATA / "runs.json").read_text())
    assert set(document) == {"runs", "failures"}


# ---------------------------------------------------------------- frequencies


def test_frequencies_that_are_there_are_not_computed_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of those that lack, two are computed before a kill, and the others after it."""
    shipped = json.loads((DATA.parent / "vibrations" / "frequencies.json").read_text())
    output = tmp_path / "frequencies.json"
    kept = shipped["molecules"][3:]
    output.write_text(json.dumps({**shipped, "molecules": kept}))
    held_out = {str(atoms.info["molecule"]) for _, atoms in minima(DATA)}
    n_lacking = len(held_out - {one["molecule"] for one in kept})
    assert n_lacking >= 3
    computed: list[str] = []

    class Fake:
        def __init__(self, elements: list[str]) -> None:
            self.elements = elements

        def frequencies(self, positions: Any) -> Any:
            if len(computed) == 2 and not (tmp_path / "again").exists():
                raise KeyboardInterrupt
            computed.append("".join(self.elements))
            return np.arange(3.0 * len(positions) - 6)

    monkeypatch.setitem(sys.modules, "qcr.dft", SimpleNamespace(Dft=Fake))
    with pytest.raises(KeyboardInterrupt):
        main(["frequencies", "--data", str(DATA), "--output", str(output)])
    assert len(json.loads(output.read_text())["molecules"]) == len(kept) + 2
    (tmp_path / "again").touch()
    assert main(["frequencies", "--data", str(DATA), "--output", str(output)]) == 0
    found = json.loads(output.read_text())["molecules"]
    assert len(computed) == n_lacking
    assert sorted(one["molecule"] for one in found) == sorted(held_out)


def test_a_bent_line_is_nearly_linear() -> None:
    line = np.outer(np.arange(5), [0.3, 0.8, 0.6])
    line[2] += 0.05
    assert frequencies.is_nearly_linear(line)
    assert not frequencies.is_nearly_linear(WATER)


def test_frequencies_are_those_of_differences_of_gradients() -> None:
    pytest.importorskip("pyscf", reason="PySCF is not installed: `make test-dataset` brings it")
    from ase import Atoms, units

    from qcr.dft import Dft

    atoms = Atoms("OH2", [[0, 0, 0.119], [0, 0.7614, -0.476], [0, -0.7614, -0.476]])
    field = Dft(["O", "H", "H"])
    found = field.frequencies(atoms.positions)
    step = 2e-3  # Angstrom
    rows = []
    for k in range(9):
        moved = [atoms.positions.copy() for _ in range(2)]
        for x, sign in zip(moved, (1, -1), strict=True):
            x.flat[k] += sign * step
        up, down = (field.energy_and_gradient(x).gradient.ravel() for x in moved)
        rows.append((up - down) / (2 * step) * HARTREE / BOHR)  # eV/Angstrom^2
    root = np.repeat(np.sqrt(atoms.get_masses()), 3)
    values = np.linalg.eigvalsh((np.array(rows) + np.array(rows).T) / 2 / np.outer(root, root))
    # ASE's unit of time is Angstrom sqrt(u/eV).
    expected = np.sqrt(values[-3:]) * units._hbar / units._e / (units.second**-1) / units.invcm
    assert found == pytest.approx(expected, abs=2.0)
    assert len(found) == 3
