# SPDX-License-Identifier: BSD-3-Clause
"""The training loop: losses, optimizer, moving average, and epochs that can be resumed."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ase.data import chemical_symbols

import eqnn
from eqnn.errors import EqnnError
from eqnn.model_file import Model, read_model, write_model
from eqnn.report import drawing
from eqnn.self_test import add_self_test
from eqnn.status_line import StatusLine, duration
from eqnn.train.checkpoint import Progress, put_whole, read_checkpoint, write_checkpoint
from eqnn.train.config import Config, Loss
from eqnn.train.curve import curve
from eqnn.train.data import Batches, examples_of, read_sets, started
from eqnn.train.network import Batch, Network
from eqnn.train.packing import Arrays, Example, pack, shape_for
from eqnn.train.turned import evaluate_turned, random_rotations

CHECKPOINT, METRICS, CURVE, RESULT = (
    "checkpoint.safetensors",
    "metrics.csv",
    "curve.png",
    "model.eqnn",
)
# Tolerance between the engine and JAX for energies and forces, relative to the largest.
AGREEMENT = 1e-10
Say = Callable[[str], None]


class State(NamedTuple):
    """All that a step changes."""

    weights: dict[str, Any]
    optimizer: Any
    average: dict[str, Any]
    n_steps: Any
    best: dict[str, Any]


class Sums(NamedTuple):
    """Sums over structures, from which means are computed; missing labels count 0."""

    energies: Any
    energy_abs: Any
    energy_square: Any
    components: Any
    force_abs: Any
    force_square: Any
    stresses: Any
    stress_abs: Any
    stress_square: Any
    energy_loss: Any
    force_loss: Any
    stress_loss: Any


class Deviations(NamedTuple):
    """Sums of a batch: deviations from its labels and, if requested, from its rotated copy."""

    labels: Sums
    turned: Sums | None


def deviations(
    network: Network, weights: Any, batch: Arrays, loss: Loss, key: Any = None
) -> Deviations:
    """Add up deviations of a batch: eV an atom, eV/Angstrom, eV/Angstrom^3.

    `key` is for the random rotations, if their effect is penalized.
    """
    structures = Batch(*batch[: len(Batch._fields)])
    found = network.evaluate(weights, structures)
    has_forces = jnp.take(batch.has_forces, batch.structure) & batch.atom_mask
    stress = -found.virial / batch.volume[:, None, None] - batch.stress
    labels = _sums(
        batch,
        loss,
        (found.energy - batch.energy, batch.structure_mask),
        (found.forces - batch.forces, has_forces),
        (stress, batch.has_stress),
    )
    if key is None:
        return Deviations(labels, None)
    n = len(batch.structure_mask)
    rotations = random_rotations(key, n, network.dtype)
    turned = evaluate_turned(network, weights, structures, rotations)
    return Deviations(
        labels,
        _sums(
            batch,
            loss,
            (turned.energy - found.energy, batch.structure_mask),
            (turned.forces - found.forces, batch.atom_mask),
            (jnp.zeros_like(stress), jnp.zeros(n, bool)),
        ),
    )


def _sums(
    batch: Arrays,
    loss: Loss,
    energies: tuple[Any, Any],
    forces: tuple[Any, Any],
    stresses: tuple[Any, Any],
) -> Sums:
    """Add up differences of energies, forces and stresses, each with a mask of those that count."""

    def of(difference: Any, counts: Any) -> tuple[Any, Any, Any, Any]:
        d = jnp.where(counts, difference, 0)
        lost = optax.losses.huber_loss(d, delta=loss.delta) if loss.kind == "huber" else d * d
        n = jnp.broadcast_to(counts, d.shape).sum()
        return n.astype(d.dtype), jnp.abs(d).sum(), (d * d).sum(), lost.sum()

    n_e, e_abs, e_square, e_loss = of(energies[0] / batch.n_atoms, energies[1])
    n_f, f_abs, f_square, f_loss = of(forces[0], forces[1][:, None])
    n_s, s_abs, s_square, s_loss = of(stresses[0], stresses[1][:, None, None])
    return Sums(
        *(n_e, e_abs, e_square),
        *(n_f, f_abs, f_square),
        *(n_s, s_abs, s_square),
        *(e_loss, f_loss, s_loss),
    )


def _copy(x: Any) -> Any:
    return jnp.array(x, copy=True)


def total_loss(sums: Sums, factors: Any) -> Any:
    """Weighted sum of the means of energies', forces' and stresses' losses."""

    def mean(lost: Any, n: Any) -> Any:
        return lost / jnp.maximum(n, 1)

    return (
        factors[0] * mean(sums.energy_loss, sums.energies)
        + factors[1] * mean(sums.force_loss, sums.components)
        + factors[2] * mean(sums.stress_loss, sums.stresses)
    )


