# SPDX-License-Identifier: BSD-3-Clause
"""Keeps a model's predictions on disk line by line, so that a kill loses only the last lines."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from eqnn.errors import EqnnError
from eqnn.so3 import FloatArray

FORMAT = "eqnn predictions 1"


@dataclass(frozen=True, eq=False)
class Prediction:
    """A model's prediction for a structure.

    Attributes
    ----------
    key : str
        Hash of the structure.
    energy : float
        eV; NaN where it was refused.
    forces : ndarray [n, 3]
        eV/Angstrom.
    virial : ndarray [3, 3] or None
        eV; None for direct forces.
    seconds : float
        Time per atom, in the call that included the structure.
    refused : str
        Why the engine refused the structure; empty if it did not.
    """

    key: str
    energy: float
    forces: FloatArray
    virial: FloatArray | None
    seconds: float
    refused: str = ""


class Journal:
    """A file of predictions of one model in one precision.

    Parameters
    ----------
    path : Path or None
        The file, made if it is not there; None keeps nothing.
    sha256 : str
        Of the model.
    precision : str
    """

    def __init__(self, path: Path | None, sha256: str, precision: str) -> None:
        self.path = path
        self.known: dict[str, Prediction] = {}
        self._head = {"format": FORMAT, "model": sha256, "precision": precision}
        self._file: IO[bytes] | None = None
        if path is not None:
            self._file = _opened(path)
            try:
                self._load(path, self._file)
            except EqnnError:
                self.close()
                raise

    def _load(self, path: Path, file: IO[bytes]) -> None:
        file.seek(0)
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):  # the line that a kill cut short
            file.truncate(whole)
        lines = content[:whole].splitlines()
        for k, line in enumerate(lines):
            try:
                entry = json.loads(line)
                if k == 0 and entry != self._head:
                    raise ValueError
                if k > 0:
                    self._take(_read(entry))
            except (ValueError, KeyError, TypeError):
                raise EqnnError(
                    f"{path}:{k + 1}: is not a line of this model's predictions. "
                    "Remove the file: its frames are then computed again."
                ) from None
        if not lines:
            self._write([self._head])

    def _take(self, prediction: Prediction) -> None:
        self.known[prediction.key] = prediction

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Keep predictions; they are on disk when this returns."""
        for prediction in predictions:
            self._take(prediction)
        self._write([_written(prediction) for prediction in predictions])

    def _write(self, entries: Sequence[dict[str, Any]]) -> None:
        if self._file is None:
            return
        try:
            self._file.write(b"".join(json.dumps(e).encode() + b"\n" for e in entries))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise EqnnError(
                f"{self.path}: cannot be written ({error.strerror}). Free some space and run it "
                "again: it continues from here."
            ) from None

    def close(self) -> None:
        """Release the file for other processes."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _opened(path: Path) -> IO[bytes]:
    """Open a journal for this process alone."""
    try:
        file = path.open("a+b")
    except OSError as error:
        raise EqnnError(
            f"{path}: cannot be opened ({error.strerror}). Give another --output."
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise EqnnError(
            f"{path}: another process writes it. Wait for that one, or give another --output."
        ) from None
    return file


def _written(prediction: Prediction) -> dict[str, Any]:
    if prediction.refused:
        return {"key": prediction.key, "refused": prediction.refused}
    return {
        "key": prediction.key,
        "energy": prediction.energy,
        "forces": prediction.forces.tolist(),
        "virial": None if prediction.virial is None else prediction.virial.tolist(),
        "seconds": prediction.seconds,
    }


def _read(entry: dict[str, Any]) -> Prediction:
    if "refused" in entry:
        return refusal(entry["key"], str(entry["refused"]))
    virial = None if entry["virial"] is None else np.array(entry["virial"]).reshape(3, 3)
    forces = np.array(entry["forces"], dtype=np.float64).reshape(-1, 3)
    return Prediction(
        str(entry["key"]), float(entry["energy"]), forces, virial, float(entry["seconds"])
    )


def refusal(key: str, why: str) -> Prediction:
    """Return the entry of a structure that the engine refused."""
    return Prediction(key, np.nan, np.zeros((0, 3)), None, np.nan, why)
