"""Files and folders that are written atomically, and folders that only one process uses at a time."""

import collections.abc
import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import re
import shutil
import tempfile
from typing import Any

from tfodhelper import console, errors, json_shapes, limits, own_files

LOCK = ".lock"
_OWNER = b"process "
_BEING_FILLED = []  # beginnings of paths, see `synced_at_the_end`
_SHOWN = 200  # characters of a line in an error

# What the system refuses for reasons that its owner knows: {error number: (what is wrong, what to do)}.
_REFUSALS = {
    errno.ENOSPC: ("the disk is full", "free some space and start again; finished phases are kept"),
    errno.EDQUOT: ("the disk quota is used up", "free some space and start again; finished phases are kept"),
    errno.EFBIG: ("the file is larger than the system allows", "raise the limit (ulimit -f), or use another disk"),
    errno.EMFILE: ("too many open files", "raise the limit, for example with `ulimit -n 1024`"),
    errno.ENFILE: ("the system has too many open files", "close other programs"),
    errno.ENOMEM: ("the system has no memory left", "close other programs, or use --num_workers=1"),
    errno.EAGAIN: ("the system refuses more processes or memory", "raise the limit (ulimit -u), or --num_workers=1"),
    errno.EIO: ("the disk reports an error", "check the disk and its connection"),
    errno.ENAMETOOLONG: ("the name is too long for this file system", "use shorter names"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), ("", "choose another folder, or change its permissions")),
    **dict.fromkeys((errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EBUSY, errno.ETXTBSY), ("", None)),
    **dict.fromkeys((errno.ESTALE, errno.ENOLCK, errno.ENOTSUP, errno.ETIMEDOUT, errno.EHOSTDOWN), ("", None)),
}


def is_refusal(error):
    """Whether an OSError is about the machine, its disk or its limits, and not a fault of this program."""
    return error.errno in _REFUSALS


def explain_os_error(error, path):
    """Returns a `StorageError` that explains what the operating system refused.

    Args:
      error: an OSError.
      path: the file or folder that was being written.
    """
    problem, fix = _REFUSALS.get(error.errno, (None, None))
    if problem:
        return errors.StorageError(f"{path}: {problem}", fix=fix)
    if fix:
        return errors.StorageError(f"{path}: cannot be written ({error.strerror})", fix=fix)
    return errors.StorageError(f"{path}: {error.strerror or error}")


_NODE = re.compile(r"\{\{[^}]*\}\}")  # with which TensorFlow names a node of a graph


def explain_refusal_in(text):
    """A `StorageError` for what another library says of a refusal of the system; None if it is about something else."""
    for number, (_, fix) in _REFUSALS.items():
        if os.strerror(number) in text:
            line = next(line for line in text.splitlines() if os.strerror(number) in line)
            return errors.StorageError(_NODE.sub("", line).strip(), fix=fix)
    return None


