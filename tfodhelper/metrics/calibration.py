"""Whether scores are probabilities: of the detections with a score around 0.7, are seven of ten right?

Kueppers et al. 2020, "Multivariate Confidence Calibration for Object Detection" (arXiv 2004.13546): the expected
calibration error for detection, over the score alone, with precision at an overlap of 0.5 in the place of accuracy.
"""

import dataclasses

import numpy as np

NUM_BINS = 10


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Detections in bins of equal width of the score; [B].

    Attributes:
      edges: float64 [B + 1]; a bin contains its lower edge, the last one also its upper one.
      count: int64, detections.
      confidence: float64, mean score; NaN in an empty bin.
      precision: float64, share that is right; NaN in an empty bin.
    """

    edges: np.ndarray
    count: np.ndarray
    confidence: np.ndarray
    precision: np.ndarray

    @property
    def expected_error(self):
        """Mean distance of precision and confidence, weighted by the number of detections; NaN without any."""
        total = self.count.sum()
        if not total:
            return np.nan
        return float(np.nansum(self.count * np.abs(self.precision - self.confidence)) / total)


def count(scores, hits, groups, num_groups, num_bins=NUM_BINS):
    """Sorts detections into bins; counts of several lists add up to those of all.

    Args:
      scores: float64 [n], in 0..1.
      hits: bool [n].
      groups: int [n], such as rows of classes.
      num_groups: G.
      num_bins: B.

    Returns:
      float64 [3, G, B]: number of detections, sum of their scores, number of right ones.
    """
    bins = np.clip((scores * num_bins).astype(np.int64), 0, num_bins - 1) + num_bins * groups.astype(np.int64)
    sums = [
        np.bincount(bins, weights=weights, minlength=num_groups * num_bins)
        for weights in (None, scores, hits.astype(np.float64))
    ]
    return np.stack(sums).reshape(3, num_groups, num_bins)


def reliability(sums):
    """The `Reliability` of sums [3, B], see `count`."""
    number, score_sum, hit_sum = sums
    edges = np.linspace(0.0, 1.0, len(number) + 1)
    filled = np.maximum(number, 1)
    empty = np.where(number > 0, 0.0, np.nan)
    return Reliability(edges, number.astype(np.int64), score_sum / filled + empty, hit_sum / filled + empty)
