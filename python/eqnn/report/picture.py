# SPDX-License-Identifier: BSD-3-Clause
"""Pictures as PNG, drawn by matplotlib where it is installed; no window, no global state."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eqnn.errors import EqnnError

# Okabe and Ito's colors, which color-blind people can distinguish, also in gray.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
_STYLE: Any = {  # matplotlib types the keys by their names
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "legend.frameon": False,
    "figure.facecolor": "white",
}
_DPI = 144


@contextmanager
def drawing(width: float = 6.4, height: float = 4.8) -> Iterator[Any]:
    """Yield a matplotlib figure in the reports' style, to draw on inside the ``with``.

    Parameters
    ----------
    width, height : float
        Inches, at 144 points each.

    Raises
    ------
    EqnnError
        If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise EqnnError(
            "plots need matplotlib, which is not installed here. Install it with "
            "`pip install 'eqnn[report]'`, or `pip install matplotlib`."
        ) from None
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def png(figure: Any) -> bytes:
    """Return a figure as PNG bytes without a date, so that equal figures have equal bytes."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI, metadata={"Software": None})
    return out.getvalue()
