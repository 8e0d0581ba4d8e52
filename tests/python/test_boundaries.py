# SPDX-License-Identifier: BSD-3-Clause
"""cmake/check_boundaries.py holds for this tree, and finds what it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "cmake" / "check_boundaries.py"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_boundaries_hold() -> None:
    done = check(ROOT)
    assert done.returncode == 0, done.stdout


FILE_HEADERS = ("graph_reader", "json_reader", "model_file", "safetensors", "stored_weights")


@pytest.mark.parametrize(
    ("file", "header", "said"),
    [
        ("include/eqnn/model.hpp", '"model/model_spec.hpp"', "include/eqnn may include itself"),
        ("include/eqnn/halo.hpp", "<Kokkos_Core.hpp>", "include/eqnn may include itself"),
        ("src/kernels/math.hpp", '"engine/engine.hpp"', "src/kernels includes 'engine/engine.hpp'"),
        ("src/engine/engine.cpp", "<Kokkos_Core.hpp>", "Kokkos belongs to src/kernels alone"),
        ("src/kernels/math.hpp", '"atom_kokkos.h"', "LAMMPS or MPI belongs to src/pair_style"),
        ("src/reference/evaluate.cpp", '"engine/energies.hpp"', "src/reference includes"),
        ("src/neighbors/neighbors.cpp", '"model/model_spec.hpp"', "src/neighbors includes"),
        ("src/pair_style/pair.cpp", '"engine/fold_edges.hpp"', "src/pair_style includes"),
        ("src/capi/eqnn.cpp", '"neighbors/lattice.hpp"', "src/capi includes"),
        *(
            (
                f"src/{folder}/some.cpp",
                f'"model/{header}.hpp"',
                f"src/{folder} includes 'model/{header}.hpp', which is src/model's own",
            )
            for folder in ("plan", "reference", "kernels", "engine", "self_test", "capi")
            for header in FILE_HEADERS
        ),
    ],
)
def test_what_may_not_be_included_is_named(
    tmp_path: Path, file: str, header: str, said: str
) -> None:
    for allowed, include in (
        ("include/eqnn/edges.hpp", "#include <vector>\n"),
        ("include/eqnn/eqnn.h", "#include <stddef.h>\n"),
        ("src/base/error.hpp", '#include "eqnn/error.hpp"\n'),
    ):
        (tmp_path / allowed).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / allowed).write_text(include)
    assert check(tmp_path).returncode == 0
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(f"#include {header}\n")
    done = check(tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path / file}:1:" in done.stdout and said in done.stdout
