# SPDX-License-Identifier: BSD-3-Clause
"""``eqnn doctor``: finds what is wrong with an installation, and how to fix it."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

import eqnn
from eqnn import built, launch, library
from eqnn.check import SELF_TEST_TOLERANCE
from eqnn.errors import EqnnError, shortened
from eqnn.info import WIDTH
from eqnn.lammps import Lammps, ask, command, cores, environment, find_lammps
from eqnn.library import Potential

_MODEL = "mace_solvents.eqnn"
_SCRIPT = """units metal
region box block 0 9 0 9 0 9
create_box 3 box
mass * 1
create_atoms 1 single 1 1 1
create_atoms 2 single 2.1 1 1
pair_style eqnn
pair_coeff * * {model} H C O
run 0
"""


class State(Enum):
    """The state of a finding."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "BAD"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    about : str
    state : State
    text : str
        What was found, and the cure if it is bad.
    """

    about: str
    state: State
    text: str


def findings() -> Iterator[Finding]:
    """Run all checks. A failed check skips only those that depend on it."""
    yield from _library()
    yield _self_test()
    yield _threads()
    yield from _other_programs()
    yield _gpu()
    lammps = None
    try:
        lammps = ask(find_lammps())
    except EqnnError as error:
        yield Finding("LAMMPS", State.BAD, str(error))
    if lammps is not None:
        yield from _lammps(lammps)


def _library() -> Iterator[Finding]:
    try:
        path = built.find_built("libeqnn.so", "EQNN_LIBRARY")
        version = library.version()
    except EqnnError as error:
        yield Finding("library", State.BAD, str(error))
        return
    if version != eqnn.__version__:
        yield Finding(
            "library",
            State.BAD,
            f"{path} is of version {version}, this Python package of {eqnn.__version__}. "
            "Reinstall both.",
        )
        return
    yield Finding("library", State.GOOD, f"{path}, version {version}")
    levels = [] if built.in_clone() else built.engine_levels()
    if levels:
        used, best = built.engine_level(), next(filter(built.runs_here, levels))
        text = f"code for {used} is used, of {', '.join(levels)}"
        if used != best:
            text += f"; this one could run {best}: unset EQNN_LEVEL"
        yield Finding("processor", State.GOOD if used == best else State.NOTE, text)


def _self_test() -> Finding:
    about = "self-test"
    model = built.data_folder("potentials") / _MODEL
    try:
        for precision in ("double", "single"):
            with Potential(model, precision) as potential:
                *errors, _ = potential.self_test()
            largest = float(np.max(errors))  # returns NaN if there is one, unlike max()
            if not largest <= SELF_TEST_TOLERANCE[precision]:
                return Finding(
                    about,
                    State.BAD,
                    f"{_MODEL} in {precision} precision is {largest:.1e} eV/Angstrom off, expected "
                    f"at most {SELF_TEST_TOLERANCE[precision]:.0e}: this build gives wrong "
                    "results here.\nReport it with the processor and the compiler.",
                )
    except EqnnError as error:
        return Finding(about, State.BAD, str(error))
    return Finding(about, State.GOOD, f"{_MODEL} passes in double and single precision")


def _threads() -> Finding:
    said, here = os.environ.get("OMP_NUM_THREADS"), cores()
    if said is None:
        return Finding(
            "threads",
            State.NOTE,
            f"OMP_NUM_THREADS is not set: each process takes all {here} cores. With several "
            "ranks, set it to cores / ranks.",
        )
    if not said.isdigit() or int(said) < 1:
        return Finding(
            "threads",
            State.BAD,
            f"OMP_NUM_THREADS is {said!r}, expected a number of threads. Correct it, or unset it.",
        )
    if int(said) > here:
        return Finding(
            "threads",
            State.BAD,
            f"OMP_NUM_THREADS is {said}, and this process may use {here} cores: threads would wait "
            f"for each other. Set it to {here} or less.",
        )
    return Finding("threads", State.GOOD, f"OMP_NUM_THREADS is {said}, of {here} cores")


def _other_programs() -> Iterator[Finding]:
    n_other = launch.other_load()
    if launch.are_cores_busy(n_other):
        yield Finding(
            "cores",
            State.NOTE,
            f"other programs run {n_other} threads on the {cores()} cores of this process. `eqnn` "
            "lets its threads sleep while they wait.\nElsewhere (`lmp`, Python) set "
            "OMP_WAIT_POLICY=passive, or steps may take tens of times as long.",
        )


def _gpu() -> Finding:
    about, tool = "GPU", shutil.which("nvidia-smi")
    names = ""
    if tool:
        done = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=False,
        )
        names = ", ".join(done.stdout.split("\n")).strip(", ") if done.returncode == 0 else ""
    if not names:
        return Finding(about, State.GOOD, "none found, none needed")
    try:
        Potential(built.data_folder("potentials") / _MODEL, "single", device="gpu").close()
    except EqnnError as error:
        return Finding(about, State.NOTE, f"{names}; not used: {error}")
    return Finding(about, State.GOOD, f"{names}; this build has kernels for it")


def _lammps(lammps: Lammps) -> Iterator[Finding]:
    date = built.release_date(lammps.release)
    if "PLUGIN" not in lammps.packages:
        yield Finding(
            "LAMMPS",
            State.BAD,
            f"{lammps.path} of {date} lacks its PLUGIN package. Build it with -DPKG_PLUGIN=on "
            "-DBUILD_SHARED_LIBS=on, or install pip's.",
        )
        return
    yield Finding("LAMMPS", State.GOOD, f"{lammps.path}, {date}; {lammps.mpi or 'no MPI named'}")
    try:
        plugin = built.find_built("eqnnplugin.so", "EQNN_PLUGIN", lammps.release)
    except EqnnError as error:
        yield Finding("plugin", State.BAD, str(error))
        return
    alone = _try(lammps, plugin, 1)
    if alone is not None:
        yield Finding("plugin", State.BAD, alone)
        return
    yield Finding("plugin", State.GOOD, f"{plugin} loads and computes")
    together = _try(lammps, plugin, 2)
    if together is None:
        yield Finding("MPI", State.GOOD, "two ranks compute together")
    else:
        yield Finding("MPI", State.BAD, together)


def _try(lammps: Lammps, plugin: Path, ranks: int) -> str | None:
    """Run two atoms in LAMMPS; return the error."""
    model = built.data_folder("potentials") / _MODEL
    with tempfile.TemporaryDirectory() as folder:
        # LAMMPS drops what is not ASCII in a path.
        shutil.copyfile(model, Path(folder) / "model.eqnn")
        (Path(folder) / "in.doctor").write_text(_SCRIPT.format(model="model.eqnn"))
        try:
            line = command(lammps.path, ranks, ["-in", "in.doctor", "-log", "none"])
        except EqnnError as error:
            return str(error)
        done = subprocess.run(
            line,
            cwd=folder,
            env=environment(lammps.path, plugin) | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    text = done.stdout + done.stderr
    if done.returncode != 0:
        lines = [line for line in text.splitlines() if line.strip()]
        said = next((line for line in lines if "ERROR" in line), (lines or ["nothing"])[-1])
        return f"LAMMPS ended with code {done.returncode}: {shortened(said.strip(), 300)}"
    loops = re.findall(r"^Loop time of .* on (\d+) procs", text, re.MULTILINE)
    if loops != [str(ranks)]:
        return (
            f"{line[0]} -n {ranks} started {len(loops)} LAMMPS of {loops[0] if loops else 'no'} "
            f"rank each, expected one of {ranks}: it is another MPI's.\nPut the mpiexec of this "
            f"LAMMPS ({lammps.mpi or 'its MPI is not named'}) beside it, or first on PATH."
        )
    return None


def report(found: Finding) -> str:
    """Return the lines of a finding."""
    head = f"  {found.state.value:5}{found.about:11}"
    lines = [
        textwrap.fill(
            line,
            WIDTH,
            initial_indent=" " * 18,
            subsequent_indent=" " * 18,
            break_long_words=False,  # paths stay whole
            break_on_hyphens=False,
        )
        for line in found.text.split("\n")
    ]
    return head + "\n".join(lines)[18:]


def run(_: argparse.Namespace, look: Callable[[], Iterator[Finding]] = findings) -> int:
    """Print the findings; return 1 if something is bad."""
    print(f"eqnn {eqnn.__version__} in {built.PACKAGE}")
    states = []
    for found in look():
        print(report(found), flush=True)
        states.append(found.state)
    n_bad = states.count(State.BAD)
    print(f"{n_bad} of {len(states)} are bad." if n_bad else "Nothing is wrong.")
    return int(n_bad > 0)


def add_parser(commands: Any) -> None:
    """Add ``eqnn doctor``."""
    parser = commands.add_parser(
        "doctor",
        help="find out what is wrong with an installation, and how to fix it",
        description="Checks the library, the processor, threads, the GPU, LAMMPS, the plugin and "
        "MPI by running each of them.",
    )
    parser.set_defaults(run=run)
