"""PASCAL VOC detection metrics, with the Object Detection API's rules and tags.

Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge", section 4.2, with the area under the whole
curve (VOC 2010 and later) instead of eleven points, and continuous boxes: no +1 in the overlap.
"""

import math

import numpy as np

from tfodhelper import box_geometry
from tfodhelper.metrics import image_metric


def precision_recall(scores, hits, num_gt):
    """Precision and recall after each detection, from the highest score down.

    Of equal scores the later one comes first.

    Args:
      scores: [n].
      hits: bool [n], true positives.
      num_gt: number of objects to find, at least 1.

    Returns:
      precision, recall: float64 [n].
    """
    hits = hits[np.argsort(scores, kind="stable")[::-1]]
    num_hits = np.cumsum(hits, dtype=np.float64)
    return num_hits / np.arange(1, len(hits) + 1), num_hits / num_gt


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


def _match(ious, difficult, iou_threshold):
    """Judges the detections of an image.

    A detection belongs to the box of highest overlap (the first of equals), even if that box is already taken.

    Args:
      ious: [D, N], detections in descending order of score; below 0 where the classes differ.
      difficult: bool [N].
      iou_threshold: the minimum overlap of a match.

    Returns:
      hits: bool [D], true positives.
      counts: bool [D]; False for what belongs to a difficult box.
    """
    hits, counts = np.zeros(len(ious), bool), np.ones(len(ious), bool)
    if ious.size:
        best = ious.argmax(axis=1)
        matched = ious[np.arange(len(ious)), best] >= iou_threshold
        counts = ~(matched & difficult[best])
        rows = np.flatnonzero(matched & counts)
        _, firsts = np.unique(best[rows], return_index=True)
        hits[rows[firsts]] = True
    return hits, counts


class PascalVocMetrics(image_metric.ImageMetric):
    """Average precision of each class and their mean.

    Detections and ground truth of a class that `categories` does not have are left out, and so are detections of
    no area. A class without ground truth that counts has the value NaN and is left out of the mean.

    Args:
      categories: {id: name}, ids from 1.
      prefix: beginning of the tags.
      iou_threshold: the minimum overlap of a match.
      weighted: the mean is the average precision of all classes' detections in one list (of the classes that
        have ground truth) instead of the mean over classes.
      recall_bounds: only points of the curve within these recalls count.
    """

    def __init__(self, categories, prefix="PascalBoxes", iou_threshold=0.5, weighted=False, recall_bounds=(0.0, 1.0)):
        super().__init__(categories)
        self._prefix = prefix
        self._iou_threshold = iou_threshold
        self._weighted = weighted
        self._recall_bounds = tuple(recall_bounds)

    def reset(self):
        """Forgets all images."""
        super().reset()
        self._num_gt = np.zeros([len(self._categories)], np.int64)

    def _make_row(self, gt, predictions):
        """Row of the class [D], score [D], true positive [D]."""
        known = self._categories.has(gt.classes)
        boxes, classes, difficult = gt.boxes[known], gt.classes[known], gt.difficult[known]
        np.add.at(self._num_gt, self._categories.row_of(classes[~difficult]), 1)
        order = np.argsort(predictions.scores, kind="stable")[::-1]
        has_area = (predictions.boxes[:, :2] < predictions.boxes[:, 2:]).all(axis=1)
        usable = self._categories.has(predictions.classes) & has_area
        order = order[usable[order]]
        same_class = predictions.classes[order][:, None] == classes
        ious = np.where(same_class, box_geometry.pairwise_iou(predictions.boxes[order], boxes), -1.0)
        hits, counts = _match(ious, difficult, self._iou_threshold)
        class_rows = self._categories.row_of(predictions.classes[order]).astype(np.int32)
        return class_rows[counts], predictions.scores[order][counts], hits[counts]

    def result(self):
        """Returns {tag: value}; NaN where there is no ground truth."""
        by_class = self._by_class()
        values = [self._average_precision(*rows, num_gt) for rows, num_gt in zip(by_class, self._num_gt)]
        figures = {self._mean_tag(): self._mean(by_class, values)}
        tag = f"{self._prefix}_PerformanceByCategory/AP@{self._iou_threshold}IOU"
        figures.update({f"{tag}/{name}": value for name, value in zip(self._categories.names, values)})
        return figures

    def _by_class(self):
        """A list over classes of (scores [n], hits [n])."""
        rows = self._sorted_rows()
        if not rows:
            return [(np.zeros([0]), np.zeros([0], bool))] * len(self._categories)
        class_rows, scores, hits = (np.concatenate(column) for column in zip(*rows))
        return [(scores[class_rows == k], hits[class_rows == k]) for k in range(len(self._categories))]

    def _mean(self, by_class, values):
        with_groundtruth = np.flatnonzero(self._num_gt)
        if not len(with_groundtruth):
            return math.nan
        if not self._weighted:
            return float(np.mean([values[k] for k in with_groundtruth]))
        scores, hits = (np.concatenate([by_class[k][part] for k in with_groundtruth]) for part in (0, 1))
        return self._average_precision(scores, hits, self._num_gt.sum())

    def _average_precision(self, scores, hits, num_gt):
        if not num_gt:
            return math.nan
        precision, recall = precision_recall(scores, hits, num_gt)
        lower, upper = self._recall_bounds
        inside = (recall >= lower) & (recall <= upper)
        return average_precision(precision[inside], recall[inside])

    def _mean_tag(self):
        tag = f"{self._prefix}_Precision/mAP@{self._iou_threshold}IOU"
        lower, upper = self._recall_bounds
        if lower > 0.0 or upper < 1.0:
            tag += f"@[{lower:.1f},{upper:.1f}]Recall"
        return tag
