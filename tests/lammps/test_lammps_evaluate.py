# SPDX-License-Identifier: BSD-3-Clause
"""``eqnn evaluate --through-lammps``: LAMMPS's numbers against the engine's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from eqnn_models import PRETRAINED, tiny_model
from safetensors.numpy import load_file

from eqnn.errors import EqnnError
from eqnn.evaluation import ModelResult, Settings, evaluate
from eqnn.evaluation.lammps import choose, through_lammps
from eqnn.model_file import Model, write_model
from eqnn.self_test import add_self_test

QUICK = Settings(with_plots=False)
pytestmark = pytest.mark.no_kokkos("eqnn evaluate runs the plain pair style")


def golden_atoms(path: Path) -> Atoms:
    values = load_file(path)
    atoms = Atoms(values["atomic_numbers"], values["positions"])
    if values["pbc"].all():
        atoms.set_cell(values["cell"])
        atoms.pbc = True
    return atoms


def labeled(atoms: Atoms) -> Atoms:
    atoms.calc = SinglePointCalculator(atoms, energy=0.0)
    return atoms


def judged(path: Path, data: list[Atoms], **more: Any) -> ModelResult:
    (model,) = evaluate(path, data, settings=replace(QUICK, **more)).models
    return model


@pytest.fixture(scope="module")
def acac() -> list[Atoms]:
    """Return a molecule, and cells smaller than the cutoff: skewed, left-handed, slab, chain."""
    molecule = golden_atoms(PRETRAINED / "mace_acac.md300_0.safetensors")
    cell = golden_atoms(PRETRAINED / "mace_acac.acac1_pbc_small.safetensors")
    turned, left = cell.copy(), cell.copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    left.set_cell(left.cell.array[[1, 0, 2]])
    skewed = cell.copy()
    skewed.set_cell(cell.cell.array + np.outer([0.0, 0.9, -0.8], cell.cell.array[0]))
    slab, chain = skewed.copy(), turned.copy()
    slab.pbc = (True, False, True)
    chain.pbc = (False, True, False)
    return [labeled(atoms) for atoms in (molecule, cell, turned, left, skewed, slab, chain)]


@pytest.mark.parametrize("precision", ["double", "single"])
def test_lammps_has_the_engines_numbers(acac: list[Atoms], precision: str) -> None:
    path = PRETRAINED / "mace_acac.eqnn"
    found = judged(path, acac, precision=precision, through_lammps=10).lammps
    assert found is not None and found.agrees and found.n_frames == len(acac)
    # rounding: some 1e-13 of energies of 1e4 eV in double, 1e-6 of forces in single
    bound = 1e-9 if precision == "double" else 1e-4
    assert found.energy <= bound and found.force <= bound


@pytest.mark.parametrize("kind", ["mean-per-atom", "direct"])
def test_a_model_that_lammps_must_be_allowed(acac: list[Atoms], tmp_path: Path, kind: str) -> None:
    model = tiny_model(forces="direct" if kind == "direct" else "gradient")
    document = model.document
    if kind == "mean-per-atom":
        document = document | {"energy": document["energy"] | {"semantics": kind}}
    tested = add_self_test(Model(document, model.tensors, "tiny"))
    write_model(tmp_path / "tiny.eqnn", tested.document, tested.tensors)
    found = judged(tmp_path / "tiny.eqnn", acac[:2], through_lammps=2).lammps
    assert found is not None and found.agrees


def test_other_numbers_are_no_agreement(acac: list[Atoms]) -> None:
    model = judged(PRETRAINED / "mace_acac.eqnn", acac)
    pair = model.pairs[1]
    forces = pair.found.forces.copy()
    forces[3, 2] += 1e-3
    wrong = replace(pair, found=replace(pair.found, forces=forces))
    found = through_lammps(model.judged, [model.pairs[0], wrong])
    assert not found.agrees and found.worst == "data#1"
    assert found.force == pytest.approx(1e-3, rel=1e-6)
    forces[3, 2] = np.nan
    found = through_lammps(model.judged, [model.pairs[0], wrong])
    assert not found.agrees and found.worst == "data#1"


def test_frames_are_drawn_at_random_but_always_the_same(acac: list[Atoms]) -> None:
    pairs = judged(PRETRAINED / "mace_acac.eqnn", acac).pairs
    drawn = [p.frame.number for p in choose(pairs, 3, 0)]
    assert drawn == sorted(drawn) and len(set(drawn)) == 3
    assert drawn == [p.frame.number for p in choose(pairs, 3, 0)]
    others = {tuple(p.frame.number for p in choose(pairs, 3, seed)) for seed in range(9)}
    assert len(others) > 1
    assert len(choose(pairs, 99, 0)) == len(pairs)


def test_a_lammps_that_fails_is_quoted(
    acac: list[Atoms], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lmp = tmp_path / "lmp"
    lmp.write_text("#!/bin/sh\necho 'LAMMPS'\necho 'ERROR: Unknown pair style eqnn'\nexit 1\n")
    lmp.chmod(0o755)
    monkeypatch.setenv("EQNN_LAMMPS", str(lmp))
    with pytest.raises(EqnnError) as error:
        judged(PRETRAINED / "mace_acac.eqnn", acac[:1], through_lammps=1)
    assert str(error.value) == (
        f"--through-lammps: {lmp} failed with code 1: ERROR: Unknown pair style eqnn\n"
        "Fix what it says, or leave the option out."
    )
