# SPDX-License-Identifier: BSD-3-Clause
"""The evaluation itself: frames in, errors of each model out."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

import eqnn
from eqnn import library
from eqnn.errors import EqnnError
from eqnn.evaluation.defects import defects
from eqnn.evaluation.errors import Errors, Pair, errors_of, force_errors, offsets, rms
from eqnn.evaluation.frame import Frame, Keys, Kind, Problem, frame_of
from eqnn.evaluation.journal import Journal
from eqnn.evaluation.lammps import choose, find_lammps, through_lammps
from eqnn.evaluation.output import Output
from eqnn.evaluation.predict import Judged, Progress, predict
from eqnn.evaluation.read import read_frames, set_names
from eqnn.evaluation.result import DataSet, Evaluation, ModelResult, Worst
from eqnn.evaluation.suspicion import composition, duplicates, force_units, mixed_units
from eqnn.library import Potential, find_built
from eqnn.model_file import read_model

PRECISIONS = ("double", "mixed", "single")

Models = str | Path | Sequence[str | Path]
Data = str | Path | Sequence[str | Path] | Sequence[Atoms] | Mapping[str, Sequence[Atoms]]


@dataclass(frozen=True)
class Settings:
    """What may be chosen; the defaults are those of the command.

    Attributes
    ----------
    precision : str
        ``double``, ``mixed`` or ``single``.
    keys : Keys
        Where frames have their labels.
    worst : int
        How many of the worst frames are named for each model, by forces and by energy.
    through_lammps : int
        How many frames of each model LAMMPS evaluates too.
    seed : int
        Of the draw of these.
    with_plots : bool
        Whether pictures are drawn into the output folder and the page.
    """

    precision: str = "double"
    keys: Keys = field(default_factory=Keys)
    worst: int = 5
    through_lammps: int = 0
    seed: int = 0
    with_plots: bool = True


def evaluate(
    models: Models,
    data: Data,
    *,
    output: str | Path | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Judge potentials against DFT.

    Parameters
    ----------
    models : path, or sequence of paths
        Model files (``.eqnn``).
    data : path, sequence of paths, sequence of Atoms, or mapping of names to sequences of Atoms
        Frames with DFT energies (eV), and forces (eV/Angstrom) and stresses (eV/Angstrom^3) where
        there are: files of any format that ASE reads, gzipped or not, PubChemQCR's LMDB, or Atoms
        whose calculator has the labels.
    output : path, optional
        Folder for the page, ``result.json``, tables and pictures. Predictions are kept there as
        they are made, so that a run that was cut short goes on where it was.
    settings : Settings, optional
    progress : callable, optional
        Told a model's name, the atoms done and all atoms, every second or so.

    Returns
    -------
    Evaluation
        Errors of each model, and every frame that was left out.

    Raises
    ------
    EqnnError
        Where a file cannot be opened, or no frame can be compared.
    """
    chosen = settings or Settings()
    judged = _judged(models, chosen.precision)
    if chosen.through_lammps:  # what is missing is said before minutes of work
        find_lammps()
        find_built("eqnnplugin.so", "EQNN_PLUGIN")
    folder = Output(output, with_plots=chosen.with_plots)
    sets, frames, problems = _read(data, chosen.keys)
    problems += mixed_units(frames)
    frames = _without(frames, problems)
    _require(frames, problems)
    problems += duplicates(frames)
    with ExitStack() as stack:
        opened = [(one, stack.enter_context(one.open())) for one in judged]
        pairs, more = _predict(opened, frames, folder, progress)
        problems += more
        predicted = {name: {p.frame.key: p.found.forces for p in of} for name, of in pairs.items()}
        other_units = force_units(frames, predicted)
        problems += other_units
        good = {name: _good(of, other_units) for name, of in pairs.items()}
        if not any(good.values()):
            _require([], problems)
        done = tuple(_result(*both, good[both[0].name], chosen) for both in opened)
    found = Evaluation(done, _counted(sets, good.values()), tuple(problems), _provenance(done))
    folder.write(found)
    return found


