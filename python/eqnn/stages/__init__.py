# SPDX-License-Identifier: BSD-3-Clause
"""Stages in plain NumPy, one module each: the specification made executable.

A module has the names of its operations in a file, and their functions, in ``OPS``. If some have
weights with a row for each element, ``SPECIES_TABLES`` names these.
"""

from __future__ import annotations

from importlib import import_module

from eqnn.stage_parts import SpeciesTables, StageFunction

# The only list in Python; that of C++ is src/base/stages.hpp.
STAGES = (
    "spherical_harmonics",
    "edge_matrix",
    "radial",
    "species_embedding",
    "degree_embedding",
    "add",
    "linear",
    "equivariant_norm",
    "rms_norm",
    "divide",
    "norm_activation",
    "gate",
    "edge_attention",
    "edge_tensor_product",
    "edge_network_product",
    "gaunt_convolution",
    "cp_convolution",
    "symmetric_contraction",
    "sphere_polynomial",
    "gaunt_product",
    "zbl",
    "readout",
    "direct_forces",
    "energy",
)

_MODULES = [import_module(f"{__name__}.{stage}") for stage in STAGES]

FUNCTION_OF: dict[str, StageFunction] = {
    op: function for module in _MODULES for op, function in module.OPS.items()
}
"""By the operation's name in a file."""

SPECIES_TABLES: dict[str, SpeciesTables] = {
    op: tables
    for module in _MODULES
    for op, tables in getattr(module, "SPECIES_TABLES", {}).items()
}
"""By the operation's name; operations without such tables are not in it."""
