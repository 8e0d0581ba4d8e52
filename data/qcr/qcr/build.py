# SPDX-License-Identifier: BSD-3-Clause
"""Merge computed runs into the set, with its statistics and README."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from qcr.collection import (
    MANIFEST,
    SUMS,
    Collection,
    digest,
    read_collection,
    sum_errors,
)
from qcr.errors import QcrError
from qcr.frames import Frame, Value, compressed, write_atomically
from qcr.molecules import SPLITS, Molecule, runs
from qcr.readme import PLOT, plot, readme
from qcr.runs import RunFile, read_run, run_files
from qcr.units import HARTREE, HARTREE_PER_BOHR


def frames_of(file: RunFile, molecule: Molecule) -> list[Frame]:
    """All frames of a complete run, in the units of the set."""
    last = max(frame.step for frame in file.frames if frame.stage == "relax")
    return [
        Frame(
            list(file.elements),
            np.array(frame.positions),
            frame.energy * HARTREE,
            -HARTREE_PER_BOHR * np.array(frame.gradient),
            {
                "molecule": molecule.name,
                "smiles": molecule.smiles,
                "run": file.name,
                "stage": frame.stage,
                "step": frame.step,
                "converged": True,  # frames without a converged SCF are in no run's file
                "relaxed": file.relaxed and frame.stage == "relax" and frame.step == last,
                "gap": frame.gap,
            },
        )
        for frame in sorted(file.frames, key=lambda frame: (frame.stage == "perturbed", frame.step))
    ]


def _key(frame: Frame) -> tuple[Value, Value]:
    return frame.info["stage"], frame.info["step"]


def add_run(collection: Collection, file: RunFile) -> bool:
    """Add the frames of a finished run that the set lacks; return whether there were any."""
    known = {run.name: run for run in runs()}
    if file.name not in known:
        raise QcrError(
            f"{file.name} is no run of molecules.csv: remove its file or restore the list."
        )
    if file.name in collection.failures:
        return False
    if file.failure is not None and file.name not in collection.runs:
        collection.failures[file.name] = file.failure
        return True
    if not file.complete:
        return False
    molecule = known[file.name].molecule
    frames = collection.frames[molecule.split]
    held = {_key(frame) for frame in frames if frame.info["run"] == file.name}
    new = [frame for frame in frames_of(file, molecule) if _key(frame) not in held]
    if not new:
        return False
    frames += new
    collection.runs[file.name] = {
        "bonds": [list(bond) for bond in file.bonds],
        "temperature": file.temperature,
        "fresh_guess_difference": file.fresh_guess_difference,
        "seconds": round(file.seconds, 1),
        "versions": file.versions,
    }
    return True


def sort(collection: Collection) -> None:
    """Sort everything into the order of computation, whenever it was added."""
    order = {run.name: number for number, run in enumerate(runs())}
    for name in SPLITS:
        collection.frames[name].sort(
            key=lambda frame: (
                order[str(frame.info["run"])],
                frame.info["stage"] == "perturbed",
                frame.info["step"],
            )
        )
    names = sorted(collection.runs, key=lambda name: order[name])
    collection.runs = {name: collection.runs[name] for name in names}
    collection.failures = dict(sorted(collection.failures.items(), key=lambda item: order[item[0]]))


def manifest(collection: Collection) -> str:
    """Text of the manifest: one line per run, so that another batch makes a short diff."""
    parts = []
    for key, table in (("runs", collection.runs), ("failures", collection.failures)):
        lines = [f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in table.items()]
        parts.append(f"{json.dumps(key)}: {{\n" + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def build(data: Path, work: Path) -> int:
    """Add what is finished in ``work/runs`` to the set in ``data``; return how many runs had more.

    The same runs give the same files, byte by byte, in whatever batches they came. Raises QcrError,
    and leaves the set alone, if a file is damaged.
    """
    if (data / MANIFEST).exists():
        errors = sum_errors(data)
        if errors:
            raise QcrError(f"{data}: {errors[0]}. Restore the set with git before adding to it.")
    collection = read_collection(data)
    files = run_files(work)
    new = sum(add_run(collection, read_run(path)) for path in files)
    sort(collection)
    data.mkdir(parents=True, exist_ok=True)
    for name in SPLITS:
        write_atomically(data / f"{name}.xyz.gz", compressed(collection.frames[name]))
    write_atomically(data / MANIFEST, manifest(collection).encode())
    collection = read_collection(data)  # draw and count exactly what is written
    write_atomically(data / PLOT, plot(collection))
    write_atomically(data / "README.md", readme(collection).encode())
    names = sorted(
        path.name for path in data.iterdir() if path.name != SUMS and path.suffix != ".partial"
    )
    lines = [f"{digest(data / name)}  {name}\n" for name in names]
    write_atomically(data / SUMS, "".join(lines).encode())
    return new
