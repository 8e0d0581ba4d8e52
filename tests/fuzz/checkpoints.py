# SPDX-License-Identifier: BSD-3-Clause
"""Fuzzes the readers of checkpoints: damaged and foreign files must give an error message.

    python tests/fuzz/checkpoints.py [SECONDS] [--seed N]

Mutants of the golden checkpoints: bytes that change, move or vanish; members of archives likewise,
with a valid checksum; objects, arrays and configurations with a part replaced or missing. Each is
exported, which may raise only EqnnError, within a minute and a limit of memory.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
import zipfile
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eqnn.errors import EqnnError
from eqnn.export import UPSTREAMS, mace, nequip, nequip_package, sevennet, torch_file
from eqnn.export.torch_file import Stub
from eqnn.export.upstream import exported

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
MEMORY = 8 * 2**30
PATIENCE = 60  # seconds


@dataclass(frozen=True)
class Seed:
    """A checkpoint that is exported, and how."""

    upstream: str
    file: str
    options: dict[str, Any] = field(default_factory=dict)


SEEDS = (
    Seed("mace", "exporters/mace_gate_none.model"),
    Seed("mace", "exporters/mace_so3.model"),
    Seed("mace", "exporters/mace_cueq_format.model"),
    Seed("mace", "exporters/mace_compiled.model"),
    Seed("mace", "pretrained/mace_tutorial.model"),
    Seed("mace", "mace/mace_plain.weights.safetensors", {"config": "mace/mace_plain.config.json"}),
    Seed(
        "mace-gaunt",
        "mace_gaunt/mg_l2_h8_c2.weights.safetensors",
        {"config": "mace_gaunt/mg_l2_h8_c2.config.json"},
    ),
    Seed(
        "tdn",
        "tdn/model_l1_h16_b1.weights.safetensors",
        {"config": "tdn/model_l1_h16_b1.config.json", "energy": "extensive", "species": [1, 6]},
    ),
    Seed("sevennet", "pretrained/sevennet_cp0.pth"),
    Seed("nequip", "pretrained/nequip_deployed.pth", {"energy_unit": "eV"}),
    Seed("nequip", "pretrained/nequip_zbl.nequip.zip", {"energy_unit": "eV"}),
    Seed("nequip", "exporters/nequip_nequip_0.14_plain.nequip.zip", {"energy_unit": "eV"}),
    Seed("nequix", "pretrained/nequix_norm.nqx"),
)
KEYS = (
    *("config", "species", "head", "modality", "energy_unit", "energy", "exact_products"),
    *("data", "level_of_theory", "licence"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 7, 10**9, -(2**63), 0.0, 1e300, float("nan"), float("inf")),
    *("", "x", "8x0e", "silu", b"PK", [], [1], {}, {"a": 1}, (), ("0e",)),
)


def bytes_changed(raw: bytes, rng: random.Random) -> bytes:
    """Change, cut, double or drop bytes somewhere."""
    out = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if not out:
            break
        place = rng.randrange(len(out))
        length = rng.choice((1, 1, 4, 100))
        what = rng.randrange(5)
        if what == 0:
            out[place] ^= 1 << rng.randrange(8)
        elif what == 1:
            out[place] = rng.randrange(256)
        elif what == 2:
            del out[place : place + length]
        elif what == 3:
            out[place:place] = out[place : place + length]
        else:
            del out[place + 1 :]
    return bytes(out)


def member_changed(raw: bytes, rng: random.Random) -> bytes:
    """Change one member of an archive, or leave it out; checksums are right."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as source, zipfile.ZipFile(target, "w") as made:
        entries = source.infolist()
        pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
        chosen = rng.choice(pickles if pickles and rng.random() < 0.7 else entries)
        is_dropped = rng.random() < 0.1
        for entry in entries:
            content = source.read(entry)
            if entry is chosen:
                if is_dropped:
                    continue
                content = bytes_changed(content, rng)
            made.writestr(entry.filename, content)
    return target.getvalue()


def places(value: Any, seen: set[int]) -> Iterator[tuple[Any, Any]]:
    """Every container in a tree of objects, with a key in it."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Stub):
        for key, item in value.__dict__.items():
            yield value.__dict__, key
            yield from places(item, seen)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield value, key
            yield from places(item, seen)
    elif isinstance(value, list):
        for k, item in enumerate(value):
            yield value, k
            yield from places(item, seen)


def other_value(old: Any, rng: random.Random) -> Any:
    """Change a value."""
    if isinstance(old, np.ndarray) and rng.random() < 0.7:
        shape = tuple(rng.choice((0, 1, 2, 3)) for _ in range(rng.choice((0, 1, 2, old.ndim))))
        kind = rng.choice(("f4", "f8", "i8", "f2", "?", "U1"))
        made = np.zeros(shape, dtype=kind)
        if rng.random() < 0.5 and old.dtype.kind == "f" and old.size:
            with np.errstate(all="ignore"):
                made = old * rng.choice((np.nan, np.inf, 1e300, -1.0, 0.0))
        return made
    if isinstance(old, int) and not isinstance(old, bool) and rng.random() < 0.5:
        return old + rng.choice((-1, 1, 2, 100))
    if isinstance(old, str) and old and rng.random() < 0.5:
        return old.replace(rng.choice(old), rng.choice("0189eox+ "))
    return copy.copy(rng.choice(VALUES))


def tree_changed(tree: Any, rng: random.Random) -> Any:
    """Replace or delete some parts of a tree of objects, in place."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        found = list(places(tree, set()))
        if not found:
            break
        holder, key = rng.choice(found)
        if rng.random() < 0.2:
            del holder[key]
        else:
            holder[key] = other_value(holder[key], rng)
    return tree


