"""Strata: groups of images by what was found in them, whose turn it is, and the weights of the classes."""

import numpy as np

from tfodhelper.active_learning.selection import candidates

NOTHING = ""  # the stratum of images in which nothing was found: they are empty, or their objects were missed


class Classes:
    """What is known about the classes.

    Args:
      class_counts: {class name: labelled images that show it}.
      balance: exponent of the weights; 0 gives every class the weight 1.
    """

    def __init__(self, class_counts, balance=0.0):
        self._counts = dict(class_counts)
        self._most = max(1, *self._counts.values(), 1)
        self._balance = balance
        self._weights = {}

    def weight_of(self, name):
        """(labelled images of the most frequent class / of this one) ** balance; a class with none counts as one."""
        if name not in self._weights:
            self._weights[name] = (self._most / max(self._counts.get(name, 0), 1)) ** self._balance
        return self._weights[name]

    def stratum_of(self, best_scores):
        """The class that an image is drawn for: of those found in it, the one with the fewest labelled images.

        The rarest class rather than the best-scoring one: where a common class is in every image and is found most
        reliably, all images would be in one stratum.

        Args:
          best_scores: {class name: best score}; empty gives `NOTHING`.
        """
        return min(best_scores, key=lambda name: (self._counts.get(name, 0), -best_scores[name], name), default=NOTHING)

    def image_weight(self, best_scores):
        """The mean of the weights of the classes found; 1 if nothing was found.

        Classes rather than boxes: one rare object would not count among twenty common ones, and images are counted.
        """
        return sum(map(self.weight_of, best_scores)) / len(best_scores) if best_scores else 1.0


def stratum_weights(sizes, classes):
    """The shares of the strata in a budget.

    Classes get equal shares (with class balance, in proportion to their weights). `NOTHING` gets at most as much as an
    average class, and at most its share of the pool: rare classes should be drawn more often than at random, empty
    images should not.

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
    """Whose turn it is: the stratum that has received the least for its weight; all receive once before any does twice.

    Args:
      weights: {stratum: weight}, from `stratum_weights`.
      chances: `Chances`; orders those that have received nothing yet, more often the heavier ones first.
    """

    def __init__(self, weights, chances):
        self._weights = dict(weights)
        self._spent = dict.fromkeys(weights, 0)
        self._order = {name: candidates.race(chances.of(name), weight) for name, weight in weights.items()}

    def __bool__(self):
        return bool(self._weights)

    def next(self):
        """The stratum whose turn it is."""
        return min(self._weights, key=lambda name: (self._spent[name] / self._weights[name], self._order[name], name))

    def spend(self, name, cost):
        """Records that a stratum received something."""
        self._spent[name] += cost

    def close(self, name):
        """Records that a stratum has nothing more to give."""
        del self._weights[name]


def deal(queues, turns, options):
    """Takes candidates from the strata in turn, each in its own order, as far as the budget goes.

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
        candidate = next((candidate for candidate in rest[name] if cost_of(candidate, options) <= left), None)
        if candidate is None:
            turns.close(name)
            continue
        taken.append(candidate)
        left -= cost_of(candidate, options)
        turns.spend(name, cost_of(candidate, options))
    return taken


def deal_spread(pool, spread, turns, options, chance):
    """Like `deal`, but each stratum gives the image that k-means++ draws, far from those taken from any stratum.

    Args:
      pool: list of candidates; position i belongs to row i of `spread`.
      spread: `diversity.Spread`.
      turns: `Turns`; used up.
      options: `SelectOptions` with a budget.
      chance: numpy Generator.

    Returns:
      list of candidates in the order taken.
    """
    costs = np.array([cost_of(candidate, options) for candidate in pool], np.int64)
    names = np.array([candidate.stratum for candidate in pool], object)
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
        taken.append(pool[position])
        left -= int(costs[position])
        turns.spend(name, int(costs[position]))
    return taken


def cost_of(candidate, options):
    """What a candidate costs."""
    return candidate.boxes if options.counts_boxes else 1
