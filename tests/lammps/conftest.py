# SPDX-License-Identifier: BSD-3-Clause
"""The table of what was tried: `pytest tests/lammps --lammps-table FILE` writes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tried import rows, table


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "tried(area, what, against): a row of docs/lammps.md")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--lammps-table", type=Path, help="write docs/lammps.md from the tests, if all pass"
    )


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    path: Path | None = session.config.getoption("--lammps-table")
    if path is not None and exitstatus == pytest.ExitCode.OK:
        path.write_text(table(rows(session.items)))
