# SPDX-License-Identifier: BSD-3-Clause
"""The set on disk: which files it has, and its frames in memory."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qcr.errors import QcrError
from qcr.frames import Frame, read_frames
from qcr.molecules import SPLITS
from qcr.runs import Frame as RunFrame
from qcr.runs import RunFile
from qcr.units import HARTREE, HARTREE_PER_BOHR

MANIFEST = "runs.json"
SUMS = "SHA256SUMS"


@dataclass
class Collection:
    """Frames by split, and the data of each run.

    Parameters
    ----------
    runs
        Name of a run to its ``bonds``, ``temperature`` (K), ``fresh_guess_difference`` (Hartree),
        ``seconds`` and ``versions``.
    failures
        Name of a run to the reason why it is not here.
    """

    frames: dict[str, list[Frame]] = field(default_factory=lambda: {name: [] for name in SPLITS})
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def by_run(self) -> dict[str, list[Frame]]:
        """Frames of each run in the order of the files."""
        runs: dict[str, list[Frame]] = {}
        for frames in self.frames.values():
            for frame in frames:
                runs.setdefault(str(frame.info["run"]), []).append(frame)
        return runs


def read_manifest(data: Path) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Read the runs and failures of the set in a folder; empty if there is no set."""
    path = data / MANIFEST
    if not path.exists():
        return {}, {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return dict(document["runs"]), dict(document["failures"])
    except (ValueError, KeyError, TypeError) as error:
        raise QcrError(
            f"{path}: damaged ({error!r}), expected the runs and failures of the set. "
            "Restore it with git."
        ) from error


def read_collection(data: Path) -> Collection:
    """Read the set in a folder; empty if there is none. Raises QcrError if damaged."""
    runs, failures = read_manifest(data)
    collection = Collection(runs=runs, failures=failures)
    if (data / MANIFEST).exists():
        for name in SPLITS:
            collection.frames[name] = read_frames(data / f"{name}.xyz.gz")
    return collection


def run_file(entry: dict[str, Any], frames: list[Frame]) -> RunFile:
    """Convert a run of the set back to the form in which it was computed, except for its start.

    Parameters
    ----------
    entry
        What the manifest says of it.
    frames
        All its frames.
    """
    return RunFile(
        str(frames[0].info["run"]),
        frames[0].elements,
        [(i, j) for i, j in entry["bonds"]],
        entry["temperature"],
        frames=[
            RunFrame(
                str(frame.info["stage"]),
                int(frame.info["step"]),
                frame.positions.tolist(),
                frame.energy / HARTREE,
                (-frame.forces / HARTREE_PER_BOHR).tolist(),
                float(frame.info["gap"]),
                float(entry["seconds"]) / len(frames),
            )
            for frame in frames
        ],
        relaxed=any(frame.info["relaxed"] for frame in frames),
        fresh_guess_difference=entry["fresh_guess_difference"],
        versions=entry["versions"],
        complete=True,
    )


def digest(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sum_errors(data: Path) -> list[str]:
    """Files that are missing, changed or not in SHA256SUMS."""
    path = data / SUMS
    if not path.exists():
        return [f"{path} is missing"]
    stated = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        expected, _, name = line.partition("  ")
        stated[name] = expected
    present = {
        file.name for file in data.iterdir() if file.name != SUMS and file.suffix != ".partial"
    }
    errors = [f"{name} is not in {SUMS}" for name in sorted(present - set(stated))]
    for name, expected in stated.items():
        if name not in present:
            errors.append(f"{name} of {SUMS} is missing")
        elif digest(data / name) != expected:
            errors.append(f"{name} has another hash than {SUMS} says")
    return errors
