# SPDX-License-Identifier: BSD-3-Clause
"""Make up molecules of H, C, N and O, by random changes of known ones.

    PYTHONPATH=training:data/qcr python -m organic.molecules OUTPUT.txt

OUTPUT.txt has a canonical SMILES of RDKit a line. The same seed gives the same list. No molecule of
the validation or test set of qcr-small is in it, nor one of the other benchmarks of this project.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Sequence
from pathlib import Path

from rdkit import Chem, RDLogger

from qcr.molecules import molecules as listed

# How many of each number of heavy atoms are wanted.
WANTED = {3: 120, 4: 500, 5: 1200, 6: 1800, 7: 2000, 8: 1600, 9: 1000, 10: 600}
SEED = 20261128

# Of other benchmarks: 3BPA, acetylacetone, ethanol and methanol, rMD17, with tautomers.
BENCHMARKS = (
    "Nc1cccnc1OCc1ccccc1",
    "CC(=O)CC(C)=O",
    "CC(=O)C=C(C)O",
    "CCO",
    "CO",
    "CC(=O)Oc1ccccc1C(=O)O",
    "c1ccc(N=Nc2ccccc2)cc1",
    "c1ccccc1",
    "O=CCC=O",
    "O=CC=CO",
    "c1ccc2ccccc2c1",
    "CC(=O)Nc1ccc(O)cc1",
    "O=C(O)c1ccccc1O",
    "Cc1ccccc1",
    "O=c1cc[nH]c(=O)[nH]1",
)

# Groups that changes of neutral atoms do not lead to, and rings that they seldom do.
SEEDS = (
    "C[N+](=O)[O-]",
    "C=C[N+](=O)[O-]",
    "CN=[N+]=[N-]",
    "CC=[N+]=[N-]",
    "C[N+]#[C-]",
    "CC#[N+][O-]",
    "C=[N+](C)[O-]",
    "CC1CCCCC1",
    "Cc1ccccc1C",
    "Cc1ccncc1",
    "Cc1ccoc1",
    "Cc1cc[nH]c1",
    "Cc1cnc[nH]1",
    "Cc1ccn[nH]1",
    "Cc1cocn1",
    "Cc1conc1",
    "Cc1cncnc1",
    "Cc1cnccn1",
    "O=C1CCCN1",
    "O=C1CCCO1",
    "C1COCCN1",
    "CC(=O)OC",
    "CC(=O)N(C)C",
    "NC(N)=O",
    "CC(N)C(=O)O",
    "COC=O",
    "CC(C)(C)C",
    "C=CC=CC",
    "CC#CC",
)

# What is left out: explosive chains, bonds too strained to stand, and what closed shells hide.
_FORBIDDEN = tuple(
    Chem.MolFromSmarts(text)
    for text in (
        "[OX2][OX2][OX2]",
        "[#7;!a][OX2][OX2]",
        "[#7;!a][#7;!a][#7;!a;!+][#7;!a]",
        "[OX2][#7;!a][OX2]",
        "[R]#[R]",
        "[R]=[R]=[R]",
        "[r3]=[r3]=*",
        "[r3]=[r4]",
        "[r4]=[r3]",
        "N1N=N1",
        "N1=NO1",
        "O1OO1",
        "C1=CO1",
        "C1=CN1",
        "[CX3]=[CX2]=[CX2]=[CX2]",
        "[OX2][OX2]C#*",
    )
)


def canonical(smiles: str) -> str:
    """Return RDKit's canonical SMILES, without stereochemistry."""
    return str(Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False))


def held_out() -> frozenset[str]:
    """Return the SMILES that no set for training may have."""
    kept = [m.smiles for m in listed() if m.split != "train"]
    return frozenset(canonical(smiles) for smiles in (*kept, *BENCHMARKS))


def acceptable(molecule: Chem.Mol) -> bool:
    """Tell whether a molecule is one that may be met: neutral, closed-shell, not too strained."""
    if not 2 <= molecule.GetNumAtoms() <= max(WANTED):
        return False
    if any(a.GetSymbol() not in ("C", "N", "O") for a in molecule.GetAtoms()):
        return False
    if Chem.GetFormalCharge(molecule) or any(
        a.GetNumRadicalElectrons() for a in molecule.GetAtoms()
    ):
        return False
    sizes = [len(ring) for ring in molecule.GetRingInfo().AtomRings()]
    if len(sizes) > 2 or sizes.count(3) + sizes.count(4) > 1 or max(sizes, default=0) > 7:
        return False
    if sum(a.GetSymbol() != "C" for a in molecule.GetAtoms()) > 5:
        return False
    return not any(molecule.HasSubstructMatch(pattern) for pattern in _FORBIDDEN)


