"""Tables in files: what is read is what was added, and in order; and a full disk is said."""

import errno

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfodhelper import errors
from tfodhelper.outofcore import rows

TABLE = np.dtype([("key", np.float64), ("row", np.int64), ("flags", np.uint8, (3,)), ("good", bool)])


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Parts so small that a few rows go to files and are merged."""
    monkeypatch.setattr(rows, "_HELD_BYTES", 100)
    monkeypatch.setattr(rows, "_RUN", 8)
    monkeypatch.setattr(rows, "_BLOCK", 8)
    monkeypatch.setattr(rows, "_LEAST_WINDOW", 2)


def table_of(keys):
    table = np.empty([len(keys)], TABLE)
    table["key"], table["row"] = keys, np.arange(len(keys))
    table["flags"], table["good"] = np.arange(len(keys))[:, None] % 256, np.arange(len(keys)) % 2
    return table


@pytest.mark.parametrize("dtype", [np.float64, np.int32, bool, (np.float64, (4,)), TABLE])
def test_rows_are_read_as_they_were_added(dtype):
    stored, number = rows.Rows(dtype), 57
    values = table_of(range(number)) if dtype is TABLE else np.arange(number * 4).reshape(number, 4)
    values = values if isinstance(dtype, tuple) or dtype is TABLE else values[:, 0].astype(dtype)
    for first, stop in ((0, 1), (1, 1), (1, 30), (30, 52), (52, 57)):
        stored.append(values[first:stop])
    assert len(stored) == number
    for first, stop in ((0, 57), (0, 0), (3, 4), (40, 57), (52, 57), (50, 90), (90, 99)):
        np.testing.assert_array_equal(stored.read(first, stop), values[first:stop])
    read = stored.read(0, 2)
    read[:] = read[::-1].copy()  # a copy: the table stays
    np.testing.assert_array_equal(stored.read(0, 2), values[:2])


@given(st.lists(st.integers(0, 5), max_size=120), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_blocks_are_in_order(keys, size):
    table = table_of(keys)
    sorter = rows.RowSorter(TABLE, ("key", "row"))
    for first in range(0, len(table), size):
        sorter.add(table[first : first + size][::-1])
    blocks = list(sorter.blocks())
    assert all(len(block) for block in blocks)
    found = np.concatenate([table[:0], *blocks])
    np.testing.assert_array_equal(found, table[np.lexsort((table["row"], table["key"]))])
    assert list(map(len, sorter.blocks())) == list(map(len, blocks))  # they can be read again


def test_a_block_is_a_small_part_of_all():
    sorter = rows.RowSorter(TABLE, ("key", "row"))
    sorter.add(table_of(np.zeros(100)))
    for _ in range(9):
        sorter.add(table_of(np.random.default_rng(0).random(100)))
    assert max(map(len, sorter.blocks())) <= 40


def test_a_full_disk_is_said(monkeypatch):
    class Full:
        def seek(self, *_):
            pass

        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rows.tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(errors.StorageError, match="space"):
        rows.Rows(np.float64).append(np.zeros(1000))
