# SPDX-License-Identifier: BSD-3-Clause
"""Options: the table of tested features, and which LAMMPS to test.

`pytest tests/lammps --lammps-table FILE` writes the table. With `--lammps-kk openmp` or `serial`
the tests run in the LAMMPS of `make kokkos`, each style with the suffix /kk.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tried import rows, table


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "tried(area, what, against): a row of docs/lammps.md")
    config.addinivalue_line("markers", "no_kokkos(reason): not with --lammps-kk")
    config.addinivalue_line("markers", "kokkos: with --lammps-kk only")
    os.environ["EQNN_LAMMPS_WORDS"] = config.getoption("--lammps-words")
    # before lmp.py is imported, which reads them
    space: str | None = config.getoption("--lammps-kk")
    if space is not None:
        os.environ["EQNN_LAMMPS_KOKKOS"] = space


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--lammps-table", type=Path, help="write docs/lammps.md from the tests, if all pass"
    )
    parser.addoption(
        "--lammps-words",
        default="",
        help='words that every pair_style eqnn gets: "edges device" takes the way of a GPU',
    )
    parser.addoption(
        "--lammps-kk",
        choices=("openmp", "serial"),
        help="run the LAMMPS with the KOKKOS package of `make kokkos`, with -sf kk",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    is_kokkos = config.getoption("--lammps-kk") is not None
    for item in items:
        without = item.get_closest_marker("no_kokkos")
        if is_kokkos and without is not None:
            item.add_marker(pytest.mark.skip(reason=without.args[0]))
        if not is_kokkos and item.get_closest_marker("kokkos") is not None:
            item.add_marker(
                pytest.mark.skip(reason="run by `make kokkos`, which builds its LAMMPS")
            )


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    path: Path | None = session.config.getoption("--lammps-table")
    if path is not None and exitstatus == pytest.ExitCode.OK:
        path.write_text(table(rows(session.items)))
