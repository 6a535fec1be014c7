"""Class names that may mean the same class: "button" and "buton", "Players Left" and "PlayersLeft"."""

import itertools

_MIN_LENGTH = 4  # shorter names that differ in one letter are usually intended ("cat", "car")


def find_twins(names):
    """Pairs of names that differ only in case, spaces and punctuation, or in one letter.

    Args:
      names: class names.

    Returns:
      List of (name, name), sorted.
    """
    return [(a, b) for a, b in itertools.combinations(sorted(names), 2) if _are_twins(a, b)]


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
