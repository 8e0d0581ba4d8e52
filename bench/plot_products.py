# SPDX-License-Identifier: BSD-3-Clause
"""Plot what bench_products prints, and write the table of docs/performance.md.

.eqnn/venv/bin/python bench/plot_products.py PRODUCTS POWERS PICTURE.png > TABLE.md
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

LOWERINGS = {"sparse": "tab:blue", "grid": "tab:orange", "fourier": "tab:green"}
Case = dict[tuple[int, int, str], tuple[float, float, float]]


def read(path: Path) -> Case:
    """Return forward and adjoint time together (us), and their fractions of peak."""
    cases: Case = {}
    for line in path.read_text().splitlines():
        l_max, channels, lowering, *numbers = line.split()
        forward, adjoint, flop_forward, flop_adjoint, peak = map(float, numbers)
        cases[int(l_max), int(channels), lowering] = (
            forward + adjoint,
            1e3 * flop_forward / forward / peak,
            1e3 * flop_adjoint / adjoint / peak,
        )
    return cases


def table(title: str, cases: Case) -> None:
    """Print one Markdown table: time, and fractions of peak forward and adjoint."""
    print(f"\n{title}\n")
    print("| l_max | channels | sparse | grid | fourier | fastest |\n|---|---|---|---|---|---|")
    rows: dict[tuple[int, int], dict[str, tuple[float, float, float]]] = defaultdict(dict)
    for (l_max, channels, lowering), values in cases.items():
        rows[l_max, channels][lowering] = values
    for (l_max, channels), row in sorted(rows.items()):
        cells = [
            f"{row[k][0]:.3g} ({100 * row[k][1]:.0f}, {100 * row[k][2]:.0f})" if k in row else ""
            for k in LOWERINGS
        ]
        best = min(row, key=lambda k: row[k][0])
        print(f"| {l_max} | {channels} | {' | '.join(cells)} | {best} |")


def main() -> None:
    """Plot 64 channels, print all."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharex=True, layout="constrained")
    titles = ("product of two functions", "powers 1 to 3, projected on l <= 1")
    for axis, title, path in zip(axes, titles, sys.argv[1:3], strict=True):
        cases = read(Path(path))
        for lowering, colour in LOWERINGS.items():
            points = [
                (l_max, values[0])
                for (l_max, channels, name), values in sorted(cases.items())
                if channels == 64 and name == lowering
            ]
            axis.plot(*zip(*points, strict=True), "o-", color=colour, label=lowering)
        axis.set(yscale="log", title=title, xlabel="l_max", xticks=range(1, 11))
        axis.set_ylabel("forward and adjoint, us a node")
        axis.grid(alpha=0.3, which="both")
        axis.legend()
        table(f"{title.capitalize()}: us a node (% of peak forward, adjoint)", cases)
    figure.suptitle("64 channels, single precision, one thread")
    figure.savefig(sys.argv[3], dpi=120)


if __name__ == "__main__":
    main()
