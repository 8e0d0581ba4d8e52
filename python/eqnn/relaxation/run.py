# SPDX-License-Identifier: BSD-3-Clause
"""A run of ``eqnn relax``: finds what is left to do, writes records, and returns all results."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ase.io
from ase import Atoms

import eqnn
from eqnn.errors import EqnnError
from eqnn.library import Potential
from eqnn.model_file import read_model
from eqnn.relaxation.jobs import Job
from eqnn.relaxation.many import Progress, Relaxed, Settings, open_for, relax
from eqnn.relaxation.records import Output, Record, record_of
from eqnn.relaxation.references import References
from eqnn.relaxation.result import Result, outcomes_of

# File systems take 255 bytes; .xyz.partial and a hash stand behind.
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Plan:
    """What to do with the structures.

    Attributes
    ----------
    model : Path
    precision : str
        ``double``, ``mixed`` or ``single``.
    settings : Settings
    output : Path
        The file of records.
    trajectories : Path or None
        A folder, for a file of all steps for each structure.
    """

    model: Path
    precision: str
    settings: Settings
    output: Path
    trajectories: Path | None = None

    def name(self) -> str:
        """Return a word that identifies model and options: all that a result depends on."""
        s = self.settings
        options = f"{s.optimizer} fmax {float(s.fmax)!r} max_steps {s.max_steps}"
        cell = " cell" if s.relax_cell else ""
        return f"{read_model(self.model).sha256[:12]} {self.precision} {options}{cell}"


def relax_all(
    plan: Plan,
    jobs: Sequence[Job],
    *,
    references: References | None = None,
    said: Callable[[str], None] = lambda line: None,
    progress: Progress | None = None,
) -> Result:
    """Relax the structures that are missing in the output, and return all results.

    Parameters
    ----------
    plan : Plan
    jobs : sequence of Job
    references : References, optional
        Which minima are not compared, for the report.
    said : callable
        Called with lines for a log.
    progress : callable, optional
        As of `eqnn.relax`, of those that this run does.
    """
    name = plan.name()
    structures = [job.atoms for job in jobs if job.atoms is not None]
    with open_for(structures, plan.model, plan.precision) as potential:
        with Output(plan.output) as output:
            _require_same(output, jobs, name)
            left = [job for job in jobs if job.id not in output.records]
            if output.torn:
                said(f"{plan.output}: the last record was cut short, and is done again.")
            if len(left) < len(jobs):
                said(f"{plan.output} has {len(jobs) - len(left)} records; {len(left)} are left.")
            _Writer(plan, name, left, output).run(potential, progress)
            provenance = {
                "model": plan.model.name,
                "run": name,
                "eqnn": eqnn.__version__,
                "engine": potential.describe().split(";")[0],
            }
            return Result(outcomes_of(jobs, output.records), provenance, references or References())


def _require_same(output: Output, jobs: Sequence[Job], name: str) -> None:
    """Refuse the output of another run: its records would look like this one's."""
    starts = {job.id: job.start for job in jobs}
    for record in output.records.values():
        if record.run != name:
            raise EqnnError(
                f"--output {output.path}: has records of `{record.run}`, this run is `{name}`.\n"
                "Name another path, or give the same model and options as before."
            )
        if record.id in starts and starts[record.id] != record.start:
            raise EqnnError(
                f"--output {output.path}: its {record.id!r} started from another structure than "
                "that of --input.\nName another path, or give the same input as before."
            )


@dataclass
class _Writer:
    """Writes finished structures, and stores trajectories of unfinished ones."""

    plan: Plan
    name: str
    jobs: Sequence[Job]
    output: Output
    _steps: dict[int, list[Atoms]] = field(default_factory=dict)

    def run(self, potential: Potential, progress: Progress | None) -> None:
        readable = []
        for job in self.jobs:
            if job.atoms is None:
                self.output.add(_unread(job, self.name))
            else:
                readable.append(job)
        folder = self.plan.trajectories
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        relax(
            [job.atoms for job in readable if job.atoms is not None],
            potential,
            self.plan.settings,
            finished=lambda k, relaxed: self._finished(k, readable[k], relaxed),
            frame=None if folder is None else self._frame,
            progress=progress,
        )

    def _frame(self, structure: int, atoms: Atoms, step: int) -> None:
        atoms.info = {"step": step}
        self._steps.setdefault(structure, []).append(atoms)

    def _finished(self, structure: int, job: Job, relaxed: Relaxed) -> None:
        steps = self._steps.pop(structure, [])
        if self.plan.trajectories is not None and steps:
            # The trajectory first: a structure with a record counts as done.
            path = self.plan.trajectories / f"{file_name(job.id)}.xyz"
            partial = path.with_name(path.name + ".partial")
            ase.io.write(partial, steps, format="extxyz")
            os.replace(partial, path)
        self.output.add(record_of(job.id, job.start, self.name, relaxed))


def file_name(id_: str) -> str:
    """Return an id as a file name, with special characters encoded so that names stay unique.

    What is too long for a name ends in its hash.
    """
    name = re.sub(r"[^A-Za-z0-9.-]", lambda found: f"_{ord(found.group()):x}_", id_)
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}_{hashlib.sha256(id_.encode()).hexdigest()[:16]}"


def _unread(job: Job, name: str) -> Record:
    nan = math.nan
    relaxed = Relaxed("invalid", job.problem, Atoms(), 0, nan, nan, nan)
    return record_of(job.id, job.start, name, relaxed)
