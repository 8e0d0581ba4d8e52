# SPDX-License-Identifier: BSD-3-Clause
"""Plot what bench_products prints, and write the tables of docs/performance.md.

    for of in products powers; do for precision in single double; do
        bench_products $of $precision 32 > $of.$precision; done; done
    .eqnn/venv/bin/python bench/plot_products.py PICTURE.png > TABLE.md

reads those four files in the working folder.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

LOWERINGS = {"sparse": "tab:blue", "grid": "tab:orange", "fourier": "tab:green"}
PRECISIONS = ("single", "double")
TITLES = {
    "products": "product of two functions",
    "powers": "powers 1 to 3, projected on l <= 1",
}
# l_max, channels -> lowering -> time (us), fractions of peak forward and adjoint
Cases = dict[tuple[int, int], dict[str, tuple[float, float, float]]]


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


def cells(row: dict[str, tuple[float, float, float]]) -> str:
    """Format each lowering's cell and the name of the fastest."""
    shown = [
        f"{row[k][0]:.3g} ({100 * row[k][1]:.0f}, {100 * row[k][2]:.0f})" if k in row else ""
        for k in LOWERINGS
    ]
    return " | ".join([*shown, min(row, key=lambda k: row[k][0])])


def main() -> None:
    """Plot 64 channels, print all."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), sharex=True, sharey="row")
    figure.set_layout_engine("constrained")
    for of, row in zip(TITLES, axes, strict=True):
        tables = {precision: read(Path(f"{of}.{precision}")) for precision in PRECISIONS}
        for axis, (precision, cases) in zip(row, tables.items(), strict=True):
            for lowering, colour in LOWERINGS.items():
                points = [
                    (l_max, times[lowering][0])
                    for (l_max, channels), times in sorted(cases.items())
                    if channels == 64 and lowering in times
                ]
                axis.plot(*zip(*points, strict=True), "o-", color=colour, label=lowering)
            axis.set(yscale="log", title=f"{TITLES[of]}, {precision}", xticks=range(1, 11))
            axis.grid(alpha=0.3, which="both")
            axis.legend()
        row[0].set_ylabel("forward and adjoint, us a node")
        print(f"\n{TITLES[of].capitalize()}: us a node (% of peak forward, adjoint)\n")
        heads = [
            word for p in PRECISIONS for word in (f"{p}: sparse", "grid", "fourier", "fastest")
        ]
        print(f"| l_max | channels | {' | '.join(heads)} |\n{'|---' * (2 + len(heads))}|")
        for l_max, channels in sorted(tables["single"]):
            both = " | ".join(cells(tables[p][l_max, channels]) for p in PRECISIONS)
            print(f"| {l_max} | {channels} | {both} |")
    for axis in axes[1]:
        axis.set_xlabel("l_max")
    figure.suptitle("64 channels, one thread")
    figure.savefig(sys.argv[1], dpi=120)


if __name__ == "__main__":
    main()
