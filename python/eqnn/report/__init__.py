# SPDX-License-Identifier: BSD-3-Clause
"""Reports that people look at: one HTML file with tables, pictures and thresholds.

A command fills tables (`Table`), judges numbers by scales (`Scale`), draws pictures (`drawing`,
`png`) and puts them on a page (`Page`). The same tables are text for a terminal and CSV for other
programs. Nothing here knows what was measured.
"""

from eqnn.report.page import Page, Section
from eqnn.report.picture import PALETTE, drawing, png
from eqnn.report.scale import Grade, Scale, worst
from eqnn.report.table import Cell, Column, Table, number

__all__ = [
    "PALETTE",
    "Cell",
    "Column",
    "Grade",
    "Page",
    "Scale",
    "Section",
    "Table",
    "drawing",
    "number",
    "png",
    "worst",
]
