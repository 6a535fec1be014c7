"""What a scan notes for a later one, so that unchanged files are not read again.

The first line of a file of notes identifies what they depend on, every further line is an `entry.Entry`, in the order
of the annotation files, and the last line holds the checksum of all others. Notes that were cut or edited are not used:
the files are then read again.
"""

import functools
import itertools
import json
import os
import zlib

from tfodhelper import errors, limits, storage
from tfodhelper.outofcore import columns, sorting

_FORMAT = 7  # raised when images or annotations are judged differently, so that earlier notes are not used
_SEAL = b'["",'  # beginning of the last line
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, check_circular=False).encode
_decoder = json.JSONDecoder()


def head_of(identity):
    """The first line."""
    return (json.dumps({"format": _FORMAT, "identity": identity}) + "\n").encode("ascii")


def seal(checksum):
    """The last line: an entry without a name, with the checksum of all lines before it."""
    return (_encode(["", checksum]) + "\n").encode("ascii")


def write_sealed(file, parts):
    """Writes parts of a file of notes, and its last line."""
    checksum = 0
    for part in parts:
        file.write(part)
        checksum = zlib.crc32(part, checksum)
    file.write(seal(checksum))


class Notes:
    """The locations of the lines of a previous scan.

    Args:
      folder: see `columns.Column`.
    """

    def __init__(self, folder=None):
        self._folder, self._paths = folder, []
        self._names = columns.Texts(folder=folder)
        self._path_of, self._lengths = (columns.Column("I", folder=folder) for _ in range(2))
        self._offsets = columns.Column("Q", folder=folder)

    def add(self, path, identity):
        """Adds a file of notes; returns False and adds nothing if it is missing, damaged, or has another identity."""
        try:
            for _ in _list_lines(path, identity):
                pass  # detects damage before anything is added
        except FileNotFoundError:
            return False
        except OSError as error:
            raise errors.StorageError(f"{path}: cannot be read ({error.strerror})") from error
        except (ValueError, RecursionError):
            return False  # notes are only an optimization
        for name, offset, length in _list_lines(path, identity):
            self._names.append(name)
            self._path_of.append(len(self._paths))
            self._offsets.append(offset)
            self._lengths.append(length)
        self._paths.append(str(path))
        return True

    def location_of(self, name):
        """(path, offset, bytes) of the line of an annotation file, or None; afterwards nothing can be added."""
        numbers = self._lookup.find(name)
        if not numbers:
            return None
        last = numbers[-1]
        return self._paths[self._path_of[last]], self._offsets[last], self._lengths[last]

    @functools.cached_property
    def _lookup(self):
        return sorting.Lookup(self._names, self._folder)


def _list_lines(path, identity):
    """Yields (annotation file, offset, bytes) of the lines of a file of notes.

    Raises:
      ValueError: it is invalid, or was changed; at the end, if only the checksum says so.
    """
    with open(path, "rb") as file:
        head = file.readline()
        if limits.parse_json(head or "null") != {"format": _FORMAT, "identity": identity}:
            raise ValueError
        offset, checksum = len(head), zlib.crc32(head)
        for line in file:
            if line.startswith(_SEAL) and line == seal(checksum):
                break
            name, _ = _decoder.raw_decode(line.decode("ascii"), 1)
            if not isinstance(name, str) or not line.endswith(b"]\n"):
                raise ValueError
            yield name, offset, len(line)
            offset, checksum = offset + len(line), zlib.crc32(line, checksum)
        else:
            raise ValueError
        if file.read(1):
            raise ValueError


def read_notes(path, identity):
    """The `Notes` of one file; None if they are missing or cannot be used."""
    notes = Notes(os.path.dirname(path))
    return notes if notes.add(path, identity) else None


def write_notes(path, identity, batches):
    """Writes a file of notes from `EntryBatch`es."""
    with storage.open_whole(path, "wb") as file:
        write_sealed(file, itertools.chain((head_of(identity),), (batch.lines for batch in batches)))
