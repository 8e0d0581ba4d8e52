# SPDX-License-Identifier: BSD-3-Clause
"""Make the frames on which organic potentials are pretrained, labeled by ANI-1x.

    PYTHONPATH=training:data/qcr python -m organic.teacher frames MOLECULES.txt FOLDER [--part 0/2]
    PYTHONPATH=training:data/qcr python -m organic.teacher join FOLDER

`frames` makes conformers, distorts half of them, runs short Langevin dynamics from 50 to 1500 K
with one of ANI-1x's networks, and labels the frames by all eight. Molecules with the same number of
atoms are computed together, up to 192 at a time (a lot). Each lot is a file in FOLDER, which is
written as a whole, so the same command continues after a kill. `--part` divides the work between
processes. A lot depends on its molecules only. `join` writes FOLDER/train.xyz and FOLDER/watch.xyz
(one molecule of fifty, which no training uses). It leaves out frames that have large forces and
frames on which the networks disagree.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from eqnn.errors import EqnnError
from organic.structures import (
    Floats,
    Molecule,
    conformer,
    distorted,
    needs,
    sampled,
    seed_of,
)

LOT = 192  # molecules
TRAJECTORIES = 2  # of each, from different conformers
KEEP = (16, 32)  # steps
COLDEST, HOTTEST = 50.0, 1500.0  # K
LARGEST_FORCE = 15.0  # eV/Angstrom
LARGEST_DOUBT = 0.06  # eV over the root of the number of atoms
WATCHED = 50  # one molecule of so many
LEVEL = "ANI-1x (torchani 2.2.4), fitted to wB97X/6-31G(d)"


@dataclass(frozen=True)
class Lot:
    """Frames of molecules of one number of atoms.

    Attributes
    ----------
    smiles : ndarray [frame] of str
    numbers : ndarray [frame, atom]
    positions : ndarray [frame, atom, 3]
        Angstrom.
    energies : ndarray [frame]
        eV.
    forces : ndarray [frame, atom, 3]
        eV/Angstrom.
    doubt : ndarray [frame]
        See `Ani1x.energies_and_forces`.
    """

    smiles: NDArray[np.str_]
    numbers: NDArray[np.int64]
    positions: Floats
    energies: Floats
    forces: Floats
    doubt: Floats

    def good(self) -> NDArray[np.bool_]:
        """Tell which frames are fit for learning; not those with NaN."""
        return np.asarray(self._calm() & (self.doubt <= LARGEST_DOUBT))

    def doubtful(self) -> NDArray[np.bool_]:
        """Tell on which frames without large forces the networks disagree."""
        return np.asarray(self._calm() & (self.doubt > LARGEST_DOUBT))

    def _calm(self) -> NDArray[np.bool_]:
        largest = np.linalg.norm(self.forces, axis=-1).max(axis=-1)
        return np.asarray((largest <= LARGEST_FORCE) & np.isfinite(self.energies))


def lots_of(lines: Sequence[tuple[str, int]], size: int = LOT) -> list[list[str]]:
    """Sort molecules into lots.

    Parameters
    ----------
    lines : sequence of (str, int)
        SMILES and number of atoms, hydrogens too.
    size : int
        Largest lot.
    """
    lots: list[list[str]] = []
    for n in sorted({count for _, count in lines}):
        same = [smiles for smiles, count in lines if count == n]
        lots += [same[start : start + size] for start in range(0, len(same), size)]
    return lots


def is_watched(smiles: str) -> bool:
    """Tell whether all frames of a molecule only watch the training."""
    return seed_of(smiles) % WATCHED == 0


def save_atomically(path: Path, lot: Lot) -> None:
    """Write a lot, so that there is the whole file or none."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **vars(lot))
    part = path.with_suffix(f".part{os.getpid()}")
    part.write_bytes(buffer.getvalue())
    os.replace(part, path)


def load(path: Path) -> Lot:
    """Read a lot.

    Raises
    ------
    EqnnError
        If the file is none, or damaged.
    """
    try:
        with np.load(path) as stored:
            return Lot(**{name: stored[name] for name in stored.files})
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise EqnnError(
            f"{path}: cannot be read as a lot of frames ({error}). Delete it; organic.teacher "
            "makes it anew"
        ) from error


def calm_frames(
    folder: Path, fewest: int = 0, most: int | None = None
) -> Iterator[tuple[Path, Lot, int]]:
    """Yield all frames without large forces, of molecules that do not only watch.

    Parameters
    ----------
    folder : Path
        Has the lots.
    fewest, most : int
        Heavy atoms of the molecules; None: of any number.

    Yields
    ------
    path, lot, frame : Path, Lot, int
    """
    for path in lot_paths(folder):
        lot = load(path)
        heavy = (lot.numbers > 1).sum(axis=1)
        wanted = (lot.good() | lot.doubtful()) & (heavy >= fewest)
        if most is not None:
            wanted &= heavy <= most
        for k in np.flatnonzero(wanted).tolist():
            if not is_watched(str(lot.smiles[k])):
                yield path, lot, k


def lot_paths(folder: Path) -> list[Path]:
    """Return the files of all lots in a folder."""
    return sorted(folder.glob("lot*.npz"))


def lots_error(folder: Path) -> str | None:
    """Tell why a folder has no lots; None if it has."""
    if lot_paths(folder):
        return None
    return (
        f"{folder}: found no lot*.npz. Expected the folder that `python -m organic.teacher frames` "
        "made"
    )


