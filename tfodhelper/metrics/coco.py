"""COCO detection metrics, under the Object Detection API's tags.

The rules are those of pycocotools' COCOeval (Lin et al. 2014, arXiv 1405.0312; cocodataset.org/#detection-eval), and
the overlaps are computed by pycocotools itself. Matching and accumulation are reimplemented because COCOeval keeps a
dictionary for each detection and loops over pairs in Python: here an image is matched when it arrives, and 53 bytes
remain of each detection. Tests compare every figure with COCOeval's.
"""

import numpy as np
from pycocotools import mask as coco_mask

from tfodhelper import box_geometry
from tfodhelper.metrics import image_metric

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # [T]
RECALL_LEVELS = np.linspace(0.0, 1.0, 101)  # [R]
AREA_RANGES = np.array([[0, 1e5**2], [0, 32**2], [32**2, 96**2], [96**2, 1e5**2]])  # [A, 2], square pixels
MAX_DETECTIONS = (1, 10, 100)  # of a class in an image, by score
NO_GROUNDTRUTH = -1.0  # the value of a figure without any ground truth

_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_TRUE_POSITIVE, _FALSE_POSITIVE, _IGNORED = 1, 0, -1

# tag -> (kind, index of the overlap threshold or None for their mean, area range, maximum of detections)
_FIGURES = {
    "Precision/mAP": ("precision", None, _ALL, 100),
    "Precision/mAP@.50IOU": ("precision", 0, _ALL, 100),
    "Precision/mAP@.75IOU": ("precision", 5, _ALL, 100),
    "Precision/mAP (small)": ("precision", None, _SMALL, 100),
    "Precision/mAP (medium)": ("precision", None, _MEDIUM, 100),
    "Precision/mAP (large)": ("precision", None, _LARGE, 100),
    "Recall/AR@1": ("recall", None, _ALL, 1),
    "Recall/AR@10": ("recall", None, _ALL, 10),
    "Recall/AR@100": ("recall", None, _ALL, 100),
    "Recall/AR@100 (small)": ("recall", None, _SMALL, 100),
    "Recall/AR@100 (medium)": ("recall", None, _MEDIUM, 100),
    "Recall/AR@100 (large)": ("recall", None, _LARGE, 100),
}
PREFIX = "DetectionBoxes_"


NO_BOX = -1  # of `assign`


def unmeasured_as_nan(figures):
    """{tag: value} with NaN in the place of `NO_GROUNDTRUTH`, which is not a value that a figure can have."""
    return {tag: float("nan") if value == NO_GROUNDTRUTH else value for tag, value in figures.items()}


def match(ious, gt_ignored, is_crowd):
    """Which detections find a ground truth box; see `assign`.

    Returns:
      matched: bool [D, A, T].
      ignored: bool [D, A, T], matched to a box that does not count.
    """
    taken = assign(ious, gt_ignored, is_crowd)
    matched = taken != NO_BOX
    if not ious.shape[1]:
        return matched, matched
    areas = np.arange(len(AREA_RANGES))[:, None]
    return matched, matched & gt_ignored[areas, taken]


def assign(ious, gt_ignored, is_crowd):
    """Gives detections to ground truth boxes, greedily by score, for all area ranges and thresholds at once.

    A detection takes the free box of highest overlap at or above the threshold (the later one of equals), a box that
    counts before one that is ignored. A crowd is never used up.

    Args:
      ious: [D, N] overlaps, detections in descending order of score; below 0 where the classes differ.
      gt_ignored: bool [A, N], boxes that do not count in an area range.
      is_crowd: bool [N].

    Returns:
      int64 [D, A, T]: the row of the box that a detection takes, or `NO_BOX`.
    """
    num_boxes = ious.shape[1]
    assigned = np.full([len(ious), len(AREA_RANGES), len(IOU_THRESHOLDS)], NO_BOX)
    if assigned.size == 0 or num_boxes == 0:
        return assigned
    thresholds = IOU_THRESHOLDS[:, None]
    counts = ~gt_ignored[:, None, :]
    usable = np.ones([*assigned.shape[1:], num_boxes], bool)
    for row in np.flatnonzero(ious.max(axis=1) >= thresholds[0]):
        candidates = usable & (ious[row] >= thresholds)
        counting = candidates & counts
        candidates = np.where(counting.any(axis=2, keepdims=True), counting, candidates)
        is_matched = candidates.any(axis=2)
        overlaps = np.where(candidates, ious[row], -1.0)
        best = num_boxes - 1 - overlaps[:, :, ::-1].argmax(axis=2)
        assigned[row] = np.where(is_matched, best, NO_BOX)
        area_index, threshold_index = np.nonzero(is_matched)
        taken = best[area_index, threshold_index]
        usable[area_index, threshold_index, taken] = is_crowd[taken]
    return assigned


