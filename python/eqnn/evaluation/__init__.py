# SPDX-License-Identifier: BSD-3-Clause
"""Judges potentials against DFT: ``eqnn evaluate`` and `eqnn.evaluate`."""

from eqnn.evaluation.frame import Keys, Kind, Problem
from eqnn.evaluation.result import Evaluation, ModelResult
from eqnn.evaluation.run import evaluate
from eqnn.evaluation.settings import Settings

__all__ = ["Evaluation", "Keys", "Kind", "ModelResult", "Problem", "Settings", "evaluate"]
