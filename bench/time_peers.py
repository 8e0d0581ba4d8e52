# SPDX-License-Identifier: BSD-3-Clause
"""Time eqnn and its peers on the same weights and structures, one thread, single precision.

    make bench BENCH_ARGS="--l-max 1"   # builds bench_model
    .eqnn/venv/bin/python bench/time_peers.py [--mace PYTHON] [--sevennet PYTHON] [--rounds 3]

PYTHON are interpreters of environments of their own, nothing of which eqnn needs:

    pip install mace-torch==0.3.16 matscipy==1.3.1
    pip install symmetrix-xl==0.1.1 symmetrix-xl-cpu-avx512==0.1.1
    pip install sevenn==0.13.0

Rattled crystals of 216 atoms, energy and forces. eqnn: bench_model, edge list given. mace-torch and
sevenn: the network's call, edge list given, malloc told to keep its memory (faster by a sixth to a
third than by default). symmetrix-xl, which the later families are not given to: a call through ASE
after a small displacement, profile "speed", vectors of 512 bits. CPU times on core 0, in turn; the
best of all rounds is printed, with the difference of the energies of the undisplaced structure.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {f"{of}_NUM_THREADS": "1" for of in ("OMP", "MKL", "OPENBLAS", "KOKKOS")} | {
    "OMP_PROC_BIND": "false",
    # e3nn 0.4 reads a table of its own with torch.load, which torch 2.6 and later refuse otherwise.
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
}
# symmetrix-xl compiles kernels as it runs: its own flags, fast-math among them, but for the width,
# which makes it faster by a tenth. Nothing of eqnn is compiled so.
WIDE_VECTORS = {
    "SYMMETRIX_JIT_HOST_FLAGS": "-ffast-math -march=native -mprefer-vector-width=512",
}
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


@dataclass(frozen=True)
class Case:
    """A network, a crystal, and who else computes it."""

    title: str
    crystal: Atoms
    cutoff: float  # Angstrom
    peers: tuple[str, ...]
    channels: int = 0  # of a MACE with random weights
    family: str = "plain"  # of it, a key of FAMILIES


ALN = bulk("AlN", "wurtzite", a=3.112, c=4.982, orthorhombic=True).repeat(3)
SILICON = bulk("Si", "diamond", a=5.431, cubic=True).repeat(3)
MACE_PEERS = ("symmetrix-xl", "mace-torch")
_DENSITY, _NONLINEAR, _ATTENTION = (
    f"RealAgnostic{name}InteractionBlock"
    for name in ("DensityResidual", "ResidualNonLinear", "AttResidual")
)
# Arguments of mace-torch's constructor that differ from `make_mace`'s.
FAMILIES: dict[str, dict[str, Any]] = {
    "plain": {},
    # As MACE-MP-0b3, MPA-0, OMAT-0 have it.
    "density": {
        **{"interaction_cls": _DENSITY, "distance_transform": "Agnesi", "pair_repulsion": True},
        "interaction_cls_first": "RealAgnosticDensityInteractionBlock",
    },
    # As MACE-MH-1 has it.
    "nonlinear": {
        **{"interaction_cls_first": _NONLINEAR, "interaction_cls": _NONLINEAR},
        **{"apply_cutoff": False, "readout_cls": "NonLinearBiasReadoutBlock"},
    },
    "attention": {"interaction_cls_first": _ATTENTION, "interaction_cls": _ATTENTION},
}
# As MACE-OMOL-0 has it.
FAMILIES["charge and spin"] = {
    **FAMILIES["nonlinear"],
    "embedding_specs": {
        "total_charge": {
            **{"type": "categorical", "per": "graph", "num_classes": 201},
            **{"emb_dim": 64, "offset": 100},
        },
        "total_spin": {
            **{"type": "categorical", "per": "graph", "num_classes": 101},
            "emb_dim": 64,
        },
    },
    "use_embedding_readout": True,
}
CASES = (
    Case("MACE 64x0e+64x1o, l_max 3, correlation 3", ALN, 5.0, MACE_PEERS, 64),
    Case("MACE 128x0e+128x1o, l_max 3, correlation 3", ALN, 6.0, MACE_PEERS, 128),
    *(
        Case(f"MACE 128x0e+128x1o, {family}", ALN, 6.0, ("mace-torch",), 128, family)
        for family in FAMILIES
        if family != "plain"
    ),
    Case("SevenNet-0", SILICON, 5.0, ("sevenn",)),
)


# ---- in a peer's environment: each returns what it prints as JSON ----


def make_mace(folder: Path, channels: int, cutoff: float, family: str) -> dict[str, Any]:
    """Write a MACE network with random weights, double precision, and what symmetrix-xl reads."""
    import e3nn
    import torch
    from mace import modules

    torch.manual_seed(7)
    torch.set_default_dtype(torch.float64)
    blocks = modules.interaction_classes
    given = {
        "interaction_cls_first": "RealAgnosticInteractionBlock",
        "interaction_cls": "RealAgnosticResidualInteractionBlock",
        **FAMILIES[family],
    }
    for key in ("interaction_cls_first", "interaction_cls"):
        given[key] = blocks[given[key]]
    if "readout_cls" in given:
        given["readout_cls"] = modules.readout_classes[given["readout_cls"]]
    model = modules.ScaleShiftMACE(
        **given,
        r_max=cutoff,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=3,
        num_interactions=2,
        num_elements=2,
        hidden_irreps=e3nn.o3.Irreps(f"{channels}x0e+{channels}x1o"),
        MLP_irreps=e3nn.o3.Irreps("16x0e"),
        atomic_energies=np.array([-1.0, -2.0]),
        avg_num_neighbors=50.0,
        atomic_numbers=[7, 13],
        correlation=3,
        gate=torch.nn.functional.silu,
        radial_MLP=[64, 64, 64],
        use_reduced_cg=False,
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
    )
    torch.save(model, folder / "mace.model")
    if family != "plain":
        return {}
    from symmetrix.cli.extract_mace import main as extract

    extract(["-m", str(folder / "mace.model"), "-o", str(folder / "mace.json")])
    return {}


def best_time(call: Callable[[], object], repeat: int) -> float:
    """CPU time of the fastest call after three to warm up, seconds."""
    times = []
    for _ in range(3 + repeat):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times[3:])


def time_mace(folder: Path, atoms: Atoms) -> dict[str, Any]:
    """Time mace-torch's network."""
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    model = torch.load(folder / "mace.model", weights_only=False).float()
    receiver, sender, shift = neighbor_list("ijS", atoms, float(model.r_max))
    cell = atoms.cell.array
    elements = model.atomic_numbers.tolist()
    data = {
        "positions": torch.tensor(atoms.positions, dtype=torch.float32, requires_grad=True),
        "node_attrs": torch.eye(len(elements))[[elements.index(z) for z in atoms.numbers]],
        "edge_index": torch.tensor(np.stack([sender, receiver])),
        # Upstream's edge goes from the sender to the receiver.
        "unit_shifts": torch.tensor(-shift, dtype=torch.float32),
        "shifts": torch.tensor(-shift @ cell, dtype=torch.float32),
        "cell": torch.tensor(cell, dtype=torch.float32),
        "batch": torch.zeros(len(atoms), dtype=torch.int64),
        "ptr": torch.tensor([0, len(atoms)]),
        "head": torch.tensor([0]),
        "total_charge": torch.tensor([0]),
        "total_spin": torch.tensor([1]),
    }
    found = model(data)
    energy = float(found["node_energy"].detach().double().sum())
    if hasattr(model, "embedding_readout"):  # its energies are in the sum alone
        energy = float(found["energy"].detach())
    return {"energy": energy, "seconds": best_time(lambda: model(data, compute_force=True), 5)}


