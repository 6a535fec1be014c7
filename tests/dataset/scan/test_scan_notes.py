"""Notes that were cut, edited or made up are not used, and nothing else happens."""

import json

import pytest

from tfodhelper.dataset.scan import scan_notes

IDENTITY = {"data_dir": "x"}
LINES = [json.dumps([f"{name}.xml", [["a.jpg", 1, 2]]]).encode() + b"\n" for name in "abc"]


def write(path, lines, identity=IDENTITY):
    with open(path, "wb") as file:
        scan_notes.write_sealed(file, [scan_notes.head_of(identity), *lines])
    return str(path)


def test_lines_are_found_where_they_are(tmp_path):
    path = write(tmp_path / "notes", LINES)
    notes = scan_notes.read_notes(path, IDENTITY)
    for name, line in zip("abc", LINES, strict=True):
        _, offset, length = notes.location_of(f"{name}.xml")
        assert (tmp_path / "notes").read_bytes()[offset : offset + length] == line
    assert notes.location_of("d.xml") is None


@pytest.mark.parametrize(
    "line",
    [b"[" * 200_000 + b"]\n", b'["a.xml"' + b",[" * 200_000 + b"]\n", b"{}\n", b"[3]\n", b"\xff\n", b'["a.xml", 1\n'],
    ids=["deep", "deep behind a name", "object", "number", "no ASCII", "cut"],
)
def test_lines_of_another_form_are_not_used(tmp_path, line):
    notes = scan_notes.read_notes(write(tmp_path / "notes", [*LINES, line]), IDENTITY)
    assert notes is None or notes.location_of("a.xml") is not None


@pytest.mark.parametrize("change", [lambda d: d[:-3], lambda d: d.replace(b"a.jpg", b"b.jpg"), lambda d: d + b"x"])
def test_changed_notes_are_not_used(tmp_path, change):
    path = tmp_path / "notes"
    write(path, LINES)
    path.write_bytes(change(path.read_bytes()))
    assert scan_notes.read_notes(str(path), IDENTITY) is None
    assert scan_notes.read_notes(write(path, LINES, {"data_dir": "y"}), IDENTITY) is None
