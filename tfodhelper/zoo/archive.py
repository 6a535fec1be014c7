"""Unpacks a model's archive without trusting it."""

import gzip
import pathlib
import re
import shutil
import tarfile
import tempfile
import zlib

from tfodhelper import errors, storage

MARKER = ".complete.json"  # written last into an unpacked folder
_MOST_BYTES = 8 << 30
_MOST_FILES = 20_000
_PIECE = 1 << 20


def unpack(archive, folder, facts=()):
    """Unpacks a .tar.gz into a folder that appears whole or not at all.

    The one top folder that the published archives have is left out.

    Args:
      archive: path of the .tar.gz.
      folder: where its content goes; must not exist, or be empty.
      facts: a dict that is written into the marker file.

    Raises:
      ZooError: when it is damaged, too large, or holds what an archive of a model never holds: absolute paths, "..",
        links, devices.
      StorageError: when the folder holds something or cannot be written.
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
    """Reads a gzip file to its end, where its checksum stands.

    Raises:
      ZooError: when it is no gzip file, is cut, damaged, or larger unpacked than any model.
    """
    size = 0
    try:
        with gzip.open(archive, "rb") as file:
            while piece := file.read(_PIECE):
                size += len(piece)
                if size > _MOST_BYTES:
                    raise errors.ZooError(f"{archive}: unpacked it is larger than {_MOST_BYTES >> 30} GiB")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged(archive, error) from error


def _damaged(archive, error):
    return errors.ZooError(f"{archive}: is no whole .tar.gz archive ({error})", fix="delete it and download it again")


def _copy_members(tar, target, archive):
    files = size = 0
    for member in tar:
        relative = _safe_path(member, archive)
        path = target.joinpath(*relative.parts)
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        files, size = files + 1, size + member.size
        if files > _MOST_FILES or size > _MOST_BYTES:
            raise errors.ZooError(f"{archive}: holds more than any model ({files} files, {size} bytes)")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tar.extractfile(member) as source, open(path, "wb") as file:
            shutil.copyfileobj(source, file, _PIECE)


def _safe_path(member, archive):
    """The member's path inside the target folder.

    Raises:
      ZooError: when it would lead elsewhere, or is neither a file nor a folder.
    """
    path = pathlib.PurePosixPath(member.name)
    if not (member.isfile() or member.isdir()):
        what = "a link" if member.issym() or member.islnk() else "neither a file nor a folder"
    elif path.is_absolute() or ".." in path.parts or "\\" in member.name or re.match(r"[A-Za-z]:", member.name):
        what = "outside the folder that it is unpacked into"
    else:
        return path
    raise errors.ZooError(f"{archive}: {member.name!r} is {what}; nothing was unpacked", fix="do not use this archive")


def _list_without_top_folder(folder):
    entries = list(folder.iterdir())
    has_top = len(entries) == 1 and entries[0].is_dir() and entries[0].name != "checkpoint"
    return list(entries[0].iterdir()) if has_top else entries


def is_whole(folder):
    """Whether a folder was unpacked to its end."""
    return (pathlib.Path(folder) / MARKER).is_file()
