"""What lies in the folders of users: nothing of it hangs a job, ends it, or disappears without a word."""

import os
import pathlib
import re
import resource
import socket

import pytest

from tests.shared_data import REPOSITORY
from tfodhelper import errors, user_files

NOT_UTF8 = b"caf\xe9.jpg"


def search(folder):
    """(sorted names, {name: code} of what was skipped)."""
    skipped = []
    names = user_files.list_files(folder, skipped.append)
    return names, {entry.name: entry.code for entry in skipped}


def touch(folder, *names):
    for name in names:
        path = pathlib.Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def make_strange_entries(folder):
    """One entry of each kind that is neither a folder nor a file: {name: code}."""
    os.mkfifo(folder / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as made:
        before = os.getcwd()
        os.chdir(folder)  # the path of a socket is limited to about 100 bytes
        try:
            made.bind("socket.jpg")
        finally:
            os.chdir(before)
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "there.jpg").symlink_to("back.jpg")
    (folder / "back.jpg").symlink_to("there.jpg")
    (folder / "lost.jpg").symlink_to("nowhere.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "under_a_file.jpg").symlink_to("a.jpg/b.jpg")
    broken = ("loop.jpg", "there.jpg", "back.jpg", "lost.jpg", "under_a_file.jpg")
    return dict.fromkeys(broken, "link-broken") | dict.fromkeys(("pipe.jpg", "socket.jpg", "device.jpg"), "not-a-file")


def test_strange_entries_are_reported_and_the_rest_is_listed(tmp_path):
    touch(tmp_path, "a.jpg", "deep/b.jpg")
    expected = make_strange_entries(tmp_path)
    assert search(tmp_path) == (["a.jpg", "deep/b.jpg"], expected)


def test_names_that_are_not_text_are_reported_with_their_bytes_escaped(tmp_path):
    touch(tmp_path, "a.jpg")
    (pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + NOT_UTF8))).write_bytes(b"x")
    inside = pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/f\xf6lder"))
    touch(inside, "b.jpg")
    names, skipped = search(tmp_path)
    assert names == ["a.jpg"]
    assert skipped == {r"caf\xe9.jpg": "name-not-utf8", r"f\xf6lder/b.jpg": "name-not-utf8"}


def test_a_folder_named_like_an_image_is_searched(tmp_path):
    touch(tmp_path, "a.jpg/b.jpg")
    assert search(tmp_path) == (["a.jpg/b.jpg"], {})


def test_links_are_followed_and_no_folder_is_searched_twice(tmp_path):
    touch(tmp_path, "set/a.jpg", "elsewhere/b.jpg")
    (tmp_path / "set/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/again").symlink_to(tmp_path / "set")
    (tmp_path / "set/c.jpg").symlink_to(tmp_path / "elsewhere/b.jpg")
    assert search(tmp_path / "set") == (["a.jpg", "c.jpg", "linked/b.jpg"], {})


def test_hidden_entries_and_folders_without_originals_are_left_out(tmp_path):
    touch(tmp_path, ".hidden.jpg", ".history/a.jpg", "__MACOSX/a.jpg", "JPEGImages/a.jpg", "SegmentationClass/a.png")
    assert search(tmp_path) == (["JPEGImages/a.jpg"], {})


def test_masks_are_left_out_of_a_voc_tree_only(tmp_path):
    touch(tmp_path, "SegmentationClass/a.png")
    assert search(tmp_path) == (["SegmentationClass/a.png"], {})


def refuse_folder(monkeypatch, name):
    """Makes a folder unlistable, for root too."""
    scandir = os.scandir

    def scan(path):
        if str(path).rstrip("/").endswith(name):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)


def test_a_subfolder_that_cannot_be_listed_does_not_end_the_search(tmp_path, monkeypatch):
    touch(tmp_path, "a.jpg", "secret/b.jpg")
    refuse_folder(monkeypatch, "secret")
    assert search(tmp_path) == (["a.jpg"], {"secret": "folder-unreadable"})


def test_the_folder_itself_must_be_listable(tmp_path, monkeypatch):
    touch(tmp_path, "set/a.jpg")
    refuse_folder(monkeypatch, "set")
    with pytest.raises(errors.DatasetError, match="cannot be listed"):
        search(tmp_path / "set")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("pipe.jpg", "a named pipe"), ("socket.jpg", "a socket"), ("device.jpg", "a device"), ("folder", "a folder"),
     ("loop.jpg", "symbolic links"), ("lost.jpg", "No such file"), ("x" * 300, "too long")],
)  # fmt: skip
def test_reading_something_that_is_not_a_file_fails_at_once(tmp_path, name, reason):
    make_strange_entries(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=reason):
        user_files.read_bytes(tmp_path / name, 100)


def test_a_file_is_read_up_to_a_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    data, status = user_files.read_bytes(tmp_path / "a", 4)
    assert (data, status.st_size) == (b"01234", 10)
    assert user_files.read_bytes(tmp_path / "a", 100)[0] == b"0123456789"


def test_a_lack_of_file_descriptors_is_not_taken_for_a_fault_of_the_file(tmp_path):
    touch(tmp_path, "a.jpg")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(errors.StorageError, match="too many open files") as caught:
            user_files.read_bytes(tmp_path / "a.jpg", 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "ulimit -n" in caught.value.fix


# Folders that the program itself makes, those of the system, patterns of record files, and digests of all that is read.
OWN_FOLDERS = {
    *("storage.py", "own_files.py", "provenance.py", "run_folder.py", "run_options.py", "user_files.py"),
    *("records/result.py", "records/reader.py", "result_folder.py"),
    *("training/summaries.py", "prediction/write.py", "prediction/saved_models.py", "zoo/archive.py"),
    *("zoo/base_configs.py", "exporting/saved_model.py", "checkpoints/find.py", "checkpoints/save.py"),
    *("render/fonts.py", "active_learning/report/tensorboard_curves.py", "active_learning/oracles/labelimg.py"),
    *("active_learning/pool/pool_predictor.py", "active_learning/pool/predictions.py"),
    *("active_learning/round_settings.py", "active_learning/workspace.py", "active_learning/create_workspace.py"),
    *("dataset/placing.py", "reporting/write.py", "benchmarking/measure.py"),
}


def test_no_other_module_searches_folders_of_users():
    package = REPOSITORY / "tfodhelper"
    search_call = re.compile(r"\bos\.(walk|scandir|listdir|fwalk)\(|\.(rglob|iterdir|glob|walk)\(")
    searching = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if search_call.search(path.read_text(encoding="utf-8"))
    }
    assert searching <= OWN_FOLDERS
