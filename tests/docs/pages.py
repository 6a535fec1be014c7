"""The texts that users read: README.md and the pages of the site, with what is in them."""

import dataclasses
import json
import re

from tests.shared_data import REPOSITORY

DOCS = REPOSITORY / "docs"
NOTEBOOK = DOCS / "first_detector.ipynb"

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    language: str
    text: str


def page_paths():
    """README.md and all Markdown pages, sorted."""
    return [REPOSITORY / "README.md", *sorted(DOCS.glob("*.md"))]


def read_pages():
    """{name below the checkout: Markdown}; of the notebook, the cells that are text."""
    texts = {str(path.relative_to(REPOSITORY)): path.read_text(encoding="utf-8") for path in page_paths()}
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if NOTEBOOK.exists() else []
    markdown = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return texts | {str(NOTEBOOK.relative_to(REPOSITORY)): "\n\n".join(markdown)}


def find_blocks(name, text):
    """The fenced blocks of a page, as `Block`s."""
    return [Block(name, language.strip(), body) for language, body in _FENCE.findall(text)]


def find_inline_code(text):
    """The code inside of sentences and tables, with line breaks as spaces."""
    return [" ".join(code.split()) for code in _INLINE.findall(_FENCE.sub("", text))]


def find_commands(block_text):
    """The commands of a shell block that call this program, each as a list of words after the program's name."""
    return [
        match[1]
        for line in block_text.replace("\\\n", " ").splitlines()
        if (match := re.match(r"\s*(?:\$ )?(?:python3? -m )?tfodhelper (.*)", line))
    ]
