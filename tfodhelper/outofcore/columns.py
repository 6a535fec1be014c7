"""Long columns of numbers and texts that are kept in files, so that the memory they take does not grow with them.

A column starts in memory and moves to a file without a name when it grows; the file disappears with the process. The
system keeps as many of its pages in memory as it has room for; `release` gives them back.
"""

import array
import bisect
import collections.abc
import itertools
import mmap
import os
import tempfile

import numpy as np

from tfodhelper import storage

_HELD = 1 << 13  # values at the end of a column that are in memory
_BLOCK = 1 << 12  # values that are read at a time
_READS = 1 << 8  # single values that are read or changed before pages are released
_TEXTS = 1 << 8  # texts that are read or written at a time
_DIGEST_BYTES = 32


class ComparedByElement(collections.abc.Sequence):
    """A sequence that equals any sequence of equal elements, and has no hash value."""

    def __eq__(self, other):
        is_alike = isinstance(other, collections.abc.Sequence) and len(self) == len(other)
        return is_alike and all(mine == theirs for mine, theirs in zip(self, other))

    __hash__ = None


class Column(ComparedByElement):
    """Whole numbers of one type, as in `array.array`.

    Args:
      code: the type, a letter of `array.array`.
      values: the first ones.
      folder: for the file; by default the system's folder for temporary files.
    """

    def __init__(self, code, values=(), folder=None):
        self.code, self.folder = code, folder
        self._held = array.array(code)  # the last ones; the others are in the file
        self._file = self._map = self._view = None
        self._num_stored = self._num_reads = 0
        self.extend(values)

    def __len__(self):
        return self._num_stored + len(self._held)

    def __getitem__(self, position):
        if position.__class__ is int and position >= 0:
            if position >= self._num_stored:
                return self._held[position - self._num_stored]
            self._num_reads += 1
            if self._num_reads > _READS:
                self.release()
            view = self._view
            return (self._open() if view is None else view)[position]
        if isinstance(position, slice):
            start, stop, step = position.indices(len(self))
            if step == 1:
                return self._read(start, max(start, stop))
            return self.take(range(start, stop, step))
        return self[range(len(self))[position]]

    def __setitem__(self, position, value):
        if position >= self._num_stored:
            self._held[position - self._num_stored] = value
        else:
            self._num_reads += 1
            if self._num_reads > _READS:
                self.release()
            view = self._view
            (self._open() if view is None else view)[position] = value

    def __iter__(self):
        for _, block in self.blocks():
            yield from block

    def append(self, value):
        """Adds a number at the end."""
        self._held.append(value)
        if len(self._held) > _HELD:
            self._store()

    def extend(self, values):
        """Adds numbers at the end: an array of the same type, bytes, or any iterable of numbers."""
        if isinstance(values, (array.array, bytes, bytearray, np.ndarray)):
            for start in range(0, len(values), _HELD):
                piece = values[start : start + _HELD]
                self._held.frombytes(piece if isinstance(piece, (bytes, bytearray)) else piece.tobytes())
                if len(self._held) > _HELD:
                    self._store()
        else:
            for value in values:
                self.append(value)

    def blocks(self, size=_BLOCK):
        """Yields (position of the first one, array of consecutive values)."""
        for start in range(0, len(self), size):
            yield start, self._read(start, min(start + size, len(self)))
            self.release()

    def take(self, positions):
        """An array of the numbers at some positions, in any order; they are read page by page."""
        positions = np.asarray(positions, np.int64)
        values = np.empty(len(positions), np.dtype(self.code))
        for own in self._in_turn(positions):
            values[own] = np.frombuffer(self.view(), values.dtype)[positions[own]]
        return array.array(self.code, values.tobytes())

    def put(self, positions, values):
        """Changes the numbers at some positions, page by page."""
        positions, values = np.asarray(positions, np.int64), np.asarray(values, np.dtype(self.code))
        for own in self._in_turn(positions):
            np.frombuffer(self.view(), values.dtype)[positions[own]] = values[own]

    def _in_turn(self, positions):
        order = np.argsort(positions, kind="stable")
        for start in range(0, len(order), _BLOCK):
            yield order[start : start + _BLOCK]
            self.release()

    def view(self):
        """The whole column, to be read and changed like an array; valid until the next value is added."""
        if self._file is None:
            return self._held
        if self._held:
            self._store()
        return self._open() if self._view is None else self._view

    def release(self):
        """Gives used pages back to the system; nothing is lost."""
        self._num_reads = 0
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def _read(self, start, stop):
        """A copy of consecutive values."""
        self._num_reads += 1
        if self._num_reads > _READS:
            self.release()
        middle = min(max(start, self._num_stored), stop)
        values = array.array(self.code)
        if start < middle:
            if self._view is None:
                self._open()
            values.frombytes(self._map[start * values.itemsize : middle * values.itemsize])
        if middle < stop:
            values += self._held[middle - self._num_stored : stop - self._num_stored]
        return values

    def _store(self):
        """Moves the values that are in memory into the file."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self.folder, buffering=0)  # noqa: SIM115
            self._file.seek(0, os.SEEK_END)
            data = memoryview(self._held).cast("B")
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise storage.explain_os_error(error, self.folder or tempfile.gettempdir()) from error
        self._num_stored += len(self._held)
        self._held = array.array(self.code)
        self._map = self._view = None

    def _open(self):
        self._map = mmap.mmap(self._file.fileno(), 0)
        self._view = memoryview(self._map).cast(self.code)
        return self._view


class Texts(ComparedByElement):
    """Texts in the order in which they were added.

    Args:
      values: the first ones.
      folder: see `Column`.
    """

    def __init__(self, values=(), folder=None):
        self._bytes, self._ends = Column("B", folder=folder), Column("Q", folder=folder)
        self._held = []  # the last ones; the others are in the columns
        self._first, self._block, self._missed = 0, [], 0  # a block at hand, for texts that are read in order
        for value in values:
            self.append(value)

    def __len__(self):
        return len(self._ends) + len(self._held)

    def __getitem__(self, position):
        if isinstance(position, slice):
            return [self[number] for number in range(*position.indices(len(self)))]
        offset = position - self._first
        if 0 <= offset < len(self._block):
            return self._block[offset]
        if position < 0:
            return self[range(len(self))[position]]
        if position >= len(self._ends):
            return self._held[position - len(self._ends)]
        is_in_turn, self._missed = 0 < position - self._missed <= _TEXTS, position
        if is_in_turn:
            self._first, self._block = position, list(self._read(position, min(position + _TEXTS, len(self._ends))))
            return self._block[0]
        return next(self._read(position, position + 1))

    def __iter__(self):
        return self.between(0, len(self))

    def append(self, text):
        """Adds a text at the end."""
        self._held.append(text)
        if len(self._held) >= _TEXTS:
            self._store()

    def between(self, first, stop):
        """Yields the texts from one position up to, but not including, another."""
        if stop > len(self._ends):
            self._store()
        for begin in range(first, stop, _TEXTS):
            yield from self._read(begin, min(begin + _TEXTS, stop))
            self._bytes.release()
            self._ends.release()

    def find(self, text):
        """The position of a text in sorted texts; -1 if it is not among them."""
        position = bisect.bisect_left(self, text)
        return position if position < len(self) and self[position] == text else -1

    def _read(self, first, stop):
        start = self._ends[first - 1] if first else 0
        ends = self._ends[first:stop]
        data, offset = self._bytes[start : ends[-1]].tobytes(), start
        for end in ends:
            yield data[start - offset : end - offset].decode("utf-8")
            start = end

    def _store(self):
        data = [text.encode("utf-8") for text in self._held]
        ends = itertools.accumulate(map(len, data), initial=self._ends[-1] if self._ends else 0)
        self._ends.extend(array.array("Q", itertools.islice(ends, 1, None)))
        self._bytes.extend(b"".join(data))
        self._held.clear()


class Digests:
    """SHA-256 digests of some of many files, by position.

    Args:
      count: number of files.
      folder: see `Column`.
    """

    def __init__(self, count, folder=None):
        self._count, self._folder, self._values = count, folder, None

    def __getitem__(self, position):
        """Hex digest, or None."""
        if self._values is None:
            return None
        digest = self._values[_DIGEST_BYTES * position : _DIGEST_BYTES * (position + 1)].tobytes()
        return digest.hex() if any(digest) else None

    def __setitem__(self, position, digest):
        if self._values is None:
            self._values = filled("B", 0, _DIGEST_BYTES * self._count, self._folder)
        for number, byte in enumerate(bytes.fromhex(digest), start=_DIGEST_BYTES * position):
            self._values[number] = byte


def filled(code, value, count, folder=None):
    """A `Column` of `count` equal values."""
    column, piece = Column(code, folder=folder), array.array(code, [value]) * min(count, _HELD)
    for start in range(0, count, _HELD):
        column.extend(piece[: count - start])
    return column
