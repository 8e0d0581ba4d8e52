# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints of every layout against upstream's numbers, through the engine; and all refusals.

The files are in tests/golden/exporters; energies, forces and stresses are by upstream's code in
double precision, on a triclinic cell and on a molecule.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from eqnn_models import EXPORTERS, assert_engine_as_upstream, golden_atoms, refusal
from exporter_cases import EXPORTED, export
from safetensors.numpy import load_file

from eqnn import check
from eqnn.check import Status
from eqnn.export.mace import CHEBYSHEV_NOTE
from eqnn.library import Potential
from eqnn.model_file import write_model


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["cell", "molecule"])
@pytest.mark.parametrize("name", EXPORTED)
def test_the_engine_equals_upstream(name: str, structure: str, tmp_path: Path) -> None:
    upstream, file, more = EXPORTED[name]
    model = export(upstream, EXPORTERS / file, **more)
    assert_engine_as_upstream(model, EXPORTERS / f"{name}.{structure}.safetensors", tmp_path)


# All irreps of these networks are even, so that mirror images have other energies.
ROTATIONS_ONLY = (
    *("mace_so3", "sevennet_cueq", "nequip_nequip_0.14_plain"),
    *("nequip_norm_ssp", "nequip_ssp"),
)


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["cell", "molecule"])
@pytest.mark.parametrize("name", EXPORTED)
def test_the_engine_has_the_symmetries_of_physics(
    name: str, structure: str, tmp_path: Path
) -> None:
    """Rotation, inversion, permutation, two systems, forces and virials by finite differences."""
    upstream, file, more = EXPORTED[name]
    model = export(upstream, EXPORTERS / file, **more)
    path = tmp_path / "model.eqnn"
    write_model(path, model.document, model.tensors)
    atoms = golden_atoms(dict(load_file(EXPORTERS / f"{name}.{structure}.safetensors")))
    document = model.document
    cutoff, is_o3 = document["cutoff"], name not in ROTATIONS_ONLY
    assert document["parity"] == ("o3" if is_o3 else "so3")
    with Potential(path, "double") as potential:
        evaluate = check.network_of(potential, model)
        largest = float(np.abs(evaluate(atoms).forces).max())
        exact = [
            check.rotation(evaluate, atoms, is_exact=True),
            check.permutation(evaluate, atoms),
            check.extensivity(evaluate, atoms, cutoff, is_extensive=True),
        ]
        mirrored = check.inversion(evaluate, atoms, is_invariant=is_o3)
        derivatives = [check.finite_differences(evaluate, atoms, cutoff)]
        if structure == "cell":
            derivatives.append(check.virial(evaluate, atoms, cutoff))
    for found in [*exact, mirrored] if is_o3 else exact:
        for value, unit in found.values:  # thousandths of an eV for each atom, and forces
            assert value <= 1e-10 * max(1.0, largest), (found.what, value, unit)
    if not is_o3:
        assert mirrored.values[1][0] > 1e-5 * largest
    for found in derivatives:
        assert found.status is Status.OK and found.values, found


def test_rows_that_are_no_element_are_left_out() -> None:
    path = EXPORTERS / "sevennet_omni_univ.pth"
    species = export("sevennet", path, modality="spice").document["species"]
    assert species == list(range(1, 119))
    some = export("sevennet", path, modality="spice", species=[8, 1])
    assert some.document["species"] == [1, 8]


def test_forces_that_upstream_lacks_are_told() -> None:
    path = EXPORTERS / "mace_abs_chebyshev.model"
    said: list[str] = []
    export("mace", path, log=said.append)
    assert CHEBYSHEV_NOTE in said


REFUSED = {
    "mace_compiled.model": (
        "holds a compiled copy of ScaleShiftMACE (TorchScript), which does not contain the "
        "original model.\nGive the .model that mace_run_train wrote beside it (without _compiled)."
    ),
}


@pytest.mark.parametrize("file", REFUSED)
def test_all_that_has_no_stage_is_told_at_once(file: str) -> None:
    path = EXPORTERS / file
    assert refusal(lambda: export("mace", path, head="b")) == f"{path}: {REFUSED[file]}"
