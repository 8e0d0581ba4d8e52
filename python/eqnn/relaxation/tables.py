# SPDX-License-Identifier: BSD-3-Clause
"""Tables of relaxations, and the thresholds for good, fair and poor."""

from __future__ import annotations

import math

from eqnn.relaxation.references import NAMED
from eqnn.relaxation.result import Outcome, Result
from eqnn.report import Column, Scale, Table

RMSD = Scale(
    "heavy-atom RMSD from the reference",
    "A",
    0.075,
    0.3,
    (
        "Structures are the reference's: use them without another look.",
        "Bond lengths and angles are right, torsions or ring puckers somewhat off: check what "
        "hangs on them.",
        "The molecule ends in another conformer or falls apart: do not use the structures.",
    ),
)
CONVERGED = Scale(
    "converged",
    "%",
    99.0,
    95.0,
    (
        "The potential is smooth where these structures are.",
        "Some structures need more steps or lead off: look at their reasons.",
        "Many structures lead nowhere: the potential has not seen what they are.",
    ),
    rises=True,
)
BONDS = Scale(
    "bonds kept",
    "%",
    99.5,
    97.0,
    (
        "Molecules stay what they are.",
        "A few react on the way: look at them before the others are used.",
        "Molecules react that must not: do not relax unknown structures with this model.",
    ),
    rises=True,
)
SCALES = (RMSD, CONVERGED, BONDS)
TOO_SMALL = (
    "RMSD: without molecules of fewer than three heavy atoms and cells of one atom, of which it is "
    "a distance or nothing."
)


def percent(fraction: float | int | None) -> float | None:
    """Return a fraction in per cent."""
    return None if fraction is None else 100.0 * fraction


def overview(result: Result) -> Table:
    """Return counts by status, and distances from the references."""
    summary, counts = result.summary(), result.counts()
    table = Table(
        "Relaxations",
        [Column("what"), Column("value", digits=4), Column("unit")],
    )

    def add(what: str, value: float | int | None, unit: str = "") -> None:
        if value is not None:
            table.add(what, value, unit)

    add("structures", summary["structures"])
    for status, count in counts.items():
        if count or status == "converged":
            add(status, count)
    add("steps, median", summary["median_steps"])
    if summary["compared"]:
        add("compared with a reference", summary["compared"])
        if summary["rmsd_counted"] != summary["compared"]:
            add("of these, with an RMSD that counts", summary["rmsd_counted"])
            table.note = TOO_SMALL
        add("heavy-atom RMSD, mean", summary["mean_rmsd"], "A")
        add("heavy-atom RMSD, median", summary["median_rmsd"], "A")
        add("heavy-atom RMSD, largest", summary["largest_rmsd"], "A")
        add(
            "energy of the relaxation, mean absolute error", summary["mean_energy_drop_error"], "eV"
        )
        add("bonds kept", percent(summary["bonds_kept_fraction"]), "%")
        add("steps to those of the reference, median", summary["median_steps_ratio"])
    if result.references.bad:
        add("bad references", len(result.references.bad))
    if result.references.unused:
        add("references of no structure", len(result.references.unused))
    return table


def not_compared(result: Result) -> Table:
    """Return the minima that are not compared, and why; of unmatched ones only the first few."""
    note = "Frames count from 0, as in ASE. Minima of no structure: result.json has all."
    columns = [Column("id"), Column("frame"), Column("found", wraps=True)]
    table = Table("References that are not compared", columns, note=note)
    for one in result.references.bad:
        table.add(one.id, one.number, one.what)
    unused = result.references.unused
    for name in unused[:NAMED]:
        table.add(name, None, f"no structure has this id; {len(unused)} such in all")
    return table


def structures(result: Result) -> Table:
    """Return a row for each structure."""
    table = Table(
        "Structures",
        [
            *(Column("id"), Column("formula"), Column("status"), Column("steps")),
            *(Column("fmax", "eV/A"), Column("energy", "eV", 9), Column("first energy", "eV", 9)),
            Column("RMSD", "A", scale=RMSD),
            *(Column("energy drop error", "eV"), Column("reference steps")),
            *(Column("bonds made"), Column("bonds broken"), Column("reason", wraps=True)),
        ],
    )
    for outcome in result.outcomes:
        table.add(*_row(outcome))
    return table


def _row(outcome: Outcome) -> tuple[str | int | float | None, ...]:
    record, found = outcome.record, outcome.comparison
    known = [
        value if math.isfinite(value) else None
        for value in (record.fmax, record.energy, record.first_energy)
    ]
    compared: tuple[str | int | float | None, ...] = (None, None, None, "", "")
    if found is not None:
        made, broken = " ".join(found.made), " ".join(found.broken)
        compared = (found.rmsd, found.energy_drop_error, found.reference_steps, made, broken)
    formula = record.atoms.get_chemical_formula()
    return record.id, formula, record.status, record.steps, *known, *compared, record.reason


def failures(result: Result) -> Table:
    """Return the structures that did not converge, with the reasons."""
    table = Table("Not converged", [Column("id"), Column("status"), Column("reason", wraps=True)])
    for outcome in result.outcomes:
        if outcome.record.status != "converged":
            table.add(outcome.record.id, outcome.record.status, outcome.record.reason)
    return table
