"""What steers a terminal or reorders a line is shown as an escape, wherever it comes from."""

import pickle
import sys

import pytest

from tfodhelper import console, errors, plain_text
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.label_map import parse_label_map
from tfodhelper.cli import main

ESCAPES = {
    "\x1b[2J": "\\x1b[2J",
    "a\rb": "a\\rb",
    "a\x07": "a\\x07",
    "\x9b31m": "\\x9b31m",
    "cat\u202egpj.exe": "cat\\u202egpj.exe",
    "\u2066x\u2069": "\\u2066x\\u2069",
    "a\u200bb\ufeff": "a\\u200bb\\ufeff",
    "\udcff": "\\udcff",
    "\U000e0041": "\\U000e0041",
    "a\u2028b": "a\\u2028b",
}
UNCHANGED = ("猫", "कुत्ता \u200d", "naïve", "👩\u200d🚒", "C:\\x", "a\tb\nc")


@pytest.mark.parametrize("text", ESCAPES)
def test_control_characters_are_escaped(text):
    assert plain_text.visible(text) == ESCAPES[text]
    assert plain_text.visible(ESCAPES[text]) == ESCAPES[text]


@pytest.mark.parametrize("text", UNCHANGED)
def test_scripts_of_the_world_stay(text):
    assert plain_text.visible(text) == text


def test_a_value_within_a_line_has_no_line_break():
    assert plain_text.one_line("a\nerror: b\tc") == "a\\nerror: b\\tc"
    assert plain_text.shorten("x" * 400, 10) == "x" * 10 + "... (390 more characters)"


def test_everything_that_is_printed_is_escaped(capsys, tmp_path):
    with console.process_log(tmp_path / "log"):
        console.say("one \x1b[31m")
        console.warn("two \u202e")
        console.say(console.format_table(("NAME",), [("three\n\x1b]0;",)]))
        with console.Progress("four \x9b", 1) as progress:
            progress.advance(text="\x1b[1A")
    printed = "".join(capsys.readouterr()) + (tmp_path / "log").read_text(encoding="utf-8")
    assert not set(printed) & set("\x1b\x9b\u202e")
    for part in ("one \\x1b[31m", "two \\u202e", "three\\n\\x1b]0;", "four \\x9b"):
        assert printed.count(part) == 2


def test_a_progress_line_on_a_terminal_is_escaped_but_for_its_own_control(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with console.Progress("x\x1b[1A", 1):
        pass
    assert capsys.readouterr().out.split("\x1b[2K")[1].startswith("x\\x1b[1A 0/1")


def test_errors_and_findings_are_escaped():
    error = errors.StorageError("a\x1b[2J", received="\u202e", fix="b\x00")
    assert str(error) == "a\\x1b[2J\n  received: \\u202e\n  fix: b\\x00"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    finding = Finding("xml-empty", "a\nb\x1b.xml", "is empty")
    assert finding.message.startswith("a\\nb\\x1b.xml: is empty")


def test_a_long_line_of_an_error_is_shortened():
    assert len(str(errors.StorageError("x" * 10**6))) < 6000
    assert len(Finding("xml-empty", "a.xml", "y" * 10**6).message) < 1000


def test_command_line_escapes_what_it_reports(capsys, monkeypatch):
    assert main.main(["zo\x1b[31m"]) == 2

    def fail(argv):
        raise ValueError("\x1b[2J \u202e")

    monkeypatch.setattr(main, "_dispatch", fail)
    assert main.main([]) == 70
    printed = capsys.readouterr().err
    assert "\x1b" not in printed and "\u202e" not in printed and "ValueError: \\x1b[2J \\u202e" in printed


def test_label_map_error_is_escaped():
    with pytest.raises(errors.AnnotationError) as caught:
        parse_label_map("item { id: 1 name: 'a\x1b[2J' } item { id: 1 name: 'b' }", "m\u202e.pbtxt")
    assert "\x1b" not in str(caught.value) and "\u202e" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("cat", 3),
        ("猫", 2),
        ("ねこ", 4),
        ("고양이", 6),
        ("\u1100\u1161", 2),
        ("é", 1),
        ("e\u0301", 1),
        ("🐈", 2),
        ("ｶ", 1),
        ("", 0),
    ],
)
def test_columns_that_a_text_takes(text, columns):
    assert plain_text.width(text) == columns
    assert plain_text.width(plain_text.pad(text, 7)) == 7


def test_a_table_with_wide_letters_is_aligned():
    lines = console.format_table(
        ("NAME", "n"), [("红灯 on", 5), ("e\u0301t", 10), ("cat", 300)], numbers=(1,)
    ).splitlines()
    assert len({plain_text.width(line) for line in lines}) == 1
    assert lines[2:] == ["红灯 on    5", "e\u0301t        10", "cat      300"]


@pytest.mark.parametrize(
    ("expected", "received", "shown"),
    [
        ("a.jpg", "b.jpg", ("a.jpg", "b.jpg")),
        ("猫.jpg", "犬.jpg", ("猫.jpg", "犬.jpg")),
        ("caf\u00e9.jpg", "cafe\u0301.jpg", ("caf\\xe9.jpg", "cafe\\u0301.jpg")),
        ("cat", "c\u0430t", ("cat", "c\\u0430t")),  # a Cyrillic letter
        ("A", "犬", ("A", "犬")),
        ("cafe", "caf\u00e9", ("cafe", "caf\u00e9")),
        ("cat", "cats\u0430", ("cat", "cats\u0430")),
        ("a b", "a\u00a0b", ("a b", "a\\xa0b")),
    ],
)
def test_texts_that_look_alike_are_told_apart(expected, received, shown):
    assert plain_text.tell_apart(expected, received) == shown
    assert (
        f"expected {shown[0]}; received {shown[1]}" in Finding("xml-empty", "f", "w", None, expected, received).message
    )
    assert f"received: {shown[1]}" in str(errors.DatasetError("x", expected=expected, received=received))
