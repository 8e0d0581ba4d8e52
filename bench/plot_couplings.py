# SPDX-License-Identifier: BSD-3-Clause
"""Plot what bench_couplings prints, and write the tables of docs/performance.md.

    for precision in single double; do bench_couplings $precision > couplings.$precision; done
    .eqnn/venv/bin/python bench/plot_couplings.py PICTURE.png > TABLES.md

reads those two files in the working folder.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

COLORS = {"matrix": "tab:blue", "cp": "tab:orange", "node": "tab:green"}
PRECISIONS = ("single", "double")
RANKS = ("published", "exact")
# l_max, kind of rank, channels, neighbors -> rank, us of each way, the way that the plan takes
Key = tuple[int, str, int, float]
Case = tuple[int, dict[str, float], str]
Cases = dict[Key, Case]


def read(path: Path) -> Cases:
    """Return the time of each method, us per edge."""
    times: dict[Key, dict[str, float]] = defaultdict(dict)
    ranks: dict[Key, int] = {}
    chosen: dict[Key, str] = {}
    for line in path.read_text().splitlines():
        l_max, rank, kind, channels, neighbors, method, time, is_chosen = line.split()
        key = int(l_max), kind, int(channels), float(neighbors)
        ranks[key] = int(rank)
        times[key][method] = float(time)
        if is_chosen == "chosen":
            chosen[key] = method
    return {key: (ranks[key], times[key], chosen[key]) for key in times}


def print_tables(tables: dict[str, Cases]) -> None:
    """Print a row for each case, and how much slower the plan's choice is than the best."""
    heads = [h for p in PRECISIONS for h in (f"{p}: matrix", "cp", "node", "fastest", "chosen")]
    print(f"| l_max | rank | channels | neighbors | {' | '.join(heads)} |")
    print(f"{'|---' * (4 + len(heads))}|")
    lost = []
    for key in sorted(tables["single"], key=lambda k: (k[0], RANKS.index(k[1]), k[2:])):
        l_max, kind, channels, neighbors = key
        cells = []
        for cases in tables.values():
            rank, times, chosen = cases[key]
            best = min(times, key=lambda m: times[m])
            lost.append(times[chosen] / times[best] - 1)
            cells += [*(f"{times[m]:.3g}" for m in COLORS), best, chosen]
        name = f"{rank} ({kind})"
        print(f"| {l_max} | {name} | {channels} | {neighbors:.0f} | {' | '.join(cells)} |")
    wrong = [x for x in lost if x > 0]
    print(
        f"\n{len(lost) - len(wrong)} of {len(lost)} choices are the fastest; the others lose "
        f"{100 * sum(wrong) / max(1, len(wrong)):.0f} % in the mean, "
        f"{100 * max(lost):.0f} % at most."
    )


def main() -> None:
    """Plot 64 channels of the denser structure, print all."""
    tables = {precision: read(Path(f"couplings.{precision}")) for precision in PRECISIONS}
    print_tables(tables)
    dense = max(key[3] for key in tables["single"])
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), sharex=True, sharey=True)
    figure.set_layout_engine("constrained")
    for row, precision in zip(axes, PRECISIONS, strict=True):
        for axis, kind in zip(row, RANKS, strict=True):
            for method, color in COLORS.items():
                points = sorted(
                    (key[0], times[method])
                    for key, (_, times, _) in tables[precision].items()
                    if key[1:] == (kind, 64, dense)
                )
                axis.plot(*zip(*points, strict=True), "o-", color=color, label=method)
            axis.set(yscale="log", title=f"{kind} rank, {precision}", xticks=range(1, 7))
            axis.grid(alpha=0.3, which="both")
        row[0].set_ylabel("forward and adjoint, us per edge")
    axes[0, 0].legend()
    for axis in axes[-1]:
        axis.set_xlabel("l_max")
    figure.suptitle(f"Couplings in factors: 64 channels, {dense:.0f} neighbors, one thread")
    figure.savefig(sys.argv[1], dpi=120)


if __name__ == "__main__":
    main()
