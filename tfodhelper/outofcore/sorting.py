"""Columns are sorted, and entries found by their keys, with a bounded part of them in memory."""

import bisect
import collections
import heapq

import numpy as np

from tfodhelper.outofcore import columns

_RUN = 1 << 13  # texts that are sorted in memory
_BUCKET = 1 << 16  # keys that are sorted in memory
_KEY_BITS = 64
_READS = 1 << 8  # searches before pages are released


class TextSorter:
    """Sorts any number of texts.

    Args:
      folder: see `columns.Column`.
    """

    def __init__(self, folder=None):
        self._folder, self._held = folder, []
        self._runs, self._ends = columns.Texts(folder=folder), []

    def add(self, text):
        """Adds a text."""
        self._held.append(text)
        if len(self._held) >= _RUN:
            self._add_run()

    def sort(self):
        """Returns all texts that were added, sorted, as `columns.Texts`."""
        if not self._ends:
            return columns.Texts(sorted(self._held), self._folder)
        self._add_run()
        runs = [self._runs.between(start, stop) for start, stop in zip([0, *self._ends], self._ends)]
        return columns.Texts(heapq.merge(*runs), self._folder)

    def _add_run(self):
        for text in sorted(self._held):
            self._runs.append(text)
        self._held.clear()
        self._ends.append(len(self._runs))


def sort_keys(keys, folder=None):
    """Positions of keys, sorted by key and then by position.

    Args:
      keys: a `columns.Column` of code "q" whose values are spread over the whole range, as hash values are.
      folder: see `columns.Column`.

    Returns:
      (`columns.Column` of the sorted keys, `columns.Column` of their positions).
    """
    sorted_keys, positions = columns.Column("q", folder=folder), columns.Column("q", folder=folder)
    num_bits = max(0, -(-len(keys) // _BUCKET) - 1).bit_length()
    for bucket in range(-(1 << num_bits) // 2 if num_bits else 0, (1 << num_bits) // 2 if num_bits else 1):
        parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
        for start, block in keys.blocks(_BUCKET):
            values = np.frombuffer(block, np.int64)
            own = np.flatnonzero(values >> (_KEY_BITS - num_bits) == bucket) if num_bits else np.arange(len(values))
            parts.append((values[own], own + start))
        values, own = map(np.concatenate, zip(*parts))
        order = np.argsort(values, kind="stable")
        sorted_keys.extend(values[order])
        positions.extend(own[order])
    return sorted_keys, positions


class Lookup:
    """Finds positions of keys by hash value; the keys themselves are not kept.

    Args:
      texts: a sequence.
      folder: see `columns.Column`.
      key_of: function from a text to its key; None: the text itself is the key.
    """

    def __init__(self, texts, folder=None, key_of=None):
        self._texts, self._key_of = texts, key_of
        hashes = map(hash, map(key_of, texts) if key_of else texts)
        self._hashes, self._positions = sort_keys(columns.Column("q", hashes, folder), folder)
        self._view, self._num_reads = self._hashes.view(), 0

    def find(self, key):
        """Positions of the texts that have a key, in order."""
        value, view, positions = hash(key), self._view, []
        row = bisect.bisect_left(view, value)
        while row < len(view) and view[row] == value:
            position = self._positions[row]
            text = self._texts[position]
            if (self._key_of(text) if self._key_of else text) == key:
                positions.append(position)
            row += 1
        self._num_reads += 1
        if self._num_reads > _READS:
            self._hashes.release()
            self._num_reads = 0
        return positions


def group_equal(keys):
    """Yields a list of positions for each key that occurs more than once; see `sort_keys`."""
    sorted_keys, positions = sort_keys(keys, keys.folder)
    last, held = None, []
    for key, position in zip(sorted_keys, positions):
        if key != last:
            if len(held) > 1:
                yield held
            last, held = key, []
        held.append(position)
    if len(held) > 1:
        yield held


def tell_apart(positions, value_of):
    """Groups positions by their values.

    Args:
      positions: those whose hash values are equal.
      value_of: function from a position to its value.

    Returns:
      List of the groups of two or more positions.
    """
    by_value = collections.defaultdict(list)
    for position in positions:
        by_value[value_of(position)].append(position)
    return [group for group in by_value.values() if len(group) > 1]
