# SPDX-License-Identifier: BSD-3-Clause
"""The results of many structures: counts, distances from references, and the same as JSON."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ase import Atoms

from eqnn.c_relax import STATUSES
from eqnn.relaxation.compare import Comparison, compare
from eqnn.relaxation.jobs import Job
from eqnn.relaxation.records import Record
from eqnn.relaxation.references import References

SCHEMA = "eqnn-relax-1"


@dataclass(frozen=True)
class Outcome:
    """A record, and how far it is from its reference."""

    record: Record
    comparison: Comparison | None


@dataclass(frozen=True)
class Result:
    """All outcomes, in the order of the input.

    Attributes
    ----------
    outcomes : sequence of Outcome
    provenance : mapping of str to str
        Model, options, versions.
    references : References
        Minima that are not compared.
    """

    outcomes: Sequence[Outcome]
    provenance: Mapping[str, str]
    references: References = field(default_factory=References)

    def counts(self) -> dict[str, int]:
        """Return the number of structures in each status."""
        found = Counter(outcome.record.status for outcome in self.outcomes)
        return {status: found[status] for status in STATUSES}

    def compared(self) -> list[tuple[Record, Comparison]]:
        """Return those that have converged and have a reference."""
        return [
            (outcome.record, outcome.comparison)
            for outcome in self.outcomes
            if outcome.comparison is not None and outcome.record.status == "converged"
        ]

    def summary(self) -> dict[str, float | int | None]:
        """Return the few most important numbers; None if there is no data for them."""
        records = [outcome.record for outcome in self.outcomes]
        steps = [record.steps for record in records if record.status == "converged"]
        pairs = [comparison for _, comparison in self.compared()]
        distances = [pair.rmsd for pair in pairs if pair.rmsd is not None and pair.rmsd_counts]
        drops = [
            abs(pair.energy_drop_error) for pair in pairs if pair.energy_drop_error is not None
        ]
        kept = [pair for pair in pairs if not pair.made and not pair.broken]
        ratios = [pair.steps / pair.reference_steps for pair in pairs if pair.reference_steps]
        return {
            "structures": len(records),
            "converged": len(steps),
            "converged_fraction": len(steps) / len(records) if records else None,
            "median_steps": statistics.median(steps) if steps else None,
            "compared": len(pairs),
            "rmsd_counted": len(distances),
            "mean_rmsd": statistics.fmean(distances) if distances else None,
            "median_rmsd": statistics.median(distances) if distances else None,
            "largest_rmsd": max(distances) if distances else None,
            "mean_energy_drop_error": statistics.fmean(drops) if drops else None,
            "bonds_kept_fraction": len(kept) / len(pairs) if pairs else None,
            "median_steps_ratio": statistics.median(ratios) if ratios else None,
        }

    def document(self) -> dict[str, Any]:
        """Return everything for JSON; docs/relax.md describes the keys."""
        return {
            "schema": SCHEMA,
            "provenance": dict(self.provenance),
            "counts": self.counts(),
            "summary": self.summary(),
            "bad_references": [asdict(one) for one in self.references.bad],
            "unused_references": list(self.references.unused),
            "structures": [_entry(outcome) for outcome in self.outcomes],
        }


def _entry(outcome: Outcome) -> dict[str, Any]:
    record = outcome.record
    entry: dict[str, Any] = {
        "id": record.id,
        "formula": record.atoms.get_chemical_formula(),
        "atoms": len(record.atoms),
        "status": record.status,
        "reason": record.reason,
        "steps": record.steps,
    }
    for name in ("fmax", "energy", "first_energy"):
        value = getattr(record, name)
        entry[name] = value if math.isfinite(value) else None
    entry["reference"] = None if outcome.comparison is None else asdict(outcome.comparison)
    return entry


def outcomes_of(jobs: Sequence[Job], records: Mapping[str, Record]) -> list[Outcome]:
    """Compare finished structures with the references, in the order of the jobs."""
    return [_outcome(job, records[job.id]) for job in jobs if job.id in records]


def _outcome(job: Job, record: Record) -> Outcome:
    if job.reference is None or record.status not in ("converged", "max_steps"):
        return Outcome(record, None)
    comparison = compare(
        record.atoms,
        job.reference,
        (record.first_energy - record.energy, _drop(job.atoms, job.reference)),
        (record.steps, job.reference_steps),
    )
    return Outcome(record, comparison)


def _drop(first: Atoms | None, last: Atoms) -> float | None:
    """Return the decrease of the reference's energy, eV, if both ends have one."""
    ends = [_energy(first), _energy(last)]
    return None if ends[0] is None or ends[1] is None else ends[0] - ends[1]


def _energy(atoms: Atoms | None) -> float | None:
    if atoms is None or atoms.calc is None:
        return None
    energy = atoms.calc.results.get("energy")
    return None if energy is None else float(energy)
