# SPDX-License-Identifier: BSD-3-Clause
"""A stage has one name in every room: Python's list against that of C++."""

from __future__ import annotations

import re
from importlib import import_module

from eqnn_models import ROOT

from eqnn.stages import FUNCTION_OF, STAGES


def stages_in_cpp(*kinds: str) -> list[str]:
    """Names in src/base/stages.hpp, in its order."""
    text = (ROOT / "src" / "base" / "stages.hpp").read_text()
    found = re.findall(rf"^ +(?:{'|'.join(kinds)})\(\w+, (\w+)\)", text, re.MULTILINE)
    assert found
    return found


def operations_in_cpp() -> set[str]:
    """Names in a file that the reader knows: of stages, and of older forms of some."""
    text = (ROOT / "src" / "model" / "graph_reader.cpp").read_text()
    older = re.findall(r'\{"(\w+)", &read_into_graph<', text)
    assert older
    return {*stages_in_cpp("FILE", "GRAPH"), *older}


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
