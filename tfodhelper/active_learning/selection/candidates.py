"""What is kept of a prediction while a pool streams by, and how only the best of a stream are kept.

Nothing here depends on the order of the pool: random numbers are hashes of seed, round and name, and no ranks tie.
"""

import hashlib
import math
import typing


class Candidate(typing.NamedTuple):
    """A prediction without its boxes and features.

    Attributes:
      name: of the image.
      score: its uncertainty.
      weight: factor of the score by class balance; 1 when that is off.
      boxes: its cost in boxes.
      best_class, best_score: of the best detection; None and 0 without detections.
      stratum: the class that it is drawn for; `strata.NOTHING` if no class was found.
      chance: random number 0..1 of this image, seed and round.
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
        """The candidates with the smallest ranks are a sample without replacement, drawn by weight (an exponential
        race; Efraimidis and Spirakis 2006). With weight 1, the order is that of `chance`."""
        return (race(self.chance, self.weight), self.name)

    def rank_by_score(self):
        """The most doubtful first; chance decides between equals, since images with consecutive names look alike."""
        return (-self.score * self.weight, self.chance, self.name)


def race(chance, weight):
    """Arrival time of a runner with this speed: exponentially distributed."""
    return -math.log1p(-chance) / weight


class Chances:
    """Random numbers between 0 and 1, both excluded, that depend only on seed, round and name.

    Args:
      seed: an integer.
      round_number: of the round.
      purpose: separates numbers for different uses.
    """

    def __init__(self, seed, round_number, purpose="image"):
        self._base = hashlib.blake2b(f"{seed}/{round_number}/{purpose}/".encode(), digest_size=8)

    def of(self, name):
        """The number of a name."""
        return ((self.whole(name) >> 12) + 0.5) / (1 << 52)  # as many bits as keep it below 1

    def whole(self, name=""):
        """An integer below 2**64, for instance a seed."""
        digest = self._base.copy()
        digest.update(name.encode("utf-8", "surrogatepass"))
        return int.from_bytes(digest.digest(), "big")


class Smallest:
    """Keeps the candidates with the smallest ranks in a stream.

    Memory: at most about twice the size.

    Args:
      size: how many to keep; None keeps all.
    """

    def __init__(self, size):
        self._size = size
        self._kept = []
        self._bound = None

    def offer(self, rank, candidate):
        """Offers one more candidate.

        Args:
          rank: a tuple; no two may be equal.
          candidate: the value to keep.
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
    """Takes candidates in order as far as the budget goes; one that does not fit is skipped.

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
    for candidate in candidates:
        if candidate.boxes <= left:
            taken.append(candidate)
            left -= candidate.boxes
    return taken
