# SPDX-License-Identifier: BSD-3-Clause
"""ANI-1x of torchani 2.2.4: energies and forces of many molecules of one size at once."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its optional parts
    import torchani

from organic.structures import Floats

HARTREE = 27.211386245988  # eV, CODATA 2018
NETWORKS = 8


class Ani1x:
    """The eight networks, in single precision, on one thread.

    The wheel has their weights, but an empty file where it says which these are; so they are opened
    one by one.
    """

    def __init__(self) -> None:
        torch.set_num_threads(1)
        folder = Path(torchani.__file__).parent / "resources" / "ani-1x_8x"
        neurochem = torchani.neurochem
        constants = neurochem.Constants(str(folder / "rHCNO-5.2R_16-3.5A_a4-8.params"))
        self._order: Any = constants.species_to_tensor
        self._aev = torchani.AEVComputer(**constants)
        self._networks = neurochem.load_model_ensemble(
            constants.species, str(folder / "train"), NETWORKS
        )
        self._atoms = neurochem.load_sae(str(folder / "sae_linfit.dat"))
        self._symbols = {1: "H", 6: "C", 7: "N", 8: "O"}

    def _species(self, numbers: NDArray[np.int64]) -> torch.Tensor:
        return torch.stack([self._order([self._symbols[z] for z in row]) for row in numbers])

    def energies_and_forces(
        self, numbers: NDArray[np.int64], positions: Floats, networks: int = NETWORKS
    ) -> tuple[Floats, Floats, Floats]:
        """Evaluate molecules.

        Parameters
        ----------
        numbers : ndarray [molecule, atom]
            Atomic numbers.
        positions : ndarray [molecule, atom, 3]
            Angstrom.
        networks : int
            The mean of the first so many.

        Returns
        -------
        energies : ndarray [molecule]
            Of atoms too, as ANI-1x has them, eV.
        forces : ndarray [molecule, atom, 3]
            eV/Angstrom.
        doubt : ndarray [molecule]
            Standard deviation of the networks' energies over the root of the number of atoms, eV.
        """
        species = self._species(numbers)
        x = torch.tensor(positions, dtype=torch.float32, requires_grad=True)
        features = self._aev((species, x))
        every = torch.stack([net(features).energies for net in list(self._networks)[:networks]])
        (gradient,) = torch.autograd.grad(every.mean(0).sum(), x)
        parts = every.detach().double()
        own = self._atoms.sae(species).double()
        doubt = parts.std(0, unbiased=False) / numbers.shape[1] ** 0.5
        return (
            ((parts.mean(0) + own) * HARTREE).numpy(),
            (-gradient.double() * HARTREE).numpy(),
            (doubt * HARTREE).numpy(),
        )
