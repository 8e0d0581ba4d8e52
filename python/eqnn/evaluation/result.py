# SPDX-License-Identifier: BSD-3-Clause
"""The results of an evaluation, also as JSON (schema: docs/evaluate.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ase.data import chemical_symbols

from eqnn.check import Measurement
from eqnn.evaluation.defects import GRADES
from eqnn.evaluation.errors import Errors, ForceErrors, Pair
from eqnn.evaluation.frame import Problem
from eqnn.evaluation.lammps import ThroughLammps
from eqnn.evaluation.predict import Judged
from eqnn.evaluation.scales import ALL
from eqnn.report import Grade

FORMAT = "eqnn evaluation"
VERSION = 2


@dataclass(frozen=True)
class DataSet:
    """A file with frames, or frames that were given as such.

    Attributes
    ----------
    name : str
    path : str
        Empty where there is no file.
    sha256 : str
        Of the file; empty where there is none, or where it is a folder.
    n_frames : int
        Frames found, bad ones too.
    n_bad : int
        Those that no model could be compared on: what is wrong with each is among the problems.
    n_not_drawn : int
        Those that a sample left aside; nothing is known to be wrong with them.
    n_good : int
        Those that some model was compared on. The three make up all frames.
    """

    name: str
    path: str
    sha256: str
    n_frames: int
    n_bad: int
    n_not_drawn: int
    n_good: int


@dataclass(frozen=True)
class Worst:
    """One of the frames with the largest errors.

    Attributes
    ----------
    by : str
        ``forces`` or ``energy``: which of its errors is among the largest.
    label : str
    formula : str
    energy : float or None
        Error per atom after the mean of the composition is removed, meV/atom.
    force_rmse, force_largest : float or None
        meV/Angstrom, over components and of one atom.
    atom : str
        That atom: element and index, from 0.
    """

    by: str
    label: str
    formula: str
    energy: float | None
    force_rmse: float | None
    force_largest: float | None
    atom: str


@dataclass(frozen=True)
class ModelResult:
    """Results of one model.

    Attributes
    ----------
    judged : Judged
    engine : str
        The engine's description of itself.
    overall : Errors
    sets, stages : dict of str to Errors
        By set, and by stage where frames name one.
    elements : dict of str to ForceErrors
    worst : tuple of Worst
    defects_on : str
        Frame that the defects were measured on; empty where none was fit.
    defects : tuple of Measurement
    microseconds : float or None
        Time for an atom, the median over frames.
    lammps : ThroughLammps or None
    pairs : tuple of Pair
        All that was compared.
    offsets : dict of str to float
        Mean energy error of each composition, eV.
    """

    judged: Judged
    engine: str
    overall: Errors
    sets: dict[str, Errors]
    stages: dict[str, Errors]
    elements: dict[str, ForceErrors]
    worst: tuple[Worst, ...]
    defects_on: str
    defects: tuple[Measurement, ...]
    microseconds: float | None
    lammps: ThroughLammps | None
    pairs: tuple[Pair, ...] = field(repr=False)
    offsets: dict[str, float] = field(repr=False)


@dataclass(frozen=True)
class Evaluation:
    """All that `eqnn.evaluate` found.

    Attributes
    ----------
    models : tuple of ModelResult
    sets : tuple of DataSet
    problems : tuple of Problem
        Every frame that is left out, and every one that is suspicious.
    provenance : dict of str to str
        Version, machine, threads, date.
    """

    models: tuple[ModelResult, ...]
    sets: tuple[DataSet, ...]
    problems: tuple[Problem, ...]
    provenance: dict[str, str]

    @property
    def is_complete(self) -> bool:
        """Whether every model was compared on every frame, and LAMMPS agrees if it was run."""
        nothing_left_out = not any(problem.is_left_out for problem in self.problems)
        return nothing_left_out and all(m.lammps is None or m.lammps.agrees for m in self.models)

    def document(self) -> dict[str, Any]:
        """Return the content of result.json."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "provenance": self.provenance,
            "sets": [asdict(one) for one in self.sets],
            "problems": [
                {
                    "kind": one.kind.value,
                    "set": one.set,
                    "number": one.number,
                    "what": one.what,
                    "model": one.model or None,
                    "is_left_out": one.is_left_out,
                }
                for one in self.problems
            ],
            "models": [_model(one) for one in self.models],
            "scales": [asdict(one) for one in ALL],
        }

    def json(self) -> str:
        """Return `document` as JSON, with null for NaN and for missing values."""
        return json.dumps(self.document(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _model(one: ModelResult) -> dict[str, Any]:
    document = one.judged.model.document
    return {
        "name": one.judged.name,
        "path": str(one.judged.path),
        "sha256": one.judged.model.sha256,
        "family": document["family"],
        "elements": [chemical_symbols[z] for z in document["species"]],
        "cutoff": document["cutoff"],
        "precision": one.judged.precision,
        "engine": one.engine,
        "overall": asdict(one.overall),
        "sets": {name: asdict(errors) for name, errors in one.sets.items()},
        "stages": {name: asdict(errors) for name, errors in one.stages.items()},
        "elements_forces": {name: asdict(errors) for name, errors in one.elements.items()},
        "worst": [asdict(frame) for frame in one.worst],
        "defects_on": one.defects_on or None,
        "defects": [_defect(m) for m in one.defects],
        "microseconds_per_atom": one.microseconds,
        "through_lammps": None
        if one.lammps is None
        else {**asdict(one.lammps), "agrees": one.lammps.agrees},
    }


def _defect(measured: Measurement) -> dict[str, Any]:
    return {
        "what": measured.what,
        "values": [{"value": value, "unit": unit} for value, unit in measured.values],
        "status": measured.status.value,
        "grade": grade_of(measured).value,
        "meaning": measured.meaning,
    }


def grade_of(measured: Measurement) -> Grade:
    """Grade of a measurement of ``eqnn check``."""
    return GRADES[measured.status]


def grouped(problems: Sequence[Problem]) -> list[tuple[Problem, str]]:
    """Join problems with the same text about frames of a file.

    Returns
    -------
    list of (Problem, str)
        The first of them, with what is said of all, and the numbers of all: ``0-3, 7``.
    """
    groups: dict[tuple[object, ...], list[Problem]] = {}
    for one in problems:
        key = (one.kind, one.set, one.model, one.together or one.what, one.is_left_out)
        groups.setdefault(key, []).append(one)
    return [
        (
            group[0] if len(group) == 1 else replace(first, what=first.together or first.what),
            _ranges([one.number for one in group]),
        )
        for group in groups.values()
        for first in group[:1]
    ]


def _ranges(numbers: Sequence[int]) -> str:
    out: list[list[int]] = []
    for number in sorted(set(numbers)):
        if out and number == out[-1][1] + 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in out)
