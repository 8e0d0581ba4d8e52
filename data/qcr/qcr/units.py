# SPDX-License-Identifier: BSD-3-Clause
"""CODATA 2018."""

HARTREE = 27.211386245988
"""Hartree in eV."""

BOHR = 0.529177210903
"""Bohr radius in Angstrom."""

HARTREE_PER_BOHR = HARTREE / BOHR
"""Hartree/Bohr in eV/Angstrom."""
