# SPDX-License-Identifier: BSD-3-Clause
"""Published families through LAMMPS: equal to upstream's own codes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from lmp import GOLDEN, POTENTIALS, VOIGT, Setup
from safetensors.numpy import load_file

from eqnn.model_file import read_model
from eqnn.so3 import FloatArray


@dataclass(frozen=True)
class Tolerance:
    """Energies: relative to the network's part or 1 eV an atom; forces: eV/A; virials: relative."""

    energy: float
    force: float
    virial: float


# Doubles throughout; sums run in another order than upstream's.
DOUBLE = Tolerance(1e-10, 1e-9, 1e-9)
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


@dataclass
class Frame:
    """A structure in LAMMPS's axes, with upstream's results (eV, Angstrom)."""

    atoms: Atoms
    energy: float
    forces: FloatArray
    virial: FloatArray | None  # [6]


def frame_of(network: str, name: str) -> Frame:
    file = network if "/" in network else f"pretrained/{network}"
    data = load_file(GOLDEN / f"{file}.{name}.safetensors")
    cell = data.get("cell")
    if cell is None or not np.abs(cell).sum() > 0.0 or not data.get("pbc", np.ones(3)).any():
        atoms = Atoms(data["atomic_numbers"], data["positions"])
        return Frame(atoms, float(np.ravel(data["energy"])[0]), data["forces"], None)
    atoms = Atoms(data["atomic_numbers"], data["positions"], cell=cell, pbc=True)
    # LAMMPS wants a lower triangular cell: turn everything.
    standard, turn = atoms.cell.standard_form()
    turned = Atoms(atoms.numbers, atoms.positions @ turn.T, cell=standard, pbc=True)
    stress = turn @ data["stress"].reshape(3, 3) @ turn.T * -turned.get_volume()
    virial = np.array([0.5 * (stress[a, b] + stress[b, a]) for a, b in VOIGT])
    return Frame(turned, float(np.ravel(data["energy"])[0]), data["forces"] @ turn.T, virial)


def expect_equal(network: str, name: str, folder: Path, ranks: int, style: str = "eqnn") -> str:
    """Compare; return LAMMPS's log."""
    path, frame = model_of(network), frame_of(network, name)
    tolerance = DOUBLE if "/" in network or network in IN_DOUBLE else STORED_IN_SINGLE
    found = Setup(path, frame.atoms, style=style).evaluate(folder, ranks)
    said = read_model(path).document
    of_atom = dict(zip(said["species"], said["energy"]["reference"], strict=True))
    constant = sum(of_atom[z] + said["energy"]["shift"] for z in frame.atoms.numbers.tolist())
    scale = max(abs(frame.energy - constant), float(len(frame.atoms)))
    rounding = 1e-15 * abs(frame.energy)
    assert abs(found.energy - frame.energy) <= tolerance.energy * scale + rounding
    assert np.abs(found.forces - frame.forces).max() <= tolerance.force
    assert abs(found.atom_energies.sum() - found.energy) <= 1e-12 * scale + rounding
    assert np.abs(found.atom_virials.sum(axis=0) - found.virial).max() <= 1e-10 * scale
    if frame.virial is not None:
        size = max(np.abs(frame.virial).max(), 1.0)
        assert np.abs(found.virial - frame.virial).max() <= tolerance.virial * size
    return found.log


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