def time_symmetrix(folder: Path, atoms: Atoms) -> dict[str, Any]:
    """Time symmetrix-xl's calculator."""
    from symmetrix import Symmetrix

    atoms.calc = Symmetrix(folder / "mace.json", dtype="float32", execution_profile="speed")
    energy = atoms.get_potential_energy()
    displacement = 1e-4

    def call() -> None:
        nonlocal displacement
        atoms.positions[0] += displacement
        displacement = -displacement
        atoms.get_forces()

    return {"energy": energy, "seconds": best_time(call, 50)}


def time_sevenn(folder: Path, atoms: Atoms) -> dict[str, Any]:
    """Time SevenNet-0, which the package brings."""
    import torch
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.calculator import SevenNetCalculator
    from sevenn.train.dataload import unlabeled_atoms_to_graph

    torch.set_num_threads(1)
    calculator = SevenNetCalculator("7net-0", device="cpu")
    graph = unlabeled_atoms_to_graph(atoms, calculator.cutoff, with_shift=False)
    data = AtomGraphData.from_numpy_dict(graph)
    energy = float(calculator.model(data.clone())["atomic_energy"].detach().double().sum())
    return {"energy": energy, "seconds": best_time(lambda: calculator.model(data.clone()), 5)}


TIMERS = {"mace-torch": time_mace, "symmetrix-xl": time_symmetrix, "sevenn": time_sevenn}


