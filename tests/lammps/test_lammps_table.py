# SPDX-License-Identifier: BSD-3-Clause
"""docs/lammps.md matches the tests."""

from __future__ import annotations

import pytest
from lmp import ROOT
from tried import rows, table


def test_the_table_is_that_of_the_tests(request: pytest.FixtureRequest) -> None:
    """Runs if the whole folder is collected; a part of it gives only a part of the table."""
    found = rows(request.session.items)
    text = (ROOT / "docs" / "lammps.md").read_text()
    files = {item.path.name for item in request.session.items}
    if files >= {path.name for path in (ROOT / "tests" / "lammps").glob("test_*.py")}:
        assert text == table(found), "run `make lammps-table`"
    for area, what, against in found:
        assert f"| {what} | {against} | " in text, f"{area}: run `make lammps-table`"
