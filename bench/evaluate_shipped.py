# SPDX-License-Identifier: BSD-3-Clause
"""Write the tables of docs/benchmarks.md: the shipped potentials against DFT.

    .eqnn/venv/bin/python bench/evaluate_shipped.py [--write] [FOLDER]

prints them. With --write they replace those in the document. With a folder, the full report of each
data set is written there.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks_page import ORGANIC, ROOT, commit, put

from eqnn.evaluation import Evaluation, Settings, evaluate
from eqnn.report import number

BEGIN, END = "<!-- errors against DFT -->", "<!-- end -->"


@dataclass(frozen=True)
class Case:
    """A data set and the potentials to evaluate on it."""

    title: str
    folder: str
    said: str
    models: tuple[str, ...]
    files: tuple[str, ...]
    is_relative_only: bool


CASES = (
    Case(
        "Acetylacetone, published test sets",
        "acetylacetone",
        "[data/acetylacetone](../data/acetylacetone), PBE-D3/def2-SVP; all potentials were "
        "trained on molecular dynamics at 300 K at this level, `tdn_acetylacetone` on other "
        "molecules before. Published for the same structures, RMSE of energies in meV and forces "
        "in meV/A at 300 and 600 K: MACE 0.9 and 5.1, 4.6 and 22.4 (arXiv "
        "2206.07697); NequIP 0.81 and 5.9, 6.04 and 27.8; BOTNet 0.89 and 6.3, 6.2 and 29.8 (arXiv "
        "2205.06643).",
        ("mace_acetylacetone", "gaunt_acetylacetone", "tdn_acetylacetone"),
        tuple(
            f"data/acetylacetone/test_{name}.xyz.gz"
            for name in ("MD_300K", "MD_600K", "H_transfer", "dihedral")
        ),
        False,
    ),
    Case(
        "3BPA",
        "3bpa",
        "[data/3bpa](../data/3bpa): structures at 300, 600 and 1200 K, wB97X/6-31G(d). These are "
        "not the published test sets. All potentials were trained on the same structures at 300 K; "
        "the last two were pretrained on frames of other molecules, and learned from hot "
        "structures that the mean of both labeled. Published for the same training set, RMSE of "
        "forces in meV/A at 300, 600 and 1200 K, of other test structures: MACE 8.8, 21.8 and "
        "62.0 (arXiv 2206.07697); NequIP 10.8, 26.4 and 76.2; BOTNet 11.0, 26.7 and 81.1 (arXiv "
        "2205.06643); "
        "MACE-Gaunt 9.2, 22.2 and 63.1 (arXiv 2401.10216).",
        ("tdn_3bpa", "tdn_3bpa_exact", "tdn_3bpa_smooth", "gaunt_3bpa"),
        tuple(f"data/3bpa/heldout_{temperature}K.xyz.gz" for temperature in (300, 600, 1200)),
        False,
    ),
    Case(
        "qcr-small, validation and test relaxations",
        "qcr-small",
        "[data/qcr-small](../data/qcr-small): small molecules of H, C, N and O, B3LYP/6-31G\\*. "
        "The three `organic` potentials were trained on other molecules of this set. The others "
        "were trained neither on such molecules nor at this level of theory, so this is not the "
        "task they were made for. Their energies have other zeros, so only relative energies are "
        "shown. "
        "Frames with an element that a potential does not know are left out for that potential.",
        (*ORGANIC, "tdn_3bpa_exact", "mace_solvents", "nequix_mp_1", "sevennet_0"),
        ("data/qcr-small/validation.xyz.gz", "data/qcr-small/test.xyz.gz"),
        True,
    ),
)


def run(case: Case, folder: Path | None) -> Evaluation:
    """Evaluate a case."""
    return evaluate(
        [ROOT / "potentials" / f"{name}.eqnn" for name in case.models],
        [ROOT / file for file in case.files],
        output=None if folder is None else folder / case.folder,
        settings=Settings(),
        progress=lambda name, done, total: None,
    )


def rows(case: Case, found: Evaluation) -> list[str]:
    """Return a table in Markdown: a row for each set and potential."""
    head = ["set", "potential", "frames", "E MAE, meV", "E RMSE, meV"]
    if case.is_relative_only:
        head = [*head[:3], "relative E MAE, meV", "meV/atom"]
    head += ["F MAE, meV/A", "F RMSE, meV/A", "cosine"]
    lines = [head, ["---"] * len(head)]
    for name in (one.name for one in found.sets):
        for model in found.models:
            if name not in model.sets:
                continue
            e = model.sets[name]
            energies = [e.energy.mae, e.energy.rmse]
            if case.is_relative_only:
                energies = [e.relative_energy.mae, e.relative_energy.mae_per_atom]
            numbers = [*energies, e.forces.mae, e.forces.rmse]
            cosine = "" if e.forces.cosine is None else f"{e.forces.cosine:.4f}"
            shown = ["" if value is None else number(value) for value in numbers]
            lines.append([name, f"`{model.judged.name}`", str(e.n_frames), *shown, cosine])
    return ["| " + " | ".join(line) + " |" for line in lines]


def text(folder: Path | None) -> str:
    """Return all tables, and the machine and commit."""
    parts, engine = [], ""
    for case in CASES:
        found = run(case, folder)
        engine = f"libeqnn {found.provenance['libeqnn']}, {found.provenance['engine']}"
        table = "\n".join(rows(case, found))
        picture = f"![Time and force errors](images/speed_{case.folder}.png)"
        parts.append(f"### {case.title}\n\n{case.said}\n\n{table}\n\n{picture}\n")
    return f"Commit {commit()}; {engine}.\n\n" + "\n".join(parts)


def main() -> None:
    """Print or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if not options.write:
        print(text(options.folder))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        made = text(folder)
        for case in CASES:
            picture = folder / case.folder / "speed_and_error.png"
            shutil.copyfile(picture, ROOT / "docs" / "images" / f"speed_{case.folder}.png")
    put(BEGIN, END, made)


if __name__ == "__main__":
    main()
