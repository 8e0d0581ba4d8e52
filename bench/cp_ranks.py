# SPDX-License-Identifier: BSD-3-Clause
"""Rank of a coupling's factors against error and defect: table and plot.

    python bench/cp_ranks.py scan FOLDER --l-max 2 [--even] --ranks 20,22,24,26 [--seeds 3]
    python bench/cp_ranks.py plot FOLDER IMAGE.png

`scan` adds missing ranks to FOLDER/ranks.csv, so that it can continue after a kill. It takes the
best of several random starts; an exact one ends the search. `plot` prints the table as Markdown
and draws it.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from pathlib import Path

import numpy as np

from eqnn.decompose import State, alternating_least_squares, coupling, decompose, generic_rank
from eqnn.so3 import FloatArray, equivariance_defect

_FIELDS = ("l_max", "even", "rank", "error", "defect", "largest", "seed", "steps")
_EXACT = 3e-14


def main() -> int:
    """Scan ranks, or draw what was scanned."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("scan", "plot"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("image", type=Path, nargs="?")
    parser.add_argument("--l-max", type=int, default=2)
    parser.add_argument("--even", action="store_true")
    parser.add_argument("--ranks", default="")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    path = options.folder / "ranks.csv"
    if options.what == "plot":
        return _plot(_read(path), options.image)
    options.folder.mkdir(parents=True, exist_ok=True)
    known = {(row["l_max"], row["even"], row["rank"]) for row in _read(path)}
    for rank in (int(word) for word in options.ranks.split(",")):
        key = (str(options.l_max), str(int(options.even)), str(rank))
        if key in known:
            continue
        row = dict(zip(_FIELDS[:3], key, strict=True)) | _best(options, rank)
        print(row, flush=True)
        is_new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, _FIELDS)
            if is_new:
                writer.writeheader()
            writer.writerow(row)
    return 0


def _best(options: argparse.Namespace, rank: int) -> dict[str, str]:
    """Decompose from several starts, and return the row of the best."""
    tensor = coupling(options.l_max, options.even)
    best: dict[str, str] = {}
    least = math.inf
    for seed in range(1, options.seeds + 1):
        state = State(alternating_least_squares(tensor, rank, seed))
        error = decompose(tensor, state)
        if error < least:
            least = error
            a, b, c = state.factors
            found: FloatArray = np.einsum("kr,jr,ir->kji", c, b, a, optimize=True)
            best = {
                "error": f"{error:.2e}",
                "defect": f"{equivariance_defect(found):.2e}",
                "largest": f"{max(np.abs(f).max() for f in state.factors):.2f}",
                "seed": str(seed),
                "steps": str(state.step),
            }
        if error <= _EXACT:
            break
    return best


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _plot(rows: list[dict[str, str]], image: Path) -> int:
    """Print the table, and draw error and defect against the rank."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = sorted(rows, key=lambda row: [int(row[key]) for key in ("even", "l_max", "rank")])
    print("| l_max | paths | rank | of d^2 | relative error | defect | largest entry |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        d = (int(row["l_max"]) + 1) ** 2
        paths = "even" if row["even"] == "1" else "all"
        print(
            f"| {row['l_max']} | {paths} | {row['rank']} | {int(row['rank']) / d**2:.2f} "
            f"| {row['error']} | {row['defect']} | {row['largest']} |"
        )
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for axis, even in zip(axes, (0, 1), strict=True):
        for k, l_max in enumerate(sorted({int(row["l_max"]) for row in rows})):
            ours = [r for r in rows if int(r["l_max"]) == l_max and int(r["even"]) == even]
            if not ours:
                continue
            d = (l_max + 1) ** 2
            rank = [int(row["rank"]) / generic_rank(d) for row in ours]
            color = f"C{k}"
            error = [max(float(row["error"]), 1e-16) for row in ours]
            defect = [max(float(row["defect"]), 1e-16) for row in ours]
            axis.semilogy(rank, error, "o-", color=color, label=f"l_max {l_max}, error")
            axis.semilogy(rank, defect, "x:", color=color, label="defect")
        axis.set_title("even paths (parity o3)" if even else "all paths (so3)")
        axis.set_xlabel("rank / generic rank")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    axes[0].set_ylabel("relative error of the coupling, defect")
    figure.savefig(image, dpi=110)
    return 0


if __name__ == "__main__":
    sys.exit(main())
