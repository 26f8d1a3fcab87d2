# SPDX-License-Identifier: Apache-2.0
"""How the documentation site is built: ``make site``; every warning is an error."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "ssma_ros"
author = "the ssma_ros maintainers"
project_copyright = "the ssma_ros maintainers, Apache-2.0"
version = release = runpy.run_path(str(PROJECT / "ssma_ros" / "version.py"))["__version__"]

extensions = [
    "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "sphinx.ext.viewcode",
    "sphinxarg.ext", "sphinx_copybutton",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
# A short name in a type, such as Options, is that of several modules; the link goes to the first.
# Generated tables begin with small headings.
suppress_warnings = ["ref.python", "myst.header", "myst.domains"]

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False

html_theme = "furo"
html_title = f"ssma_ros {version}"
html_show_sourcelink = False

#: Pages that stand at the top of the repository, and where the site shows them.
TOP_PAGES = {
    "CONTRIBUTING.md": "contributing", "SECURITY.md": "security", "QUALITY_DECLARATION.md": "quality_declaration",
}


def take_top_pages(_app: Sphinx, name: str, source: list[str]) -> None:
    """Put the top pages' text in place of their stand-ins, and lead links to them there."""
    up = "../" * (name.count("/") + 1)
    for file, page in TOP_PAGES.items():
        if page == name:
            source[0] = (PROJECT / file).read_text(encoding="utf-8").replace("](docs/", "](")
    for file, page in TOP_PAGES.items():
        beside = "" if name in TOP_PAGES.values() else up
        source[0] = source[0].replace(f"]({beside}{file}", f"]({up[3:]}{page}.md")


def setup(app: Sphinx) -> None:
    """What Sphinx calls first."""
    app.connect("source-read", take_top_pages)