def make_folder(path):
    """Makes a folder with its parents and checks that files can be written to it.

    Temporary files that killed processes left in it are removed.

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
        own_files.remove_dead(path)
    except FileExistsError:
        raise errors.StorageError(f"{path}: expected a folder, found a file", fix="choose another folder") from None
    except NotADirectoryError:
        raise errors.StorageError(f"{path}: part of this path is a file", fix="choose another folder") from None
    except OSError as error:
        raise explain_os_error(error, path) from error
    return path


def make_own_folder(path):
    """As `make_folder`, for a folder in one of results that this program alone uses; under its name, a link is refused.

    Raises:
      StorageError: also when it is a link, which would lead out of the folder around it.
    """
    check_no_link(path)
    return make_folder(path)


def check_no_link(path):
    """Raises StorageError for a symbolic link where this program has a folder of its own."""
    if os.path.islink(path):
        raise errors.StorageError(
            f"{path}: is a symbolic link, expected a folder of this program's own",
            fix="remove the link, or choose another folder",
        )


@contextlib.contextmanager
def open_whole(path, mode="w", buffering=-1):
    """Opens a file for writing; it appears under its name only when it is complete and on disk.

    Args:
      path: the final name; an existing file is replaced in one step.
      mode: "w" (UTF-8 text, LF) or "wb".
      buffering: as of `open`.
    """
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    temporary = None
    try:
        temporary = own_files.TemporaryFile(path)
        with open(temporary.descriptor, mode, buffering, **text) as file:
            yield file
            file.flush()
            if not any(str(path).startswith(prefix) for prefix in _BEING_FILLED):
                os.fsync(file.fileno())
        os.replace(temporary.path, path)
    except OSError as error:
        raise explain_os_error(error, path) from error
    finally:
        if temporary is not None:
            temporary.discard()


@contextlib.contextmanager
def synced_at_the_end(folder):
    """Files in this folder need not be brought to the disk one by one."""
    prefix = f"{folder}{os.sep}"
    _BEING_FILLED.append(prefix)
    try:
        yield
    finally:
        _BEING_FILLED.remove(prefix)


def write_text(path, text):
    """Writes a text file atomically."""
    with open_whole(path) as file:
        file.write(text)


def write_json(path, value):
    """Writes a JSON file atomically; keys stay in their order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path):
    """Reads a JSON file; one that holds the state of a job is read by `state_files`.

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
      shape: what the plain value must be, see `json_shapes`.
      error: class of the errors.
    """

    content: str = "JSON"
    expected: str | None = None
    fix: str | None = "restore the file, or remove this line"
    parse: collections.abc.Callable | None = None
    error: type[errors.TfodhelperError] = errors.StorageError
    shape: Any = Any


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
                    json_shapes.check(value, form.shape)
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

    The lock ends with the process, however that ends; the small `.lock` file that remains means nothing by itself. On
    a file system without locks a warning says that nobody else may use the folder.

    Raises:
      StorageError: when another process holds the lock, or `.lock` is a link.
    """
    path = pathlib.Path(folder) / LOCK
    try:
        claim = own_files.Claim(path, needs_writing=True)
    except OSError as error:
        raise explain_os_error(error, path) from error
    try:
        if claim.is_locked is False:
            raise in_use(folder, _read_owner(claim))
        if claim.is_locked is None:
            console.warn(f"{folder}: this file system has no locks; make sure that only one process uses the folder")
        _write_owner(claim)
        yield
    finally:
        claim.release()


def is_held(folder):
    """Whether another process holds the lock of a folder; False where there is none, or no locks."""
    path = pathlib.Path(folder) / LOCK
    if not path.is_file():
        return False
    try:
        claim = own_files.Claim(path, needs_writing=True)
    except OSError:
        return True
    claim.release()
    return claim.is_locked is False


def check_space(folder, needed, purpose, fix):
    """Checks that the disk of a folder has room.

    Args:
      folder: an existing folder.
      needed: bytes.
      purpose: what they are for, in words.
      fix: what to do besides freeing some space.

    Raises:
      StorageError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise errors.StorageError(
            f"{folder}: not enough disk space",
            expected=f"{needed / 2**20:.0f} MB for {purpose}",
            received=f"{free / 2**20:.0f} MB free",
            fix=f"free some space, or {fix}",
        )


def in_use(folder, owner=""):
    """The `StorageError` of a folder that another process has locked."""
    return errors.StorageError(
        f"{folder}: another process is using this folder ({owner.strip() or 'unknown'})",
        fix="wait for it, stop it, or choose another folder",
    )


def _read_owner(claim):
    return os.pread(claim.descriptor, 100, 0).decode("utf-8", "replace")


def _write_owner(claim):
    """Writes this process's number for others to read, on a disk that has room, to a file that this program wrote."""
    with contextlib.suppress(OSError):
        if os.pread(claim.descriptor, len(_OWNER), 0) in (b"", _OWNER):
            os.ftruncate(claim.descriptor, 0)
            os.pwrite(claim.descriptor, _OWNER + b"%d\n" % os.getpid(), 0)
