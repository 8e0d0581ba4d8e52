# SPDX-License-Identifier: BSD-3-Clause
"""A progress line on stderr: overwritten on a terminal, one line each in a log."""

from __future__ import annotations

import sys

# Seconds between lines in a log, and on a terminal.
_EVERY = (10.0, 0.5)

INTERRUPTED = 130  # the status after Ctrl-C, as shells have it


class StatusLine:
    """Shows progress on stderr, at limited intervals."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._width = 0

    def is_due(self, seconds: float) -> bool:
        """Return whether enough time has passed since the last line."""
        return seconds >= _EVERY[self._is_terminal]

    def show(self, line: str) -> None:
        """Show a line; on a terminal, replace the last one."""
        if self._is_terminal:
            print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Begin a new line."""
        if self._width:
            print(file=sys.stderr)
        self._width = 0


def duration(seconds: float) -> str:
    """Format a time in seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
