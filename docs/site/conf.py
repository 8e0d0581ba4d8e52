# SPDX-License-Identifier: BSD-3-Clause
"""The documentation site: `make docs` builds it from the pages as they stand in the tree."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docutils.nodes import document, entry, literal
from sphinx import addnodes
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

project = "eqnn"
author = "The eqnn developers"
project_copyright = "2026, The eqnn developers"
release = version = (ROOT / "VERSION").read_text().strip()

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
]
root_doc = "docs/site/index"
include_patterns = [
    "*.md",
    "docs/**.md",
    "potentials/README.md",
    "data/*/README.md",
    "training/**README.md",
    "tests/golden/README.md",
]
exclude_patterns = [".eqnn", "**/README.template.md"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4
myst_fence_as_directive = ["math"]  # as GitHub writes formulas
myst_links_external_new_tab = True

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"  # else each list of a docstring has them all
autodoc_member_order = "bysource"
napoleon_numpy_docstring = True

highlight_language = "text"  # most blocks without a language are commands, not Python

html_theme = "furo"
html_title = f"eqnn {release}"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["site.css"]


def link_folders(app: Sphinx, tree: document) -> None:
    """Lead links to a folder of the tree to its README, or make them text where it has no page.

    What README.md says is included in another folder's page, so paths from the root are known too.
    """
    here = app.env.docname
    for node in list(tree.findall(addnodes.pending_xref)):
        if node["reftype"] != "myst" or node["refdomain"] == "doc":
            continue
        target = node["reftarget"].partition("#")[0]
        for base in (ROOT / app.env.doc2path(here, base=False), ROOT / "README.md"):
            path = (base.parent / target).resolve()
            if not target or not path.exists():
                continue
            page = path / "README" if path.is_dir() else path.with_suffix("")
            name = page.relative_to(ROOT).as_posix()
            if name in app.env.found_docs:
                link = addnodes.pending_xref(
                    "",
                    *node.children,
                    reftype="doc",
                    refdomain="std",
                    reftarget=f"/{name}",
                    refexplicit=True,
                    refdoc=here,
                    refwarn=True,
                )
                node.replace_self(link)
            else:
                node.replace_self(node.children)
            break


def mark_cells(app: Sphinx, tree: document) -> None:
    """Mark what must not be broken into lines in a table, and hashes, which may be (site.css)."""
    for cell in tree.findall(entry):
        if len(cell.astext()) <= 16:
            cell["classes"].append("short")
    for text in tree.findall(literal):
        if re.fullmatch("[0-9a-f]{64}", text.astext()):
            text["classes"].append("hash")


def setup(app: Sphinx) -> None:
    """Add what MyST and the theme lack."""
    app.connect("doctree-read", link_folders)
    app.connect("doctree-read", mark_cells)
