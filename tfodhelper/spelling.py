"""Names that were probably meant."""

import difflib


def nearest(name, known, count=3):
    """The names of `known` that are most like `name`, best first; upper and lower case are alike."""
    by_fold = {other.casefold(): other for other in reversed(list(known))}
    matches = difflib.get_close_matches(name.casefold(), by_fold, n=count, cutoff=0.6)
    return [by_fold[match] for match in matches]
