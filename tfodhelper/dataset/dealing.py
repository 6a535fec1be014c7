"""Dealing groups of images to sides: iterative stratification, and single moves that mend what it leaves uneven."""

import array
import collections
import itertools
import operator

NEGATIVE = ""  # the label of an image without objects
_ROUNDING = 1e-9
_MAX_CANDIDATES = 1000  # groups that are weighed for one move
_MAX_SWAP_CANDIDATES = 40  # on each side
_WEIGHTS = {"class": 1.0, "stratum": 0.02, "image": 0.05}  # of a squared deviation


def group_images(images):
    """Joins images with one digest or one group, which are dealt as one.

    Args:
      images: `split.SplitImage`s.

    Returns:
      List of tuples of images, each sorted by name, and all by the first name.
    """
    leader = {}

    def find(key):
        while (above := leader.setdefault(key, key)) != key:
            leader[key] = leader[above]
            key = above
        return key

    images = sorted(images, key=operator.attrgetter("name"))
    for image in images:
        if image.group:
            leader[find(("group", image.group))] = find(image.sha256)
    places, members = {}, []
    for image in images:
        is_alone = image.sha256 is image.name and not leader
        key = find(image.sha256) if leader else image.sha256
        place = len(members) if is_alone else places.setdefault(key, len(members))
        if place == len(members):
            members.append((image,))
        elif isinstance(members[place], tuple):
            members[place] = [*members[place], image]
        else:
            members[place].append(image)
    for place, group in enumerate(members):
        members[place] = tuple(group)
    return members


def count_labels(groups):
    """For each group {label: number of images that show it}; labels are class names and (class name, size).

    Single images that show the same share one dict.
    """
    known = {}
    return [_count_labels(group, known) for group in groups]


def _count_labels(images, known):
    if len(images) == 1:
        key = images[0].classes, images[0].strata
        if key not in known:
            known[key] = dict.fromkeys((*(sorted(key[0]) or (NEGATIVE,)), *sorted(key[1])), 1)
        return known[key]
    counts = collections.Counter()
    for image in images:
        counts.update(_count_labels((image,), known))
    return counts


def find_held_sides(groups, fixed):
    """The side of each group that has a member with a fixed one, else None."""
    if not fixed:
        return [None] * len(groups)
    return [next((fixed[image.name] for image in group if image.name in fixed), None) for group in groups]


class Dealer:
    """Deals groups, the rarest label first, and mends what is left uneven.

    Args:
      groups: in the order that decides between equals.
      counts: of their labels, see `count_labels`.
      share_out: function from a number of images to {side: wanted number}.
      held: side of each group that is not to be dealt, else None.
    """

    def __init__(self, groups, counts, share_out, held):
        self._counts = counts
        self._sizes = array.array("q", map(len, groups))
        self._held = held
        self._positions = collections.defaultdict(lambda: array.array("q"))  # label -> groups that show it, in order
        totals = collections.Counter()
        for position, counts in enumerate(self._counts):
            for label, count in counts.items():
                totals[label] += count
                self._positions[label].append(position)
        self._wanted = {label: share_out(total) for label, total in totals.items()}
        self._wanted_images = share_out(sum(self._sizes))
        self._rank = {side: -number for number, side in enumerate(self._wanted_images)}
        self._num_waiting = {label: len(found) for label, found in self._positions.items()}  # groups not dealt yet
        self.sides = [None] * len(groups)
        for position, side in enumerate(held):
            if side is not None:
                self._take(position, side)

    def deal(self):
        """Returns the side of each group."""
        while self._num_waiting:
            label = min(self._num_waiting, key=lambda label: (self._num_waiting[label], str(label)))
            waiting = [p for p in self._positions[label] if self.sides[p] is None]
            waiting.sort(key=lambda p: -self._sizes[p])
            for position in waiting:
                self._take(position, self._choose(label))
        self._mend()
        return self.sides

    def _choose(self, label):
        """The side that wants most of the label; then the one that wants most images; then the first."""
        wanted, images, rank = self._wanted[label], self._wanted_images, self._rank
        return max(wanted, key=lambda side: (wanted[side], images[side], rank[side]))

    def _take(self, position, side):
        self.sides[position] = side
        self._add(position, side, 1)
        for label in self._counts[position]:
            self._num_waiting[label] -= 1
            if not self._num_waiting[label]:
                del self._num_waiting[label]

    def _add(self, position, side, sign):
        self._wanted_images[side] -= sign * self._sizes[position]
        for label, count in self._counts[position].items():
            self._wanted[label][side] -= sign * count

    def _mend(self):
        """Moves groups, and swaps pairs of them, while a class is further from its share than it need be."""
        members = {  # groups that can be moved
            label: array.array("q", (p for p in found if self._held[p] is None))
            for label, found in self._positions.items()
            if isinstance(label, str)
        }
        for _ in range(2):
            for label in sorted(members, key=lambda label: (len(members[label]), label)):
                for _ in range(len(members[label])):
                    if not self._move_one(label, members[label]):
                        break

    def _move_one(self, label, members):
        """Carries out the best single move or swap for a class; returns whether there was one that helps."""
        wanted = self._wanted[label]
        low, high = min(wanted, key=wanted.get), max(wanted, key=wanted.get)  # too many, too few
        if wanted[low] >= 0 or wanted[high] <= 0:
            return False
        here = list(itertools.islice((p for p in members if self.sides[p] == low), _MAX_CANDIDATES))
        best = min(((self._gain([(p, low, high)]), (p,)) for p in here), default=(0.0, ()))
        if best[0] > -_ROUNDING:
            best = min(self._swaps(label, here, low, high), default=(0.0, ()))
        if best[0] > -_ROUNDING:
            return False
        for position, (source, target) in zip(best[1], ((low, high), (high, low))):
            self._shift(position, source, target)
        return True

    def _swaps(self, label, here, low, high):
        """Pairs: a group that shows the class for one on the other side that does not."""
        there = (p for p, side in enumerate(self.sides) if side == high and self._held[p] is None)
        others = list(itertools.islice((p for p in there if label not in self._counts[p]), _MAX_SWAP_CANDIDATES))
        for p, q in itertools.product(here[:_MAX_SWAP_CANDIDATES], others):
            yield self._gain([(p, low, high), (q, high, low)]), (p, q)

    def _gain(self, moves):
        """Change of the sum of squared deviations by some moves; less is better."""
        changes = collections.defaultdict(int)
        for position, source, target in moves:
            for label, count in self._counts[position].items():
                changes[label, source] += count
                changes[label, target] -= count
        total = 0.0
        for (label, side), change in changes.items():
            wanted = self._wanted[label][side]
            weight = _WEIGHTS["class" if isinstance(label, str) else "stratum"]
            total += weight * ((wanted + change) ** 2 - wanted**2)
        for side in {side for _, *sides in moves for side in sides}:
            change = sum(self._sizes[p] * ((side == a) - (side == b)) for p, a, b in moves)
            total += _WEIGHTS["image"] * ((self._wanted_images[side] + change) ** 2 - self._wanted_images[side] ** 2)
        return total

    def _shift(self, position, source, target):
        self._add(position, source, -1)
        self._add(position, target, 1)
        self.sides[position] = target
