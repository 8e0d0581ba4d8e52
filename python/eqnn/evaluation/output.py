# SPDX-License-Identifier: BSD-3-Clause
"""The folder of an evaluation: predictions as they arrive, then page, tables and pictures."""

from __future__ import annotations

import os
import re
from pathlib import Path

from eqnn.errors import EqnnError
from eqnn.evaluation.html import page
from eqnn.evaluation.plots import pictures
from eqnn.evaluation.predict import Judged
from eqnn.evaluation.result import Evaluation
from eqnn.evaluation.tables import everything, frames
from eqnn.evaluation.text import text
from eqnn.report import drawing

PREDICTIONS = "predictions"
# Tables and pictures that only some runs have. Other files must not be removed.
_OURS = re.compile(
    r"(parity_(energies|forces)_.*|force_errors|errors_by_set|errors_by_element|speed_and_error)\.png"
    r"|(sets|stages|elements|worst|defects|lammps|problems)\.csv"
)


class Output:
    """A folder that a run fills, and from which the next one continues.

    Parameters
    ----------
    folder : str, Path or None
        Made if it is not there; None writes nothing.
    with_plots : bool
        Whether pictures are drawn.
    """

    def __init__(self, folder: str | Path | None, *, with_plots: bool = True) -> None:
        self.folder = None if folder is None else Path(folder)
        self.with_plots = with_plots
        if self.folder is None:
            return
        if with_plots:
            _require_plots()
        if self.folder.exists() and not self.folder.is_dir():
            raise EqnnError(f"--output {folder}: is a file, expected a folder. Name another path.")
        if self.folder.is_dir() and any(self.folder.iterdir()):
            if not (self.folder / PREDICTIONS).is_dir():
                raise EqnnError(
                    f"--output {folder}: holds files that are not of eqnn evaluate. Give a new or "
                    "empty folder."
                )
        try:
            (self.folder / PREDICTIONS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EqnnError(
                f"--output {folder}: cannot be made ({error.strerror}). Name another path."
            ) from None

    def predictions(self, judged: Judged) -> Path | None:
        """Return the file of a model's predictions; each model has its own."""
        if self.folder is None:
            return None
        name = re.sub(r"[^\w.-]", "_", judged.path.stem)
        file = f"{name}-{judged.model.sha256[:12]}-{judged.precision}.jsonl"
        return self.folder / PREDICTIONS / file

    def write(self, found: Evaluation) -> None:
        """Write all results. Each file is replaced atomically."""
        if self.folder is None:
            return
        drawn = pictures(found) if self.with_plots else {}
        made = {f"{name}.png": content for name, (content, _) in drawn.items()}
        made |= {f"{name}.csv": table.csv().encode() for name, table in everything(found).items()}
        made["frames.csv"] = frames(found).csv().encode()
        # Remove results of an earlier run that this one lacks, or they would look like its own.
        for path in self.folder.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in made:
                path.unlink()
        for name, content in made.items():
            self._put(name, content)
        self._put("report.txt", text(found).encode())
        self._put("result.json", found.json().encode())
        self._put("report.html", page(found, drawn).html().encode())

    def _put(self, name: str, content: bytes) -> None:
        assert self.folder is not None  # asked for by `write` alone
        partial = self.folder / f"{name}.partial"
        try:
            partial.write_bytes(content)
            os.replace(partial, self.folder / name)
        except OSError as error:
            raise EqnnError(
                f"--output {self.folder / name}: cannot be written ({error.strerror}). Fix that, "
                "and run it again: nothing is computed twice."
            ) from None


def _require_plots() -> None:
    with drawing(1.0, 1.0):
        pass
