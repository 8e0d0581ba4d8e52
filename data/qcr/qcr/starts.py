# SPDX-License-Identifier: BSD-3-Clause
"""Where relaxations start: hot structures from GFN2-xTB molecular dynamics."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculationFailed
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import LBFGS
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import AllChem
from tblite.ase import TBLite

from qcr.errors import QcrError
from qcr.molecules import Run
from qcr.topology import bond_error

CONFORMERS = 8
TEMPERATURES = (1000.0, 700.0, 400.0, 200.0)
"""K; the first at which no bond is made or broken."""
STEPS = 300
TIME_STEP = 0.5
"""fs"""
SAME_ENERGY = 0.02
"""eV: conformers nearer than this are the same one, often a mirror image."""


@dataclass(frozen=True)
class Start:
    """A hot structure.

    Parameters
    ----------
    positions
        [n_atoms][3], Angstrom. Heavy atoms in the order of the SMILES, then hydrogens.
    temperature
        Of the molecular dynamics that it was taken from, K.
    """

    elements: list[str]
    bonds: list[tuple[int, int]]
    positions: NDArray[np.float64]
    temperature: float


def seed_of(text: str) -> int:
    """31 bits that depend on nothing but the text."""
    return zlib.crc32(text.encode()) & 0x7FFFFFFF


def with_hydrogens(smiles: str) -> Chem.Mol:
    """RDKit's molecule with all hydrogens; raises where RDKit reads none."""
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise QcrError(f"RDKit cannot read the SMILES '{smiles}': mend it in molecules.csv.")
    return Chem.AddHs(molecule)


def bonds_of(molecule: Chem.Mol) -> list[tuple[int, int]]:
    """All bonds, smaller atom first, sorted."""
    pairs = ((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds())
    return sorted((min(pair), max(pair)) for pair in pairs)


def conformers(molecule: Chem.Mol, seed: int) -> list[Atoms]:
    """Find conformers with GFN2-xTB that have the molecule's bonds, lowest energy first."""
    elements = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    bonds = bonds_of(molecule)
    AllChem.EmbedMultipleConfs(molecule, CONFORMERS, randomSeed=seed)
    if molecule.GetNumConformers() == 0:  # strained cages
        AllChem.EmbedMultipleConfs(molecule, CONFORMERS, randomSeed=seed, useRandomCoords=True)
    found: list[tuple[float, Atoms]] = []
    for conformer in molecule.GetConformers():
        atoms = Atoms(elements, conformer.GetPositions())
        atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
        try:
            LBFGS(atoms, logfile=os.devnull).run(fmax=0.02, steps=200)
        except CalculationFailed:
            continue
        if bond_error(elements, atoms.positions, bonds) is None:
            found.append((atoms.get_potential_energy(), atoms))
    found.sort(key=lambda pair: pair[0])
    distinct: list[tuple[float, Atoms]] = []
    for energy, atoms in found:
        if not distinct or energy - distinct[-1][0] > SAME_ENERGY:
            distinct.append((energy, atoms))
    return [atoms for _, atoms in distinct]


def hot_start(run: Run) -> Start:
    """Take a run's first structure from molecular dynamics that starts at one of its conformers.

    Raises QcrError where no conformer keeps the bonds of the SMILES.
    """
    molecule = with_hydrogens(run.molecule.smiles)
    elements = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    bonds = bonds_of(molecule)
    found = conformers(molecule, seed_of(run.molecule.name))
    if not found:
        raise QcrError(
            f"{run.name}: GFN2-xTB keeps the bonds of {run.molecule.smiles} in no conformer."
        )
    calm = found[run.index % len(found)]
    for temperature in TEMPERATURES:
        random = np.random.RandomState(seed_of(f"{run.name} {temperature:.0f}"))
        atoms = calm.copy()
        atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
        MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=random)
        dynamics = Langevin(
            atoms,
            TIME_STEP * units.fs,
            temperature_K=temperature,
            friction=0.02 / units.fs,
            rng=random,
            logfile=None,
        )
        try:
            dynamics.run(STEPS)
        except CalculationFailed:  # too hot for its self-consistent charges
            continue
        if bond_error(elements, atoms.positions, bonds) is None:
            positions = atoms.positions - atoms.positions.mean(axis=0)
            return Start(elements, bonds, positions, temperature)
    raise QcrError(f"{run.name}: a bond breaks in molecular dynamics even at {TEMPERATURES[-1]} K.")
