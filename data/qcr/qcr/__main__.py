# SPDX-License-Identifier: BSD-3-Clause
"""``python -m qcr``: generate, status, build, check, frequencies, convert."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from qcr import frequencies, published
from qcr.build import build
from qcr.checks import check, dft_errors
from qcr.errors import QcrError
from qcr.molecules import SPLITS, wanted
from qcr.published import convert
from qcr.status import status


def _say(text: str) -> None:
    print(text, flush=True)


def _generate(options: argparse.Namespace) -> int:
    try:
        from qcr.generate import generate
    except ImportError as error:
        raise QcrError(
            f"cannot compute: {error}. "
            "`make dataset` sets up PySCF, RDKit, tblite and geomeTRIC and goes on."
        ) from error
    # ASE's Langevin keeps the center of mass; a start need not be exactly thermal.
    warnings.filterwarnings("ignore", message="The implementation of `fixcm=True`")
    order = wanted(options.split, options.first, options.molecules)
    generate(options.data, options.work, options.limit, _say, order)
    return 0  # a run that fails is a result


def _status(options: argparse.Namespace) -> int:
    _say(status(options.data, options.work))
    return 0


def _build(options: argparse.Namespace) -> int:
    _say(f"{build(options.data, options.work)} runs have more in {options.data}")
    return 0


def _check(options: argparse.Namespace) -> int:
    errors = check(options.data)
    if options.dft:
        errors += dft_errors(options.data, options.dft, options.seed)
    for error in errors:
        _say(error)
    _say(f"{options.data}: {len(errors)} errors" if errors else f"{options.data}: all is well")
    return 1 if errors else 0


def _frequencies(options: argparse.Namespace) -> int:
    n = frequencies.generate(options.data, options.output, _say)
    _say(f"{options.output}: {n} molecules")
    return 0


def _convert(options: argparse.Namespace) -> int:
    report = convert(options.lmdb, options.output, options.stages, options.atomization, _say)
    _say(f"{report.frames} frames of {report.records} records, {len(report.damaged)} damaged")
    return 1 if report.damaged else 0


def _at_least(smallest: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `smallest` on."""

    def read(text: str) -> int:
        try:
            found = int(text)
        except ValueError:
            found = smallest - 1
        if found < smallest:
            raise argparse.ArgumentTypeError(f"found {text}, expected a number from {smallest} on")
        return found

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m qcr", description=__doc__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.add_argument("--data", type=Path, default=Path("data/qcr-small"), help="the set")
        return one

    work = Path(".eqnn/qcr")
    generating = command("generate", "compute what the set does not have yet; stop it at any time")
    generating.add_argument("--work", type=Path, default=work, help="where runs are written")
    generating.add_argument("--limit", type=_at_least(1), help="stop after so many runs")
    generating.add_argument(
        "--split", nargs="+", choices=SPLITS, default=SPLITS, help="only molecules of these"
    )
    generating.add_argument(
        "--first", action="store_true", help="only the first relaxation of each molecule"
    )
    generating.add_argument(
        "--molecules", nargs="+", default=(), metavar="NAME", help="only these of molecules.csv"
    )
    generating.set_defaults(run=_generate)
    looking = command("status", "say how far the set is")
    looking.add_argument("--work", type=Path, default=work)
    looking.set_defaults(run=_status)
    building = command("build", "add finished runs to the set")
    building.add_argument("--work", type=Path, default=work)
    building.set_defaults(run=_build)
    checking = command("check", "check the set")
    checking.add_argument(
        "--dft", type=_at_least(0), default=0, metavar="N", help="compute N frames again"
    )
    checking.add_argument("--seed", type=_at_least(0), default=0, help="which N")
    checking.set_defaults(run=_check)
    vibrating = command("frequencies", "compute frequencies of the held-out molecules (PySCF)")
    vibrating.add_argument("--output", type=Path, default=Path("data/vibrations/frequencies.json"))
    vibrating.set_defaults(run=_frequencies)
    converting = commands.add_parser("convert", help="PubChemQCR's LMDB to extended XYZ")
    converting.add_argument("lmdb", type=Path, metavar="LMDB")
    converting.add_argument("output", type=Path, metavar="OUT.xyz.gz")
    converting.add_argument(
        "--stages", nargs="+", choices=published.STAGES, default=["DFT_1st", "DFT_2nd"]
    )
    converting.add_argument(
        "--atomization", action="store_true", help="energies minus those of the free atoms"
    )
    converting.set_defaults(run=_convert)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 1 if something is wrong."""
    options = _parser().parse_args(argv)
    try:
        result: int = options.run(options)
        return result
    except QcrError as error:
        print(f"qcr: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
