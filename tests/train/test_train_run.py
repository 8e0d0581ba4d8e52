# SPDX-License-Identifier: BSD-3-Clause
"""`eqnn train` on small sets: killed and gone on, what it writes, what it refuses."""

from __future__ import annotations

import csv
import math
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from eqnn_models import ROOT, max_error, refusal
from train_models import random_cluster
from training_runs import prepare

from eqnn.cli import main
from eqnn.errors import EqnnError
from eqnn.evaluation.frame import Frame
from eqnn.library import Potential
from eqnn.model_file import Model, read_model, write_model
from eqnn.train.config import read_config
from eqnn.train.data import Batches, examples_of, fitted_reference, with_energies
from eqnn.train.fit import CHECKPOINT, Trainer, require_agreement
from eqnn.train.network import trained_names
from eqnn.train.packing import Example, Shape, shape_for


def command(config: Path, cache: Path) -> subprocess.Popen[bytes]:
    """Start a training of its own, which compiles what none before it has."""
    words = [sys.executable, "-m", "eqnn.cli", "train", str(config)]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "python"),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finished(job: subprocess.Popen[bytes]) -> None:
    _, said = job.communicate(timeout=900)
    assert job.returncode == 0, said.decode()


def test_a_killed_training_gives_what_one_that_was_not_killed_gives(tmp_path: Path) -> None:
    straight = prepare(tmp_path / "straight", epochs=6)
    finished(command(straight, tmp_path / "cache"))
    killed = prepare(tmp_path / "killed", epochs=6, checkpoint_seconds=0.0)
    checkpoint = tmp_path / "killed" / "out" / CHECKPOINT
    stopped_at = []
    for _ in range(3):
        job = command(killed, tmp_path / "cache")
        before = checkpoint.read_bytes() if checkpoint.exists() else b""
        # In the middle of an epoch or of a write: some checkpoints after the one it began from.
        changed = 0
        while changed < 4 and job.poll() is None:
            now = checkpoint.read_bytes() if checkpoint.exists() else b""
            changed, before = changed + (now != before), now
            time.sleep(0.001)
        if job.poll() is None:
            os.kill(job.pid, signal.SIGKILL)
        job.communicate()
        stopped_at.append(job.returncode)
    assert -signal.SIGKILL in stopped_at
    finished(command(killed, tmp_path / "cache"))
    for name in ("model.eqnn", "metrics.csv", "curve.png"):
        one, other = (tmp_path / run / "out" / name for run in ("straight", "killed"))
        assert one.read_bytes() == other.read_bytes(), name
    left = {path.name for path in (tmp_path / "killed" / "out").iterdir()}
    assert left == {
        *("model.eqnn", "metrics.csv", "curve.png", CHECKPOINT, ".lock"),
        *("neighbors_train.npz", "neighbors_validation.npz"),
    } | {name for name in left if name.endswith(".partial")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    told = {"data": "clusters", "level_of_theory": "a network", "licence": "CC0-1.0"}
    stages = {"start": 0.5, "energy": 10.0, "forces": 1.0, "stress": 1.0}
    assert main(["train", str(prepare(folder, provenance=told, second_stage=stages))]) == 0
    return folder


def test_what_is_learned_is_less_wrong(trained: Path) -> None:
    with (trained / "out" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 13))
    assert [int(row["stage"]) for row in rows] == [1] * 6 + [2] * 6
    for key in ("forces_mae", "stress_mae", "energy_mae"):
        found = [float(row[f"validation_{key}"]) for row in rows]
        assert min(found) < 0.7 * found[0]
    assert (trained / "out" / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_result_is_a_valid_model_with_its_history(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trained / "out" / "model.eqnn"
    model, start = read_model(path), read_model(trained / "start.eqnn")
    assert main(["validate", str(path)]) == 0
    assert main(["info", str(path)]) == 0
    with Potential(path, "double") as potential:
        energy, force, virial, n = potential.self_test()
    assert n == 4 and max(energy, force, virial) <= 1e-10
    said = model.document["provenance"]
    assert (said["data"], said["licence"]) == ("clusters", "CC0-1.0")
    assert said["exporter"].startswith("eqnn train ")
    told = said["training"]
    assert told["from"]["sha256"] == start.sha256
    assert told["configuration"]["model"] == "start.eqnn"
    assert set(told["data"]) == {"train.xyz", "watch.xyz"}
    assert told["errors"]["validation_forces_mae"] > 0
    # Only what is trained has changed.
    changed = {k for k, v in model.tensors.items() if not np.array_equal(v, start.tensors[k])}
    assert changed == set(trained_names(start.document))
    capsys.readouterr()


def test_the_errors_that_it_tells_are_those_of_the_engine(trained: Path) -> None:
    told = read_model(trained / "out" / "model.eqnn").document["provenance"]["training"]["errors"]
    energies: list[float] = []
    forces: list[Any] = []
    with Potential(trained / "out" / "model.eqnn", "double") as potential:
        for atoms in ase.io.read(trained / "watch.xyz", index=":"):
            cell = atoms.cell.array if atoms.pbc.all() else None
            found = potential.evaluate(atoms.numbers, atoms.positions, cell)
            energies.append(abs(found.energy - atoms.get_potential_energy()) / len(atoms))
            forces += np.abs(found.forces - atoms.get_forces()).ravel().tolist()
    # Extended XYZ keeps eight digits.
    assert abs(1e3 * np.mean(energies) - told["validation_energy_mae"]) <= 1e-3
    assert abs(1e3 * np.mean(forces) - told["validation_forces_mae"]) <= 1e-3


def test_single_precision_and_huber_work_too(tmp_path: Path) -> None:
    loss = {"kind": "huber", "delta": 0.05}
    config = prepare(tmp_path, precision="float32", epochs=2, loss=loss)
    assert main(["train", str(config)]) == 0
    model = read_model(tmp_path / "out" / "model.eqnn")
    assert model.tensors[trained_names(model.document)[0]].dtype == np.float32
    assert require_agreement(model) <= 1e-10


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = prepare(tmp_path)
    assert main(["train", str(config), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "132 weights in 11 tensors are trained" in said
    assert "frames: 18 train, 4 watch" in said and "steps: 72 in 12 epochs" in said
    assert not (tmp_path / "out").exists()


def test_another_training_does_not_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    main(["train", str(prepare(tmp_path, epochs=1))])
    other = read_config(prepare(tmp_path, epochs=1, seed=2))
    text = refusal(Trainer(other).run)
    file = tmp_path / "out" / CHECKPOINT
    assert text.startswith(f"{file}: belongs to another configuration, model or data.")
    (tmp_path / "out" / CHECKPOINT).write_bytes(b"half a file")
    text = refusal(Trainer(other).run)
    assert "is not a checkpoint from which training can continue" in text and "Remove it" in text


def test_one_folder_has_one_training(tmp_path: Path) -> None:
    trainer = Trainer(read_config(prepare(tmp_path, epochs=1)))
    (tmp_path / "out").mkdir()
    with trainer._alone():
        text = refusal(trainer.run)
    assert text.startswith(f"output {tmp_path / 'out'}: another process trains there.")


def add_frame(folder: Path, atoms: Atoms, **results: Any) -> None:
    atoms.calc = SinglePointCalculator(atoms, **results)
    ase.io.write(folder / "train.xyz", atoms, append=True)


def test_bad_frames_are_named_or_left_out_on_request(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    add_frame(tmp_path, Atoms("NH", [[0, 0, 0], [1, 0, 0]]), energy=1.0)
    text = refusal(lambda: Trainer(read_config(config)))
    assert text == (
        "train#18: has element 7, which the model does not have; 1 of 19 frames cannot be used.\n"
        "Fix or remove them, or leave them out with `skip_bad_frames: true` under data."
    )
    add_frame(tmp_path, Atoms("CH", [[0, 0, 0], [1, 0, 0]]), forces=np.ones((2, 3)))
    text = refusal(lambda: Trainer(read_config(config)))
    assert text.startswith("train#19: no energy: no energy; 2 of 20 frames cannot be used.")
    config = prepare(tmp_path, data={"skip_bad_frames": True})
    add_frame(tmp_path, Atoms("NH", [[0, 0, 0], [1, 0, 0]]), energy=1.0)
    lines: list[str] = []
    trainer = Trainer(read_config(config), lines.append)
    assert len(trainer.frames.train) == 18
    assert lines == ["left out: train#18: has element 7, which the model does not have"]


def test_frames_that_are_fitted_cannot_watch(tmp_path: Path) -> None:
    config = prepare(tmp_path, data={"validation": ["train.xyz"]})
    text = refusal(lambda: Trainer(read_config(config)))
    assert text.startswith(
        "train#0: is in the training set too, as 18 of 18 validation frames are."
    )


def test_a_part_of_the_frames_can_watch(tmp_path: Path) -> None:
    config = prepare(tmp_path, data={"validation": [], "validation_fraction": 0.2})
    frames = Trainer(read_config(config)).frames
    assert (len(frames.train), len(frames.validation)) == (14, 4)
    assert not {f.key for f in frames.train} & {f.key for f in frames.validation}
    again = Trainer(read_config(config)).frames
    assert [f.key for f in again.validation] == [f.key for f in frames.validation]


def test_energies_beside_the_network_are_fitted_given_or_kept(tmp_path: Path) -> None:
    config = prepare(tmp_path, energies={"reference": "fit", "scale": "fit", "shift": "fit"})
    trainer = Trainer(read_config(config))
    said = trainer.model.document["energy"]
    counts = np.array(
        [[(f.atoms.numbers == z).sum() for z in (1, 6, 8)] for f in trainer.frames.train]
    )
    energies = np.array([f.energy for f in trainer.frames.train])
    left = energies - counts @ said["reference"]
    assert np.abs(counts.T @ left).max() <= 1e-8
    squares = np.concatenate([f.forces.ravel() ** 2 for f in trainer.frames.train])  # type: ignore[union-attr]
    assert abs(said["scale"] - np.sqrt(squares.mean())) <= 1e-12
    assert abs(said["shift"] - (left / counts.sum(1)).mean()) <= 1e-12
    given = {"reference": {"H": -1.5, "C": -2.5, "O": -3.5}, "scale": 2.0, "shift": 0.25}
    said = Trainer(read_config(prepare(tmp_path, energies=given))).model.document["energy"]
    assert (said["reference"], said["scale"], said["shift"]) == ([-1.5, -2.5, -3.5], 2.0, 0.25)
    config = prepare(tmp_path, energies={"reference": {"H": 1.0}})
    assert refusal(lambda: Trainer(read_config(config))) == (
        "energies/reference lacks C, O, expected each of H, C, O, the elements of the result. "
        "Correct it, or see species."
    )


def test_texts_about_many_elements_stay_short(tmp_path: Path) -> None:
    config = read_config(prepare(tmp_path, species="keep", energies={"reference": "refit"}))
    small = read_model(tmp_path / "start.eqnn")
    model = Model({**small.document, "species": list(range(1, 90))}, small.tensors, "m")
    hydrogen = Frame("train", 0, "h", "", Atoms("H"), 1.0, None, None, "")
    said = refusal(lambda: with_energies(model, config, [hydrogen]))
    first = "Li, Be, B, C, N, O, F, Ne, Na, Mg"
    assert said == (
        f"energies/reference is refit, but no training frame has He, {first}, Al and 76 more. "
        "Set species to data, or give the energies in eV."
    )
    reference: dict[str, float] = {"H": 1.0, "Xx": 2.0}
    given = replace(config, energies=replace(config.energies, reference=reference))
    said = refusal(lambda: with_energies(model, given, [hydrogen]))
    assert said == (
        f"energies/reference lacks He, {first}, Al and 76 more and has Xx, expected each of H, He, "
        f"{first} and 77 more, the elements of the result. Correct it, or see species."
    )


def without_oxygen(folder: Path, *files: str) -> None:
    """Make hydrogen of the oxygen in frames; the model knows both."""
    for name in files:
        frames = ase.io.read(folder / name, ":")
        assert isinstance(frames, list)
        for frame in frames:
            frame.numbers[frame.numbers == 8] = 1
        ase.io.write(folder / name, frames)


def test_elements_without_frames_are_left_out(tmp_path: Path) -> None:
    """Their weights would be worth nothing; what is left gives what it gave before."""
    config = prepare(tmp_path, epochs=1)
    without_oxygen(tmp_path, "train.xyz", "watch.xyz")
    trainer = Trainer(read_config(config), lambda _: None)
    trainer.prepare(with_files=False)
    assert "elements: H, C; 1 of the model are in no training frame and left out" in (
        trainer.describe()
    )
    path = trainer.run()
    model = read_model(path)
    assert model.document["species"] == [1, 6]
    assert {z for test in model.document["self_test"] for z in test["numbers"]} == {1, 6}
    atoms = random_cluster([1, 6], 5, seed=7)
    with (
        Potential(tmp_path / "start.eqnn", "double") as start,
        Potential(path, "double") as potential,
    ):
        before = start.evaluate(atoms.numbers, atoms.positions)
        after = potential.evaluate(atoms.numbers, atoms.positions)
        assert 0 < np.abs(before.forces - after.forces).max() < np.abs(before.forces).max()
        with pytest.raises(
            EqnnError, match="atom 0 is O, which the model does not know, expected one of H, C"
        ):
            potential.evaluate([8, 1], [[0, 0, 0], [0, 0, 1]])


def test_all_elements_stay_if_that_is_wanted(tmp_path: Path) -> None:
    config = prepare(tmp_path, species="keep")
    without_oxygen(tmp_path, "train.xyz", "watch.xyz")
    trainer = Trainer(read_config(config), lambda _: None)
    assert trainer.model.document["species"] == [1, 6, 8]


@pytest.mark.parametrize("way", ["fit", "refit"])
def test_energies_of_elements_without_frames_are_not_fitted(tmp_path: Path, way: str) -> None:
    config = prepare(tmp_path, species="keep", energies={"reference": way})
    without_oxygen(tmp_path, "train.xyz", "watch.xyz")
    assert refusal(lambda: Trainer(read_config(config), lambda _: None)) == (
        f"energies/reference is {way}, but no training frame has O. "
        "Set species to data, or give the energies in eV."
    )


def test_a_validation_frame_with_an_element_of_no_training_frame_is_refused(
    tmp_path: Path,
) -> None:
    config = prepare(tmp_path)
    without_oxygen(tmp_path, "train.xyz")
    said = refusal(lambda: Trainer(read_config(config), lambda _: None))
    assert said == (
        "watch#0: has O, which no training frame has. Add such frames, or remove this one."
    )


def test_reference_energies_are_fitted_to_what_a_trained_network_leaves(tmp_path: Path) -> None:
    """A network that is right but for these energies needs no training after that."""
    config = prepare(tmp_path, model="truth.eqnn", energies={"reference": "refit"})
    truth = read_model(tmp_path / "truth.eqnn")
    said = {**truth.document["energy"], "reference": [5.0, -7.0, 0.5]}
    write_model(tmp_path / "truth.eqnn", {**truth.document, "energy": said}, truth.tensors)
    found = Trainer(read_config(config)).model.document["energy"]["reference"]
    # Extended XYZ keeps eight digits.
    assert max_error(found, truth.document["energy"]["reference"]) <= 1e-6


def test_reference_energies_of_one_composition_are_the_smallest() -> None:
    found = fitted_reference(np.array([[2, 1], [4, 2]]), np.array([-10.0, -20.0]))
    assert max_error(found, [-4.0, -2.0]) <= 1e-12


def examples(sizes: list[int]) -> list[Example]:
    out = []
    for n in sizes:
        i, j = np.nonzero(~np.eye(n, dtype=bool))
        index = (i.astype(np.int32), j.astype(np.int32))
        vector = np.ones((n * (n - 1), 3))
        out.append(Example(f"{n}", np.zeros(n, np.int32), *index, vector, energy=float(n)))
    return out


def test_batches_have_few_shapes_and_lose_no_frame() -> None:
    sizes = [int(n) for n in np.random.default_rng(3).integers(2, 12, 53)]
    seeds = [[5, epoch] for epoch in (1, 2)]
    batches = Batches(examples(sizes), 4, 3, "float64", 3.0, seeds)
    assert len(batches.shapes) == 3
    orders = [batches.order(seed) for seed in (*seeds, seeds[0])]
    assert orders[0] == orders[2] != orders[1]
    for order in orders:
        assert sorted(k for _, members in order for k in members) == list(range(53))
        assert len(order) == len(batches)
    seen = []
    for packed in batches.packed(orders[0]):
        assert (len(packed.species), len(packed.center), len(packed.energy)) in set(batches.shapes)
        seen += packed.energy[packed.structure_mask].astype(int).tolist()
        # The last atom and structure are padding, and so is every edge of theirs.
        assert not packed.atom_mask[-1] and not packed.structure_mask[-1]
        assert (packed.center[~packed.edge_mask] == len(packed.species) - 1).all()
        assert (np.diff(packed.center) >= 0).all()
    assert sorted(seen) == sorted(sizes)


def test_batches_of_very_different_frames_are_hardly_padded() -> None:
    rng = np.random.default_rng(4)
    sizes = [int(n) for n in np.exp(rng.uniform(math.log(2), math.log(25), 800))]
    seeds = [[1, epoch] for epoch in range(30)]
    batches = Batches(examples(sizes), 8, 1, "float64", 3.0, seeds)
    assert len(batches.shapes) == 1
    assert 0 <= batches.padding() < 0.05
    together = set()
    for seed in [None, *seeds]:
        for _ in batches.packed(order := batches.order(seed)):  # raises where there is no room
            pass
        assert all(len(members) == 8 for _, members in order)
        together |= {frozenset(members) for _, members in order}
    # Orders differ in what is in a batch, not only in which batch comes first.
    assert len(together) > 25 * len(batches)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_few_frames_make_batches(n: int) -> None:
    batches = Batches(examples([3, 40, 2, 5, 1][:n]), 2, 4, "float64", 3.0, [[1, 1]])
    for seed in (None, [1, 1]):
        order = batches.order(seed)
        assert len(order) == len(batches) == len(list(batches.packed(order)))
        assert sorted(k for _, members in order for k in members) == list(range(n))


BLOCKS = """
import ctypes, resource, sys, threading
from eqnn.train.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
libc, size = ctypes.CDLL(None), 40 * 2**20
libc.aligned_alloc.restype = ctypes.c_void_p
def step():
    block = libc.aligned_alloc(ctypes.c_size_t(64), ctypes.c_size_t(size))
    ctypes.memset(block, 1, size)
    libc.free(ctypes.c_void_p(block))
def steps():
    for _ in range(10):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=steps)
thread.start()
thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_large_blocks_are_kept_between_steps() -> None:
    def faults(word: str) -> int:
        words = [sys.executable, "-c", BLOCKS, word]
        # Whoever runs the tests may have set the allocator already.
        plain = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
        done = subprocess.run(words, capture_output=True, text=True, check=True, env=plain)
        return int(done.stdout)

    # A block has 10 240 pages; some less where the system has larger pages.
    assert faults("keep") < 200 < faults("leave")


def test_an_error_while_batches_are_packed_is_raised() -> None:
    batches = Batches(examples([3, 3, 3]), 2, 1, "float64", 3.0)
    batches.shapes = [Shape(2, 1, 1)]
    with pytest.raises((ValueError, IndexError)):
        list(batches.packed(batches.order(None)))


def test_neighbors_are_kept_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(read_config(prepare(tmp_path)))
    cache = tmp_path / "neighbors.npz"
    frames, model = trainer.frames.train, trainer.model
    first = examples_of(frames, model, cache, print)

    def broken(*_: Any, **__: Any) -> Any:
        raise AssertionError("neighbors are searched again")

    with monkeypatch.context() as patched:
        patched.setattr("eqnn.train.data.example_of", broken)
        second = examples_of(frames, model, cache, print)
        with pytest.raises(AssertionError, match="searched again"):
            examples_of(frames[1:], model, cache, print)
    for a, b in zip(first, second, strict=True):
        for name in ("species", "center", "source", "vector", "forces"):
            assert np.array_equal(getattr(a, name), getattr(b, name))
        assert (a.name, a.energy, a.volume) == (b.name, b.energy, b.volume)
    cache.write_bytes(b"broken")
    assert len(examples_of(frames, model, cache, print)) == len(first)
    assert shape_for(first) == shape_for(second)


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    optimizer = {"learning_rate": 1e30, "clip": 0.0, "warm_up": 0.0}
    text = refusal(Trainer(read_config(prepare(tmp_path, optimizer=optimizer))).run)
    assert text.startswith("the loss is ") and "Lower learning_rate" in text


def test_an_engine_that_differs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model = read_model(ROOT / "tests" / "golden" / "tdn" / "model_l1_h16_b1.eqnn")
    assert require_agreement(model) <= 1e-10
    tests = [dict(model.document["self_test"][0])]
    tests[0]["energy"] += 1e-6
    changed = Model({**model.document, "self_test": tests}, model.tensors, "changed")
    text = refusal(lambda: require_agreement(changed))
    assert text.startswith("changed: the engine's energies or forces differ from those in JAX by ")


def test_stresses_of_direct_forces_are_refused(tmp_path: Path) -> None:
    from eqnn_models import tiny_model

    config = prepare(tmp_path)
    direct = tiny_model(forces="direct")
    write_model(tmp_path / "start.eqnn", direct.document, direct.tensors)
    text = refusal(lambda: Trainer(read_config(config)))
    assert "has direct forces, so there is no stress." in text


def test_without_jax_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = prepare(tmp_path)
    monkeypatch.delattr("eqnn.train.fit")
    monkeypatch.delitem(sys.modules, "eqnn.train.fit")
    monkeypatch.setitem(sys.modules, "optax", None)
    assert main(["train", str(config)]) == 1
    assert "training needs optax, which is not installed here." in capsys.readouterr().err
