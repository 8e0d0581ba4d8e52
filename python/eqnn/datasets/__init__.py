# SPDX-License-Identifier: BSD-3-Clause
"""Data sets: how they are made, read and checked."""
