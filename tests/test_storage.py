"""Files and folders that are written atomically, whenever the process is killed; JSON lines."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from tests.files import list_all
from tests.shared_data import REPOSITORY
from tfodhelper import errors, storage


def fill(folder):
    (folder / "inner").mkdir()
    (folder / "inner" / "a.txt").write_text("a")
    (folder / "b.txt").write_text("b")


FILLED = ["model", "model/b.txt", "model/inner", "model/inner/a.txt"]


def test_a_folder_has_its_name_when_the_block_has_ended_and_not_before(tmp_path):
    with storage.whole_folder(tmp_path / "out" / "model") as folder:
        fill(folder)
        assert not (tmp_path / "out" / "model").exists()
    assert list_all(tmp_path / "out") == FILLED


def test_an_empty_folder_is_replaced(tmp_path):
    (tmp_path / "model").mkdir()
    with storage.whole_folder(tmp_path / "model") as folder:
        fill(folder)
    assert list_all(tmp_path) == FILLED


def test_a_folder_is_named_from_where_the_process_stands_when_it_begins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with storage.whole_folder("model") as folder:
        fill(folder)
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert list_all(tmp_path) == ["elsewhere", *FILLED]


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "in the meantime"])
def test_a_folder_that_holds_something_is_never_touched(tmp_path, is_late):
    def put():
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "mine.txt").write_text("mine")

    if not is_late:
        put()
    with (
        pytest.raises(errors.StorageError, match="model: .*not empty"),
        storage.whole_folder(tmp_path / "model") as new,
    ):
        fill(new)
        put()
    assert list_all(tmp_path) == ["model", "model/mine.txt"]


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "in the meantime"])
def test_a_file_under_that_name_is_never_touched(tmp_path, is_late):
    if not is_late:
        (tmp_path / "model").write_text("mine")
    with pytest.raises(errors.StorageError, match="model: "), storage.whole_folder(tmp_path / "model") as folder:
        fill(folder)
        (tmp_path / "model").write_text("mine")
    assert list_all(tmp_path) == ["model"] and (tmp_path / "model").read_text() == "mine"


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), errors.ZooError("x")], ids=repr)
def test_a_block_that_fails_leaves_nothing(tmp_path, error):
    with pytest.raises(type(error)), storage.whole_folder(tmp_path / "model") as folder:
        fill(folder)
        raise error
    assert list_all(tmp_path) == []


def test_a_full_disk_is_said_in_words_and_leaves_nothing(tmp_path):
    full = pytest.raises(errors.StorageError, match="model: the disk is full")
    with full, storage.whole_folder(tmp_path / "model") as folder:
        fill(folder)
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list_all(tmp_path) == []


def test_a_second_process_that_makes_the_same_folder_is_refused(tmp_path):
    code = "import sys; from tfodhelper import storage\nwith storage.whole_folder(sys.argv[1]): pass"
    with storage.whole_folder(tmp_path / "model") as folder:
        fill(folder)
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "model")], cwd=REPOSITORY, capture_output=True, text=True
        )
        assert done.returncode and "another process is using this folder" in done.stderr
    assert list_all(tmp_path) == FILLED


def test_everything_is_on_the_disk_before_the_folder_has_its_name(tmp_path, monkeypatch):
    (tmp_path / "original.txt").write_text("original")
    synced, sync = [], os.fsync

    def note(number):
        assert not (tmp_path / "model").exists()
        synced.append(os.readlink(f"/proc/self/fd/{number}").rpartition("/.model.partial")[2])
        sync(number)

    monkeypatch.setattr(os, "fsync", note)
    with storage.whole_folder(tmp_path / "model") as folder:
        fill(folder)
        (folder / "link.txt").symlink_to(tmp_path / "original.txt")  # belongs to somebody else
    assert sorted(synced) == ["", "/b.txt", "/inner", "/inner/a.txt"]
    assert (tmp_path / "model" / "link.txt").read_text() == "original"


# Where the process dies: while it fills the folder, on the way to the disk, just before and just after the renaming.
KILLED = """
import os, pathlib, signal, sys
from tfodhelper import storage
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
with storage.whole_folder(sys.argv[1]) as folder:
    (folder / "inner").mkdir()
    (folder / "half.txt").write_text("half")
    {patch}
"""
DEATHS = {
    "filling": "die()",
    "syncing": "os.fsync = die",
    "before the renaming": "os.replace = die",
    "after the renaming": "old = os.replace; os.replace = lambda *paths: (old(*paths), die())",
}


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("is_there", [False, True], ids=["new", "empty folder"])
def test_a_killed_process_leaves_nothing_under_the_name_and_the_next_one_clears_up(tmp_path, death, is_there):
    path = tmp_path / "model"
    if is_there:
        path.mkdir()
    command = [sys.executable, "-c", KILLED.format(patch=DEATHS[death]), str(path)]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == -signal.SIGKILL
    if death == "after the renaming":
        assert list_all(path) == ["half.txt", "inner"]
        path = tmp_path / "other"
    else:
        assert not path.exists() or not list(path.iterdir())
    with storage.whole_folder(path) as folder:
        fill(folder)
    assert list_all(path) == ["b.txt", "inner", "inner/a.txt"]
    assert not list(tmp_path.glob(".*"))


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
