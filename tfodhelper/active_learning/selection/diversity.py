"""Images that differ: chooses points that are far from each other and from known points.

Distances are Euclidean, between features scaled to unit length (`to_unit_length`): the length of pooled features mostly
reflects contrast and how full an image is, and a vector of unusual length would be far from everything; the direction
tells what the image shows. The features are not centred first: nearly average ones would then differ by noise alone.
Between vectors of unit length, the squared distance is 2 - 2 cosine.

Near-identical frames are almost no distance apart: once one of them is chosen or labelled, the others are not chosen.
"""

import numpy as np

from tfodhelper import errors

_SAME = 1e-6  # squared distance, relative to the longest vector, below which points count as the same
_BLOCK = 256  # known points that are compared at once


def to_unit_length(features):
    """Scales vectors to length 1.

    Args:
      features: [n, D], finite.

    Returns:
      float32 [n, D]; a vector of zeros is unchanged.
    """
    features = np.asarray(features, np.float32)
    largest = np.abs(features).max(axis=1, keepdims=True, initial=0.0)  # squares of large values would overflow
    scaled = features / np.where(largest > 0, largest, 1)
    lengths = np.sqrt(np.sum(np.square(scaled), axis=1, keepdims=True))
    return scaled / np.where(lengths > 0, lengths, 1)


class Spread:
    """Points that are taken one after another, and how far each is from the nearest taken or known one.

    Memory: the features once, and a few numbers per point.

    Args:
      features: float [n, D].
      weights: [n], > 0: how much each point is wanted. None: all equally.
      known: [m, D], points that already exist (the labelled images), or None.
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
        """Draws a point in proportion to weight times squared distance (k-means++; Arthur and Vassilvitskii 2007).

        Args:
          chance: numpy Generator; one number is drawn from it.
          allowed: bool [n], at least one true.

        Returns:
          position. Without any taken or known point, or if only copies are left, the weights alone decide.
        """
        weights = np.where(allowed, self._weights, 0.0)
        if np.isfinite(self._squared[0]):
            weighted = weights * self._squared
            weights = weighted if weighted.any() else weights
        sums = np.cumsum(weights)
        position = int(np.searchsorted(sums, chance.random() * sums[-1], side="right"))
        return min(position, int(np.flatnonzero(weights)[-1]))

    def farthest(self, allowed):
        """The point with the greatest weight times distance (k-center; Sener and Savarese 2018).

        Args:
          allowed: bool [n], at least one true.

        Returns:
          position; the first one among equals. Without any taken or known point, the one nearest to the weighted mean.
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
    """Draws points that are spread out like the seeds of k-means++.

    Args:
      features: [n, D].
      budget: maximum sum of the costs.
      seed: of the draws.
      costs: int [n], each at least 1; None: all 1.
      weights, known: of `Spread`.

    Returns:
      list of positions in the order of choice; as many as the budget allows.
    """
    chance = np.random.default_rng(seed)
    spread = Spread(features, weights, known)
    return _fill(spread, lambda allowed: spread.draw(chance, allowed), budget, costs)


def k_center(features, budget, *, costs=None, weights=None, known=None):
    """Repeatedly takes the farthest point: the radius is at most twice that of the best cover.

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
      predictions: iterable of `Prediction`; those not in `positions` are skipped.
      positions: {name: row of the result}, rows from 0.
      rule: the one that needs them, for messages.

    Returns:
      float32 [n, D].

    Raises:
      PredictionError: a prediction is missing, or its features are missing, not finite or of a different length.
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
            raise _unusable(prediction.name, "has features of a different length", f"{table.shape[1]}", len(features))
        table[row], seen[row] = to_unit_length(features[None])[0], True
    missing = [name for name, row in positions.items() if not seen[row]]
    if missing:
        raise _unusable(missing[0], "was predicted, but is now missing", "the same predictions as before", "none")
    return table if table is not None else np.zeros([0, 1], np.float32)


def _read(prediction, rule):
    if prediction.features is None:
        raise errors.PredictionError(
            f"{prediction.name}: the prediction has no features, which the rule {rule} needs",
            expected="a model with the output `features`",
            received="only detections",
            fix="export the model again and predict again, or choose --rule=stratified or --rule=dcus",
        )
    features = np.ravel(prediction.features)
    if not np.isfinite(features).all():
        raise errors.PredictionError(
            f"{prediction.name}: its features are not finite, and the rule {rule} needs them",
            expected="finite numbers",
            received="NaN or infinity",
            fix="check whether this round's training diverged; --rule=random needs no features",
        )
    return features


def _unusable(name, problem, expected, received):
    return errors.PredictionError(
        f"{name}: {problem}", expected=expected, received=received, fix="predict the pool again with one model"
    )