def child(what: str, folder: Path, arguments: list[str]) -> dict[str, Any]:
    """Do what a parent asked for."""
    if what == "make":
        return make_mace(folder, int(arguments[0]), float(arguments[1]), arguments[2])
    atoms = ase.io.read(folder / "structure.xyz", index=0)
    assert isinstance(atoms, Atoms)
    found = TIMERS[what](folder, atoms)
    return found | {"peer": f"{what} {version(what)}"}


# ---- in ours ----


def run(command: list[Any], env: dict[str, str] | None = None) -> str:
    """Run a command on one thread; return what it prints."""
    words = [str(word) for word in command]
    environment = os.environ | ENVIRONMENT | (env or {})
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def ask(python: Path, what: str, folder: Path, *arguments: object) -> dict[str, Any]:
    """Run this script in a peer's environment; return what it prints last."""
    env = WIDE_VECTORS if what == "symmetrix-xl" else KEEP_MEMORY
    said = run([python, __file__, "--child", what, folder, *arguments], env)
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def time_eqnn(bench: Path, model: Path, folder: Path) -> dict[str, Any]:
    """Time bench_model; the same keys as a peer's."""
    options = ["--model", model, "--structure", folder / "structure.xyz", "--repeat", 50]
    said = run([bench, *options])
    found = re.search(r": ([\d.]+) us/atom, .* energy (\S+) eV", said)
    assert found is not None, said
    return {"us": float(found[1]), "energy": float(found[2]), "peer": said.split(",")[0]}


def run_case(case: Case, pythons: dict[str, Path], options: argparse.Namespace) -> None:
    """Time eqnn and the case's peers in turn; print a row for each peer."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        atoms = case.crystal.copy()
        atoms.rattle(0.08, seed=7)
        ase.io.write(folder / "structure.xyz", atoms, format="extxyz")
        neighbors = len(neighbor_list("i", atoms, case.cutoff)) / len(atoms)
        model = ROOT / "potentials" / "sevennet_0.eqnn"
        if case.channels:
            made = case.channels, case.cutoff, case.family
            ask(pythons["mace-torch"], "make", folder, *made)
            model = folder / "mace.eqnn"
            command = [sys.executable, "-m", "eqnn.cli", "export", "mace", "--checkpoint"]
            told = ["--charge", 0, "--spin", 1] if case.family == "charge and spin" else []
            run([*command, folder / "mace.model", "--output", model, *told])
        rounds: dict[str, list[dict[str, Any]]] = {who: [] for who in ("eqnn", *case.peers)}
        for _ in range(options.rounds):
            rounds["eqnn"].append(time_eqnn(options.bench, model, folder))
            for peer in case.peers:
                found = ask(pythons[peer], peer, folder)
                rounds[peer].append(found | {"us": 1e6 * found["seconds"] / len(atoms)})
        best = {who: min(found, key=lambda one: one["us"]) for who, found in rounds.items()}
        ours = best.pop("eqnn")
        for found in best.values():
            off = abs(found["energy"] - ours["energy"]) / len(atoms)
            print(
                f"| {case.title} | {neighbors:.1f} | {found['peer']} | {found['us']:.0f} "
                f"| {ours['us']:.0f} | {found['us'] / ours['us']:.1f} | {off:.1e} |",
                flush=True,
            )
        print(f"<!-- {ours['peer']} -->", flush=True)


def main() -> None:
    """Time what environments are given for."""
    if sys.argv[1:2] == ["--child"]:
        what, folder, *arguments = sys.argv[2:]
        print(json.dumps(child(what, Path(folder), arguments)))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mace", type=Path, help="Python with mace-torch and symmetrix-xl")
    parser.add_argument("--sevennet", type=Path, help="Python with sevenn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="*", default=[""], help="cases with one of these in the title"
    )
    built = ROOT / ".eqnn" / "build" / "openmp" / "bin" / "bench_model"
    parser.add_argument("--bench", type=Path, default=built)
    options = parser.parse_args()
    os.sched_setaffinity(0, {0})
    pythons = dict.fromkeys(MACE_PEERS, options.mace) | {"sevenn": options.sevennet}
    print("| network | neighbors | peer | peer, us/atom | eqnn, us/atom | ratio | dE, eV/atom |")
    print("|---|---|---|---|---|---|---|")
    for case in CASES:
        if pythons[case.peers[0]] is not None and any(word in case.title for word in options.only):
            run_case(case, pythons, options)


if __name__ == "__main__":
    main()
