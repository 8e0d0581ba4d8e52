# SPDX-License-Identifier: BSD-3-Clause
"""The ``eqnn`` command before its libraries are there: Ctrl-C ends it without a traceback."""

from __future__ import annotations

import os
import signal
import sys

INTERRUPTED = 130  # as shells say it


def main() -> int:
    """Import the command, which takes a second, and run it."""
    # Libraries of C turn an interrupt while they are loaded into errors of their own.
    before = signal.getsignal(signal.SIGINT)
    is_heeded = before is not None and before is not signal.SIG_IGN
    if is_heeded:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
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
