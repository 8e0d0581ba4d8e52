# SPDX-License-Identifier: BSD-3-Clause
"""Exporters: one file for each upstream code, and their list."""

from eqnn.export import tdn
from eqnn.export.upstream import Upstream

UPSTREAMS: tuple[Upstream, ...] = (tdn.UPSTREAM,)

__all__ = ["UPSTREAMS", "Upstream"]
