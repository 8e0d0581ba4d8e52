# SPDX-License-Identifier: BSD-3-Clause
"""Self-tests: structures with the energies and forces that any correct engine must reproduce."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ase import Atoms

from eqnn.library import Potential
from eqnn.model_file import Document, Model, validate, write_model
from eqnn.structures import cell_with_vacuum, self_test_structures

# Pairs of the pressed molecule are at some 0.8 of the sum of their covalent radii: within ZBL.
PRESSED = 0.72
# Where each pair of elements has radial functions of its own: of more elements than this,
# structures have some.
MOST_OF_PAIRS = 5
SOME = 3


def self_test_species(document: Document) -> list[int]:
    """Elements in self-tests: all, or only some if pairs of elements have tables.

    An engine makes these tables when a pair first occurs: 89 elements would need thousands.
    """
    species: list[int] = document["species"]
    of_pairs = any(
        stage["op"] == "radial" and stage.keys() & {"transform", "species"}
        for stage in document["graph"]
    )
    n = len(species)
    if not of_pairs or n <= MOST_OF_PAIRS:
        return species
    return [species[k * (n - 1) // (SOME - 1)] for k in range(SOME)]


def add_self_test(
    model: Model, molecule: Atoms | None = None, *, with_pressed: bool = False
) -> Model:
    """Return the model with self-tests made by the library's reference evaluator, in double.

    Parameters
    ----------
    model : Model
        Its own self-tests, if it has any, are replaced.
    molecule : Atoms, optional
        Of the model's elements; a built-in cluster if left out.
    with_pressed : bool
        Whether to add the molecule compressed, so that terms for close atoms do not vanish. Model
        files never have it: the network's results there may be large, and so may their rounding
        errors.

    Raises
    ------
    InvalidModelError
        If the library refuses the model, or cannot prepare it to run in each precision: a model
        with self-tests can run. The compressed molecule is exempt.
    """
    document = {**model.document, "self_test": []}
    species = document["species"] if molecule else self_test_species(document)
    structures = self_test_structures(species, document["cutoff"], molecule)
    if with_pressed:
        pressed = structures[0][1].copy()
        pressed.positions *= PRESSED
        structures.append(("molecule, pressed", pressed))
    tests: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "without_self_test.eqnn"
        write_model(path, document, model.tensors)
        has_virial = document["forces"] == "gradient"
        with Potential(path, "reference", has_virial) as potential:
            for name, atoms in structures:
                cell = cell_with_vacuum(atoms, document["cutoff"])
                found = potential.evaluate(atoms.numbers.tolist(), atoms.positions, cell)
                tests.append(
                    {
                        "name": name,
                        "numbers": atoms.numbers.tolist(),
                        "positions": atoms.positions.tolist(),
                        "cell": None if cell is None else cell.tolist(),
                        "energy": found.energy,
                        "forces": found.forces.tolist(),
                        "virial": None if found.virial is None else found.virial.tolist(),
                    }
                )
    tested = Model({**document, "self_test": tests}, model.tensors, model.name)
    validate(tested, load=not with_pressed)
    return tested
