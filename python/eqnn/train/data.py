# SPDX-License-Identifier: BSD-3-Clause
"""Reads and checks the frames of a training, finds neighbors and makes batches. Needs no JAX."""

from __future__ import annotations

import hashlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from eqnn.errors import EqnnError, listed
from eqnn.evaluation.data import read_data
from eqnn.evaluation.frame import Frame, Keys, Problem
from eqnn.evaluation.settings import Settings
from eqnn.library import Potential
from eqnn.model_file import Model
from eqnn.so3 import FloatArray
from eqnn.species import with_species
from eqnn.structures import cell_with_vacuum, elements_in
from eqnn.train.config import FIT, OF_DATA, REFIT, Config
from eqnn.train.packing import Arrays, Example, Shape, example_of, pack

# Number of batches that are packed ahead.
PREFETCHED = 2
# Standard deviation of the logarithm of sizes by which examples are dealt to batches. Of 3550 small
# and 38 663 larger molecules in batches of 8, it leaves 2 and 4 % of padding; 0.3 leaves 6 and 10.
SIZE_NOISE = 0.1
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Frames:
    """Training frames and validation frames."""

    train: list[Frame]
    validation: list[Frame]
    hashes: dict[str, str]


def read_sets(config: Config, species: Sequence[int], say: Say) -> Frames:
    """Read all frames. Bad ones raise, with file and number, unless they are to be left out."""
    train, hashes = _read(config, config.data.train, species, say)
    validation: list[Frame] = []
    if config.data.validation:
        validation, more = _read(config, config.data.validation, species, say)
        hashes |= more
    elif config.data.validation_fraction > 0:
        n = max(1, round(config.data.validation_fraction * len(train)))
        if n >= len(train):
            raise EqnnError(
                f"data/validation_fraction leaves no training frame of {len(train)}. Give a "
                "smaller one, or files."
            )
        chosen = np.random.default_rng([config.seed, 0]).permutation(len(train))[:n]
        watched = set(chosen.tolist())
        validation = [train[k] for k in sorted(watched)]
        train = [frame for k, frame in enumerate(train) if k not in watched]
    seen = {frame.key for frame in train}
    both = [frame for frame in validation if frame.key in seen]
    if both:
        raise EqnnError(
            f"{both[0].label}: is in the training set too, as {len(both)} of {len(validation)} "
            "validation frames are.\nA training frame cannot be a validation frame: remove it "
            "from one set."
        )
    return Frames(train, validation, hashes)


def _said(problem: Problem) -> str:
    """Describe what is wrong with a frame, with this command's cure."""
    return problem.text().removesuffix(" (left out)").replace("by --energy-key", "as energy_key")


def _read(
    config: Config, files: Sequence[str], species: Sequence[int], say: Say
) -> tuple[list[Frame], dict[str, str]]:
    data = config.data
    keys = Keys(data.energy_key, data.forces_key, data.stress_key)
    sets, frames, problems = read_data([Path(f) for f in files], Settings(keys=keys))
    bad = [_said(problem) for problem in problems]
    known = set(species)
    good: list[Frame] = []
    for frame in frames:
        foreign = sorted(set(frame.atoms.numbers.tolist()) - known)
        if foreign:
            bad.append(f"{frame.label}: has element {foreign[0]}, which the model does not have")
        else:
            good.append(frame)
    if bad and not data.skip_bad_frames:
        raise EqnnError(
            f"{bad[0]}; {len(bad)} of {len(bad) + len(good)} frames cannot be used.\n"
            "Fix or remove them, or leave them out with `skip_bad_frames: true` under data."
        )
    for text in bad:
        say(f"left out: {text}")
    if not good:
        raise EqnnError(f"{', '.join(files)}: no frame can be used. Give other files.")
    return good, {Path(one.path).name: one.sha256 for one in sets}


