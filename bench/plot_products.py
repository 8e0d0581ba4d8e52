# SPDX-License-Identifier: BSD-3-Clause
"""Plot what bench_products prints, and write the table of docs/performance.md.

.eqnn/venv/bin/python bench/plot_products.py PRODUCTS POWERS CONVOLUTIONS PICTURE.png > TABLE.md
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

COLOURS = {
    "sparse": "tab:blue",
    "grid": "tab:orange",
    "fourier": "tab:green",
    "aligned": "tab:red",
}
TITLES = {
    "product of two functions": "node",
    "powers 1 to 3, projected on l <= 1": "node",
    "convolution with filters along edges": "edge",
}
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


def table(title: str, of: str, cases: Case) -> None:
    """Print one Markdown table: time, and fractions of peak forward and adjoint."""
    lowerings = [k for k in COLOURS if any(name == k for _, _, name in cases)]
    print(
        f"\n{title.capitalize()}: us {'an' if of == 'edge' else 'a'} {of} "
        "(% of peak forward, adjoint)\n"
    )
    print(f"| l_max | channels | {' | '.join(lowerings)} | fastest |")
    print("|---" * (len(lowerings) + 3) + "|")
    rows: dict[tuple[int, int], dict[str, tuple[float, float, float]]] = defaultdict(dict)
    for (l_max, channels, lowering), values in cases.items():
        rows[l_max, channels][lowering] = values
    for (l_max, channels), row in sorted(rows.items()):
        cells = [
            f"{row[k][0]:.3g} ({100 * row[k][1]:.0f}, {100 * row[k][2]:.0f})" if k in row else ""
            for k in lowerings
        ]
        best = min(row, key=lambda k: row[k][0])
        print(f"| {l_max} | {channels} | {' | '.join(cells)} | {best} |")


def main() -> None:
    """Plot 64 channels, print all."""
    figure, axes = plt.subplots(1, 3, figsize=(14, 4), sharex=True, layout="constrained")
    for axis, (title, of), path in zip(axes, TITLES.items(), sys.argv[1:4], strict=True):
        cases = read(Path(path))
        for lowering, colour in COLOURS.items():
            points = [
                (l_max, values[0])
                for (l_max, channels, name), values in sorted(cases.items())
                if channels == 64 and name == lowering
            ]
            if points:
                axis.plot(*zip(*points, strict=True), "o-", color=colour, label=lowering)
        axis.set(yscale="log", title=title, xlabel="l_max", xticks=range(1, 11))
        axis.set_ylabel(f"forward and adjoint, us / {of}")
        axis.grid(alpha=0.3, which="both")
        axis.legend()
        table(title, of, cases)
    figure.suptitle("64 channels, single precision, one thread")
    figure.savefig(sys.argv[4], dpi=120)


if __name__ == "__main__":
    main()
