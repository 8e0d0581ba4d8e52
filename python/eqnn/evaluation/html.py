# SPDX-License-Identifier: BSD-3-Clause
"""The page of an evaluation: the verdict first, then tables and pictures, then what they mean."""

from __future__ import annotations

from collections.abc import Mapping

from eqnn.evaluation import scales
from eqnn.evaluation.result import Evaluation, ModelResult
from eqnn.evaluation.tables import everything
from eqnn.report import Column, Grade, Page, Scale, Table, number

_HEADS = {
    "sets": "By set",
    "stages": "By stage",
    "elements": "By element",
    "worst": "Worst frames",
    "defects": "Defects",
    "lammps": "Through LAMMPS",
    "problems": "Bad frames",
    "models": "Models and data",
}


def page(found: Evaluation, pictures: Mapping[str, tuple[bytes, str]]) -> Page:
    """Make the page.

    Parameters
    ----------
    found : Evaluation
    pictures : mapping of str to (bytes, str)
        PNGs and captions, as `eqnn.evaluation.plots.pictures` gives them; may be empty.
    """
    tables = everything(found)
    made = Page(_title(found), _subtitle(found))
    made.foot = "; ".join(f"{key} {value}" for key, value in found.provenance.items())
    verdict = made.section("In short")
    if len(found.models) <= _MOST_CARDS:
        for m in found.models:
            if len(found.models) > 1:
                verdict.head(m.judged.name)
            verdict.cards([_card(m, scale) for scale in _SHOWN if _value(m, scale) is not None])
    else:
        verdict.table(_verdicts(found), with_title=False)
    verdict.text(_left_out(found))
    made.section("All frames").table(tables["overall"], with_title=False)
    if pictures:
        made.section("Pictures").pictures(list(pictures.values()))
    for name, head in _HEADS.items():
        if name in tables:
            section = made.section(head)
            is_long = len(tables[name].rows) > 20
            section.table(tables[name], is_long=is_long, with_title=name == "models")
            if name == "models":
                section.table(tables["data"])
    section = made.section("What good, fair and poor mean")
    section.text(
        "The thresholds are for molecular dynamics and relaxations. They are the same for all "
        "models and data; a potential for one molecule can meet the first, one for all of "
        "chemistry seldom does."
    )
    section.scales(scales.ALL)
    return made


# With more models, the numbers go into a table; cards would fill the first three screens.
_MOST_CARDS = 2
_SHOWN = (scales.ENERGY, scales.FORCE_MAE, scales.FORCE_COSINE, scales.STRESS)


def _value(m: ModelResult, scale: Scale) -> float | None:
    e = m.overall
    return {
        scales.ENERGY.name: e.relative_energy.mae_per_atom,
        scales.FORCE_MAE.name: e.forces.mae,
        scales.FORCE_COSINE.name: e.forces.cosine,
        scales.STRESS.name: e.stress.mae,
    }[scale.name]


def _card(m: ModelResult, scale: Scale) -> tuple[str, str, str, Grade]:
    value = _value(m, scale)
    assert value is not None  # cards are made of what there is
    digits = 4 if scale.rises else 3
    shown = f"{number(value, digits)} {scale.unit}".rstrip()
    return scale.name, shown, scale.meaning(value), scale.grade(value)


def _verdicts(found: Evaluation) -> Table:
    """Return the graded numbers of each model, and what its force errors mean."""
    shown = [s for s in _SHOWN if any(_value(m, s) is not None for m in found.models)]
    columns = [Column(s.name.split(",")[0], s.unit, 4 if s.rises else 3, s) for s in shown]
    table = Table("In short", [Column("model"), *columns, Column("what it means", wraps=True)])
    for m in found.models:
        said = scales.FORCE_MAE.meaning(_value(m, scales.FORCE_MAE))
        said = said or scales.ENERGY.meaning(_value(m, scales.ENERGY))
        table.add(m.judged.name, *(_value(m, scale) for scale in shown), said)
    return table


def _title(found: Evaluation) -> str:
    names = [m.judged.name for m in found.models]
    if len(names) > _MOST_CARDS:
        return f"{len(names)} potentials against DFT"
    return f"{' and '.join(names)} against DFT"


def _subtitle(found: Evaluation) -> str:
    n = sum(one.n_frames for one in found.sets)
    good = sum(one.n_good for one in found.sets)
    files = f"{len(found.sets)} set{'s' if len(found.sets) != 1 else ''}"
    some = "" if good == n else f", {good} compared"
    return f"{n} frames{some}, of {files}: {', '.join(one.name for one in found.sets)}"


def _left_out(found: Evaluation) -> str:
    left = {(p.set, p.number, p.model) for p in found.problems if p.is_left_out}
    kept = sum(not p.is_left_out for p in found.problems)
    n_drawn = sum(one.n_frames - one.n_not_drawn for one in found.sets)
    aside = sum(one.n_not_drawn for one in found.sets)
    if not left and not kept:
        if aside:
            return f"{n_drawn} frames were drawn, and compared by every model; {aside} were not."
        return "Every frame was compared by every model."
    said = []
    if left:
        said.append(f"{len(left)} comparisons were left out")
    if kept:
        said.append(f"{kept} frames are suspicious and were kept")
    if aside:
        said.append(f"{aside} frames were not drawn")
    return f"{', '.join(said)}: see Bad frames."
