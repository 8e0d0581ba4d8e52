# SPDX-License-Identifier: BSD-3-Clause
"""An evaluation as text for a terminal."""

from __future__ import annotations

from eqnn.evaluation.result import Evaluation
from eqnn.evaluation.tables import everything


def text(found: Evaluation) -> str:
    """Return all tables, and the meaning of the marks."""
    parts = []
    for name, table in everything(found).items():
        if name == "sets" and len(found.sets) == 1:
            continue
        parts.append(table.text())
    parts.append("~ fair, ! poor; the page (--output) says what each means for MD.")
    parts.append("; ".join(f"{key} {value}" for key, value in found.provenance.items()))
    return "\n\n".join(parts) + "\n"
