"""Files that appear whole or not at all, and folders that one process holds at a time."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import tempfile

from tfodhelper import errors

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind
    fcntl = None

_HELD = []  # open lock files


def _let_go():
    """A forked child would keep the lock of a parent that was killed, for as long as it takes the child to end."""
    for file in _HELD:
        file.close()
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def explain_os_error(error, path):
    """Returns a `StorageError` that says in words what the operating system refused.

    Args:
      error: an OSError.
      path: what was being written or made.
    """
    if error.errno == errno.ENOSPC:
        return errors.StorageError(
            f"{path}: the disk is full", fix="free some space and start again: finished phases are kept"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return errors.StorageError(
            f"{path}: this folder cannot be written ({error.strerror})",
            fix="choose another folder, or change its permissions",
        )
    return errors.StorageError(f"{path}: {error.strerror or error}")


def make_folder(path):
    """Makes a folder with its parents and checks that files can be written in it.

    Raises:
      StorageError: where that is not so.
    """
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except FileExistsError:
        raise errors.StorageError(f"{path}: expected a folder, found a file", fix="choose another folder") from None
    except NotADirectoryError:
        raise errors.StorageError(f"{path}: a part of this path is a file", fix="choose another folder") from None
    except OSError as error:
        raise explain_os_error(error, path) from error
    return path


@contextlib.contextmanager
def open_whole(path, mode="w"):
    """Opens a file for writing that appears under its name only when it is complete and on disk.

    Args:
      path: the final name; an existing file is replaced in one step.
      mode: "w" (UTF-8 text, LF) or "wb".
    """
    path = pathlib.Path(path)
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise explain_os_error(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path, text):
    """Writes a text file whole."""
    with open_whole(path) as file:
        file.write(text)


def write_json(path, value):
    """Writes a JSON file whole, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path):
    """Reads a JSON file; an unreadable one is a `StorageError` that names it."""
    try:
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise errors.StorageError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise errors.StorageError(f"{path}: expected JSON: {error}") from error


def sha256_of(path):
    """Hex digest of a file's content, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@contextlib.contextmanager
def hold(folder):
    """Holds a folder against a second process for as long as the block runs.

    The lock goes with the process, however it ends; the small `.lock` file that stays behind means nothing by itself.

    Raises:
      StorageError: when another process holds it.
    """
    path = pathlib.Path(folder) / ".lock"
    with open(path, "a+", encoding="utf-8") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                raise errors.StorageError(
                    f"{folder}: another process works in this folder ({file.read().strip() or 'unknown'})",
                    fix="wait for it, stop it, or choose another folder",
                ) from None
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()}\n")
        file.flush()
        _HELD.append(file)
        try:
            yield
        finally:
            _HELD.remove(file)
