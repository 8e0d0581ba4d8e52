# SPDX-License-Identifier: BSD-3-Clause
"""The structures to relax, each with an id, and the minima to compare them with."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from eqnn.errors import EqnnError
from eqnn.evaluation.read import is_lmdb, read_atoms, set_names
from eqnn.relaxation.references import BadReference, References, mismatch, sorted_out

# Of a relaxation in PubChemQCR: what has one step ends where it begins.
_FEWEST_STEPS = 2


@dataclass(frozen=True)
class Job:
    """A structure to be relaxed.

    Attributes
    ----------
    id : str
        Its name in the output; unique.
    atoms : Atoms or None
        The start; None if it could not be read.
    problem : str
        Why it could not be read; else empty.
    reference : Atoms or None
        The minimum of another method, with its energy where that is known.
    reference_steps : int or None
        Number of steps that the other method took.
    """

    id: str
    atoms: Atoms | None
    problem: str = ""
    reference: Atoms | None = None
    reference_steps: int | None = None

    @property
    def start(self) -> str:
        """A hash of the start, which reveals another structure with the same id."""
        if self.atoms is None:
            return hashlib.sha256(self.problem.encode()).hexdigest()[:12]
        parts = (self.atoms.numbers, self.atoms.positions, self.atoms.cell.array, self.atoms.pbc)
        content = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
        # What does not move is part of where it begins.
        content += "".join(repr(one.todict()) for one in self.atoms.constraints).encode()
        return hashlib.sha256(content).hexdigest()[:12]


@dataclass(frozen=True)
class Input:
    """All jobs.

    Attributes
    ----------
    jobs : list of Job
    references : References
        Which minima are not compared.
    """

    jobs: list[Job]
    references: References = field(default_factory=References)


def read_jobs(
    inputs: Sequence[Path], reference: Path | None = None, id_key: str | None = None
) -> list[Job]:
    """Return the jobs of `read_input`."""
    return read_input(inputs, reference, id_key).jobs


def read_input(
    inputs: Sequence[Path], reference: Path | None = None, id_key: str | None = None
) -> Input:
    """Read all structures, and the minima that belong to them.

    Parameters
    ----------
    inputs : sequence of Path
        Any format that ASE reads, gzipped or not, and PubChemQCR's LMDB. Where frames have
        ``run``, ``stage`` and ``step``, as in qcr-small, each run is one job: from its first step,
        with its frame that is ``relaxed`` as the reference. Of PubChemQCR each molecule is one.
    reference : Path, optional
        Minima: they belong to the structures with their id, or, without ids, to those at their
        place.
    id_key : str, optional
        What frames call the id; ``id`` if left out, and FILE:NUMBER where there is none.
    """
    jobs: list[Job] = []
    for path, name in zip(inputs, set_names(inputs), strict=True):
        frames = list(_frames(path, "--input"))
        if is_lmdb(path):
            if id_key is not None:
                raise EqnnError(
                    f"--input {path}: molecules of PubChemQCR are called by their compound number. "
                    "Leave --id-key out."
                )
            jobs += _molecules(frames, name)
        elif id_key is None and _are_runs(frames):
            jobs += _runs(frames, name)
        else:
            jobs += [_job(frame, f"{name}:{number}", id_key) for number, frame in frames]
    if all(job.atoms is None for job in jobs):
        why = f" ({jobs[0].problem})" if jobs else ""
        raise EqnnError(
            f"--input {inputs[0]}: holds no structure{why}.\nGive a file with structures."
        )
    _require_ids(jobs)
    return Input(jobs) if reference is None else _with_reference(jobs, reference, id_key)


def _frames(path: Path, option: str) -> Iterator[tuple[int, Atoms | str]]:
    if not path.is_file() and not is_lmdb(path):
        raise EqnnError(f"{option} {path}: no such file. Give the path of a file with structures.")
    if option == "--reference" and is_lmdb(path):
        raise EqnnError(
            f"--reference {path}: is a file of PubChemQCR, whose minima belong to its own starts.\n"
            "Give it as --input, and it is compared with its own minima."
        )
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
    """Refuse two structures with one id: a later run could not tell whose record it is."""
    repeated = [name for name, n in Counter(job.id for job in jobs).items() if n > 1]
    if repeated:
        more = f", and {len(repeated) - 1} more ids come twice" if len(repeated) > 1 else ""
        raise EqnnError(
            f"--input: two structures have the id {repeated[0]!r}, expected one each{more}.\n"
            "Give them different ids, or name another key with --id-key."
        )


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


def _molecules(frames: Sequence[tuple[int, Atoms | str]], name: str) -> list[Job]:
    """Return a job for each molecule of PubChemQCR, from its first DFT step to its last.

    What is damaged is an entry of its own. A molecule of which something is has no reference: its
    last step may be what is missing.
    """
    steps: dict[str, list[Atoms]] = {}
    damaged: list[str] = []
    for _, frame in frames:
        if isinstance(frame, str):
            damaged.append(frame)
        else:
            steps.setdefault(str(frame.info["molecule"]), []).append(frame)
    torn = {f"CID{what.partition(':')[0]}" for what in damaged}
    jobs = [
        Job(one, path[0])
        if one in torn or len(path) < _FEWEST_STEPS
        else Job(one, path[0], "", path[-1], len(path) - 1)
        for one, path in steps.items()
    ]
    return jobs + [Job(f"{name}:damaged {k}", None, what) for k, what in enumerate(damaged)]


# ---- minima in a file of their own ----


def _with_reference(jobs: Sequence[Job], path: Path, id_key: str | None) -> Input:
    minima: list[tuple[int, Atoms]] = []
    unread: list[BadReference] = []
    for number, frame in _frames(path, "--reference"):
        if isinstance(frame, str):
            unread.append(BadReference("", number, frame))
        else:
            minima.append((number, frame))
    key = id_key or "id"
    if minima and all(key in frame.info for _, frame in minima):
        named = [(number, _id_of(frame, "", id_key), frame) for number, frame in minima]
    elif len(minima) == len(jobs) and not unread:
        named = [(n, job.id, frame) for job, (n, frame) in zip(jobs, minima, strict=True)]
        _require_same_order(jobs, minima, path)
    else:
        raise EqnnError(
            f"--reference {path}: {len(minima)} minima without {key} for {len(jobs)} structures, "
            f"expected one for each.\nGive each the {key} of its structure."
        )
    known = {job.id: job.atoms or Atoms() for job in jobs}
    good, references = sorted_out(named, known.get)
    references = References((*unread, *references.bad), references.unused)
    if not good:
        raise EqnnError(f"--reference {path}: {_why_none(references)}")
    return Input([_matched(job, good.get(job.id)) for job in jobs], references)


def _require_same_order(
    jobs: Sequence[Job], minima: Sequence[tuple[int, Atoms]], path: Path
) -> None:
    """Refuse minima without ids if one is another molecule: all may be misplaced."""
    for job, (_, minimum) in zip(jobs, minima, strict=True):
        if job.atoms is not None and not np.array_equal(minimum.numbers, job.atoms.numbers):
            raise EqnnError(
                f"--reference {path}: the minimum of {job.id} is "
                f"{mismatch(job.atoms, minimum)}.\nGive the same atoms in the same order."
            )


def _why_none(references: References) -> str:
    if references.bad:
        one = references.bad[0]
        return (
            f"no minimum can be compared. Frame {one.number}"
            f"{one.id and f' ({one.id})'}: {one.what}.\nGive minima of the structures of --input."
        )
    unused = references.unused
    return (
        f"no minimum has the id of a structure, as {unused[0]!r} has not.\n"
        "Give minima with the ids of --input."
    )


def _matched(job: Job, minimum: Atoms | None) -> Job:
    if minimum is None or job.atoms is None:
        return job
    steps = minimum.info.get("steps")
    return Job(job.id, job.atoms, "", minimum, None if steps is None else int(steps))
