# SPDX-License-Identifier: BSD-3-Clause
"""Published families in LAMMPS: results equal those of upstream's codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from eqnn_models import EXPORTERS, tiny_cp_model, tiny_gaunt_model
from exporter_cases import EXPORTED, export
from lmp import (
    DOUBLE,
    GOLDEN,
    POTENTIALS,
    GoldenFrame,
    Setup,
    Tolerance,
    expect_frame,
    upstream_frame,
)
from tried import tried

from eqnn.model_file import Model, write_model
from eqnn.numpy_evaluator import energy

# Potentials whose weights, normalizations folded in, are stored in single precision: 6e-8 of each.
STORED_IN_SINGLE = Tolerance(1e-7, 1e-6, 1e-6)
IN_DOUBLE = ("nequip_toluene", "gaunt_acetylacetone")

NETWORKS = {
    "mace/mace_l2c2": ("3bpa0", "pbc16"),
    "mace/mace_l3c3": ("3bpa0", "pbc16"),
    "mace/mace_heads.pbe": ("pbc9",),
    "mace/mace_heads.ccsd": ("pbc9",),
    "mace/mace_plain": ("pbc9",),
    "mace_gaunt/mg_l2_h8_c2": ("3bpa0", "pbc16"),
    "mace_gaunt/mg_l3_h8_c3": ("3bpa0", "pbc16"),
    "mace_gaunt/mg_l2_h8_c3_b3": ("3bpa0", "pbc16"),
    "exporters/mace_soft": ("molecule", "cell"),
    "exporters/mace_density_agnesi_zbl": ("molecule", "cell"),
    "exporters/mace_nonlinear_two_heads": ("molecule", "cell"),
    "exporters/mace_tanh_output_cutoff": ("molecule", "cell"),
    "exporters/mace_abs_chebyshev": ("molecule", "cell"),
    "exporters/mace_correlation_4": ("molecule", "cell"),
    "exporters/mace_pseudo": ("molecule", "cell"),
    "exporters/mace_attention": ("molecule", "cell"),
    "exporters/mace_attention_output_cutoff": ("molecule", "cell"),
    "exporters/mace_joint.q-2s3": ("molecule", "cell"),
    "exporters/sevennet_growing": ("molecule", "cell"),
    "exporters/mlip_mace": ("molecule", "cell"),
    "exporters/mlip_gaunt": ("molecule", "cell"),
    "exporters/mlip_nequip": ("molecule", "cell"),
    "exporters/mlip_mace_soft": ("molecule", "cell"),
    "pretrained/nequip_cutoffs": ("pbc9",),
    "pretrained/nequip_norms": ("pbc9",),
    "pretrained/mace_acac": ("md300_0", "md300_400_flipped", "isolated_h", "acac1_pbc_small"),
    "pretrained/mace_tutorial": ("ethanol_md0", "solvent_idx40", "ethanol8_pbc"),
    "pretrained/sevennet_cp0": (
        "hf2o4_cluster",
        "isolated_o",
        "hfo2_mono12",
        "hfo2_fluorite3_small",
    ),
    "nequip_toluene": ("rmd17_test0", "isolated_c", "toluene2_pbc", "methane_slab_small"),
    "gaunt_acetylacetone": (
        "md300_0",
        "md300_400_flipped",
        "isolated_h",
        "acac3_pbc",
        "acac1_pbc_small",
    ),
    "sevennet_0": ("liquid_hcno", "mgo2_small"),
    "nequix_mp_1": ("liquid_hcno", "nacl8"),
}


def model_of(network: str) -> Path:
    folder = GOLDEN if "/" in network else POTENTIALS
    return folder / f"{network}.eqnn"


def expect_equal(network: str, name: str, folder: Path, ranks: int, style: str = "eqnn") -> str:
    """Compare; return LAMMPS's log."""
    file = network if "/" in network else f"pretrained/{network}"
    frame = upstream_frame(GOLDEN / f"{file}.{name}.safetensors")
    tolerance = DOUBLE if "/" in network or network in IN_DOUBLE else STORED_IN_SINGLE
    return expect_frame(model_of(network), frame, tolerance, folder, ranks, style).log


