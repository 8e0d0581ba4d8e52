# SPDX-License-Identifier: BSD-3-Clause
"""The one exception type of the package."""


class EqnnError(Exception):
    """Says what was found, what was expected, where, and what to do, in at most two lines."""


def one_line(error: BaseException, length: int = 120, *, named: bool = True) -> str:
    """Text of a foreign error in one line, cut where it is long, after its name."""
    text = " ".join(str(error).split())[:length]
    return f"{type(error).__name__}: {text}" if named else text
