# SPDX-License-Identifier: BSD-3-Clause
"""docs/pair_eqnn.rst is docs/pair_eqnn.md in LAMMPS's form."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from eqnn_models import ROOT

SCRIPT = ROOT / "cmake" / "pair_eqnn_rst.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pair_eqnn_rst", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_that_of_the_manual() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_it_has_the_sections_of_a_page_of_lammps() -> None:
    lines = (ROOT / "docs" / "pair_eqnn.rst").read_text().splitlines()
    titles = {a for a, b in pairwise(lines) if b and set(b) == {'"'}}
    assert {"Syntax", "Examples", "Description", "Restrictions", "Related commands"} <= titles
    assert lines[0] == ".. index:: pair_style eqnn"


@pytest.mark.parametrize(
    ("markdown", "rst"),
    [
        ("# a `b`\n", "a ``b``\n=======\n"),
        ("[a\nb](c.md) *x* **y**\n", "a\nb *x* **y**\n"),
        ("[plugin](https://docs.lammps.org/plugin.html)\n", ":doc:`plugin <plugin>`\n"),
        ("[x](https://x.org)\n", "`x <https://x.org>`_\n"),
        ("<!-- m -->\n```\nrun 1\n```\n", ".. code-block:: LAMMPS\n\n   run 1\n"),
        (
            "| a | b |\n|---|---|\n| `c` | |\n",
            ".. list-table::\n   :header-rows: 1\n\n   * - a\n     - b\n   * - ``c``\n     -\n",
        ),
    ],
)
def test_what_is_converted(script: ModuleType, markdown: str, rst: str) -> None:
    assert script.converted(markdown) == script.HEAD + rst


def test_docutils_reads_it(tmp_path: Path) -> None:
    """With LAMMPS's roles and languages, which Sphinx has."""
    core = pytest.importorskip("docutils.core", reason="docutils: `make docs` has it")
    text = (ROOT / "docs" / "pair_eqnn.rst").read_text()
    for word in (".. index::", ":doc:"):
        text = text.replace(word, {".. index::": "..", ":doc:": ""}[word])
    text = text.replace(".. code-block:: LAMMPS", "::").replace(".. code-block:: bash", "::")
    settings = {"halt_level": 2, "report_level": 2, "output_encoding": "unicode"}
    assert "eqnn" in core.publish_string(text, settings_overrides=settings)
