"""Folders of results: whole or absent whenever the process is killed; the same command continues."""

import dataclasses
import errno
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from tests.files import list_all
from tests.shared_data import REPOSITORY
from tfodhelper import errors, options, provenance, result_folder


def fill(folder):
    (folder / "inner").mkdir()
    (folder / "inner" / "a.txt").write_text("a")
    (folder / "b.txt").write_text("b")


FILLED = ["model", "model/b.txt", "model/inner", "model/inner/a.txt"]


def test_a_folder_has_its_name_when_the_block_has_ended_and_not_before(tmp_path):
    with result_folder.whole_folder(tmp_path / "out" / "model") as folder:
        fill(folder)
        assert not (tmp_path / "out" / "model").exists()
    assert list_all(tmp_path / "out") == FILLED


def test_an_empty_folder_is_replaced(tmp_path):
    (tmp_path / "model").mkdir()
    with result_folder.whole_folder(tmp_path / "model") as folder:
        fill(folder)
    assert list_all(tmp_path) == FILLED


def test_a_folder_is_named_from_where_the_process_stands_when_it_begins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with result_folder.whole_folder("model") as folder:
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
        result_folder.whole_folder(tmp_path / "model") as new,
    ):
        fill(new)
        put()
    assert list_all(tmp_path) == ["model", "model/mine.txt"]


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "in the meantime"])
def test_a_file_under_that_name_is_never_touched(tmp_path, is_late):
    if not is_late:
        (tmp_path / "model").write_text("mine")
    with pytest.raises(errors.StorageError, match="model: "), result_folder.whole_folder(tmp_path / "model") as folder:
        fill(folder)
        (tmp_path / "model").write_text("mine")
    assert list_all(tmp_path) == ["model"] and (tmp_path / "model").read_text() == "mine"


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), errors.ZooError("x")], ids=repr)
def test_a_block_that_fails_leaves_nothing(tmp_path, error):
    with pytest.raises(type(error)), result_folder.whole_folder(tmp_path / "model") as folder:
        fill(folder)
        raise error
    assert list_all(tmp_path) == []


def test_a_full_disk_is_said_in_words_and_leaves_nothing(tmp_path):
    full = pytest.raises(errors.StorageError, match="model: the disk is full")
    with full, result_folder.whole_folder(tmp_path / "model") as folder:
        fill(folder)
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list_all(tmp_path) == []


def test_a_second_process_that_makes_the_same_folder_is_refused(tmp_path):
    code = "import sys; from tfodhelper import result_folder\nwith result_folder.whole_folder(sys.argv[1]): pass"
    with result_folder.whole_folder(tmp_path / "model") as folder:
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
    with result_folder.whole_folder(tmp_path / "model") as folder:
        fill(folder)
        (folder / "link.txt").symlink_to(tmp_path / "original.txt")  # belongs to somebody else
    assert sorted(synced) == ["", "/b.txt", "/inner", "/inner/a.txt"]
    assert (tmp_path / "model" / "link.txt").read_text() == "original"


