# SPDX-License-Identifier: BSD-3-Clause
"""How far the set is, and how long the rest takes."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from qcr.collection import read_manifest
from qcr.molecules import SPLITS, Run, runs
from qcr.runs import read_run, run_files


def cost(run: Run) -> float:
    """Time of a run in a unit of its own."""
    return float(run.molecule.basis_functions**2.5)


def seconds_left(todo: Iterable[Run], done: dict[str, float]) -> float | None:
    """Seconds that runs will take, judged by others (name to seconds); None if there are none."""
    known = {run.name: run for run in runs()}
    rates = [seconds / cost(known[name]) for name, seconds in done.items() if name in known]
    return statistics.median(rates) * sum(map(cost, todo)) if rates else None


def hours(seconds: float | None) -> str:
    """Time for people."""
    return "an unknown time" if seconds is None else f"{seconds / 3600:.1f} h"


def status(data: Path, work: Path) -> str:
    """Say what the set has, what waits to be built, and what is left."""
    held, failures = read_manifest(data)
    files = [read_run(path) for path in run_files(work)]
    new = {file.name: file for file in files if file.name not in held and file.name not in failures}
    done = {name: float(entry["seconds"]) for name, entry in held.items()}
    done |= {name: file.seconds for name, file in new.items() if file.complete}
    failed = set(failures) | {name for name, file in new.items() if file.failure is not None}
    todo = [run for run in runs() if run.name not in done and run.name not in failed]
    split_of = {run.name: run.molecule.split for run in runs()}
    splits = Counter(split_of[name] for name in done if name in split_of)
    lines = [
        f"{len(done)} of {len(runs())} runs done: "
        + ", ".join(f"{splits[split]} {split}" for split in SPLITS)
        + f"; {len(held)} of them in {data}; {len(failed)} failed",
        *(f"  {name}: {reason}" for name, reason in failures.items()),
        *(f"  {name}: {file.failure}" for name, file in new.items() if file.failure),
        f"{len(todo)} to go, {hours(seconds_left(todo, done))} on one core"
        + (f"; next {todo[0].name}" if todo else ""),
    ]
    lines += [
        f"  {file.name} is on its way: {len(file.frames)} frames"
        for file in new.values()
        if not file.complete and file.failure is None
    ]
    return "\n".join(lines)
