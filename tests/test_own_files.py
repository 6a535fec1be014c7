"""Links in the places where this program writes, file systems without locks, and what dead processes left."""

import errno
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY
from tfodhelper import console, errors, own_files, storage


@pytest.fixture
def mine(tmp_path):
    """A file that must not be changed."""
    path = tmp_path / "mine.txt"
    path.write_text("mine")
    yield path
    assert path.read_text() == "mine"


def write_log(folder):
    with console.process_log(folder / "process.log"):
        console.say("hello")


def hold(folder):
    with storage.hold(folder):
        pass


@pytest.mark.parametrize(("name", "write"), [(".lock", hold), ("process.log", write_log)])
@pytest.mark.parametrize("kind", ["link", "link to nowhere", "pipe", "folder"])
def test_nothing_is_written_through_what_is_not_a_file(tmp_path, mine, name, write, kind):
    folder = tmp_path / "out"
    folder.mkdir()
    if kind == "pipe":
        os.mkfifo(folder / name)
    elif kind == "folder":
        (folder / name).mkdir()
    else:
        (folder / name).symlink_to(mine if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(errors.StorageError, match="link" if "link" in kind else "not a regular file|directory"):
        write(folder)
    assert not (tmp_path / "nowhere").exists()


def test_a_link_that_appears_later_is_not_followed_either(tmp_path, mine):
    with console.process_log(tmp_path / "process.log") as path:
        path.unlink()
        path.symlink_to(mine)
        with pytest.raises(errors.StorageError, match="symbolic link"):
            console.say("hello")


def test_a_lock_does_not_empty_a_file_of_somebody_else(tmp_path, mine):
    (tmp_path / "out").mkdir()
    os.link(mine, tmp_path / "out" / ".lock")
    hold(tmp_path / "out")


def test_a_lock_names_the_process(tmp_path):
    for _ in range(2):
        hold(tmp_path)
        assert (tmp_path / ".lock").read_text() == f"process {os.getpid()}\n"


@pytest.mark.parametrize("number", range(3))
def test_a_link_under_the_temporary_name_is_removed_and_not_followed(tmp_path, mine, number):
    (tmp_path / f".a.txt.{os.getpid() + number}.tmp").symlink_to(mine)
    storage.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new" and not (tmp_path / "a.txt").is_symlink()


def test_two_files_of_one_name_are_written_side_by_side(tmp_path):
    with storage.open_whole(tmp_path / "a.txt") as first, storage.open_whole(tmp_path / "a.txt") as second:
        first.write("first")
        second.write("second")
    assert (tmp_path / "a.txt").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("name", ["n" * 251 + ".txt", "ü" * 125 + ".txt"])
def test_the_longest_names_can_be_written(tmp_path, name):
    storage.write_text(tmp_path / name, "long")
    assert [path.name for path in tmp_path.iterdir()] == [name]


# Leftovers

KILLED = """
import os, signal, sys
from tfodhelper import own_files, storage
kept = own_files.TemporaryFolder(sys.argv[1])
with storage.open_whole(sys.argv[1] + "/a.txt") as file:
    print("ready", flush=True)
    {then}
"""


def begin(folder, then):
    code = [sys.executable, "-c", KILLED.format(then=then), str(folder)]
    process = subprocess.Popen(code, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    return process


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path):
    with begin(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)") as process:
        assert process.wait() == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    storage.make_folder(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_a_live_process_uses_stays(tmp_path):
    with begin(tmp_path, "sys.stdin.read()") as process:
        before = sorted(tmp_path.iterdir())
        assert len(before) == 2
        storage.make_folder(tmp_path)
        own_files.TemporaryFolder(tmp_path).remove()
        assert sorted(tmp_path.iterdir()) == before
        process.stdin.close()
        assert process.wait() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_files_with_similar_names_are_not_ours(tmp_path):
    names = ["tfodhelper-results", "tfodhelper-12345678", ".a.tmp", "a.1.tmp", ".a.1.tmp.txt", "tfodhelper-a.tmp"]
    for name in names:
        (tmp_path / name).write_text("mine")
    storage.make_folder(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_leftovers_in_subfolders_are_removed_but_not_those_behind_links(tmp_path):
    for folder in ("in/deep", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / ".a.1.tmp").write_text("half")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    own_files.remove_dead(tmp_path / "in", is_deep=True)
    assert not list((tmp_path / "in" / "deep").iterdir()) and list((tmp_path / "elsewhere").iterdir())


def test_a_temporary_folder_can_be_made_where_none_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    folder = own_files.TemporaryFolder()
    assert pathlib.Path(folder.path).parent == tmp_path
    folder.remove()
    assert not list(tmp_path.iterdir())


def test_no_place_for_temporary_files_is_explained(monkeypatch):
    def fail():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("tempfile.gettempdir", fail)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(errors.StorageError, match="TMPDIR"):
        own_files.TemporaryFolder()


# File systems without locks


@pytest.fixture(params=[errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EBADF])
def no_locks(request, monkeypatch):
    def refuse(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(own_files.fcntl, "flock", refuse)


def test_without_locks_the_work_is_done_and_a_warning_says_what_is_missing(no_locks, tmp_path, capsys):
    with storage.hold(tmp_path):
        storage.write_text(tmp_path / "a.txt", "a")
    assert "no locks" in capsys.readouterr().err
    with own_files.temporary_folder(tmp_path) as folder:
        pathlib.Path(folder, "b.txt").write_text("b")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "a.txt"]


def test_without_locks_nothing_is_taken_for_a_leftover(no_locks, tmp_path):
    (tmp_path / ".a.txt.1.tmp").write_text("half")
    storage.make_folder(tmp_path)
    assert (tmp_path / ".a.txt.1.tmp").read_text() == "half"
