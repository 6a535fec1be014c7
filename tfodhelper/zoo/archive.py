"""Unpacks a model's archive without trusting it."""

import gzip
import pathlib
import re
import shutil
import tarfile
import tempfile
import zlib

from tfodhelper import errors, storage

MARKER = ".complete.json"  # written last to an unpacked folder
_MAX_BYTES = 8 << 30
_MAX_FILES = 20_000
_PIECE = 1 << 20


def unpack(archive, folder, facts=()):
    """Unpacks a .tar.gz into a folder that appears atomically.

    The single top folder of published archives is omitted.

    Args:
      archive: path of the .tar.gz.
      folder: folder for its content; must not exist, or be empty.
      facts: a dict that is written to the marker file.

    Raises:
      ZooError: the archive is damaged, too large, or contains something that a model's archive never contains:
        absolute paths, "..", links, devices.
      StorageError: the folder is not empty or cannot be written.
    """
    with storage.whole_folder(folder) as content:
        try:
            check_gzip(archive)
            with tempfile.TemporaryDirectory(dir=content) as unpacked, tarfile.open(archive, "r:gz") as tar:
                _copy_members(tar, pathlib.Path(unpacked), archive)
                for entry in _list_without_top_folder(pathlib.Path(unpacked)):
                    entry.rename(content / entry.name)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise _damaged(archive, error) from error
        storage.write_json(content / MARKER, dict(facts))


def check_gzip(archive):
    """Reads a gzip file to its end, where its checksum is.

    Raises:
      ZooError: it is not a gzip file, is truncated or damaged, or is larger than any model when unpacked.
    """
    size = 0
    try:
        with gzip.open(archive, "rb") as file:
            while piece := file.read(_PIECE):
                size += len(piece)
                if size > _MAX_BYTES:
                    raise errors.ZooError(f"{archive}: larger than {_MAX_BYTES >> 30} GiB when unpacked")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged(archive, error) from error


def _damaged(archive, error):
    return errors.ZooError(
        f"{archive}: is not a complete .tar.gz archive ({error})", fix="delete it and download it again"
    )


def _copy_members(tar, target, archive):
    files = size = 0
    for member in tar:
        relative = _safe_path(member, archive)
        path = target.joinpath(*relative.parts)
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        files, size = files + 1, size + member.size
        if files > _MAX_FILES or size > _MAX_BYTES:
            raise errors.ZooError(f"{archive}: contains more than any model ({files} files, {size} bytes)")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tar.extractfile(member) as source, open(path, "wb") as file:
            shutil.copyfileobj(source, file, _PIECE)


def _safe_path(member, archive):
    """The member's path inside the target folder.

    Raises:
      ZooError: the path leads elsewhere, or the member is neither a file nor a folder.
    """
    path = pathlib.PurePosixPath(member.name)
    if not (member.isfile() or member.isdir()):
        problem = "a link" if member.issym() or member.islnk() else "neither a file nor a folder"
    elif path.is_absolute() or ".." in path.parts or "\\" in member.name or re.match(r"[A-Za-z]:", member.name):
        problem = "outside the target folder"
    else:
        return path
    raise errors.ZooError(
        f"{archive}: {member.name!r} is {problem}; nothing was unpacked", fix="do not use this archive"
    )


def _list_without_top_folder(folder):
    entries = list(folder.iterdir())
    has_top = len(entries) == 1 and entries[0].is_dir() and entries[0].name != "checkpoint"
    return list(entries[0].iterdir()) if has_top else entries


def is_complete(folder):
    """Whether a folder was unpacked completely."""
    return (pathlib.Path(folder) / MARKER).is_file()
