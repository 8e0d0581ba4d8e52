# SPDX-License-Identifier: BSD-3-Clause
"""Tables of an evaluation, for the terminal, CSV and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from eqnn.evaluation import scales
from eqnn.evaluation.errors import Errors, ForceErrors, Pair, rms
from eqnn.evaluation.result import Evaluation, ModelResult, grade_of, grouped
from eqnn.info import elements
from eqnn.report import Cell, Column, Grade, Table, number

_ENERGY_COLUMNS = (
    Column("E MAE", "meV"),
    Column("E MAE", "meV/atom"),
    Column("E RMSE", "meV/atom"),
    Column("rel. E MAE", "meV"),
    Column("rel. E MAE", "meV/atom", scale=scales.ENERGY),
)
_FORCE_COLUMNS = (
    Column("F MAE", "meV/A", scale=scales.FORCE_MAE),
    Column("F RMSE", "meV/A", scale=scales.FORCE_RMSE),
    Column("F error", "% of F", scale=scales.FORCE_RELATIVE),
    Column("cosine", "", 4, scale=scales.FORCE_COSINE),
)
_STRESS_COLUMNS = (Column("stress MAE", "GPa", scale=scales.STRESS),)
_MOST_ELEMENTS = 12
_NOTE = (
    "rel. E: after the mean error of each composition is removed, over compositions with two "
    "frames or more."
)


def overall(found: Evaluation) -> Table:
    """All errors of each model, one row each, with its time per atom."""
    has_stress = any(m.overall.stress.n_frames for m in found.models)
    columns = [Column("model"), Column("frames"), *_columns(has_stress)]
    table = Table("Errors over all frames", [*columns, Column("time", "us/atom")], note=_NOTE)
    for m in found.models:
        cells = _cells(m.overall, has_stress)
        table.add(m.judged.name, m.overall.n_frames, *cells, m.microseconds)
    return table


def by_set(found: Evaluation) -> Table:
    """Return errors by set."""
    return _by("set", "Errors by set", found, lambda m: m.sets)


def by_stage(found: Evaluation) -> Table:
    """Return errors by stage; no rows if no frame names one."""
    return _by("stage", "Errors by stage", found, lambda m: m.stages)


def _columns(has_stress: bool) -> list[Column]:
    return [*_ENERGY_COLUMNS, *_FORCE_COLUMNS, *(_STRESS_COLUMNS if has_stress else ())]


def _cells(e: Errors, has_stress: bool) -> list[Cell]:
    energy, relative = e.energy, e.relative_energy
    cells: list[Cell] = [energy.mae, energy.mae_per_atom, energy.rmse_per_atom]
    cells += [relative.mae, relative.mae_per_atom, *_force_cells(e.forces)]
    return cells + ([e.stress.mae] if has_stress else [])


def _force_cells(e: ForceErrors) -> list[Cell]:
    return [e.mae, e.rmse, e.relative, e.cosine]


def _by(
    what: str,
    title: str,
    found: Evaluation,
    groups: Callable[[ModelResult], Mapping[str, Errors]],
) -> Table:
    everything = [errors for m in found.models for errors in groups(m).values()]
    has_stress = any(errors.stress.n_frames for errors in everything)
    table = Table(title, [Column(what), Column("model"), Column("frames"), *_columns(has_stress)])
    for name in dict.fromkeys(name for m in found.models for name in groups(m)):
        for m in found.models:
            if name in groups(m):
                errors = groups(m)[name]
                table.add(name, m.judged.name, errors.n_frames, *_cells(errors, has_stress))
    return table


def by_element(found: Evaluation) -> Table:
    """Force errors by element."""
    columns = [Column("element"), Column("model"), Column("atoms"), *_FORCE_COLUMNS]
    table = Table("Forces by element", [*columns, Column("largest", "meV/A")])
    for element in dict.fromkeys(name for m in found.models for name in m.elements):
        for m in found.models:
            if element in m.elements:
                e = m.elements[element]
                table.add(element, m.judged.name, e.n_atoms, *_force_cells(e), e.largest)
    return table


def worst(found: Evaluation) -> Table:
    """Frames with the largest errors of each model."""
    columns = [Column("model"), Column("by"), Column("frame"), Column("formula")]
    columns += [Column("E error", "meV/atom")]
    columns += [Column("F RMSE", "meV/A"), Column("largest F", "meV/A"), Column("at atom")]
    note = "E error: after the mean of the composition is removed, where it has several frames."
    table = Table("Worst frames", columns, note=note)
    for m in found.models:
        for w in m.worst:
            row = (w.by, w.label, w.formula, w.energy, w.force_rmse, w.force_largest, w.atom)
            table.add(m.judged.name, *row)
    return table


def defects(found: Evaluation) -> Table:
    """Return what `eqnn check` measures on a frame of the data."""
    columns = [Column("model"), Column("measured"), Column(""), Column("largest")]
    table = Table("Defects", [*columns, Column("what it means for MD", wraps=True)])
    for m in found.models:
        for one in m.defects:
            values = ", ".join(f"{number(value, 2)} {unit}" for value, unit in one.values)
            table.add(m.judged.name, one.what, grade_of(one), values, one.meaning)
    on = {m.judged.name: m.defects_on for m in found.models if m.defects_on}
    if len(set(on.values())) == 1:
        table.note = f"Measured on {next(iter(on.values()))}."
    elif on:
        table.note = "Measured on " + "; ".join(f"{f} ({n})" for n, f in on.items()) + "."
    return table


def lammps(found: Evaluation) -> Table:
    """Differences between LAMMPS and the engine; no rows if they were not requested."""
    columns = [Column("model"), Column("frames"), Column("energy", "eV/atom")]
    columns += [Column("force", "eV/A"), Column("expected", "at most"), Column("")]
    table = Table("Through LAMMPS: largest differences", [*columns, Column("largest at")])
    for m in found.models:
        if m.lammps is not None:
            x = m.lammps
            grade = Grade.GOOD if x.agrees else Grade.POOR
            row = (x.n_frames, x.energy, x.force, x.tolerance, grade, x.worst)
            table.add(m.judged.name, *row)
    return table


def problems(found: Evaluation) -> Table:
    """Bad and suspicious frames by file and number; those with the same text in one row."""
    columns = [Column("set"), Column("frames"), Column("what"), Column("model"), Column("left out")]
    note = "Frames count from 0, as in ASE." if found.problems else ""
    table = Table("Bad frames", [*columns, Column("found", wraps=True)], note=note)
    for one, numbers in grouped(found.problems):
        kept = "yes" if one.is_left_out else "no, a warning"
        table.add(one.set, numbers, one.kind.value, one.model or "all", kept, one.what)
    return table


def data(found: Evaluation) -> Table:
    """Return files and their frames."""
    columns = [Column("set"), Column("frames"), Column("bad"), Column("not drawn"), Column("good")]
    note = "Frames are bad where no model could be compared, not drawn by --sample, or good."
    table = Table("Data", [*columns, Column("file"), Column("SHA-256")], note=note)
    for one in found.sets:
        numbers = (one.n_frames, one.n_bad, one.n_not_drawn, one.n_good)
        table.add(one.name, *numbers, one.path, one.sha256[:16])
    return table


def models(found: Evaluation) -> Table:
    """Return model files."""
    columns = [Column("model"), Column("family"), Column("elements")]
    columns += [Column("cutoff", "A"), Column("precision"), Column("file"), Column("SHA-256")]
    table = Table("Models", columns)
    for m in found.models:
        document = m.judged.model.document
        row = (document["family"], _elements(m), float(document["cutoff"]), m.judged.precision)
        table.add(m.judged.name, *row, str(m.judged.path), m.judged.model.sha256[:16])
    return table


def _elements(m: ModelResult) -> str:
    """Symbols, or the first and the last of many and their number."""
    symbols = elements(m.judged.model).split()
    if len(symbols) <= _MOST_ELEMENTS:
        return " ".join(symbols)
    return f"{' '.join(symbols[:4])} ... {symbols[-1]} ({len(symbols)})"


def frames(found: Evaluation) -> Table:
    """Every frame by every model, for programs."""
    columns = [Column("model"), Column("set"), Column("number"), Column("name"), Column("stage")]
    columns += [Column("formula"), Column("atoms"), Column("DFT energy", "eV")]
    columns += [Column("energy", "eV"), Column("energy error", "eV")]
    columns += [Column("relative energy error", "eV"), Column("force RMSE", "eV/A")]
    table = Table("", [*columns, Column("largest force error", "eV/A")])
    for m in found.models:
        for pair in m.pairs:
            table.add(m.judged.name, *_frame(pair, m.offsets))
    return table


def _frame(pair: Pair, offsets: Mapping[str, float]) -> list[Cell]:
    frame, formula = pair.frame, pair.frame.formula
    forces = pair.force_errors
    row: list[Cell] = [frame.set, frame.number, frame.name, frame.stage, formula]
    row += [len(frame.atoms), frame.energy, pair.found.energy, pair.energy_error]
    row.append(pair.energy_error - offsets[formula] if formula in offsets else None)
    if forces is None:
        return [*row, None, None]
    return [*row, rms(forces), float(np.linalg.norm(forces, axis=1).max())]


def everything(found: Evaluation) -> dict[str, Table]:
    """Return all tables with rows, by the name of the CSV file, in the order of the page."""
    made = {
        "overall": overall(found),
        "sets": by_set(found),
        "stages": by_stage(found),
        "elements": by_element(found),
        "worst": worst(found),
        "defects": defects(found),
        "lammps": lammps(found),
        "problems": problems(found),
        "models": models(found),
        "data": data(found),
    }
    if all(list(m.stages.values()) == list(m.sets.values()) for m in found.models):
        made["stages"].rows.clear()  # every stage is a set, so the table would appear twice
    return {name: table for name, table in made.items() if table.rows}
