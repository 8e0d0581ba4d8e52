# SPDX-License-Identifier: BSD-3-Clause
"""The one exception type of these tools."""


class QcrError(Exception):
    """Says what was found, what was expected, where, and what to do, in at most two lines."""
