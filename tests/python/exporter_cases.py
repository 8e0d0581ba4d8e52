# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints of every layout in tests/golden/exporters, and how each is exported."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from eqnn.export import UPSTREAMS
from eqnn.export.upstream import Log
from eqnn.model_file import Model

# By the name of its structures: upstream code, checkpoint, options.
EXPORTED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mace_gate_none": ("mace", "mace_gate_none.model", {}),
    "mace_so3": ("mace", "mace_so3.model", {}),
    "mace_soft": ("mace", "mace_soft.model", {}),
    "mace_agnesi_zbl": ("mace", "mace_agnesi_zbl.model", {}),
    "mace_density": ("mace", "mace_density.model", {}),
    "mace_density_agnesi_zbl": ("mace", "mace_density_agnesi_zbl.model", {}),
    "mace_density_two_heads": ("mace", "mace_density_two_heads.model", {"head": "b"}),
    "mace_nonlinear": ("mace", "mace_nonlinear.model", {}),
    "mace_nonlinear_two_heads": ("mace", "mace_nonlinear_two_heads.model", {"head": "b"}),
    "mace_joint.q0s1": ("mace", "mace_joint.model", {"charge": 0.0, "spin": 1.0}),
    "mace_joint.q-2s3": ("mace", "mace_joint.model", {"charge": -2.0, "spin": 3.0}),
    **{
        f"mace_{name}": ("mace", f"mace_{name}.model", {})
        for name in (
            *("tanh_output_cutoff", "abs_chebyshev", "correlation_4", "pseudo"),
            *("attention", "attention_output_cutoff"),
        )
    },
    "sevennet_growing": ("sevennet", "sevennet_growing.pth", {}),
    "sevennet_cueq": ("sevennet", "sevennet_cueq.pth", {}),
    "sevennet_ssp": ("sevennet", "sevennet_ssp.pth", {}),
    "nequip_nequip_0.14_plain": (
        "nequip",
        "nequip_nequip_0.14_plain.nequip.zip",
        {"energy_unit": "eV"},
    ),
    **{
        f"nequip_{name}": ("nequip", f"nequip_{name}.pth", {"energy_unit": "eV"})
        for name in ("norm", "norm_ssp", "ssp")
    },
    "mlip_mace": ("mlip", "mlip_mace.zip", {}),
    "mlip_mace_heads": ("mlip", "mlip_mace_heads.zip", {"head": "b"}),
    **{
        f"mlip_{name}": ("mlip", f"mlip_{name}.zip", {})
        for name in (
            *("gaunt", "gaunt_wide", "gaunt_messages", "gaunt_powers", "gaunt_linear"),
            *("mace_pseudo", "mace_gates", "mace_e3nn", "mace_soft", "mace_symmetric"),
        )
    },
    "mlip_nequip": ("mlip", "mlip_nequip.zip", {}),
    "mlip_nequip_heads": ("mlip", "mlip_nequip_heads.zip", {"head": "b"}),
    "sevennet_omni_univ": ("sevennet", "sevennet_omni_univ.pth", {"modality": "spice"}),
}
TOLD = ("data", "level_of_theory", "licence")


def quiet(line: str) -> None:
    """Swallow the exporter's report."""


def export(upstream: str, path: Path, *, log: Log = quiet, **more: Any) -> Model:
    """Export a checkpoint with these options, without self-tests."""
    keys = ("config", "species", "head", "modality", "energy_unit", "charge", "spin", *TOLD)
    options = Namespace(**(dict.fromkeys(keys) | {"checkpoint": path} | more))
    found = {one.name: one for one in UPSTREAMS}[upstream]
    return found.export(options, log)
