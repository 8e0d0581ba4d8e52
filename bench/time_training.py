# SPDX-License-Identifier: BSD-3-Clause
"""Time an epoch of training beside mace-torch: one network, the same frames, one thread.

    make test-train   # or another environment with eqnn[train]
    .eqnn/venv-train/bin/python bench/time_training.py --mace PYTHON [--data FRAMES.xyz]

PYTHON is the interpreter of an environment with mace-torch==0.3.16. The network: ScaleShiftMACE of
two layers, 32x0e+32x1o+32x2e, l_max 2, correlation 3, cutoff 5 Angstrom, with random weights, made
by mace-torch and exported with `eqnn export mace`. Both train it in single precision on batches of
eight frames, energies and forces, with AdamW, clipping and a moving average: mace-torch by its own
`take_step`, eqnn by the step of `eqnn train`. Packing of batches counts, compilation does not. CPU
times of one process on one core, in turn; the best epoch of all rounds is printed, and the largest
difference of the untrained networks' energies of the first frames.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ase.io
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SPECIES = (1, 6, 7, 8)
CUTOFF = 5.0
BATCH = 8
COMPARED = 8  # frames
ENVIRONMENT = {f"{of}_NUM_THREADS": "1" for of in ("OMP", "MKL", "OPENBLAS")} | {
    # e3nn 0.4 reads a table of its own with torch.load, which torch 2.6 and later refuse otherwise.
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
}
# torch's own best: see time_peers.py. eqnn does the same itself.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_ARENA_MAX": "1",
}


# ---- in mace-torch's environment ----


def make(folder: Path) -> dict[str, Any]:
    """Write a network with random weights."""
    import e3nn
    import torch
    from mace import modules

    torch.manual_seed(7)
    torch.set_default_dtype(torch.float32)
    blocks = modules.interaction_classes
    model = modules.ScaleShiftMACE(
        interaction_cls_first=blocks["RealAgnosticInteractionBlock"],
        interaction_cls=blocks["RealAgnosticResidualInteractionBlock"],
        r_max=CUTOFF,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=2,
        num_interactions=2,
        num_elements=len(SPECIES),
        hidden_irreps=e3nn.o3.Irreps("32x0e+32x1o+32x2e"),
        MLP_irreps=e3nn.o3.Irreps("16x0e"),
        atomic_energies=np.zeros(len(SPECIES)),
        avg_num_neighbors=14.0,
        atomic_numbers=list(SPECIES),
        correlation=3,
        gate=torch.nn.functional.silu,
        radial_MLP=[64, 64, 64],
        use_reduced_cg=False,
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
    )
    torch.save(model, folder / "mace.model")
    return {}


def time_mace(folder: Path) -> dict[str, Any]:
    """Time an epoch of mace-torch: a pass to warm up, then the best of two."""
    import torch
    from mace import data, modules, tools
    from mace.tools import torch_geometric
    from mace.tools.train import take_step
    from torch_ema import ExponentialMovingAverage

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    model = torch.load(folder / "mace.model", weights_only=False)
    table = tools.AtomicNumberTable(list(SPECIES))
    keys = data.KeySpecification(
        info_keys={"energy": "REF_energy"}, arrays_keys={"forces": "REF_forces"}
    )
    frames = [
        data.AtomicData.from_config(one, z_table=table, cutoff=CUTOFF)
        for one in data.config_from_atoms_list(
            ase.io.read(folder / "frames.xyz", ":"), key_specification=keys
        )
    ]
    first = torch_geometric.dataloader.DataLoader(frames[:COMPARED], COMPARED, shuffle=False)
    energies = model(next(iter(first)).to_dict(), compute_force=False)["energy"]
    batches = torch_geometric.dataloader.DataLoader(
        frames, batch_size=BATCH, shuffle=True, drop_last=False
    )
    loss = modules.WeightedEnergyForcesLoss(energy_weight=1.0, forces_weight=10.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, amsgrad=True)
    average = ExponentialMovingAverage(model.parameters(), decay=0.99)
    wanted = {"forces": True, "virials": False, "stress": False}
    times = []
    for _ in range(3):
        start = time.process_time()
        for batch in batches:
            take_step(model, loss, batch, optimizer, average, wanted, 10.0, torch.device("cpu"))
        times.append(time.process_time() - start)
    return {"energies": energies.tolist(), "seconds": min(times[1:])}


# ---- in eqnn's ----


def time_eqnn(folder: Path) -> dict[str, Any]:
    """Time an epoch of `eqnn train`, likewise."""
    from eqnn.train.memory import keep_freed_memory

    keep_freed_memory()
    import jax

    from eqnn.train.config import config_of
    from eqnn.train.fit import Trainer
    from eqnn.train.network import Batch
    from eqnn.train.packing import pack, shape_for

    said = {
        "model": str(folder / "mace.eqnn"),
        "output": str(folder / "out"),
        "data": {
            "train": [str(folder / "frames.xyz")],
            "energy_key": "REF_energy",
            "forces_key": "REF_forces",
        },
        "energies": {"reference": "keep"},
        "loss": {"kind": "squares", "energy": 1.0, "forces": 10.0},
        "optimizer": {"learning_rate": 1e-3, "clip": 10, "ema": 0.99},
        "epochs": 3,
        "batch_size": BATCH,
    }
    trainer = Trainer(config_of(said, "the configuration"), lambda _: None)
    trainer.prepare(with_files=False)
    firsts = trainer.train._examples[:COMPARED]
    packed = pack(firsts, shape_for(firsts), "float32", CUTOFF)
    network = trainer.network
    energies = network.energies(network.weights, Batch(*packed[: len(Batch._fields)]))
    step, _ = trainer._compiled()
    _, state = trainer._begin()
    times = []
    for epoch in range(3):
        start = time.process_time()
        for batch in trainer.train.packed(trainer.train.order(trainer._seed(epoch))):
            state, lost = step(trainer._own(state), batch, trainer._factors(0))
            float(lost)
        times.append(time.process_time() - start)
    jax.block_until_ready(state)
    return {
        "energies": np.asarray(energies)[:-1].tolist(),
        "seconds": min(times[1:]),
        "padding": trainer.train.padding(),
        "edges": int(trainer.train._edges.sum()),
    }


TASKS = {"make": make, "mace": time_mace, "eqnn": time_eqnn}


def run(python: str, task: str, folder: Path, **more: str) -> dict[str, Any]:
    """Run a task of this file in another process, on the first core that this one may use."""
    core = min(os.sched_getaffinity(0))
    done = subprocess.run(
        [python, __file__, "--task", task, str(folder)],
        env={**os.environ, **ENVIRONMENT, **more},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    out: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return out


def main() -> None:
    """Time both in turn, and print a line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--mace", required=True, metavar="PYTHON")
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "qcr-small" / "train.xyz.gz")
    parser.add_argument(
        "--frames", type=int, default=128, help="every n-th, so that so many are used"
    )
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    read = ase.io.read(options.data, ":")
    frames = read[:: max(1, len(read) // options.frames)][: options.frames]
    for atoms in frames:
        results = atoms.calc.results if atoms.calc is not None else {}
        atoms.calc = None
        atoms.info = {"REF_energy": float(results.get("energy", 0.0))}
        atoms.arrays["REF_forces"] = np.asarray(results.get("forces", np.zeros((len(atoms), 3))))
    from eqnn.cli import main as eqnn

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ase.io.write(folder / "frames.xyz", frames, format="extxyz")
        run(options.mace, "make", folder)
        words = ["--checkpoint", str(folder / "mace.model"), "--output", str(folder / "mace.eqnn")]
        if eqnn(["export", "mace", *words]):
            sys.exit("time_training: the network was not exported")
        best: dict[str, dict[str, Any]] = {}
        for _ in range(options.rounds):
            for task, python, more in (
                ("eqnn", sys.executable, {}),
                ("mace", options.mace, KEEP_MEMORY),
            ):
                one = run(python, task, folder, **more)
                best[task] = min(best.get(task, one), one, key=lambda r: float(r["seconds"]))
        ours, theirs = best["eqnn"], best["mace"]
        off = np.abs(np.subtract(ours["energies"], theirs["energies"])).max()
        atoms = sum(map(len, frames))
        print(
            f"{len(frames)} frames, {atoms} atoms, {ours['edges']} edges: "
            f"eqnn {ours['seconds']:.2f} s an epoch ({1e3 * ours['seconds'] / atoms:.2f} ms/atom, "
            f"{100 * ours['padding']:.0f} % padding), mace-torch {theirs['seconds']:.2f} s "
            f"({1e3 * theirs['seconds'] / atoms:.2f}): {theirs['seconds'] / ours['seconds']:.1f} "
            f"times as fast; energies differ by {off:.1e} eV at most"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--task"]:
        print(json.dumps(TASKS[sys.argv[2]](Path(sys.argv[3]))))
    else:
        main()
