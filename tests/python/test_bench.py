# SPDX-License-Identifier: BSD-3-Clause
"""Benchmarks are built on demand: this compiles them, and tests the results of their scripts."""

from __future__ import annotations

import importlib.util
import json
import shlex
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.morse import MorsePotential
from ase.calculators.singlepoint import SinglePointCalculator
from eqnn_models import ROOT

BUILD = ROOT / ".eqnn" / "build" / "openmp"
# A source of ours that sees the kernels, as the benchmarks do.
LIKE = "tests/kernels/networks.cpp"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bench_couplings", "bench_model", "bench_products"])
def test_benchmark_compiles(name: str) -> None:
    """With the flags of the tests, but for what it is made into."""
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    (like,) = (c for c in commands if c["file"] == str(ROOT / LIKE))
    words = shlex.split(like["command"])
    del words[words.index("-o") : words.index("-o") + 2]
    del words[words.index("-c") : words.index("-c") + 2]
    done = subprocess.run(
        [*words, "-I", str(ROOT), "-fsyntax-only", str(ROOT / "bench" / f"{name}.cpp")],
        cwd=like["directory"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def load(name: str) -> ModuleType:
    """Import a script of bench/."""
    if str(ROOT / "bench") not in sys.path:
        sys.path.append(str(ROOT / "bench"))  # what scripts share
    spec = importlib.util.spec_from_file_location(name, ROOT / "bench" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_frequencies_of_a_morse_oscillator() -> None:
    bench = load("vibrations")
    atoms = Atoms("N2", [[0, 0, 0], [0.1, 0.2, 1.2]], info={"molecule": "N2"})
    epsilon, rho, r0 = 4.0, 6.0, 1.1
    atoms.calc = MorsePotential(epsilon=epsilon, rho0=rho, r0=r0, rcut1=5.0, rcut2=6.0)
    found = bench.frequencies(atoms, 1)
    # k = 2 epsilon (rho/r0)^2 of the minimum; the reduced mass is half of an atom's.
    omega = np.sqrt(2 * epsilon * (rho / r0) ** 2 / (atoms.get_masses()[0] / 2))
    assert found == pytest.approx(
        omega * units._hbar * 1e10 / units._e * np.sqrt(units._e / units._amu) / units.invcm,
        rel=1e-3,
    )


def test_the_frequencies_of_dft_are_those_of_minima() -> None:
    bench = load("vibrations")
    reference = bench.reference()
    assert len(reference) == len({atoms.info["molecule"] for atoms, _ in reference}) == 14
    for atoms, expected in reference:
        assert len(expected) == 3 * len(atoms) - 6, atoms.info["molecule"]
        assert (np.diff(expected) >= 0).all() and 30 < expected[0] and expected[-1] < 4000


def test_profiles_go_along_their_coordinates() -> None:
    bench = load("profiles")
    transfer, torsion = bench.scans()
    assert (np.diff(transfer.coordinate) > 0).all() and (np.diff(torsion.coordinate) > 0).all()
    assert transfer.coordinate == pytest.approx(-transfer.coordinate[::-1], abs=0.02)
    assert torsion.coordinate[[0, -1]] == pytest.approx([1.0, 177.0], abs=0.1)
    # The proton's way is symmetric, so its energies are.
    energies = transfer.energies()
    assert energies == pytest.approx(energies[::-1], abs=0.5)
    assert int(energies.argmax()) == 7
    # Relative to the hydrogen bond's structure, not to the turned one.
    assert torsion.energies()[0] == 0.0 and torsion.energies()[-1] == pytest.approx(783.7, abs=0.1)


def test_errors_of_a_profile_are_those_of_its_energies() -> None:
    bench = load("profiles")
    transfer, torsion = np.array([0.0, 10.0, 2.0]), np.array([0.0, 900.0, 700.0])
    cells = bench.row(
        "x", (np.add(transfer, [0, 3, -4]), np.subtract(torsion, [0, 50, 0])), (transfer, torsion)
    )
    assert cells == ["x", "13.0", "2.9", "850", "700", "28.9", "50"]


def test_a_profile_with_nan_is_refused() -> None:
    bench = load("profiles")
    transfer, _ = bench.scans()
    transfer.frames[3].calc.results["energy"] = np.nan
    with pytest.raises(SystemExit, match="no number"):
        transfer.energies()


def test_conformers_are_the_different_minima_of_a_molecule() -> None:
    bench = load("conformers")

    def minimum(name: str, energy: float) -> Atoms:
        atoms = Atoms("H", info={"molecule": name})
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
        return atoms

    given = [("a", -1.0), ("b", -5.0), ("a", -1.0005), ("a", -0.9), ("b", -5.001), ("a", -1.2)]
    found = bench.conformers(minimum(*one) for one in given)
    assert [[a.get_potential_energy() for a in one] for one in found] == [[-1.2, -1.0005, -0.9]]
    held_out = bench.reference()
    names = [one[0].info["molecule"] for one in held_out]
    assert {"formaldoxime", "hydroxydiazene", "methyldiazene"} <= set(names)
    assert all(len(one) > 1 for one in held_out)


def test_a_ranking_counts_pairs_and_lost_conformers() -> None:
    bench = load("conformers")
    one = bench.Ranking(np.array([0.0, 0.3, 0.1]), np.array([0.0, 0.1, 0.2]))
    assert one.pairs == (2, 3) and one.n_lost == 0
    other = bench.Ranking(np.array([0.0, 0.001]), np.array([0.0, 0.1]))
    assert other.pairs == (1, 1) and other.n_lost == 1
    assert bench.row("x", [one, other]) == ["`x`", "2", "5", "3 of 4", "133", "200", "1"]
    with pytest.raises(SystemExit, match="no number"):
        bench.row("x", [bench.Ranking(np.array([0.0, np.nan]), np.array([0.0, 0.1]))])