def optimizer_of(config: Config, n_steps: int) -> optax.GradientTransformation:
    """AdamW with a warm-up, then a cosine, after clipping."""
    said = config.optimizer
    warm_up = round(said.warm_up * n_steps)
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=said.learning_rate / max(warm_up, 1),
        peak_value=said.learning_rate,
        warmup_steps=warm_up,
        decay_steps=max(n_steps, warm_up + 1),
        end_value=said.last_learning_rate,
    )
    adam = optax.adamw(
        schedule,
        weight_decay=said.weight_decay,
        mask=lambda weights: jax.tree.map(lambda w: w.ndim > 1, weights),
    )
    return optax.chain(optax.clip_by_global_norm(said.clip), adam) if said.clip else adam


class Trainer:
    """A training in a folder.

    Parameters
    ----------
    config : Config
    say : callable
        Told a line now and then.
    """

    def __init__(self, config: Config, say: Say = print) -> None:
        self.config, self._say = config, say
        if config.precision == "float64":
            jax.config.update("jax_enable_x64", True)
        self.folder = Path(config.output)
        start = read_model(config.model)
        if start.document["forces"] == "direct" and (
            config.loss.stress or config.second_stage.stress
        ):
            raise EqnnError(
                f"{config.model}: has direct forces, so there is no stress. Set the weights "
                "of stresses to 0."
            )
        self.frames = read_sets(config, start.document["species"], say)
        self.model = started(start, config, self.frames)
        self.network = Network(self.model, config.precision)
        self._start_sha, self._start_species = start.sha256, start.document["species"]
        key = [config.key(), start.sha256, eqnn.__version__, *sorted(self.frames.hashes.values())]
        self.key = hashlib.sha256("\n".join(key).encode()).hexdigest()

    def prepare(self, *, with_files: bool = True) -> None:
        """Find neighbors and make batches."""
        config, cutoff = self.config, self.model.document["cutoff"]

        def found(role: str) -> list[Example]:
            cache = self.folder / f"neighbors_{role}.npz" if with_files else None
            return examples_of(getattr(self.frames, role), self.model, cache, self._say)

        def batches(examples: list[Example], seeds: Iterable[Sequence[int]] = ()) -> Batches:
            size, shapes = config.batch_size, config.shapes
            return Batches(examples, size, shapes, config.precision, cutoff, seeds)

        self.train = batches(found("train"), map(self._seed, range(config.epochs)))
        self.validation = batches(found("validation"))
        self.n_steps = config.epochs * len(self.train)
        self._optimizer = optimizer_of(config, self.n_steps)

    def _seed(self, epoch: int) -> list[int]:
        return [self.config.seed, 1 + epoch]

    def describe(self) -> str:
        """Describe the model and the data."""
        n = sum(w.size for w in self.network.weights.values())
        said = self.model.document["energy"]
        scale = said["scale"] if isinstance(said["scale"], list) else [said["scale"]]
        left_out = len(self._start_species) - len(self.model.document["species"])
        lines = [
            f"elements: {', '.join(chemical_symbols[z] for z in self.model.document['species'])}"
            + (f"; {left_out} of the model are in no training frame and left out" * bool(left_out)),
            f"{self.config.model}: {n} weights in {len(self.network.weights)} tensors are trained, "
            f"{self.model.n_parameters - n} numbers are constants; {self.config.precision}",
            f"frames: {len(self.frames.train)} train, {len(self.frames.validation)} watch",
            f"batches: {len(self.train)} of {self.config.batch_size} structures in "
            f"{len(self.train.shapes)} shapes; {100 * self.train.padding():.0f} % of edges are "
            "padding",
            *(
                f"  {s.atoms} atoms, {s.edges} edges, {s.structures} structures"
                for s in self.train.shapes
            ),
            f"energies: reference {', '.join(f'{x:.6g}' for x in said['reference'])} eV; scale "
            f"{', '.join(f'{x:.6g}' for x in scale)}; shift {said['shift']:.6g} eV",
            f"steps: {self.n_steps} in {self.config.epochs} epochs",
        ]
        return "\n".join(lines)

    def run(self) -> Path:
        """Train, continuing an earlier run, and return the path of the result."""
        with drawing(1.0, 1.0):  # refused now, not when the curve is drawn
            pass
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EqnnError(
                f"output {self.folder}: cannot be made ({error.strerror}). Name another folder."
            ) from None
        with self._alone():
            self.prepare()
            self._say(self.describe())
            progress, state = self._begin()
            return self._epochs(progress, state)

    def _alone(self) -> IO[bytes]:
        """Lock the folder against other processes while the returned file is open."""
        file = (self.folder / ".lock").open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise EqnnError(
                f"output {self.folder}: another process trains there. Wait for it, or name another "
                "folder."
            ) from None
        return file

    def _begin(self) -> tuple[Progress, State]:
        # Copies: JAX would share NumPy's memory, and a step overwrites what it is given.
        weights = jax.tree.map(_copy, self.network.weights)
        state = State(
            weights, self._optimizer.init(weights), weights, jnp.zeros((), jnp.int32), weights
        )
        path = self.folder / CHECKPOINT
        if path.exists():
            progress, state = read_checkpoint(path, self.key, state)
            self._say(f"continues from epoch {progress.epoch + 1}, step {progress.step}")
            return progress, jax.tree.map(_copy, state)
        return Progress(0, 0, [0.0, 0.0], [], math.inf, -1, -1, 0.0), state

    def _stage(self, epoch: int) -> int:
        return int(epoch >= self.config.second_stage.start * self.config.epochs)

    def _factors(self, stage: int, rows: Sequence[dict[str, Any]] = ()) -> Any:
        """Weights of energies, forces and stresses, and of the change under rotation.

        The last is tuned by the defect: it is multiplied by the ratio of this change of forces to
        their error, if that is below 1, so that it fades with what it is made for.
        """
        said = self.config.second_stage if stage else self.config.loss
        strength = self.config.loss.equivariance
        if rows and "turned_forces_rmse" in rows[-1] and "validation_forces_rmse" in rows[-1]:
            error = max(rows[-1]["validation_forces_rmse"], 1e-12)
            strength *= min(1.0, rows[-1]["turned_forces_rmse"] / error)
        return np.array([said.energy, said.forces, said.stress, strength], self.network.dtype)

    def _compiled(self) -> tuple[Any, Any]:
        said, network, optimizer = self.config.optimizer, self.network, self._optimizer
        loss = self.config.loss
        seed = jax.random.PRNGKey(self.config.seed) if loss.equivariance else None

        def step(state: State, batch: Arrays, factors: Any) -> tuple[State, Any]:
            key = None if seed is None else jax.random.fold_in(seed, state.n_steps)

            def of(weights: Any) -> Any:
                found = deviations(network, weights, batch, loss, key)
                lost = total_loss(found.labels, factors)
                if found.turned is None:
                    return lost
                return lost + factors[3] * total_loss(found.turned, factors)

            value, slope = jax.value_and_grad(of)(state.weights)
            change, inner = optimizer.update(slope, state.optimizer, state.weights)
            weights = optax.apply_updates(state.weights, change)
            n = state.n_steps.astype(value.dtype)
            decay = jnp.minimum(said.ema, (1 + n) / (10 + n))  # early weights are soon forgotten
            average = optax.incremental_update(weights, state.average, 1 - decay)
            return State(weights, inner, average, state.n_steps + 1, state.best), value

        def judge(weights: Any, batch: Arrays) -> Deviations:
            return deviations(network, weights, batch, loss, seed)

        return jax.jit(step, donate_argnums=(0,)), jax.jit(judge)

    def _epochs(self, progress: Progress, state: State) -> Path:
        config, path = self.config, self.folder / CHECKPOINT
        step, judge = self._compiled()
        line, began = StatusLine(), time.monotonic()
        told = saved = began
        before, first = progress.seconds, progress.epoch * len(self.train) + progress.step
        while progress.epoch < config.epochs:
            factors = self._factors(self._stage(progress.epoch), progress.rows)
            order = self.train.order(self._seed(progress.epoch))[progress.step :]
            for batch in self.train.packed(order):
                # A copy, since a step overwrites what it is given.
                state, value = step(self._own(state), batch, factors)
                if not math.isfinite(lost := float(value)):
                    raise EqnnError(
                        f"the loss is {lost} at epoch {progress.epoch + 1}, step "
                        f"{progress.step + 1}. Lower learning_rate or clip, or look\nfor frames "
                        "with huge forces; the last checkpoint stays."
                    )
                progress.step += 1
                progress.sums = [progress.sums[0] + lost, progress.sums[1] + 1]
                now = time.monotonic()
                progress.seconds = before + now - began
                if line.is_due(now - told):
                    told = now
                    line.show(self._told(progress, lost, first, now - began))
                if now - saved >= config.checkpoint_seconds:
                    write_checkpoint(path, self.key, progress, state)
                    saved = time.monotonic()
            state = self._end_of_epoch(progress, state, judge)
            progress.seconds = before + time.monotonic() - began
            write_checkpoint(path, self.key, progress, state)
            saved = time.monotonic()
            self._write_metrics(progress)
        line.end()
        return self._finish(progress, state)

    def _own(self, state: State) -> State:
        """Return a state without shared arrays, since a step may overwrite each."""
        seen: set[int] = set()

        def own(x: Any) -> Any:
            if id(x) in seen:
                return _copy(x)
            seen.add(id(x))
            return x

        return State(*jax.tree.map(own, tuple(state)))

    def _told(self, progress: Progress, lost: float, first: int, seconds: float) -> str:
        done = progress.epoch * len(self.train) + progress.step
        left = (self.n_steps - done) * seconds / max(done - first, 1)
        rows = progress.rows
        watched = f"; {_shown(rows[-1])}" if rows else ""
        return (
            f"epoch {progress.epoch + 1} of {self.config.epochs}, step {progress.step} of "
            f"{len(self.train)}: loss {lost:.4g}{watched}; {duration(left)} left"
        )

    def judged(self, judge: Any, weights: Any, batches: Batches, factors: Any) -> dict[str, float]:
        """Mean deviations of all batches in meV an atom, meV/Angstrom, meV/Angstrom^3; the loss."""
        labels = turned = Sums(*(0.0 for _ in Sums._fields))
        for batch in batches.packed(batches.order(None)):
            one = judge(weights, batch)
            labels = _added(labels, one.labels)
            turned = turned if one.turned is None else _added(turned, one.turned)
        lost = float(total_loss(labels, [float(x) for x in factors]))
        out = {"validation_loss": lost, **_means(labels, "validation")}
        return {**out, **_means(turned, "turned")}

    def _end_of_epoch(self, progress: Progress, state: State, judge: Any) -> State:
        """Evaluate the averaged weights, and keep them if they are the best of this stage."""
        stage = self._stage(progress.epoch)
        row: dict[str, Any] = {
            "epoch": progress.epoch + 1,
            "stage": stage + 1,
            "train_loss": progress.sums[0] / max(progress.sums[1], 1),
        }
        is_better = True
        if self.frames.validation:
            found = self.judged(judge, state.average, self.validation, self._factors(stage))
            row |= found
            lost = found["validation_loss"]
            is_better = stage != progress.best_stage or lost < progress.best_loss
            if is_better:
                progress.best_loss = lost
        if is_better:
            progress.best_epoch, progress.best_stage = progress.epoch + 1, stage
            state = state._replace(best=state.average)
        progress.rows = [*progress.rows, row]
        progress.epoch, progress.step, progress.sums = progress.epoch + 1, 0, [0.0, 0.0]
        return state

    def _write_metrics(self, progress: Progress) -> None:
        names = list(progress.rows[-1])
        lines = [",".join(names)]
        lines += [",".join(repr(row.get(name, "")) for name in names) for row in progress.rows]
        put_whole(self.folder / METRICS, ("\n".join(lines) + "\n").encode())

    def _finish(self, progress: Progress, state: State) -> Path:
        """Write the best weights as a model file, and compare the engine with JAX on it."""
        self._write_metrics(progress)
        put_whole(self.folder / CURVE, curve(progress.rows))
        document = dict(self.model.document)
        config = self.config
        row = progress.rows[progress.best_epoch - 1]
        document["provenance"] = {
            **document["provenance"],
            **dataclasses.asdict(config.provenance),
            "exporter": f"eqnn train {eqnn.__version__}",
            "training": {
                "from": {"sha256": self._start_sha, "provenance": document["provenance"]},
                "configuration": _portable(config),
                "data": self.frames.hashes,
                "frames": [len(self.frames.train), len(self.frames.validation)],
                "epoch": progress.best_epoch,
                "errors": {
                    k: v for k, v in row.items() if k.startswith(("validation_", "turned_"))
                },
                "units": "meV an atom, meV/Angstrom, meV/Angstrom^3",
            },
        }
        tensors = {**self.model.tensors, **{k: np.asarray(w) for k, w in state.best.items()}}
        path = self.folder / RESULT
        model = add_self_test(Model(document, tensors, str(path)))
        require_agreement(model)
        write_model(path, model.document, model.tensors)
        self._say(f"epoch {progress.best_epoch}: {_shown(row)}")
        self._say(f"Wrote {path}. What it can be used for: eqnn check {path}")
        return path


