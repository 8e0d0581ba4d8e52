# SPDX-License-Identifier: BSD-3-Clause
"""Evaluates structures by a model, many in one call of the engine, with progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eqnn.errors import readable
from eqnn.evaluation.frame import Frame
from eqnn.evaluation.journal import Journal, Prediction, refusal
from eqnn.library import Potential, Properties
from eqnn.model_file import Model
from eqnn.structures import cell_with_vacuum, elements_in

# Duration of one call of the engine: what a kill loses, and how often progress is reported. A call
# has as many atoms as take this long, but at least enough to keep all threads busy.
CALL_SECONDS = 0.5
CALL_ATOMS = 1000

Progress = Callable[[str, int, int], None]
"""Told a model's name, the atoms done and all atoms; while a large set is read, ``reading SET``,
the frames read and 0, since nobody knows of how many."""


@dataclass(frozen=True)
class Judged:
    """A model under evaluation.

    Attributes
    ----------
    name : str
        Its name in tables.
    path : Path
    model : Model
    precision : str
        ``double``, ``mixed`` or ``single``.
    """

    name: str
    path: Path
    model: Model
    precision: str

    @property
    def has_virial(self) -> bool:
        """False for models with direct forces."""
        return bool(self.model.document["forces"] == "gradient")

    def knows(self, frame: Frame) -> bool:
        """Whether the model has all elements of a frame."""
        return set(frame.atoms.numbers.tolist()) <= set(self.model.document["species"])

    def open(self, frames: Sequence[Frame]) -> Potential:
        """Open it in its precision, with those elements of the frames that it has."""
        known = [frame.atoms for frame in frames if self.knows(frame)]
        elements = elements_in(known, self.model.document["species"])
        return Potential(self.path, self.precision, self.has_virial, elements=elements)


def predict(
    name: str,
    potential: Potential,
    frames: Sequence[Frame],
    journal: Journal,
    cutoff: float,
    progress: Progress | None = None,
) -> None:
    """Evaluate the frames that are missing in the journal, each structure once, and add them.

    Parameters
    ----------
    name : str
        What progress calls the model.
    potential : Potential
    frames : sequence of Frame
        Of the model's elements.
    journal : Journal
        Holds all of them afterwards.
    cutoff : float
        The model's, Angstrom.
    progress : callable, optional
        Called after each call of the engine.
    """
    missing = {frame.key: frame for frame in frames if frame.key not in journal.known}
    n_atoms = sum(len(frame.atoms) for frame in missing.values())
    if missing:  # the first call finds its memory: no time of it is taken
        evaluate_many(potential, [next(iter(missing.values()))], cutoff)
    left, done, size = list(missing.values()), 0, CALL_ATOMS
    while left:
        call = _call(left, size)
        left = left[len(call) :]
        start = time.perf_counter()
        found = evaluate_many(potential, call, cutoff)
        atoms = sum(len(frame.atoms) for frame in call)
        seconds = (time.perf_counter() - start) / atoms
        journal.add(_predictions(call, found, seconds))
        size = max(CALL_ATOMS, int(CALL_SECONDS / seconds))
        done += atoms
        if progress is not None:
            progress(name, done, n_atoms)


def evaluate_many(
    potential: Potential, frames: Sequence[Frame], cutoff: float
) -> list[Properties | str]:
    """Evaluate frames in one call; for a refused one, return the reason instead."""
    found = potential.evaluate_many(
        [
            (atoms.numbers, atoms.positions, cell_with_vacuum(atoms, cutoff))
            for atoms in (frame.atoms for frame in frames)
        ]
    )
    return [one.properties or readable(" ".join(one.reason.split())) for one in found]


def _call(frames: Sequence[Frame], size: int) -> list[Frame]:
    """Take frames from the front: a number of atoms, or a little more."""
    ends = np.cumsum([len(frame.atoms) for frame in frames])
    return list(frames[: int(np.searchsorted(ends, size)) + 1])


def _predictions(
    frames: Sequence[Frame], found: Sequence[Properties | str], seconds: float
) -> list[Prediction]:
    out = []
    for frame, one in zip(frames, found, strict=True):
        if isinstance(one, str):
            out.append(refusal(frame.key, one))
        elif not (np.isfinite(one.energy) and np.isfinite(one.forces).all()):
            out.append(refusal(frame.key, "energy or forces are not finite"))
        else:
            out.append(Prediction(frame.key, one.energy, one.forces, one.virial, seconds))
    return out
