# SPDX-License-Identifier: BSD-3-Clause
"""A new stage needs two edits outside its own files: docs/adding_an_architecture.md's, done.

The example's files are taken from the document and written into a copy of the tree. What changed
there is counted, and the copy is compiled, checked and run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from eqnn_models import ROOT

pytestmark = pytest.mark.slow

STAGE = "channel_scale"
DOCUMENT = ROOT / "docs" / "adding_an_architecture.md"
BUILD = ROOT / ".eqnn" / "build" / "openmp"
LISTS = {"src/base/stages.hpp", "python/eqnn/stages/__init__.py"}
# `make format` writes it: no edit.
TABLE = "docs/spec/model_file.md"

# What has functions that a stage states, which of them, and a source that needs them.
PLAN, KERNELS = f"plan/stages/{STAGE}.hpp", f"kernels/stages/{STAGE}.hpp"
STATED = [
    *((PLAN, fact, "plan/compile.cpp") for fact in ("output", "inputs", "saved_for_adjoint")),
    *((PLAN, fact, "plan/compile.cpp") for fact in ("read_on_ghosts", "residual", "make")),
    (PLAN, "describe", "plan/describe.cpp"),
    *((KERNELS, fact, "kernels/evaluator_double.cpp") for fact in ("forward", "adjoint")),
    (KERNELS, "message_width", "kernels/evaluator_double.cpp"),
]
# Functions that the list declares: where they are defined, and who calls them.
DECLARED = [
    (f"model/stages/{STAGE}.cpp", "read", "model/graph_reader.cpp"),
    (f"model/stages/{STAGE}.cpp", "species_tables", "model/cut_species.cpp"),
    (f"plan/stages/{STAGE}.cpp", "lower", "plan/plan_builder.cpp"),
    (f"reference/stages/{STAGE}.cpp", "forward", "reference/evaluate.cpp"),
    (f"reference/stages/{STAGE}.cpp", "adjoint", "reference/evaluate.cpp"),
]
SOURCES = sorted({path for row in DECLARED for path in (row[0], row[2])})
SYNTAX = ["plan/compile.cpp", "plan/describe.cpp", "kernels/evaluator_double.cpp"]


def files_in(document: str) -> dict[str, str]:
    """Find the example's files: a path in bold, then a fenced block."""
    found = re.findall(r"^\*\*(\S+)\*\*\n\n(`{3,})\w+\n(.*?)^\2\n", document, re.M | re.S)
    return {path: text for path, _, text in found}


def lines_in(document: str) -> list[str]:
    """Find the lines for the two lists: those of C++ and of Python."""
    section = document[document.index("### The two lists") :]
    return re.findall(r"^```\w+\n([^\n]+\n)```\n", section, re.MULTILINE)[:2]


def without(text: str, function: str) -> str:
    """Leave out a function of this name, with its body."""
    begin = rf"^( *)[\w:<>&* ]*[&* ]{function}\("
    short = rf"{begin}[^\n]*(?:;|\}})\n"
    long = rf"{begin}(?:(?!^\1\}}).)*^\1\}}\n"
    less, n = re.subn(short, "", text, count=1, flags=re.M)
    if n == 0:
        less, n = re.subn(long, "", text, count=1, flags=re.M | re.S)
    assert n == 1 and less.count("{") == less.count("}"), function
    return less


