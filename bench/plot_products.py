# SPDX-License-Identifier: BSD-3-Clause
"""Plot what bench_products prints, and write the tables of docs/performance.md.

    for of in products powers convolutions; do for precision in single double; do
        bench_products $of $precision 32 > $of.$precision; done; done
    .eqnn/venv/bin/python bench/plot_products.py PICTURE.png > TABLES.md

reads those six files in the working folder.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

COLORS = {
    "sparse": "tab:blue",
    "grid": "tab:orange",
    "fourier": "tab:green",
    "aligned": "tab:red",
}
PRECISIONS = ("single", "double")
TITLES = {
    "products": ("product of two functions", "per node"),
    "powers": ("powers 1 to 3, projected on l <= 1", "per node"),
    "convolutions": ("convolution with filters along edges", "per edge"),
}
# lowering -> time (us), fractions of peak forward and adjoint
Row = dict[str, tuple[float, float, float]]
Cases = dict[tuple[int, int], Row]  # of l_max, channels


def read(path: Path) -> Cases:
    """Return forward and adjoint time together (us), and their fractions of peak."""
    cases: Cases = defaultdict(dict)
    for line in path.read_text().splitlines():
        l_max, channels, lowering, *numbers = line.split()
        forward, adjoint, flop_forward, flop_adjoint, peak = map(float, numbers)
        cases[int(l_max), int(channels)][lowering] = (
            forward + adjoint,
            1e3 * flop_forward / forward / peak,
            1e3 * flop_adjoint / adjoint / peak,
        )
    return cases


def print_table(title: str, of: str, tables: dict[str, Cases]) -> None:
    """Print one Markdown table: time, and fractions of peak forward and adjoint."""
    found = {k for cases in tables.values() for row in cases.values() for k in row}
    lowerings = [k for k in COLORS if k in found]
    print(f"\n{title.capitalize()}: us {of} (% of peak: forward, adjoint)\n")
    heads = [k for p in tables for k in (f"{p}: {lowerings[0]}", *lowerings[1:], "fastest")]
    print(f"| l_max | channels | {' | '.join(heads)} |\n{'|---' * (2 + len(heads))}|")

    def cells(row: Row) -> list[str]:
        shown = [
            f"{row[k][0]:.3g} ({100 * row[k][1]:.0f}, {100 * row[k][2]:.0f})" if k in row else ""
            for k in lowerings
        ]
        return [*shown, min(row, key=lambda k: row[k][0], default="")]

    for l_max, channels in sorted(tables["single"]):
        both = [
            cell for cases in tables.values() for cell in cells(cases.get((l_max, channels), {}))
        ]
        print(f"| {l_max} | {channels} | {' | '.join(both)} |")


def main() -> None:
    """Plot 64 channels, print all."""
    figure, axes = plt.subplots(2, 3, figsize=(14, 7), sharex=True, sharey="col")
    figure.set_layout_engine("constrained")
    for (what, (title, of)), column in zip(TITLES.items(), axes.T, strict=True):
        tables = {precision: read(Path(f"{what}.{precision}")) for precision in PRECISIONS}
        for axis, (precision, cases) in zip(column, tables.items(), strict=True):
            for lowering, color in COLORS.items():
                points = [
                    (l_max, row[lowering][0])
                    for (l_max, channels), row in sorted(cases.items())
                    if channels == 64 and lowering in row
                ]
                if points:
                    axis.plot(*zip(*points, strict=True), "o-", color=color, label=lowering)
            axis.set(yscale="log", title=f"{title}, {precision}", xticks=range(1, 11))
            axis.set_ylabel(f"forward and adjoint, us {of}")
            axis.grid(alpha=0.3, which="both")
            axis.legend()
        column[-1].set_xlabel("l_max")
        print_table(title, of, tables)
    figure.suptitle("64 channels, one thread")
    figure.savefig(sys.argv[1], dpi=120)


if __name__ == "__main__":
    main()
