"""Suggestions for misspelt names."""

import difflib


def nearest(name, known, count=3):
    """The names in `known` that are most similar to `name`, best first, ignoring case."""
    by_fold = {other.casefold(): other for other in reversed(list(known))}
    matches = difflib.get_close_matches(name.casefold(), by_fold, n=count, cutoff=0.6)
    return [by_fold[match] for match in matches]
