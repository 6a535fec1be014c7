"""PASCAL VOC detection metrics, with the Object Detection API's rules and tags.

Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge", section 4.2, with continuous boxes: no +1 in
the overlap. The average precision is the area under the whole curve (VOC 2010 and later), or the mean of eleven points
(VOC 2007).
"""

import math

import numpy as np

from tfodhelper.metrics import set_metric

ELEVEN_LEVELS = np.linspace(0.0, 1.0, 11)


def precision_recall(scores, hits, num_gt):
    """Precision and recall after each detection, from the highest score down.

    Of equal scores the later one comes first.

    Args:
      scores: [n].
      hits: bool [n], true positives; or the weights of such.
      num_gt: number of objects to find, at least 1.

    Returns:
      precision, recall: float64 [n].
    """
    return _curve(hits[np.argsort(scores, kind="stable")[::-1]], num_gt)


def _curve(hits, num_gt):
    num_hits = np.cumsum(hits, dtype=np.float64)
    return num_hits / (num_hits + np.cumsum(hits <= 0)), num_hits / num_gt


def average_precision(precision, recall):
    """Area under the curve of the best precision at that recall or a higher one.

    Args:
      precision: [n].
      recall: [n], never falling.

    Returns:
      float in 0..1; 0 without detections.
    """
    recall = np.concatenate([[0.0], recall, [1.0]])
    precision = np.concatenate([[0.0], precision, [0.0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * envelope[1:]))


def eleven_point_precision(precision, recall):
    """Mean of the best precision at eleven levels of recall, or at higher ones; arguments as `average_precision`."""
    best = [precision[recall >= level].max(initial=0.0) for level in ELEVEN_LEVELS]
    return float(np.mean(best))


def best_pairs(pairs, overlap):
    """Of each detection the pair of highest overlap, the first of equals.

    Args:
      pairs: `overlaps.Pairs`.
      overlap: [P], above 0.

    Returns:
      Indices of pairs, one for each detection that has any.
    """
    if not len(pairs.det):
        return np.zeros([0], np.int64)
    _, starts, counts = np.unique(pairs.det, return_index=True, return_counts=True)
    highest = np.repeat(np.maximum.reduceat(overlap, starts), counts)
    candidates = np.flatnonzero(overlap == highest)
    return candidates[np.unique(pairs.det[candidates], return_index=True)[1]]


def judge(overlapping, pairs, iou_threshold, need_not):
    """Judges all detections.

    A detection belongs to the box of highest overlap (the first of equals), even if that box is already taken: the
    first detection of a box, by score, is right (of equal scores, the last one in the image).

    Args:
      overlapping: an `overlaps.Overlaps`.
      pairs: `overlaps.Pairs` of detections and boxes that may belong together.
      iou_threshold: the minimum overlap of a match.
      need_not: bool [N], boxes that need not be found.

    Returns:
      hits: bool [D], true positives.
      counts: bool [D]; False for what belongs to a box that need not be found, and for detections without area.
    """
    images = overlapping.images
    boxes = images.det_boxes
    counts = (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
    pairs = pairs.where(counts[pairs.det] & (pairs.iou >= iou_threshold))
    pairs = pairs.where(best_pairs(pairs, pairs.iou))
    counts[pairs.det[need_not[pairs.gt]]] = False
    pairs = pairs.where(~need_not[pairs.gt])
    hits = np.zeros(len(counts), bool)
    order = np.lexsort((-pairs.det, -images.det_scores[pairs.det], pairs.gt))
    _, firsts = np.unique(pairs.gt[order], return_index=True)
    hits[pairs.det[order[firsts]]] = True
    return hits, counts


class PascalVocMetrics(set_metric.SetMetric):
    """Average precision of each class and their mean.

    Detections and ground truth of a class that `categories` does not have are left out, and so are detections of
    no area. A class without ground truth that counts has the value NaN and is left out of the mean.

    Args:
      categories: {id: name}, ids from 1.
      prefix: beginning of the tags.
      iou_threshold: the minimum overlap of a match, above 0.
      weighted: the mean is the average precision of all classes' detections in one list (of the classes that
        have ground truth) instead of the mean over classes.
      recall_bounds: only points of the curve within these recalls count.
      eleven_points: the mean of eleven points of the curve instead of the area under it.
    """

    def __init__(
        self,
        categories,
        prefix="PascalBoxes",
        iou_threshold=0.5,
        weighted=False,
        recall_bounds=(0.0, 1.0),
        eleven_points=False,
    ):
        super().__init__(categories)
        self._prefix = prefix
        self._iou_threshold = iou_threshold
        self._weighted = weighted
        self._recall_bounds = tuple(recall_bounds)
        self._average = eleven_point_precision if eleven_points else average_precision
        self.least_overlap = min(iou_threshold, self.least_overlap)

    def compute(self, overlapping):
        """Returns {tag: value}; NaN where there is no ground truth."""
        images = overlapping.images
        hits, counts = judge(overlapping, overlapping.same_class, self._iou_threshold, images.gt_difficult)
        order = overlapping.visiting_order
        order = order[counts[order]]
        num_gt = np.bincount(images.gt_class[~images.gt_difficult], minlength=images.num_classes)
        return self._figures(images.names, images.det_class[order], hits[order], num_gt)

    def _figures(self, names, classes, hits, num_gt):
        """Figures from detections in the order of the curve: rows of classes, and how much each is worth."""
        by_class = np.argsort(classes, kind="stable")
        starts = np.searchsorted(classes[by_class], np.arange(len(names) + 1))
        values = [
            self._average_precision(hits[by_class[first:last]], total)
            for first, last, total in zip(starts[:-1], starts[1:], num_gt)
        ]
        tag = f"{self._prefix}_PerformanceByCategory/AP@{self._iou_threshold}IOU"
        return {
            self._mean_tag(): self._mean(classes, hits, values, num_gt),
            **{f"{tag}/{name}": value for name, value in zip(names, values)},
        }

    def _mean(self, classes, hits, values, num_gt):
        with_groundtruth = np.flatnonzero(num_gt)
        if not len(with_groundtruth):
            return math.nan
        if not self._weighted:
            return float(np.mean([values[k] for k in with_groundtruth]))
        return self._average_precision(hits[np.isin(classes, with_groundtruth)], num_gt.sum())

    def _average_precision(self, hits, num_gt):
        if not num_gt:
            return math.nan
        precision, recall = _curve(hits, num_gt)
        lower, upper = self._recall_bounds
        inside = (recall >= lower) & (recall <= upper)
        return self._average(precision[inside], recall[inside])

    def _mean_tag(self):
        tag = f"{self._prefix}_Precision/mAP@{self._iou_threshold}IOU"
        lower, upper = self._recall_bounds
        if lower > 0.0 or upper < 1.0:
            tag += f"@[{lower:.1f},{upper:.1f}]Recall"
        return tag
