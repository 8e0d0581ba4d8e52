# SPDX-License-Identifier: BSD-3-Clause
"""The command ``eqnn evaluate``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from eqnn.evaluation.frame import Keys
from eqnn.evaluation.run import evaluate
from eqnn.evaluation.settings import PRECISIONS, Settings
from eqnn.evaluation.text import text
from eqnn.status_line import INTERRUPTED, StatusLine, duration


def add_parser(commands: Any) -> None:
    """Add the command to those of argparse."""
    one = commands.add_parser(
        "evaluate",
        help="compare models with DFT",
        description="Computes errors of energies, forces and stresses against DFT. See "
        "docs/evaluate.md.",
    )
    one.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="model files (.eqnn)")
    one.add_argument(
        "--data",
        nargs="+",
        type=Path,
        required=True,
        metavar="FILE",
        help="DFT frames in any format that ASE reads, gzipped or not, or LMDB of PubChemQCR",
    )
    one.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="write the page, result.json, tables and pictures here; an interrupted run continues",
    )
    one.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="double",
        help="precision of the network; default: double",
    )
    one.add_argument(
        "--through-lammps",
        type=_count,
        default=0,
        metavar="N",
        help="evaluate N random frames in LAMMPS too, and print the largest difference",
    )
    one.add_argument(
        "--sample",
        type=_count,
        default=0,
        metavar="N",
        help="use N random frames of each file, for sets larger than memory",
    )
    one.add_argument(
        "--seed", type=_count, default=0, help="seed of both random choices; default: 0"
    )
    one.add_argument(
        "--worst",
        type=_count,
        default=5,
        metavar="N",
        help="worst frames to list, by forces and by energy; default: 5",
    )
    for what in ("energy", "forces", "stress"):
        one.add_argument(f"--{what}-key", metavar="KEY", help=f"name of the {what} in the files")
    one.add_argument("--no-plots", action="store_true", help="draw no pictures")
    one.set_defaults(run=_run)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number of at least 0")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    settings = Settings(
        precision=options.precision,
        keys=Keys(options.energy_key, options.forces_key, options.stress_key),
        worst=options.worst,
        through_lammps=options.through_lammps,
        sample=options.sample,
        seed=options.seed,
        with_plots=not options.no_plots,
    )
    teller = Teller()
    try:
        return _evaluate(options, settings, teller)
    except KeyboardInterrupt:
        teller.end()
        said = "nothing is kept without --output"
        if options.output is not None:
            said = f"{options.output} keeps all predictions. The same command continues"
        print(f"eqnn: interrupted; {said}.", file=sys.stderr)
        return INTERRUPTED


def _evaluate(options: argparse.Namespace, settings: Settings, teller: Teller) -> int:
    found = evaluate(
        options.models, options.data, output=options.output, settings=settings, progress=teller
    )
    teller.end()
    print(text(found), end="")
    if options.output is not None:
        print(f"Page: {options.output / 'report.html'}")
    return 0 if found.is_complete else 1


class Teller:
    """Prints progress and the remaining time to stderr."""

    def __init__(self) -> None:
        self._line = StatusLine()
        self._name = ""
        self._start = self._told = 0.0
        self._before = 0

    def __call__(self, name: str, done: int, total: int) -> None:
        """Report progress: atoms done of all for a model, or frames read of 0 while reading."""
        now = time.monotonic()
        if name != self._name:
            self.end()
            self._name, self._start, self._told = name, now, now
            self._before = done  # the start of the first call is not known
            return
        if done != total and not self._line.is_due(now - self._told):
            return
        self._told = now
        line = f"{name}: {done} frames"
        if total > 0:
            left = (total - done) * (now - self._start) / max(done - self._before, 1)
            said = f"{100 * done // total} %, {duration(left)} left"
            line = f"{name}: {done} of {total} atoms, {said}"
        self._line.show(line)

    def end(self) -> None:
        """Begin a new line."""
        self._line.end()
