# SPDX-License-Identifier: BSD-3-Clause
"""Thresholds of errors for a good, fair or poor potential, and what each means for MD."""

from __future__ import annotations

from eqnn.report import Scale

ENERGY = Scale(
    "relative energy error, mean absolute",
    "meV/atom",
    1.0,
    5.0,
    (
        "Structures of some tens of atoms are ranked within kT at room temperature (26 meV): "
        "populations and reaction energies can be read off.",
        "Small molecules are ranked within kT, larger ones are not: look again with DFT at what "
        "lies close together.",
        "Energies are those of another surface: do not compare structures, populations or "
        "barriers.",
    ),
)
FORCE_MAE = Scale(
    "force error, mean absolute",
    "meV/A",
    20.0,
    100.0,
    (
        "MD moves on DFT's surface: structures, vibrations and diffusion are DFT's.",
        "Geometries and the course of MD are right; frequencies, barriers and rates are off by "
        "some per cent to some tens of per cent.",
        "MD moves on another surface: use it to make starting structures, and watch for bonds "
        "that break or form.",
    ),
)
FORCE_RMSE = Scale(
    "force error, root mean square",
    "meV/A",
    30.0,
    150.0,
    (
        "No frame is far off: long runs stay on DFT's surface.",
        "Some atoms are pushed wrongly: see the worst frames before a long run.",
        "Some forces are off by as much as thermal motion at room temperature makes them: runs "
        "may leave the surface for good.",
    ),
)
FORCE_RELATIVE = Scale(
    "force error over the size of forces",
    "%",
    5.0,
    20.0,
    (
        "Nearly all of what DFT's forces say is met.",
        "What matters most in DFT's forces is met; soft motions (torsions, hydrogen bonds) may be "
        "wrong.",
        "A large part of the forces is the potential's own: relaxations end elsewhere.",
    ),
)
FORCE_COSINE = Scale(
    "cosine between forces",
    "",
    0.99,
    0.95,
    (
        "Atoms go where DFT sends them: relaxations take DFT's path.",
        "Directions are mostly right: relaxations end near DFT's minima.",
        "Atoms go elsewhere: relaxations may end in other minima.",
    ),
    rises=True,
)
STRESS = Scale(
    "stress error, mean absolute",
    "GPa",
    0.1,
    0.5,
    (
        "Densities and lattice constants of NPT runs are DFT's within some tenths of a per cent.",
        "Densities are off by up to some per cent in soft matter, less in hard crystals.",
        "Do not run NPT or relax cells: liquids and molecular crystals take another density.",
    ),
)
ALL = (ENERGY, FORCE_MAE, FORCE_RMSE, FORCE_RELATIVE, FORCE_COSINE, STRESS)
