# SPDX-License-Identifier: BSD-3-Clause
"""Label frames of the teacher's dynamics by the mean of trained potentials.

    PYTHONPATH=python:training:data/qcr python -m organic.committee FOLDER OUTPUT.xyz POTENTIAL...

FOLDER is that of `organic.teacher`. The mean of several potentials is better than each of them, and
needs no density-functional theory. A potential that is trained on its labels of many molecules
comes close to it (distillation). Frames on which the potentials disagree are left out, and so are
the molecules that no training uses. The labels are for training only; each frame says so.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from eqnn.errors import EqnnError
from eqnn.library import Potential
from eqnn.packed import Structure
from organic.structures import Floats, seed_of
from organic.teacher import calm_frames, lots_error

LARGEST_DISAGREEMENT = 0.3  # eV/Angstrom, root mean square over atoms and directions
N_FRAMES = 24_000


def predictions(
    models: Sequence[str | Potential], structures: Sequence[Structure]
) -> tuple[Floats, list[Floats]]:
    """Evaluate structures with several potentials.

    Parameters
    ----------
    models : sequence of str or Potential
        Files of potentials, or potentials that are open and stay so.
    structures : sequence of (numbers [atom], positions [atom, 3], None)
        In Angstrom.

    Returns
    -------
    energies : ndarray [potential, structure]
        eV.
    forces : list of ndarray [potential, atom, 3], one of each structure
        eV/Angstrom.

    Raises
    ------
    EqnnError
        If a potential cannot evaluate a structure.
    """
    energies: list[list[float]] = []
    forces: list[list[Floats]] = []
    for model in models:
        with nullcontext(model) if isinstance(model, Potential) else Potential(model) as potential:
            results = potential.evaluate_many(structures)
        for k, one in enumerate(results):
            if one.properties is None:
                raise EqnnError(f"{potential.path}: structure {k}: {one.reason}")
        found = [one.properties for one in results if one.properties is not None]
        energies.append([one.energy for one in found])
        forces.append([one.forces for one in found])
    return np.array(energies), [np.stack(of) for of in zip(*forces, strict=True)]


def disagreement(forces: Floats) -> float:
    """Return how far potentials disagree on a structure.

    Parameters
    ----------
    forces : ndarray [potential, atom, 3]
        eV/Angstrom.

    Returns
    -------
    float
        eV/Angstrom: the root mean square over atoms and directions of the differences from the
        potentials' mean.
    """
    return float(np.sqrt(forces.var(axis=0).mean()))


def labeled(
    folder: Path, models: Sequence[str], n: int = N_FRAMES
) -> tuple[list[str], dict[str, int]]:
    """Label frames, chosen at random.

    Parameters
    ----------
    folder : Path
        That of `organic.teacher`.
    models : sequence of str
        Files of two potentials or more.
    n : int
        How many frames are labeled. Fewer are returned.

    Returns
    -------
    frames : list of str
        Extended XYZ.
    counts : dict of str to int
        How many frames there are, were labeled, and were kept.

    Raises
    ------
    EqnnError
        As `predictions`.
    """
    found = [
        (
            seed_of(f"committee {path.stem} {k}"),
            str(lot.smiles[k]),
            lot.numbers[k],
            lot.positions[k],
        )
        for path, lot, k in calm_frames(folder)
    ]
    chosen = sorted(found, key=lambda frame: frame[:2])[:n]
    frames = kept(models, [frame[1:] for frame in chosen])
    return frames, {"found": len(found), "labeled": len(chosen), "kept": len(frames)}


def kept(
    models: Sequence[str], structures: Sequence[tuple[str, NDArray[np.int64], Floats]]
) -> list[str]:
    """Label structures, and leave out those on which potentials disagree.

    Parameters
    ----------
    models : sequence of str
        Files of two potentials or more.
    structures : sequence of (name, numbers [atom], positions [atom, 3])
        In Angstrom.

    Returns
    -------
    list of str
        Frames as extended XYZ.

    Raises
    ------
    EqnnError
        As `predictions`.
    """
    energies, forces = predictions(models, [(z, x, None) for _, z, x in structures])
    # With their folders: training calls each of its results model.eqnn.
    names = ", ".join("/".join(Path(model).with_suffix("").parts[-2:]) for model in models)
    frames = []
    for (name, z, x), energy, force in zip(
        structures, energies.mean(axis=0).tolist(), forces, strict=True
    ):
        if not disagreement(force) <= LARGEST_DISAGREEMENT:  # nor NaN
            continue
        said = f'smiles="{name}" level="mean of {names}" energy={energy:.6f} pbc="F F F"'
        rows = [
            f"{chemical_symbols[element]} "
            + " ".join([*(f"{v:.6f}" for v in a), *(f"{v:.5f}" for v in f)])
            for element, a, f in zip(z, x, force.mean(axis=0), strict=True)
        ]
        properties = "Properties=species:S:1:pos:R:3:forces:R:3"
        frames.append("\n".join([str(len(z)), f"{properties} {said}", *rows, ""]))
    return frames


def potentials_error(models: Sequence[str]) -> str | None:
    """Tell why files of potentials are not two or more; None if they are."""
    if len(models) < 2:
        return "found one potential, expected two or more: one agrees with itself"
    paths = [Path(model).resolve() for model in models]
    for k, path in enumerate(paths):
        if path in paths[:k]:
            return f"found {models[k]} twice, expected different potentials: one agrees with itself"
    return None


def output_error(path: Path, inputs: Sequence[str | Path] = ()) -> str | None:
    """Tell why a file cannot be written, before the work that fills it; None if it can.

    Parameters
    ----------
    path : Path
    inputs : sequence of str or Path
        Files that are read, which it would replace.
    """
    if any(path.resolve() == Path(one).resolve() for one in inputs):
        return f"{path}: found it among the inputs, expected another file. It would be replaced"
    if path.is_dir():
        return f"{path}: found a folder, expected a file to write"
    if not path.parent.is_dir():
        return f"{path}: found no folder {path.parent}. Make it first"
    return None


def replace_text(path: Path, text: str) -> None:
    """Write a file, so that there is the whole of it or what was there before.

    Raises
    ------
    EqnnError
        If it cannot be written.
    """
    part = path.with_suffix(f".part{os.getpid()}")
    try:
        part.write_text(text)
        os.replace(part, path)
    except OSError as error:
        raise EqnnError(
            f"{path}: cannot be written ({error.strerror}). Name a file elsewhere"
        ) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the frames."""
    parser = argparse.ArgumentParser(description="Label frames by the mean of trained potentials.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("potentials", nargs="+", help="two files or more")
    parser.add_argument(
        "--frames", type=int, default=N_FRAMES, metavar="N", help=f"label so many ({N_FRAMES})"
    )
    options = parser.parse_args(arguments)
    if options.frames < 1:
        parser.error(f"--frames: found {options.frames}, expected 1 or more")
    problem = potentials_error(options.potentials) or lots_error(options.folder)
    problem = problem or output_error(options.output, options.potentials)
    if problem is not None:
        parser.error(problem)
    try:
        frames, counts = labeled(options.folder, options.potentials, options.frames)
        replace_text(options.output, "".join(frames))
    except EqnnError as error:
        parser.error(str(error))
    print(
        f"Wrote {options.output}: {counts['kept']} frames, of {counts['labeled']} labeled and "
        f"{counts['found']} found."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
