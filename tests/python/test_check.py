# SPDX-License-Identifier: BSD-3-Clause
"""The measurements against potentials whose flaws are known, and on the shipped models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from eqnn_models import ROOT, TDN, refusal, tiny_model

from eqnn import check
from eqnn.check import Measurement, Result, Status, check_model, exit_status, report, verdict
from eqnn.info import describe, free_atom_meaning
from eqnn.library import Potential, Properties
from eqnn.model_file import read_model, write_model
from eqnn.numpy_evaluator import free_atoms
from eqnn.self_test import add_self_test
from eqnn.so3 import FloatArray

CUTOFF = 4.0
MOLECULE = Atoms(
    "OCHHN",
    [[0.0, 0.0, 0.0], [1.4, 0.1, 0.0], [1.9, 1.1, 0.3], [-0.6, -0.7, 0.5], [2.1, -1.1, 2.9]],
)
CELL = Atoms(
    "OCN",
    [[0.1, 0.0, 0.0], [1.4, 0.9, 0.2], [2.0, 2.2, 2.1]],
    cell=[[3.6, 0.0, 0.0], [0.4, 3.9, 0.0], [-0.3, 0.6, 4.1]],
    pbc=True,
)


class Pairwise:
    """A pair potential with any requested flaw; exact otherwise.

    E = sum over pairs of (u(r) + tilt r_x^2), u = a (1 - (r/r_c)^2)^3, plus a jump at the cutoff.
    """

    def __init__(self, **flaws: float) -> None:
        self.flaw: Callable[[str], float] = lambda name: flaws.get(name, 0.0)

    def __call__(self, atoms: Atoms) -> Properties:
        flaw, n = self.flaw, len(atoms)
        i, j, vector = neighbor_list("ijD", atoms, CUTOFF)
        r = np.linalg.norm(vector, axis=1)
        inside = r < CUTOFF
        i, j, vector, r = i[inside], j[inside], vector[inside], r[inside]
        x = 1.0 - (r / CUTOFF) ** 2
        # The seed of dependence on orientation must itself end smoothly at the cutoff.
        bend = flaw("tilt") * vector[:, 0] * x**3
        energy = x**3 + flaw("jump") + bend * vector[:, 0]
        slope = (
            (-6.0 * x**2 / CUTOFF**2)[:, None] * vector * (1.0 + flaw("tilt") * vector[:, :1] ** 2)
        )
        slope[:, 0] += 2.0 * bend
        parts = 0.5 * np.bincount(i, weights=energy, minlength=n)
        forces = np.zeros((n, 3))
        np.add.at(forces, i, 0.5 * slope)
        np.add.at(forces, j, -0.5 * slope)
        virial = -0.5 * np.einsum("ea,eb->ab", vector, slope)
        if n > 3 and flaw("hand"):
            a, b, c = atoms.positions[1:4] - atoms.positions[0]
            parts[0] += flaw("hand") * np.dot(a, np.cross(b, c))
        parts += flaw("free")
        parts *= n ** flaw("size")
        forces *= 1.0 + flaw("force")
        virial[0, 1] += flaw("virial")
        if flaw("nan"):
            forces[0, 0] = np.nan
        return Properties(float(parts.sum()), parts.astype(float), forces, virial)


def swapped_first(atoms: Atoms) -> Properties:
    """Energies that depend on the order of atoms."""
    found = Pairwise()(atoms)
    return replace(found, energy=found.energy + 1e-3 * int(atoms.numbers[0]))


# ---- derivatives ----


def test_right_forces_pass_and_the_sweep_is_a_v() -> None:
    found = check.finite_differences(Pairwise(), MOLECULE, CUTOFF)
    assert found.status is Status.OK
    errors = [error for _, error in found.sweep]
    best = int(np.argmin(errors))
    assert 0 < best < len(errors) - 1
    # Truncation falls with the square of the step: a hundredfold per decade, threefold squared.
    assert 50 < errors[0] / errors[2] < 200
    assert errors[best] == found.values[0][0]


@pytest.mark.parametrize("flaw", [{"force": 1e-4}, {"force": -2.0}, {"nan": 1.0}])
def test_wrong_forces_fail(flaw: dict[str, float]) -> None:
    found = check.finite_differences(Pairwise(**flaw), MOLECULE, CUTOFF)
    assert found.status is Status.WRONG
    assert "not minus the gradient of the energy" in found.meaning
    assert found.verdict == "forces are not the gradient of the energy"


def test_forces_are_right_beside_a_jump() -> None:
    assert check.finite_differences(Pairwise(jump=0.1), MOLECULE, CUTOFF).status is Status.OK


@pytest.mark.parametrize("atoms", [MOLECULE, CELL])
def test_right_virials_pass(atoms: Atoms) -> None:
    assert check.virial(Pairwise(), atoms, CUTOFF).status is Status.OK


@pytest.mark.parametrize("size", [1e-3, np.nan])
def test_wrong_virials_fail(size: float) -> None:
    found = check.virial(Pairwise(virial=size), CELL, CUTOFF)
    assert found.status is Status.WRONG
    assert found.verdict == "the virial is not the strain derivative of the energy"


def test_pairs_at_the_cutoff_leave_nothing_to_measure() -> None:
    atoms = Atoms("HH", [[0, 0, 0], [CUTOFF - 1e-6, 0, 0]])
    for measure in (check.finite_differences, check.virial):
        found = measure(Pairwise(), atoms, CUTOFF)
        assert found.status is Status.NOTE
        assert found.values == ()
        assert "Not measured: a pair is so near to the cutoff" in found.meaning


def test_direct_forces_are_a_limit_with_a_size() -> None:
    found = check.direct_forces(Pairwise(force=0.1), MOLECULE, CUTOFF)
    assert found.status is Status.LIMIT
    assert found.values[0][0] > 1e-3
    assert "do not run NVE or NPT" in found.meaning


# ---- symmetry ----


@pytest.mark.parametrize("atoms", [MOLECULE, CELL])
def test_isotropic_energies_pass(atoms: Atoms) -> None:
    assert check.rotation(Pairwise(), atoms, is_exact=True).status is Status.OK


@pytest.mark.parametrize("atoms", [MOLECULE, CELL])
@pytest.mark.parametrize(("is_exact", "status"), [(True, Status.WRONG), (False, Status.LIMIT)])
def test_energies_that_depend_on_orientation(atoms: Atoms, is_exact: bool, status: Status) -> None:
    found = check.rotation(Pairwise(tilt=1e-3), atoms, is_exact)
    assert found.status is status
    energy, force = (value for value, _ in found.values)
    assert 0.01 < energy < 10.0 and force > 1e-4


def test_nan_forces_are_no_symmetry() -> None:
    assert check.rotation(Pairwise(nan=1.0), MOLECULE, False).status is Status.LIMIT
    assert check.inversion(Pairwise(nan=1.0), MOLECULE, True).status is Status.WRONG
    assert check.permutation(Pairwise(nan=1.0), MOLECULE).status is Status.WRONG


@pytest.mark.parametrize(
    ("hand", "is_invariant", "status"),
    [
        (0.0, True, Status.OK),
        (0.0, False, Status.OK),
        (1e-3, False, Status.LIMIT),
        (1e-3, True, Status.WRONG),
    ],
)
def test_mirror_images(hand: float, is_invariant: bool, status: Status) -> None:
    found = check.inversion(Pairwise(hand=hand), MOLECULE, is_invariant)
    assert found.status is status
    if hand:
        # Twice the signed volume, over five atoms, in meV.
        a, b, c = MOLECULE.positions[1:4] - MOLECULE.positions[0]
        expected = 2e3 * hand * abs(np.dot(a, np.cross(b, c))) / len(MOLECULE)
        assert abs(found.values[0][0] - expected) <= 1e-9


def test_the_order_of_atoms() -> None:
    assert check.permutation(Pairwise(), MOLECULE).status is Status.OK
    found = check.permutation(swapped_first, MOLECULE)
    assert found.status is Status.WRONG
    assert "they change when LAMMPS sorts them" in found.meaning


# ---- cutoff, size ----


@pytest.mark.parametrize("atoms", [MOLECULE, CELL, MOLECULE[:3]])
def test_smooth_energies_pass_at_the_cutoff(atoms: Atoms) -> None:
    found = check.cutoff_jump(Pairwise(), atoms, CUTOFF)
    assert found.status is Status.OK
    assert "NVE can conserve energy" in found.meaning


@pytest.mark.parametrize("atoms", [MOLECULE, MOLECULE[:3]])
def test_a_jump_is_measured_to_its_size(atoms: Atoms) -> None:
    found = check.cutoff_jump(Pairwise(jump=0.01), atoms, CUTOFF)
    assert found.status is Status.LIMIT
    rms, largest, _ = (value for value, _ in found.values)
    assert abs(rms - 10.0) <= 1e-3 and abs(largest - 10.0) <= 1e-3
    assert "minimize with FIRE" in found.meaning


def test_one_pair_alone_crosses() -> None:
    """Molecules smaller than the cutoff are doubled; all but one pair stay on their side."""
    for atoms in (MOLECULE, MOLECULE[:3]):
        for inside, outside in check._across_cutoff(atoms, CUTOFF, 16):
            n = [len(neighbor_list("i", a, CUTOFF)) // 2 for a in (inside, outside)]
            assert n[0] == n[1] + 1
            assert np.abs(inside.positions - outside.positions).max() < 1e-7
    # Of two molecules it is the last pair: outside, neither sees the other.
    _, outside = check._across_cutoff(MOLECULE[:3], CUTOFF, 16)[0]
    alone = len(neighbor_list("i", MOLECULE[:3], CUTOFF))
    assert len(neighbor_list("i", outside, CUTOFF)) == 2 * alone


@pytest.mark.parametrize("atoms", [MOLECULE, CELL])
def test_energies_that_add_up(atoms: Atoms) -> None:
    assert check.extensivity(Pairwise(), atoms, CUTOFF, True).status is Status.OK


@pytest.mark.parametrize(("is_extensive", "status"), [(True, Status.WRONG), (False, Status.LIMIT)])
@pytest.mark.parametrize("atoms", [MOLECULE, CELL])
def test_energies_that_do_not_add_up(atoms: Atoms, is_extensive: bool, status: Status) -> None:
    found = check.extensivity(Pairwise(size=1.0), atoms, CUTOFF, is_extensive)
    assert found.status is status
    assert found.values[0][0] > 1.0


@pytest.mark.parametrize(
    ("flaws", "is_zero", "status"),
    [
        ({}, True, Status.OK),
        ({"free": 0.3}, False, Status.OK),
        ({"free": 0.3}, True, Status.WRONG),
        ({"jump": 0.3}, True, Status.LIMIT),
    ],
)
def test_free_atoms(flaws: dict[str, float], is_zero: bool, status: Status) -> None:
    found = check.isolated_atoms(Pairwise(**flaws), [1, 8], CUTOFF, is_zero)
    assert found.status is status
    assert abs(found.values[0][0] - flaws.get("free", 0.0)) <= 1e-12
    assert abs(found.values[1][0] - flaws.get("jump", 0.0)) <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(ROOT.glob("potentials/*.eqnn")), ids=lambda p: p.stem)
def test_info_and_check_say_the_same_of_free_atoms(path: Path) -> None:
    model = read_model(path)
    species = model.document["species"]
    with Potential(path, "reference") as potential:
        evaluate = check.network_of(potential, model)
        is_zero = model.document["energy"]["isolated_atoms"] == "zero"
        found = check.isolated_atoms(evaluate, species, model.document["cutoff"], is_zero)
    sentence = found.meaning.split(". ")[0]
    assert sentence.lower() in " ".join(describe(model).split()).lower()
    beyond = free_atoms(model)
    assert ("reference energy and the shift alone" in sentence) == (not any(beyond.values()))
    assert found.values[0][0] == pytest.approx(max(map(abs, beyond.values())), abs=1e-9)


def test_free_atoms_in_words() -> None:
    alone = "an atom without neighbors has its reference energy and the shift alone"
    assert free_atom_meaning({1: 0.0, 8: 1e-12}) == alone
    too = "an atom without neighbors has an energy from the network too: "
    assert free_atom_meaning({1: 0.0, 8: -1.25}) == too + "H 0, O -1.25 eV"
    many = {z: 0.5 * z for z in range(1, 12)}
    assert free_atom_meaning(many) == too + "from 0.5 (H) to 5.5 eV (Na)"
    assert free_atom_meaning({1: np.nan}) == too + "H nan eV"


# ---- engine ----


@pytest.mark.parametrize(
    ("energy", "force", "status"),
    [
        (1e-7, 1e-5, Status.OK),
        (1e-3, 1e-5, Status.LIMIT),
        (1e-7, 1e-2, Status.LIMIT),
        (1e-7, np.nan, Status.LIMIT),
    ],
)
def test_lower_precisions(energy: float, force: float, status: Status) -> None:
    def lower(atoms: Atoms) -> Properties:
        found = Pairwise()(atoms)
        forces: FloatArray = found.forces + force
        return replace(found, energy=found.energy + energy, forces=forces)

    found = check.precision("single", lower, Pairwise(), MOLECULE)
    assert found.status is status
    assert abs(found.values[0][0] - 1e3 * energy / len(MOLECULE)) <= 1e-9


SPOILED: dict[str, Callable[[dict[str, Any]], None]] = {
    "energy": lambda test: test.update(energy=test["energy"] + 1e-3),
    "forces": lambda test: test["forces"][0].__setitem__(1, test["forces"][0][1] + 1e-3),
    "virial": lambda test: test["virial"][2].__setitem__(0, test["virial"][2][0] + 1e-2),
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_spoiled_self_test_makes_the_check_fail(tmp_path: Path, what: str) -> None:
    model = add_self_test(tiny_model())
    document = json.loads(json.dumps(model.document))
    SPOILED[what](document["self_test"][2])
    path = tmp_path / "spoiled.eqnn"
    write_model(path, document, model.tensors)
    result = check_model(path)
    assert exit_status(result.measurements) == 1
    wrong = [m.what for m in result.measurements if m.status is Status.WRONG]
    assert wrong == ["self-test, plain loops", "self-test, double"]
    assert verdict(result.measurements).startswith(
        "Verdict: WRONG, do not use: the self-test fails"
    )


def test_a_file_without_self_test_is_not_fit(tmp_path: Path) -> None:
    model = tiny_model()
    write_model(tmp_path / "m.eqnn", model.document, model.tensors)
    result = check_model(tmp_path / "m.eqnn")
    assert exit_status(result.measurements) == 1
    assert [m.what for m in result.measurements if m.status is Status.WRONG] == ["self-test"]
    assert result.structures == ("a made-up cluster (8 atoms)",)
    assert "The file holds no self-test" in report(result)


def test_a_misstated_defect_is_wrong(tmp_path: Path) -> None:
    model = add_self_test(tiny_model())
    said = {"exact": False, "defect": 1e-3}
    write_model(tmp_path / "m.eqnn", {**model.document, "equivariance": said}, model.tensors)
    result = check_model(tmp_path / "m.eqnn")
    wrong = [m.what for m in result.measurements if m.status is Status.WRONG]
    assert wrong == ["coupling tensors"]
    assert "The file says 1.000e-03" in report(result)


# ---- whole models ----


def statuses(result: Result) -> dict[str, Status]:
    return {m.what.split(" (")[0]: m.status for m in result.measurements}


@pytest.fixture(scope="module")
def shipped() -> Result:
    return check_model(ROOT / "potentials" / "tdn_3bpa.eqnn")


@pytest.mark.slow
def test_the_shipped_model_has_the_limits_that_its_readme_states(shipped: Result) -> None:
    limits = [name for name, status in statuses(shipped).items() if status is Status.LIMIT]
    assert limits == [
        "rotation",
        "inversion",
        "pair crossing the cutoff",
        "free atoms",
        "close pairs",
    ]
    assert exit_status(shipped.measurements) == 0
    by_name = {m.what.split(" (")[0]: m for m in shipped.measurements}
    # Measured when it was trained: 6.0 meV rms over other pairs and frames, 21 at most.
    rms, largest, _ = (value for value, _ in by_name["pair crossing the cutoff"].values)
    assert 2.0 < rms < 10.0 and largest < 22.0
    # 79 meV from lowest to highest for 27 atoms.
    assert 0.3 < by_name["rotation"].values[0][0] < 3.0
    assert verdict(shipped.measurements) == (
        "Verdict: computed rightly; limits in MD: energies depend on orientation; mirror images "
        "differ in energy; energies jump at the cutoff; an atom that leaves jumps in energy; close "
        "atoms fuse above some 32 K."
    )


@pytest.mark.slow
def test_the_exact_model_does_not_depend_on_orientation() -> None:
    result = check_model(ROOT / "potentials" / "tdn_3bpa_exact.eqnn")
    assert statuses(result)["rotation"] is Status.OK
    limits = [name for name, status in statuses(result).items() if status is Status.LIMIT]
    assert limits == ["inversion", "pair crossing the cutoff", "free atoms", "close pairs"]


def test_a_model_for_energies_per_atom_does_not_add_up(tmp_path: Path) -> None:
    model = tiny_model()
    document = {**model.document, "energy": {**model.document["energy"]}}
    document["energy"]["semantics"] = "mean-per-atom"
    model = add_self_test(replace(model, document=document))
    write_model(tmp_path / "m.eqnn", model.document, model.tensors)
    result = check_model(tmp_path / "m.eqnn")
    assert statuses(result)["twice the system"] is Status.LIMIT
    assert statuses(result)["forces against finite differences"] is Status.OK
    assert exit_status(result.measurements) == 0


def test_direct_forces_are_checked_as_such(tmp_path: Path) -> None:
    model = add_self_test(tiny_model(forces="direct"))
    write_model(tmp_path / "m.eqnn", model.document, model.tensors)
    found = statuses(check_model(tmp_path / "m.eqnn"))
    assert found["direct forces against gradient"] is Status.LIMIT
    assert "virial against finite strains" not in found
    assert Status.WRONG not in found.values()


def test_a_given_slab_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "m.eqnn"
    shutil.copy(TDN / "model_l1_h16_b1.eqnn", path)
    slab = bulk("C", "diamond", 3.6, cubic=True)
    slab.rattle(0.05, seed=1)
    slab.cell[0] = 0.0
    slab.pbc = (False, True, True)
    found = statuses(check_model(path, slab))
    assert found["virial against finite strains"] in (Status.OK, Status.NOTE)
    assert found["twice the system"] is Status.OK


def test_a_given_structure_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "m.eqnn"
    shutil.copy(TDN / "model_l1_h16_b1.eqnn", path)
    crystal = bulk("C", "diamond", 3.6, cubic=True)
    crystal.rattle(0.05, seed=1)
    result = check_model(path, crystal)
    assert result.structures == ("the given structure (8 atoms)",)
    assert statuses(result)["forces against finite differences"] is Status.OK
    assert statuses(result)["virial against finite strains"] in (Status.OK, Status.NOTE)
    assert statuses(result)["twice the system"] is Status.OK


def test_structures_that_cannot_be_measured(tmp_path: Path) -> None:
    path = tmp_path / "m.eqnn"
    model = add_self_test(tiny_model())
    write_model(path, model.document, model.tensors)
    text = refusal(lambda: check_model(path, Atoms("N2", [[0, 0, 0], [1, 0, 0]])))
    assert "--structure: holds N, the model has H C O." in text
    text = refusal(lambda: check_model(path, Atoms("H")))
    assert "no two atoms are within the cutoff of 3 A, so there is nothing to measure" in text
    many = Atoms("H2001", np.random.default_rng(0).random((2001, 3)))
    text = refusal(lambda: check_model(path, many))
    assert "--structure: 2001 atoms, expected at most 2000" in text


# ---- report ----


@pytest.mark.slow
def test_the_report_is_aligned_and_says_all(shipped: Result) -> None:
    text = report(shipped)
    lines = text.splitlines()
    assert lines[0].endswith("tdn, H C N O, cutoff 5 A")
    assert "molecule (27 atoms) and periodic cell (6 atoms)" in lines[1]
    assert all(len(line) <= 120 and line == line.rstrip() for line in lines)
    columns = {
        line.index(measurement.what)
        for measurement in shipped.measurements
        for line in lines
        if measurement.what in line and line[:5].strip() in ("ok", "limit")
    }
    assert columns == {7}
    flat = " ".join(text.split())
    for measurement in shipped.measurements:
        assert measurement.meaning in flat
    assert flat.endswith(verdict(shipped.measurements))


def test_verdicts() -> None:
    def one(status: Status) -> Measurement:
        return Measurement("x", ((1.0, "eV"),), status, "Means.", "it is so")

    assert verdict([one(Status.OK), one(Status.NOTE)]) == "Verdict: suitable for MD."
    assert verdict([one(Status.LIMIT)]) == "Verdict: computed rightly; limits in MD: it is so."
    both = [one(Status.LIMIT), one(Status.WRONG)]
    assert verdict(both) == "Verdict: WRONG, do not use: it is so."
    assert [exit_status([one(s)]) for s in Status] == [0, 0, 0, 1]


def test_stored_and_measured_defects_agree_for_every_golden_model() -> None:
    for path in sorted(TDN.glob("*.eqnn")):
        model = read_model(path)
        assert check.coupling_defect(model).status is Status.OK
        said = {"exact": False, "defect": 1.001 * model.document["equivariance"]["defect"]}
        other = replace(model, document={**model.document, "equivariance": said})
        assert check.coupling_defect(other).status is Status.WRONG
