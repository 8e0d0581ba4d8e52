# SPDX-License-Identifier: BSD-3-Clause
"""The command ``eqnn relax``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from eqnn.c_relax import OPTIMIZERS
from eqnn.errors import EqnnError
from eqnn.relaxation.jobs import read_input
from eqnn.relaxation.many import Settings
from eqnn.relaxation.report import text, write
from eqnn.relaxation.run import Plan, relax_all
from eqnn.status_line import INTERRUPTED, StatusLine, duration


def add_parser(commands: Any) -> None:
    """Add the command to those of argparse."""
    one = commands.add_parser(
        "relax",
        help="relax many structures",
        description="Relaxes molecules or cells, thousands in one run. See docs/relax.md.",
    )
    one.add_argument("model", type=Path, metavar="MODEL", help="a model file (.eqnn)")
    one.add_argument(
        "--input",
        nargs="+",
        type=Path,
        required=True,
        metavar="FILE",
        help="structures in any format that ASE reads, gzipped or not",
    )
    one.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="write records here, as extended XYZ; an interrupted run continues",
    )
    one.add_argument(
        "--optimizer",
        choices=OPTIMIZERS,
        default="lbfgs",
        help="ASE's LBFGS or FIRE; default: lbfgs",
    )
    one.add_argument(
        "--fmax", type=float, default=0.05, help="largest force on an atom, eV/A; default: 0.05"
    )
    one.add_argument(
        "--max-steps", type=int, default=500, help="most steps of a structure; default: 500"
    )
    one.add_argument("--cell", action="store_true", help="relax the cells of crystals too")
    one.add_argument(
        "--precision",
        choices=("double", "mixed", "single"),
        default="double",
        help="precision of the network; default: double",
    )
    one.add_argument("--reference", type=Path, metavar="FILE", help="minima of another method")
    one.add_argument("--id-key", metavar="KEY", help="key of the id in the files; default: id")
    one.add_argument(
        "--trajectories",
        type=Path,
        metavar="FOLDER",
        help="write a file with all steps of each structure",
    )
    one.add_argument(
        "--report",
        type=Path,
        metavar="FOLDER",
        help="write the page, result.json, tables and pictures here",
    )
    one.add_argument("--no-plots", action="store_true", help="draw no pictures")
    one.add_argument(
        "--atoms-at-once",
        type=int,
        default=0,
        metavar="N",
        help="atoms in one call of the engine; results do not depend on it",
    )
    one.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    settings = Settings(
        fmax=options.fmax,
        max_steps=options.max_steps,
        optimizer=options.optimizer,
        relax_cell=options.cell,
        atoms_at_once=options.atoms_at_once,
    )
    settings.require_valid(lambda name: "--" + name.replace("_", "-"))
    inputs = [*options.input, *([options.reference] if options.reference else [])]
    for path in inputs:
        if path.exists() and options.output.exists() and path.samefile(options.output):
            raise EqnnError(f"--output {options.output}: is an input too. Give another path.")
    teller = Teller()
    try:
        _relax(options, settings, teller)
    except KeyboardInterrupt:
        teller.end()
        said = "nothing is done yet"
        if options.output.exists():
            said = f"{options.output} keeps all that is done. The same command continues"
        print(f"eqnn: interrupted; {said}.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _relax(options: argparse.Namespace, settings: Settings, teller: Teller) -> None:
    given = read_input(options.input, options.reference, options.id_key)
    for line in given.references.lines():
        teller.say(f"--reference {options.reference}: {line}")
    plan = Plan(options.model, options.precision, settings, options.output, options.trajectories)
    result = relax_all(
        plan, given.jobs, references=given.references, said=teller.say, progress=teller
    )
    teller.end()
    print(text(result), end="")
    if options.report is not None:
        write(result, options.report, with_plots=not options.no_plots)
        print(f"Page: {options.report / 'report.html'}")


class Teller:
    """Prints progress and the remaining time to stderr."""

    def __init__(self) -> None:
        self._line = StatusLine()
        self._start = self._told = time.monotonic()

    def say(self, line: str) -> None:
        """Say a line of its own."""
        self.end()
        print(line, file=sys.stderr, flush=True)

    def __call__(self, done: int, total: int, n_evaluations: int) -> None:
        """Tell how many structures of this run are done."""
        now = time.monotonic()
        if done < total and not self._line.is_due(now - self._told):
            return
        self._told = now
        # Until the first are done, the number of steps of the others is unknown.
        left = f"{duration((total - done) * (now - self._start) / done)} left" if done else ""
        self._line.show(
            f"{done} of {total} structures, {n_evaluations} evaluations{left and ', '}{left}"
        )

    def end(self) -> None:
        """Begin a new line."""
        self._line.end()
