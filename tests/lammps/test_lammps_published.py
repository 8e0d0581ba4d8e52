# SPDX-License-Identifier: BSD-3-Clause
"""Published families through LAMMPS: equal to upstream's own codes."""

from __future__ import annotations

from pathlib import Path

import pytest
from lmp import DOUBLE, GOLDEN, POTENTIALS, Tolerance, expect_frame, upstream_frame

# Potentials whose weights, normalisations folded in, are stored in single precision: 6e-8 of each.
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
def test_every_way_to_multiply_on_the_sphere_gives_upstreams_results(
    tmp_path: Path, products: str
) -> None:
    style = f"eqnn products {products}"
    log = expect_equal("mace_gaunt/mg_l3_h8_c3", "pbc16", tmp_path, 1, style)
    assert f"products on the sphere: {products}, {products}" in log


@pytest.mark.parametrize(
    ("network", "name"), [(network, name) for network, names in NETWORKS.items() for name in names]
)
def test_structures_equal_upstream(tmp_path: Path, network: str, name: str) -> None:
    expect_equal(network, name, tmp_path, 2)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("ranks", [1, 4])
def test_any_number_of_ranks_gives_upstreams_results(
    tmp_path: Path, network: str, ranks: int
) -> None:
    expect_equal(network, NETWORKS[network][-1], tmp_path, ranks)
