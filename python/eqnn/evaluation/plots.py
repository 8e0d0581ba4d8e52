# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of an evaluation: parity, distributions of errors, speed against error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from eqnn.evaluation.errors import Pair
from eqnn.evaluation.result import Evaluation, ModelResult
from eqnn.report import PALETTE, drawing, number, png
from eqnn.so3 import FloatArray

# More points than these cannot be distinguished.
MOST_POINTS = 20000


def pictures(found: Evaluation) -> dict[str, tuple[bytes, str]]:
    """Draw all that the data allow.

    Returns
    -------
    dict of str to (bytes, str)
        A PNG and its caption, by the name of its file.
    """
    made = _parities(found)
    made |= {
        "force_errors": (
            _distribution(found),
            "Share of atoms whose force error is below a size: further left is better.",
        ),
        "errors_by_set": (
            _bars(found, {m.judged.name: _set_errors(m) for m in found.models}),
            "Mean absolute error of force components by set.",
        ),
        "errors_by_element": (
            _bars(
                found,
                {
                    m.judged.name: {name: e.mae for name, e in m.elements.items()}
                    for m in found.models
                },
            ),
            "Mean absolute error of force components by element.",
        ),
        "speed_and_error": (
            _speed(found),
            "Time for an atom against force error, both on logarithmic axes: lower left is better.",
        ),
    }
    return {name: (content, said) for name, (content, said) in made.items() if content}


def _parities(found: Evaluation) -> dict[str, tuple[bytes, str]]:
    """Predicted against DFT, a picture for each model, all on the same axes."""
    kinds = {
        "energies": (
            _energies,
            ("DFT energy / (meV/atom)", "predicted energy / (meV/atom)"),
            "energies against DFT's, both after the mean of each composition is removed",
        ),
        "forces": (
            _forces,
            ("DFT force / (eV/Å)", "predicted force / (eV/Å)"),
            "components of forces against DFT's",
        ),
    }
    out = {}
    for kind, (points_of, labels, said) in kinds.items():
        points = {m.judged.name: _by_set(found, m, points_of) for m in found.models}
        points = {name: sets for name, sets in points.items() if any(map(len, sets.values()))}
        everything = [p for sets in points.values() for p in sets.values()]
        for name, sets in points.items():
            drawn = _parity(sets, _limits(np.concatenate(everything)), labels, name)
            out[f"parity_{kind}_{_file(name)}"] = (drawn, f"{name}: {said}.")
    return out


def _file(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)


def _by_set(
    found: Evaluation, m: ModelResult, points_of: Callable[[ModelResult, list[Pair]], FloatArray]
) -> dict[str, FloatArray]:
    names = [one.name for one in found.sets]
    return {name: points_of(m, [p for p in m.pairs if p.frame.set == name]) for name in names}


def _set_errors(m: ModelResult) -> dict[str, float | None]:
    return {name: e.forces.mae for name, e in m.sets.items()}


def _thinned(values: FloatArray) -> FloatArray:
    """Points [n, 2], thinned to MOST_POINTS at random, but always the same ones."""
    if len(values) <= MOST_POINTS:
        return values
    return values[np.random.default_rng(0).choice(len(values), MOST_POINTS, replace=False)]


def _energies(m: ModelResult, pairs: Sequence[Pair]) -> FloatArray:
    """DFT's and predicted energies [n, 2] in meV/atom without the mean of the composition."""
    groups: dict[str, list[float]] = {}
    for pair in m.pairs:
        groups.setdefault(pair.frame.formula, []).append(pair.frame.energy)
    points = []
    for pair in pairs:
        name, n = pair.frame.formula, len(pair.frame.atoms)
        if name in m.offsets:
            dft = 1e3 * (pair.frame.energy - float(np.mean(groups[name]))) / n
            points.append([dft, dft + 1e3 * (pair.energy_error - m.offsets[name]) / n])
    return np.array(points).reshape(-1, 2)


def _forces(m: ModelResult, pairs: Sequence[Pair]) -> FloatArray:
    stacks = [
        np.stack([p.frame.forces, p.found.forces], axis=-1).reshape(-1, 2)
        for p in pairs
        if p.frame.forces is not None
    ]
    return _thinned(np.concatenate(stacks)) if stacks else np.zeros((0, 2))


def _parity(
    sets: Mapping[str, FloatArray],
    limits: tuple[float, float],
    labels: tuple[str, str],
    title: str,
) -> bytes:
    with drawing(5.4, 5.2) as figure:
        axis = figure.add_subplot()
        axis.axline((limits[0],) * 2, slope=1, color="0.6", lw=1, zorder=0)
        points = np.concatenate(list(sets.values()))
        # More sets than colors cannot be distinguished.
        told = len(sets) if len(sets) <= len(PALETTE) else 1
        colors = np.repeat(
            [_color(k % told) for k in range(len(sets))], list(map(len, sets.values()))
        )
        # In a random order: no set covers another one.
        order = np.random.default_rng(0).permutation(len(points))
        size = float(np.clip(4000 / len(points), 5, 30))
        axis.scatter(*points[order].T, s=size, c=colors[order], alpha=0.6, linewidths=0)
        axis.set(title=title, xlim=limits, ylim=limits, aspect="equal")
        axis.set(xlabel=labels[0], ylabel=labels[1])
        if told > 1:
            for k, (name, of) in enumerate(sets.items()):
                if len(of):
                    axis.plot([], [], "o", ms=4, color=_color(k), label=name)
            axis.legend(fontsize=9, handletextpad=0.2)
        return png(figure)


