# SPDX-License-Identifier: BSD-3-Clause
"""Runs a tutorial as a reader does: block after block, in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from eqnn_models import ROOT

FOLDER = ROOT / "docs" / "tutorials"
BLOCK = re.compile(r"(?:^<!-- (.*?) -->\n)?^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """A block of a page: a program, commands, or a file that the reader saves.

    Attributes
    ----------
    kind : str
        ``python``, ``shell``, or the file's name.
    text : str
    """

    kind: str
    text: str


def steps_of(name: str) -> list[Step]:
    """Return what a reader of a page does; blocks that are marked as not run are left out."""
    found = []
    for mark, language, text in BLOCK.findall((FOLDER / f"{name}.md").read_text()):
        if mark.startswith("not run by tests: "):
            continue
        kind = mark.removeprefix("file: ") if mark.startswith("file: ") else language or "shell"
        found.append(Step(kind, text))
    return found


def run_tutorial(name: str, folder: Path, changes: dict[str, str] | None = None) -> str:
    """Run a page in a folder from which the project's files are seen; return what it prints.

    Parameters
    ----------
    name : str
        Of the page.
    folder : Path
    changes : dict, optional
        Texts and what the test puts in their place: numbers that are too large for it.
    """
    for entry in ("data", "examples", "potentials"):
        (folder / entry).symlink_to(ROOT / entry)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "MPLBACKEND": "Agg"}
    printed = ""
    for step in steps_of(name):
        text = step.text
        for old, new in (changes or {}).items():
            text = text.replace(old, new)
        if step.kind not in ("python", "shell"):
            (folder / step.kind).write_text(text)
            continue
        program = [sys.executable, "-c"] if step.kind == "python" else ["bash", "-ec"]
        done = subprocess.run(
            [*program, text], cwd=folder, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        printed += done.stdout
    return printed
