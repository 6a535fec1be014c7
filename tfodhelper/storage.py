"""Files and folders that are written atomically, and folders that only one process uses at a time."""

import collections.abc
import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import shutil
import tempfile

from tfodhelper import errors, limits

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind
    fcntl = None

_HELD = []  # open lock files
_LOCK = ".lock"
_SHOWN = 200  # characters of a line in an error


def _release_all():
    """Otherwise a forked child would keep the lock of a killed parent until the child itself ends."""
    for file in _HELD:
        file.close()
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_all)


def explain_os_error(error, path):
    """Returns a `StorageError` that explains what the operating system refused.

    Args:
      error: an OSError.
      path: the file or folder that was being written.
    """
    if error.errno == errno.ENOSPC:
        return errors.StorageError(
            f"{path}: the disk is full", fix="free some space and start again; finished phases are kept"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return errors.StorageError(
            f"{path}: cannot be written ({error.strerror})",
            fix="choose another folder, or change its permissions",
        )
    return errors.StorageError(f"{path}: {error.strerror or error}")


def make_folder(path):
    """Makes a folder with its parents and checks that files can be written to it.

    Returns:
      pathlib.Path of the folder.

    Raises:
      StorageError: when the folder cannot be made or written.
    """
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except FileExistsError:
        raise errors.StorageError(f"{path}: expected a folder, found a file", fix="choose another folder") from None
    except NotADirectoryError:
        raise errors.StorageError(f"{path}: part of this path is a file", fix="choose another folder") from None
    except OSError as error:
        raise explain_os_error(error, path) from error
    return path


@contextlib.contextmanager
def open_whole(path, mode="w"):
    """Opens a file for writing; it appears under its name only when it is complete and on disk.

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


@contextlib.contextmanager
def whole_folder(path):
    """Makes a folder that appears under its name only when it is complete and on disk.

    The block fills a folder that is hidden in `.NAME.partial` beside the final one. It gets the final name when the
    block ends, and is removed when the block fails. What a killed process left of an earlier attempt is cleared by the
    next one.

    Args:
      path: the final name; must not exist, or be an empty folder: nothing is ever overwritten.

    Yields:
      pathlib.Path of the folder to fill.

    Raises:
      StorageError: when `path` is a file or not empty, when it cannot be written, or when another process is
        making it.
    """
    path = pathlib.Path(os.path.abspath(path))
    _check_free(path)
    around = make_folder(path.with_name(f".{path.name}.partial"))
    with hold(around):
        content = around / "content"
        try:
            _clear(around)
            content.mkdir()
            yield content
            _sync(content)
            if path.is_dir():
                path.rmdir()  # empty: a rename does not replace it on all systems
            os.replace(content, path)
        except OSError as error:
            raise explain_os_error(error, path) from error
        finally:
            with contextlib.suppress(OSError):
                _clear(around)
                (around / _LOCK).unlink()
                around.rmdir()


def _check_free(path):
    if path.is_dir() and any(path.iterdir()):
        raise errors.StorageError(
            f"{path}: already exists and is not empty; nothing is overwritten",
            fix="choose another folder, or remove this one",
        )
    if path.exists() and not path.is_dir():
        raise errors.StorageError(f"{path}: expected a folder, found a file", fix="choose another folder")


def _clear(folder):
    """Removes all that is in a held folder but for its lock."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != _LOCK:
            entry.unlink()


def _sync(folder):
    """Brings all files and folders below a folder to the disk; what links lead to is left alone."""
    if os.name == "nt":
        return  # neither folders nor files that are open for reading can be synchronized there
    for parent, _, names in os.walk(folder, topdown=False):
        paths = [os.path.join(parent, name) for name in names]
        for path in [*(path for path in paths if not os.path.islink(path)), parent]:
            number = os.open(path, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)


def write_text(path, text):
    """Writes a text file atomically."""
    with open_whole(path) as file:
        file.write(text)


def write_json(path, value):
    """Writes a JSON file atomically; keys stay in their order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path):
    """Reads a JSON file.

    Raises:
      StorageError: when it cannot be read; names the file.
    """
    try:
        return limits.parse_json(pathlib.Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise errors.StorageError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise errors.StorageError(f"{path}: expected JSON: {error}") from error


@dataclasses.dataclass(frozen=True)
class LineForm:
    """What the lines of a JSON lines file contain, and what is said about a malformed line.

    Attributes:
      content: what a line holds, as "an answer".
      expected: its form, in words or as an example; None where any JSON will do.
      fix: what to do about a file that is damaged or missing.
      parse: function from the plain value of a line to what is yielded; None yields the plain value.
      error: class of the errors.
    """

    content: str = "JSON"
    expected: str | None = None
    fix: str | None = "restore the file, or remove this line"
    parse: collections.abc.Callable | None = None
    error: type[errors.TfodhelperError] = errors.StorageError


_ANY_JSON = LineForm()
_OTHER_FORM = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # of `LineForm.parse`


def read_json_lines(path, form=_ANY_JSON, is_wanted=None):
    """Reads a JSON lines file line by line; blank lines are skipped.

    A last line that is cut off is an error like any other: files of this kind are written by `open_whole`.

    Args:
      path: the file.
      form: `LineForm`.
      is_wanted: function from the text of a line to whether it is parsed; None: all are.

    Yields:
      What the lines hold.

    Raises:
      TfodhelperError: of the class that `form` says, for a file that cannot be read, and for a malformed line;
        it names the file and the number of the line.
    """
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    if line.isspace() or (is_wanted is not None and not is_wanted(line)):
                        continue
                    value = limits.parse_json(line)
                    value = value if form.parse is None else form.parse(value)
                except _OTHER_FORM as error:
                    raise _another_form(f"{path}, line {number}", form, error, line.strip()[:_SHOWN]) from error
                yield value
    except OSError as error:
        raise form.error(f"{path}: cannot be read ({error.strerror})", fix=form.fix) from error
    except UnicodeDecodeError as error:
        raise _another_form(path, form, error, "bytes that are not UTF-8 text") from error


def _another_form(where, form, error, received):
    reason = f"{type(error).__name__}: {error}"
    return form.error(
        f"{where}: does not hold {form.content} ({reason})", expected=form.expected, received=received, fix=form.fix
    )


def sha256_of(path):
    """Hex digest of a file's content, which is read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@contextlib.contextmanager
def hold(folder):
    """Locks a folder against other processes while the block runs.

    The lock ends with the process, however that ends; the small `.lock` file that remains means nothing by itself.

    Raises:
      StorageError: when another process holds the lock.
    """
    path = pathlib.Path(folder) / _LOCK
    with open(path, "a+", encoding="utf-8") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                raise errors.StorageError(
                    f"{folder}: another process is using this folder ({file.read().strip() or 'unknown'})",
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