# Where the process dies: while it fills the folder, on the way to the disk, just before and just after the renaming.
KILLED = """
import os, pathlib, signal, sys
from tfodhelper import result_folder
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
with result_folder.whole_folder(sys.argv[1]) as folder:
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
    with result_folder.whole_folder(path) as folder:
        fill(folder)
    assert list_all(path) == ["b.txt", "inner", "inner/a.txt"]
    assert not list(tmp_path.glob(".*"))


# A folder that cannot be renamed is filled from within


@pytest.fixture(params=["link", "mount point", "parent that is not writable"])
def fixed_folder(request, tmp_path, monkeypatch):
    """A folder that has to stay where it is."""
    folder = tmp_path / "out"
    (tmp_path / "elsewhere").mkdir()
    if request.param == "link":
        folder.symlink_to(tmp_path / "elsewhere")
        return folder
    folder.mkdir()
    if request.param == "mount point":
        monkeypatch.setattr(os.path, "ismount", lambda path: pathlib.Path(path) == folder)
    else:  # tests may run as root, who may write everywhere
        access = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: pathlib.Path(path) != tmp_path and access(path, mode))
    return folder


def test_a_folder_that_cannot_be_replaced_is_filled_from_within(fixed_folder, tmp_path):
    before = fixed_folder.stat().st_ino
    with result_folder.whole_folder(fixed_folder) as folder:
        fill(folder)
        assert folder.parent == fixed_folder
    assert fixed_folder.stat().st_ino == before
    assert list_all(fixed_folder) == ["b.txt", "inner", "inner/a.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "out"]


def test_the_next_start_completes_such_a_folder(fixed_folder, monkeypatch):
    maker = provenance.Maker("probe", {}, "0")
    replace, moved = os.replace, []

    def stop_after_two(source, target):
        if len(moved) == 2:
            raise KeyboardInterrupt
        moved.append(target)
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", stop_after_two)
        with result_folder.whole_folder(fixed_folder, maker) as folder:
            fill(folder)
    assert result_folder.check_free(fixed_folder, maker)
    assert list_all(fixed_folder) == [provenance.NAME, "b.txt", "inner", "inner/a.txt"]


# The same command


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeOptions(options.Options):
    input: options.Path = options.option(options.REQUIRED, "What is read.")
    size: int = options.option(1, "How large.")
    max_shown: int = options.option(5, "How much is printed.")
    output_dir: options.Path = options.option(options.REQUIRED, "What is written.")


@pytest.fixture
def probe(tmp_path):
    """Makes tmp_path/out as a command would, or raises; the keywords are options."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.txt").write_text("a")

    def run(content="one", **given):
        chosen = ProbeOptions(**{"input": tmp_path / "in", "output_dir": tmp_path / "out"} | given)
        maker = provenance.of_command("probe", chosen, "output_dir")
        with result_folder.whole_folder(chosen.output_dir, maker) as folder:
            (folder / "result.txt").write_text(content)
        return (chosen.output_dir / "result.txt").read_text()

    return run


def test_the_same_command_finds_its_result_and_leaves_it(probe, capsys):
    assert probe("one") == "one"
    assert probe("two", max_shown=9) == "one"
    assert "left as it is" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["option", "input", "new input", "other verb"])
def test_another_command_is_refused_and_what_differs_is_named(probe, tmp_path, change):
    probe()
    given, shown = {}, "files"
    if change == "option":
        given, shown = {"size": 2}, "--size 1"
    elif change == "input":
        (tmp_path / "in" / "deep" / "a.txt").write_text("longer")
    elif change == "new input":
        (tmp_path / "in" / "b.txt").write_text("b")
    else:
        record = tmp_path / "out" / provenance.NAME
        record.write_text(record.read_text().replace('"probe"', '"rehearse"'))
        shown = "tfodhelper 'rehearse'"
    with pytest.raises(errors.StorageError, match="not empty") as caught:
        probe("two", **given)
    assert shown in str(caught.value)
    assert (tmp_path / "out" / "result.txt").read_text() == "one"


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"settings": 3}', "\x00"])
def test_a_damaged_record_is_somebody_elses_file(probe, tmp_path, record):
    probe()
    (tmp_path / "out" / provenance.NAME).write_text(record)
    with pytest.raises(errors.StorageError, match="not empty"):
        probe("two")


def test_a_result_among_the_inputs_does_not_change_them(probe, tmp_path):
    assert probe("one", output_dir=tmp_path / "in" / "out") == "one"
    assert probe("two", output_dir=tmp_path / "in" / "out") == "one"


def test_inputs_may_be_patterns_lists_circles_and_links_to_nowhere(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")

    def stamp(text):
        chosen = ProbeOptions(input=text, output_dir="out")
        return provenance.of_command("probe", chosen, "output_dir").inputs

    texts = [str(tmp_path), f"{tmp_path}/*.txt", f"{tmp_path}/a.txt,{tmp_path}/b.txt", f"{tmp_path}/a.txt", "mscoco"]
    assert len({stamp(text) for text in texts}) == 4  # a pattern stands for the files that it matches
    assert stamp(texts[1]) == stamp(texts[2])


# What links lead to, and what dead processes left


def test_a_link_in_the_place_of_the_hidden_folder_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("mine")
    (tmp_path / ".model.partial").symlink_to(tmp_path / "mine")
    with pytest.raises(errors.StorageError, match="symbolic link"), result_folder.whole_folder(tmp_path / "model"):
        pass
    assert (tmp_path / "mine" / "a.txt").read_text() == "mine"


def test_many_files_are_brought_to_the_disk_at_once(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with result_folder.whole_folder(tmp_path / "model") as folder:
        for number in range(60):
            (folder / f"{number}.txt").write_text("x")
    assert len(list((tmp_path / "model").iterdir())) == 60
    if sys.platform.startswith("linux"):
        assert synced == []
