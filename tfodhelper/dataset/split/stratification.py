"""Assigns groups of images to sides: iterative stratification, and single moves that even out the result.

Images and groups are identified by numbers, and their properties are stored in columns, so that memory does not grow
with their number. Labels are class names, and (class name, box size).
"""

import array
import collections
import itertools
import random

from tfodhelper.outofcore import columns

NEGATIVE = ""  # the label of an image without objects
UNASSIGNED = -1
_ROUNDING = 1e-9
_MAX_CANDIDATES = 1000  # groups that are considered for one move
_MAX_SWAP_CANDIDATES = 40  # on each side
_WEIGHTS = {"class": 1.0, "stratum": 0.02, "image": 0.05}  # of squared deviations
_MAX_KINDS = 1 << 12  # of images, whose labels are cached
_BLOCK = 1 << 12  # labels


def find_leaders(count, sets, folder=None):
    """The first member of the group of each image.

    Args:
      count: number of images.
      sets: lists of images that stay together; lists that share a member are merged.
      folder: see `columns.Column`.

    Returns:
      A `columns.Column`, or None if every image is on its own.
    """
    leaders = None
    for first, *others in sets:
        if leaders is None and others:
            leaders = columns.Column("q", range(count), folder)
        for other in others:
            leader, other_leader = _find_leader(leaders, first), _find_leader(leaders, other)
            leaders[max(leader, other_leader)] = min(leader, other_leader)
    if leaders is not None:
        for image in range(count):
            leaders[image] = _find_leader(leaders, image)
    return leaders


def _find_leader(leaders, image):
    while (above := leaders[image]) != image:
        leaders[image] = leaders[above]
        image = above
    return image


class Groups:
    """Groups of images, in the order that breaks ties, and how many of their images show each label.

    Args:
      count: number of images.
      kind_at: maps an image to (its classes, its strata), see `split.SplitImage`.
      leaders: see `find_leaders`.
      seed: of the order.
      folder: see `columns.Column`.

    Attributes:
      names: the labels, by number.
      sizes: number of images of each group; a `columns.Column`.
    """

    def __init__(self, count, kind_at, leaders=None, seed=0, folder=None):
        self.names, self._kind_at, self._folder, self._rows = [], kind_at, folder, {}
        self._label_numbers = {}
        self._members, self._starts = self._list_members(count, leaders)
        order = columns.Column("q", range(len(self._starts) - 1 if leaders is not None else count), folder)
        random.Random(seed).shuffle(order.view())
        order.release()
        self._order = order
        self.sizes = columns.Column("I", (self._size_of(group) for group in order), folder)
        self._ends, self._labels = (columns.Column(code, folder=folder) for code in "QI")
        self._counts = None if leaders is None else columns.Column("q", folder=folder)
        self._collect_labels()
        self._views = tuple(column.view() for column in (self._ends, self._labels))

    def __len__(self):
        return len(self.sizes)

    def images_of(self, position):
        """The images of a group, in order."""
        group = self._order[position]
        if self._members is None:
            return (group,)
        return self._members[self._starts[group] : self._starts[group + 1]]

    def labels_of(self, position):
        """The numbers of the labels of a group."""
        ends, labels = self._views
        return labels[ends[position - 1] if position else 0 : ends[position]]

    def counts_of(self, position):
        """(label number, number of images with this label) for the labels of a group."""
        labels = self.labels_of(position)
        if self._counts is None:
            return zip(labels, itertools.repeat(1))
        end = self._ends[position]
        return zip(labels, self._counts[end - len(labels) : end])

    def all_labels(self):
        """Yields (position, label number, number of images with this label), by position."""
        start, labels = 0, iter(self._labels)
        counts = itertools.repeat(1) if self._counts is None else iter(self._counts)
        for position, end in enumerate(self._ends):
            for _ in range(start, end):
                yield position, next(labels), next(counts)
            start = end

    def release(self):
        """See `columns.Column.release`."""
        for column in (self._ends, self._labels, self._order):
            column.release()

    def _collect_labels(self):
        labels, end = array.array("I"), 0
        for image in self._order if self._members is None else ():
            row = self._row_of(self._kind_at(image))
            labels.extend(row)
            end += len(row)
            self._ends.append(end)
            if len(labels) >= _BLOCK:
                self._labels.extend(labels)
                del labels[:]
        self._labels.extend(labels)
        for position in range(len(self) if self._members is not None else 0):
            counts = self._count_labels(self.images_of(position))
            self._labels.extend(array.array("I", counts))
            self._counts.extend(array.array("q", counts.values()))
            self._ends.append(len(self._labels))

    def _list_members(self, count, leaders):
        """(images, group by group in the order of their first images; start of each group, and the end)."""
        if leaders is None:
            return None, ()
        group_of, sizes = columns.Column("q", folder=self._folder), columns.Column("q", folder=self._folder)
        for image, leader in enumerate(leaders):
            if leader == image:
                group_of.append(len(sizes))
                sizes.append(1)
            else:
                group_of.append(group_of[leader])
                sizes[group_of[leader]] += 1
        starts = columns.Column("q", itertools.accumulate(sizes, initial=0), self._folder)
        free = columns.Column("q", starts, self._folder)
        members = columns.filled("q", 0, count, self._folder)
        for image, group in enumerate(group_of):
            members[free[group]] = image
            free[group] += 1
        return members, starts

    def _size_of(self, group):
        return 1 if self._members is None else self._starts[group + 1] - self._starts[group]

    def _count_labels(self, images):
        """{label number: number of images}."""
        if len(images) == 1:
            return self._row_of(self._kind_at(images[0]))
        counts = collections.Counter()
        for image in images:
            counts.update(self._row_of(self._kind_at(image)))
        return counts

    def _row_of(self, kind):
        row = self._rows.get(kind)
        if row is None:
            if len(self._rows) >= _MAX_KINDS:
                self._rows.clear()
            labels = (*(sorted(kind[0]) or (NEGATIVE,)), *sorted(kind[1]))
            row = self._rows[kind] = dict.fromkeys([self._number_of(label) for label in labels], 1)
        return row

    def _number_of(self, label):
        number = self._label_numbers.get(label)
        if number is None:
            number = self._label_numbers[label] = len(self.names)
            self.names.append(label)
        return number


