# SPDX-License-Identifier: BSD-3-Clause
"""Published checkpoints, too large for this repository, exported and held against upstream.

    make test-published PUBLISHED=folder

The folder holds some of the files below; potentials/README.md says where they come from. What is
not there is skipped. Each is exported as its authors publish it, evaluated in NumPy, and compared
with the goldens in double; and the potentials that are shipped must come from these files. Goldens
in the folder (NAME/STRUCTURE.safetensors, fields as in tests/golden/pretrained) are held through
LAMMPS, in double on 1, 2 and 4 ranks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from eqnn_models import PRETRAINED, PROVENANCE, ROOT, assert_as_golden, refusal
from lmp import DOUBLE, expect_frame, upstream_frame

from eqnn.export import mace, nequip, nequix
from eqnn.export.checkpoint import read_npz
from eqnn.export.nequip import export_nequip
from eqnn.export.nequix import NequixConfig, export_nequix
from eqnn.export.sevennet import SevenNetConfig, export_sevennet
from eqnn.export.torch_file import read_torch_file, state_dict
from eqnn.model_file import Model, in_single_precision, read_model, write_model

FOLDER = Path(os.environ.get("PUBLISHED", "."))
found_files: list[Path] = []


def quiet(line: str) -> None:
    """Swallow the exporter's report."""


def published(name: str) -> Path:
    """Path of a checkpoint, anywhere in the folder; the test is skipped without it."""
    found = sorted(FOLDER.rglob(name))
    if not found:
        pytest.skip(f"{name} is not in {FOLDER}")
    found_files.append(found[0])
    return found[0]


def sevennet_npz(name: str) -> Model:
    config = json.loads(published(f"checkpoint_{name}_config.json").read_text())
    tensors = read_npz(published(f"checkpoint_{name}_weights.npz"))
    said = SevenNetConfig(config, "config")
    return export_sevennet(tensors, said, provenance=PROVENANCE, log=quiet)


def sevennet_0_npz() -> Model:
    return sevennet_npz("sevennet_0")


def sevennet_pth(name: str, modality: str | None = None) -> Model:
    found = read_torch_file(published(name))
    return export_sevennet(
        found["model_state_dict"],
        SevenNetConfig(found["config"], name),
        provenance=PROVENANCE,
        modality=modality,
        log=quiet,
    )


def nequix_mp_1() -> Model:
    config, arrays = nequix.read_nqx(published("nequix-mp-1.nqx"))
    return export_nequix(NequixConfig(config, "c"), arrays, provenance=PROVENANCE, log=quiet)


def nequix_oam_1() -> Model:
    config, arrays = nequix.read_nqx(published("nequix-oam-1.nqx"))
    return export_nequix(NequixConfig(config, "c"), arrays, provenance=PROVENANCE, log=quiet)


def nequip_toluene() -> Model:
    module = nequip.read(published("toluene.nequip.pth"))
    return export_nequip(module, energy_unit="kcal/mol", provenance=PROVENANCE, log=quiet)


def pickled_mace(name: str) -> Model:
    module = read_torch_file(published(name))
    network = mace.network_from_module(module, name)
    return mace.export_mace(state_dict(module), network, provenance=PROVENANCE, log=quiet)


MODELS: dict[str, tuple[Callable[[], Model], str]] = {
    "SevenNet-0, npz": (sevennet_0_npz, "sevennet_0"),
    "SevenNet-0, pth": (
        lambda: sevennet_pth("SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth"),
        "sevennet_0",
    ),
    "SevenNet-0 of May 2024": (
        lambda: sevennet_pth("SevenNet_0__22May2024/checkpoint_sevennet_0.pth"),
        "sevennet_0_may",
    ),
    "SevenNet-MF-0, R2SCAN": (
        lambda: sevennet_pth("checkpoint_sevennet_mf_0.pth", "R2SCAN"),
        "sevennet_mf_0_r2scan",
    ),
    "SevenNet-MF-0, PBE": (
        lambda: sevennet_pth("checkpoint_sevennet_mf_0.pth", "PBE"),
        "sevennet_mf_0_pbe",
    ),
    "SevenNet-l3i5, npz": (lambda: sevennet_npz("l3i5"), "sevennet_l3i5"),
    "SevenNet-l3i5, pth": (lambda: sevennet_pth("checkpoint_l3i5.pth"), "sevennet_l3i5"),
    "Nequix-mp-1": (nequix_mp_1, "nequix_mp_1"),
    "Nequix-oam-1": (nequix_oam_1, "nequix_oam_1"),
    "NequIP toluene": (nequip_toluene, "nequip_toluene"),
}


