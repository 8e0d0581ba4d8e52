# SPDX-License-Identifier: BSD-3-Clause
"""The corpus tests/model/refusals through the C interface; tests/model/README.md has its form."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eqnn_models import ROOT, refusal

from eqnn import library, model_file
from eqnn.model_file import Array, read_model
from eqnn.self_test import add_self_test

TESTS = ROOT / "tests"
REFUSALS = sorted((TESTS / "model" / "refusals").glob("*.json"))
GOOD = sorted((TESTS / "model" / "good").glob("*.eqnn"))
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I32": "<i4", "I64": "<i8"}

Stored = tuple[str, Array]
"""A tensor's type as the file states it, and its values."""


def taken_apart(content: bytes) -> tuple[dict[str, Any], dict[str, Stored]]:
    """Return document and tensors of a file, with a reader of our own."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    document = json.loads(header.pop("__metadata__")["eqnn"])
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        values = np.frombuffer(content[begin:end], TYPES[entry["dtype"]])
        tensors[name] = (entry["dtype"], values.reshape(entry["shape"]))
    return document, tensors


def put_together(document: dict[str, Any], tensors: dict[str, Stored]) -> bytes:
    """Make a file, with the right hash, of whatever is given."""
    text = json.dumps(document, ensure_ascii=False)
    digest = hashlib.sha256(text.encode())
    header: dict[str, Any] = {}
    body = b""
    for name in sorted(tensors, key=str.encode):
        dtype, values = tensors[name]
        shape = list(values.shape)
        digest.update(f"{name}\n{dtype}\n[{','.join(map(str, shape))}]\n".encode())
        digest.update(values.tobytes())
        offsets = [len(body), len(body) + values.nbytes]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        body += values.tobytes()
    header["__metadata__"] = {"eqnn": text, "eqnn_sha256": digest.hexdigest()}
    start = json.dumps(header).encode()
    return len(start).to_bytes(8, "little") + start + body


def patched(document: Any, changes: list[dict[str, Any]]) -> Any:
    """Apply a JSON Patch (RFC 6902) of additions, removals and replacements."""
    document = copy.deepcopy(document)
    for change in changes:
        steps = [
            step.replace("~1", "/").replace("~0", "~") for step in change["path"].split("/")[1:]
        ]
        where = document
        for step in steps[:-1]:
            where = where[int(step) if isinstance(where, list) else step]
        key: Any = int(steps[-1]) if isinstance(where, list) else steps[-1]
        if change["op"] == "remove":
            del where[key]
        elif change["op"] == "add" and isinstance(where, list):
            where.insert(key, change["value"])
        else:
            where[key] = change["value"]
    return document


def changed(stored: Stored | None, change: dict[str, Any]) -> Stored:
    """Change one tensor."""
    dtype: str = change.get("dtype") or (stored[0] if stored else "")
    if "values" in change:
        shape = change["shape"]
        values = np.array(change["values"], dtype=float)
        whole = values.reshape(shape) if values.ndim else np.full(shape, values)
        return dtype, whole.astype(TYPES[dtype])
    assert stored is not None
    values = stored[1].copy()
    for index, value in change.get("set", {}).items():
        values.reshape(-1)[int(index)] = float(value)
    return dtype, values


def test_there_are_files() -> None:
    assert len(REFUSALS) > 100 and len(GOOD) > 4


@pytest.mark.parametrize("path", REFUSALS, ids=lambda path: path.stem)
def test_a_changed_model_is_refused_in_the_words_of_the_corpus(path: Path) -> None:
    given = json.loads(path.read_text())
    assert set(given) <= {"model", "document", "tensors", "expected"}
    content = (TESTS / given["model"]).read_bytes()
    library.validate("file.eqnn", content)
    document, tensors = taken_apart(content)
    library.validate("file.eqnn", put_together(document, tensors))
    document = patched(document, given.get("document", []))
    for name, change in given.get("tensors", {}).items():
        if change is None:
            del tensors[name]
        else:
            tensors[name] = changed(tensors.get(name), change)
    text = refusal(lambda: library.validate("file.eqnn", put_together(document, tensors)))
    assert text == f"file.eqnn: {given['expected']}"


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_models_run(path: Path) -> None:
    """Those that are changed are valid, and the engine can run them."""
    library.validate(str(path))
    text = refusal(lambda: library.validate(str(path), load=True))
    assert text == (
        f"{path}: /self_test: no structure, expected at least one to compare a build with the "
        "exporter.\n"
        "Export the model again, or add structures with eqnn.self_test.add_self_test()."
    )
    model_file.validate(add_self_test(read_model(path)), load=True)