def examples_of(
    frames: Sequence[Frame], model: Model, cache: Path | None, say: Say
) -> list[Example]:
    """Return frames with their edges, from an earlier run's file if it has the same frames.

    Parameters
    ----------
    frames : sequence of Frame
    model : Model
        Whose cutoff and reference energies count.
    cache : Path or None
        A file that is read, or made.
    say : callable
    """
    cutoff = model.document["cutoff"]
    said = "\n".join(["eqnn neighbors 1", repr(cutoff), *(frame.key for frame in frames)])
    key = hashlib.sha256(said.encode()).hexdigest()
    stored = None if cache is None else _cached(cache, key)
    out: list[Example] = []
    if stored is not None:
        empty = np.zeros(0, np.int32)
        index = {z: k for k, z in enumerate(model.document["species"])}
        reference = np.asarray(model.document["energy"]["reference"], dtype=np.float64)
        ends = np.cumsum(stored["n_edges"])
        for k, frame in enumerate(frames):
            rows = slice(ends[k] - stored["n_edges"][k], ends[k])
            species = np.array([index[int(z)] for z in frame.atoms.numbers], dtype=np.int32)
            one = Example(frame.label, species, empty, empty, np.zeros((0, 3)))
            parts = {name: stored[name][rows] for name in ("center", "source", "vector")}
            volume = float(frame.atoms.cell.volume) if frame.atoms.pbc.any() else 0.0
            energy = frame.energy - float(reference[species].sum())
            labels: dict[str, Any] = {"forces": frame.forces, "stress": frame.stress}
            out.append(replace(one, **parts, **labels, volume=volume, energy=energy))
        return out
    for frame in frames:
        out.append(
            example_of(
                frame.atoms,
                model.document,
                frame.label,
                energy=frame.energy,
                forces=frame.forces,
                stress=frame.stress,
            )
        )
    if cache is not None and out:
        partial = cache.with_name(f".{cache.name}.partial")
        with partial.open("wb") as file:
            np.savez(
                file,
                key=np.array(key),
                n_edges=np.array([e.n_edges for e in out]),
                center=np.concatenate([e.center for e in out]),
                source=np.concatenate([e.source for e in out]),
                vector=np.concatenate([e.vector for e in out]),
            )
        partial.replace(cache)
    return out


