"""The documentation site: `make docs` builds it, offline, and any warning is an error."""

from __future__ import annotations

from edgeseg.version import __version__

project = "edgeseg"
author = "the edgeseg authors"
project_copyright = "the edgeseg authors, Apache-2.0"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
root_doc = "index"

html_theme = "furo"
html_title = f"edgeseg {release}"
html_show_sourcelink = False
html_copy_source = False

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]

default_role = "code"  # docstrings write `names` between single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_class_signature = "mixed"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
nitpicky = False  # types of numpy and torch are not linked: the site is built without a network
