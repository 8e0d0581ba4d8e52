# SPDX-License-Identifier: BSD-3-Clause
"""libeqnn.so through ctypes: against upstream's numbers, and its refusals."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from eqnn_models import (
    PROVENANCE,
    RANDOM_MODELS,
    ROOT,
    TDN,
    TRAINED,
    checkpoint,
    config,
    max_error,
    refusal,
    relative_error,
    tiny_density_model,
    tiny_model,
)
from safetensors.numpy import load_file

import eqnn
from eqnn import built, library
from eqnn.built import find_built
from eqnn.c_relax import RelaxEvents
from eqnn.errors import EqnnError
from eqnn.export.tdn import TdnConfig, export_tdn
from eqnn.library import Potential
from eqnn.model_file import Model, read_model, validate, write_model
from eqnn.numpy_evaluator import energy as numpy_energy
from eqnn.numpy_evaluator import forces as numpy_forces
from eqnn.packed import arrays_of
from eqnn.self_test import add_self_test, self_test_species

EVALUATORS = ("reference", "double")
# Sums of some thousand terms; the rank-7 factors of l_max 1 cancel to two digits.
TOLERANCE = 1e-11


def tiny_file(folder: Path, **options: str) -> Path:
    model = tiny_model(**options)  # type: ignore[arg-type]
    write_model(folder / "tiny.eqnn", model.document, model.tensors)
    return folder / "tiny.eqnn"


@pytest.mark.parametrize("evaluator", EVALUATORS)
@pytest.mark.parametrize("name", RANDOM_MODELS)
def test_energies_forces_and_virials_of_random_networks_equal_upstream(
    name: str, evaluator: str
) -> None:
    with Potential(TDN / f"model_{name}.eqnn", evaluator) as potential:
        for kind in ("3bpa0", "3bpa1", "pbc16"):
            golden = load_file(TDN / f"model_{name}.{kind}.safetensors")
            numbers, positions = golden["atomic_numbers"], golden["positions"]
            found = potential.evaluate(numbers, positions, golden.get("cell"))
            assert relative_error(found.energy, golden["energy"][0]) <= TOLERANCE
            assert relative_error(found.forces, golden["forces"]) <= TOLERANCE
            assert relative_error(found.virial, -golden["dE_dstrain"]) <= TOLERANCE
            assert abs(found.atom_energies.sum() - found.energy) <= 1e-12
        golden = load_file(TDN / f"model_{name}.acac2.safetensors")
        for graph in range(2):
            one = golden["batch"] == graph
            found = potential.evaluate(golden["atomic_numbers"][one], golden["positions"][one])
            assert relative_error(found.energy, golden["energy"][graph]) <= TOLERANCE
            assert relative_error(found.forces, golden["forces"][one]) <= TOLERANCE
        golden = load_file(TDN / f"model_{name}.isolated.safetensors")
        found = potential.evaluate(golden["atomic_numbers"], golden["positions"])
        assert relative_error(found.energy, golden["energy"][0]) <= TOLERANCE
        kept = golden["mask"]
        assert relative_error(found.forces[kept], golden["forces_masked"]) <= TOLERANCE
        assert not found.forces[~kept].any() and not found.atom_energies[~kept].any()


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_the_trained_network_equals_upstream(evaluator: str) -> None:
    golden = load_file(TRAINED / "golden20.safetensors")
    periodic = load_file(TRAINED / "pbc_hot440.safetensors")
    model = read_model(TRAINED / "tdn_3bpa.eqnn")
    said = model.document["energy"]
    index = [model.document["species"].index(z) for z in golden["atomic_numbers"]]
    constant = 27 * said["shift"] + sum(said["reference"][k] for k in index)
    with Potential(TRAINED / "tdn_3bpa.eqnn", evaluator) as potential:
        for k, positions in enumerate(golden["positions"]):
            found = potential.evaluate(golden["atomic_numbers"], positions)
            assert abs(found.energy - golden["E_total"][k]) <= 1e-10  # of 17 keV
            assert relative_error(found.forces, golden["forces"][k]) <= TOLERANCE
        found = potential.evaluate(
            periodic["atomic_numbers"], periodic["positions"], periodic["cell"]
        )
        assert abs(found.energy - constant - periodic["energy"][0]) <= 1e-10
        assert relative_error(found.forces, periodic["forces"]) <= TOLERANCE
        assert relative_error(found.virial, -periodic["dE_dstrain"]) <= TOLERANCE


@pytest.mark.parametrize("evaluator", EVALUATORS)
@pytest.mark.parametrize("name", ["l1_h16_b1", "l2_h16_b2"])
def test_direct_forces_equal_upstream(tmp_path: Path, name: str, evaluator: str) -> None:
    document = config(name)
    document["config"]["gradient_force"] = False
    model = export_tdn(
        checkpoint(name),
        TdnConfig(document, "c"),
        provenance=PROVENANCE,
        species=[1, 6, 7, 8],
        energy="extensive",
        log=lambda line: None,
    )
    write_model(tmp_path / "direct.eqnn", model.document, model.tensors)
    golden = load_file(TDN / f"model_{name}.direct.safetensors")
    with Potential(tmp_path / "direct.eqnn", evaluator, has_virial=False) as potential:
        found = potential.evaluate(golden["atomic_numbers"], golden["positions"])
    assert found.virial is None
    assert relative_error(found.forces, golden["forces"]) <= TOLERANCE
    assert relative_error(found.energy, golden["energy"][0]) <= TOLERANCE


@pytest.mark.parametrize(("evaluator", "tolerance"), [("mixed", 1e-5), ("single", 1e-5)])
def test_lower_precisions_are_lower_and_near(evaluator: str, tolerance: float) -> None:
    golden = load_file(TDN / "model_l2_h16_b2.3bpa0.safetensors")
    with Potential(TDN / "model_l2_h16_b2.eqnn", evaluator) as potential:
        found = potential.evaluate(golden["atomic_numbers"], golden["positions"])
    error = relative_error(found.forces, golden["forces"])
    assert 1e-10 < error <= tolerance


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_every_stage_equals_numpy(tmp_path: Path, evaluator: str) -> None:
    atoms = Atoms("HOCH", [[0, 0, 0], [1, 0.1, 0], [0, 1.2, 0.3], [2.0, 1.0, -0.4]])
    expected = numpy_energy(tiny_model(), atoms)
    with Potential(tiny_file(tmp_path), evaluator) as potential:
        found = potential.evaluate(atoms.numbers, atoms.positions)
    assert abs(found.energy - expected) <= 1e-12 * 10


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_tables_of_pairs_are_made_when_their_species_come(tmp_path: Path, evaluator: str) -> None:
    """Radial functions of both species: one structure after another has more of them."""
    model = tiny_density_model()
    write_model(tmp_path / "m.eqnn", model.document, model.tensors)
    positions = [[0, 0, 0], [1, 0.1, 0], [0, 1.2, 0.3], [2.0, 1.0, -0.4]]
    with Potential(tmp_path / "m.eqnn", evaluator) as potential:
        for symbols in ("OOOO", "OCOO", "HOCH", "HCCH", "OOOO"):
            atoms = Atoms(symbols, positions)
            found = potential.evaluate(atoms.numbers, atoms.positions)
            assert abs(found.energy - numpy_energy(model, atoms)) <= 1e-12 * 10
            # A table reaches 2e-14 of the function, its slope a few hundred times that.
            assert relative_error(found.forces, numpy_forces(model, atoms)) <= 1e-11


def test_self_tests_have_some_elements_of_many_where_pairs_have_tables() -> None:
    graph = [{"op": "radial", "species": {}}]
    few, many = list(range(1, 6)), list(range(1, 90))
    assert self_test_species({"species": few, "graph": graph}) == few
    assert self_test_species({"species": many, "graph": graph}) == [1, 45, 89]
    assert self_test_species({"species": many, "graph": [{"op": "radial"}]}) == many


@pytest.mark.parametrize("evaluator", [*EVALUATORS, "mixed", "single"])
def test_self_tests_pass_in_every_precision(evaluator: str) -> None:
    with Potential(TDN / "model_l1_h16_b1.eqnn", evaluator) as potential:
        energy, force, virial, count = potential.self_test()
        assert count == 4
        bound = 1e-9 if evaluator in EVALUATORS else 1e-3
        assert energy <= bound and force <= bound and virial <= bound


def test_a_wrong_self_test_is_measured(tmp_path: Path) -> None:
    model = read_model(TDN / "model_l1_h16_b1.eqnn")
    document = {**model.document, "self_test": [dict(t) for t in model.document["self_test"]]}
    document["self_test"][1]["energy"] += 0.8
    document["self_test"][1]["virial"][0][2] += 1.6
    write_model(tmp_path / "m.eqnn", document, model.tensors)
    n_atoms = len(document["self_test"][1]["numbers"])
    with Potential(tmp_path / "m.eqnn", "reference") as potential:
        energy, force, virial, _ = potential.self_test()
    assert abs(energy - 0.8 / n_atoms) <= 1e-9
    assert abs(virial - 1.6 / n_atoms) <= 1e-9
    assert force <= 1e-9


def test_descriptions_name_the_evaluator(tmp_path: Path) -> None:
    path = tiny_file(tmp_path)
    with Potential(path, "reference") as potential:
        assert potential.describe() == "reference evaluator: plain loops in double precision"
    with Potential(path, "single") as potential:
        assert "single" in potential.describe()


def test_library_and_package_have_one_version() -> None:
    assert library.version() == eqnn.__version__


# ---- refusals ----


def test_unknown_evaluators(tmp_path: Path) -> None:
    path = tiny_file(tmp_path)
    text = refusal(lambda: Potential(path, "half"))
    assert 'precision "half", expected double, mixed or single' in text


def test_missing_models() -> None:
    assert "nowhere.eqnn" in refusal(lambda: Potential("nowhere.eqnn"))


def test_unknown_elements(tmp_path: Path) -> None:
    with Potential(tiny_file(tmp_path)) as potential:
        text = refusal(lambda: potential.evaluate([1, 7], [[0, 0, 0], [1, 0, 0]]))
    assert text == (
        "atom 1 is N, which the model does not know, expected one of H, C, O.\n"
        "Use a model that knows all elements of the structure."
    )


def test_flags_of_fixed_atoms_must_fit_the_atoms(tmp_path: Path) -> None:
    water = arrays_of([8, 1, 1], [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    with Potential(tiny_file(tmp_path)) as potential:
        text = refusal(
            lambda: potential.relax_many(
                [water], library.relax_defaults(), RelaxEvents(), [np.zeros(2, np.int32)]
            )
        )
    assert text == ("2 flags of fixed atoms for 3 atoms, expected one for each. Correct the call.")


def test_direct_forces_have_no_virial(tmp_path: Path) -> None:
    with Potential(tiny_file(tmp_path, forces="direct")) as potential:
        text = refusal(lambda: potential.evaluate([1, 6], [[0, 0, 0], [1, 0, 0]]))
    assert "forces are direct, so there is no virial" in text


# Every number in 64ths: displacements by whole cells are exact.
CELL = np.array([[4.25, 0, 0], [0.75, 3.5, 0], [-1.25, 0.5, 4.0]])
INSIDE = np.array([[0.25, 0.125, 0.5], [2.0, 0.046875, 0.25], [1.0, 2.25, 2.5]])


@pytest.mark.parametrize("evaluator", EVALUATORS)
@pytest.mark.parametrize("size", [1, 200, 2000, 10**6])
def test_atoms_that_were_never_wrapped_cost_nothing_and_change_nothing(
    tmp_path: Path, evaluator: str, size: int
) -> None:
    cells = np.random.default_rng(size).integers(-size, size + 1, (3, 3))
    with Potential(tiny_file(tmp_path), evaluator) as potential:
        expected = potential.evaluate([8, 6, 1], INSIDE, CELL)
        # 2000 cells were 'not enough memory', 200 a minute.
        found = potential.evaluate([8, 6, 1], INSIDE + cells @ CELL, CELL)
    assert abs(found.energy - expected.energy) <= 1e-12
    assert max_error(found.forces, expected.forces) <= 1e-12
    assert max_error(found.virial, expected.virial) <= 1e-12
    atoms = Atoms([8, 6, 1], INSIDE + cells @ CELL, cell=CELL, pbc=True)
    assert abs(numpy_energy(tiny_model(), atoms) - expected.energy) <= 1e-12 * 10


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_coordinates_that_are_no_numbers_are_refused(tmp_path: Path, bad: float) -> None:
    with Potential(tiny_file(tmp_path)) as potential:
        evaluate = potential.evaluate
        for cell in (None, CELL):
            # Of an atom alone, too: it has no edge that could tell.
            text = refusal(partial(evaluate, [1], [[0, bad, 0]], cell))
            assert text.startswith("atom 0 is at (0, ") and "expected finite coordinates" in text
            text = refusal(partial(evaluate, [1, 6], np.array([[0, 0, 0], [0, 0, bad]]), cell))
            assert text.startswith("atom 1 is at (0, 0, ")
        broken = CELL.copy()
        broken[0, 0] = bad
        for n in (0, 1):
            text = refusal(partial(evaluate, [1] * n, np.zeros((n, 3)), broken))
            assert "a lattice vector has a component of " in text and "Correct the cell." in text


def test_where_doubles_are_too_coarse_nothing_is_computed(tmp_path: Path) -> None:
    with Potential(tiny_file(tmp_path)) as potential:
        text = refusal(lambda: potential.evaluate([1], [[2e8, 0, 0]]))
    assert "atom 0 is at (2e+08, 0, 0), expected within 1e+08 Angstrom of the origin" in text
    assert "Move the structure to the origin, or wrap it into its cell." in text


def test_numbers_of_numbers_must_agree(tmp_path: Path) -> None:
    with Potential(tiny_file(tmp_path)) as potential:
        text = refusal(lambda: potential.evaluate([1, 6], [[0, 0, 0]]))
        assert text == (
            "2 atomic numbers, 3 coordinates: expected three coordinates per atom and nine "
            "components of a cell.\nCorrect the structure."
        )
        text = refusal(lambda: potential.evaluate([1], [[0, 0, 0]], np.eye(2)))
        assert "1 atomic numbers, 3 coordinates, 4 components of the cell: expected" in text
        for numbers in ([1, 2**32 + 1], [-1, 1]):
            text = refusal(partial(potential.evaluate, numbers, np.eye(3)[:2]))
            assert text.startswith(f"atomic numbers from {min(numbers)} to {max(numbers)}.")
        text = refusal(lambda: potential.evaluate([0], [[0, 0, 0]]))
        assert text == "atomic number 0, expected 1 (H) to 118 (Og). Correct the structure."


@pytest.mark.parametrize("evaluator", ["reference", "double", "mixed", "single"])
def test_coinciding_atoms_are_refused(tmp_path: Path, evaluator: str) -> None:
    with Potential(tiny_file(tmp_path), evaluator) as potential:
        text = refusal(lambda: potential.evaluate([1, 6], np.zeros((2, 3))))
        assert "Angstrom from atom 0, expected at least 1e-06" in text
        assert "check the structure, the box and the time step" in text
        # And the potential is as good as before.
        found = potential.evaluate([1, 6], [[0, 0, 0], [1, 0, 0]])
    assert max_error(found.forces.sum(0), np.zeros(3)) <= 1e-14


def test_flat_cells_are_refused(tmp_path: Path) -> None:
    with Potential(tiny_file(tmp_path)) as potential:
        cell = [[1, 0, 0], [2, 0, 0], [0, 0, 1]]
        text = refusal(lambda: potential.evaluate([1], [[0, 0, 0]], cell))
    assert text == (
        "the cell's volume is 0 A^3, expected above 1e-06.\n"
        "Give three lattice vectors that are not in one plane, or no cell if nothing is periodic."
    )


def test_a_negative_number_of_atoms_is_refused(tmp_path: Path) -> None:
    """Python cannot give one; other languages can."""
    with Potential(tiny_file(tmp_path)) as potential:
        evaluate = potential._library.eqnn_evaluate
        assert evaluate(potential._opened, -1, *[None] * 7) == 1
    said = library._library().eqnn_last_error().decode()
    assert said == "n_atoms is -1, expected 0 or more. Correct the call of eqnn_evaluate()."


def test_the_last_error_is_that_of_the_last_call(tmp_path: Path) -> None:
    refusal(lambda: Potential("nowhere.eqnn"))
    assert library._library().eqnn_last_error().startswith(b"nowhere.eqnn: ")
    with Potential(tiny_file(tmp_path)):
        assert library._library().eqnn_last_error() == b""


def test_a_plan_has_a_line_for_each_table_and_stage(tmp_path: Path) -> None:
    with Potential(tiny_file(tmp_path)) as potential:
        lines = potential.plan().splitlines()
    assert lines[0].startswith("radial 0: ") and lines[-1].startswith("energy += readout of ")
    with Potential(tiny_file(tmp_path), "reference") as potential:
        assert potential.plan() == ""


def test_no_atoms_have_no_energy(tmp_path: Path) -> None:
    with Potential(tiny_file(tmp_path)) as potential:
        found = potential.evaluate([], np.zeros((0, 3)))
    assert found.energy == 0.0 and found.forces.shape == (0, 3)


def test_a_closed_potential_says_so(tmp_path: Path) -> None:
    potential = Potential(tiny_file(tmp_path))
    potential.close()
    potential.close()
    for use in (
        lambda: potential.evaluate([1], [[0, 0, 0]]),
        potential.self_test,
        potential.describe,
        potential.plan,
    ):
        assert refusal(use) == "the potential was closed. Open it again."


def test_built_files_are_found_or_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "libeqnn.so"
    monkeypatch.setenv("SOME_VARIABLE", str(file))
    text = refusal(lambda: find_built("libeqnn.so", "SOME_VARIABLE"))
    assert text.startswith(f"SOME_VARIABLE is {file}, where there is no file. Set it to the path")
    file.write_text("")
    assert find_built("libeqnn.so", "SOME_VARIABLE") == file
    monkeypatch.delenv("SOME_VARIABLE")
    text = refusal(lambda: find_built("libnone.so", "SOME_VARIABLE"))
    assert "libnone.so is not built: looked in " in text
    assert "Run `make` there,\nor set SOME_VARIABLE to the path of libnone.so." in text
    # The package of pip has no source tree around it.
    monkeypatch.setattr(built, "ROOT", tmp_path)
    text = refusal(lambda: find_built("libnone.so", "SOME_VARIABLE"))
    assert text == (
        "libnone.so is not part of the installed Python package, expected in SOME_VARIABLE.\n"
        "Build it in a clone of eqnn (`make`), and set SOME_VARIABLE to the path of libnone.so."
    )


def test_a_file_that_is_no_library_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "libeqnn.so"
    file.write_text("text")
    monkeypatch.setenv("EQNN_LIBRARY", str(file))
    library._library.cache_clear()
    try:
        text = refusal(lambda: Potential("any"))
    finally:
        library._library.cache_clear()
    assert "cannot be used as eqnn's library" in text
    assert "Run `make` again." in text


def test_what_needs_the_library_says_how_to_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading, writing and building: nothing is taken for valid without it."""
    model = tiny_model()
    monkeypatch.setenv("EQNN_LIBRARY", str(tmp_path / "none.so"))
    library._library.cache_clear()
    try:
        for use in (
            lambda: read_model(ROOT / "potentials" / "tdn_3bpa.eqnn"),
            lambda: write_model(tmp_path / "m.eqnn", model.document, model.tensors),
            tiny_model,
        ):
            text = refusal(use)
            assert "none.so, where there is no file. Set it to the path of libeqnn.so" in text
    finally:
        library._library.cache_clear()
    assert list(tmp_path.iterdir()) == []


