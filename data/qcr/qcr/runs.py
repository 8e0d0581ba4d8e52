# SPDX-License-Identifier: BSD-3-Clause
"""Files of single relaxations, as they are computed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from qcr.errors import QcrError


@dataclass
class Frame:
    """One structure.

    Positions in Angstrom, energy in Hartree, gradient in Hartree/Bohr, gap in eV.
    """

    stage: str  # relax or perturbed
    step: int
    positions: list[list[float]]
    energy: float
    gradient: list[list[float]]
    gap: float
    seconds: float


@dataclass
class RunFile:
    """All that is known of a relaxation, computed in part or whole."""

    name: str
    elements: list[str] = field(default_factory=list)
    bonds: list[tuple[int, int]] = field(default_factory=list)
    temperature: float = 0.0  # of the dynamics that the start was taken from, K
    start: list[list[float]] = field(default_factory=list)  # Angstrom
    frames: list[Frame] = field(default_factory=list)
    relaxed: bool = False  # geomeTRIC's criteria are met
    fresh_guess_difference: float | None = None  # Hartree, at the relaxed structure
    versions: dict[str, str] = field(default_factory=dict)
    complete: bool = False
    failure: str | None = None  # why this run is not in the set

    @property
    def seconds(self) -> float:
        """Time that it took."""
        return sum(frame.seconds for frame in self.frames)

    def write(self, folder: Path) -> None:
        """Write atomically: a kill leaves the old file or the new one."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        partial = path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as out:
            json.dump(asdict(self), out)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)


def read_run(path: Path) -> RunFile:
    """Read a run's file; raise QcrError where it is damaged."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        document["frames"] = [Frame(**frame) for frame in document["frames"]]
        document["bonds"] = [(i, j) for i, j in document["bonds"]]
        return RunFile(**document)
    except (ValueError, KeyError, TypeError) as error:
        raise QcrError(
            f"{path}: no relaxation in the form that `generate` writes ({error}). "
            "Remove it to have it made again."
        ) from error


def run_files(work: Path) -> list[Path]:
    """Return the files of runs in a folder of ``generate``; none if it is not there yet.

    Raises QcrError if it is no folder.
    """
    if work.exists() and not work.is_dir():
        raise QcrError(
            f"{work}: found a file, expected a folder with runs. Name another with --work."
        )
    return sorted((work / "runs").glob("*.json"))
