# SPDX-License-Identifier: BSD-3-Clause
"""The output: an extended XYZ file that only grows, and from which the next run continues."""

from __future__ import annotations

import fcntl
import io
import math
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import ase.io
import numpy as np
from ase import Atoms

from eqnn.errors import EqnnError
from eqnn.relaxation.many import Relaxed

_NUMBERS = ("fmax", "energy", "first_energy")


@dataclass(frozen=True)
class Record:
    """The output's entry for a structure.

    Attributes
    ----------
    id : str
    start : str
        Hash of its start.
    run : str
        Model and options that it was relaxed with.
    status, reason : str
    steps : int
    fmax, energy, first_energy : float
        As in `Relaxed`.
    atoms : Atoms
    """

    id: str
    start: str
    run: str
    status: str
    reason: str
    steps: int
    fmax: float
    energy: float
    first_energy: float
    atoms: Atoms


def record_of(id_: str, start: str, run: str, relaxed: Relaxed) -> Record:
    """Return the record of a structure's result."""
    reason = " ".join(relaxed.reason.split())  # a line of the file has one
    return Record(
        *(id_, start, run, relaxed.status, reason, relaxed.steps),
        *(relaxed.fmax, relaxed.energy, relaxed.first_energy, relaxed.atoms),
    )


def text_of(record: Record) -> str:
    """Return a record as a frame of extended XYZ, which ASE reads with energy and forces."""
    atoms = record.atoms
    words = [f"id={_quoted(record.id)}", f"status={record.status}", f"steps={record.steps}"]
    words += [
        f"{name}={getattr(record, name):.12g}"
        for name in _NUMBERS
        if math.isfinite(getattr(record, name))
    ]
    if record.reason:
        words.append(f"reason={_quoted(record.reason)}")
    words += [f"start={_quoted(record.start)}", f"run={_quoted(record.run)}"]
    forces = None if atoms.calc is None else atoms.calc.results.get("forces")
    columns = "species:S:1:pos:R:3" + ("" if forces is None else ":forces:R:3")
    words.append(f"Properties={columns}")
    if atoms.pbc.any():
        words.append('Lattice="' + " ".join(f"{x:.12g}" for x in atoms.cell.array.ravel()) + '"')
    words.append('pbc="' + " ".join("FT"[int(periodic)] for periodic in atoms.pbc) + '"')
    rows = atoms.positions if forces is None else np.hstack([atoms.positions, forces])
    lines = [f"{len(atoms)}", " ".join(words)]
    for symbol, row in zip(atoms.symbols, rows, strict=True):
        lines.append(f"{symbol} " + " ".join(f"{x:.10f}" for x in row))
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return a word of a comment line: what would end it early is left out."""
    return '"' + " ".join(text.replace('"', "'").replace("\\", "/").split()) + '"'


class Output:
    """The file of records.

    Parameters
    ----------
    path : Path
        Created if missing. A record that a kill truncated is removed.

    Attributes
    ----------
    records : dict of str to Record
        Those that are there, by id.
    torn : int
        Bytes of a record that was cut short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, Record] = {}
        self.torn = 0
        try:
            self._file = path.open("ab+")
        except OSError as error:
            raise EqnnError(
                f"--output {path}: cannot be written ({error.strerror}). Name another path."
            ) from None
        try:
            # Locked until the file is closed: otherwise two runs would do the same work.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise EqnnError(
                f"--output {path}: another process writes it. Wait for that one, or name another "
                "path."
            ) from None
        try:
            self._take_up()
        except EqnnError:
            self._file.close()
            raise

    def add(self, record: Record) -> None:
        """Append a record in one write."""
        self.records[record.id] = record
        self._file.write(text_of(record).encode())
        self._file.flush()

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def _take_up(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        end = 0
        while (found := _next_record(content, end, self.path)) is not None:
            record, end = found
            self.records[record.id] = record
        self.torn = len(content) - end
        if self.torn:
            self._require_torn(content[end:])
            self._file.truncate(end)
        self._file.seek(0, os.SEEK_END)

    def _require_torn(self, rest: bytes) -> None:
        """Refuse to remove bytes that are not the beginning of a record, which no kill leaves."""
        count, _, comment = rest.partition(b"\n")
        begins = b'id="'[: len(comment)]
        if not count.strip().isdigit() or not comment.startswith(begins):
            raise EqnnError(
                f"--output {self.path}: holds what `eqnn relax` did not write, and stays as it is. "
                "Name another path."
            )


def _next_record(content: bytes, begin: int, path: Path) -> tuple[Record, int] | None:
    """Return the record that begins here, and its end; None if it is truncated."""
    lines: list[str] = []
    end = begin
    n_lines = 2
    while len(lines) < n_lines:
        stop = content.find(b"\n", end)
        if stop < 0:
            return None
        lines.append(content[end:stop].decode(errors="replace"))
        end = stop + 1
        if len(lines) == 1:
            if not lines[0].strip().isdigit():
                return None
            n_lines = 2 + int(lines[0])
    return _parsed(lines, path), end


def _parsed(lines: list[str], path: Path) -> Record:
    said = dict(word.partition("=")[::2] for word in shlex.split(lines[1]))
    try:
        values = {name: float(said.get(name, "nan")) for name in _NUMBERS}
        text = "\n".join(lines) + "\n"
        atoms = ase.io.read(io.StringIO(text), format="extxyz") if len(lines) > 2 else Atoms()
        assert isinstance(atoms, Atoms)
        return Record(
            *(said["id"], said["start"], said["run"], said["status"], said.get("reason", "")),
            *(int(said["steps"]), values["fmax"], values["energy"], values["first_energy"]),
            atoms,
        )
    except (KeyError, ValueError):
        raise EqnnError(
            f"--output {path}: holds frames that `eqnn relax` did not write, and stays as it is. "
            "Name another path."
        ) from None
