"""Class names that may mean the same class: "button" and "buton", "Players Left" and "PlayersLeft"."""

import collections
import itertools

_MIN_LENGTH = 4  # shorter names that differ in one letter are usually intended ("cat", "car")
_MAX_LENGTH = 100  # longer names are compared without the search for one letter
_MOST_PAIRS = 1000


def find_twins(names):
    """Pairs of names that differ only in case, spaces and punctuation, or in one letter.

    Args:
      names: class names.

    Returns:
      List of (name, name), sorted; at most 1,000 pairs.
    """
    groups = collections.defaultdict(list)
    for name in sorted(names):
        for key in _keys(_plain(name)):
            groups[key].append(name)
    near = (pair for group in groups.values() for pair in itertools.combinations(group, 2))
    return sorted(set(itertools.islice((pair for pair in near if _are_twins(*pair)), 2 * _MOST_PAIRS)))[:_MOST_PAIRS]


def _keys(plain):
    """What names that differ by one letter have in common: the name itself, or what is left without one letter."""
    if not plain or not _MIN_LENGTH <= len(plain) <= _MAX_LENGTH or any(c.isdigit() for c in plain):
        return {plain} - {""}
    return {plain, *(plain[:i] + plain[i + 1 :] for i in range(len(plain)))}


def _are_twins(first, second):
    plain, other = _plain(first), _plain(second)
    if plain == other:
        return bool(plain)
    both_words = min(len(plain), len(other)) >= _MIN_LENGTH and not any(c.isdigit() for c in plain + other)
    return both_words and _differ_by_one_edit(plain, other)


def _plain(name):
    return "".join(c for c in name.casefold() if c.isalnum())


def _differ_by_one_edit(first, second):
    """Whether inserting, deleting or replacing one letter turns one into the other."""
    short, long = sorted((first, second), key=len)
    if len(long) - len(short) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(short, long)) if a != b), len(short))
    rest = start + 1 if len(short) == len(long) else start
    return short[rest:] == long[start + 1 :]
