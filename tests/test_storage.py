"""Files and folders that are written atomically, whenever the process is killed; JSON lines."""

import signal
import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY
from tfodhelper import errors, storage


def test_a_file_that_is_killed_in_the_middle_is_not_there(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    code = """
import os, signal, sys
from tfodhelper import storage
with storage.open_whole(sys.argv[1]) as file:
    file.write("half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "a.txt")]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == -signal.SIGKILL
    assert (tmp_path / "a.txt").read_text() == "old"


ANIMAL = storage.LineForm(
    content="an animal",
    expected='{"name", "legs"}',
    fix="count again",
    parse=lambda value: (value["name"], int(value["legs"])),
    error=errors.DatasetError,
)


def test_json_lines_are_read_one_by_one(tmp_path):
    path = tmp_path / "animals.jsonl"
    path.write_bytes('{"name": "Bär\u2028", "legs": 4}\r\n\n  \n{"name": "hen", "legs": "2"}'.encode())
    assert list(storage.read_json_lines(path, ANIMAL)) == [("Bär\u2028", 4), ("hen", 2)]
    assert list(storage.read_json_lines(path))[1] == {"name": "hen", "legs": "2"}
    assert list(storage.read_json_lines(path, ANIMAL, lambda line: "hen" in line)) == [("hen", 2)]
    path.write_bytes(b"")
    assert list(storage.read_json_lines(path, ANIMAL)) == []


@pytest.mark.parametrize(
    "line",
    [
        '{"name": "hen", "legs": 2',  # cut off: nobody was killed while this was written, so it is damage
        '["hen", 2]',
        '{"name": "hen"}',
        '{"name": "hen", "legs": "two"}',
        '{"name": "hen", "legs": null}',
        '{"name": "hen", "legs": Infinity}',
    ],
)
def test_a_line_of_another_form_is_an_error_that_says_all(tmp_path, line):
    path = tmp_path / "animals.jsonl"
    path.write_text('{"name": "bear", "legs": 4}\n\n' + line)
    lines = storage.read_json_lines(path, ANIMAL)
    assert next(lines) == ("bear", 4)
    with pytest.raises(errors.DatasetError, match=r"animals\.jsonl, line 3: does not hold an animal \(\w+: ") as info:
        next(lines)
    assert (info.value.expected, info.value.received, info.value.fix) == ('{"name", "legs"}', line, "count again")


def test_what_asks_for_lines_may_find_the_damage(tmp_path):
    (tmp_path / "a.jsonl").write_text("[1]\n[]\n")
    lines = storage.read_json_lines(tmp_path / "a.jsonl", ANIMAL, lambda line: line.index("1") < 0)
    with pytest.raises(errors.DatasetError, match=r"a\.jsonl, line 2: does not hold an animal"):
        list(lines)


def test_any_json_will_do_where_no_form_is_given(tmp_path):
    (tmp_path / "a.jsonl").write_text("1\n[2]\nnull\n{")
    lines = storage.read_json_lines(tmp_path / "a.jsonl")
    assert [next(lines) for _ in range(3)] == [1, [2], None]
    with pytest.raises(errors.StorageError, match=r"a\.jsonl, line 4: does not hold JSON(.|\n)*fix: "):
        next(lines)


def test_a_missing_file_and_bytes_that_are_no_text_are_named(tmp_path):
    with pytest.raises(errors.DatasetError, match=r"none\.jsonl: cannot be read(.|\n)*fix: count again"):
        list(storage.read_json_lines(tmp_path / "none.jsonl", ANIMAL))
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(errors.DatasetError, match=r"x\.jsonl: does not hold an animal(.|\n)*not UTF-8"):
        list(storage.read_json_lines(tmp_path / "x.jsonl", ANIMAL))