def readout_of(n_layers: int) -> Model:
    """Make a small model whose readout has so many layers."""
    model = tiny_model()
    document = copy.deepcopy(model.document)
    readout = next(stage for stage in document["graph"] if stage["op"] == "readout")
    one = {"weight": "one", "bias": None, "layer_norm": None, "activation": "silu"}
    readout["layers"] += [one] * (n_layers - len(readout["layers"]))
    return Model(document, {**model.tensors, "one": np.ones((1, 1))}, "m.eqnn")


def test_what_validates_runs_at_the_limit_and_not_beyond() -> None:
    validate(add_self_test(readout_of(8)), load=True)
    assert refusal(lambda: validate(readout_of(9))).startswith(
        "m.eqnn: /graph/11/layers: the readout has 9 layers, expected at most 8."
    )


@pytest.mark.parametrize("evaluator", ["reference", "double", "single"])
def test_elements_that_are_kept_get_the_same_numbers_bit_by_bit(evaluator: str) -> None:
    model = TDN / "model_l1_h16_b1.eqnn"  # H, C, N, O
    numbers = [8, 1, 1, 8]
    positions = [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0], [1.3, 1.2, 0.4]]
    with (
        Potential(model, evaluator) as whole,
        Potential(model, evaluator, elements=[8, 1]) as cut,
        Potential(model, evaluator, elements=np.array([1, 8, 1])) as other,
    ):
        expected = whole.evaluate(numbers, positions)
        for potential in (cut, other):
            found = potential.evaluate(numbers, positions)
            assert found.energy == expected.energy
            assert np.array_equal(found.atom_energies, expected.atom_energies)
            assert np.array_equal(found.forces, expected.forces)
            assert found.virial is not None and expected.virial is not None
            assert np.array_equal(found.virial, expected.virial)
        # Its self-tests have carbon and nitrogen.
        assert whole.self_test()[3] == 4
        assert cut.self_test() == (0.0, 0.0, 0.0, 0)
        with pytest.raises(EqnnError, match="C"):
            cut.evaluate([6], [[0.0, 0.0, 0.0]])


def test_elements_that_a_model_lacks_are_refused() -> None:
    model = TDN / "model_l1_h16_b1.eqnn"
    with pytest.raises(EqnnError, match="no element with the atomic number 14, expected some of H"):
        Potential(model, elements=[1, 14])
    with pytest.raises(EqnnError, match="no element, expected at least one of H C N O"):
        Potential(model, elements=[])
