# SPDX-License-Identifier: BSD-3-Clause
"""Starts the ``eqnn`` command: sets up Ctrl-C and OpenMP's threads before libraries load."""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from collections.abc import MutableMapping
from pathlib import Path

INTERRUPTED = 130  # as shells say it

# Linux: "0.20 0.18 0.12 3/80 11206", of which the 3 counts the threads that run or could run.
_LOAD = Path("/proc/loadavg")
# With more than this part of the cores in use, our threads would wait for some of each other.
_BUSY_PART = 0.25


def other_load() -> int:
    """Return how many threads of other programs want a core now; 0 if this is unknown."""
    counts = []
    try:
        for _ in range(5):
            counts.append(int(_LOAD.read_text().split()[3].split("/")[0]))
            time.sleep(0.002)
    except (OSError, IndexError, ValueError):
        return 0
    return max(0, round(statistics.median(counts)) - 1)  # one is ours


def are_cores_busy(n_other: int) -> bool:
    """Return whether threads of other programs use so many cores that ours should sleep."""
    return n_other > _BUSY_PART * len(os.sched_getaffinity(0))


def let_threads_sleep(environment: MutableMapping[str, str]) -> None:
    """Let OpenMP's threads sleep while they wait for each other, if other programs use the cores.

    They spin by default. On shared cores, a spinning thread may keep the thread that it waits for
    from running, and steps may take tens of times as long. Settings by the user are kept.

    Parameters
    ----------
    environment : mutable mapping of str to str
        OpenMP reads it when it is loaded.
    """
    if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & environment.keys():
        return
    if are_cores_busy(other_load()):
        environment["OMP_WAIT_POLICY"] = "passive"


def main() -> int:
    """Import the command, which takes a second, and run it."""
    # Libraries of C turn an interrupt while they are loaded into errors of their own.
    before = signal.getsignal(signal.SIGINT)
    is_heeded = before is not None and before is not signal.SIG_IGN
    if is_heeded:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    let_threads_sleep(os.environ)
    from eqnn import cli

    if is_heeded:
        signal.signal(signal.SIGINT, before)
    try:
        return cli.main()
    except KeyboardInterrupt:
        print("eqnn: stopped by Ctrl-C.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
