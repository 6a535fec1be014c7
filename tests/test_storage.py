"""Files and folders that appear whole or not at all, whoever kills the process and whenever."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY
from tfodhelper import errors, storage


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def fill(folder):
    (folder / "inner").mkdir()
    (folder / "inner" / "a.txt").write_text("a")
    (folder / "b.txt").write_text("b")


FILLED = ["model", "model/b.txt", "model/inner", "model/inner/a.txt"]


def test_a_folder_has_its_name_when_the_block_has_ended_and_not_before(tmp_path):
    with storage.whole_folder(tmp_path / "out" / "model") as folder:
        fill(folder)
        assert not (tmp_path / "out" / "model").exists()
    assert files_below(tmp_path / "out") == FILLED


def test_an_empty_folder_is_replaced(tmp_path):
    (tmp_path / "model").mkdir()
    with storage.whole_folder(tmp_path / "model") as folder:
        fill(folder)
    assert files_below(tmp_path) == FILLED


def test_a_folder_is_named_from_where_the_process_stands_when_it_begins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with storage.whole_folder("model") as folder:
        fill(folder)
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert files_below(tmp_path) == ["elsewhere", *FILLED]


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
    assert files_below(tmp_path) == ["model", "model/mine.txt"]


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "in the meantime"])
def test_a_file_under_that_name_is_never_touched(tmp_path, is_late):
    if not is_late:
        (tmp_path / "model").write_text("mine")
    with pytest.raises(errors.StorageError, match="model: "), storage.whole_folder(tmp_path / "model") as folder:
        fill(folder)
        (tmp_path / "model").write_text("mine")
    assert files_below(tmp_path) == ["model"] and (tmp_path / "model").read_text() == "mine"


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), errors.ZooError("x")], ids=repr)
def test_a_block_that_fails_leaves_nothing(tmp_path, error):
    with pytest.raises(type(error)), storage.whole_folder(tmp_path / "model") as folder:
        fill(folder)
        raise error
    assert files_below(tmp_path) == []


def test_a_full_disk_is_said_in_words_and_leaves_nothing(tmp_path):
    full = pytest.raises(errors.StorageError, match="model: the disk is full")
    with full, storage.whole_folder(tmp_path / "model") as folder:
        fill(folder)
        raise OSError(errno.ENOSPC, "No space left on device")
    assert files_below(tmp_path) == []


def test_a_second_process_that_makes_the_same_folder_is_refused(tmp_path):
    code = "import sys; from tfodhelper import storage\nwith storage.whole_folder(sys.argv[1]): pass"
    with storage.whole_folder(tmp_path / "model") as folder:
        fill(folder)
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "model")], cwd=REPOSITORY, capture_output=True, text=True
        )
        assert done.returncode and "another process works in this folder" in done.stderr
    assert files_below(tmp_path) == FILLED


def test_everything_is_on_the_disk_before_the_folder_has_its_name(tmp_path, monkeypatch):
    (tmp_path / "original.txt").write_text("original")
    synced, sync = [], os.fsync

    def note(number):
        assert not (tmp_path / "model").exists()
        synced.append(os.readlink(f"/proc/self/fd/{number}").rpartition("/content")[2])
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
        assert files_below(path) == ["half.txt", "inner"]
        path = tmp_path / "other"
        (tmp_path / ".model.partial").rename(tmp_path / ".other.partial")
    else:
        assert not path.exists() or not list(path.iterdir())
    with storage.whole_folder(path) as folder:
        fill(folder)
    assert files_below(path) == ["b.txt", "inner", "inner/a.txt"]
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
