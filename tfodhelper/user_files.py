"""Files in the folders of users: one search and one way to read, with the same rules for every verb.

A folder of images may contain anything: named pipes, on which a program waits forever, links that lead nowhere or in a
circle, names that are not valid text, folders that may not be read. None of them ends a job. The search skips them and
reports each one, so that the verb can say what it did not use.
"""

import contextlib
import errno
import os
import stat
import typing

from tfodhelper import errors

NAME_NOT_UTF8, LINK_BROKEN, NOT_A_FILE, FOLDER_UNREADABLE = (
    *("name-not-utf8", "link-broken", "not-a-file", "folder-unreadable"),
)
NOT_UTF8, RENAME = "the file name is not valid UTF-8", "rename it, for example with convmv"
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_OF_THE_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_IGNORED_FOLDERS = ("__MACOSX",)
# Derived from the images of a VOC tree, with the same names: masks of the devkit, drawings of labelme2voc.
_MADE_FROM = "JPEGImages"
_MADE_FOLDERS = (
    *("SegmentationClass", "SegmentationObject", "SegmentationClassPNG", "SegmentationObjectPNG"),
    *("SegmentationClassVisualization", "SegmentationObjectVisualization", "AnnotationsVisualization"),
)
# Files that a folder of results, or a virtual environment, contains together.
_MARKS_OF_RESULTS = (("run.json", "process.log"), ("workspace.json", "process.log"), ("pyvenv.cfg",))
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Skipped(typing.NamedTuple):
    """An entry of a folder that the search does not use.

    Attributes:
      code: NAME_NOT_UTF8, LINK_BROKEN, NOT_A_FILE or FOLDER_UNREADABLE.
      name: relative to the searched folder, POSIX; bytes that are not valid text are escaped.
      what: why, in words.
      fix: how to have it used.
    """

    code: str
    name: str
    what: str
    fix: str


def find_files(folder, report):
    """Yields the names of all regular files in a folder and its subfolders, in no particular order.

    Hidden entries and folders that hold no originals (`__MACOSX`, masks of a VOC tree, runs and workspaces of this
    program, virtual environments) are left out without a report.
    Symbolic links are followed; no folder is searched twice.

    Args:
      folder: the path.
      report: called with a `Skipped` for every other entry that is not used.

    Yields:
      Names relative to `folder`, POSIX, all valid text.

    Raises:
      DatasetError: when the folder itself cannot be listed.
    """
    seen, waiting = set(), [""]
    while waiting:
        relative = waiting.pop()
        real = os.path.realpath(os.path.join(folder, relative))
        if real in seen:
            continue
        seen.add(real)
        folders = []
        try:
            with os.scandir(os.path.join(folder, relative)) as listed:
                for entry in listed:
                    if not entry.name.startswith("."):
                        yield from _sort_entry(entry, relative, folders, report)
        except OSError as error:
            _report_unlisted(folder, relative, error, report)
        ignored = _IGNORED_FOLDERS + (_MADE_FOLDERS if _MADE_FROM in folders else ())
        waiting += [
            f"{relative}{name}/"
            for name in folders
            if name not in ignored and not is_folder_of_results(os.path.join(folder, relative, name))
        ]


def list_folder(path):
    """([names of folders], [names of files]) of one folder, without hidden ones; nothing of one that cannot be listed.

    Only names are looked at: files are whatever is not a folder.
    """
    folders, files = [], []
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and is_text(entry.name):
                (folders if _is_folder(entry) else files).append(entry.name)
    return folders, files


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def is_folder_of_results(path):
    """Whether a folder is a run or a workspace of this program, or a virtual environment."""
    return any(all(os.path.isfile(os.path.join(path, name)) for name in names) for names in _MARKS_OF_RESULTS)


def _sort_entry(entry, relative, folders, report):
    """Yields the name of a regular file; adds a folder to `folders`; reports everything else."""
    name = relative + entry.name
    try:
        if entry.is_dir():
            folders.append(entry.name)
        elif not entry.is_file():
            report(_explain_strange(entry, name))
        elif is_text(name):
            yield name
        else:
            report(Skipped(NAME_NOT_UTF8, show(name), NOT_UTF8, RENAME))
    except OSError as error:
        raise_if_of_the_machine(error, entry.path)
        report(Skipped(LINK_BROKEN, show(name), f"cannot be followed ({error.strerror})", "correct or remove the link"))