def _cached(path: Path, key: str) -> dict[str, Any] | None:
    """Return the cached edges of these frames; None if the cache is of others, or broken."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored) if str(stored["key"]) == key else None
    except Exception:  # it is made anew
        return None


# ---- what is set once, before the training ----


def started(model: Model, config: Config, frames: Frames) -> Model:
    """Return the model to train: its elements and its energies are those of the configuration.

    Raises
    ------
    EqnnError
        If a validation frame has an element that no training frame has, or as `with_energies`.
    """
    if config.species == OF_DATA:
        known = {z for frame in frames.train for z in frame.atoms.numbers.tolist()}
        for frame in frames.validation:
            for z in sorted(set(frame.atoms.numbers.tolist()) - known):
                raise EqnnError(
                    f"{frame.label}: has {chemical_symbols[z]}, which no training frame has. "
                    "Add such frames, or remove this one."
                )
        model = with_species(model, sorted(known))
    return with_energies(model, config, frames.train)


def with_energies(model: Model, config: Config, frames: Sequence[Frame]) -> Model:
    """Return the model with reference energies, scale and shift from the configuration."""
    said = dict(model.document["energy"])
    numbers: list[int] = model.document["species"]
    counts = np.array([[int((f.atoms.numbers == z).sum()) for z in numbers] for f in frames])
    energies = np.array([frame.energy for frame in frames])
    choice = config.energies
    if choice.reference in (FIT, REFIT):
        missing = [
            chemical_symbols[z] for z, n in zip(numbers, counts.sum(0), strict=True) if not n
        ]
        if missing:
            raise EqnnError(
                f"energies/reference is {choice.reference}, but no training frame has "
                f"{listed(missing)}. Set species to data, or give the energies in eV."
            )
    if choice.reference == FIT:
        said["reference"] = fitted_reference(counts, energies)
    elif choice.reference == REFIT:
        own = _network_energies(model, frames) - counts @ np.asarray(said["reference"])
        said["reference"] = fitted_reference(counts, energies - own)
    elif isinstance(choice.reference, dict):
        symbols = [chemical_symbols[z] for z in numbers]
        lacking = [symbol for symbol in symbols if symbol not in choice.reference]
        foreign = [symbol for symbol in choice.reference if symbol not in symbols]
        if lacking or foreign:
            wrong = [f"lacks {listed(lacking)}"] * bool(lacking)
            wrong += [f"has {listed(foreign)}"] * bool(foreign)
            raise EqnnError(
                f"energies/reference {' and '.join(wrong)}, expected each of "
                f"{listed(symbols)}, the elements of the result. Correct it, or see species."
            )
        said["reference"] = [choice.reference[symbol] for symbol in symbols]
    if isinstance(choice.scale, float):
        said["scale"] = choice.scale
    elif choice.scale == FIT:
        found = [frame.forces for frame in frames if frame.forces is not None]
        squares = np.concatenate([f.ravel() for f in found]) ** 2 if found else np.zeros(1)
        size = float(np.sqrt(squares.mean()))
        if not size > 0:
            raise EqnnError(
                "energies/scale is fit, but no training frame has forces, or all are 0. "
                "Give a number, such as 1.0."
            )
        said["scale"] = size
    if isinstance(choice.shift, float):
        said["shift"] = choice.shift
    elif choice.shift == FIT:
        left = energies - counts @ np.asarray(said["reference"], dtype=np.float64)
        said["shift"] = float((left / counts.sum(1)).mean())
    graph = _unscaled(model, said["scale"])
    return Model({**model.document, "energy": said, "graph": graph}, model.tensors, model.name)


def _unscaled(model: Model, scale: Any) -> list[dict[str, Any]]:
    """Return the graph with the same nuclear repulsion under the new scale."""
    graph: list[dict[str, Any]] = model.document["graph"]
    before = model.document["energy"]["scale"]
    if scale == before or not any(stage["op"] == "zbl" for stage in graph):
        return graph
    if not isinstance(before, float | int):
        raise EqnnError(
            f"{model.name}: energies/scale is {scale:.6g}, but the model has one scale for each "
            "element, with which its zbl stage is in eV. Leave energies/scale at keep."
        )

    def mended(stage: dict[str, Any]) -> dict[str, Any]:
        if stage["op"] != "zbl":
            return stage
        return {**stage, "coefficients": [c * before / scale for c in stage["coefficients"]]}

    return [mended(stage) for stage in graph]


def _network_energies(model: Model, frames: Sequence[Frame]) -> FloatArray:
    """Energies [frame] of the model's file as it is, eV."""
    has_virial = model.document["forces"] == "gradient"
    structures = [
        (f.atoms.numbers, f.atoms.positions, cell_with_vacuum(f.atoms, model.document["cutoff"]))
        for f in frames
    ]
    elements = elements_in([f.atoms for f in frames], model.document["species"])
    with Potential(model.name, "double", has_virial, elements=elements) as potential:
        found = potential.evaluate_many(structures)
    for frame, one in zip(frames, found, strict=True):
        if one.properties is None:
            raise EqnnError(f"{frame.label}: {one.reason}")
    return np.array([one.properties.energy for one in found if one.properties is not None])


def fitted_reference(counts: Any, energies: FloatArray) -> list[float]:
    """Energies of free atoms by least squares; the smallest solution if several fit equally well.

    Parameters
    ----------
    counts : ndarray of int [frame, species]
    energies : ndarray [frame]
        eV.
    """
    found, *_ = np.linalg.lstsq(counts.astype(np.float64), energies, rcond=1e-10)
    return [float(x) for x in found]


# ---- batches ----


