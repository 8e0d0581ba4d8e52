# SPDX-License-Identifier: BSD-3-Clause
"""Relaxation of many structures: `eqnn.relax`, and the implementation of ``eqnn relax``."""

from eqnn.relaxation.many import Relaxed, Settings, relax

__all__ = ["Relaxed", "Settings", "relax"]
