# SPDX-License-Identifier: BSD-3-Clause
"""Summarizes a model's predictions: errors by group, worst frames, provenance."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

import eqnn
from eqnn import library
from eqnn.evaluation.defects import defects
from eqnn.evaluation.errors import Errors, Pair, errors_of, force_errors, offsets, rms
from eqnn.evaluation.lammps import choose, through_lammps
from eqnn.evaluation.predict import Judged
from eqnn.evaluation.result import ModelResult, Worst
from eqnn.evaluation.settings import Settings
from eqnn.library import Potential


def summary(
    judged: Judged, potential: Potential, pairs: Sequence[Pair], chosen: Settings
) -> ModelResult:
    """Return all results of one model, which is open.

    Parameters
    ----------
    judged : Judged
    potential : Potential
    pairs : sequence of Pair
        All that was compared.
    chosen : Settings
    """
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
    atoms, formula = pair.frame.atoms, pair.frame.formula
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


def provenance(models: Sequence[ModelResult]) -> dict[str, str]:
    """Return versions, machine, threads and date, as the foot of the page has them."""
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
