# SPDX-License-Identifier: BSD-3-Clause
"""``eqnn examples``."""

from __future__ import annotations

from pathlib import Path

import pytest
from eqnn_models import ROOT

from eqnn import built
from eqnn.cli import main


def test_what_users_start_from_is_copied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["examples", str(tmp_path / "new")]) == 0
    said = capsys.readouterr().out
    copies = sorted(p for p in (tmp_path / "new").rglob("*") if p.is_file())
    inputs = tmp_path / "new" / "examples" / "lammps_inputs"
    assert said == (
        f"Copied {len(copies)} files into examples and potentials.\n"
        f"Run an input in its folder: cd {inputs}; eqnn lmp -in in.ethanol_mace\n"
    )
    names = {str(path.relative_to(tmp_path / "new")) for path in copies}
    assert {"potentials/organic_tdn.eqnn", "examples/data/held_out.xyz"} <= names
    assert {
        "examples/lammps_inputs/in.ethanol_mace",
        "examples/lammps_inputs/data.ethanol",
    } <= names
    for path in copies:
        assert path.read_bytes() == (ROOT / path.relative_to(tmp_path / "new")).read_bytes()


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["examples", str(tmp_path)])
    mine = tmp_path / "examples" / "lammps_inputs" / "in.ethanol_mace"
    mine.write_text("run 1\n")
    capsys.readouterr()
    assert main(["examples", str(tmp_path)]) == 0
    assert capsys.readouterr().out == (
        f"Copied 0 files into examples and potentials.\n"
        f"  {mine} is another file, and stays as it is.\n"
        f"Run an input in its folder: cd {mine.parent}; eqnn lmp -in in.ethanol_mace\n"
    )
    assert mine.read_text() == "run 1\n"


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "potentials").write_text("a file")
    assert main(["examples", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"eqnn: {tmp_path / 'potentials'}")
    assert said.endswith("cannot be written (File exists). Name another folder.\n")


def test_the_package_has_them_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As packaging/wheel installs them."""
    package = tmp_path / "package"
    for name in ("potentials/a.eqnn", "examples/lammps_inputs/in.a", "examples/data/a.xyz"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(name)
    monkeypatch.setattr(built, "in_clone", lambda: False)
    monkeypatch.setattr(built, "PACKAGE", package)
    assert main(["examples", str(tmp_path / "mine")]) == 0
    assert (tmp_path / "mine" / "potentials" / "a.eqnn").read_text() == "potentials/a.eqnn"
    assert len([p for p in (tmp_path / "mine").rglob("*") if p.is_file()]) == 3