def _limits(points: FloatArray) -> tuple[float, float]:
    """Return common limits of both axes around all of DFT's values.

    A prediction that is far off may lie outside; the tables include it.
    """
    low, high = float(points[:, 0].min()), float(points[:, 0].max())
    room = 0.1 * (high - low) or 1.0
    return low - room, high + room


def _color(k: int) -> str:
    return PALETTE[k % len(PALETTE)]


def _color_of(found: Evaluation, model: str) -> str:
    """Return the color that a model has in every picture."""
    return _color([m.judged.name for m in found.models].index(model))


def _legend(figure: Any, names: Sequence[str], colors: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], marker="o", ls="", color=color) for color in colors]
    figure.legend(handles, names, loc="outside upper center", ncols=2, fontsize=10)


def _distribution(found: Evaluation) -> bytes:
    curves: list[tuple[str, FloatArray]] = []
    for m in found.models:
        errors = [e for p in m.pairs if (e := p.force_errors) is not None]
        sizes = 1e3 * np.linalg.norm(np.concatenate([*errors, np.zeros((0, 3))]), axis=1)
        if sizes.any():
            curves.append((m.judged.name, np.sort(sizes)))
    if not curves:
        return b""
    with drawing(6.0, 4.6) as figure:
        axis = figure.add_subplot()
        for k, (name, sizes) in enumerate(curves):
            share = np.arange(1, len(sizes) + 1) / len(sizes)
            style = ("-", "--", ":")[k // len(PALETTE) % 3]
            color = _color_of(found, name)
            axis.plot(sizes, 100 * share, style, color=color, label=name, lw=2)
        axis.set(xscale="log", xlabel="force error of an atom / (meV/Å)", ylabel="atoms below / %")
        low = min(float(np.quantile(sizes[sizes > 0], 0.01)) for _, sizes in curves)
        axis.set(ylim=(0, 101), xlim=(low, None))
        _plain_ticks(axis.xaxis)
        axis.legend(fontsize=10)
        return png(figure)


def _bars(found: Evaluation, values: dict[str, dict[str, float | None]]) -> bytes:
    """Draw grouped bars, a group for each name and a bar for each model."""
    names = list(dict.fromkeys(n for of in values.values() for n, e in of.items() if e is not None))
    values = {model: of for model, of in values.items() if any(e is not None for e in of.values())}
    if not names:
        return b""
    height = max(2.6, 0.9 + len(names) * (0.35 + 0.22 * len(values)))
    with drawing(6.0, height) as figure:
        axis = figure.add_subplot()
        width = 0.8 / len(values)
        for k, (model, of) in enumerate(values.items()):
            places = np.arange(len(names)) + (k - (len(values) - 1) / 2) * width
            lengths = [np.nan if (e := of.get(name)) is None else e for name in names]
            axis.barh(places, lengths, 0.9 * width, color=_color_of(found, model), label=model)
            for place, size in zip(places, lengths, strict=True):
                if np.isfinite(size):
                    axis.annotate(
                        number(size), (size, place), (3, 0), textcoords="offset points",
                        va="center", fontsize=9,
                    )  # fmt: skip
        axis.set(yticks=range(len(names)), xlabel="mean absolute force error / (meV/Å)")
        axis.set_yticklabels(names)
        axis.invert_yaxis()
        axis.margins(x=0.12)
        axis.grid(visible=False, axis="y")
        if len(values) > 1:
            _legend(figure, list(values), [_color_of(found, model) for model in values])
        return png(figure)


def _speed(found: Evaluation) -> bytes:
    points = [
        (m.judged.name, m.microseconds, m.overall.forces.rmse)
        for m in found.models
        if m.microseconds and m.overall.forces.rmse
    ]
    if len(points) < 2:  # of one there is nothing to compare
        return b""
    with drawing(6.0, 4.6) as figure:
        axis = figure.add_subplot()
        colors = [_color_of(found, name) for name, _, _ in points]
        for (_, time, error), color in zip(points, colors, strict=True):
            axis.plot(time, error, "o", ms=10, mew=2, color=color, alpha=0.8)
        axis.set(xscale="log", yscale="log")
        axis.set(xlabel="time for an atom / µs", ylabel="force error, rms / (meV/Å)")
        times, errors = [p[1] for p in points], [p[2] for p in points]
        axis.set(xlim=(min(times) / 3, max(times) * 3), ylim=(min(errors) / 2, max(errors) * 2))
        _plain_ticks(axis.xaxis)
        _plain_ticks(axis.yaxis)
        _legend(figure, [p[0] for p in points], colors)
        return png(figure)


def _plain_ticks(axis: Any) -> None:
    """Show 1, 2, 5, 10 on a logarithmic axis, not powers; 1 and 10 where there is little room."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
