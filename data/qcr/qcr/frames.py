# SPDX-License-Identifier: BSD-3-Clause
"""Frames of the set, and extended XYZ whose bytes depend only on them."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from qcr.errors import QcrError

Value = str | int | float | bool


@dataclass(eq=False)
class Frame:
    """One structure.

    Parameters
    ----------
    energy
        eV.
    positions, forces
        [n_atoms][3]; Angstrom and eV/Angstrom.
    info
        What else its comment line says.
    """

    elements: list[str]
    positions: NDArray[np.float64]
    energy: float
    forces: NDArray[np.float64]
    info: dict[str, Value] = field(default_factory=dict)


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, float):
        return f"{value:.9f}"
    if isinstance(value, str):
        escaped = value.replace("\\", r"\\")  # (Z)-SMILES have backslashes
        return f'"{escaped}"'
    return str(value)


def extended_xyz(frame: Frame) -> str:
    """Write a frame as extended XYZ.

    Positions to 1e-10 Angstrom, the energy to 1e-9 eV, forces to 1e-8 eV/Angstrom.
    """
    info = {"energy": frame.energy, **frame.info, "pbc": "F F F"}
    lines = [
        str(len(frame.elements)),
        "Properties=species:S:1:pos:R:3:forces:R:3 "
        + " ".join(f"{key}={_text(value)}" for key, value in info.items()),
    ]
    for element, r, f in zip(frame.elements, frame.positions, frame.forces, strict=True):
        numbers = " ".join([f"{x:.10f}" for x in r] + [f"{x:.8f}" for x in f])
        lines.append(f"{element} {numbers}")
    return "\n".join(lines) + "\n"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a kill leaves the old one or the new one."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)


def compressed(frames: Iterable[Frame]) -> bytes:
    """Gzipped extended XYZ, without a time in it."""
    return gzip.compress("".join(map(extended_xyz, frames)).encode(), compresslevel=9, mtime=0)


def read_frames(path: Path) -> list[Frame]:
    """Read extended XYZ with energies and forces through ASE. Raises QcrError if damaged."""
    try:
        # Unpacked first: ASE goes back and forth, and each way back in a packed file starts at its
        # beginning: 30 s for the whole set in place of 2.
        text = gzip.decompress(path.read_bytes()).decode()
        images = ase.io.read(StringIO(text), ":", format="extxyz")
        frames = [_frame(atoms) for atoms in images]
    except Exception as error:  # ASE raises whatever comes its way
        raise QcrError(
            f"{path}: no extended XYZ with energy and forces ({type(error).__name__}: {error}). "
            "Download the file again."
        ) from error
    return frames


def _frame(atoms: Atoms) -> Frame:
    def plain(value: object) -> Value:
        if isinstance(value, bool | np.bool_):
            return bool(value)
        if isinstance(value, int | np.integer):
            return int(value)
        return float(value) if isinstance(value, float | np.floating) else str(value)

    return Frame(
        list(atoms.symbols),
        atoms.positions,
        float(atoms.get_potential_energy()),
        atoms.get_forces(),
        {key: plain(value) for key, value in atoms.info.items()},
    )
