"""Distances of objects within a class and between classes: 1 - cosine of their features."""

import numpy as np


def mean_distances(features, labels):
    """Mean distances within and between classes.

    Args:
      features: float [N, D], one row per object; rows of zeros are ignored.
      labels: N class names.

    Returns:
      (class names, [K, K] mean of 1 - cosine over all pairs of distinct objects; nan where there are no pairs).
    """
    features, labels = np.asarray(features, np.float64), np.asarray(labels, object)
    lengths = np.linalg.norm(features, axis=1)
    features, labels = features[lengths > 0] / lengths[lengths > 0, None], labels[lengths > 0]
    names = sorted(set(labels))
    counts = np.array([(labels == name).sum() for name in names], np.float64)
    # The mean over pairs is the product of sums: no N x N table is needed.
    sums = np.array([features[labels == name].sum(0) for name in names]).reshape(len(names), -1)
    cosines, pairs = sums @ sums.T, np.outer(counts, counts)
    diagonal = np.arange(len(names))
    cosines[diagonal, diagonal] -= counts  # each object with itself
    pairs[diagonal, diagonal] -= counts
    with np.errstate(invalid="ignore", divide="ignore"):
        return names, np.where(pairs > 0, 1 - cosines / pairs, np.nan)


def summarize(names, distances):
    """Rows (class, within, nearest other class, distance to it, mean distance to the others)."""
    rows = []
    for number, name in enumerate(names):
        others = np.delete(distances[number], number)
        rest = np.delete(np.array(names, object), number)
        nearest = (rest[np.argmin(others)], float(others.min())) if len(others) else ("", float("nan"))
        rows.append(
            (name, float(distances[number, number]), *nearest, float(others.mean()) if len(others) else float("nan"))
        )
    return rows
