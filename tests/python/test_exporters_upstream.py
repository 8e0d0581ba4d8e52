# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints of every layout against upstream's numbers, through the engine; and all refusals.

The files are in tests/golden/exporters; energies, forces and stresses are by upstream's code in
double precision, on a triclinic cell and on a molecule.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from eqnn_models import EXPORTERS, assert_engine_as_upstream, refusal

from eqnn.export import UPSTREAMS
from eqnn.model_file import Model

EXPORTED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mace_gate_none": ("mace", "mace_gate_none.model", {}),
    "mace_so3": ("mace", "mace_so3.model", {}),
    "nequip_nequip_0.14_plain": (
        "nequip",
        "nequip_nequip_0.14_plain.nequip.zip",
        {"energy_unit": "eV"},
    ),
    "sevennet_omni_univ": ("sevennet", "sevennet_omni_univ.pth", {"modality": "spice"}),
}


def export(upstream: str, path: Path, **more: Any) -> Model:
    keys = ("config", "species", "head", "modality", "energy_unit", *TOLD)
    options = Namespace(**(dict.fromkeys(keys) | {"checkpoint": path} | more))
    found = {one.name: one for one in UPSTREAMS}[upstream]
    return found.export(options, lambda line: None)


TOLD = ("data", "level_of_theory", "licence")


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["cell", "molecule"])
@pytest.mark.parametrize("name", EXPORTED)
def test_the_engine_equals_upstream(name: str, structure: str, tmp_path: Path) -> None:
    upstream, file, more = EXPORTED[name]
    model = export(upstream, EXPORTERS / file, **more)
    assert_engine_as_upstream(model, EXPORTERS / f"{name}.{structure}.safetensors", tmp_path)


def test_rows_that_are_no_element_are_left_out() -> None:
    path = EXPORTERS / "sevennet_omni_univ.pth"
    species = export("sevennet", path, modality="spice").document["species"]
    assert species == list(range(1, 119))
    some = export("sevennet", path, modality="spice", species=[8, 1])
    assert some.document["species"] == [1, 8]


REFUSED = {
    "mace_soft.model": (
        "radial_embedding.distance_transform: SoftTransform has no stage.\nIt cannot be exported."
    ),
    "mace_density_two_heads.model": (
        "radial_embedding.distance_transform: AgnesiTransform has no stage; "
        "interactions.0: RealAgnosticDensityInteractionBlock has no stage; "
        "interactions.1: RealAgnosticDensityResidualInteractionBlock has no stage.\n"
        "It cannot be exported."
    ),
    "mace_nonlinear_two_heads.model": (
        "interactions.0, interactions.1: RealAgnosticResidualNonLinearInteractionBlock has no "
        "stage; readouts.1: NonLinearBiasReadoutBlock has no stage.\nIt cannot be exported."
    ),
    "mace_compiled.model": (
        "holds a compiled copy of ScaleShiftMACE (TorchScript), which lacks what it was made of.\n"
        "Give the .model that mace_run_train wrote beside it (without _compiled)."
    ),
}


@pytest.mark.parametrize("file", REFUSED)
def test_all_that_has_no_stage_is_told_at_once(file: str) -> None:
    path = EXPORTERS / file
    assert refusal(lambda: export("mace", path, head="b")) == f"{path}: {REFUSED[file]}"
