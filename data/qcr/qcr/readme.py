# SPDX-License-Identifier: BSD-3-Clause
"""README and plots of the set, written from what is in it."""

from __future__ import annotations

import io
import re
import textwrap
from collections import Counter
from importlib import resources
from itertools import pairwise
from string import Template

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from qcr.collection import Collection
from qcr.frames import Frame
from qcr.molecules import SPLITS, molecules, runs

PLOT = "statistics.png"
TARGET_RUNS = 150
TARGET_FRAMES = 4000

# Colors that people with any color vision tell apart (Okabe and Ito).
COLOR = {"train": "#0072B2", "validation": "#E69F00", "test": "#009E73"}
STAGE_COLOR = {"relax": "#0072B2", "perturbed": "#D55E00"}


def _relaxation(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.info["stage"] == "relax"]


def _forces(frames: list[Frame], stage: str) -> NDArray[np.float64]:
    """Norms of the forces on all atoms of a stage, eV/Angstrom."""
    norms = [np.linalg.norm(f.forces, axis=1) for f in frames if f.info["stage"] == stage]
    return np.concatenate(norms) if norms else np.empty(0)


def _above(by_run: dict[str, list[Frame]], stage: str) -> NDArray[np.float64]:
    """Energies above the end of the same relaxation, eV."""
    return np.array(
        [
            frame.energy - _relaxation(frames)[-1].energy
            for frames in by_run.values()
            for frame in frames
            if frame.info["stage"] == stage and frame is not _relaxation(frames)[-1]
        ]
    )


def plot(collection: Collection) -> bytes:
    """Six panels of statistics as PNG."""
    by_run = collection.by_run()
    frames = [frame for some in by_run.values() for frame in some]
    figure = Figure(figsize=(12, 7.2), layout="constrained")
    (sizes, elements, steps), (descents, energies, forces) = figure.subplots(2, 3)

    bottom = np.zeros(30)
    for split in SPLITS:
        counts = np.bincount([len(f.elements) for f in collection.frames[split]], minlength=30)[:30]
        sizes.bar(range(30), counts, bottom=bottom, color=COLOR[split], label=split)
        bottom += counts
    filled = np.flatnonzero(bottom)
    if len(filled):
        sizes.set_xlim(filled[0] - 0.7, filled[-1] + 0.7)
        sizes.set_xticks(range(filled[0], filled[-1] + 1))
    sizes.set(title="Size", xlabel="atoms", ylabel="frames")
    sizes.legend(frameon=False)

    bottom = np.zeros(4)
    for split in SPLITS:
        counted = Counter(e for frame in collection.frames[split] for e in frame.elements)
        counts = np.array([counted[element] for element in "HCNO"])
        elements.bar(list("HCNO"), counts, bottom=bottom, color=COLOR[split])
        bottom += counts
    elements.set(title="Elements", xlabel="element", ylabel="atoms in all frames")

    lengths = [len(_relaxation(some)) for some in by_run.values()]
    steps.hist(
        lengths, bins=np.arange(0.5, max(lengths, default=1) + 1), color=STAGE_COLOR["relax"]
    )
    steps.yaxis.set_major_locator(MaxNLocator(integer=True))
    steps.set(title="Length of the relaxations", xlabel="steps", ylabel="relaxations")

    for some in by_run.values():
        path = np.array([frame.energy for frame in _relaxation(some)])
        descents.semilogy(
            np.maximum(path[:-1] - path[-1], 1e-5), color=STAGE_COLOR["relax"], alpha=0.3, lw=0.8
        )
    descents.set(title="Way down", xlabel="step", ylabel="energy above the last step (eV)")

    ranges = {"energy": np.logspace(-4, 1, 51), "force": np.logspace(-3, 2, 51)}
    for stage, color in STAGE_COLOR.items():
        style = {"color": color, "alpha": 0.6, "label": stage}
        energies.hist(_above(by_run, stage), bins=ranges["energy"], **style)
        forces.hist(_forces(frames, stage), bins=ranges["force"], **style)
    energies.set(
        title="Energy", xscale="log", xlabel="above the relaxed structure (eV)", ylabel="frames"
    )
    forces.set(title="Forces", xscale="log", xlabel="norm (eV/Angstrom)", ylabel="atoms")
    energies.legend(frameon=False)

    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
    return content.getvalue()


def _row(label: str, *cells: object) -> str:
    return "| " + " | ".join([label, *map(str, cells)]) + " |"


def _spread(values: NDArray[np.float64] | list[float], digits: int) -> str:
    if not len(values):
        return "none"
    low, middle, high = np.min(values), np.median(values), np.max(values)
    return f"{low:.{digits}f} to {high:.{digits}f}, median {middle:.{digits}f}"


