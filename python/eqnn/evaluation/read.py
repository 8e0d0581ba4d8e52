# SPDX-License-Identifier: BSD-3-Clause
"""Reads frames: any format of ASE, gzipped or not, and PubChemQCR's LMDB."""

from __future__ import annotations

import gzip
import importlib
import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect

from eqnn.built import ROOT
from eqnn.errors import EqnnError, one_line
from eqnn.evaluation.frame import Frame, Keys, Kind, Problem, frame_of

# Stages of PubChemQCR: the others are other levels of theory.
DFT_STAGES = ("DFT_1st", "DFT_2nd")


def set_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file: without suffixes, and with folders if two are the same."""
    stems = [path.name.removesuffix(".gz").rsplit(".", 1)[0] or path.name for path in paths]
    deepest = max((len(path.parts) for path in paths), default=1)
    by_depth = [
        ["/".join([*path.parts[-depth:-1], stem]) for path, stem in zip(paths, stems, strict=True)]
        for depth in range(1, deepest + 1)
    ]
    found = [
        next((names[k] for names in by_depth if names.count(names[k]) == 1), str(path))
        for k, path in enumerate(paths)
    ]
    # A frame is identified by its set's name and its number.
    return found if len(set(found)) == len(found) else [str(path) for path in paths]


def read_frames(path: Path, set_name: str, keys: Keys) -> Iterator[Frame | Problem]:
    """Read all frames of a file, good and bad, in order.

    Parameters
    ----------
    path : Path
        Extended XYZ, an ASE database, or anything else that ASE reads, gzipped or not; or an LMDB
        file or folder of PubChemQCR.
    set_name : str
        What frames and problems call the file.
    keys : Keys
        Where labels are.

    Raises
    ------
    EqnnError
        If there is no such file.
    """
    if not path.exists():
        raise EqnnError(f"{path}: no such file. Give the path of a file with DFT frames.")
    for number, found in read_atoms(path):
        if isinstance(found, str):
            yield Problem(Kind.UNREADABLE, set_name, number, found)
        else:
            yield frame_of(found, set_name, number, keys)


def is_lmdb(path: Path) -> bool:
    """Whether a path is PubChemQCR's LMDB, as a file or a folder."""
    return (path.is_file() and path.suffix == ".lmdb") or (path / "data.mdb").exists()


def read_atoms(path: Path) -> Iterator[tuple[int, Atoms | str]]:
    """Read any format of ASE, gzipped or not: numbers and frames, or why one cannot be read.

    PubChemQCR's LMDB is read too. An unreadable frame also has a number.
    """
    if is_lmdb(path):
        yield from _read_lmdb(path)
        return
    with _unpacked(path) as plain:
        yield from (_read_database if plain.suffix == ".db" else _read_ase)(plain)


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """Yield the file itself, or a temporary unpacked copy: ASE is slow with packed files."""
    if path.suffix != ".gz":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.name.removesuffix(".gz")
        try:
            with gzip.open(path) as packed, plain.open("wb") as out:
                shutil.copyfileobj(packed, out)
        except (OSError, EOFError) as error:
            raise EqnnError(
                f"{path}: cannot be unpacked ({one_line(error)}). Download the file again."
            ) from None
        yield plain


def _read_ase(path: Path) -> Iterator[tuple[int, Atoms | str]]:
    """Numbers and frames; for an unreadable one, ASE's message."""
    start = 0
    while True:
        try:
            for atoms in ase.io.iread(path, index=slice(start, None)):
                yield start, atoms
                start += 1
            return
        except Exception as error:  # ASE's readers raise whatever they meet
            said = one_line(error)
        # ASE may have read ahead: all frames before the broken one are still readable.
        broken = _first_broken(path, start)
        for atoms in ase.io.iread(path, index=slice(start, broken)) if broken > start else ():
            yield start, atoms
            start += 1
        if not _can_read(path, broken + 1, broken + 2):
            yield broken, f"ASE cannot read it, nor what comes after ({said})"
            return
        yield broken, f"ASE cannot read it ({said})"
        start = broken + 1


def _read_database(path: Path) -> Iterator[tuple[int, Atoms | str]]:
    """Read an ASE database as `_read_ase` does, which leaves out what a row says of itself."""
    number = 0
    try:
        with connect(path) as database:
            for row in database.select():
                yield number, row.toatoms(add_additional_information=True)
                number += 1
    except Exception as error:  # ASE's databases raise whatever they meet
        yield number, f"ASE cannot read it, nor what comes after ({one_line(error)})"


def _can_read(path: Path, start: int, stop: int) -> bool:
    try:
        for _ in ase.io.iread(path, index=slice(start, stop)):
            pass
    except Exception:
        return False
    return True


def _first_broken(path: Path, start: int) -> int:
    """Return the number of the first unreadable frame, by bisection."""
    good, step, grows = start, 1, True
    while step:
        if _can_read(path, good, good + step):
            good += step
            step = step * 2 if grows else step // 2
        else:
            step, grows = step // 2, False
    return good


# ---- PubChemQCR ----


def _read_lmdb(path: Path) -> Iterator[tuple[int, Atoms | str]]:
    published, lmdb = _lmdb_reader(path)
    numbers = itertools.count()
    try:
        with (
            lmdb.open(
                str(path), subdir=path.is_dir(), readonly=True, lock=False, readahead=False
            ) as database,
            database.begin() as transaction,
        ):
            for key, value in transaction.cursor():
                for found in _steps(published, key, value):
                    yield next(numbers), found
    except lmdb.Error as error:
        raise EqnnError(f"{path}: no LMDB file ({one_line(error)}). Download it again.") from None


def _steps(published: Any, key: bytes, value: bytes) -> Iterator[Atoms | str]:
    """Yield a record's steps in order: each as a frame, or what is damaged."""
    report = published.Report()
    said = 0
    for one in published.frames_of(key, value, DFT_STAGES, False, report):
        yield from report.damaged[said:]
        said = len(report.damaged)
        yield _atoms(one)
    yield from report.damaged[said:]


def _lmdb_reader(path: Path) -> tuple[Any, Any]:
    """Load the reader of the data set's tools, which are not part of this package."""
    tools = ROOT / "data" / "qcr"
    if (tools / "qcr").is_dir() and str(tools) not in sys.path:
        sys.path.append(str(tools))
    try:
        return importlib.import_module("qcr.published"), importlib.import_module("lmdb")
    except ImportError as error:
        raise EqnnError(
            f"{path}: reading LMDB needs {error.name}, which is not installed: `pip install lmdb`, "
            "and data/qcr of\neqnn's source tree in PYTHONPATH. Or give extended XYZ."
        ) from None


def _atoms(one: Any) -> Atoms:
    atoms = Atoms(one.elements, one.positions)
    atoms.info = dict(one.info)
    atoms.calc = SinglePointCalculator(atoms, energy=one.energy, forces=one.forces)
    return atoms
