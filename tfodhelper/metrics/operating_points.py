"""Precision and recall over all images at a score threshold, and the thresholds that are best.

Global precision and recall count every detection above the threshold and every object of the set: a detection has found
an object if it is the best one of its class that overlaps it by at least 0.5 (`overlaps.Matches`). Detections on
objects that need not be found are not counted.
"""

import dataclasses

import numpy as np

from tfodhelper.metrics import greedy, overlaps

LEVELS = np.linspace(0.0, 1.0, 101)  # score thresholds of a curve


@dataclasses.dataclass(frozen=True)
class Counts:
    """True positives, false positives and false negatives at one or several thresholds; ints or arrays."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray

    @property
    def precision(self):
        """Share of the detections that are right; NaN without any."""
        return _divide(self.tp, self.tp + self.fp)

    @property
    def recall(self):
        """Share of the objects that are found; NaN without any."""
        return _divide(self.tp, self.tp + self.fn)

    @property
    def f1(self):
        """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN); NaN without detections and objects."""
        return _divide(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def _divide(part, whole):
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


class ClassPoints:
    """The detections of some classes as one list, for their counts at any threshold.

    Args:
      scores: float64 [n], descending.
      hits: bool [n].
      num_gt: objects of these classes.
    """

    def __init__(self, scores, hits, num_gt):
        self._scores, self._num_gt = scores, int(num_gt)
        self._tp = np.concatenate([[0], np.cumsum(hits)])

    def at(self, thresholds):
        """`Counts` of the detections with at least that score; a number or [n]."""
        number = np.searchsorted(-self._scores, -np.asarray(thresholds, np.float64), side="right")
        tp = self._tp[number]
        return Counts(tp, number - tp, self._num_gt - tp)

    def best_threshold(self):
        """The score above which F1 is highest, the highest of equals; NaN where there is nothing to find or matches."""
        if not len(self._scores) or not self._num_gt or not self._tp[-1]:
            return np.nan
        scores = np.unique(self._scores)[::-1]
        return float(scores[np.argmax(self.at(scores).f1)])


class OperatingPoints:
    """Counts of a set, of all classes together and of each.

    Args:
      overlapping: an `overlaps.Overlaps`.

    Attributes:
      overall: `ClassPoints` of all classes.
      by_class: list of `ClassPoints`, in the order of the label map.
    """

    def __init__(self, overlapping):
        images, matches = overlapping.images, overlapping.matches
        order = overlapping.by_score
        order = order[~matches.is_ignored[order]]
        classes, scores, hits = images.det_class[order], images.det_scores[order], matches.hits[order]
        num_gt = np.bincount(images.gt_class[matches.counts], minlength=images.num_classes)
        self.overall = ClassPoints(scores, hits, num_gt.sum())
        by_class = np.argsort(classes, kind="stable")
        starts = np.searchsorted(classes[by_class], np.arange(images.num_classes + 1))
        self.by_class = [
            ClassPoints(scores[by_class[first:last]], hits[by_class[first:last]], total)
            for first, last, total in zip(starts[:-1], starts[1:], num_gt)
        ]


def confusion(overlapping, threshold):
    """What objects are found as.

    An object that is not found as what it is, and a detection that has found nothing, but overlap by at least 0.5,
    confuse two classes; the best scores come first. Diagonal, rows and columns agree with the counts at the threshold.

    Args:
      overlapping: an `overlaps.Overlaps`.
      threshold: lowest score of a detection.

    Returns:
      int64 [K + 1, K + 1]: rows are the classes of objects, columns of detections; the last row is for detections where
      nothing is, the last column for objects that are not found at all.
    """
    images, matches = overlapping.images, overlapping.matches
    background = images.num_classes
    shown = (images.det_scores >= threshold) & ~matches.is_ignored
    gt_of_det = np.where(shown, matches.gt_of_det, overlaps.NOTHING)
    is_free = matches.counts.copy()
    is_free[gt_of_det[gt_of_det != overlaps.NOTHING]] = False
    pairs = overlapping.pairs
    pairs = pairs.where((pairs.iou >= overlaps.MATCH) & is_free[pairs.gt] & (shown & ~matches.hits)[pairs.det])
    taken = greedy.assign(
        *(pairs.det, pairs.gt, pairs.iou, overlapping.images.det_image, overlapping.ranks_in_image),
        thresholds=np.array([overlaps.MATCH]),
        ignored=np.zeros([1, len(images.gt_class)], bool),
        reusable=np.zeros(len(images.gt_class), bool),
    )
    gt_of_det[taken.det] = taken.gt[:, 0, 0]
    matrix = np.zeros([background + 1, background + 1], np.int64)
    rows = np.flatnonzero(shown)
    objects = gt_of_det[rows]
    gt_classes = np.append(images.gt_class, background)  # its last entry is that of `NOTHING`
    np.add.at(matrix, (gt_classes[objects], images.det_class[rows]), 1)
    is_free[objects[objects != overlaps.NOTHING]] = False
    np.add.at(matrix[:, background], images.gt_class[is_free], 1)
    return matrix
