"""Words in messages: numbers with their nouns, and suggestions for misspelt names."""

import difflib


def nearest(name, known, count=3):
    """The names in `known` that are most similar to `name`, best first, ignoring case."""
    by_fold = {other.casefold(): other for other in reversed(list(known))}
    matches = difflib.get_close_matches(name.casefold(), by_fold, n=count, cutoff=0.6)
    return [by_fold[match] for match in matches]


def count(number, noun, plural=None):
    """A number with its noun: "1 image", "1,000 images", "2 boxes".

    Args:
      number: an integer.
      noun: in the singular; a phrase is possible if its last word is the noun.
      plural: the plural where it is not regular.
    """
    return f"{number:,} " + (noun if number == 1 else plural or _plural(noun))


def _plural(noun):
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"
