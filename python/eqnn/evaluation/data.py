# SPDX-License-Identifier: BSD-3-Clause
"""Gets frames from files or from ASE's Atoms."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from eqnn.errors import EqnnError
from eqnn.evaluation.frame import Frame, Keys, Kind, Problem, frame_of
from eqnn.evaluation.predict import Progress
from eqnn.evaluation.read import read_frames, set_names
from eqnn.evaluation.result import DataSet
from eqnn.evaluation.settings import Settings

_TOLD_EVERY = 1000
Given = str | Path | Sequence[Atoms]
Data = Given | Sequence[str | Path] | Mapping[str, Given]


def _sources(data: Data) -> list[tuple[str, Path | Sequence[Atoms]]]:
    """Names of sets, and the sources of their frames."""
    if isinstance(data, Mapping):
        return [(n, Path(x) if isinstance(x, str | Path) else x) for n, x in data.items()]
    if isinstance(data, str | Path):
        data = [data]
    if isinstance(data, Atoms):
        raise EqnnError("data is one structure, expected a sequence of them. Give [atoms].")
    paths = [Path(one) for one in data if isinstance(one, str | Path)]
    if paths and len(paths) == len(data):
        repeated = [str(p) for p, n in Counter(p.resolve() for p in paths).items() if n > 1]
        if repeated:
            raise EqnnError(f"{repeated[0]}: is given twice as data. Give each file once.")
        return list(zip(set_names(paths), paths, strict=True))
    if paths:
        raise EqnnError("data has both paths and Atoms, expected one kind. Give a mapping.")
    return [("data", _all_atoms(data))]


def _all_atoms(data: Sequence[object]) -> list[Atoms]:
    for k, one in enumerate(data):
        if not isinstance(one, Atoms):
            raise EqnnError(
                f"data[{k}] is a {type(one).__name__}, expected Atoms of ASE, or paths. Give those."
            )
    return [one for one in data if isinstance(one, Atoms)]


def read_data(
    data: Data, chosen: Settings, progress: Progress | None = None
) -> tuple[list[DataSet], list[Frame], list[Problem]]:
    """Read all sets; return them, their good frames, and the problems of the others.

    The sets count frames that are bad by themselves. Good frames may still be bad together.
    """
    sets: list[DataSet] = []
    frames: list[Frame] = []
    problems: list[Problem] = []
    for name, source in _sources(data):
        n = n_bad = 0
        draw = _Draw(chosen.sample, chosen.seed)
        for one in _frames(name, source, chosen.keys):
            n += 1
            if progress is not None and n % _TOLD_EVERY == 0:
                progress(f"reading {name}", n, 0)
            if isinstance(one, Frame):
                draw.take(one)
            else:
                problems.append(one)
                n_bad += 1
        drawn = draw.frames()
        frames += drawn
        is_file = isinstance(source, Path)
        hashed = _sha256(source) if isinstance(source, Path) and source.is_file() else ""
        path = str(source) if is_file else ""
        sets.append(DataSet(name, path, hashed, n, n_bad, draw.n_aside, len(drawn)))
    return sets, frames, problems


class _Draw:
    """Keeps a random sample of a set, or all of it, in memory for only those frames."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._random = np.random.default_rng(seed)
        self._kept: list[Frame] = []
        self._n = 0

    def take(self, frame: Frame) -> None:
        """Take the next frame: each has the same chance to stay (Vitter's algorithm R)."""
        self._n += 1
        if self._size == 0 or len(self._kept) < self._size:
            self._kept.append(frame)
        elif (place := int(self._random.integers(self._n))) < self._size:
            self._kept[place] = frame

    @property
    def n_aside(self) -> int:
        """Number of frames that were not kept."""
        return self._n - len(self._kept)

    def frames(self) -> list[Frame]:
        """Return the kept frames, in the order of the set."""
        return sorted(self._kept, key=lambda frame: frame.number)


def _frames(name: str, source: Path | Sequence[Atoms], keys: Keys) -> Iterator[Frame | Problem]:
    if isinstance(source, Path):
        yield from read_frames(source, name, keys)
        return
    for number, atoms in enumerate(source):
        yield frame_of(atoms, name, number, keys)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def without(frames: Sequence[Frame], problems: Sequence[Problem]) -> list[Frame]:
    """Return the frames that no problem leaves out."""
    bad = {(p.set, p.number) for p in problems if p.is_left_out}
    return [frame for frame in frames if (frame.set, frame.number) not in bad]


def require_some(frames: Sequence[Frame], problems: Sequence[Problem]) -> None:
    """Raise if there are none, with the most informative problem."""
    if not frames:
        # Units first: they concern a whole file, while other problems are often those of one model.
        ordered = sorted(problems, key=lambda problem: problem.kind is not Kind.UNITS)
        first = ordered[0].text() if ordered else "there are none"
        cure = "Give frames with DFT energies, of the models' elements."
        if ordered and ordered[0].kind is Kind.UNITS:
            cure = "Convert energies to eV, lengths to Angstrom, forces to eV/Angstrom."
        raise EqnnError(
            f"no frame can be compared, expected at least one. The first: {first}\n{cure}"
        )
