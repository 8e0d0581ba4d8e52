# SPDX-License-Identifier: BSD-3-Clause
"""Exporters: one file for each upstream code."""
