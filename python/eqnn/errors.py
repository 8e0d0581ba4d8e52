# SPDX-License-Identifier: BSD-3-Clause
"""The one exception type of the package."""


class EqnnError(Exception):
    """Says what was found, what was expected, where, and what to do, in at most two lines."""


class InvalidModelError(EqnnError):
    """A model that was built, rather than read, breaks a rule of the format.

    Attributes
    ----------
    reason : str
        Where and what, without the model's name and without a cure.
    """

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        # Who builds a model cannot export it again: that cure is for readers of a file.
        self.reason = (
            text.removeprefix(f"{name}: ").removesuffix("Re-export the model.").strip(" .")
        )


def one_line(error: BaseException, length: int = 120, *, named: bool = True) -> str:
    """Text of a foreign error in one line, cut where it is long, after its name."""
    text = " ".join(str(error).split())[:length]
    return f"{type(error).__name__}: {text}" if named else text
