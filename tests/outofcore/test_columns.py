"""Columns contain what arrays and lists contain, whether they are in memory or in a file."""

import array
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfodhelper import errors
from tfodhelper.outofcore import columns, sorting

RANGES = {"b": (-128, 127), "B": (0, 255), "I": (0, 2**32 - 1), "q": (-(2**63), 2**63 - 1), "Q": (0, 2**64 - 1)}
NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=60)


@pytest.fixture(autouse=True, params=["in memory", "in files"])
def small(request):
    if request.param == "in memory":
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"_HELD": 5, "_BLOCK": 7, "_READS": 3, "_TEXTS": 4}.items():
            patch.setattr(columns, name, value)
        for name, value in {"_RUN": 6, "_BUCKET": 8, "_READS": 3}.items():
            patch.setattr(sorting, name, value)
        yield


@given(st.data())
def test_a_column_is_an_array(data):
    code = data.draw(st.sampled_from(sorted(RANGES)))
    numbers = st.integers(*RANGES[code])
    column, expected = columns.Column(code), array.array(code)
    for _ in range(data.draw(st.integers(0, 12))):
        match data.draw(st.sampled_from(["append", "extend", "array", "set", "view"])):
            case "append":
                value = data.draw(numbers)
                column.append(value)
                expected.append(value)
            case "extend":
                values = data.draw(st.lists(numbers, max_size=20))
                column.extend(iter(values))
                expected.extend(values)
            case "array":
                values = array.array(code, data.draw(st.lists(numbers, max_size=20)))
                column.extend(values)
                expected.extend(values)
            case "set" if expected:
                position = data.draw(st.integers(0, len(expected) - 1))
                column[position] = expected[position] = data.draw(numbers)
            case "view" if expected:
                position = data.draw(st.integers(0, len(expected) - 1))
                column.view()[position] = expected[position] = data.draw(numbers)
        column.release()
    assert len(column) == len(expected) and list(column) == expected.tolist() and column == expected
    for position in range(-len(expected), len(expected)):
        assert column[position] == expected[position]
    part = data.draw(st.slices(len(expected)))
    if (part.step or 1) > 0:
        assert column[part] == expected[part]
    if expected:
        positions = data.draw(st.lists(st.integers(0, len(expected) - 1), max_size=20))
        assert column.take(positions).tolist() == [expected[position] for position in positions]
        targets = sorted(set(positions), key=positions.index)
        column.put(targets, expected[: len(targets)])
        changed = list(expected)
        for target, value in zip(targets, expected):
            changed[target] = value
        assert list(column) == changed
    with pytest.raises(IndexError):
        column[len(expected)]


@given(NAMES, st.randoms())
def test_texts_are_a_list(names, chance):
    texts = columns.Texts(names[:3])
    for name in names[3:]:
        texts.append(name)
    assert texts == names and list(texts) == names and len(texts) == len(names)
    for position in [*range(len(names)), *(chance.randrange(-len(names), len(names)) for _ in names)]:
        assert texts[position] == names[position]
    start, stop = sorted(chance.randint(0, len(names)) for _ in range(2))
    assert list(texts.between(start, stop)) == names[start:stop] == texts[start:stop]


@given(NAMES)
def test_texts_are_sorted_and_found(names):
    sorter = sorting.TextSorter()
    for name in names:
        sorter.add(name)
    found = sorter.sort()
    assert list(found) == sorted(names)
    for name in {*names, "", "a", "\x7f"}:
        place = found.find(name)
        assert (place >= 0) == (name in names) and (place < 0 or found[place] == name)


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2), max_size=80))
def test_keys_are_sorted_with_their_positions(keys):
    values, positions = sorting.sort_keys(columns.Column("q", keys))
    expected = sorted((key, position) for position, key in enumerate(keys))
    assert list(zip(values, positions)) == expected
    groups = [[p for k, p in expected if k == key] for key in sorted(set(keys))]
    assert list(sorting.group_equal(columns.Column("q", keys))) == [group for group in groups if len(group) > 1]


@given(NAMES)
def test_a_lookup_finds_all_positions_of_a_key(names):
    lookup, folded = sorting.Lookup(names), sorting.Lookup(columns.Texts(names), None, str.casefold)
    for name in {*names, "nobody"}:
        assert lookup.find(name) == [p for p, other in enumerate(names) if other == name]
        key = name.casefold()
        assert folded.find(key) == [p for p, other in enumerate(names) if other.casefold() == key]


def test_equal_hash_values_of_different_texts_are_told_apart(monkeypatch):
    monkeypatch.setattr(sorting, "hash", lambda text: len(text), raising=False)
    lookup = sorting.Lookup(["ab", "c", "cd", "ab"])
    assert (lookup.find("ab"), lookup.find("cd"), lookup.find("ef")) == ([0, 3], [2], [])
    assert sorting.tell_apart([0, 1, 2], lambda place: "xyx"[place]) == [[0, 2]]


def test_digests_of_a_few():
    digests = columns.Digests(100)
    assert digests[99] is None
    digests[7] = "0f" * 32
    assert (digests[6], digests[7], digests[8]) == (None, "0f" * 32, None)


def test_shuffling_a_column_is_shuffling_a_list():
    column, expected = columns.Column("q", range(50)), list(range(50))
    random.Random(3).shuffle(column.view())
    random.Random(3).shuffle(expected)
    assert list(column) == expected


def test_a_full_disk_is_said(monkeypatch, tmp_path):
    class Full:
        def seek(self, *_):
            pass

        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(columns, "_HELD", 5)
    monkeypatch.setattr(columns.tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(errors.StorageError, match="space"):
        columns.Column("q", range(10), tmp_path)
