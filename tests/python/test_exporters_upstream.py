# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints of every layout against upstream's numbers, through the engine; and all refusals.

The files are in tests/golden/exporters; energies, forces and stresses are by upstream's code in
double precision, on a triclinic cell and on a molecule.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from eqnn_models import EXPORTERS, assert_engine_as_upstream, refusal
from exporter_cases import EXPORTED, export

from eqnn.export.mace import CHEBYSHEV_NOTE


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
