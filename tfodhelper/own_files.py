"""Files and folders of this program's own: never opened through links, locked while in use, recognized after a kill.

A temporary file or folder is locked by the process that made it. The system gives the lock back however that process
ends, so whoever can take the lock of a leftover knows that its owner is dead, on any machine, and may remove it.
"""

import contextlib
import errno
import hashlib
import itertools
import os
import pathlib
import re
import shutil
import stat
import tempfile
import weakref

from tfodhelper import errors

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind
    fcntl = None

TEMPORARY = re.compile(r"\..+\.\d+\.tmp")  # see `TemporaryFile`
_PREFIX, _SUFFIX = "tfodhelper-", ".tmp"  # of temporary folders
_TEMPORARY_FOLDER = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}\{_SUFFIX}")  # as `tempfile.mkdtemp` names them
_LONGEST_NAME = 180  # bytes of a name that still leave room for what is added to it
_OCCUPIED = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
# A link is refused, a pipe does not block, a program that is started does not inherit the file.
_CAREFUL = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))

_CLAIMS = set()  # descriptors that hold a lock


def _release_in_child():
    """Otherwise a forked child would keep the locks of a killed parent until the child itself ends."""
    for descriptor in _CLAIMS:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _CLAIMS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_in_child)


def open_careful(path, flags):
    """Opens a file for writing and returns its descriptor; what is not a file of this folder is refused.

    Args:
      path: of the file.
      flags: as of `os.open`.

    Raises:
      StorageError: it is a symbolic link, a folder, a pipe or a device: nothing is written through these.
      OSError: it cannot be opened.
    """
    try:
        descriptor = os.open(path, flags | _CAREFUL, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EISDIR):
            raise _not_a_file(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_a_file(path)
    return descriptor


def _not_a_file(path):
    kind = "a symbolic link" if os.path.islink(path) else "not a regular file"
    return errors.StorageError(
        f"{path}: is {kind}, and nothing is written through it", fix="remove it, or choose another folder"
    )


def short_name(name):
    """A name that leaves room for what is added to it: the name itself, or a digest of a long one."""
    data = os.fsencode(name)
    return name if len(data) <= _LONGEST_NAME else hashlib.sha256(data).hexdigest()[:32]


class Claim:
    """A lock on a file or folder, until it is released or the process ends.

    Args:
      path: of the file or folder, which must exist.
      needs_writing: whether the file is opened for writing, as some network file systems demand it for a lock.

    Attributes:
      descriptor: of the file.
      is_locked: True; False if another process holds the lock; None if the file system has no locks.
    """

    def __init__(self, path, needs_writing=False):
        if needs_writing:
            self.descriptor = open_careful(path, os.O_RDWR | os.O_CREAT)
        else:
            self.descriptor = os.open(path, os.O_RDONLY | _CAREFUL)
        _CLAIMS.add(self.descriptor)
        try:
            self.is_locked = _lock(self.descriptor)
            # Who holds the lock may have moved or removed the file since it was opened here.
            if self.is_locked and not self._is_still_at(path):
                self.is_locked = False
        except BaseException:
            self.release()
            raise

    def _is_still_at(self, path):
        try:
            return os.path.samestat(os.fstat(self.descriptor), os.lstat(path))
        except FileNotFoundError:
            return False

    def release(self):
        """Gives the lock back."""
        if self.descriptor in _CLAIMS:
            _CLAIMS.remove(self.descriptor)
            with contextlib.suppress(OSError):
                os.close(self.descriptor)


def _lock(descriptor):
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _OCCUPIED else None
    return True


class TemporaryFile:
    """A file that a process is writing, next to the place where it will be.

    Args:
      path: its final path.

    Attributes:
      path: where it is now.
      descriptor: of the open file, for writing; whoever wraps it closes it.
    """

    def __init__(self, path):
        path = pathlib.Path(path)
        for number in itertools.count(os.getpid()):
            self.path = path.with_name(f".{short_name(path.name)}.{number}.tmp")
            if self._create():
                return

    def _create(self):
        """Makes and locks a new file; False if a live process is using its name."""
        with contextlib.suppress(FileNotFoundError):
            if not _remove_if_dead(self.path):
                return False
        self.descriptor = open_careful(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            self._claim = Claim(self.path)
            if self._claim.is_locked is not False:
                return True
            self._claim.release()
        except FileNotFoundError:  # taken for a leftover before it was locked
            pass
        os.close(self.descriptor)
        return False

    def discard(self):
        """Removes the file, unless it has its final name by now, and gives its lock back."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self._claim.release()


class TemporaryFolder:
    """A folder that exists until it is removed; what killed processes left of their kind is removed first.

    Args:
      parent: where it is made; by default among the system's temporary files.

    Attributes:
      path: of the folder, a string.
    """

    def __init__(self, parent=None):
        parent = parent or _find_temporary_files()
        if os.path.isdir(parent):
            _remove_all_dead(parent, _TEMPORARY_FOLDER.fullmatch)
        while True:
            self.path = tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX, dir=parent)
            with contextlib.suppress(FileNotFoundError):
                claim = Claim(self.path)
                if claim.is_locked is not False:
                    break
                claim.release()
        self.remove = weakref.finalize(self, _remove_own, self.path, claim, os.getpid())


def _find_temporary_files():
    """The system's folder for temporary files. Python tries one out with a file, which a kill would leave there."""
    named = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    first = tempfile.tempdir or next((path for path in named if path), "/tmp")
    if os.path.isdir(first) and os.access(first, os.W_OK | os.X_OK):
        return os.path.abspath(first)
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise errors.StorageError(
            "no folder for temporary files can be written",
            expected=str(error),
            fix="set the environment variable TMPDIR to a folder that can",
        ) from error


def _remove_own(path, claim, owner):
    if os.getpid() == owner:  # not in a forked process
        shutil.rmtree(path, ignore_errors=True)
        claim.release()


@contextlib.contextmanager
def temporary_folder(parent=None):
    """Yields the path of a `TemporaryFolder`, as a string, and removes it when the block ends."""
    folder = TemporaryFolder(parent)
    try:
        yield folder.path
    finally:
        folder.remove()


def remove_dead(folder, is_deep=False):
    """Removes the temporary files and folders that killed processes left in a folder.

    Args:
      folder: the folder.
      is_deep: whether its subfolders are searched, too; links are not followed.
    """

    def is_own(name):
        return TEMPORARY.fullmatch(name) or _TEMPORARY_FOLDER.fullmatch(name)

    for parent, _, _ in os.walk(folder) if is_deep else [(folder, [], [])]:
        _remove_all_dead(parent, is_own)


def _remove_all_dead(folder, is_own):
    with os.scandir(folder) as entries:
        paths = [entry.path for entry in entries if is_own(entry.name)]
    for path in paths:
        with contextlib.suppress(OSError):
            _remove_if_dead(path)


def _remove_if_dead(path):
    """Removes a temporary file or folder whose owner is dead; returns whether it did."""
    if stat.S_ISLNK(os.lstat(path).st_mode):
        os.unlink(path)
        return True
    claim = Claim(path)
    try:
        if claim.is_locked:
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        return bool(claim.is_locked)
    finally:
        claim.release()
