# SPDX-License-Identifier: BSD-3-Clause
"""Benchmarks are built on demand: here they compile."""

from __future__ import annotations

import json
import shlex
import subprocess

import pytest
from eqnn_models import ROOT

BUILD = ROOT / ".eqnn" / "build" / "openmp"
# A source of ours that sees the kernels, as the benchmarks do.
LIKE = "tests/kernels/networks.cpp"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bench_couplings", "bench_model", "bench_products"])
def test_benchmark_compiles(name: str) -> None:
    """With the flags of the tests, but for what it is made into."""
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    (like,) = (c for c in commands if c["file"] == str(ROOT / LIKE))
    words = shlex.split(like["command"])
    del words[words.index("-o") : words.index("-o") + 2]
    del words[words.index("-c") : words.index("-c") + 2]
    done = subprocess.run(
        [*words, "-I", str(ROOT), "-fsyntax-only", str(ROOT / "bench" / f"{name}.cpp")],
        cwd=like["directory"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
