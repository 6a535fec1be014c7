"""Words in messages: numbers with their nouns, and suggestions for misspelt names.

The cost of suggestions is bounded, whatever the names come from: a name that is longer than any real one is compared
with nothing, and of very many known names only those with the same first letter are compared.
"""

import difflib

_LONGEST = 100  # characters
_MOST = 1000  # known names


def nearest(name, known, count=3, cutoff=0.6):
    """The names in `known` that are most similar to `name`, best first, ignoring case.

    Args:
      name: text.
      known: iterable of texts.
      count: how many, at most.
      cutoff: least similarity, as in difflib.
    """
    folded = str(name).casefold()
    if not folded or len(folded) > _LONGEST:
        return []
    known = [other for other in known if len(other) <= _LONGEST]
    if len(known) > _MOST:
        known = [other for other in known if other[:1].casefold() == folded[:1]][:_MOST]
    by_fold = {other.casefold(): other for other in reversed(known)}
    matches = difflib.get_close_matches(folded, by_fold, n=count, cutoff=cutoff)
    return [by_fold[match] for match in matches]


def count(number, noun, plural=None):
    """A number with its noun: "1 image", "2 images", "3 boxes", "1 image is", "2 images are".

    Args:
      number: an integer.
      noun: in the singular; a phrase is possible if its last word is the noun.
      plural: the plural where it is not regular, or where words follow that agree with it.
    """
    return f"{number} " + (noun if number == 1 else plural or _plural(noun))


def _plural(noun):
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"