def require_agreement(model: Model) -> float:
    """Compare the engine's results for a model's self-tests with JAX, in double precision.

    Returns
    -------
    float
        The largest difference of an energy or force, over the largest of them.
    """
    from ase import Atoms

    from eqnn.train.packing import example_of

    with jax.enable_x64(True):
        network = Network(model)
        worst = 0.0
        for test in model.document["self_test"]:
            cell = test["cell"]
            atoms = Atoms(test["numbers"], test["positions"], cell=cell, pbc=cell is not None)
            one = example_of(atoms, model.document, energy=test["energy"])
            shape = shape_for([one])
            packed = pack([one], shape, "float64", model.document["cutoff"])
            found = network.evaluate(network.weights, Batch(*packed[: len(Batch._fields)]))
            forces = np.asarray(test["forces"])
            of_forces = np.abs(np.asarray(found.forces)[: len(atoms)] - forces).max()
            size = max(float(np.abs(forces).max()), abs(one.energy), 1e-3)
            of_energy = abs(float(found.energy[0]) - one.energy)
            worst = max(worst, float(of_forces) / size, of_energy / max(abs(test["energy"]), size))
    if not worst <= AGREEMENT:
        raise EqnnError(
            f"{model.name}: the engine's energies or forces differ from those in JAX by "
            f"{worst:.1e} of the largest, expected at most {AGREEMENT:g}.\nThis is a fault "
            "of eqnn: report it with the checkpoint."
        )
    return worst


