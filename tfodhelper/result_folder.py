"""Folders of results: one appears under its name when it is complete, or the same command, started again, continues.

All verbs that make a folder at once make it here: `import`, `export-annotations`, `predict`, `export`, the copies and
drafts of `check`, unpacked archives. Verbs whose folders grow in phases (`convert`, `run`, `train`, `active`) keep
what is complete and lock the folder meanwhile (`storage.hold`).
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import sys

from tfodhelper import console, errors, own_files, storage

_PARTIAL, _COMPLETE = ".partial", ".complete"  # where a result is made that cannot be made beside its folder
_MANY = 50  # files from which on the whole file system is brought to the disk at once


@contextlib.contextmanager
def whole_folder(path, maker=None):
    """Makes a folder that appears under its name only when it is complete and on disk.

    The block fills a hidden folder beside the final one, which gets the final name when the block ends, and is removed
    when the block fails. What a killed process left of an earlier attempt is cleared by the next one. A final folder
    that cannot be renamed (a mount point, a link, a folder in one that must not be written) is filled from a hidden
    folder inside it; of a process that is killed meanwhile, the next one finishes the work.

    Args:
      path: the final name; must not exist, or be an empty folder: nothing is ever overwritten.
      maker: a `provenance.Maker`, which is recorded in the folder. A folder that the same one has made is left as it
        is, and what the block makes is dropped. None if nothing is to be recorded.

    Yields:
      pathlib.Path of the folder to fill.

    Raises:
      StorageError: when `path` is a file or not empty, when it cannot be written, or when another process is
        making it.
    """
    path = pathlib.Path(os.path.abspath(path))
    check_free(path, maker)
    is_inside = _must_stay(path)
    content = path / _PARTIAL if is_inside else path.with_name(f".{own_files.short_name(path.name)}.partial")
    storage.make_folder(content.parent)
    with _held_folder(content):
        try:
            _clear(content)
            with storage.synced_at_the_end(content):
                yield content
            if maker is not None:
                maker.record(content)
            _sync(content)
            if check_free(path, maker):
                console.say(f"{path}: the same command has already made this from the same files; it is left as it is")
            else:
                _move(content, path, is_inside)
        except OSError as error:
            raise storage.explain_os_error(error, path) from error
        finally:
            shutil.rmtree(content, ignore_errors=True)


def _must_stay(path):
    """Whether a folder exists and cannot be replaced by another one."""
    return path.is_dir() and (path.is_symlink() or os.path.ismount(path) or not os.access(path.parent, os.W_OK))


def _move(content, path, is_inside):
    """Gives a filled folder its final name, or its content that of the folder around it."""
    if is_inside:
        os.replace(content, path / _COMPLETE)
        _finish_move(path)
        return
    if path.is_dir():
        path.rmdir()  # empty: a rename does not replace it on all systems
    os.replace(content, path)


def _finish_move(path):
    """Moves what is complete into the folder around it; may be interrupted and repeated."""
    complete = path / _COMPLETE
    if complete.is_dir() and not complete.is_symlink():
        for entry in complete.iterdir():
            os.replace(entry, path / entry.name)
        complete.rmdir()


@contextlib.contextmanager
def _held_folder(path):
    """Makes a folder of this program's own, or takes over that of a dead process, and locks it itself."""
    while True:
        storage.check_no_link(path)
        try:
            path.mkdir(exist_ok=True)
            claim = own_files.Claim(path)
        except FileNotFoundError:  # another process has just finished with it
            continue
        except OSError as error:
            raise storage.explain_os_error(error, path) from error
        break
    try:
        if claim.is_locked is False:
            raise storage.in_use(path.parent if path.name == _PARTIAL else path)
        yield
    finally:
        claim.release()


def check_free(path, maker=None, error=errors.StorageError, fix="choose another folder, or remove this one"):
    """Checks that a folder of results can be made under a name without touching anything that exists.

    What a killed process left there of a complete result is put into place.

    Args:
      path: the folder.
      maker: see `whole_folder`.
      error, fix: class of the error, and what to do about it.

    Returns:
      Whether the folder already holds the result that `maker` makes.

    Raises:
      StorageError or `error`: it is a file, or contains other files.
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_dir():
        raise error(f"{path}: expected a folder, found a file", fix="choose another folder")
    if not path.is_dir():
        return False
    try:
        own_files.remove_dead(path)
        _finish_move(path)
        if all(entry.name in (storage.LOCK, _PARTIAL) for entry in path.iterdir()):
            return False
    except OSError as refused:
        raise storage.explain_os_error(refused, path) from refused
    differences = maker.compare(path) if maker is not None else None
    if differences == {}:
        return True
    detail = (
        {}
        if not differences
        else {
            "expected": "; ".join(f"{name} {old!r}" for name, (old, _) in differences.items()),
            "received": "; ".join(f"{name} {new!r}" for name, (_, new) in differences.items()),
        }
    )
    raise error(f"{path}: the folder is not empty, and results never overwrite existing files", fix=fix, **detail)


def _clear(folder):
    """Removes all that is in a held folder."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _sync(folder):
    """Brings all files and folders below a folder to the disk; what links lead to is left alone."""
    if os.name == "nt":
        return  # neither folders nor files that are open for reading can be synchronized there
    if sum(len(names) for _, _, names in os.walk(folder)) > _MANY and _sync_file_system(folder):
        return
    for parent, _, names in os.walk(folder, topdown=False):
        paths = [os.path.join(parent, name) for name in names]
        for path in [*(path for path in paths if not os.path.islink(path)), parent]:
            number = os.open(path, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)


def _sync_file_system(folder):
    """Brings everything to the disk at once, which is faster for many files; returns whether the system can do it."""
    if not sys.platform.startswith("linux"):
        return False
    number = os.open(folder, os.O_RDONLY)
    try:
        return ctypes.CDLL(None).syncfs(number) == 0
    except AttributeError:  # a C library without it
        return False
    finally:
        os.close(number)
