# SPDX-License-Identifier: BSD-3-Clause
"""Stages in plain NumPy, one module each: the specification made executable.

A module has the names of its operations in a file, and their functions, in ``OPS``.
"""

from __future__ import annotations

from importlib import import_module

from eqnn.stage_parts import StageFunction

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

FUNCTION_OF: dict[str, StageFunction] = {
    op: function
    for stage in STAGES
    for op, function in import_module(f"{__name__}.{stage}").OPS.items()
}
"""By the operation's name in a file."""
