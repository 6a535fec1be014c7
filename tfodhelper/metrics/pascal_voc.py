"""PASCAL VOC detection metrics, with the Object Detection API's rules and tags.

Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge", section 4.2, with continuous boxes: no +1 in
the overlap. The average precision is the area under the whole curve (VOC 2010 and later), or the mean of eleven points
(VOC 2007).
"""

import dataclasses
import math

import numpy as np

from tfodhelper.metrics import overlaps, score_order, set_metric
from tfodhelper.outofcore import rows

ELEVEN_LEVELS = np.linspace(0.0, 1.0, 11)


def precision_recall(worth, misses, num_gt):
    """Precision and recall after each right detection, from the highest score down.

    Args:
      worth: [n], of each right detection: 1, or its weight.
      misses: [n], wrong detections before it.
      num_gt: number of objects to find, above 0.

    Returns:
      precision, recall: float64 [n].
    """
    num_hits = np.cumsum(worth, dtype=np.float64)
    return num_hits / (num_hits + misses), num_hits / num_gt


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


_FOUND = np.dtype([("class", np.int32), ("worth", np.float64), ("misses", np.int64), ("misses_of_all", np.int64)])
_CLASS_SHIFT = 40  # bits of an image in the number that orders detections of equal scores


class Curves(overlaps.Tally):
    """The detections of a set as the curves of PASCAL VOC take them, by score.

    Of equal scores, the last class comes first; then the last image, and in an image the first detection.

    Args:
      num_classes: of the set.
      judge_part: function of an `overlaps.Overlaps` that returns the number of objects of each class to be found, [K],
        and lists of detections: (scores, classes, images, positions in the image, what they are worth).

    Attributes:
      num_gt: [K], objects to find.
      found: `rows.Rows` of right detections, in order: class, worth, and how many wrong ones come before it, of its
        class and of all classes that have objects.
    """

    def __init__(self, num_classes, judge_part):
        self.num_gt, self._judge_part = np.zeros(num_classes), judge_part
        fields = [("late", np.int64), ("row", np.int64), ("worth", np.float64)]
        self._order, self.found = score_order.ScoreOrder(fields, ["late", "row"]), rows.Rows(_FOUND)

    def add(self, part):
        """Counts the images of an `overlaps.Overlaps`."""
        num_gt, *detections = self._judge_part(part)
        self.num_gt += num_gt
        for scores, classes, image, row, worth in detections:
            late = -((classes.astype(np.int64) << _CLASS_SHIFT) + image + part.images.first_image)
            self._order.add(scores, classes, late=late, row=row, worth=worth)

    def finish(self):
        """Returns itself, complete."""
        wrong, wrong_of_all = np.zeros([len(self.num_gt)], np.int64), 0
        for block in self._order.blocks():
            is_wrong, grouped = block["worth"] <= 0, score_order.Grouped(block["class"])
            table = np.empty([len(block)], _FOUND)
            table["class"], table["worth"] = block["class"], block["worth"]
            table["misses"][grouped.order] = grouped.running(is_wrong, wrong)
            of_all = wrong_of_all + np.cumsum(is_wrong & (self.num_gt[block["class"]] > 0))
            table["misses_of_all"], wrong_of_all = of_all, of_all[-1]
            self.found.append(table[~is_wrong])
        del self._order
        return self


@dataclasses.dataclass(frozen=True)
class PascalCurves:
    """Asks for the `Curves` of PASCAL VOC.

    Attributes:
      iou_threshold: the minimum overlap of a match.
    """

    iou_threshold: float

    def start(self, images):
        """The `Curves`."""
        return Curves(images.num_classes, self._judge)

    def _judge(self, part):
        images = part.images
        hits, counts = judge(part, part.same_class, self.iou_threshold, images.gt_difficult)
        chosen = np.flatnonzero(counts)
        num_gt = np.bincount(images.gt_class[~images.gt_difficult], minlength=images.num_classes)
        return num_gt, list_detections(images, chosen, hits[chosen])


def list_detections(images, chosen, worth):
    """Some rows of detections, with what they are worth, as `Curves` takes them."""
    scores, classes, image = images.det_scores[chosen], images.det_class[chosen], images.det_image[chosen]
    return scores, classes, image, chosen + images.first_det, worth


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

    def requests(self):
        """What the figures are made of."""
        return (PascalCurves(self._iou_threshold),)

    def compute(self, overlapping):
        """Returns {tag: value}; NaN where there is no ground truth."""
        (curves,) = overlapping.results(*self.requests())
        right = curves.found.read(0, len(curves.found))
        by_class = np.argsort(right["class"], kind="stable")
        starts = np.searchsorted(right["class"][by_class], np.arange(overlapping.images.num_classes + 1))
        members = (right[by_class[first:last]] for first, last in zip(starts[:-1], starts[1:]))
        values = [
            self._average_precision(own["worth"], own["misses"], total) for own, total in zip(members, curves.num_gt)
        ]
        tag = f"{self._prefix}_PerformanceByCategory/AP@{self._iou_threshold}IOU"
        return {
            self._mean_tag(): self._mean(right, values, curves.num_gt),
            **{f"{tag}/{name}": value for name, value in zip(overlapping.images.names, values)},
        }

    def _mean(self, right, values, num_gt):
        with_groundtruth = np.flatnonzero(num_gt)
        if not len(with_groundtruth):
            return math.nan
        if not self._weighted:
            return float(np.mean([values[k] for k in with_groundtruth]))
        return self._average_precision(right["worth"], right["misses_of_all"], num_gt.sum())

    def _average_precision(self, worth, misses, num_gt):
        if not num_gt:
            return math.nan
        precision, recall = precision_recall(worth, misses, num_gt)
        lower, upper = self._recall_bounds
        inside = (recall >= lower) & (recall <= upper)
        return self._average(precision[inside], recall[inside])

    def _mean_tag(self):
        tag = f"{self._prefix}_Precision/mAP@{self._iou_threshold}IOU"
        lower, upper = self._recall_bounds
        if lower > 0.0 or upper < 1.0:
            tag += f"@[{lower:.1f},{upper:.1f}]Recall"
        return tag
