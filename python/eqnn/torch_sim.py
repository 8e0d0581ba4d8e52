# SPDX-License-Identifier: BSD-3-Clause
"""A model file as a model of torch-sim, which moves many structures at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from eqnn.calculator import EQNN
from eqnn.errors import EqnnError
from eqnn.structures import cell_with_vacuum, has_volume

try:
    import torch
    from torch_sim.models.interface import ModelInterface
except ImportError as error:
    raise ImportError(
        f"eqnn.torch_sim cannot import torch-sim ({error}). "
        "Install it: pip install torch-sim-atomistic"
    ) from None


class EQNNModel(ModelInterface):  # type: ignore[misc]
    """A ``.eqnn`` file for torch-sim: all systems of a state in one call of the library.

    The numbers are those of `eqnn.EQNN`. Nothing can be differentiated by torch.

    Parameters
    ----------
    model : str or Path
        A ``.eqnn`` file.
    precision : str
        ``double``, ``mixed`` or ``single``.
    device : torch.device, optional
        Where torch-sim keeps states: the processor if left out. The engine runs on a GPU for a
        ``cuda`` device, if the library was built for one.
    dtype : torch.dtype
        Of states and results.
    allow_direct_forces, allow_mean_per_atom : bool
        As for `eqnn.EQNN`.

    Raises
    ------
    EqnnError
        If the file cannot be used, or the model cannot compute one of the systems.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        precision: str = "double",
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float64,
        allow_direct_forces: bool = False,
        allow_mean_per_atom: bool = False,
    ) -> None:
        super().__init__()
        self._device = torch.device(device or "cpu")
        self._dtype = dtype
        calculator = EQNN(
            model,
            precision=precision,
            device="gpu" if self._device.type == "cuda" else "cpu",
            allow_direct_forces=allow_direct_forces,
            allow_mean_per_atom=allow_mean_per_atom,
        )
        (self._potential,), self._cutoff = calculator.potentials, calculator.cutoff
        self._compute_forces = True
        self._compute_stress = "stress" in calculator.implemented_properties

    def forward(self, state: Any, **_: Any) -> dict[str, torch.Tensor]:
        """Compute a state: energy [n_systems] in eV, forces [n_atoms, 3] in eV/Angstrom.

        With forces that are a gradient also stress [n_systems, 3, 3] in eV/Angstrom^3, NaN for
        systems without volume.
        """
        systems = state.to_atoms()
        found = self._potential.evaluate_many(
            [(a.numbers, a.positions, cell_with_vacuum(a, self._cutoff)) for a in systems]
        )
        energy, forces = np.zeros(len(systems)), [np.zeros((0, 3))]
        stress = np.full((len(systems), 3, 3), np.nan)
        for k, (atoms, one) in enumerate(zip(systems, found, strict=True)):
            if one.properties is None:
                raise EqnnError(f"system {k} of the state: {one.reason}")
            energy[k] = one.properties.energy
            forces.append(one.properties.forces)
            if one.properties.virial is not None and has_volume(atoms):
                stress[k] = -one.properties.virial / atoms.get_volume()
        results = {"energy": energy, "forces": np.concatenate(forces)}
        results |= {"stress": stress} if self._compute_stress else {}
        return {
            name: torch.as_tensor(values, dtype=state.positions.dtype, device=state.device)
            for name, values in results.items()
        }
