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
    """True positives, false positives and false negatives, of classes or thresholds; ints or arrays."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray

    def of_class(self, k):
        """Those of a class, of counts [K, ...]."""
        return Counts(self.tp[k], self.fp[k], self.fn[k])

    def together(self):
        """Those of all classes, of counts [K, ...]."""
        return Counts(self.tp.sum(axis=0), self.fp.sum(axis=0), self.fn.sum(axis=0))

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


@dataclasses.dataclass(frozen=True)
class CountsAt:
    """Asks for the `Counts` of each class at score thresholds, [K, n]; detections with at least that score count.

    Attributes:
      thresholds: n numbers, ascending.
    """

    thresholds: tuple

    def start(self, images):
        """The tally."""
        return _CountTally(np.array(self.thresholds), images.num_classes)


class _CountTally(overlaps.Tally):
    def __init__(self, thresholds, num_classes):
        self._thresholds, self._num_gt = thresholds, np.zeros(num_classes, np.int64)
        self._counts = np.zeros(
            [2, num_classes, len(thresholds) + 1], np.int64
        )  # wrong and right, by thresholds passed

    def add(self, part):
        images, matches = part.images, part.matches
        self._num_gt += count_by_class(images, matches.counts)
        rows = np.flatnonzero(~matches.is_ignored)
        num_passed = np.searchsorted(self._thresholds, images.det_scores[rows], side="right")
        places = np.ravel_multi_index(
            (matches.hits[rows].astype(np.int64), images.det_class[rows], num_passed), self._counts.shape
        )
        self._counts += np.bincount(places, minlength=self._counts.size).reshape(self._counts.shape)

    def finish(self):
        fp, tp = np.cumsum(self._counts[..., :0:-1], axis=-1)[..., ::-1]
        return Counts(tp, fp, self._num_gt[:, None] - tp)


def count_by_class(images, chosen):
    """Number of chosen objects of each class, [K]."""
    return np.bincount(images.gt_class[chosen], minlength=images.num_classes)


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Asks for the matrix of `confusion` of a set.

    Attributes:
      threshold: lowest score of a detection.
    """

    threshold: float

    def start(self, images):
        """The tally."""
        return _ConfusionTally(self.threshold, images.num_classes)


class _ConfusionTally(overlaps.Tally):
    def __init__(self, threshold, num_classes):
        self._threshold, self._matrix = threshold, np.zeros([num_classes + 1] * 2, np.int64)

    def add(self, part):
        self._matrix += confusion(part, self._threshold)

    def finish(self):
        return self._matrix


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