@contextmanager
def read_as(tree: Any) -> Iterator[None]:
    """Make the exporters read this tree of objects, whatever the file."""
    modules = (mace, sevennet, nequip)
    before = [module.read_torch_file for module in modules]
    package = torch_file.read_torch_package
    for module in modules:
        module.read_torch_file = lambda path: tree  # type: ignore[attr-defined]
    nequip_package.read_torch_package = lambda path, member: (tree, {})  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module, function in zip(modules, before, strict=True):
            module.read_torch_file = function  # type: ignore[attr-defined]
        nequip_package.read_torch_package = package  # type: ignore[attr-defined]


def _late(*given: Any) -> None:
    raise TimeoutError(f"no answer within {PATIENCE} s")


class Fuzzer:
    """Makes mutants and exports them.

    Parameters
    ----------
    seed : int
        Of the random choices.
    folder : Path
        For the mutants' files; one that fails stays there.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = random.Random(seed)
        self.folder = folder
        self.content = {seed.file: (GOLDEN / seed.file).read_bytes() for seed in SEEDS}
        self.counts: Counter[str] = Counter()
        self.unforeseen: Counter[str] = Counter()

    def step(self) -> None:
        """Make a mutant and export it; raise any other exception."""
        rng = self.rng
        seed = rng.choice(SEEDS)
        raw = self.content[seed.file]
        path = self.folder / Path(seed.file).name
        given = dict(seed.options)
        kinds: list[Any] = [self._bytes, self._bytes]
        if zipfile.is_zipfile(io.BytesIO(raw)):
            kinds = [self._bytes, self._member, self._tree, self._tree]
        if "config" in given:
            kinds = [self._bytes, self._config, self._config]
        if seed.upstream == "nequix":
            kinds = [self._bytes, self._line, self._line]
        make = rng.choice(kinds)
        path.write_bytes(raw)
        if "config" in given:
            given["config"] = GOLDEN / given["config"]
        what = f"{seed.file}, {make.__name__.strip('_')}"
        tree = make(seed, path, given)
        options = Namespace(**(dict.fromkeys(KEYS) | {"checkpoint": path} | given))
        upstream = next(one for one in UPSTREAMS if one.name == seed.upstream)
        signal.alarm(PATIENCE)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                if tree is None:
                    exported(upstream, options, lambda line: None)
                else:
                    with read_as(tree):
                        exported(upstream, options, lambda line: None)
            self.counts["exported"] += 1
        except EqnnError as error:
            text = str(error)
            self._check(text, what)
            if "is damaged or foreign: reading it as" in text:
                self.counts["refused by the last resort"] += 1
                self.unforeseen[text.split("stopped at ")[1].split(":\n")[0].split(".\n")[0]] += 1
            else:
                self.counts["refused"] += 1
        except BaseException:
            print(f"{what}: mutant {sum(self.counts.values())}", file=sys.stderr)
            raise
        finally:
            signal.alarm(0)

    def _check(self, text: str, what: str) -> None:
        assert text.count("\n") <= 1, (what, text)
        assert "Traceback" not in text, (what, text)

    def _bytes(self, seed: Seed, path: Path, given: dict[str, Any]) -> None:
        path.write_bytes(bytes_changed(self.content[seed.file], self.rng))

    def _member(self, seed: Seed, path: Path, given: dict[str, Any]) -> None:
        path.write_bytes(member_changed(self.content[seed.file], self.rng))

    def _tree(self, seed: Seed, path: Path, given: dict[str, Any]) -> Any:
        from eqnn.export.torch_file import read_torch_file, read_torch_package

        if seed.file.endswith(".zip"):
            tree, _ = read_torch_package(path, nequip_package.MEMBER)
        else:
            tree = read_torch_file(path)
        return tree_changed(tree, self.rng)

    def _config(self, seed: Seed, path: Path, given: dict[str, Any]) -> None:
        document = tree_changed(json.loads(given["config"].read_text()), self.rng)
        given["config"] = self.folder / "config.json"
        text = json.dumps(document, default=str)
        if self.rng.random() < 0.1:
            text = bytes_changed(text.encode(), self.rng).decode(errors="replace")
        given["config"].write_text(text)

    def _line(self, seed: Seed, path: Path, given: dict[str, Any]) -> None:
        line, rest = self.content[seed.file].split(b"\n", 1)
        document = tree_changed(json.loads(line), self.rng)
        path.write_bytes(json.dumps(document, default=str).encode() + b"\n" + rest)


def run(n_mutants: int | None, seconds: float | None, seed: int, folder: Path) -> Fuzzer:
    """Export mutants until their number or the time is reached; return the counts."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, _late)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, before[1]))
    try:
        fuzzer = Fuzzer(seed, folder)
        start = time.monotonic()
        while n_mutants is None or sum(fuzzer.counts.values()) < n_mutants:
            if seconds is not None and time.monotonic() - start > seconds:
                break
            fuzzer.step()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGALRM, handler)
    return fuzzer


def main() -> None:
    """Fuzz for some time and report the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="eqnn-fuzz-"))
    fuzzer = run(None, options.seconds, options.seed, folder)
    print(f"{sum(fuzzer.counts.values())} mutants: {dict(fuzzer.counts)}")
    for place, count in fuzzer.unforeseen.most_common(30):
        print(f"  last resort {count:5d}  {place}")


if __name__ == "__main__":
    main()
