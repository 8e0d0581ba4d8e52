# SPDX-License-Identifier: BSD-3-Clause
"""`eqnn train`. JAX is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from eqnn.errors import EqnnError
from eqnn.train.config import read_config
from eqnn.train.memory import keep_freed_memory

INTERRUPTED = 130


def add_parser(commands: Any) -> None:
    """Add the command to those of `eqnn`."""
    one = commands.add_parser(
        "train",
        help="train or fine-tune a model file (needs JAX)",
        description="Trains the graph of a model file on DFT frames. The same command continues a "
        "run that was stopped or killed. See docs/train.md.",
    )
    one.add_argument(
        "config", type=Path, metavar="CONFIG.yaml", help="the configuration of the training"
    )
    one.add_argument(
        "--dry-run",
        action="store_true",
        help="read and check everything, and print what would be trained",
    )
    one.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    config = read_config(options.config)
    keep_freed_memory()
    try:
        from eqnn.train import fit
    except ImportError as error:
        raise EqnnError(
            f"training needs {error.name}, which is not installed here. Install it with "
            "`pip install 'eqnn[train]'`."
        ) from None
    if options.dry_run:
        print(fit.planned(config))
        return 0
    try:
        fit.train(config, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print("eqnn: interrupted. The same command continues.", file=sys.stderr)
        return INTERRUPTED
    return 0