def wrapped(text: str) -> str:
    """Wrap paragraphs and list items at 100 columns; tables, headings and images stay."""
    blocks = []
    for block in text.split("\n\n"):
        if block.lstrip()[:1] in ("|", "#", "!", ""):
            blocks.append(block)
            continue
        items = re.split(r"\n(?=\* )", block.strip("\n"))
        blocks.append(
            "\n".join(
                textwrap.fill(
                    " ".join(item.split()),
                    100,
                    subsequent_indent="  " if item.startswith("* ") else "",
                    break_long_words=False,
                    break_on_hyphens=False,
                )
                for item in items
            )
        )
    return "\n\n".join(blocks).rstrip("\n") + "\n"


def readme(collection: Collection) -> str:
    """Write the README: all of its numbers are counted here."""
    by_run = collection.by_run()
    frames = [frame for some in by_run.values() for frame in some]
    relaxations = {name: _relaxation(some) for name, some in by_run.items()}
    relaxed = sum(bool(some[-1].info["relaxed"]) for some in relaxations.values())
    table = [_row("", *SPLITS, "all"), _row("---", *["---"] * 4)]
    for label, count in (
        ("molecules", lambda some: len({f.info["molecule"] for f in some})),
        ("relaxations", lambda some: len({f.info["run"] for f in some})),
        ("frames", len),
        ("of these perturbed", lambda some: sum(f.info["stage"] == "perturbed" for f in some)),
        ("atoms in all frames", lambda some: sum(len(f.elements) for f in some)),
    ):
        every = [collection.frames[split] for split in SPLITS]
        table.append(_row(label, *map(count, every), count(frames)))
    heavy = Counter(sum(e != "H" for e in some[0].elements) for some in by_run.values())
    sizes = ", ".join(f"{number} with {size}" for size, number in sorted(heavy.items()))
    n_steps = sum(len(some) - 1 for some in relaxations.values())
    rises = [
        b.energy - a.energy
        for some in relaxations.values()
        for a, b in pairwise(some)
        if b.energy > a.energy
    ]
    falls = [some[0].energy - some[-1].energy for some in relaxations.values()]
    versions = {
        f"{package} {number}"
        for entry in collection.runs.values()
        for package, number in entry["versions"].items()
    }
    if len(by_run) >= TARGET_RUNS and len(frames) >= TARGET_FRAMES:
        goal = f"The first goal, {TARGET_RUNS} relaxations and {TARGET_FRAMES} frames, is reached."
    else:
        goal = (
            f"The first goal, {TARGET_RUNS} relaxations and {TARGET_FRAMES} frames, "
            "is not reached yet: `make dataset` goes on from here."
        )
    norms = np.concatenate([_forces(frames, stage) for stage in STAGE_COLOR])
    highest = max(rises, default=0.0)
    largest, mean = norms.max(initial=0.0), np.sqrt(np.mean(norms**2)) if len(norms) else 0.0
    hours = sum(entry["seconds"] for entry in collection.runs.values()) / 3600
    facts = [
        _row("", ""),
        _row("---", "---"),
        _row("relaxations by heavy atoms", sizes or "none"),
        _row("steps of a relaxation", _spread([float(len(s)) for s in relaxations.values()], 0)),
        _row("energy that a relaxation loses, eV", _spread(falls, 2)),
        _row("perturbed above relaxed, eV", _spread(_above(by_run, "perturbed"), 3)),
        _row("force on an atom, eV/Angstrom", f"up to {largest:.1f}, rms {mean:.2f}"),
        _row("relaxations that met the criteria", f"{relaxed} of {len(by_run)}"),
        _row(
            "steps that go up",
            f"{len(rises)} of {n_steps}, by up to {highest:.3f} eV",
        ),
        _row("failed runs, not in the set", len(collection.failures)),
        _row("computing time on one core", f"{hours:.1f} h"),
    ]
    failures = [f"* `{name}` failed: {reason}" for name, reason in collection.failures.items()]
    template = resources.files(__package__).joinpath("readme_template.md")
    text = Template(template.read_text(encoding="utf-8")).substitute(
        table="\n".join(table),
        n_runs=len(by_run),
        n_planned=len(runs()),
        n_molecules=len(molecules()),
        n_frames=len(frames),
        goal=goal,
        facts="\n".join(facts),
        failures="".join(f"\n{line}" for line in failures) + "\n" if failures else "",
        versions=", ".join(sorted(versions)) or "none",
    )
    return wrapped(text)
