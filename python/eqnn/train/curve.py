# SPDX-License-Identifier: BSD-3-Clause
"""The learning curve of a training as a picture. Needs no JAX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eqnn.report import PALETTE, drawing, png


def curve(rows: Sequence[dict[str, Any]]) -> bytes:
    """Draw losses, and errors of the validation frames, against epochs.

    Parameters
    ----------
    rows : sequence of dict
        Of `metrics.csv`.

    Returns
    -------
    bytes
        A PNG.
    """
    shown = [
        ("validation_energy_mae", "energy MAE (meV/atom)"),
        ("validation_forces_mae", "forces MAE (meV/Å)"),
        ("validation_stress_mae", "stress MAE (meV/Å³)"),
    ]
    shown = [(key, label) for key, label in shown if key in rows[-1]]
    with drawing(6.4, 2.6 * (1 + len(shown))) as figure:
        axes = figure.subplots(1 + len(shown), 1, sharex=True, squeeze=False)[:, 0]
        epochs = [row["epoch"] for row in rows]
        losses = [("train_loss", "training", 0), ("validation_loss", "validation", 1)]
        for key, label, color in losses:
            if key in rows[-1]:
                axes[0].plot(epochs, [r[key] for r in rows], color=PALETTE[color], label=label)
        axes[0].set_ylabel("loss")
        axes[0].legend()
        for axis, (key, label) in zip(axes[1:], shown, strict=True):
            axis.plot(epochs, [row[key] for row in rows], color=PALETTE[1])
            axis.set_ylabel(label)
        for axis in axes:
            if all(value > 0 for line in axis.get_lines() for value in line.get_ydata()):
                axis.set_yscale("log")
            second = [row["epoch"] for row in rows if row["stage"] == 2]
            if second and second[0] > 1:
                axis.axvline(second[0] - 0.5, color="0.6", linestyle=":", linewidth=1)
        axes[-1].set_xlabel("epoch")
        axes[-1].xaxis.get_major_locator().set_params(integer=True)
        return png(figure)