class Batches:
    """Batches of about equal numbers of edges, in few shapes.

    Each batch gets large and small examples, dealt out so that all batches of a group have nearly
    the same number of edges: what is left of a shape is padding, which costs as much as edges do.

    Parameters
    ----------
    examples : sequence of Example
    size : int
        Structures a batch; some have one less.
    n_shapes : int
        At most so many groups of alike sizes, each with a shape.
    dtype : str
    cutoff : float
        Angstrom.
    seeds : sequence of sequence of int
        Of the orders that will be asked for: a shape has room for the batches of all of them.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        size: int,
        n_shapes: int,
        dtype: str,
        cutoff: float,
        seeds: Iterable[Sequence[int]] = (),
    ) -> None:
        self._examples, self._size = list(examples), size
        self._dtype, self._cutoff = dtype, cutoff
        self._atoms = np.array([e.n_atoms for e in examples], dtype=np.int64)
        self._edges = np.array([e.n_edges for e in examples], dtype=np.int64)
        order = np.lexsort((np.arange(len(self._edges)), self._edges))
        n_groups = max(1, min(n_shapes, len(order) // size))
        bounds = [len(order) * k // n_groups for k in range(n_groups + 1)]
        self._groups = [order[a:b] for a, b in itertools.pairwise(bounds) if b > a]
        room = [Shape(0, 1, 0)] * len(self._groups)
        for seed in [None, *seeds]:
            for g, members in self._dealt(seed):
                need = (
                    self._atoms[members].sum() + 1,
                    self._edges[members].sum(),
                    len(members) + 1,
                )
                room[g] = Shape(*(max(a, int(b)) for a, b in zip(room[g], need, strict=True)))
        self.shapes = room

    def __len__(self) -> int:
        return sum(-(-len(group) // self._size) for group in self._groups)

    def _dealt(self, seed: Sequence[int] | None) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield the batches of an order, group by group.

        The largest examples go one to each batch, then the next ones, and so on; of each round,
        the largest goes to the batch with the fewest edges so far. Which sizes make a round is
        drawn within some percent, so that batches differ from order to order.
        """
        rng = None if seed is None else np.random.default_rng(list(seed))
        for g, group in enumerate(self._groups):
            about = self._edges[group].astype(np.float64)
            if rng is not None:
                shuffled = rng.permutation(len(group))
                group = group[shuffled]
                about = about[shuffled] * np.exp(SIZE_NOISE * rng.normal(size=len(about)))
            group = group[np.argsort(-about, kind="stable")]
            n = -(-len(group) // self._size)
            edges, batches = np.zeros(n, np.int64), np.empty(len(group), np.int64)
            for start in range(0, len(group), n):
                these = slice(start, min(start + n, len(group)))
                falling = np.argsort(-self._edges[group[these]], kind="stable")
                to = np.argsort(edges, kind="stable")[: len(falling)]
                batches[start + falling] = to
                edges[to] += self._edges[group[these]][falling]
            sorted_by_batch = np.argsort(batches, kind="stable")
            ends = np.cumsum(np.bincount(batches, minlength=n))
            yield from ((g, members) for members in np.split(group[sorted_by_batch], ends[:-1]))

    def order(self, seed: Sequence[int] | None) -> list[tuple[int, list[int]]]:
        """Return shapes and members of batches, shuffled by a seed; None: always the same."""
        out = [(g, members.tolist()) for g, members in self._dealt(seed)]
        if seed is None:
            return out
        return [out[k] for k in np.random.default_rng(list(seed)).permutation(len(out))]

    def packed(self, order: Sequence[tuple[int, list[int]]]) -> Iterator[Arrays]:
        """Pack batches in a thread of its own, some ahead."""
        made: queue.Queue[Arrays | BaseException | None] = queue.Queue(PREFETCHED)
        is_over = threading.Event()

        def put(one: Arrays | BaseException | None) -> None:
            while not is_over.is_set():
                try:
                    made.put(one, timeout=0.2)
                    return
                except queue.Full:
                    continue

        def fill() -> None:
            try:
                for g, members in order:
                    if is_over.is_set():
                        return
                    chosen = [self._examples[k] for k in members]
                    put(pack(chosen, self.shapes[g], self._dtype, self._cutoff))
                put(None)
            except BaseException as error:  # it is raised where batches are asked for
                put(error)

        thread = threading.Thread(target=fill, daemon=True)
        thread.start()
        try:
            while (one := made.get()) is not None:
                if isinstance(one, BaseException):
                    raise one
                yield one
        finally:
            is_over.set()
            thread.join()

    def padding(self) -> float:
        """Part of all edges that is padding."""
        room = sum(
            self.shapes[g].edges * -(-len(group) // self._size)
            for g, group in enumerate(self._groups)
        )
        return 1.0 - int(self._edges.sum()) / room if room else 0.0
