# SPDX-License-Identifier: BSD-3-Clause
"""The evaluation itself: frames in, errors of each model out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ase.data import chemical_symbols

from eqnn.built import find_built
from eqnn.errors import EqnnError
from eqnn.evaluation.data import Data, read_data, require_some, without
from eqnn.evaluation.errors import Pair
from eqnn.evaluation.frame import Frame, Kind, Problem
from eqnn.evaluation.journal import Journal
from eqnn.evaluation.output import Output
from eqnn.evaluation.predict import Judged, Progress, predict
from eqnn.evaluation.read import set_names
from eqnn.evaluation.result import DataSet, Evaluation
from eqnn.evaluation.settings import PRECISIONS, Settings
from eqnn.evaluation.summary import provenance, summary
from eqnn.evaluation.suspicion import (
    duplicates,
    energy_units,
    force_units,
    length_units,
    mixed_units,
)
from eqnn.lammps import find_lammps
from eqnn.library import Potential
from eqnn.model_file import read_model

Models = str | Path | Sequence[str | Path]


def evaluate(
    models: Models,
    data: Data,
    *,
    output: str | Path | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Compare potentials with DFT.

    Parameters
    ----------
    models : str or Path, or sequence of these
        Model files (``.eqnn``).
    data : str or Path, sequence of these, sequence of Atoms, or mapping of names to any of these
        Frames with DFT energies (eV) and, if known, forces (eV/Angstrom) and stresses
        (eV/Angstrom^3): files in any format that ASE reads, gzipped or not, LMDB of PubChemQCR, or
        Atoms whose calculator has the labels.
    output : str or Path, optional
        Folder for the web page, ``result.json``, tables and pictures. It also keeps predictions,
        so that an interrupted run continues where it stopped.
    settings : Settings, optional
    progress : callable, optional
        Called about every second with the name of a model, the number of atoms done and that of
        all atoms; while reading, every thousand frames, with ``reading SET``, the frames and 0.

    Returns
    -------
    Evaluation
        Errors of each model, and every frame that was left out.

    Raises
    ------
    EqnnError
        If a file cannot be opened, or no frame can be compared.
    """
    chosen = settings or Settings()
    judged = _judged(models, chosen.precision)
    if chosen.through_lammps:  # what is missing is said before minutes of work
        find_lammps()
        find_built("eqnnplugin.so", "EQNN_PLUGIN")
    folder = Output(output, with_plots=chosen.with_plots)
    sets, frames, problems = read_data(data, chosen, progress)
    # Whole sets first, so that a wrong one is not the standard for the others.
    problems += length_units(frames)
    frames = without(frames, problems)
    problems += mixed_units(frames)
    frames = without(frames, problems)
    require_some(frames, problems)
    problems += duplicates(frames)
    with ExitStack() as stack:
        opened = [(one, stack.enter_context(one.open(frames))) for one in judged]
        pairs, more = _predict(opened, frames, folder, progress)
        problems += more
        other_units = _other_units(frames, pairs)
        problems += other_units
        good = {name: _good(of, other_units) for name, of in pairs.items()}
        if not any(good.values()):
            require_some([], problems)
        done = tuple(summary(*both, good[both[0].name], chosen) for both in opened)
    counted = _counted(sets, good, problems)
    found = Evaluation(done, counted, tuple(problems), provenance(done))
    folder.write(found)
    return found


def _other_units(frames: Sequence[Frame], pairs: Mapping[str, Sequence[Pair]]) -> list[Problem]:
    forces = {name: {p.frame.key: p.found.forces for p in of} for name, of in pairs.items()}
    energies = {name: {p.frame.key: p.found.energy for p in of} for name, of in pairs.items()}
    return [*energy_units(frames, energies, forces), *force_units(frames, forces)]


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


def _predict(
    opened: Sequence[tuple[Judged, Potential]],
    frames: Sequence[Frame],
    folder: Output,
    progress: Progress | None,
) -> tuple[dict[str, list[Pair]], list[Problem]]:
    """Return the pairs of each model, and the frames that it cannot evaluate."""
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
            predict(one.name, potential, known, journal, one.model.document["cutoff"], progress)
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


def _counted(
    sets: Sequence[DataSet], good: Mapping[str, Sequence[Pair]], problems: Sequence[Problem]
) -> tuple[DataSet, ...]:
    """Count bad frames by the problems and good ones by the pairs: every frame is in one of them.

    Parameters
    ----------
    sets : sequence of DataSet
    good : mapping of str to sequence of Pair
        What is compared, by the name of the model.
    problems : sequence of Problem
    """
    places = {(pair.frame.set, pair.frame.number) for pairs in good.values() for pair in pairs}
    n_good = Counter(name for name, _ in places)
    models_without: dict[tuple[str, int], set[str]] = defaultdict(set)
    for problem in problems:
        if problem.is_left_out:
            models = {problem.model} if problem.model else set(good)
            models_without[problem.set, problem.number] |= models
    n_bad = Counter(place[0] for place, models in models_without.items() if models == set(good))
    for one in sets:
        if one.n_frames != n_bad[one.name] + one.n_not_drawn + n_good[one.name]:
            raise EqnnError(
                f"{one.name}: of {one.n_frames} frames {n_bad[one.name]} are bad, "
                f"{one.n_not_drawn} not drawn and {n_good[one.name]} compared, expected the same "
                "in sum. Report it with the file."
            )
    return tuple(replace(one, n_bad=n_bad[one.name], n_good=n_good[one.name]) for one in sets)
