# SPDX-License-Identifier: BSD-3-Clause
"""Cuts a model to some of its elements."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ase.data import chemical_symbols

from eqnn.errors import EqnnError, listed
from eqnn.model_file import Model
from eqnn.stages import SPECIES_TABLES


def with_species(model: Model, atomic_numbers: Sequence[int]) -> Model:
    """Return a model with some of its elements, and the same results for them, bit by bit.

    `Model::with_species()` of the C++ library does the same with a model that it has read.

    Parameters
    ----------
    model : Model
        Unchanged; the result shares its tensors, except for tables of elements.
    atomic_numbers : sequence of int
        In any order.

    Returns
    -------
    Model
        It has the self-tests that need no other elements, perhaps none.

    Raises
    ------
    EqnnError
        If there is no element, or one that the model does not have.
    """
    document = model.document
    species: list[int] = document["species"]
    wanted = sorted(set(atomic_numbers))
    foreign = [z for z in wanted if z not in species]
    if foreign or not wanted:
        known = listed([chemical_symbols[z] for z in species])
        found = f"the atomic number {foreign[0]}" if foreign else "no element"
        raise EqnnError(f"{model.name}: found {found}, expected some of {known}.")
    rows = [species.index(z) for z in wanted]
    graph = copy.deepcopy(document["graph"])
    tables = [
        table
        for stage in graph
        if stage["op"] in SPECIES_TABLES
        for table in SPECIES_TABLES[stage["op"]](stage)
    ]
    n_uses = Counter(_words(graph))
    n_uses.subtract(place[key] for place, key, _ in tables)  # what is left needs the whole tensor
    tensors = dict(model.tensors)
    for place, key, n_axes in tables:
        whole = place[key]
        if n_uses[whole]:
            place[key] = f"{whole}/species"
        table = model.tensors[whole]
        for axis in range(n_axes):
            table = table.take(rows, axis=axis)
        tensors[place[key]] = table

    def of_each(values: Any) -> Any:
        return [values[row] for row in rows] if isinstance(values, list) else values

    energy = {key: of_each(value) for key, value in document["energy"].items()}
    tests = [test for test in document["self_test"] if set(test["numbers"]) <= set(wanted)]
    cut = {"species": wanted, "energy": energy, "graph": graph, "self_test": tests}
    return Model({**document, **cut}, tensors, model.name)


def _words(value: Any) -> Iterator[str]:
    """Yield all strings of a JSON value, but for keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value if isinstance(value, list) else value.values():
            yield from _words(one)
