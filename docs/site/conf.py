"""Sphinx's settings for the documents as a site; build.py beside it lays the sources out and runs it."""

project = "Campus energy trading"
author = "The campus energy trading maintainers"
copyright = "the campus energy trading maintainers, Apache-2.0"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
myst_heading_anchors = 6
nitpicky = True
html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sourcelink = False
