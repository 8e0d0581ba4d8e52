# SPDX-License-Identifier: BSD-3-Clause
"""A calculator of ASE on the engine: what relaxations are held against."""

from __future__ import annotations

from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from eqnn.library import Potential
from eqnn.structures import cell_of


class EngineCalculator(Calculator):
    """One structure after another, as people use ASE.

    Parameters
    ----------
    potential : Potential
    """

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, potential: Potential) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._potential = potential

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = None,
        system_changes: Any = all_changes,
    ) -> None:
        """Evaluate the structure that is asked for."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        assert self.atoms is not None
        cell = cell_of(self.atoms)
        found = self._potential.evaluate(self.atoms.numbers, self.atoms.positions, cell)
        self.results = {"energy": found.energy, "forces": found.forces}
        if cell is not None and found.virial is not None:
            stress = -found.virial / self.atoms.get_volume()
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)