def _added(sums: Sums, more: Sums) -> Sums:
    return Sums(*(a + float(b) for a, b in zip(sums, more, strict=True)))


def _means(sums: Sums, name: str) -> dict[str, float]:
    """Mean absolute and root mean square deviations, for the labels that exist."""
    out = {}
    for kind, n, absolute, square in (
        ("energy", sums.energies, sums.energy_abs, sums.energy_square),
        ("forces", sums.components, sums.force_abs, sums.force_square),
        ("stress", sums.stresses, sums.stress_abs, sums.stress_square),
    ):
        if n > 0:
            out[f"{name}_{kind}_mae"] = 1e3 * absolute / n
            out[f"{name}_{kind}_rmse"] = 1e3 * math.sqrt(square / n)
    return out


def _portable(config: Config) -> dict[str, Any]:
    """Return a configuration as JSON, without this machine's folders."""
    said: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    del said["output"], said["checkpoint_seconds"]
    said["model"] = Path(said["model"]).name
    for role in ("train", "validation"):
        said["data"][role] = [Path(name).name for name in said["data"][role]]
    return said


def _shown(row: dict[str, Any]) -> str:
    """Format validation errors, or the training loss without validation frames."""
    if "validation_energy_mae" not in row:
        return f"train loss {row['train_loss']:.4g}"
    parts = [f"energy MAE {row['validation_energy_mae']:.3g} meV/atom"]
    if "validation_forces_mae" in row:
        parts.append(f"forces MAE {row['validation_forces_mae']:.3g} meV/A")
    if "validation_stress_mae" in row:
        parts.append(f"stress MAE {row['validation_stress_mae']:.3g} meV/A^3")
    if "turned_forces_rmse" in row:
        parts.append(f"turned: forces RMSE {row['turned_forces_rmse']:.3g} meV/A")
    return "validation " + ", ".join(parts)


def train(config: Config, say: Say = print) -> Path:
    """Train as a configuration says; return the path of the model file."""
    return Trainer(config, say).run()


def planned(config: Config) -> str:
    """Describe what would be trained: reads and checks everything, writes nothing."""
    lines: list[str] = []
    trainer = Trainer(config, lines.append)
    trainer.prepare(with_files=False)
    return "\n".join([*lines, trainer.describe()])


__all__: Sequence[str] = ["Trainer", "planned", "require_agreement", "train"]
