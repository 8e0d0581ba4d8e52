# SPDX-License-Identifier: BSD-3-Clause
"""Put a trained potential into potentials/, with its provenance and its learning curve.

    PYTHONPATH=python:training python -m organic.ship FOLDER NAME

FOLDER has the runs `pretrained`, `finetuned` and `distilled`, and `distilled_again`, `shared` and
`scratch` if there are any. The last of them is the result. NAME is that of the potential.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eqnn.model_file import read_model
from eqnn.report import PALETTE, drawing, png

ROOT = Path(__file__).resolve().parents[2]
# Which panel each run is drawn in, and what it is called there.
RUNS = {
    "pretrained": (0, "pretraining, against ANI-1x"),
    "finetuned": (1, "fine-tuning"),
    "scratch": (1, "without pretraining"),
    "distilled": (2, "once"),
    "distilled_again": (2, "again"),
    "shared": (2, "protons"),
}
TITLES = ("pretraining,\nagainst ANI-1x", "fine-tuning,\nagainst DFT", "distillation,\nagainst DFT")


def curves(folder: Path) -> bytes:
    """Draw the errors on the validation frames, epoch by epoch; return a PNG."""
    found: dict[str, list[dict[str, str]]] = {}
    for run in RUNS:
        path = folder / run / "metrics.csv"
        if path.exists():
            found[run] = list(csv.DictReader(path.read_text().splitlines()))
    shown = (
        ("validation_forces_mae", "forces MAE (meV/Å)"),
        ("validation_energy_mae", "energy MAE (meV/atom)"),
    )
    with drawing(8.0, 5.2) as figure:
        grid = figure.subplots(2, 3, squeeze=False, width_ratios=[1, 1.7, 1.2])
        for axes, (key, label) in zip(grid, shown, strict=True):
            for color, (run, rows) in enumerate(found.items()):
                panel, name = RUNS[run]
                axis: Any = axes[panel]
                x, y = ([float(row[k]) for row in rows] for k in ("epoch", key))
                axis.plot(x, y, "o-", markersize=3, color=PALETTE[color], label=name)
            axes[0].set_ylabel(label)
            # What is measured on the same frames has the same scale.
            axes[2].sharey(axes[1])
            for axis in axes:
                axis.set_ylim(bottom=0.0)
                axis.xaxis.get_major_locator().set_params(integer=True)
        for axis, title in zip(grid[0], TITLES, strict=True):
            axis.set_title(title)
        grid[0][1].legend()
        grid[1][2].legend()
        for axis in grid[1]:
            axis.set_xlabel("epoch")
        return png(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Copy and draw."""
    parser = argparse.ArgumentParser(description="Put a trained model into potentials/.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    options = parser.parse_args(arguments)
    target = ROOT / "potentials" / f"{options.name}.eqnn"
    last = ("shared", "distilled_again", "distilled")
    results = [options.folder / run / "model.eqnn" for run in last]
    result = next((path for path in results if path.exists()), None)
    if result is None:
        parser.error(f"{options.folder}: found no distilled/model.eqnn. Train distil.yaml first")
    shutil.copyfile(result, target)
    model = read_model(target)
    told = {k: v for k, v in model.document["provenance"].items() if k != "exporter"}
    text = json.dumps(told, indent=2, ensure_ascii=False)
    target.with_suffix(".provenance.json").write_text(f"{text}\n")
    picture = ROOT / "docs" / "images" / f"{options.name}.png"
    picture.write_bytes(curves(options.folder))
    print(f"Wrote {target}, SHA-256 of the model {model.sha256}, and {picture}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
