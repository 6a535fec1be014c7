"""The site that Sphinx builds from these pages: `python -m sphinx -W docs build/docs`.

Nothing on the built pages is loaded from other places: fonts are those of the reader's machine, and the search is a
file next to the pages.
"""

import importlib
import json
import pathlib
import re
import sys

from myst_parser.parsers.sphinx_ import MystParser

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from tfodhelper.cli import flagging
from tfodhelper.cli import main as command_line
from tfodhelper.version import __version__

project = "tfodhelper"
release = __version__
language = "en"
copyright = "the authors of tfodhelper, Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".ipynb": "notebook"}
exclude_patterns = ["first_detector", ".ipynb_checkpoints"]  # of a notebook that was opened here
myst_heading_anchors = 3
highlight_language = "none"
default_role = "code"  # in docstrings, `x` is code
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"tfodhelper {release}"
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
html_static_path = ["static"]
html_css_files = ["pages.css"]


class NotebookParser(MystParser):
    """A notebook as a page: its text and its code, in order. Notebooks in the repository have no outputs."""

    supported = ("notebook",)

    def parse(self, inputstring, document):
        """Parses the JSON of a notebook."""
        super().parse("\n\n".join(map(_to_markdown, json.loads(inputstring)["cells"])), document)


def _to_markdown(cell):
    source = "".join(cell["source"])
    return source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"


def _add_help(app, docname, source):
    """Adds the help of every verb to the page of the command line."""
    if docname == "flags":
        source[0] += "\n".join(f"\n## {verb}\n\n```text\n{text}```\n" for verb, text in _helps())


def _helps(verbs=command_line.VERBS, prefix=""):
    for name, (path, _) in verbs.items():
        module, verb = importlib.import_module(path), prefix + name
        if hasattr(module, "VERBS"):
            yield from _helps(module.VERBS, f"{verb} ")
        else:
            yield verb, flagging.format_help(verb, module, flagging.make_flag_values(module))


def _mark_examples(app, what, name, obj, options, lines):
    """Marks the indented example of a docstring as code."""
    end = next(
        (i for i, line in enumerate(lines) if line in ("Args:", "Attributes:", "Returns:", "Raises:")), len(lines)
    )
    examples = [i for i, line in enumerate(lines[:end]) if line.startswith("    ") and not lines[i - 1]]
    lines[end:] = [_escape(line) for line in lines[end:]]
    for i in reversed(examples[:1]):
        lines[i:i] = ["::", ""]


def _escape(line):
    """A line of a section of a docstring, in which an asterisk is one, and code may be followed by a letter."""
    return re.sub(r"(`[^`]+`)(?=[=\w])", r"\1\\ ", line if "`" in line else line.replace("*", r"\*"))


def setup(app):
    """Called by Sphinx."""
    app.add_source_parser(NotebookParser)
    app.connect("source-read", _add_help)
    app.connect("autodoc-process-docstring", _mark_examples, priority=400)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