def change(molecule: Chem.Mol, draw: random.Random) -> str | None:
    """Change a molecule in one place; None where no molecule comes of it.

    Returns
    -------
    str or None
        Canonical SMILES.
    """
    work = Chem.RWMol(molecule)
    Chem.Kekulize(work, clearAromaticFlags=True)
    atoms = list(work.GetAtoms())
    free = [a.GetIdx() for a in atoms if a.GetTotalNumHs() > 0]
    bonds = list(work.GetBonds())
    kind = draw.choices(
        ("add", "element", "order", "ring", "insert", "remove"), (40, 20, 15, 10, 10, 15)
    )[0]
    element = draw.choices((6, 7, 8), (60, 22, 18))[0]
    for atom in atoms:  # hydrogens follow from the valence, but in charged groups
        if atom.GetFormalCharge() == 0:
            atom.SetNoImplicit(False)
            atom.SetNumExplicitHs(0)
    if kind == "add" and free:
        order = draw.choices((1, 2, 3), (75, 20, 5))[0]
        new = work.AddAtom(Chem.Atom(element))
        work.AddBond(draw.choice(free), new, Chem.BondType.values[order])
    elif kind == "element":
        atom = draw.choice(atoms)
        if atom.GetFormalCharge():
            return None
        atom.SetAtomicNum(element)
    elif kind == "order" and bonds:
        draw.choice(bonds).SetBondType(Chem.BondType.values[draw.choice((1, 1, 2, 2, 3))])
    elif kind == "ring" and len(free) > 1:
        i, j = draw.sample(free, 2)
        if work.GetBondBetweenAtoms(i, j) is not None:
            return None
        if not 3 <= len(Chem.GetShortestPath(molecule, i, j)) <= 6:
            return None
        work.AddBond(i, j, Chem.BondType.SINGLE)
    elif kind == "insert" and bonds:
        bond = draw.choice(bonds)
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        work.RemoveBond(i, j)
        new = work.AddAtom(Chem.Atom(element))
        work.AddBond(i, new, Chem.BondType.SINGLE)
        work.AddBond(new, j, Chem.BondType.SINGLE)
    elif kind == "remove":
        ends = [a.GetIdx() for a in atoms if a.GetDegree() == 1 and not a.GetFormalCharge()]
        if not ends:
            return None
        work.RemoveAtom(draw.choice(ends))
    try:
        Chem.SanitizeMol(work)
        smiles = canonical(Chem.MolToSmiles(work))
        made = Chem.MolFromSmiles(smiles)
    except (ValueError, RuntimeError, AttributeError, TypeError):
        return None
    if made is None or "." in smiles or not acceptable(made):
        return None
    return smiles


def make_up(wanted: dict[int, int], seed: int, changes: int = 2_000_000) -> list[str]:
    """Make up molecules.

    Parameters
    ----------
    wanted : dict of int to int
        How many of each number of heavy atoms.
    seed : int
    changes : int
        At most so many are tried: there are not so many small molecules.

    Returns
    -------
    list of str
        Canonical SMILES, sorted by heavy atoms, then by name.
    """
    RDLogger.DisableLog("rdApp.*")  # most changes come to nothing, and it says so of each
    draw = random.Random(seed)
    out = held_out()
    starts = [*SEEDS, *(m.smiles for m in listed() if m.split == "train")]
    found: dict[int, list[str]] = {n: [] for n in range(2, max(wanted) + 1)}
    known: set[str] = set()

    def keep(smiles: str) -> None:
        n = Chem.MolFromSmiles(smiles).GetNumAtoms()
        if smiles in known or n not in found:
            return
        # Held-out molecules are walked through, so that what lies beyond them is found.
        if n not in wanted or len(found[n]) < 2 * wanted[n]:
            known.add(smiles)
            found[n].append(smiles)

    for smiles in starts:
        keep(canonical(smiles))
    idle = 0
    for _ in range(changes):
        if all(len(found[n]) >= 1.5 * wanted[n] for n in wanted) or idle > 20_000:
            break
        n = draw.choice([n for n in found if found[n]])
        made = change(Chem.MolFromSmiles(draw.choice(found[n])), draw)
        before = len(known)
        if made is not None:
            keep(made)
        idle = 0 if len(known) > before else idle + 1
    result = []
    for n in sorted(wanted):
        ready = sorted(smiles for smiles in found[n] if smiles not in out)
        draw.shuffle(ready)
        result += sorted(ready[: wanted[n]])
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the list."""
    parser = argparse.ArgumentParser(description="Make up molecules of H, C, N and O.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    result = make_up(WANTED, options.seed)
    part = options.output.with_suffix(".part")
    part.write_text("".join(f"{smiles}\n" for smiles in result))
    os.replace(part, options.output)
    print(f"Wrote {options.output}: {len(result)} molecules.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
