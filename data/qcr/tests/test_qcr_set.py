# SPDX-License-Identifier: BSD-3-Clause
"""The shipped set data/qcr-small, with a reader and chemistry of its own: no code of its builder.

Tests that need RDKit or PySCF are skipped where these are missing, as they are in `make test`;
`make test-dataset` brings them.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import random
import re
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import ase.io
import numpy as np
import pytest
from numpy.typing import NDArray
from qcr_shared import DATA, LIST, ROOT, max_error

SPLITS = ("train", "validation", "test")
HARTREE = 27.211386245988  # eV, CODATA 2018

# Molecules of the other benchmark sets: 3BPA, acetylacetone and its enol, ethanol, methanol, rMD17.
ELSEWHERE = {
    "Nc1cccnc1OCc1ccccc1": "3BPA",
    "CC(=O)CC(C)=O": "acetylacetone",
    "CC(=O)C=C(C)O": "acetylacetone, enol",
    "CCO": "ethanol",
    "CO": "methanol",
    "CC(=O)Oc1ccccc1C(=O)O": "aspirin",
    "c1ccc(N=Nc2ccccc2)cc1": "azobenzene",
    "c1ccccc1": "benzene",
    "O=CCC=O": "malonaldehyde",
    "O=CC=CO": "malonaldehyde, enol",
    "c1ccc2ccccc2c1": "naphthalene",
    "CC(=O)Nc1ccc(O)cc1": "paracetamol",
    "O=C(O)c1ccccc1O": "salicylic acid",
    "Cc1ccccc1": "toluene",
    "O=c1cc[nH]c(=O)[nH]1": "uracil",
}

# Longest bond that is one, Angstrom, in a relaxed molecule.
BOND = {"HH": 0.9, "CH": 1.25, "HN": 1.2, "HO": 1.15, "CC": 1.72, "CN": 1.65, "CO": 1.62}
BOND |= {"NN": 1.6, "NO": 1.6, "OO": 1.6}


class Frame(NamedTuple):
    """One frame as its text says: eV, Angstrom."""

    elements: list[str]
    positions: NDArray[np.float64]
    forces: NDArray[np.float64]
    info: dict[str, str]

    @property
    def energy(self) -> float:
        return float(self.info["energy"])

    @property
    def key(self) -> tuple[str, str, int]:
        return self.info["run"], self.info["stage"], int(self.info["step"])


def parse(path: Path) -> list[Frame]:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    frames = []
    at = 0
    while at < len(lines):
        n = int(lines[at])
        pairs = re.findall(r'(\w+)=(?:"([^"]*)"|(\S+))', lines[at + 1])
        info = {key: (quoted or bare).replace("\\\\", "\\") for key, quoted, bare in pairs}
        rows = [line.split() for line in lines[at + 2 : at + 2 + n]]
        numbers = np.array([[float(word) for word in row[1:]] for row in rows])
        assert numbers.shape == (n, 6)
        frames.append(Frame([row[0] for row in rows], numbers[:, :3], numbers[:, 3:], info))
        at += n + 2
    return frames


@pytest.fixture(scope="module")
def frames() -> dict[str, list[Frame]]:
    return {name: parse(DATA / f"{name}.xyz.gz") for name in SPLITS}


@pytest.fixture(scope="module")
def relaxations(frames: dict[str, list[Frame]]) -> dict[str, list[Frame]]:
    runs = defaultdict(list)
    for some in frames.values():
        for frame in some:
            if frame.info["stage"] == "relax":
                runs[frame.info["run"]].append(frame)
    return runs


def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(LIST.read_text(encoding="utf-8").splitlines()))


def test_every_file_has_its_hash_and_all_are_small() -> None:
    lines = (DATA / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = {path.name: path.read_bytes() for path in DATA.iterdir() if path.name != "SHA256SUMS"}
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert sum(map(len, files.values())) <= 20 * 1024**2
    assert {"README.md", "LICENSE", "runs.json", "statistics.png"} <= set(files)
    assert "CC0 1.0 Universal" in files["LICENSE"].decode()


def test_gzip_has_no_time_in_it() -> None:
    for name in SPLITS:
        assert (DATA / f"{name}.xyz.gz").read_bytes()[4:8] == bytes(4)


def test_ase_reads_what_the_text_says(frames: dict[str, list[Frame]]) -> None:
    for name in SPLITS:
        images = ase.io.read(DATA / f"{name}.xyz.gz", ":")
        assert len(images) == len(frames[name])
        for atoms, frame in zip(images, frames[name], strict=True):
            assert list(atoms.symbols) == frame.elements
            assert max_error(atoms.positions, frame.positions) == 0.0
            assert max_error(atoms.get_forces(), frame.forces) == 0.0
            assert atoms.get_potential_energy() == frame.energy
            assert atoms.info["smiles"] == frame.info["smiles"]
            assert atoms.info["step"] == frame.key[2]
            assert bool(atoms.info["converged"]) is True
            assert bool(atoms.info["relaxed"]) == (frame.info["relaxed"] == "T")
            assert not atoms.pbc.any()


def test_frames_are_of_the_molecules_that_they_name(frames: dict[str, list[Frame]]) -> None:
    listed = {row["name"]: row for row in rows()}
    for name in SPLITS:
        for frame in frames[name]:
            row = listed[frame.info["molecule"]]
            assert row["split"] == name
            assert row["smiles"] == frame.info["smiles"]
            assert frame.info["run"].rpartition("-")[0] == row["name"]
            pairs = re.findall(r"([A-Z])(\d*)", row["formula"])
            assert Counter(frame.elements) == {e: int(n or 1) for e, n in pairs}
            assert set(frame.elements) <= set("HCNO")


def test_no_frame_is_there_twice(frames: dict[str, list[Frame]]) -> None:
    keys = [frame.key for some in frames.values() for frame in some]
    assert len(keys) == len(set(keys))
    places = [frame.positions.tobytes() for some in frames.values() for frame in some]
    assert len(places) == len(set(places))


def test_all_values_are_finite_and_forces_balance(frames: dict[str, list[Frame]]) -> None:
    for some in frames.values():
        for frame in some:
            assert np.isfinite(frame.energy) and np.isfinite(frame.positions).all(), frame.key
            # Eight decimals of at most 24 atoms; computed, it is zero to rounding.
            assert max_error(frame.forces.sum(axis=0), np.zeros(3)) <= 5e-7, frame.key
            torque = np.cross(frame.positions - frame.positions.mean(axis=0), frame.forces)
            # eV. The integration grid does not turn with the molecule.
            assert max_error(torque.sum(axis=0), np.zeros(3)) <= 0.02, frame.key


def test_relaxations_go_down(relaxations: dict[str, list[Frame]]) -> None:
    assert relaxations
    for name, path in relaxations.items():
        assert [frame.key[2] for frame in path] == list(range(len(path))), name
        energies = np.array([frame.energy for frame in path])
        assert energies[-1] - energies.min() <= 1e-3, name
        assert energies[-1] < energies[0], name
        # Single steps that the optimizer takes back may be higher.
        above = energies - np.minimum.accumulate(energies)
        assert (np.minimum(above[1:], above[:-1]) <= 0.1).all(), name
        if path[-1].info["relaxed"] == "T":  # 4.5e-4 Hartree/Bohr, geomeTRIC's GAU_gmax
            assert np.linalg.norm(path[-1].forces, axis=1).max() <= 0.0235, name


def test_forces_are_minus_the_slope_of_the_energy(relaxations: dict[str, list[Frame]]) -> None:
    """Over all short steps, energy differences are the work of the mean force.

    A wrong sign would make the slope -1, a wrong unit another one. The mean force is right up to
    third derivatives: steps up to 0.02 Angstrom are 1e-2 off, those up to 0.01 Angstrom 4e-4.
    """
    works, falls = [], []
    for path in relaxations.values():
        for a, b in pairwise(path):
            step = b.positions - a.positions
            if np.abs(step).max() <= 0.01:
                works.append(float((step * (a.forces + b.forces)).sum()) / 2)
                falls.append(a.energy - b.energy)
    assert len(works) >= 50
    slope = np.dot(works, falls) / np.dot(works, works)
    assert abs(slope - 1) <= 5e-3


def graph(frame: Frame) -> str:
    """Hash of the bonds between elements (Weisfeiler and Leman): the molecule without its shape."""
    n = len(frame.elements)
    r = np.linalg.norm(frame.positions[:, None] - frame.positions[None, :], axis=-1)
    near: list[list[int]] = [[] for _ in range(n)]
    for i in range(n):
        for j in range(n):
            pair = "".join(sorted(frame.elements[i] + frame.elements[j]))
            if i != j and r[i, j] <= BOND[pair]:
                near[i].append(j)
    labels = list(frame.elements)
    for _ in range(n):
        words = [labels[i] + "".join(sorted(labels[j] for j in near[i])) for i in range(n)]
        labels = [hashlib.sha256(word.encode()).hexdigest() for word in words]
    return hashlib.sha256("".join(sorted(labels)).encode()).hexdigest()


def test_graphs_tell_tautomers_apart(relaxations: dict[str, list[Frame]]) -> None:
    by_smiles = defaultdict(set)
    for path in relaxations.values():
        by_smiles[path[-1].info["smiles"]].add(graph(path[-1]))
    assert all(len(graphs) == 1 for graphs in by_smiles.values()), "runs of a molecule differ"
    if {"NC=O", "N=CO"} <= set(by_smiles):
        assert by_smiles["NC=O"] != by_smiles["N=CO"]


def test_no_test_molecule_is_in_train_or_validation(frames: dict[str, list[Frame]]) -> None:
    """By name, by SMILES, and by bonds that are found in the relaxed structures."""
    seen: dict[str, dict[str, set[str]]] = {name: defaultdict(set) for name in SPLITS}
    for name in SPLITS:
        last = {f.info["run"]: f for f in frames[name] if f.info["stage"] == "relax"}
        for frame in last.values():
            seen[name]["molecule"].add(frame.info["molecule"])
            seen[name]["smiles"].add(frame.info["smiles"])
            seen[name]["graph"].add(graph(frame))
        assert seen[name], name
    for a in SPLITS:
        for b in SPLITS:
            for kind in ("molecule", "smiles", "graph"):
                assert a == b or not seen[a][kind] & seen[b][kind], (a, b, kind)


def test_no_molecule_of_the_list_is_in_another_benchmark() -> None:
    for row in rows():
        flat = re.sub(r"[/\\@]", "", row["smiles"])
        assert flat not in ELSEWHERE, row["name"]


def test_the_list_is_what_it_is_said_to_be() -> None:
    names = [row["name"] for row in rows()]
    assert len(names) == len(set(names)) >= 150
    assert len({row["smiles"] for row in rows()}) == len(names)
    for row in rows():
        pairs = re.findall(r"([A-Z])(\d*)", row["formula"])
        assert {element for element, _ in pairs} <= set("HCNO"), row
        assert 3 <= sum(int(n or 1) for e, n in pairs if e != "H") <= 9, row
        assert row["split"] in SPLITS and int(row["runs"]) >= 1, row


def test_the_documentation_lists_the_test_molecules() -> None:
    text = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    (paragraph,) = re.findall(r"<!-- test molecules -->\n(.*?)\n<!-- end -->", text, re.DOTALL)
    listed = [" ".join(name.split()) for name in re.findall(r"`([^`]+)`", paragraph)]
    assert sorted(listed) == sorted(row["name"] for row in rows() if row["split"] == "test")


def test_the_readme_counts_what_is_there(frames: dict[str, list[Frame]]) -> None:
    text = (DATA / "README.md").read_text(encoding="utf-8")
    counts = [len(frames[name]) for name in SPLITS]
    assert f"| frames | {counts[0]} | {counts[1]} | {counts[2]} | {sum(counts)} |" in text
    runs = [len({frame.info["run"] for frame in frames[name]}) for name in SPLITS]
    assert f"| relaxations | {runs[0]} | {runs[1]} | {runs[2]} | {sum(runs)} |" in text
    assert len(json.loads((DATA / "runs.json").read_text())["runs"]) == sum(runs)


def test_rdkit_finds_the_same_molecules_and_no_overlap(
    frames: dict[str, list[Frame]], relaxations: dict[str, list[Frame]]
) -> None:
    chem = pytest.importorskip(
        "rdkit.Chem", reason="RDKit is not installed: `make test-dataset` brings it"
    )
    descriptors = pytest.importorskip("rdkit.Chem.rdMolDescriptors")

    def flat(smiles: str) -> str:
        return str(chem.MolToSmiles(chem.MolFromSmiles(smiles), isomericSmiles=False))

    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows():
        molecule = chem.MolFromSmiles(row["smiles"])
        assert chem.MolToSmiles(molecule) == row["smiles"]
        assert descriptors.CalcMolFormula(molecule) == row["formula"]
        assert chem.GetFormalCharge(molecule) == 0
        splits[flat(row["smiles"])].add(row["split"])
    assert all(len(some) == 1 for some in splits.values()), "stereoisomers in two splits"
    assert not {flat(smiles) for smiles in ELSEWHERE} & set(splits)
    present = {name: {flat(f.info["smiles"]) for f in frames[name]} for name in SPLITS}
    assert not present["test"] & (present["train"] | present["validation"])
    assert not present["validation"] & present["train"]
    # The bonds in the manifest, by which every frame is checked, are those of the SMILES.
    manifest = json.loads((DATA / "runs.json").read_text())["runs"]
    for run, path in relaxations.items():
        molecule = chem.AddHs(chem.MolFromSmiles(path[0].info["smiles"]))
        bonds = {
            tuple(sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx()))) for b in molecule.GetBonds()
        }
        assert bonds == {tuple(bond) for bond in manifest[run]["bonds"]}
        assert [atom.GetSymbol() for atom in molecule.GetAtoms()] == path[0].elements


def test_pyscf_computes_the_same_energies(frames: dict[str, list[Frame]]) -> None:
    """Three random frames of small molecules, to 1e-8 Hartree, with forces."""
    pytest.importorskip("pyscf", reason="PySCF is not installed: `make test-dataset` brings it")
    from pyscf import dft, gto

    small = [f for some in frames.values() for f in some if len(f.elements) <= 7]
    # Others with each batch, the same ones for the same files.
    seed = (DATA / "SHA256SUMS").read_text()
    for frame in random.Random(seed).sample(small, 3):
        atoms = list(zip(frame.elements, frame.positions.tolist(), strict=True))
        field = dft.RKS(gto.M(atom=atoms, basis="6-31g*", cart=True, verbose=0))
        field.xc = "b3lyp"
        field.conv_tol = 1e-11
        energy = field.kernel()
        assert abs(energy - frame.energy / HARTREE) <= 1e-8, frame.key
        # Without the grid's response, which the set has: that is up to some 1e-4 Hartree/Bohr.
        forces = -field.nuc_grad_method().kernel() * HARTREE / 0.529177210903
        assert max_error(forces, frame.forces) <= 0.02, frame.key
