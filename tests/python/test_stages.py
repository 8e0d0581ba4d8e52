# SPDX-License-Identifier: BSD-3-Clause
"""A stage has one name in every room: Python's list against that of C++."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from eqnn_models import ROOT

from eqnn.stages import FUNCTION_OF, STAGES


def stages_in_cpp(*kinds: str) -> list[str]:
    """Names in src/base/stages.hpp, in its order."""
    text = (ROOT / "src" / "base" / "stages.hpp").read_text()
    found = re.findall(rf"^ +(?:{'|'.join(kinds)})\(\w+, (\w+)\)", text, re.MULTILINE)
    assert found
    return found


def operations_in_cpp() -> set[str]:
    """Names in a file that the reader knows: of stages, and of other forms of some."""
    other: set[str] = set()
    for path in (ROOT / "src" / "model" / "stages").glob("*.hpp"):
        for names in re.findall(r"kOtherNames\{([^}]*)\}", path.read_text()):
            other |= set(re.findall(r'"(\w+)"', names))
    assert other
    return {*stages_in_cpp("FILE", "GRAPH"), *other}


def test_the_reader_of_graphs_names_no_stage() -> None:
    """Each states its names itself: `find . -name 'NAME*'` lists all that a stage is."""
    text = (ROOT / "src" / "model" / "graph_reader.cpp").read_text()
    assert not operations_in_cpp() & set(re.findall(r'\{"(\w+)"', text))


def test_each_stage_of_a_file_is_a_module_and_no_other_is() -> None:
    assert list(STAGES) == stages_in_cpp("FILE", "GRAPH")
    files = {path.stem for path in (ROOT / "python" / "eqnn" / "stages").glob("*.py")}
    assert files - {"__init__"} == set(STAGES)


def test_each_operation_of_a_file_has_one_function() -> None:
    assert set(FUNCTION_OF) == operations_in_cpp()
    ops = [op for stage in STAGES for op in import_module(f"eqnn.stages.{stage}").OPS]
    assert len(ops) == len(set(ops))
    for stage in STAGES:
        assert stage in import_module(f"eqnn.stages.{stage}").OPS


PAGES = ROOT / "docs" / "spec" / "stages"
ROOMS = [ROOT / "src" / room / "stages" for room in ("model", "plan", "reference", "kernels")]
ROOMS += [ROOT / "python" / "eqnn" / "stages", ROOT / "python" / "eqnn" / "train" / "stages"]
ROOMS += [ROOT / "tests" / "stages"]


def stage_of(path: Path) -> str | None:
    """Whose a file is: NAME.* or, where a stage has more to a room than one file, NAME_part.*."""
    names = stages_in_cpp("FILE", "GRAPH", "KERNEL")
    whose = [name for name in names if path.stem == name or path.stem.startswith(f"{name}_")]
    return max(whose, key=len, default=None)


def test_each_stage_has_a_page_and_no_page_is_of_none() -> None:
    pages = {path.stem for path in PAGES.iterdir()}
    assert pages == set(stages_in_cpp("FILE", "GRAPH", "KERNEL"))


@pytest.mark.parametrize("stage", stages_in_cpp("FILE", "GRAPH", "KERNEL"))
def test_a_page_says_what_its_stage_is_and_where(stage: str) -> None:
    page = (PAGES / f"{stage}.md").read_text()
    kind = next(k for k in ("FILE", "GRAPH", "KERNEL") if stage in stages_in_cpp(k))
    assert page.startswith(f"# {stage}\n\nKind **{kind}**: ")
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert headings == ["Shapes", "Formula", "In the plan", "Adjoint", "Files"]
    # The names of its operations in a file, as Python's functions have them.
    ops = set() if kind == "KERNEL" else set(import_module(f"eqnn.stages.{stage}").OPS)
    assert set(re.findall(r'"op": "(\w+)"', page)) == ops
    linked = {(PAGES / link).resolve() for link in re.findall(r"\]\((\.\./\S+/stages/\S+)\)", page)}
    assert linked == {
        path for room in ROOMS for path in room.glob(f"{stage}*.*") if stage_of(path) == stage
    }


def test_no_file_of_a_room_is_of_no_stage() -> None:
    others = {path.name for room in ROOMS for path in room.iterdir() if stage_of(path) is None}
    assert others - {"__pycache__"} == {
        "__init__.py",
        "CMakeLists.txt",
        "stage_case.hpp",
        "stage_tests.cpp",
    }


def test_the_table_of_stages_is_what_the_pages_say(tmp_path: Path) -> None:
    def run(*words: str) -> tuple[int, str]:
        script = [sys.executable, str(ROOT / "cmake" / "stage_table.py"), *words]
        done = subprocess.run(script, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert run() == (0, "")
    shutil.copytree(ROOT / "docs" / "spec", tmp_path / "docs" / "spec")
    (tmp_path / "src" / "base").mkdir(parents=True)
    shutil.copy(ROOT / "src" / "base" / "stages.hpp", tmp_path / "src" / "base")
    page = tmp_path / "docs" / "spec" / "stages" / "add.md"
    page.write_text(page.read_text().replace("Kind", '`"op": "sum"`\n\nKind'))
    page.write_text(re.sub(r"## In the plan\n", "## In the plan\nNothing. ", page.read_text()))
    table = tmp_path / "docs" / "spec" / "model_file.md"
    said = f"{table}: the table of stages is not what the pages say: `make format` writes it\n"
    assert run(str(tmp_path)) == (1, said)
    before = table.read_text()
    assert run("--fix", str(tmp_path)) == (0, "")
    (changed,) = set(table.read_text().splitlines()) - set(before.splitlines())
    assert changed == "| `sum`, `add` | [add](stages/add.md) | FILE | Nothing |"
    assert run(str(tmp_path)) == (0, "")
    table.write_text(before.replace("<!-- end of the stages -->\n", ""))
    assert run("--fix", str(tmp_path)) == (
        1,
        f"{table}: no comments around the table of stages, expected\n"
        "<!-- stages: `make format` writes this table from the pages of the stages -->\n"
        "<!-- end of the stages -->\n",
    )
