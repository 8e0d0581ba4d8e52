# SPDX-License-Identifier: BSD-3-Clause
"""Compute what the set lacks: one process, one thread, can be stopped at any time."""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import geometric
import numpy as np
from geometric import nifty
from geometric.engine import Engine
from geometric.errors import Error as GeometricError
from geometric.errors import GeomOptNotConvergedError
from geometric.internal import DelocalizedInternalCoordinates
from geometric.molecule import Molecule as GeometricMolecule
from geometric.optimize import Optimizer
from geometric.params import OptParams
from numpy.typing import NDArray

from qcr.collection import read_collection, run_file
from qcr.dft import Dft, NotConverged
from qcr.errors import QcrError
from qcr.molecules import Run, runs
from qcr.runs import Frame, RunFile, read_run
from qcr.starts import hot_start, seed_of
from qcr.status import hours, seconds_left
from qcr.topology import bond_error

MAX_STEPS = 100
TRUST = 0.03
"""First trust radius, Angstrom. Smaller than geomeTRIC's: it is the way down that is wanted."""
MAX_TRUST = 0.1
SIGMAS = (0.01, 0.02, 0.03, 0.04, 0.05) * 2
"""Angstrom: displacements of each coordinate in the perturbed frames. May grow at its end: runs
that have fewer frames, in the set too, then get what they lack."""
DIGITS = 10
"""Decimals of positions in Angstrom: what is computed is what is written."""
SAME_ENERGY = 1e-7
"""Hartree: further apart, two guesses led to two solutions."""


class RunFailed(QcrError):
    """A run that does not belong in the set, with the reason."""


def _order(frame: Frame) -> tuple[bool, int]:
    return frame.stage == "perturbed", frame.step


class _Engine(Engine):  # type: ignore[misc]
    """geomeTRIC's view of DFT. Steps that the file already has are not computed again."""

    def __init__(self, molecule: GeometricMolecule, work: _Work):
        super().__init__(molecule)
        self.work = work
        self.step = 0

    def calc_new(self, coords: NDArray[np.float64], dirname: str) -> dict[str, object]:
        frame = self.work.frame("relax", self.step, coords.reshape(-1, 3) * nifty.bohr2ang)
        self.step += 1
        return {"energy": frame.energy, "gradient": np.array(frame.gradient).ravel()}


class _Work:
    """A run in progress: computes frames and writes its file after each."""

    def __init__(self, file: RunFile, folder: Path):
        self.file = file
        self.folder = folder
        self.dft = Dft(file.elements)
        self.known = {(frame.stage, frame.step): frame for frame in file.frames}

    def frame(self, stage: str, step: int, positions: NDArray[np.float64]) -> Frame:
        """One frame, from the file or computed."""
        positions = np.round(positions, DIGITS)
        known = self.known.get((stage, step))
        if known is not None and np.abs(np.array(known.positions) - positions).max() < 1e-7:
            return known
        problem = bond_error(self.file.elements, positions, self.file.bonds)
        if problem is not None:
            raise RunFailed(f"{problem} in {stage} step {step}")
        start = time.monotonic()
        try:
            result = self.dft.energy_and_gradient(positions)
        except NotConverged as error:
            raise RunFailed(f"{error} ({stage} step {step})") from error
        frame = Frame(
            stage,
            step,
            positions.tolist(),
            result.energy,
            result.gradient.tolist(),
            result.gap,
            round(time.monotonic() - start, 3),
        )
        # Without a match the optimizer went another way than before (another version): what came
        # after does not belong to it any more.
        self.file.frames = [old for old in self.file.frames if _order(old) < _order(frame)]
        self.file.frames.append(frame)
        self.file.write(self.folder)
        return frame


def versions() -> dict[str, str]:
    """Versions of all that the numbers depend on."""
    names = ("pyscf", "geometric", "tblite", "rdkit", "ase", "numpy")
    return {name: version(name) for name in names}


def _relax(work: _Work) -> bool:
    """Relax with geomeTRIC; return whether its criteria were met. Raises RunFailed."""
    molecule = GeometricMolecule()
    molecule.elem = list(work.file.elements)
    molecule.xyzs = [np.array(work.file.start)]
    molecule.bonds = [tuple(bond) for bond in work.file.bonds]
    molecule.top_settings["read_bonds"] = True
    molecule.build_topology(force_bonds=False)
    start = molecule.xyzs[0].ravel() * nifty.ang2bohr
    parameters = OptParams(maxiter=MAX_STEPS, trust=TRUST, tmax=MAX_TRUST)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            internal = DelocalizedInternalCoordinates(
                molecule, build=True, connect=False, addcart=False
            )
            engine = _Engine(molecule, work)
            Optimizer(
                start, molecule, internal, engine, scratch, parameters, print_info=False
            ).optimizeGeometry()
    except GeomOptNotConvergedError:
        return False
    except (GeometricError, RuntimeError, np.linalg.LinAlgError) as error:
        raise RunFailed(f"geomeTRIC gives up ({type(error).__name__}: {error})") from error
    return True


