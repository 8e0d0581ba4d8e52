# SPDX-License-Identifier: BSD-3-Clause
"""Exporters: one file for each upstream code, and their list."""

from eqnn.export import mace, mace_gaunt, mlip, nequip, nequix, sevennet, tdn
from eqnn.export.upstream import Upstream

UPSTREAMS: tuple[Upstream, ...] = (
    tdn.UPSTREAM,
    mace.UPSTREAM,
    mace_gaunt.UPSTREAM,
    sevennet.UPSTREAM,
    nequix.UPSTREAM,
    nequip.UPSTREAM,
    mlip.UPSTREAM,
)

__all__ = ["UPSTREAMS", "Upstream"]
