# SPDX-License-Identifier: BSD-3-Clause
"""Energies and gradients at B3LYP/6-31G* with PySCF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyscf import dft, gto

from qcr.errors import QcrError
from qcr.units import HARTREE

CONVERGENCE = 1e-10
"""Hartree; gradients are then good to 1e-7 Hartree/Bohr."""


class NotConverged(QcrError):
    """The self-consistent field did not converge."""


@dataclass(frozen=True)
class Result:
    """Energy in Hartree, gradient [n_atoms][3] in Hartree/Bohr, gap between HOMO and LUMO in eV."""

    energy: float
    gradient: NDArray[np.float64]
    gap: float


class Dft:
    """B3LYP (VWN3) in Cartesian 6-31G*, closed shell; a step starts from the orbitals of the last.

    The gradient has the response of the integration grid, so that it is the derivative of the
    energy that is computed, and sums to zero.
    """

    def __init__(self, elements: Sequence[str]):
        self.elements = list(elements)
        self.occupied: NDArray[np.float64] | None = None

    def _solve(self, positions: NDArray[np.float64], fresh: bool) -> Any:
        atoms = list(zip(self.elements, positions.tolist(), strict=True))
        molecule = gto.M(atom=atoms, unit="Angstrom", basis="6-31g*", cart=True, verbose=0)
        field = dft.RKS(molecule)
        field.xc = "b3lypg"  # with VWN3, as PySCF's "b3lyp" since 2.3, whatever its settings
        field.grids.level = 3
        field.conv_tol = CONVERGENCE
        guess = None
        if self.occupied is not None and not fresh:
            # The last orbitals, orthonormal again in the overlap of the new structure.
            overlap = self.occupied.T @ field.get_ovlp() @ self.occupied
            guess = 2 * self.occupied @ np.linalg.solve(overlap, self.occupied.T)
        field.kernel(guess)
        if not field.converged:
            field = field.newton()
            field.kernel()
        if not field.converged:
            raise NotConverged("the self-consistent field does not converge, nor to second order.")
        return field

    def energy_and_gradient(self, positions: NDArray[np.float64]) -> Result:
        """Compute one structure; positions [n_atoms][3] in Angstrom. Raises NotConverged."""
        field = self._solve(positions, fresh=False)
        n_occupied = field.mol.nelectron // 2
        self.occupied = field.mo_coeff[:, :n_occupied]
        gradient = field.nuc_grad_method()
        gradient.grid_response = True
        gap = field.mo_energy[n_occupied] - field.mo_energy[n_occupied - 1]
        return Result(float(field.e_tot), gradient.kernel(), float(gap) * HARTREE)

    def frequencies(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Harmonic frequencies [3 n_atoms - 6 or 5] in 1/cm, rising; imaginary ones negative.

        Translations and rotations are projected out. Positions [n_atoms][3] in Angstrom, of a
        minimum.
        """
        from pyscf.hessian import thermo

        field = self._solve(positions, fresh=True)
        modes = thermo.harmonic_analysis(field.mol, field.Hessian().kernel())
        found = np.asarray(modes["freq_wavenumber"])
        return np.sort(found.real - found.imag)

    def energy_from_fresh_guess(self, positions: NDArray[np.float64]) -> float:
        """Energy in Hartree from a guess that knows nothing of other structures."""
        return float(self._solve(positions, fresh=True).e_tot)
