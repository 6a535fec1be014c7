"""What is remembered of a prediction while a pool streams by, and streams of which the best stay.

Nothing here depends on the order of the pool: chance comes from a hash of seed, round and name, and ranks have no ties.
"""

import hashlib
import math
import typing


class Candidate(typing.NamedTuple):
    """A prediction without its boxes and features.

    Attributes:
      name: of the image.
      score: its uncertainty.
      weight: by which class balance multiplies it; 1 when off.
      boxes: what it costs in boxes.
      best_class, best_score: of the best detection; None and 0 without any.
      stratum: the class that it is drawn for; `strata.NOTHING` without a find.
      chance: 0..1, drawn for this image, seed and round.
    """

    name: str
    score: float
    weight: float
    boxes: int
    best_class: str | None
    best_score: float
    stratum: str
    chance: float

    def rank_at_random(self):
        """Those of the smallest ranks are a sample without replacement, each as likely as its weight (an exponential
        race; Efraimidis and Spirakis 2006). Of weight 1 it orders as `chance` does."""
        return (race(self.chance, self.weight), self.name)

    def rank_by_score(self):
        """The most doubtful first; chance decides among equals, since names that follow each other look alike."""
        return (-self.score * self.weight, self.chance, self.name)


def race(chance, weight):
    """When a runner of this speed arrives: exponentially distributed."""
    return -math.log1p(-chance) / weight


class Chances:
    """Numbers between 0 and 1, both excluded, that follow from seed, round and name.

    Args:
      seed: whole number.
      round_number: of the round.
      purpose: keeps numbers for different things apart.
    """

    def __init__(self, seed, round_number, purpose="image"):
        self._base = hashlib.blake2b(f"{seed}/{round_number}/{purpose}/".encode(), digest_size=8)

    def of(self, name):
        """The number of a name."""
        return ((self.whole(name) >> 12) + 0.5) / (1 << 52)  # the most bits with which it stays below 1

    def whole(self, name=""):
        """A whole number below 2**64, such as a seed."""
        digest = self._base.copy()
        digest.update(name.encode("utf-8", "surrogatepass"))
        return int.from_bytes(digest.digest(), "big")


class Smallest:
    """Keeps the candidates of the smallest ranks of a stream.

    Memory: twice the size at most.

    Args:
      size: how many; None keeps all.
    """

    def __init__(self, size):
        self._size = size
        self._kept = []
        self._bound = None

    def offer(self, rank, candidate):
        """Shows it one more.

        Args:
          rank: a tuple; no two are equal.
          candidate: what is kept.
        """
        if self._bound is not None and rank > self._bound:
            return
        self._kept.append((rank, candidate))
        if self._size is not None and len(self._kept) >= 2 * self._size + 64:
            self._prune()

    def in_order(self):
        """List of candidates, by rank."""
        self._prune()
        return [candidate for _, candidate in self._kept]

    def _prune(self):
        self._kept.sort(key=lambda pair: pair[0])
        if self._size is not None and len(self._kept) >= self._size:
            del self._kept[self._size :]
            self._bound = self._kept[-1][0] if self._kept else None


def fill(candidates, options):
    """Takes candidates in their order as far as the budget goes; one that does not fit is passed over.

    Args:
      candidates: in order.
      options: `SelectOptions`.

    Returns:
      list of those taken.
    """
    if options.takes_all:
        return list(candidates)
    if not options.counts_boxes:
        return list(candidates[: options.budget])
    taken, left = [], options.budget
    for one in candidates:
        if one.boxes <= left:
            taken.append(one)
            left -= one.boxes
    return taken