@dataclass
class Copy:
    """The tree with the new stage, configured."""

    root: Path
    commands: dict[str, tuple[str, list[str]]] = field(default_factory=dict)

    def compile(self, source: str, *options: str, text: str = "", folder: str = "") -> str:
        """Compile a source under src/, or another text in its place; return what was said."""
        where, words = self.commands[source]
        at = words.index("-o")
        words = [*words[:1], *options[:-1], *words[1:at], *words[at + 2 :], options[-1], "-O0"]
        if text:
            changed = self.root / folder / Path(source).name
            changed.parent.mkdir(parents=True, exist_ok=True)
            changed.write_text(text)
            words = [str(changed) if word.endswith(f"/src/{source}") else word for word in words]
        environment = os.environ | {"LC_ALL": "C"}
        done = subprocess.run(
            words, cwd=where, env=environment, capture_output=True, text=True, check=False
        )
        return done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    root = tmp_path_factory.mktemp("new_stage") / "eqnn"
    left_out = shutil.ignore_patterns(
        ".*", "__pycache__", "build", "data", "golden", "potentials", "training"
    )
    shutil.copytree(ROOT, root, ignore=left_out)
    for path, text in files_in(DOCUMENT.read_text()).items():
        assert not (root / path).exists(), path
        (root / path).write_text(text)
    for path, line, before in zip(
        ("src/base/stages.hpp", "python/eqnn/stages/__init__.py"),
        lines_in(DOCUMENT.read_text()),
        ("  FILE(Gate, gate)", '    "gate",'),
        strict=True,
    ):
        listed = (root / path).read_text()
        assert listed.count(before) == 1
        (root / path).write_text(listed.replace(before, line + before))
    table = root / "cmake" / "stage_table.py"
    subprocess.run([sys.executable, table, "--fix", root], check=True)
    cache = BUILD / "CMakeCache.txt"
    assert cache.exists(), f"no build in {BUILD}: run make"
    kept = re.findall(
        r"^((?:Kokkos_ROOT|CMAKE_PREFIX_PATH|EQNN_MARCH|CMAKE_CXX_COMPILER|CMAKE_BUILD_TYPE):.+)$",
        cache.read_text(),
        re.MULTILINE,
    )
    options = [f"-D{entry}" for entry in [*kept, "EQNN_BUILD_TESTS=OFF", "EQNN_BUILD_PLUGIN=OFF"]]
    subprocess.run(
        ["cmake", "-S", root, "-B", root / "build", *options], check=True, capture_output=True
    )
    version = ["cmake", "--build", str(root / "build"), "--target", "eqnn_version_header"]
    subprocess.run(version, check=True, capture_output=True)
    made = Copy(root)
    for entry in json.loads((root / "build" / "compile_commands.json").read_text()):
        source = Path(entry["file"]).relative_to(root / "src")
        made.commands[str(source)] = (entry["directory"], shlex.split(entry["command"]))
    return made


def test_two_files_besides_its_own_are_changed(copy: Copy) -> None:
    files = {
        str(path.relative_to(copy.root))
        for path in copy.root.rglob("*")
        if path.is_file() and "build" not in path.relative_to(copy.root).parts
    }
    new = {name for name in files if not (ROOT / name).exists()}
    assert new == set(files_in(DOCUMENT.read_text()))
    assert all(Path(name).name.startswith(STAGE) for name in new)
    changed = {
        name
        for name in files - new
        if (ROOT / name).read_bytes() != (copy.root / name).read_bytes()
    }
    assert changed == LISTS | {TABLE}
    for name in LISTS:
        lines = (copy.root / name).read_text().splitlines()
        assert len(lines) == len((ROOT / name).read_text().splitlines()) + 1


