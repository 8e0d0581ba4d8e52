# SPDX-License-Identifier: BSD-3-Clause
"""Every page of docs/tutorials is run from its first block to its last."""

from __future__ import annotations

import re
from pathlib import Path

import ase.io
import pytest
from lmp import run_script
from tutorials import FOLDER, run_tutorial, steps_of

pytestmark = pytest.mark.no_kokkos("the pages use the plain pair style")


def test_each_page_has_a_test() -> None:
    """The first page's lines are run by test_lammps_documents.py, fine-tuning by tests/train."""
    assert {path.stem for path in FOLDER.glob("*.md")} == {
        *("mace_to_npt", "relax_many", "compare_with_dft", "fine_tune", "new_architecture", "gpu")
    }


def test_relaxing_many_molecules(tmp_path: Path) -> None:
    said = run_tutorial("relax_many", tmp_path, {"1000": "12"})
    assert len(re.findall(r"^ +converged +12\b", said, re.MULTILINE)) == 3
    assert {a.info["status"] for a in ase.io.iread(tmp_path / "relaxed.xyz")} == {"converged"}
    assert re.search(r"compared with a reference +12\b", said)
    assert (tmp_path / "report" / "report.html").is_file()


def test_comparing_with_dft(tmp_path: Path) -> None:
    said = run_tutorial("compare_with_dft", tmp_path)
    for name in ("organic_tdn", "nequix_mp_1", "tdn_3bpa_smooth", "tdn_3bpa_exact"):
        assert name in said
    assert re.search(r"^[\d.]+ meV/Angstrom$", said, re.MULTILINE)
    assert (tmp_path / "errors" / "report.html").is_file()


def test_a_new_architecture(tmp_path: Path) -> None:
    said = run_tutorial("new_architecture", tmp_path)
    assert "argon.eqnn" in said and "Verdict" in said
    done = run_script(tmp_path, (tmp_path / "in.argon").read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "self-test: " in done.stdout


def test_what_needs_a_gpu_is_marked() -> None:
    assert steps_of("gpu") == []
