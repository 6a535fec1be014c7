"""Groups of images by what was found in them, whose turn it is, and what a class weighs."""

import numpy as np

from tfodhelper.active_learning.selection import candidates as streams

NOTHING = ""  # the stratum of images in which nothing was found: perhaps empty, perhaps overlooked


class Classes:
    """What is known of the classes.

    Args:
      class_counts: {class name: labelled images that show it}.
      balance: exponent of the weights; 0 gives every class 1.
    """

    def __init__(self, class_counts, balance=0.0):
        self._counts = dict(class_counts)
        self._most = max(1, *self._counts.values(), 1)
        self._balance = balance
        self._weights = {}

    def weight_of(self, name):
        """(labelled images of the most frequent class / of this one) ** balance; a class without any counts as one."""
        if name not in self._weights:
            self._weights[name] = (self._most / max(self._counts.get(name, 0), 1)) ** self._balance
        return self._weights[name]

    def stratum_of(self, found):
        """The class that an image is drawn for: the one with the fewest labelled images of those found in it.

        The rarest one and not the best one: where a common class stands in every image and is found most surely, all
        images would be in one stratum.

        Args:
          found: {class name: best score}; empty gives `NOTHING`.
        """
        return min(found, key=lambda name: (self._counts.get(name, 0), -found[name], name), default=NOTHING)

    def image_weight(self, found):
        """The mean of the weights of the classes found; 1 where nothing was found.

        Classes and not boxes: one rare object would not count among twenty common ones, and the counts are of images.
        """
        return sum(map(self.weight_of, found)) / len(found) if found else 1.0


def stratum_weights(sizes, classes):
    """The shares in which a budget is dealt to strata.

    Classes get alike (class balance: as they weigh). `NOTHING` gets no more than a class on average, and no more than
    its share of the pool: rare classes shall be drawn more often than at random, emptiness not.

    Args:
      sizes: {stratum: images of the pool}, each at least 1.
      classes: `Classes`.

    Returns:
      {stratum: weight > 0}.
    """
    weights = {name: classes.weight_of(name) for name in sorted(sizes) if name != NOTHING}
    if NOTHING in sizes:
        total, others = sum(weights.values()), sum(sizes.values()) - sizes[NOTHING]
        weights[NOTHING] = min(total / len(weights), total * sizes[NOTHING] / others) if weights else 1.0
    return weights


class Turns:
    """Whose turn it is: the stratum that has got least for its weight; each gets something before one gets twice.

    Args:
      weights: {stratum: weight}, of `stratum_weights`.
      chances: `Chances`; orders those that got nothing yet, the weightier ones more often first.
    """

    def __init__(self, weights, chances):
        self._weights = dict(weights)
        self._spent = dict.fromkeys(weights, 0)
        self._order = {name: streams.race(chances.of(name), weight) for name, weight in weights.items()}

    def __bool__(self):
        return bool(self._weights)

    def next(self):
        """The stratum whose turn it is."""
        return min(self._weights, key=lambda name: (self._spent[name] / self._weights[name], self._order[name], name))

    def spend(self, name, cost):
        """A stratum got something."""
        self._spent[name] += cost

    def close(self, name):
        """A stratum has nothing more to give."""
        del self._weights[name]


def deal(queues, turns, options):
    """Takes from strata in turn, each in its own order, as far as the budget goes.

    Args:
      queues: {stratum: list of candidates in order}.
      turns: `Turns` of these strata; used up.
      options: `SelectOptions`.

    Returns:
      list of candidates in the order taken.
    """
    rest = {name: iter(queue) for name, queue in queues.items()}
    taken, left = [], np.inf if options.takes_all else options.budget
    while turns and left > 0:
        name = turns.next()
        one = next((one for one in rest[name] if cost_of(one, options) <= left), None)
        if one is None:
            turns.close(name)
            continue
        taken.append(one)
        left -= cost_of(one, options)
        turns.spend(name, cost_of(one, options))
    return taken


def deal_spread(candidates, spread, turns, options, chance):
    """As `deal`, but each stratum gives the image that k-means++ draws, far from all taken of whichever stratum.

    Args:
      candidates: list; position i belongs to row i of `spread`.
      spread: `diversity.Spread`.
      turns: `Turns`; used up.
      options: `SelectOptions` with a budget.
      chance: numpy Generator.

    Returns:
      list of candidates in the order taken.
    """
    costs = np.array([cost_of(one, options) for one in candidates], np.int64)
    names = np.array([one.stratum for one in candidates], object)
    members = {name: names == name for name in set(names.tolist())}
    taken, left = [], options.budget
    while turns and left > 0:
        name = turns.next()
        allowed = members[name] & spread.free & (costs <= left) if name in members else np.zeros(len(costs), bool)
        if not allowed.any():
            turns.close(name)
            continue
        position = spread.draw(chance, allowed)
        spread.take(position)
        taken.append(candidates[position])
        left -= int(costs[position])
        turns.spend(name, int(costs[position]))
    return taken


def cost_of(candidate, options):
    """What a candidate takes of the budget."""
    return candidate.boxes if options.counts_boxes else 1
