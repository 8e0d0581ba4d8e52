# SPDX-License-Identifier: BSD-3-Clause
"""Write frames of two close atoms, labeled by the pretrained network.

    PYTHONPATH=python:training python -m organic.rehearse FINETUNE.yaml OUTPUT.xyz

The frames for fine-tuning have no atoms that are much closer than a bond. A network that is trained
on them alone forgets that close atoms repel. Frames of two close atoms among them prevent this.
Where the pretrained network does not repel either, the labels continue as ZBL's repulsion. Frames
with forces larger than those of any repulsion are left out: there, the energy is about to fall. The
labels use the reference energies that `energies.reference: refit` gives for the other frames of
FINETUNE.yaml. Needs the packages of `eqnn train`.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols, covalent_radii

from eqnn.errors import EqnnError
from eqnn.library import Potential
from eqnn.model_file import Model, read_model, write_model
from eqnn.short_range import zbl
from eqnn.train.config import Config, read_config
from eqnn.train.data import Frames, read_sets, started
from organic.structures import Floats

# Distances over the sum of the covalent radii.
NEAREST, FARTHEST, N_DISTANCES = 0.2, 1.0, 16
TURN = 1.0  # eV: an energy that rises and then falls by more has passed a wall
DEEPEST = 15.0  # eV: no bond is as strong
HIGHEST = 20.0  # eV above the farthest
STEEPEST = 150.0  # eV/Angstrom: ZBL up to HIGHEST has less; what a network made may have more
LEVEL = "the pretrained network"


def refitted(config: Config, left_out: Path) -> Model:
    """Return the model that a fine-tuning begins with, with the reference energies that it fits."""
    files = tuple(f for f in config.data.train if Path(f).resolve() != left_out.resolve())
    data = dataclasses.replace(config.data, train=files, validation=())
    config = dataclasses.replace(config, data=data)
    model = read_model(config.model)
    frames = read_sets(config, model.document["species"], print).train
    return started(model, config, Frames(frames, [], {}))


def dimers(species: Sequence[int]) -> list[list[Atoms]]:
    """Return all distances of each pair of elements, the farthest first."""
    out = []
    for a, b in itertools.combinations_with_replacement(sorted(species), 2):
        bond = covalent_radii[a] + covalent_radii[b]
        frames = []
        for r in bond * np.linspace(FARTHEST, NEAREST, N_DISTANCES):
            pair = Atoms([a, b], [[0, 0, 0], [0, 0, r]])
            pair.info = {"smiles": f"{chemical_symbols[a]}.{chemical_symbols[b]}", "level": LEVEL}
            frames.append(pair)
        out.append(frames)
    return out


def wall_at(energies: Sequence[float]) -> int:
    """Return how many energies of a pair there are before they fall, on the way in from a bond.

    What falls without having risen is a bond that is shorter than the sum of the radii.
    """
    low = high = energies[0]
    for k, energy in enumerate(energies):
        if (high > low + TURN and energy < high - TURN) or energy < energies[0] - DEEPEST:
            return k
        low, high = (energy, energy) if energy < low else (low, max(high, energy))
    return len(energies)


def labeled(model: Model, pairs: Sequence[Sequence[Atoms]]) -> list[Atoms]:
    """Give frames the energies of a model, and beyond its walls those of ZBL from there on."""
    kept = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.eqnn"
        write_model(path, model.document, model.tensors)
        with Potential(path, "double") as potential:
            for frames in pairs:
                found = [potential.evaluate(a.numbers, a.positions) for a in frames]
                r = np.array([a.positions[1, 2] for a in frames])
                energy = np.array([one.energy for one in found])
                slope = np.array([one.forces[1, 2] for one in found])
                bond = covalent_radii[frames[0].numbers].sum()
                first = int((r >= bond).sum())
                good = first + wall_at(energy[first:].tolist())
                last = good - 1 - int(np.argmax(energy[first:good][::-1]))
                z_i, z_j = frames[0].numbers.tolist()
                zbl_energy, pull = repulsion((z_i, z_j), r)
                energy[last + 1 :] = energy[last] + (zbl_energy - zbl_energy[last])[last + 1 :]
                slope[last + 1 :] = pull[last + 1 :]
                for k, atoms in enumerate(frames):
                    if energy[k] <= energy[0] + HIGHEST and abs(slope[k]) <= STEEPEST:
                        f = np.array([[0, 0, -slope[k]], [0, 0, slope[k]]])
                        atoms.calc = SinglePointCalculator(atoms, energy=energy[k], forces=f)
                        kept.append(atoms)
    return kept


def repulsion(pair: tuple[int, int], r: Floats) -> tuple[Floats, Floats]:
    """Return ZBL's energy of a pair at r in Angstrom, and its force: eV, eV/Angstrom."""
    far, step = 50.0, 1e-4  # where it is switched off, beyond all distances here; of the slope
    inward, energy, outward = (zbl(pair, r + d, far, 2 * far) for d in (-step, 0.0, step))
    return energy, (inward - outward) / (2 * step)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the frames."""
    parser = argparse.ArgumentParser(description="Frames of two close atoms, for fine-tuning.")
    parser.add_argument("config", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args(arguments)
    try:
        model = refitted(read_config(options.config), options.output)
        frames = labeled(model, dimers(model.document["species"]))
    except EqnnError as error:
        parser.error(str(error))
    ase.io.write(options.output, frames, format="extxyz")
    print(f"Wrote {options.output}: {len(frames)} frames of two atoms.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