def starts(smiles: Sequence[str]) -> Iterator[tuple[Molecule, Floats, float]]:
    """Yield molecules, where their trajectories start, and temperatures."""
    for one in smiles:
        for k in range(TRAJECTORIES):
            seed = seed_of(f"{one} {k}")
            molecule = conformer(one, seed)
            if molecule is None:
                continue
            draw = np.random.default_rng(seed)
            temperature = draw.uniform(COLDEST, HOTTEST)
            calm = draw.random() < 0.5
            yield molecule, molecule.positions if calm else distorted(molecule, draw), temperature


def make_lot(smiles: Sequence[str]) -> Lot | None:
    """Make and label the frames of a lot; None where no molecule has a conformer."""
    from organic.ani import Ani1x

    teacher = Ani1x()
    found = list(starts(smiles))
    if not found:
        return None
    numbers = np.array([molecule.numbers for molecule, _, _ in found])
    first = np.stack([x for _, x, _ in found])
    temperatures = np.array([t for _, _, t in found])

    def forces(x: Floats) -> Floats:
        return teacher.energies_and_forces(numbers, x, networks=1)[1]

    draw = np.random.default_rng(seed_of(" ".join(smiles)))
    frames = [first, *sampled(first, temperatures, forces, KEEP, draw)]
    labels = [teacher.energies_and_forces(numbers, x) for x in frames]
    names = [molecule.smiles for molecule, _, _ in found]
    return Lot(
        np.array(names * len(frames)),
        np.concatenate([numbers] * len(frames)),
        np.concatenate(frames),
        *(np.concatenate([label[k] for label in labels]) for k in range(3)),
    )


def run_frames(list_of_molecules: Path, folder: Path, part: int, parts: int) -> int:
    """Make the lots that are missing."""
    try:
        smiles = list_of_molecules.read_text().split()
    except (OSError, UnicodeError) as error:
        raise EqnnError(f"{list_of_molecules}: cannot be read as a list ({error})") from error
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    lines = [(s, Chem.AddHs(Chem.MolFromSmiles(s)).GetNumAtoms()) for s in smiles]
    lots = list(enumerate(lots_of(lines)))[part::parts]
    folder.mkdir(parents=True, exist_ok=True)
    began, made, left = time.monotonic(), 0, sum(not lot_path(folder, k).exists() for k, _ in lots)
    for k, lot in lots:
        if lot_path(folder, k).exists():
            continue
        result = make_lot(lot)
        if result is not None:
            save_atomically(lot_path(folder, k), result)
        made += 1
        seconds = (time.monotonic() - began) / made * (left - made)
        n = 0 if result is None else len(result.energies)
        print(f"lot {k}: {n} frames; {left - made} lots and {seconds:.0f} s left", flush=True)
    return 0


def lot_path(folder: Path, k: int) -> Path:
    """Return where a lot is."""
    return folder / f"lot{k:04d}.npz"


def write_frame(out: TextIO, lot: Lot, k: int) -> None:
    """Write a frame as extended XYZ."""
    n = lot.numbers.shape[1]
    out.write(
        f'{n}\nProperties=species:S:1:pos:R:3:forces:R:3 smiles="{lot.smiles[k]}" '
        f'level="{LEVEL}" energy={lot.energies[k]:.6f} pbc="F F F"\n'
    )
    for z, x, f in zip(lot.numbers[k], lot.positions[k], lot.forces[k], strict=True):
        row = " ".join([*(f"{v:.6f}" for v in x), *(f"{v:.5f}" for v in f)])
        out.write(f"{chemical_symbols[z]} {row}\n")


def run_join(folder: Path) -> int:
    """Write the set from its lots."""
    problem = lots_error(folder)
    if problem is not None:
        raise EqnnError(problem)
    paths = lot_paths(folder)
    counts = {"train": 0, "watch": 0, "left out": 0}
    molecules: dict[str, set[str]] = {"train": set(), "watch": set()}
    parts = {name: (folder / f"{name}.xyz.part").open("w") for name in molecules}
    for path in paths:
        lot = load(path)
        for k, good in enumerate(lot.good()):
            name = "watch" if is_watched(str(lot.smiles[k])) else "train"
            if not good:
                counts["left out"] += 1
                continue
            write_frame(parts[name], lot, k)
            counts[name] += 1
            molecules[name].add(str(lot.smiles[k]))
    for name, part in parts.items():
        part.close()
        target = folder / f"{name}.xyz"
        os.replace(part.name, target)
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        print(
            f"{target}: {counts[name]} frames of {len(molecules[name])} molecules, SHA-256 {digest}"
        )
    print(f"{counts['left out']} frames left out, of {len(paths)} lots.")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command."""
    parser = argparse.ArgumentParser(description="Make the set for pretraining.")
    commands = parser.add_subparsers(dest="command", required=True)
    frames = commands.add_parser("frames", help="make and label frames")
    frames.add_argument("molecules", type=Path)
    frames.add_argument("folder", type=Path)
    frames.add_argument("--part", default="0/1", help="K/N: each N-th lot, from K on")
    join = commands.add_parser("join", help="write the set from its lots")
    join.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.command == "join":
            return run_join(options.folder)
        part, parts = part_of(options.part)
        return run_frames(options.molecules, options.folder, part, parts)
    except EqnnError as error:
        parser.error(str(error))
    except ImportError as error:
        parser.error(needs(error))


def part_of(text: str) -> tuple[int, int]:
    """Read K/N.

    Raises
    ------
    EqnnError
        If it is no such text, or K is none of 0 to N - 1.
    """
    words = text.split("/")
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        raise EqnnError(f"--part: found {text}, expected K/N, for example 0/2")
    part, parts = (int(word) for word in words)
    if part >= parts:
        raise EqnnError(f"--part: found {text}, expected K below N: 0/2 and 1/2 are the halves")
    return part, parts


if __name__ == "__main__":
    sys.exit(main())