@pytest.mark.parametrize("name", MODELS)
def test_published_checkpoints_equal_upstream(name: str) -> None:
    make, golden = MODELS[name]
    model = make()
    paths = sorted(PRETRAINED.glob(f"{golden}.*.safetensors"))
    assert paths
    for path in paths:
        assert_as_golden(model, path, 1)


@pytest.mark.parametrize(
    ("make", "name", "single"),
    [
        (sevennet_0_npz, "sevennet_0", True),
        (nequix_mp_1, "nequix_mp_1", True),
        (nequip_toluene, "nequip_toluene", False),
    ],
)
def test_potentials_come_from_these_files(
    make: Callable[[], Model], name: str, single: bool
) -> None:
    model = in_single_precision(make()) if single else make()
    shipped = read_model(ROOT / "potentials" / f"{name}.eqnn")
    assert model.document["graph"] == shipped.document["graph"]
    assert model.document["energy"] == shipped.document["energy"]
    for key, tensor in shipped.tensors.items():
        np.testing.assert_allclose(model.tensors[key], tensor, rtol=1e-6 if single else 1e-14)


def test_a_checkpoint_with_harmonics_that_grow_is_refused() -> None:
    text = refusal(lambda: sevennet_pth("SevenNet_0__22May2024/checkpoint_sevennet_0.pth"))
    assert "_normalize_sph is False, expected True" in text


# By the folder of their goldens.
IN_LAMMPS: dict[str, Callable[[], Model]] = {
    "sevennet0_11jul2024": sevennet_0_npz,
    "sevennet_l3i5": lambda: sevennet_npz("l3i5"),
    "nequix_mp_1": nequix_mp_1,
    "nequip_toluene": nequip_toluene,
    "mace01_swa": lambda: pickled_mace("mace01_swa.model"),
    "mace02_com1_swa": lambda: pickled_mace("mace02_com1_swa.model"),
    "mace02_com1_gen1_swa": lambda: pickled_mace("mace02_com1_gen1_swa.model"),
    "mace02_com3_swa": lambda: pickled_mace("mace02_com3_swa.model"),
}


@cache
def exported(name: str, folder: Path) -> Path:
    """Write a checkpoint's model file, in double."""
    path = folder / f"{name}.eqnn"
    model = IN_LAMMPS[name]()
    write_model(path, model.document, model.tensors)
    return path


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("name", IN_LAMMPS)
def test_published_goldens_hold_through_lammps(
    name: str, ranks: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = (p for p in FOLDER.rglob(f"{name}/*.safetensors") if not p.name.startswith("trace_"))
    goldens = sorted(found)
    if not goldens:
        pytest.skip(f"no {name}/*.safetensors in {FOLDER}")
    model = exported(name, tmp_path_factory.getbasetemp())
    worst = np.zeros(3)
    for path in goldens:
        compared = expect_frame(model, upstream_frame(path), DOUBLE, tmp_path, ranks)
        worst = np.maximum(worst, [compared.energy, compared.force, compared.virial])
    # For those who run pytest with -s.
    print(
        f"\n{name}, {len(goldens)} structures, {ranks} ranks: energy {worst[0]:.1e}, "
        f"force {worst[1]:.1e} eV/A, virial {worst[2]:.1e}"
    )


def test_the_folder_has_something_to_test() -> None:
    """Runs last: a folder without any of these files skips every test above."""
    assert found_files, f"none of the files is in {FOLDER}: potentials/README.md says what they are"