@pytest.mark.parametrize("products", ["sparse", "grid", "fourier"])
@tried("What LAMMPS computes from it", "products sparse, grid, fourier", "upstream's numbers")
def test_every_way_to_multiply_on_the_sphere_gives_upstreams_results(
    tmp_path: Path, products: str
) -> None:
    style = f"eqnn products {products}"
    log = expect_equal("mace_gaunt/mg_l3_h8_c3", "pbc16", tmp_path, 1, style)
    assert f"products on the sphere: {products}, {products}" in log


def expect_numpy(folder: Path, model: Model, style: str, ranks: int) -> str:
    """No published network is like it: energies and their differences of the NumPy evaluator."""
    write_model(folder / "model.eqnn", model.document, model.tensors)
    rng = np.random.default_rng(3)
    atoms = bulk("C", "diamond", a=4.2, cubic=True)
    atoms.numbers[1::2] = [1, 8, 1, 8]
    atoms.rattle(0.2, rng=rng)
    found = Setup(folder / "model.eqnn", atoms, style=style).evaluate(folder, ranks)
    assert abs(found.energy - energy(model, atoms)) <= 1e-10 * abs(found.energy)
    direction = rng.normal(size=(len(atoms), 3))
    step = 1e-4
    ahead, behind = atoms.copy(), atoms.copy()
    ahead.positions += step * direction
    behind.positions -= step * direction
    slope = (energy(model, ahead) - energy(model, behind)) / (2 * step)
    assert abs((found.forces * direction).sum() + slope) <= 1e-6 * max(1.0, abs(slope))
    return found.log


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("convolutions", ["sparse", "aligned"])
@tried("What LAMMPS computes from it", "convolutions sparse, aligned", "the library")
def test_every_way_to_convolve_on_the_sphere_gives_the_evaluators_results(
    tmp_path: Path, convolutions: str, ranks: int
) -> None:
    style = f"eqnn convolutions {convolutions}"
    log = expect_numpy(tmp_path, tiny_gaunt_model(), style, ranks)
    assert f"convolutions on the sphere: {convolutions}, {convolutions}" in log


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("couplings", ["matrix", "cp", "node"])
@tried("What LAMMPS computes from it", "couplings matrix, cp, node", "the library")
def test_every_way_to_compute_couplings_gives_the_evaluators_results(
    tmp_path: Path, couplings: str, ranks: int
) -> None:
    log = expect_numpy(tmp_path, tiny_cp_model(), f"eqnn couplings {couplings}", ranks)
    assert f"couplings in factors: {couplings}, {couplings}, {couplings}" in log


@pytest.mark.parametrize(
    ("network", "name"), [(network, name) for network, names in NETWORKS.items() for name in names]
)
@tried(
    "What LAMMPS computes from it",
    "MACE, MACE-Gaunt, SevenNet, Nequix, NequIP: every golden structure",
    "upstream's numbers",
)
def test_structures_equal_upstream(tmp_path: Path, network: str, name: str) -> None:
    expect_equal(network, name, tmp_path, 2)


def relative(frame: GoldenFrame, to: float = 1e-10) -> Tolerance:
    """Tolerances of forces and virials relative to their largest."""
    virial = to if frame.virial is None else to * min(1.0, float(np.abs(frame.virial).max()))
    return Tolerance(to, to * float(np.abs(frame.forces).max()), virial)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("structure", ["cell", "molecule"])
@pytest.mark.parametrize("name", EXPORTED)
@tried(
    "What LAMMPS computes from it",
    "MACE, SevenNet, NequIP: a checkpoint of every layout that is exported",
    "upstream's numbers",
)
def test_checkpoints_of_every_layout_equal_upstream(
    tmp_path: Path, name: str, structure: str, ranks: int
) -> None:
    upstream, file, more = EXPORTED[name]
    model = export(upstream, EXPORTERS / file, **more)
    write_model(tmp_path / "model.eqnn", model.document, model.tensors)
    frame = upstream_frame(EXPORTERS / f"{name}.{structure}.safetensors")
    # The model has no self-test.
    expect_frame(
        tmp_path / "model.eqnn", frame, relative(frame), tmp_path, ranks, "eqnn self_test no"
    )


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("ranks", [1, 4])
@tried(
    "Ranks and threads",
    "MACE, MACE-Gaunt, SevenNet, Nequix, NequIP on several ranks",
    "upstream's numbers",
)
def test_any_number_of_ranks_gives_upstreams_results(
    tmp_path: Path, network: str, ranks: int
) -> None:
    expect_equal(network, NETWORKS[network][-1], tmp_path, ranks)