def _begin(run: Run) -> RunFile:
    """Create a run's file with only its start."""
    file = RunFile(run.name, versions=versions())
    try:
        start = hot_start(run)
    except QcrError as error:
        file.failure = str(error)
        return file
    file.elements, file.bonds, file.temperature = start.elements, start.bonds, start.temperature
    file.start = np.round(start.positions, DIGITS).tolist()
    return file


def _last_step(file: RunFile) -> Frame:
    return [frame for frame in file.frames if frame.stage == "relax"][-1]


def _go_on(work: _Work) -> None:
    """Compute the steps that a relaxation does not have. Raises RunFailed."""
    file = work.file
    file.relaxed = _relax(work)
    last = _last_step(file)
    calm = np.array(last.positions)
    problem = bond_error(file.elements, calm, file.bonds, relaxed=True) if file.relaxed else None
    if problem is not None:
        raise RunFailed(f"{problem} when relaxed")
    file.fresh_guess_difference = work.dft.energy_from_fresh_guess(calm) - last.energy
    if not abs(file.fresh_guess_difference) <= SAME_ENERGY:
        difference = f"{file.fresh_guess_difference:.1e} Hartree"
        raise RunFailed(f"another guess leads to an energy {difference} apart")


def _is_whole(file: RunFile) -> bool:
    return sum(frame.stage == "perturbed" for frame in file.frames) >= len(SIGMAS)


def _perturb(work: _Work) -> None:
    """Compute the frames around the last structure that a run does not have. Raises RunFailed."""
    calm = np.array(_last_step(work.file).positions)
    for step, sigma in enumerate(SIGMAS):
        random = np.random.RandomState(seed_of(f"{work.file.name} perturbed {step}"))
        work.frame("perturbed", step, calm + random.normal(0.0, sigma, calm.shape))


def compute(run: Run, folder: Path, held: RunFile | None = None) -> RunFile:
    """Compute a run, or the rest of it, and return it. Its file is written after every frame.

    ``held`` is what the set has of it.
    """
    logging.getLogger(geometric.__name__).setLevel(logging.ERROR)
    path = folder / f"{run.name}.json"
    file = read_run(path) if path.exists() else held or _begin(run)
    if file.failure is None:
        try:
            work = _Work(file, folder)
            if not file.complete:
                _go_on(work)
            _perturb(work)
            file.complete = True
        except (RunFailed, NotConverged) as error:
            file.failure = str(error)
    file.write(folder)
    return file


def generate(
    data: Path,
    work: Path,
    limit: int | None,
    say: Callable[[str], None],
    order: Sequence[Run] | None = None,
) -> int:
    """Compute runs in order until all are there, or ``limit`` of them; return how many failed.

    One process at a time: ``work/pid`` is locked and holds the number of the process. ``order`` is
    which runs, all of `runs` by default.
    """
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise QcrError(
            f"{work}: cannot be a folder for runs ({error.strerror}). Name another with --work."
        ) from None
    folder = work / "runs"
    with (work / "pid").open("a+") as pid:
        try:
            fcntl.flock(pid, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid.seek(0)
            raise QcrError(
                f"{work}: process {pid.read().strip()} is at work there: wait for it or stop it."
            ) from None
        pid.truncate(0)
        pid.write(f"{os.getpid()}\n")
        pid.flush()
        return _generate(data, folder, limit, say, runs() if order is None else order)


def _generate(
    data: Path,
    folder: Path,
    limit: int | None,
    say: Callable[[str], None],
    order: Sequence[Run],
) -> int:
    collection = read_collection(data)
    by_run = collection.by_run()
    held = {name: run_file(entry, by_run[name]) for name, entry in collection.runs.items()}
    whole = {name for name, file in held.items() if _is_whole(file)}
    todo = [run for run in order if run.name not in whole | set(collection.failures)]
    say(f"{len(held)} of {len(runs())} runs are in {data}, {len(todo)} to go")
    done = {name: file.seconds for name, file in held.items()}
    failed = 0
    for number, run in enumerate(todo[:limit]):
        start = time.monotonic()
        file = compute(run, folder, held.get(run.name))
        if file.failure:
            failed += 1
            say(f"{run.name} FAILED: {file.failure}")
            continue
        done[run.name] = file.seconds
        relax = sum(frame.stage == "relax" for frame in file.frames)
        say(
            f"{run.name} ({run.molecule.split}): {relax} + {len(file.frames) - relax} frames, "
            f"{time.monotonic() - start:.0f} s; "
            f"{hours(seconds_left(todo[number + 1 :], done))} left"
        )
    return failed
