# SPDX-License-Identifier: BSD-3-Clause
"""Reader of PubChemQCR's own LMDB files.

A key is a PubChem compound number of nine digits. Its value is a gzipped pickle of
``{stage: steps}`` with the stages ``pm3``, ``hf``, ``DFT_1st``, ``DFT_2nd``; steps are None where a
stage is missing. A step is ``{"coordinates": [{"atom", "charge", "x", "y", "z"}], "energy",
"gradient": [{"atom", "charge", "dx", "dy", "dz"}]}`` in Angstrom, Hartree and Hartree/Bohr.
``charge`` is the nuclear charge; one of the codes that made ``DFT_1st`` leaves it out. (AIRS,
OpenMol/TDN/DATABASE.md.)
"""

from __future__ import annotations

import gzip
import io
import pickle
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from qcr.errors import QcrError
from qcr.frames import Frame, extended_xyz
from qcr.units import HARTREE, HARTREE_PER_BOHR

STAGES = ("pm3", "hf", "DFT_1st", "DFT_2nd")

ATOMIC_REFERENCE = {
    "H": -0.5002727762,
    "B": -24.6543539532,
    "C": -37.8462799513,
    "N": -54.5844893657,
    "O": -75.0606214015,
    "F": -99.7155354215,
    "Si": -289.3723539998,
    "P": -341.2580898032,
    "S": -398.1049925382,
    "Cl": -460.1362417086,
    "Br": -2573.8397377628,
}
"""Hartree: B3LYP/6-31G* atoms, as the published training code subtracts them (AIRS,
OpenMol/TDN/data.py). A test computes H, C, N and O again."""


class Damaged(QcrError):
    """A record, stage or step that is not what the format says."""