class Stratifier:
    """Assigns groups to sides, those with the rarest label first, and evens out the result.

    Args:
      groups: `Groups`.
      share_out: maps a number of images to {side: wanted number}.
      held: for each image that keeps its side, the number of that side, for the others UNASSIGNED; or None.
      folder: see `columns.Column`.

    Attributes:
      side_names: the sides, in order.
    """

    def __init__(self, groups, share_out, held=None, folder=None):
        self._groups, self._folder = groups, folder
        totals, num_groups = [0] * len(groups.names), [0] * len(groups.names)
        for _, label, count in groups.all_labels():
            totals[label] += count
            num_groups[label] += 1
        wanted = share_out(sum(groups.sizes))
        self.side_names = list(wanted)
        self._wanted_images = list(wanted.values())
        self._wanted = [list(share_out(total).values()) for total in totals]
        self._is_class = [isinstance(name, str) for name in groups.names]
        self._positions, self._starts = self._list_positions(num_groups)
        self._num_unassigned = {
            label: count for label, count in enumerate(num_groups) if count
        }  # groups not assigned yet
        sides = columns.filled("b", UNASSIGNED, len(groups), folder)
        self._used, self._sides, self._sizes = (sides, groups.sizes), sides.view(), groups.sizes.view()
        self._held, self._num_assigned = None, 0
        if held is not None:
            firsts = (self._held_side(groups.images_of(position), held) for position in range(len(groups)))
            self._held = columns.Column("b", firsts, folder)
            for position, side in enumerate(self._held):
                if side != UNASSIGNED:
                    self._assign_group(position, side)

    def assign(self, keep_trained=False):
        """Assigns all groups.

        Args:
          keep_trained: whether every class gets a group on the first side, even if others have displaced it.

        Returns:
          A `columns.Column` with the number of the side of each image.
        """
        names = self._groups.names
        while self._num_unassigned:
            label = min(self._num_unassigned, key=lambda label: (self._num_unassigned[label], str(names[label])))
            for position in self._unassigned(label):
                self._assign_group(position, self._choose(label))
        self._rebalance()
        if keep_trained:
            self._leave_no_class_untrained()
        sides = columns.filled("b", UNASSIGNED, sum(self._groups.sizes), self._folder)
        for position, side in enumerate(self._sides):
            for image in self._groups.images_of(position):
                sides[image] = side
        return sides

    def _release(self):
        self._groups.release()
        for column in self._used:
            column.release()

    def _list_positions(self, num_groups):
        """(positions of the groups with each label, label by label; start of each label, and the end)."""
        starts = list(itertools.accumulate(num_groups, initial=0))
        free, positions = starts[:], columns.filled("I", 0, starts[-1], self._folder)
        for position, label, _ in self._groups.all_labels():
            positions[free[label]] = position
            free[label] += 1
        return positions, starts

    def _held_side(self, images, held):
        return next((held[image] for image in images if held[image] != UNASSIGNED), UNASSIGNED)

    def _is_free(self, position):
        return self._held is None or self._held[position] == UNASSIGNED

    def _showing(self, label):
        """Positions of the groups with a label, in order."""
        start, end = self._starts[label], self._starts[label + 1]
        for begin in range(start, end, _MAX_CANDIDATES):
            yield from self._positions[begin : min(begin + _MAX_CANDIDATES, end)]
            self._positions.release()

    def _unassigned(self, label):
        """Positions of the unassigned groups with a label, the largest first."""
        sizes = {self._sizes[p] for p in self._showing(label) if self._sides[p] == UNASSIGNED}
        for size in sorted(sizes, reverse=True):
            for position in self._showing(label):
                if self._sides[position] == UNASSIGNED and self._sizes[position] == size:
                    yield position

    def _choose(self, label):
        """The side that needs most of the label; ties are broken by the number of images needed, then by order."""
        wanted, images = self._wanted[label], self._wanted_images
        return max(range(len(wanted)), key=lambda side: (wanted[side], images[side], -side))

    def _assign_group(self, position, side):
        self._sides[position] = side
        self._num_assigned += 1
        if self._num_assigned % _BLOCK == 0:
            self._release()
        self._wanted_images[side] -= self._sizes[position]
        for label, count in self._groups.counts_of(position):
            self._wanted[label][side] -= count
            self._num_unassigned[label] -= 1
            if not self._num_unassigned[label]:
                del self._num_unassigned[label]

    def _rebalance(self):
        """Moves and swaps groups while this brings a class closer to its share."""
        names = self._groups.names
        num_free = {
            label: sum(map(self._is_free, self._showing(label))) for label in range(len(names)) if self._is_class[label]
        }
        for _ in range(2):
            for label in sorted(num_free, key=lambda label: (num_free[label], names[label])):
                for _ in range(num_free[label]):
                    if not self._move_one(label):
                        break

    def _move_one(self, label):
        """Makes the best single move or swap for a class; returns whether there was an improvement."""
        wanted = self._wanted[label]
        sides = range(len(wanted))
        low, high = min(sides, key=wanted.__getitem__), max(sides, key=wanted.__getitem__)  # too many, too few
        if wanted[low] >= 0 or wanted[high] <= 0:
            return False
        here = (p for p in self._showing(label) if self._sides[p] == low and self._is_free(p))
        here = list(itertools.islice(here, _MAX_CANDIDATES))
        best = min(((self._cost_change([(p, low, high)]), (p,)) for p in here), default=(0.0, ()))
        if best[0] > -_ROUNDING:
            best = min(self._swaps(label, here, low, high), default=(0.0, ()))
        if best[0] > -_ROUNDING:
            return False
        for position, (source, target) in zip(best[1], ((low, high), (high, low))):
            self._move(position, source, target)
        return True

    def _swaps(self, label, here, low, high):
        """Candidate swaps: a group with the class for a group without it on the other side."""
        there = (p for p, side in enumerate(self._sides) if side == high and self._is_free(p))
        others = (p for p in there if label not in self._groups.labels_of(p))
        others = list(itertools.islice(others, _MAX_SWAP_CANDIDATES))
        for p, q in itertools.product(here[:_MAX_SWAP_CANDIDATES], others):
            yield self._cost_change([(p, low, high), (q, high, low)]), (p, q)

    def _cost_change(self, moves):
        """The change of the sum of squared deviations caused by some moves; lower is better."""
        changes = collections.defaultdict(int)
        for position, source, target in moves:
            for label, count in self._groups.counts_of(position):
                changes[label, source] += count
                changes[label, target] -= count
        total = 0.0
        for (label, side), change in changes.items():
            wanted = self._wanted[label][side]
            weight = _WEIGHTS["class" if self._is_class[label] else "stratum"]
            total += weight * ((wanted + change) ** 2 - wanted**2)
        for side in {side for _, *sides in moves for side in sides}:
            change = sum(self._sizes[p] * ((side == a) - (side == b)) for p, a, b in moves)
            total += _WEIGHTS["image"] * ((self._wanted_images[side] + change) ** 2 - self._wanted_images[side] ** 2)
        return total

    def _move(self, position, source, target):
        for side, sign in ((source, 1), (target, -1)):
            self._wanted_images[side] += sign * self._sizes[position]
            for label, count in self._groups.counts_of(position):
                self._wanted[label][side] += sign * count
        self._sides[position] = target

    def _leave_no_class_untrained(self):
        """Moves one group to the first side for each class that has none there."""
        classes = (label for label, is_class in enumerate(self._is_class) if is_class)
        missing = {label for label in classes if all(self._sides[p] != 0 for p in self._showing(label))}
        for position in range(len(self._groups)) if missing else ():
            if self._is_free(position) and not missing.isdisjoint(self._groups.labels_of(position)):
                self._sides[position] = 0
                missing.difference_update(self._groups.labels_of(position))
