# SPDX-License-Identifier: BSD-3-Clause
"""Seeds for the fuzzer: a small file, its document, and documents with one value changed.

python tests/fuzz/make_seeds.py FOLDER   (also writes FOLDER.dict)
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
# By the letter that the fuzz target knows them by.
MODELS = {
    "d": "tdn/model_l1_h16_b1",
    "m": "mace/mace_heads.pbe",
    "g": "mace_gaunt/mg_l2_h8_c2",
    "n": "pretrained/nequix_norm",
}


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Path of every value in a JSON document; of long arrays the first two elements."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*path, key))
    elif isinstance(value, list):
        for k, item in enumerate(value[:2]):
            yield from paths(item, (*path, k))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy with one value replaced."""
    copy = json.loads(json.dumps(document))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copy


def small_file() -> bytes:
    """Return a container whose header the fuzzer can reach: two tensors and a document."""
    header = {
        "__metadata__": {"eqnn": "{}", "eqnn_sha256": "0" * 64},
        "a": {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]},
        "b": {"dtype": "F32", "shape": [1, 2], "data_offsets": [16, 24]},
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(24)


def document_of(model: str) -> Any:
    """Return a golden model's document with shortened self-tests."""
    content = (GOLDEN / f"{model}.eqnn").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    document = json.loads(metadata["eqnn"])
    document["self_test"] = document["self_test"][:1]
    for key in ("numbers", "positions", "forces"):
        document["self_test"][0][key] = document["self_test"][0][key][:2]
    return document


def main() -> None:
    """Write the seeds and the dictionary."""
    folder = Path(sys.argv[1])
    seeds = [b"f" + small_file()]
    words: set[str] = set()
    values: tuple[Any, ...] = (None, -1, 1e300, "", [], {})
    for letter, model in MODELS.items():
        document = document_of(model)
        seeds.append(letter.encode() + json.dumps(document).encode())
        for path in list(paths(document)):
            if not path:
                continue
            words.update(key for key in path if isinstance(key, str))
            # Of the later models fewer: they have much in common.
            for value in values if letter == "d" else values[:2]:
                text = json.dumps(changed(document, path, value))
                seeds.append(letter.encode() + text.encode())
    for k, seed in enumerate(seeds):
        (folder / f"{k:05d}").write_bytes(seed)
    lines = [f'"\\"{word}\\""' for word in sorted(words) if word.isascii()]
    folder.with_suffix(".dict").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
