# SPDX-License-Identifier: BSD-3-Clause
"""The structs of include/eqnn/eqnn.h for relaxation, field by field."""

from __future__ import annotations

import ctypes
from typing import ClassVar

OPTIMIZERS = ("lbfgs", "fire")
# EQNN_CONVERGED, ... of include/eqnn/eqnn.h
STATUSES = ("converged", "max_steps", "nan", "exploded", "unknown_element", "invalid")

_double, _int, _size = ctypes.c_double, ctypes.c_int, ctypes.c_size_t
_doubles = ctypes.POINTER(ctypes.c_double)


class RelaxOptions(ctypes.Structure):
    """``eqnn_relax_options``."""

    _fields_: ClassVar = [
        ("optimizer", _int),
        ("fmax", _double),
        ("max_steps", _int),
        ("relax_cell", _int),
        ("exploded_force", _double),
        ("exploded_distance", _double),
        ("exploded_volume", _double),
        ("atoms_at_once", _int),
        ("lbfgs_memory", _int),
        ("lbfgs_damping", _double),
        ("lbfgs_alpha", _double),
        ("lbfgs_max_step", _double),
        ("fire_dt", _double),
        ("fire_max_step", _double),
        ("fire_dt_max", _double),
        ("fire_n_min", _int),
        ("fire_f_inc", _double),
        ("fire_f_dec", _double),
        ("fire_a_start", _double),
        ("fire_f_a", _double),
    ]


class Frame(ctypes.Structure):
    """``eqnn_frame``."""

    _fields_: ClassVar = [
        ("step", _int),
        ("n_atoms", _int),
        ("positions", _doubles),
        ("cell", _doubles),
        ("energy", _double),
        ("fmax", _double),
        ("forces", _doubles),
    ]


class Relaxed(ctypes.Structure):
    """``eqnn_relaxed``."""

    _fields_: ClassVar = [
        ("status", _int),
        ("reason", ctypes.c_char_p),
        ("last", Frame),
        ("first_energy", _double),
    ]


FINISHED = ctypes.CFUNCTYPE(_int, ctypes.c_void_p, _size, ctypes.POINTER(Relaxed))
FRAME = ctypes.CFUNCTYPE(_int, ctypes.c_void_p, _size, ctypes.POINTER(Frame))
PROGRESS = ctypes.CFUNCTYPE(_int, ctypes.c_void_p, _size, _size, _size)


class RelaxEvents(ctypes.Structure):
    """``eqnn_relax_events``."""

    _fields_: ClassVar = [
        ("context", ctypes.c_void_p),
        ("finished", FINISHED),
        ("frame", FRAME),
        ("progress", PROGRESS),
    ]