def _explain_strange(entry, name):
    """A `Skipped` for an entry that is neither a folder nor a regular file."""
    try:
        kind = name_kind(entry.stat().st_mode)
    except FileNotFoundError:
        problem = "is a symbolic link to a file that does not exist"
        return Skipped(LINK_BROKEN, show(name), problem, "correct or remove the link")
    return Skipped(NOT_A_FILE, show(name), f"is {kind}, not a file", "remove it, or move it elsewhere")


def _report_unlisted(folder, relative, error, report):
    raise_if_of_the_machine(error, folder)
    problem = f"the folder cannot be listed ({error.strerror})"
    fix = "change its permissions, or move it elsewhere"
    if not relative:
        raise errors.DatasetError(f"{show(folder)}: {problem}", fix=fix) from error
    report(Skipped(FOLDER_UNREADABLE, show(relative.rstrip("/")), problem, fix))


def open_regular(path):
    """Opens a regular file for reading, without waiting for anything but the disk.

    Returns:
      (file descriptor, `os.fstat` of it).

    Raises:
      OSError: it cannot be opened, or is a folder, a named pipe, a socket or a device.
      StorageError: the system lacks file descriptors or memory; the file may be in order.
    """
    try:
        descriptor = os.open(path, _READ_FLAGS)
    except OSError as error:
        raise_if_of_the_machine(error, path)
        # A socket cannot be opened at all; its own error ("No such device or address") would explain nothing.
        raise _explain_kind(path, error) from error
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return descriptor, status
    os.close(descriptor)
    raise _not_regular(path, status.st_mode)


def _explain_kind(path, error):
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return error
    return error if stat.S_ISREG(mode) else _not_regular(path, mode)


def _not_regular(path, mode):
    return OSError(errno.EINVAL, f"it is {name_kind(mode)}, not a file", os.fspath(path))


def read_bytes(path, most):
    """(the first most + 1 bytes of a regular file, its `os.fstat`), with as few system calls as possible.

    Raises:
      OSError, StorageError: see `open_regular`.
    """
    descriptor, status = open_regular(path)
    try:
        # Python allocates all that is requested, so request no more than the size.
        wanted = min(status.st_size, most) + 1
        data = os.read(descriptor, wanted)
        while len(data) != status.st_size and len(data) <= most and (more := os.read(descriptor, wanted)):
            data += more
    finally:
        os.close(descriptor)
    return data, status


def name_kind(mode):
    """What something in a folder is, in words.

    Args:
      mode: `st_mode` of its `os.stat`.
    """
    return "a folder" if stat.S_ISDIR(mode) else _KINDS.get(stat.S_IFMT(mode), "something special")


def raise_if_of_the_machine(error, path):
    """Raises a `StorageError` if an OSError says nothing about the file: the process has too many files open, or the
    system has no memory left. Taken for a fault of the file, it would leave out images that are in order.
    """
    if error.errno not in _OF_THE_MACHINE:
        return
    raise errors.StorageError(
        f"{show(path)}: cannot be opened: {os.strerror(error.errno).lower()}",
        expected="enough open files and memory for the worker processes",
        fix="raise the limit with `ulimit -n 4096`, or use --num_workers=1",
    ) from error


def is_text(name):
    """Whether a file name can be stored as text; the system gives other bytes as lone surrogates."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_text(path):
    """Raises if a path cannot be stored as text, as in annotation files and lists of images.

    Raises:
      UsageError: it is not valid UTF-8.
    """
    if not is_text(os.fspath(path)):
        raise errors.UsageError(
            f"{show(path)}: the path is not valid UTF-8, so it cannot be written into annotation files and lists",
            fix="rename the folder, or use a symbolic link with another name (ln -s)",
        )


def list_files(folder, report):
    """The names that `find_files` yields, sorted."""
    return sorted(find_files(folder, report))


def show(name):
    """A path as text that can be printed and stored: bytes that are not valid UTF-8 are escaped, as in `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
