"""Notebooks as the site reads them: alternative texts of pictures, and captions."""

import re

import nbformat
from docutils import nodes

CAPTION = re.compile(r"Figure \d+\.\d+\.?$")


def read(text: str):
    """A notebook, with each cell's first stored {"image/png": {"alt": ...}} as that cell's option for images.

    `plots.show` stores the alternative text there; a cell shows one picture.
    """
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            alt = output.get("metadata", {}).get("image/png", {}).get("alt")
            if alt:
                options = cell.metadata.setdefault("mystnb", nbformat.NotebookNode())
                options.setdefault("image", nbformat.NotebookNode()).setdefault("alt", alt)
    return notebook


def mark_captions(app, doctree) -> None:
    """Paragraphs that begin with **Figure 1.2.** get a class of their own."""
    for paragraph in doctree.findall(nodes.paragraph):
        first = paragraph.children[0] if paragraph.children else None
        if isinstance(first, nodes.strong) and CAPTION.match(first.astext()):
            paragraph["classes"].append("figure-caption")


def setup(app):
    app.connect("doctree-read", mark_captions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
