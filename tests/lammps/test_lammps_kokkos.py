# SPDX-License-Identifier: BSD-3-Clause
"""eqnn/kk against eqnn in one LAMMPS that has the KOKKOS package: `make kokkos` runs them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from ase import Atoms
from lmp import (
    GOLDEN,
    KOKKOS,
    POTENTIALS,
    Result,
    Setup,
    environment,
    golden,
    kokkos_options,
    run_script,
)
from tried import tried

from eqnn.so3 import FloatArray

pytestmark = pytest.mark.kokkos
AREA = "The KOKKOS package"
# Two layers, so that features and their adjoints cross borders; and one with harmonics of edges.
MODELS = {
    "tdn": (GOLDEN / "tdn" / "model_l2_h16_b2.eqnn", "tdn/model_l2_h16_b2.pbc16"),
    "mace": (POTENTIALS / "mace_solvents.eqnn", "tdn_3bpa/pbc_hot440"),
}
# The order of sums is another: LAMMPS's lists name neighbors in another order.
SAME = 1e-12
OFF = ("-k", "off")


def structure(name: str) -> Atoms:
    _, frame = MODELS[name]
    atoms: Atoms = golden(frame, GOLDEN / "tdn" / "model_l2_h16_b2.eqnn").atoms
    if name == "mace":
        atoms = atoms[[k for k, z in enumerate(atoms.numbers) if z != 7]]
    return atoms


@cache
def of_eqnn(name: str, ranks: int) -> Result:
    """Return the results of pair_style eqnn, in the same LAMMPS and on the same ranks."""
    with TemporaryDirectory() as folder:
        return Setup(MODELS[name][0], structure(name)).evaluate(Path(folder), ranks, OFF)


def expect_same(found: FloatArray, expected: FloatArray) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= SAME * max(1.0, np.abs(expected).max())


def expect_equal(found: Result, expected: Result) -> None:
    assert abs(found.energy - expected.energy) <= SAME * abs(expected.energy)
    expect_same(found.forces, expected.forces)
    expect_same(found.virial, expected.virial)
    expect_same(found.atom_energies, expected.atom_energies)
    expect_same(found.atom_virials, expected.atom_virials)


def options_of(threads: int, package: str) -> list[str]:
    return kokkos_options(environment() | {"OMP_NUM_THREADS": str(threads)}, package)


LISTS = ("newton on neigh half", "newton off neigh half", "newton off neigh full")


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("lists", LISTS)
@pytest.mark.parametrize("comm", ["no", "host", "device"])
@tried(
    AREA,
    "1 and 2 threads x (newton on, neigh half; newton off, neigh half; newton off, neigh full) x "
    "comm (no, host, device)",
    "eqnn, 1e-12: energy, forces, virial, per atom",
)
def test_matrix(tmp_path: Path, ranks: int, threads: int, lists: str, comm: str) -> None:
    options = options_of(threads, f"{lists} comm {comm}")
    for name, (model, _) in MODELS.items():
        found = Setup(model, structure(name)).evaluate(tmp_path, ranks, options)
        assert "eqnn/kk" in found.log  # of the neighbor list
        expect_equal(found, of_eqnn(name, ranks))


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(
    "package",
    [
        "newton off neigh full neigh/thread on",
        "newton off neigh full neigh/transpose on",
        "sort device",
        "atom/map device",
        "binsize 3.0",
        "comm/pair/forward device comm/pair/reverse no",
        "comm/pair/forward no comm/pair/reverse device",
    ],
)
@tried(AREA, "neigh/thread, neigh/transpose, sort, atom/map, binsize, comm/pair", "eqnn, 1e-12")
def test_options_of_package_kokkos(tmp_path: Path, package: str, ranks: int) -> None:
    found = Setup(MODELS["tdn"][0], structure("tdn")).evaluate(
        tmp_path, ranks, options_of(1, package)
    )
    expect_equal(found, of_eqnn("tdn", ranks))


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("style", ["eqnn/kk", "eqnn/kk/device", "eqnn/kk/host"])
@tried(AREA, "eqnn/kk, eqnn/kk/device and eqnn/kk/host by name", "eqnn, 1e-12")
def test_the_three_names(tmp_path: Path, style: str, ranks: int) -> None:
    setup = Setup(MODELS["tdn"][0], structure("tdn"), style=style)
    found = setup.evaluate(tmp_path, ranks, options_of(1, "comm device"))
    expect_equal(found, of_eqnn("tdn", ranks))


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("lists", LISTS)
@tried(AREA, "comm_style tiled, balance rcb", "eqnn, 1e-12")
def test_tiled(tmp_path: Path, ranks: int, lists: str) -> None:
    # tiled communication wants a box that is longer than the cutoff
    setup = Setup(MODELS["mace"][0], structure("mace"), after="comm_style tiled\nbalance 1.0 rcb")
    found = setup.evaluate(tmp_path, ranks, options_of(1, f"{lists} comm device"))
    expect_equal(found, of_eqnn("mace", ranks))


@pytest.mark.parametrize("precision", ["mixed", "single"])
@tried(AREA, "mixed and single precision, comm device", "eqnn of that precision, 1e-5")
def test_rows_of_floats(tmp_path: Path, precision: str) -> None:
    model, _ = MODELS["tdn"]
    setup = Setup(model, structure("tdn"), style=f"eqnn precision {precision}")
    plain = setup.evaluate(tmp_path, 2, OFF)
    found = setup.evaluate(tmp_path, 2, options_of(1, "comm device"))
    assert np.abs(found.forces - plain.forces).max() <= 1e-5


@tried(AREA, "eqnn/kk where KOKKOS is off", "-")
def test_without_k_on(tmp_path: Path) -> None:
    setup = Setup(MODELS["tdn"][0], structure("tdn"), style="eqnn/kk")
    done = run_script(tmp_path, setup.script(tmp_path), options=OFF)
    assert done.returncode != 0
    text = " ".join((done.stdout + done.stderr).split())
    assert "eqnn/kk: the KOKKOS package is off: start LAMMPS with '-k on', or use" in text


def test_the_threads_are_those_of_kokkos(tmp_path: Path) -> None:
    setup = Setup(MODELS["tdn"][0], structure("tdn"))
    log = setup.evaluate(tmp_path, 1, options_of(2, "comm no")).log
    assert ("on OpenMP with 2 threads" if KOKKOS == "openmp" else "on Serial with 1") in log
