"""Tables of numbers that are kept in files, and sorted, so that the memory they take does not grow with them.

A table starts in memory and moves to a file without a name when it grows; the file disappears with the process. Unlike
`columns.Column`, rows may have several fields, and are read as copies: no pages of the file stay in the process.
"""

import os
import tempfile

import numpy as np

from tfodhelper import storage

_HELD_BYTES = 1 << 16  # at the end of a table that are in memory
_RUN = 1 << 15  # rows that are sorted in memory
_BLOCK = 1 << 14  # rows that are in memory while sorted parts are merged
_LEAST_WINDOW = 1 << 8  # of them, of each part


class Rows:
    """Rows of one numpy type.

    Args:
      dtype: the type, which may have fields and a shape.
      folder: for the file; by default the system's folder for temporary files.
    """

    def __init__(self, dtype, folder=None):
        self.dtype, self._folder = np.dtype(dtype), folder
        self._item = np.empty([0], self.dtype)  # how many axes a row has follows from the type
        self._bytes_per_row = int(np.prod(self._item.shape[1:], dtype=np.int64)) * self._item.dtype.itemsize
        self._file, self._num_stored = None, 0
        self._held, self._num_held = [], 0

    def __len__(self):
        return self._num_stored + self._num_held

    def append(self, rows):
        """Adds an array of rows at the end."""
        rows = np.array(rows, self._item.dtype).reshape(-1, *self._item.shape[1:])
        if len(rows):
            self._held.append(rows)
            self._num_held += len(rows)
        if self._num_held * self._bytes_per_row > _HELD_BYTES:
            self._store()

    def read(self, start, stop):
        """A copy of consecutive rows."""
        start, stop = min(start, len(self)), min(stop, len(self))
        rows = np.empty([max(stop - start, 0), *self._item.shape[1:]], self._item.dtype)
        num_stored = max(0, min(stop, self._num_stored) - start)
        if num_stored:
            self._file.seek(start * self._bytes_per_row)
            self._fill(rows[:num_stored])
        if num_stored < len(rows):
            self._held = [np.concatenate(self._held)]
            rows[num_stored:] = self._held[0][start + num_stored - self._num_stored : stop - self._num_stored]
        return rows

    def _fill(self, rows):
        data = memoryview(rows.view(np.uint8).reshape(-1))
        while data:
            count = self._file.readinto(data)
            if not count:
                raise AssertionError("a temporary file is shorter than what was written to it")
            data = data[count:]

    def _store(self):
        """Moves the rows that are in memory into the file."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
            self._file.seek(0, os.SEEK_END)
            for rows in self._held:
                data = memoryview(np.ascontiguousarray(rows).view(np.uint8).reshape(-1))
                while data:
                    data = data[self._file.write(data) :]
        except OSError as error:
            raise storage.explain_os_error(error, self._folder or tempfile.gettempdir()) from error
        self._num_stored += self._num_held
        self._held, self._num_held = [], 0


class RowSorter:
    """Sorts any number of rows by some of their fields, ascending.

    Args:
      dtype: numpy type of the rows, with fields.
      by: names of fields; the first one decides, the others where it is equal. Together they tell all rows apart.
      folder: see `Rows`.
    """

    def __init__(self, dtype, by, folder=None):
        self._by, self._rows = tuple(by), Rows(dtype, folder)
        self._ends, self._waiting, self._num_waiting = [], [], 0

    def add(self, rows):
        """Adds an array of rows, in any order."""
        self._waiting.append(rows)
        self._num_waiting += len(rows)
        if self._num_waiting >= _RUN:
            self._add_run()

    def _add_run(self):
        rows = np.concatenate(self._waiting)
        self._waiting, self._num_waiting = [], 0
        self._rows.append(self._sort(rows))
        self._ends.append(len(self._rows))

    def _sort(self, rows):
        return rows[np.lexsort([rows[name] for name in reversed(self._by)])]

    def blocks(self):
        """Yields arrays of consecutive rows, all together in order."""
        if self._num_waiting:
            self._add_run()
        window = max(_LEAST_WINDOW, _BLOCK // max(len(self._ends), 1))
        runs = [_Run(self._rows, first, end, window) for first, end in zip([0, *self._ends], self._ends)]
        while runs:
            for run in runs:
                run.fill()
            # What comes after the last row of a window may not have been read yet, unless its run ends there.
            last = [run.rows[-1] for run in runs if not run.is_last]
            last = min(last, key=lambda row: tuple(row[name] for name in self._by)) if last else None
            block = [run.take(len(run.rows) if last is None else self._count_until(run.rows, last)) for run in runs]
            yield block[0] if len(block) == 1 else self._sort(np.concatenate(block))
            runs = [run for run in runs if not run.is_empty]

    def _count_until(self, rows, last):
        """How many sorted rows there are up to a row, which may be one of them."""
        first, end = 0, len(rows)
        for name in self._by:
            values, start = rows[name][first:end], first
            first = start + int(np.searchsorted(values, last[name], side="left"))
            end = start + int(np.searchsorted(values, last[name], side="right"))
        return end


class _Run:
    """Sorted rows first..end of a table, of which a window is in memory."""

    def __init__(self, table, first, end, window):
        self._table, self._next, self._end, self._window = table, first, end, window
        self.rows = table.read(first, first)

    @property
    def is_last(self):
        """Whether no rows follow those in memory."""
        return self._next == self._end

    @property
    def is_empty(self):
        """Whether all rows were taken."""
        return self.is_last and not len(self.rows)

    def fill(self):
        """Reads until the window is full."""
        missing = min(self._window - len(self.rows), self._end - self._next)
        if missing > 0:
            self.rows = np.concatenate([self.rows, self._table.read(self._next, self._next + missing)])
            self._next += missing

    def take(self, count):
        """Removes the first rows from the window and returns them."""
        taken, self.rows = self.rows[:count], self.rows[count:]
        return taken