def _judged(models: Models, precision: str) -> list[Judged]:
    if precision not in PRECISIONS:
        raise EqnnError(f"precision {precision!r}: expected {', '.join(PRECISIONS)}. Name one.")
    paths = [Path(m) for m in ([models] if isinstance(models, str | Path) else models)]
    if not paths:
        raise EqnnError("no model is given, expected one or more .eqnn files. Give some.")
    out: list[Judged] = []
    for path, name in zip(paths, set_names(paths), strict=True):
        model = read_model(path)
        for other in out:
            if other.model.sha256 == model.sha256:
                raise EqnnError(f"{path}: is the same model as {other.path}. Give each model once.")
        out.append(Judged(name, path, model, precision))
    return out


# ---- frames ----


def _sources(data: Data) -> list[tuple[str, Path | Sequence[Atoms]]]:
    """Names and where their frames come from."""
    if isinstance(data, Mapping):
        return list(data.items())
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
    return [("data", [one for one in data if isinstance(one, Atoms)])]


def _read(data: Data, keys: Keys) -> tuple[list[DataSet], list[Frame], list[Problem]]:
    sets: list[DataSet] = []
    frames: list[Frame] = []
    problems: list[Problem] = []
    for name, source in _sources(data):
        n = 0
        for one in _frames(name, source, keys):
            n += 1
            if isinstance(one, Frame):
                frames.append(one)
            else:
                problems.append(one)
        is_file = isinstance(source, Path)
        hashed = _sha256(source) if isinstance(source, Path) and source.is_file() else ""
        sets.append(DataSet(name, str(source) if is_file else "", hashed, n, 0))
    return sets, frames, problems


def _frames(name: str, source: Path | Sequence[Atoms], keys: Keys) -> Iterator[Frame | Problem]:
    if isinstance(source, Path):
        yield from read_frames(source, name, keys)
        return
    for number, atoms in enumerate(source):
        yield frame_of(atoms, name, number, keys)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _without(frames: Sequence[Frame], problems: Sequence[Problem]) -> list[Frame]:
    bad = {(p.set, p.number) for p in problems if p.is_left_out}
    return [frame for frame in frames if (frame.set, frame.number) not in bad]


def _require(frames: Sequence[Frame], problems: Sequence[Problem]) -> None:
    if not frames:
        first = problems[0].text() if problems else "there are none"
        raise EqnnError(
            f"no frame can be compared, expected one at least. The first: {first}\n"
            "Give frames with DFT energies, of the models' elements."
        )


# ---- predictions ----


def _predict(
    opened: Sequence[tuple[Judged, Potential]],
    frames: Sequence[Frame],
    folder: Output,
    progress: Progress | None,
) -> tuple[dict[str, list[Pair]], list[Problem]]:
    """Return pairs of each model, and frames that it cannot take."""
    pairs: dict[str, list[Pair]] = {}
    problems: list[Problem] = []
    for one, potential in opened:
        known = [frame for frame in frames if one.knows(frame)]
        for frame in frames:
            if not one.knows(frame):
                foreign = set(frame.atoms.numbers.tolist()) - set(one.model.document["species"])
                said = ", ".join(chemical_symbols[z] for z in sorted(foreign))
                problems.append(_problem(Kind.UNKNOWN_ELEMENT, frame, one, said))
        journal = Journal(folder.predictions(one), one.model.sha256, one.precision)
        try:
            predict(one.name, potential, known, journal, progress)
        finally:
            journal.close()
        pairs[one.name] = []
        for frame in known:
            found = journal.known[frame.key]
            if found.refused:
                problems.append(_problem(Kind.REFUSED, frame, one, found.refused))
            else:
                pairs[one.name].append(Pair(frame, found))
    return pairs, problems


def _problem(kind: Kind, frame: Frame, judged: Judged, what: str) -> Problem:
    return Problem(kind, frame.set, frame.number, what, judged.name)


