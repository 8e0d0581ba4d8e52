# SPDX-License-Identifier: BSD-3-Clause
"""The lines that `eqnn check` prints for close pairs run in LAMMPS and give the wall."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from lmp import POTENTIALS, succeed

from eqnn import check
from eqnn.library import Potential
from eqnn.model_file import read_model
from eqnn.short_range import FINE_GRID, HOT, Report, bond, examine, wall, zbl

# From where bonds are inward: 25 distances.
GRID = FINE_GRID[FINE_GRID <= 0.78]


def dimers_in_lammps(folder: Path, found: Report, k: int) -> np.ndarray:
    """Energies (eV) of a corrected pair at the distances of GRID, with the printed lines."""
    style, coeff, *more = found.lines[-(len(found.mendings) + 2) :]
    assert style.startswith("pair_style hybrid/overlay eqnn zbl ")
    symbols = coeff.split()[5:]
    pair = found.mendings[k].wall.pair
    types = [symbols.index(s) + 1 for s in symbols if atomic_numbers[s] in pair]
    first, second = types[0], types[-1]
    masses = [f"mass {n + 1} {atomic_masses[atomic_numbers[s]]}" for n, s in enumerate(symbols)]
    script = [
        "units metal",
        "atom_modify map yes",
        "boundary f f f",
        "region box block -20 20 -20 20 -20 20",
        f"create_box {len(symbols)} box",
        *masses,
        f"create_atoms {first} single 0 0 0",
        f"create_atoms {second} single 1 0 0",
        style,
        coeff,
        *more,
        "neigh_modify every 1 delay 0 check no",
        "thermo_modify norm no",
    ]
    for r in GRID * bond(pair):
        script += [f"set atom 2 x {r:.17g}", "run 0", 'print "AT $(pe:%.17g)"']
    log = succeed(folder, "\n".join(script) + "\n")
    return np.array([float(x.split()[1]) for x in log.splitlines() if x.startswith("AT ")])


@pytest.mark.parametrize("name", ["gaunt_acetylacetone", "nequip_toluene"])
def test_the_printed_lines_give_a_wall(tmp_path: Path, name: str) -> None:
    path = POTENTIALS / f"{name}.eqnn"
    model = read_model(path)
    document = model.document
    with Potential(path) as potential:
        evaluate = check.network_of(potential, model)
        found = examine(evaluate, document["species"], document["cutoff"], str(path))
        assert found.mendings
        for k, mending in enumerate(found.mendings):
            pair, length = mending.wall.pair, bond(mending.wall.pair)
            assert mending.cutoffs is not None
            lammps = dimers_in_lammps(tmp_path, found, k)
            by_eqnn = np.array(
                [potential.evaluate(pair, [[0, 0, 0], [r, 0, 0]]).energy for r in GRID * length]
            )
            expected = by_eqnn + zbl(pair, GRID * length, *mending.cutoffs)
            # LAMMPS's constants have six digits; the energies of free atoms some keV.
            assert np.abs(lammps - expected).max() <= 1e-6 * np.ptp(expected)
            high = wall(pair, GRID, lammps)
            assert high.top is None and high.temperature > HOT
            assert wall(pair, GRID, by_eqnn).temperature < HOT


def test_a_dimer_falls_without_the_lines() -> None:
    path = POTENTIALS / "gaunt_acetylacetone.eqnn"
    with Potential(path) as potential:
        energies = [
            potential.evaluate([1, 6], Atoms("HC", [[0, 0, 0], [r, 0, 0]]).positions).energy
            for r in (0.70, 0.55)
        ]
    assert energies[1] < energies[0]
