# SPDX-License-Identifier: BSD-3-Clause
"""Write the table of relaxations in docs/benchmarks.md: shipped potentials against DFT minima.

    .eqnn/venv/bin/python bench/relax_shipped.py [--write] [FOLDER]

prints it. With --write it replaces that in the document. With a folder, the full report of each
potential is written there.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks_page import ORGANIC, ROOT, commit, put

from eqnn.model_file import read_model
from eqnn.relaxation import Settings
from eqnn.relaxation.jobs import read_jobs
from eqnn.relaxation.report import write
from eqnn.relaxation.result import Result
from eqnn.relaxation.run import Plan, relax_all
from eqnn.report import number

BEGIN, END = "<!-- relaxations against DFT -->", "<!-- end of relaxations -->"
MODELS = (*ORGANIC, "tdn_3bpa_exact", "mace_solvents", "nequix_mp_1", "sevennet_0")
FILES = ("validation", "test")
HEAD = (
    *("potential", "relaxations", "converged", "no such element", "other ends"),
    *("RMSD, A: mean", "median", "largest", "energy of relaxation, MAE, meV"),
    *("bonds kept", "steps, median", "to DFT's"),
)


def run(model: str, folder: Path) -> Result:
    """Relax both files with a potential; an interrupted run continues."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = read_jobs([ROOT / "data" / "qcr-small" / f"{name}.xyz.gz" for name in FILES])
    path = ROOT / "potentials" / f"{model}.eqnn"
    # A retrained potential has its own records.
    output = folder / f"{model}_{read_model(path).sha256[:12]}.xyz"
    result = relax_all(Plan(path, "double", Settings(), output), jobs)
    write(result, folder / model)
    return result


def row(model: str, result: Result) -> list[str]:
    """Return the cells of a potential."""
    counts, s = result.counts(), result.summary()
    others = len(result.outcomes) - counts["converged"] - counts["unknown_element"]
    n = int(s["compared"] or 0)
    kept = round(n * float(s["bonds_kept_fraction"] or 0))

    def shown(key: str, factor: float = 1.0) -> str:
        value = s[key]
        return "" if value is None else number(factor * value)

    return [
        *(f"`{model}`", str(s["structures"]), str(counts["converged"])),
        *(str(counts["unknown_element"]), str(others)),
        *(shown("mean_rmsd"), shown("median_rmsd"), shown("largest_rmsd")),
        shown("mean_energy_drop_error", 1e3),
        *(f"{kept} of {n}", shown("median_steps"), shown("median_steps_ratio")),
    ]


def text(folder: Path) -> str:
    """Return the table, and the machine and commit."""
    lines, engine = [list(HEAD), ["---"] * len(HEAD)], ""
    for model in MODELS:
        result = run(model, folder)
        engine = f"eqnn {result.provenance['eqnn']}, {result.provenance['engine']}"
        lines.append(row(model, result))
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"Commit {commit()}; {engine}.\n\n{table}\n"


def main() -> None:
    """Print or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        made = text(options.folder or Path(scratch))
    if not options.write:
        print(made)
        return
    put(BEGIN, END, made)


if __name__ == "__main__":
    main()