def test_the_copy_passes_what_holds_lists_pages_and_rooms_together(
    copy: Copy, tmp_path: Path
) -> None:
    for script in ("stage_table.py", "check_boundaries.py"):
        subprocess.run([sys.executable, copy.root / "cmake" / script, copy.root], check=True)
    (line,) = set((copy.root / TABLE).read_text().splitlines()) - set(
        (ROOT / TABLE).read_text().splitlines()
    )
    assert line == f"| `{STAGE}` | [{STAGE}](stages/{STAGE}.md) | FILE | Itself |"
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/python/test_stages.py"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=copy.root,
        env=os.environ | {"PYTHONPATH": "python"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def compiled(copy: Copy) -> Iterator[dict[tuple[str, str], Future[str]]]:
    """Have said what the compiler says of each source, and of each without a function."""
    jobs: dict[tuple[str, str], Future[str]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for source in SYNTAX:
            jobs[source, ""] = pool.submit(copy.compile, source, "-fsyntax-only")
        for header, fact, source in STATED:
            overlay = copy.root / "without" / f"{header.split('/')[0]}_{fact}"
            changed = overlay / header
            changed.parent.mkdir(parents=True)
            changed.write_text(without((copy.root / "src" / header).read_text(), fact))
            jobs[header, fact] = pool.submit(
                copy.compile, source, f"-I{overlay}", "-Wfatal-errors", "-fsyntax-only"
            )
        for source in SOURCES:
            made = copy.root / object_of(source)
            jobs[source, ""] = pool.submit(copy.compile, source, f"-o{made}", "-c")
        for source, function, _ in DECLARED:
            jobs[source, function] = pool.submit(
                copy.compile,
                source,
                f"-o{copy.root}/{object_of(source, function)}",
                "-c",
                text=without((copy.root / "src" / source).read_text(), function),
                folder=f"without/{source.split('/')[0]}_{function}",
            )
        yield jobs


def object_of(source: str, function: str = "") -> str:
    """Name an object file; of a source that lacks a function, too."""
    return f"{source.replace('/', '_')}{function and '.without_' + function}.o"


@pytest.mark.parametrize("source", [*SYNTAX, *SOURCES])
def test_it_compiles(compiled: dict[tuple[str, str], Future[str]], source: str) -> None:
    assert compiled[source, ""].result() == ""


def test_its_tests_compile(copy: Copy) -> None:
    where, words = copy.commands["kernels/evaluator_double.cpp"]
    source = str(copy.root / "tests" / "stages" / f"{STAGE}.cpp")
    at = words.index("-o")
    include = f"-I{copy.root / 'tests'}"
    subprocess.run([*words[:at], include, "-fsyntax-only", source], cwd=where, check=True)


@pytest.mark.parametrize(("header", "fact", "source"), STATED)
def test_what_it_does_not_state_does_not_compile(
    compiled: dict[tuple[str, str], Future[str]], header: str, fact: str, source: str
) -> None:
    said = compiled[header, fact].result()
    assert re.search(rf"error: .*ChannelScale.* has no member named '{fact}'", said), said


@pytest.mark.parametrize(("source", "function", "caller"), DECLARED)
def test_what_it_does_not_define_is_missed_by_the_linker(
    copy: Copy,
    compiled: dict[tuple[str, str], Future[str]],
    source: str,
    function: str,
    caller: str,
) -> None:
    def symbols(name: str, which: str) -> set[str]:
        command = ["nm", "-C", which, str(copy.root / name)]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return set(re.findall(r"^[0-9a-f ]*[A-Z] (.*ChannelScale.*)$", listed, re.MULTILINE))

    for key in ((source, ""), (caller, ""), (source, function)):
        compiled[key].result()
    (wanted,) = [
        symbol
        for symbol in symbols(object_of(caller), "--undefined-only")
        if re.search(rf"::{function}\(", symbol)
    ]
    assert wanted in symbols(object_of(source), "--defined-only")
    assert wanted not in symbols(object_of(source, function), "--defined-only")


def test_numpy_has_it(copy: Copy) -> None:
    script = f"""
import numpy as np
from eqnn import stages
from eqnn.model_file import Model
from eqnn.numpy_evaluator import run
from eqnn.stage_parts import Edges

assert stages.__file__.startswith({str(copy.root)!r})
def stage(op, output, inputs, weights, **attributes):
    return {{"op": op, "output": output, "inputs": inputs, "weights": weights, **attributes}}
graph = [
    stage("species_embedding", "x", {{}}, {{"table": "t"}}, l_max=1),
    stage({STAGE!r}, "y", {{"features": "x"}}, {{"0e": "s0", "1o": "s1"}}),
]
document = {{"species": [1, 8], "parity": "o3", "graph": graph}}
tensors = {{
    "t": np.array([[1.0, 2.0], [3.0, 4.0]]),
    "s0": np.array([10.0, -1.0]),
    "s1": np.array([5.0, 6.0]),
}}
none = Edges(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros((0, 3)))
y = run(Model(document, tensors, "example"), np.array([8, 1]), none)["y"]
assert y["0e"].tolist() == [[[30.0, -4.0]], [[10.0, -2.0]]], y
assert y["1o"].tolist() == np.zeros((2, 3, 2)).tolist(), y
"""
    environment = os.environ | {"PYTHONPATH": str(copy.root / "python")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_is_left_out_is_one_function() -> None:
    text = "struct A {\n  int f() const { return 0; }\n\n  void g(int x) {\n    x = 1;\n  }\n};\n"
    assert without(text, "f") == text.replace("  int f() const { return 0; }\n", "")
    assert without(text, "g") == text.replace("  void g(int x) {\n    x = 1;\n  }\n", "")
    with pytest.raises(AssertionError, match="h"):
        without(text, "h")