class _PlainUnpickler(pickle.Unpickler):
    """Builds containers, numbers and strings; refuses a pickle that names anything else."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in {
            ("numpy.core.multiarray", "scalar"),
            ("numpy._core.multiarray", "scalar"),
        }:
            return _scalar
        if (module, name) == ("numpy", "dtype"):
            return _dtype
        raise Damaged(f"the pickle asks for {module}.{name}, expected plain numbers and strings")


def _dtype(code: object, *_: object) -> np.dtype[np.generic]:
    if not (isinstance(code, str) and np.dtype(code).kind in "fiub"):
        raise Damaged(f"the pickle holds a NumPy type {code!r}, expected a number")
    return np.dtype(code)


def _scalar(dtype: object, content: object = b"") -> float:
    if not (isinstance(dtype, np.dtype) and dtype.kind in "fiub" and isinstance(content, bytes)):
        raise Damaged("the pickle holds a NumPy scalar that is no number")
    if len(content) != dtype.itemsize:
        raise Damaged("the pickle holds a NumPy scalar of another size than its type's")
    return float(np.frombuffer(content, dtype)[0])


def decode(value: bytes) -> Mapping[str, object]:
    """Unpack a record without running anything that is in it. Raises Damaged."""
    try:
        record = _PlainUnpickler(io.BytesIO(gzip.decompress(value))).load()
    except Damaged:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise Damaged(f"no gzipped data ({error})") from error
    except Exception as error:  # a damaged pickle raises whatever comes its way
        raise Damaged(f"no pickle ({type(error).__name__}: {error})") from error
    if not isinstance(record, dict):
        raise Damaged(f"a record is a {type(record).__name__}, expected a dict of stages")
    unknown = sorted(str(stage) for stage in set(record) - set(STAGES))
    if unknown:
        raise Damaged(f"unknown stages {', '.join(unknown)}, expected {', '.join(STAGES)}")
    return record


def _number(entry: Mapping[str, object], key: str, where: str) -> float:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise Damaged(f"{where}: {key} is {value!r}, expected a finite number")
    return float(value)


def _atoms(
    step: Mapping[str, object], name: str, axes: Sequence[str], where: str
) -> tuple[list[str], list[list[float]]]:
    entries = step.get(name)
    if not isinstance(entries, list | tuple) or not entries:
        raise Damaged(f"{where}: no {name}")
    elements = []
    for i, entry in enumerate(entries):
        place = f"{where}, {name}[{i}]"
        if not isinstance(entry, dict):
            raise Damaged(f"{place} is a {type(entry).__name__}, expected a dict")
        element = str(entry.get("atom")).strip().capitalize()
        if not atomic_numbers.get(element):
            raise Damaged(f"{place}: atom is {entry.get('atom')!r}, expected an element")
        if entry.get("charge") is not None:
            charge = _number(entry, "charge", place)
            if charge != atomic_numbers[element]:
                raise Damaged(f"{place}: atom {element} has charge {charge:g}")
        elements.append(element)
    return elements, [[_number(entry, axis, where) for axis in axes] for entry in entries]


def _frame(step: object, where: str) -> Frame:
    if not isinstance(step, dict):
        raise Damaged(f"{where} is a {type(step).__name__}, expected a dict")
    elements, positions = _atoms(step, "coordinates", ("x", "y", "z"), where)
    same, gradient = _atoms(step, "gradient", ("dx", "dy", "dz"), where)
    if same != elements:
        raise Damaged(f"{where}: coordinates and gradient are of different atoms")
    energy = _number(step, "energy", where) * HARTREE
    forces = -HARTREE_PER_BOHR * np.array(gradient)
    return Frame(elements, np.array(positions), energy, forces)


def subtract_references(frame: Frame) -> None:
    """Make an energy relative to free atoms. Raises Damaged where an element has no reference."""
    missing = sorted(set(frame.elements) - set(ATOMIC_REFERENCE))
    if missing:
        raise Damaged(f"no reference energy for {', '.join(missing)}")
    frame.energy -= HARTREE * sum(ATOMIC_REFERENCE[element] for element in frame.elements)


@dataclass
class Report:
    """What a conversion found."""

    records: int = 0
    frames: int = 0
    damaged: list[str] = field(default_factory=list)  # one line each, with the key


def frames_of(
    key: bytes, value: bytes, stages: Sequence[str], atomization: bool, report: Report
) -> Iterator[Frame]:
    """All good frames of a record's stages; what is damaged goes to the report with its key."""
    name = key.decode("ascii", errors="backslashreplace")
    report.records += 1
    try:
        if len(name) != 9 or not name.isdigit():
            raise Damaged("the key is no compound number of nine digits")
        record = decode(value)
    except Damaged as error:
        report.damaged.append(f"{name}: {error}")
        return
    for stage in stages:
        steps = record.get(stage)
        if steps is None:  # the format's way to say that there is none
            continue
        if not isinstance(steps, list | tuple):
            report.damaged.append(f"{name}: {stage} is a {type(steps).__name__}, expected a list")
            continue
        first: list[str] | None = None
        for i, step in enumerate(steps):
            try:
                frame = _frame(step, f"{stage}[{i}]")
                first = first or frame.elements
                if frame.elements != first:
                    raise Damaged(f"{stage}[{i}] has other atoms than the steps before it")
                if atomization:
                    subtract_references(frame)
            except Damaged as error:
                report.damaged.append(f"{name}: {error}")
                continue
            frame.info = {"molecule": f"CID{name}", "stage": stage, "step": i}
            report.frames += 1
            yield frame


def convert(
    source: Path,
    target: Path,
    stages: Sequence[str] = ("DFT_1st", "DFT_2nd"),
    atomization: bool = False,
    say: Callable[[str], None] = print,
) -> Report:
    """Convert an LMDB file to gzipped extended XYZ.

    The frames' ``molecule`` is CID and the compound number, as in CID000000887; ``step`` counts
    within a stage as in the file, so that damaged steps leave a gap. Raises QcrError where the
    file cannot be opened or the target exists.
    """
    import lmdb  # heavy machinery that only this function needs

    if not source.exists():
        raise QcrError(f"{source}: no such file; expected an LMDB file such as Data06.lmdb.")
    if target.exists():
        raise QcrError(f"{target} exists already: remove it or name another file.")
    report = Report()
    partial = target.with_name(target.name + ".partial")
    try:
        with lmdb.open(
            str(source), subdir=source.is_dir(), readonly=True, lock=False, readahead=False
        ) as database:
            with database.begin() as transaction, partial.open("wb") as raw:
                with gzip.GzipFile("", "wb", 6, raw, mtime=0) as out:
                    for key, value in transaction.cursor():
                        before = len(report.damaged)
                        for frame in frames_of(key, value, stages, atomization, report):
                            out.write(extended_xyz(frame).encode())
                        for line in report.damaged[before:]:
                            say(f"damaged: {line}")
    except lmdb.Error as error:
        partial.unlink(missing_ok=True)
        raise QcrError(f"{source}: no LMDB file ({error}). Download it again.") from error
    partial.replace(target)
    return report


assert set(ATOMIC_REFERENCE) <= set(chemical_symbols)
