"""Images that differ: choosing points that are far from each other and from those that are known.

Distances are Euclidean, of features scaled to unit length (`to_unit_length`): the length of pooled features mostly
tells contrast and how much stands in an image, and one of unusual length would be far from everything; the direction
tells what it is. They are not centred first: what is nearly average would then differ by noise alone. Between vectors
of unit length the squared distance is 2 - 2 cosine.

Near-identical frames lie at nearly no distance: once one is chosen, or labelled, the others are not.
"""

import numpy as np

from tfodhelper import errors

_SAME = 1e-6  # squared distance, relative to the longest vector, below which points are one point
_BLOCK = 256  # known points that are compared at a time


def to_unit_length(features):
    """Scales vectors to length 1.

    Args:
      features: [n, D], finite.

    Returns:
      float32 [n, D]; a vector of zeros stays.
    """
    features = np.asarray(features, np.float32)
    largest = np.abs(features).max(axis=1, keepdims=True, initial=0.0)  # squares of large values would overflow
    scaled = features / np.where(largest > 0, largest, 1)
    lengths = np.sqrt(np.sum(np.square(scaled), axis=1, keepdims=True))
    return scaled / np.where(lengths > 0, lengths, 1)


class Spread:
    """Points of which one after another is taken, and how far each is from those taken or known.

    Memory: the features once, and a few numbers a point.

    Args:
      features: float [n, D].
      weights: [n], > 0: how much each is wanted besides. None: all alike.
      known: [m, D], points that are there already (the labelled images), or None.
    """

    def __init__(self, features, weights=None, known=None):
        self._features = np.ascontiguousarray(features, np.float32)
        self._squares = np.einsum("nd,nd->n", self._features, self._features)
        self._weights = np.ones(len(self._features)) if weights is None else np.asarray(weights, np.float64)
        self._same = _SAME * float(self._squares.max(initial=0.0))
        self._free = np.ones(len(self._features), bool)
        self._squared = np.full(len(self._features), np.inf)
        if known is not None and len(known):
            self._remember(np.asarray(known, np.float32))

    @property
    def free(self):
        """bool [n]: not yet taken."""
        return self._free

    def take(self, position):
        """Marks a point as taken."""
        self._free[position] = False
        self._remember(self._features[position : position + 1])

    def draw(self, chance, allowed):
        """Draws with weight times squared distance (k-means++; Arthur and Vassilvitskii 2007).

        Args:
          chance: numpy Generator; one number of it is used.
          allowed: bool [n], at least one true.

        Returns:
          position. Without any point before, or where only copies are left, the weights alone decide.
        """
        weights = np.where(allowed, self._weights, 0.0)
        if np.isfinite(self._squared[0]):
            weighted = weights * self._squared
            weights = weighted if weighted.any() else weights
        sums = np.cumsum(weights)
        position = int(np.searchsorted(sums, chance.random() * sums[-1], side="right"))
        return min(position, int(np.flatnonzero(weights)[-1]))

    def farthest(self, allowed):
        """The point of the greatest weight times distance (k-center; Sener and Savarese 2018).

        Args:
          allowed: bool [n], at least one true.

        Returns:
          position; the first one among equals. Without any point before, the one nearest to the weighted mean.
        """
        if np.isfinite(self._squared[0]):
            return int(np.argmax(np.where(allowed, self._weights * np.sqrt(self._squared), -1.0)))
        mean = (self._weights / self._weights.sum()).astype(np.float32) @ self._features
        return int(np.argmin(np.where(allowed, self._distances(mean[None])[:, 0], np.inf)))

    def _remember(self, points):
        for start in range(0, len(points), _BLOCK):
            nearest = self._distances(points[start : start + _BLOCK]).min(axis=1)
            np.minimum(self._squared, nearest, out=self._squared)

    def _distances(self, points):
        """[n, m] squared distances; exactly 0 for copies."""
        squares = np.einsum("md,md->m", points, points)
        distances = self._squares[:, None] + squares[None, :] - 2.0 * (self._features @ points.T)
        distances[distances <= self._same] = 0.0
        return distances


def k_means_plus_plus(features, budget, *, seed, costs=None, weights=None, known=None):
    """Draws points that are spread as the seeds of k-means++ are.

    Args:
      features: [n, D].
      budget: sum of the costs at most.
      seed: of the draws.
      costs: int [n], each at least 1; None: 1 each.
      weights, known: of `Spread`.

    Returns:
      list of positions in the order of choice; as many as the budget lets in.
    """
    chance = np.random.default_rng(seed)
    spread = Spread(features, weights, known)
    return _fill(spread, lambda allowed: spread.draw(chance, allowed), budget, costs)


def k_center(features, budget, *, costs=None, weights=None, known=None):
    """Takes the farthest point again and again: at most twice the radius of the best cover.

    Args and result as in `k_means_plus_plus`; nothing is drawn.
    """
    spread = Spread(features, weights, known)
    return _fill(spread, spread.farthest, budget, costs)


def _fill(spread, choose, budget, costs):
    costs = np.ones(len(spread.free), np.int64) if costs is None else np.asarray(costs)
    chosen = []
    while (allowed := spread.free & (costs <= budget)).any():
        chosen.append(choose(allowed))
        budget -= int(costs[chosen[-1]])
        spread.take(chosen[-1])
    return chosen


def gather(predictions, positions, rule):
    """Features of some predictions, scaled to unit length.

    Args:
      predictions: iterable of `Prediction`; others than those wanted are passed over.
      positions: {name: row of the result}, rows from 0.
      rule: that needs them, for messages.

    Returns:
      float32 [n, D].

    Raises:
      PredictionError: a prediction without features, with others than the rest, with NaN, or one that is not there.
    """
    table, seen = None, np.zeros(len(positions), bool)
    for prediction in predictions:
        row = positions.get(prediction.name)
        if row is None:
            continue
        features = _read(prediction, rule)
        if table is None:
            table = np.zeros([len(positions), len(features)], np.float32)
        if len(features) != table.shape[1]:
            raise _unusable(prediction.name, "has features of another length", f"{table.shape[1]}", len(features))
        table[row], seen[row] = to_unit_length(features[None])[0], True
    missing = [name for name, row in positions.items() if not seen[row]]
    if missing:
        raise _unusable(missing[0], "was predicted, and is gone", "the same predictions as before", "none")
    return table if table is not None else np.zeros([0, 1], np.float32)


def _read(prediction, rule):
    if prediction.features is None:
        raise errors.PredictionError(
            f"{prediction.name}: the prediction has no features, which the rule {rule} compares",
            expected="a model that gives the output features",
            received="detections alone",
            fix="export the model again and predict again, or choose --rule=stratified or --rule=dcus",
        )
    features = np.ravel(prediction.features)
    if not np.isfinite(features).all():
        raise errors.PredictionError(
            f"{prediction.name}: its features are not finite, and the rule {rule} compares features",
            expected="finite numbers",
            received="NaN or infinity",
            fix="look whether the training of this round diverged; --rule=random needs no features",
        )
    return features


def _unusable(name, what, expected, received):
    return errors.PredictionError(
        f"{name}: {what}", expected=expected, received=received, fix="predict the pool again with one model"
    )
