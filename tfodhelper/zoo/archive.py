"""Unpacks a model's archive without trusting it."""

import errno
import gzip
import os
import pathlib
import re
import shutil
import tarfile
import tempfile
import zlib

from tfodhelper import errors, plain_text, result_folder, storage

MARKER = ".complete.json"  # written last to an unpacked folder
_MAX_BYTES = 8 << 30
_MAX_FILES = 2000  # published archives have about twenty
_MAX_RATIO = 100  # of unpacked to packed bytes: weights can hardly be compressed
_FREE_BYTES = 64 << 20  # may be unpacked whatever the ratio
_MAX_HEADER = 1 << 20  # of the names and further headers before a member
_PIECE = 1 << 20
# What `tarfile` raises for damaged headers, besides its own errors: odd numbers, names and encodings, long chains.
_DAMAGED = (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError, LookupError, RecursionError)


class _Headers:
    """A tar file that is read forwards, and whose headers are read in small amounts, whatever size they claim to have.

    `tarfile` reads a header of 512 MB into memory at once, if the header before it says so, and goes back by one byte
    for every member, for which a compressed file would be read from its beginning.
    """

    def __init__(self, file):
        self._file, self._left = file, _MAX_HEADER
        self._last = self._again = b""  # the end of what was read; what of it is to be read again

    def read(self, size):
        """As of files; raises a `TarError` for more than headers may have."""
        self._left -= size
        if size < 0 or self._left < 0:
            raise tarfile.ReadError(f"a header of more than {_MAX_HEADER >> 20} MiB")
        data = self._again[:size] + self._file.read(max(size - len(self._again), 0))
        self._again = self._again[size:]
        self._last = data[-tarfile.BLOCKSIZE :]
        return data

    def allow(self, size):
        """Allows this number of bytes of content, and the next header."""
        self._left = _MAX_HEADER + size

    def seek(self, position):
        """As of files; raises a `TarError` for a member that claims to begin before the end of the previous one."""
        back = self.tell() - position
        if back <= 0:
            self._again = b""
            self._file.seek(position)
        elif back <= len(self._last) and not self._again:
            self._again = self._last[-back:]
        else:
            raise tarfile.ReadError("members that overlap")

    def tell(self):
        """As of files."""
        return self._file.tell() - len(self._again)


def unpack(archive, folder, facts=(), check=None):
    """Unpacks a .tar.gz into a folder that appears atomically.

    The single top folder of published archives is omitted.

    Args:
      archive: path of the .tar.gz.
      folder: folder for its content; must not exist, or be empty.
      facts: a dict that is written to the marker file.
      check: called with the folder of the content before it appears; raises an error if it is not what was wanted.

    Raises:
      ZooError: the archive is damaged, too large, or contains something that a model's archive never contains:
        absolute paths, "..", links, devices.
      StorageError: the folder is not empty or cannot be written.
    """
    with result_folder.whole_folder(folder) as content:
        try:
            check_gzip(archive)
            with tempfile.TemporaryDirectory(dir=content) as unpacked:
                with gzip.open(archive, "rb") as file:
                    _copy_members(_Headers(file), pathlib.Path(unpacked), archive)
                for entry in _list_without_top_folder(pathlib.Path(unpacked)):
                    entry.rename(content / entry.name)
        except _DAMAGED as error:
            raise _damaged(archive, error) from error
        if check is not None:
            check(content)
        storage.write_json(content / MARKER, dict(facts))


def check_gzip(archive):
    """Reads a gzip file to its end, where its checksum is.

    Raises:
      ZooError: it is not a gzip file, is truncated or damaged, or is larger than any model when unpacked.
    """
    size, most = 0, max(_FREE_BYTES, _MAX_RATIO * os.path.getsize(archive))
    try:
        with gzip.open(archive, "rb") as file:
            while piece := file.read(_PIECE):
                size += len(piece)
                if size > _MAX_BYTES:
                    raise errors.ZooError(f"{archive}: larger than {_MAX_BYTES >> 30} GiB when unpacked")
                if size > most:
                    raise errors.ZooError(
                        f"{archive}: unpacked, it is more than {_MAX_RATIO} times as large, as no model's archive is"
                    )
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged(archive, error) from error


def _damaged(archive, error):
    return errors.ZooError(
        f"{archive}: is not a complete .tar.gz archive ({plain_text.shorten(error)})",
        fix="delete it and download it again",
    )


def _copy_members(headers, target, archive):
    with tarfile.open(fileobj=headers, mode="r:") as tar:
        files = size = 0
        for member in tar:
            files, size = files + 1, size + member.size
            if files > _MAX_FILES or size > _MAX_BYTES or member.size < 0:
                raise errors.ZooError(f"{archive}: contains more than any model ({files} files, {size} bytes)")
            headers.allow(member.size)
            _copy_member(tar, member, target.joinpath(*_safe_path(member, archive).parts), archive)
            headers.allow(0)


def _copy_member(tar, member, path, archive):
    try:
        folder = path if member.isdir() else path.parent
        folder.mkdir(parents=True, exist_ok=True)
        if not member.isdir():
            with tar.extractfile(member) as source, open(path, "wb") as file:
                shutil.copyfileobj(source, file, _PIECE)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise errors.ZooError(f"{archive}: {member.name!r} is both a file and a folder") from error
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ):
            raise
        raise errors.ZooError(f"{archive}: {plain_text.shorten(member.name, 80)!r} cannot be a file name") from error


def _safe_path(member, archive):
    """The member's path inside the target folder.

    Raises:
      ZooError: the path leads elsewhere, or the member is neither a file nor a folder.
    """
    path = pathlib.PurePosixPath(member.name)
    if member.issparse():
        problem = "a file with gaps"
    elif not (member.isfile() or member.isdir()):
        problem = "a link" if member.issym() or member.islnk() else "neither a file nor a folder"
    elif path.is_absolute() or ".." in path.parts or "\\" in member.name or re.match(r"[A-Za-z]:", member.name):
        problem = "outside the target folder"
    else:
        return path
    raise errors.ZooError(
        f"{archive}: {plain_text.shorten(member.name, 80)!r} is {problem}; nothing was unpacked",
        fix="do not use this archive",
    )


def _list_without_top_folder(folder):
    entries = list(folder.iterdir())
    has_top = len(entries) == 1 and entries[0].is_dir() and entries[0].name != "checkpoint"
    return list(entries[0].iterdir()) if has_top else entries


def is_complete(folder):
    """Whether a folder was unpacked completely."""
    return (pathlib.Path(folder) / MARKER).is_file()
