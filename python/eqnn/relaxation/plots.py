# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of relaxations: distances from references, energies, steps."""

from __future__ import annotations

import numpy as np

from eqnn.relaxation.result import Result
from eqnn.relaxation.tables import RMSD
from eqnn.report import PALETTE, drawing, png

PICTURES = {"steps", "rmsd", "energy_drops"}


def pictures(result: Result) -> dict[str, tuple[bytes, str]]:
    """Draw all that there is.

    Returns
    -------
    dict of str to (bytes, str)
        A PNG and its caption, by the name of its file.
    """
    made = {"steps": (_steps(result), "Share of the converged structures after a number of steps.")}
    if _distances(result):
        made["rmsd"] = (
            _rmsd(result),
            "Share of the structures whose heavy-atom RMSD from the reference is below a distance: "
            "further left is better. Lines: good up to here, fair up to here.",
        )
    if any(pair.energy_drop_error is not None for _, pair in result.compared()):
        made["energy_drops"] = (
            _drops(result),
            "By how much more the model's energy falls along the relaxation than the reference's.",
        )
    return {name: (content, said) for name, (content, said) in made.items() if content}


def _share(axes: object, values: list[float]) -> None:
    x = np.sort(np.asarray(values, dtype=float))
    y = 100.0 * np.arange(1, len(x) + 1) / len(x)
    axes.step([0.0, *x], [0.0, *y], where="post", color=PALETTE[0])  # type: ignore[attr-defined]


def _steps(result: Result) -> bytes:
    steps = [float(o.record.steps) for o in result.outcomes if o.record.status == "converged"]
    if not steps:
        return b""
    with drawing() as figure:
        axes = figure.subplots()
        _share(axes, steps)
        axes.set(xlabel="steps", ylabel="converged structures / %", ylim=(0, 102))
        return png(figure)


def _distances(result: Result) -> list[float]:
    pairs = [pair for _, pair in result.compared() if pair.rmsd_counts]
    return [pair.rmsd for pair in pairs if pair.rmsd is not None]


def _rmsd(result: Result) -> bytes:
    with drawing() as figure:
        axes = figure.subplots()
        _share(axes, _distances(result))
        for limit, color in ((RMSD.good, PALETTE[2]), (RMSD.fair, PALETTE[1])):
            axes.axvline(limit, color=color, linestyle="--", linewidth=1)
        axes.set(xlabel="heavy-atom RMSD / Å", ylabel="structures / %", ylim=(0, 102))
        return png(figure)


def _drops(result: Result) -> bytes:
    errors = [
        pair.energy_drop_error
        for _, pair in result.compared()
        if pair.energy_drop_error is not None
    ]
    with drawing() as figure:
        axes = figure.subplots()
        axes.hist(errors, bins=min(40, max(5, len(errors) // 3)), color=PALETTE[0])
        axes.set(xlabel="fall of the energy, model minus reference / eV", ylabel="structures")
        return png(figure)
