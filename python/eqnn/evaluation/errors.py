# SPDX-License-Identifier: BSD-3-Clause
"""Errors of predicted energies, forces and stresses against DFT, over groups of frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase.units import GPa

from eqnn.evaluation.frame import Frame
from eqnn.evaluation.journal import Prediction
from eqnn.so3 import FloatArray
from eqnn.structures import has_volume

# eV/Angstrom. Below it the direction of a DFT force is that of its own numerical noise.
LEAST_FORCE = 0.01


@dataclass(frozen=True, eq=False)
class Pair:
    """A frame, and a model's prediction for it."""

    frame: Frame
    found: Prediction

    @property
    def energy_error(self) -> float:
        """Predicted minus DFT energy of the frame, eV."""
        return self.found.energy - self.frame.energy

    @property
    def force_errors(self) -> FloatArray | None:
        """Predicted minus DFT forces [n, 3], eV/Angstrom; None without DFT's."""
        return None if self.frame.forces is None else self.found.forces - self.frame.forces

    @property
    def stress(self) -> FloatArray | None:
        """Predicted stress [3, 3], eV/Angstrom^3, ASE's sign; None where there is none."""
        if self.found.virial is None or not has_volume(self.frame.atoms):
            return None
        return -self.found.virial / float(self.frame.atoms.get_volume())


@dataclass(frozen=True)
class ForceErrors:
    """Errors of forces over some atoms; None where there are none.

    Attributes
    ----------
    n_atoms : int
    mae, rmse : float
        Over components, meV/Angstrom.
    largest : float
        Of the vectors of atoms, meV/Angstrom.
    relative : float
        rmse over the root mean square of DFT's components, per cent.
    cosine : float
        Mean over atoms of the cosine between both vectors, of DFT forces above `LEAST_FORCE`.
    """

    n_atoms: int = 0
    mae: float | None = None
    rmse: float | None = None
    largest: float | None = None
    relative: float | None = None
    cosine: float | None = None


@dataclass(frozen=True)
class EnergyErrors:
    """Errors of energies over some frames; None where there are none.

    Attributes
    ----------
    n_frames : int
    mae, rmse : float
        Of a frame's energy, meV.
    mae_per_atom, rmse_per_atom : float
        The same over the frame's number of atoms, meV/atom.
    mean_per_atom : float
        Predicted minus DFT, meV/atom: the common offset.
    """

    n_frames: int = 0
    mae: float | None = None
    rmse: float | None = None
    mae_per_atom: float | None = None
    rmse_per_atom: float | None = None
    mean_per_atom: float | None = None


@dataclass(frozen=True)
class StressErrors:
    """Errors of stress over components of some frames, GPa; None where there are none."""

    n_frames: int = 0
    mae: float | None = None
    rmse: float | None = None


@dataclass(frozen=True)
class Errors:
    """All errors of one model over one group of frames.

    Attributes
    ----------
    n_frames, n_atoms : int
    energy : EnergyErrors
        Of total energies.
    relative_energy : EnergyErrors
        After the mean error of each composition is removed; of compositions with two frames or
        more, since of one nothing is left.
    forces : ForceErrors
    stress : StressErrors
    """

    n_frames: int
    n_atoms: int
    energy: EnergyErrors
    relative_energy: EnergyErrors
    forces: ForceErrors
    stress: StressErrors


def mean(values: FloatArray) -> float:
    """Mean of the values."""
    return float(np.mean(values))


def rms(values: FloatArray) -> float:
    """Root of the mean square of the values."""
    return float(np.sqrt(np.mean(np.square(values))))


def offsets(pairs: Sequence[Pair]) -> dict[str, float]:
    """Mean energy error of each composition that has two frames or more, eV."""
    groups: dict[str, list[float]] = defaultdict(list)
    for pair in pairs:
        groups[pair.frame.formula].append(pair.energy_error)
    return {name: mean(np.array(e)) for name, e in groups.items() if len(e) > 1}


def errors_of(pairs: Sequence[Pair], offset: Mapping[str, float]) -> Errors:
    """Errors over some frames.

    Parameters
    ----------
    pairs : sequence of Pair
        Of one model.
    offset : mapping of str to float
        What to subtract from the energy errors of each composition: see `offsets`.
    """
    sizes = np.array([len(pair.frame.atoms) for pair in pairs], dtype=np.float64)
    energies = np.array([pair.energy_error for pair in pairs])
    names = [pair.frame.formula for pair in pairs]
    has_offset = np.array([name in offset for name in names], dtype=bool)
    centered = energies - np.array([offset.get(name, 0.0) for name in names])
    return Errors(
        len(pairs),
        int(sizes.sum()),
        _energy_errors(energies, sizes),
        _energy_errors(centered[has_offset], sizes[has_offset]),
        force_errors(pairs),
        _stress_errors(pairs),
    )


def _energy_errors(energies: FloatArray, sizes: FloatArray) -> EnergyErrors:
    if len(energies) == 0:
        return EnergyErrors()
    e, per_atom = 1e3 * energies, 1e3 * energies / sizes
    return EnergyErrors(
        len(e), mean(np.abs(e)), rms(e), mean(np.abs(per_atom)), rms(per_atom), mean(per_atom)
    )


def force_errors(pairs: Sequence[Pair], element: int | None = None) -> ForceErrors:
    """Errors of forces over all atoms of some frames, or over those of one element."""
    found, expected = [], []
    for pair in pairs:
        if pair.frame.forces is not None:
            chosen = slice(None) if element is None else pair.frame.atoms.numbers == element
            found.append(pair.found.forces[chosen])
            expected.append(pair.frame.forces[chosen])
    if sum(map(len, found)) == 0:
        return ForceErrors()
    f, dft = np.concatenate(found), np.concatenate(expected)
    error = 1e3 * (f - dft)
    scale = 1e3 * rms(dft)
    return ForceErrors(
        len(f),
        mean(np.abs(error)),
        rms(error),
        float(np.linalg.norm(error, axis=1).max()),
        100.0 * rms(error) / scale if scale > 0.0 else None,
        _cosine(f, dft),
    )


def _cosine(found: FloatArray, dft: FloatArray) -> float | None:
    size = np.linalg.norm(dft, axis=1)
    has_direction = size > LEAST_FORCE
    if not has_direction.any():
        return None
    f, g = found[has_direction], dft[has_direction]
    norms = np.linalg.norm(f, axis=1) * size[has_direction]
    # A zero prediction has no direction, so it counts as not parallel to DFT's.
    return mean((f * g).sum(axis=1) / np.where(norms > 0.0, norms, 1.0))


def _stress_errors(pairs: Sequence[Pair]) -> StressErrors:
    error = [
        (stress - pair.frame.stress).ravel() / GPa
        for pair in pairs
        if pair.frame.stress is not None and (stress := pair.stress) is not None
    ]
    if not error:
        return StressErrors()
    return StressErrors(len(error), mean(np.abs(np.concatenate(error))), rms(np.concatenate(error)))
