# SPDX-License-Identifier: BSD-3-Clause
"""What is to be relaxed: structures with an id each, and the minima that they are held against."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from eqnn.errors import EqnnError
from eqnn.evaluation.read import read_atoms, set_names


@dataclass(frozen=True)
class Job:
    """A structure to be relaxed.

    Attributes
    ----------
    id : str
        Names it in the output; no two have one.
    atoms : Atoms or None
        Where it begins; None where it could not be read.
    problem : str
        Why it could not be read; else empty.
    reference : Atoms or None
        The minimum of another method, with its energy where that is known.
    reference_steps : int or None
        That it took there.
    """

    id: str
    atoms: Atoms | None
    problem: str = ""
    reference: Atoms | None = None
    reference_steps: int | None = None

    @property
    def start(self) -> str:
        """A hash of where it begins, which tells another structure with the same id."""
        if self.atoms is None:
            return hashlib.sha256(self.problem.encode()).hexdigest()[:12]
        parts = (self.atoms.numbers, self.atoms.positions, self.atoms.cell.array, self.atoms.pbc)
        content = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
        # What does not move is part of where it begins.
        content += "".join(repr(one.todict()) for one in self.atoms.constraints).encode()
        return hashlib.sha256(content).hexdigest()[:12]


def read_jobs(
    inputs: Sequence[Path], reference: Path | None = None, id_key: str | None = None
) -> list[Job]:
    """Read all structures, and the minima that belong to them.

    Parameters
    ----------
    inputs : sequence of Path
        Any format that ASE reads, gzipped or not. Where frames have ``run``, ``stage`` and
        ``step``, as in qcr-small, each run is one job: from its first step, with its frame that is
        ``relaxed`` as the reference.
    reference : Path, optional
        Minima: they belong to the structures with their id, or, without ids, to those at their
        place.
    id_key : str, optional
        What frames call the id; ``id`` if left out, and FILE:NUMBER where there is none.
    """
    jobs: list[Job] = []
    for path, name in zip(inputs, set_names(inputs), strict=True):
        frames = list(_frames(path, "--input"))
        if id_key is None and _are_runs(frames):
            jobs += _runs(frames, name)
        else:
            jobs += [_job(frame, f"{name}:{number}", id_key) for number, frame in frames]
    if all(job.atoms is None for job in jobs):
        why = f" ({jobs[0].problem})" if jobs else ""
        raise EqnnError(
            f"--input {inputs[0]}: holds no structure{why}.\nGive a file with structures."
        )
    _require_ids(jobs)
    return jobs if reference is None else _with_reference(jobs, reference, id_key)


def _frames(path: Path, option: str) -> Iterator[tuple[int, Atoms | str]]:
    if not path.is_file():
        raise EqnnError(f"{option} {path}: no such file. Give the path of a file with structures.")
    return read_atoms(path)


def _job(frame: Atoms | str, name: str, id_key: str | None) -> Job:
    if isinstance(frame, str):
        return Job(name, None, frame)
    return Job(_id_of(frame, name, id_key), frame)


def _id_of(atoms: Atoms, name: str, id_key: str | None) -> str:
    if id_key is not None and id_key not in atoms.info:
        raise EqnnError(
            f"{name} has no {id_key}, which --id-key names; it has "
            f"{', '.join(map(str, atoms.info)) or 'none at all'}.\nName a key that all have, or "
            "leave --id-key out."
        )
    found = str(atoms.info.get(id_key or "id", name))
    # It stands in one line of the output, between quotes.
    return " ".join(found.replace('"', "'").replace("\\", "/").split()) or name


def _require_ids(jobs: Sequence[Job]) -> None:
    seen: set[str] = set()
    for job in jobs:
        if job.id in seen:
            raise EqnnError(
                f"--input: two structures have the id {job.id!r}, expected one each.\nGive them "
                "others, or name the key of another id with --id-key."
            )
        seen.add(job.id)


# ---- runs of a relaxation elsewhere ----


def _are_runs(frames: Sequence[tuple[int, Atoms | str]]) -> bool:
    read = [frame for _, frame in frames if not isinstance(frame, str)]
    return bool(read) and all({"run", "stage", "step"} <= set(frame.info) for frame in read)


def _runs(frames: Sequence[tuple[int, Atoms | str]], name: str) -> list[Job]:
    """Return a job for each run, and one for each frame that cannot be read, which says so."""
    runs: dict[str, list[Atoms]] = {}
    unread = []
    for number, frame in frames:
        if isinstance(frame, str):
            unread.append(Job(f"{name}:{number}", None, frame))
        elif frame.info["stage"] == "relax":
            runs.setdefault(str(frame.info["run"]), []).append(frame)
    return [_run(run, steps) for run, steps in runs.items()] + unread


def _run(name: str, frames: list[Atoms]) -> Job:
    frames = sorted(frames, key=lambda frame: int(frame.info["step"]))
    relaxed: list[Any] = [frame for frame in frames if frame.info.get("relaxed")]
    if not relaxed:
        return Job(name, frames[0])
    steps = int(relaxed[-1].info["step"]) - int(frames[0].info["step"])
    return Job(name, frames[0], "", relaxed[-1], steps)


# ---- minima in a file of their own ----


def _with_reference(jobs: Sequence[Job], path: Path, id_key: str | None) -> list[Job]:
    minima: list[Atoms] = []
    for number, frame in _frames(path, "--reference"):
        if isinstance(frame, str):
            raise EqnnError(f"--reference {path}: frame {number}: {frame}. Correct the file.")
        minima.append(frame)
        _require_numbers(frame, f"--reference {path}: frame {number}")
    key = id_key or "id"
    if all(key in frame.info for frame in minima):
        found = _by_id(jobs, minima, path, id_key)
    elif len(minima) == len(jobs):
        found = list(minima)
    else:
        raise EqnnError(
            f"--reference {path}: {len(minima)} minima without {key} for {len(jobs)} structures, "
            f"expected one for each.\nGive each the {key} of its structure."
        )
    return [_matched(job, minimum, path) for job, minimum in zip(jobs, found, strict=True)]


def _by_id(
    jobs: Sequence[Job], minima: Sequence[Atoms], path: Path, id_key: str | None
) -> list[Atoms | None]:
    by_id: dict[str, Atoms] = {}
    for frame in minima:
        name = _id_of(frame, "", id_key)
        if name in by_id:
            raise EqnnError(
                f"--reference {path}: two minima have the id {name!r}, expected one each.\nRemove "
                "one, or name the key of another id with --id-key."
            )
        by_id[name] = frame
    if not by_id.keys() & {job.id for job in jobs}:
        raise EqnnError(
            f"--reference {path}: no minimum has the id of a structure, as {next(iter(by_id))!r} "
            "has not.\nGive minima with the ids of --input."
        )
    return [by_id.get(job.id) for job in jobs]


def _require_numbers(minimum: Atoms, where: str) -> None:
    """Refuse a reference that any comparison would come out wrong with."""
    energy = None if minimum.calc is None else minimum.calc.results.get("energy")
    if not np.isfinite([*minimum.positions.ravel(), energy or 0.0]).all():
        raise EqnnError(f"{where}: a coordinate or the energy is not finite. Correct the file.")
    steps = minimum.info.get("steps")
    if steps is not None and not isinstance(steps, int | np.integer):
        raise EqnnError(f"{where}: steps is {steps!r}, expected a whole number. Correct the file.")


def _matched(job: Job, minimum: Atoms | None, path: Path) -> Job:
    if minimum is None or job.atoms is None:
        return job
    if not np.array_equal(minimum.numbers, job.atoms.numbers):
        raise EqnnError(
            f"--reference {path}: the minimum of {job.id} is "
            f"{minimum.get_chemical_formula()} in another order or another molecule than "
            f"{job.atoms.get_chemical_formula()}.\nGive the same atoms in the same order."
        )
    steps = minimum.info.get("steps")
    return Job(job.id, job.atoms, "", minimum, None if steps is None else int(steps))
