# SPDX-License-Identifier: BSD-3-Clause
"""A model that is cut to some of its elements: the same results, in a smaller file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.data import chemical_symbols
from eqnn_models import GOLDEN, ROOT, refusal

from eqnn import stages
from eqnn.errors import InvalidModelError
from eqnn.library import Potential
from eqnn.model_file import Model, read_model, write_model
from eqnn.species import with_species
from eqnn.structures import self_test_structures

FILES = sorted(
    [
        *GOLDEN.rglob("*.eqnn"),
        *(ROOT / "potentials").glob("*.eqnn"),
        *(ROOT / "tests" / "model" / "good").glob("*.eqnn"),
    ]
)


def some(species: list[int]) -> list[int]:
    """Two elements that do not stand side by side, so that rows move; of two elements, the last."""
    return [species[-1], species[0]] if len(species) > 2 else species[-1:]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_cut_model_gives_the_same_bit_by_bit(path: Path, tmp_path: Path) -> None:
    """As the library does, which cuts the weights that it has read."""
    model = read_model(path)
    chosen = some(model.document["species"])
    cut = with_species(model, chosen)
    if len(model.document["species"]) == 1:
        assert cut.sha256 == model.sha256
        return
    assert cut.document["species"] == sorted(chosen)
    file = tmp_path / "cut.eqnn"
    write_model(file, cut.document, cut.tensors)
    atoms = self_test_structures(sorted(chosen), model.document["cutoff"], None)[0][1]
    has_virial = model.document["forces"] == "gradient"
    found = []
    for name, elements in ((path, chosen), (file, None)):
        with Potential(name, "double", has_virial, elements=elements) as potential:
            found.append(potential.evaluate(atoms.numbers.tolist(), atoms.positions))
    whole, part = found
    assert np.isfinite(whole.energy) and whole.energy == part.energy
    assert np.array_equal(whole.forces, part.forces)
    for test in cut.document["self_test"]:
        assert set(test["numbers"]) <= set(chosen)


def test_all_stages_with_tables_of_elements_are_known() -> None:
    """Each occurs in a file above, so that a row of a wrong element would be seen."""
    used = {
        stage["op"]
        for path in FILES
        if len((model := read_model(path)).document["species"]) > 1
        for stage in model.document["graph"]
    }
    assert set(stages.SPECIES_TABLES) <= used
    kinds = [
        stage[key]["kind"] if key == "transform" else key
        for path in FILES
        for stage in read_model(path).document["graph"]
        if stage["op"] == "radial"
        for key in ("transform", "species")
        if key in stage
    ]
    assert set(kinds) == {"agnesi", "soft", "pair_cutoff", "species"}


def test_a_table_that_is_not_cut_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stage that forgets its table cannot give the rows of other elements."""
    monkeypatch.delitem(stages.SPECIES_TABLES, "species_embedding")
    cut = with_species(read_model(ROOT / "potentials" / "organic_tdn.eqnn"), [1, 8])
    with pytest.raises(InvalidModelError, match=r"has shape \[4, 64\], expected \[2,"):
        write_model(tmp_path / "cut.eqnn", cut.document, cut.tensors)


def test_what_it_leaves_alone() -> None:
    """The given model; and all of it, if all elements are wanted."""
    model = read_model(ROOT / "potentials" / "organic_tdn.eqnn")
    before = model.sha256
    assert with_species(model, [8, 1, 1, 7, 6]).sha256 == before == model.sha256
    cut = with_species(model, [8, 1])
    assert model.sha256 == before != cut.sha256
    reference = model.document["energy"]["reference"]
    assert cut.document["energy"]["reference"] == [reference[0], reference[3]]


@pytest.mark.parametrize(
    ("numbers", "found"), [([], "no element"), ([1, 92], "the atomic number 92")]
)
def test_elements_that_it_does_not_have_are_refused(numbers: list[int], found: str) -> None:
    model: Model = read_model(ROOT / "potentials" / "organic_tdn.eqnn")
    names = ", ".join(chemical_symbols[z] for z in model.document["species"])
    said = refusal(lambda: with_species(model, numbers))
    assert said == f"{model.name}: found {found}, expected some of {names}."


def test_the_elements_of_a_large_model_are_named_in_part() -> None:
    model: Model = read_model(ROOT / "potentials" / "sevennet_0.eqnn")
    assert refusal(lambda: with_species(model, [118])) == (
        f"{model.name}: found the atomic number 118, expected some of H, He, Li, Be, B, C, N, O, "
        "F, Ne, Na, Mg and 77 more."
    )
