"""Messages and findings in docs/troubleshooting.md are those of the program."""

import ast
import re

import pytest

import tfodhelper
from tests.docs import pages
from tests.shared_data import REPOSITORY
from tfodhelper.annotations import findings

PAGE = (pages.DOCS / "troubleshooting.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^|]+)` \|", PAGE, re.MULTILINE)
LEAST_LETTERS = 6  # of a message in the source; less would match anything


def templates():
    """Regular expressions of all texts in the package, with what is filled in as a wildcard."""
    found = set()
    for path in sorted((REPOSITORY / "tfodhelper").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = first_line(parts_of(node) or [])
            if len(re.findall("[a-zA-Z]", "".join(part or "" for part in parts))) >= LEAST_LETTERS:
                found.add("".join(".*" if part is None else re.escape(part) for part in parts))
    return [re.compile(template, re.DOTALL) for template in found]


def first_line(parts):
    """The parts up to the first line break."""
    for number, part in enumerate(parts):
        if part and "\n" in part:
            return [*parts[:number], part[: part.index("\n")]]
    return parts


def parts_of(node):
    """The parts of a text in the source, None for each that is filled in; None for what is not a text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return [part.value if isinstance(part, ast.Constant) else None for part in node.values]
    return None


@pytest.fixture(scope="module")
def known():
    return templates()


def is_said(message, known):
    """Whether the program has a text that becomes this message."""
    return any(template.fullmatch(message) for template in known)


MESSAGES = [row for row in ROWS if row not in findings.KINDS]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_one_of_the_program(message, known):
    assert is_said(message, known)


def test_invented_messages_are_found(known):
    assert tfodhelper.__version__ and len(MESSAGES) > 30
    for message in ["FOLDER: no images in sight", "step N: the loss is infinite", "FILE: is damaged beyond repair"]:
        assert not is_said(message, known)


def test_the_table_of_findings_is_complete():
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (\w+) \| ([\w ]+) \| (x?) ?\| (.*) \|$", PAGE, re.MULTILINE)
    expected = [
        (code, kind.severity, kind.action, "x" if kind.strict else "", kind.meaning)
        for code, kind in findings.KINDS.items()
    ]
    assert rows == expected