def rank_in_class(classes):
    """Position of each detection among those of its class; [D] in descending order of score -> int64 [D]."""
    order = np.argsort(classes, kind="stable")
    grouped = classes[order]
    starts = np.searchsorted(grouped, grouped, side="left")
    ranks = np.empty(len(classes), np.int64)
    ranks[order] = np.arange(len(classes)) - starts
    return ranks


def outside_ranges(areas):
    """Which areas are outside of each range; [n] -> bool [A, n]."""
    return (areas < AREA_RANGES[:, :1]) | (areas > AREA_RANGES[:, 1:])


def compute_ious(boxes, gt_boxes, is_crowd):
    """Overlaps of boxes with ground truth; with a crowd, the share of the box that it covers.

    Args:
      boxes: [D, 4] ymin, xmin, ymax, xmax in pixels.
      gt_boxes: [N, 4].
      is_crowd: bool [N].

    Returns:
      float64 [D, N].
    """
    if not len(boxes) or not len(gt_boxes):
        return np.zeros([len(boxes), len(gt_boxes)])
    return coco_mask.iou(_to_coco(boxes), _to_coco(gt_boxes), is_crowd.astype(np.uint8).tolist())


def _to_coco(boxes):
    """ymin, xmin, ymax, xmax -> xmin, ymin, width, height; [n, 4], contiguous."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    return np.ascontiguousarray(np.concatenate([boxes[:, 1::-1], sizes[:, ::-1]], axis=1))


class CocoDetectionMetrics(image_metric.ImageMetric):
    """mAP and AR of boxes as COCO defines them.

    Detections and ground truth of a class that `categories` does not have are left out.

    Args:
      categories: {id: name}, ids from 1.
      per_category: adds `DetectionBoxes_PerformanceByCategory/mAP/<name>`.
      all_per_category: with `per_category`, adds all twelve figures of each class.
      super_categories: {name: names of categories}; with `per_category`, adds their means.
    """

    def __init__(self, categories, per_category=False, all_per_category=False, super_categories=None):
        super().__init__(categories)
        self._per_category = per_category
        self._all_per_category = all_per_category
        self._super_categories = dict(super_categories or {})

    def reset(self):
        """Forgets all images."""
        super().reset()
        self._num_gt = np.zeros([len(self._categories), len(AREA_RANGES)], np.int64)

    def _make_row(self, gt, predictions):
        """Row of the class [D], score [D], rank in its class [D], outcome [D, A, T]."""
        known = self._categories.has(gt.classes)
        boxes, classes, is_crowd = gt.boxes[known], gt.classes[known], gt.is_crowd[known]
        gt_ignored = is_crowd | outside_ranges(gt.area[known])
        for area_index, ignored in enumerate(gt_ignored):
            np.add.at(self._num_gt[:, area_index], self._categories.row_of(classes[~ignored]), 1)
        return self._match(predictions, boxes, classes, gt_ignored, is_crowd)

    def _match(self, predictions, boxes, classes, gt_ignored, is_crowd):
        order = np.argsort(-predictions.scores, kind="stable")
        order = order[self._categories.has(predictions.classes[order])]
        ranks = rank_in_class(predictions.classes[order])
        order, ranks = order[ranks < MAX_DETECTIONS[-1]], ranks[ranks < MAX_DETECTIONS[-1]]
        ious = compute_ious(predictions.boxes[order], boxes, is_crowd)
        ious = np.where(predictions.classes[order][:, None] == classes, ious, -1.0)
        matched, ignored = match(ious, gt_ignored, is_crowd)
        ignored |= ~matched & outside_ranges(box_geometry.area(predictions.boxes[order])).T[:, :, None]
        outcome = np.where(ignored, _IGNORED, np.where(matched, _TRUE_POSITIVE, _FALSE_POSITIVE)).astype(np.int8)
        class_rows = self._categories.row_of(predictions.classes[order]).astype(np.int32)
        return class_rows, predictions.scores[order], ranks.astype(np.int8), outcome

    def result(self):
        """Returns {tag: value}; a figure without any ground truth is -1, as in COCO's own program."""
        precision, recall = self._accumulate()
        figures = {PREFIX + tag: _figure(precision, recall, tag, slice(None)) for tag in _FIGURES}
        if self._per_category:
            by_name = {
                name: {tag: _figure(precision, recall, tag, [index]) for tag in _FIGURES}
                for index, name in enumerate(self._categories.names)
            }
            figures.update(self._by_category(by_name))
        return figures

    def _accumulate(self):
        """Precision [T, R, K, A] with at most 100 detections and recall {maximum: [T, K, A]}; -1 without truth."""
        num_classes, num_areas = self._num_gt.shape
        precision = np.full([len(IOU_THRESHOLDS), len(RECALL_LEVELS), num_classes, num_areas], NO_GROUNDTRUTH)
        recall = {m: np.full([len(IOU_THRESHOLDS), num_classes, num_areas], NO_GROUNDTRUTH) for m in MAX_DETECTIONS}
        columns = [np.concatenate(column) for column in zip(*self._sorted_rows())]
        for k in range(num_classes):
            members = np.flatnonzero(columns[0] == k) if columns else np.zeros([0], np.int64)
            if len(members):
                members = members[np.argsort(-columns[1][members], kind="stable")]
                ranks, outcome = columns[2][members], columns[3][members]
            else:
                ranks, outcome = np.zeros([0], np.int8), np.zeros([0, num_areas, len(IOU_THRESHOLDS)], np.int8)
            for a in np.flatnonzero(self._num_gt[k]):
                precision[:, :, k, a] = _precision_at_recalls(outcome[:, a], self._num_gt[k, a])
                for maximum in MAX_DETECTIONS:
                    hits = (outcome[ranks < maximum, a] == _TRUE_POSITIVE).sum(axis=0)
                    recall[maximum][:, k, a] = hits / self._num_gt[k, a]
        return precision, recall

    def _by_category(self, by_name):
        figures = {}
        for name, values in by_name.items():
            figures[f"{PREFIX}PerformanceByCategory/mAP/{name}"] = values["Precision/mAP"]
            if self._all_per_category:
                figures.update({f"{PREFIX}{tag} ByCategory/{name}": value for tag, value in values.items()})
        for name, members in self._super_categories.items():
            means = {tag: _mean(np.array([by_name[member][tag] for member in members])) for tag in _FIGURES}
            figures[f"{PREFIX}PerformanceBySuperCategory/{name}"] = means["Precision/mAP"]
            if self._all_per_category:
                figures.update({f"{PREFIX}{tag} BySuperCategory/{name}": value for tag, value in means.items()})
        return figures


