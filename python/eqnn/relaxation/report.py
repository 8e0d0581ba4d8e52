# SPDX-License-Identifier: BSD-3-Clause
"""The folder of a report: page, tables, pictures and JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

from eqnn.errors import EqnnError
from eqnn.relaxation.plots import PICTURES, pictures
from eqnn.relaxation.result import Result
from eqnn.relaxation.tables import (
    BONDS,
    CONVERGED,
    RMSD,
    SCALES,
    failures,
    not_compared,
    overview,
    percent,
    structures,
)
from eqnn.report import Grade, Page, Scale, number

MEANING = (
    "What is relaxed well is a minimum of the model; how far that is from the reference says how "
    "good the model is near minima. RMSD: heavy atoms, turned onto the reference, like atoms "
    "exchanged as the molecule's symmetry allows."
)


def text(result: Result) -> str:
    """Return the overview, and what did not converge, for a terminal."""
    parts = [overview(result).text()]
    for table in (not_compared(result), failures(result)):
        if table.rows:
            parts.append(table.text())
    return "\n\n".join(parts) + "\n"


def write(result: Result, folder: Path, *, with_plots: bool = True) -> None:
    """Write ``report.html``, ``result.json``, tables as text and CSV, and pictures."""
    drawn = pictures(result) if with_plots else {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files: dict[str, bytes] = {
            "result.json": (json.dumps(result.document(), indent=1) + "\n").encode(),
            "report.txt": text(result).encode(),
            "structures.csv": structures(result).csv().encode(),
            **{f"{name}.png": content for name, (content, _) in drawn.items()},
        }
        # Remove results of an earlier run that this one lacks, or they would look like its own.
        for name in PICTURES - set(drawn):
            (folder / f"{name}.png").unlink(missing_ok=True)
        for name, content in files.items():
            partial = folder / f"{name}.partial"
            partial.write_bytes(content)
            os.replace(partial, folder / name)
        page(result, list(drawn.values())).write(folder / "report.html")
    except OSError as error:
        raise EqnnError(
            f"--report {folder}: cannot be written ({error.strerror}). Name another folder."
        ) from None


def page(result: Result, drawn: list[tuple[bytes, str]]) -> Page:
    """Return the page of these relaxations."""
    summary = result.summary()
    one = Page("Relaxations", " · ".join(result.provenance.values()))
    section = one.section("Overview").text(MEANING)
    section.cards(
        [
            _card("converged", percent(summary["converged_fraction"]), CONVERGED),
            _card("heavy-atom RMSD, mean", summary["mean_rmsd"], RMSD),
            _card("bonds kept", percent(summary["bonds_kept_fraction"]), BONDS),
        ]
    )
    section.table(overview(result), with_title=False)
    if drawn:
        one.section("Pictures").pictures(drawn)
    if (failed := failures(result)).rows:
        one.section("Not converged").table(failed, is_long=True, with_title=False)
    if (bad := not_compared(result)).rows:
        one.section(bad.title).table(bad, is_long=len(bad.rows) > 20, with_title=False)
    one.section("Structures").table(structures(result), is_long=True, with_title=False)
    one.section("What is good").scales(SCALES)
    one.foot = "; ".join(f"{key} {value}" for key, value in result.provenance.items())
    return one


def _card(name: str, value: float | int | None, scale: Scale) -> tuple[str, str, str, Grade]:
    if value is None:
        return name, "none", "nothing that counts was compared with a reference", Grade.NONE
    return name, f"{number(float(value))} {scale.unit}", scale.meaning(value), scale.grade(value)