def _good(pairs: Sequence[Pair], problems: Sequence[Problem]) -> list[Pair]:
    bad = {(p.set, p.number) for p in problems}
    return [pair for pair in pairs if (pair.frame.set, pair.frame.number) not in bad]


def _counted(sets: Sequence[DataSet], good: Iterable[Sequence[Pair]]) -> tuple[DataSet, ...]:
    places = {(pair.frame.set, pair.frame.number) for pairs in good for pair in pairs}
    n_good = Counter(name for name, _ in places)
    return tuple(DataSet(s.name, s.path, s.sha256, s.n_frames, n_good[s.name]) for s in sets)


# ---- errors ----


def _result(
    judged: Judged, potential: Potential, pairs: Sequence[Pair], chosen: Settings
) -> ModelResult:
    offset = offsets(pairs)
    on, measured = defects(judged, potential, [pair.frame for pair in pairs])
    elements = sorted({z for pair in pairs for z in pair.frame.atoms.numbers.tolist()})
    by_element = {chemical_symbols[z]: force_errors(pairs, z) for z in elements}
    drawn = choose(pairs, chosen.through_lammps, chosen.seed)
    times = [pair.found.seconds for pair in pairs]
    return ModelResult(
        judged,
        potential.describe(),
        errors_of(pairs, offset),
        _grouped(pairs, offset, [pair.frame.set for pair in pairs]),
        _grouped(pairs, offset, [pair.frame.stage for pair in pairs]),
        {name: e for name, e in by_element.items() if e.n_atoms},
        _worst(pairs, offset, chosen.worst),
        on,
        measured,
        1e6 * float(np.median(times)) if times else None,
        through_lammps(judged, drawn) if drawn else None,
        tuple(pairs),
        offset,
    )


def _grouped(
    pairs: Sequence[Pair], offset: Mapping[str, float], names: Sequence[str]
) -> dict[str, Errors]:
    groups: dict[str, list[Pair]] = defaultdict(list)
    for name, pair in zip(names, pairs, strict=True):
        if name:
            groups[name].append(pair)
    return {name: errors_of(group, offset) for name, group in groups.items()}


def _worst(pairs: Sequence[Pair], offset: Mapping[str, float], n: int) -> tuple[Worst, ...]:
    """Return the n frames with the largest force errors, and the n with the largest of energy."""
    by_force = [_of_frame("forces", pair, offset) for pair in pairs]
    by_force = [one for one in by_force if one.force_largest is not None]
    by_energy = [_of_frame("energy", pair, offset) for pair in pairs]
    by_energy = [one for one in by_energy if one.energy is not None]
    by_force.sort(key=lambda one: one.force_largest or 0.0, reverse=True)
    by_energy.sort(key=lambda one: abs(one.energy or 0.0), reverse=True)
    return (*by_force[:n], *by_energy[:n])


def _of_frame(by: str, pair: Pair, offset: Mapping[str, float]) -> Worst:
    atoms, formula = pair.frame.atoms, composition(pair.frame)
    energy = None
    if formula in offset:
        energy = 1e3 * (pair.energy_error - offset[formula]) / len(atoms)
    error = pair.force_errors
    if error is None:
        return Worst(by, pair.frame.label, formula, energy, None, None, "")
    sizes = 1e3 * np.linalg.norm(error, axis=1)
    at = int(np.argmax(sizes))
    atom = f"{chemical_symbols[atoms.numbers[at]]} {at}"
    return Worst(by, pair.frame.label, formula, energy, 1e3 * rms(error), float(sizes[at]), atom)


def _provenance(models: Sequence[ModelResult]) -> dict[str, str]:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {
        "eqnn": eqnn.__version__,
        "libeqnn": library.version(),
        "run on": f"{_processor()}, {os.cpu_count()} cores",
        "engine": models[0].engine.split(";")[0],
        "at": now,
    }


def _processor() -> str:
    try:
        said = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        said = None
    return said.group(1) if said else platform.processor() or platform.machine()