def _precision_at_recalls(outcome, num_gt):
    """Interpolated precision at the recall levels.

    Args:
      outcome: int8 [n, T], in descending order of score.
      num_gt: boxes that count, at least 1.

    Returns:
      [T, R]; 0 at levels that are not reached.
    """
    precision = np.zeros([len(IOU_THRESHOLDS), len(RECALL_LEVELS)])
    if not len(outcome):
        return precision
    hits = np.cumsum(outcome == _TRUE_POSITIVE, axis=0).astype(np.float64)
    misses = np.cumsum(outcome == _FALSE_POSITIVE, axis=0).astype(np.float64)
    curve = hits / (misses + hits + np.spacing(1))
    curve = np.maximum.accumulate(curve[::-1], axis=0)[::-1]
    for t, recall in enumerate((hits / num_gt).T):
        reached = np.searchsorted(recall, RECALL_LEVELS, side="left")
        inside = reached < len(recall)
        precision[t, inside] = curve[reached[inside], t]
    return precision


def _figure(precision, recall, tag, classes):
    kind, threshold, area, maximum = _FIGURES[tag]
    thresholds = slice(None) if threshold is None else [threshold]
    if kind == "precision":
        return _mean(precision[thresholds][:, :, classes, area])
    return _mean(recall[maximum][thresholds][:, classes, area])


def _mean(values):
    """Mean of the values that have some ground truth."""
    values = values[values > NO_GROUNDTRUTH]
    return float(values.mean()) if values.size else NO_GROUNDTRUTH
