# SPDX-License-Identifier: BSD-3-Clause
"""Settings of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field

from eqnn.evaluation.frame import Keys

PRECISIONS = ("double", "mixed", "single")


@dataclass(frozen=True)
class Settings:
    """Settings of an evaluation; the defaults are those of the command.

    Attributes
    ----------
    precision : str
        ``double``, ``mixed`` or ``single``.
    keys : Keys
        Where frames have their labels.
    worst : int
        How many of the worst frames to list for each model, by forces and by energy.
    through_lammps : int
        How many frames of each model LAMMPS evaluates too.
    sample : int
        How many frames of each set are drawn at random; 0: all.
    seed : int
        Of both draws.
    with_plots : bool
        Whether pictures are drawn into the output folder and the page.
    """

    precision: str = "double"
    keys: Keys = field(default_factory=Keys)
    worst: int = 5
    through_lammps: int = 0
    sample: int = 0
    seed: int = 0
    with_plots: bool = True
