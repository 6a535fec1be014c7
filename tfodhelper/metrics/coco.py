"""COCO detection metrics, under the Object Detection API's tags; and COCO's matching of a single image.

The rules are those of pycocotools' COCOeval (Lin et al. 2014, arXiv 1405.0312; cocodataset.org/#detection-eval).
COCOeval keeps a dictionary for each detection and loops over pairs in Python; `coco_curves` does the same arithmetic on
the columns of all images. Tests compare every figure with COCOeval's.
"""

import numpy as np
from pycocotools import mask as coco_mask

from tfodhelper.metrics import coco_curves, set_metric
from tfodhelper.metrics.coco_curves import AREA_RANGES, IOU_THRESHOLDS, NO_GROUNDTRUTH

_ALL, _SMALL, _MEDIUM, _LARGE = range(4)

# tag -> (kind, index of the overlap threshold or None for their mean, area range, maximum of detections)
FIGURES = {
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


class CocoDetectionMetrics(set_metric.SetMetric):
    """mAP and AR of boxes as COCO defines them.

    Detections and ground truth of a class that `categories` does not have are left out.

    Args:
      categories: {id: name}, ids from 1.
      per_category: adds `DetectionBoxes_PerformanceByCategory/mAP/<name>`.
      all_per_category: with `per_category`, adds all twelve figures of each class.
      super_categories: {name: names of categories}; with `per_category`, adds their means.
      prefix: beginning of the tags.
    """

    def __init__(self, categories, per_category=False, all_per_category=False, super_categories=None, prefix=PREFIX):
        super().__init__(categories)
        self._prefix = prefix
        self._per_category = per_category
        self._all_per_category = all_per_category
        self._super_categories = dict(super_categories or {})

    def requests(self):
        """What the figures are made of."""
        return (coco_curves.CocoCurves(),)

    def compute(self, overlapping):
        """Returns {tag: value}; a figure without any ground truth is -1, as in COCO's own program."""
        ((precision, recall),) = overlapping.results(*self.requests())
        return self.figures(precision, recall, overlapping.images.names)

    def figures(self, precision, recall, names):
        """{tag: value}, of precision and recall as `coco_curves.compute` gives them, and the names of the classes."""
        figures = figures_of(precision, recall, prefix=self._prefix)
        if self._per_category:
            names = enumerate(names)
            by_name = {name: figures_of(precision, recall, [index], prefix="") for index, name in names}
            figures.update(self._by_category(by_name))
        return figures

    def _by_category(self, by_name):
        figures = {}
        for name, values in by_name.items():
            figures[f"{self._prefix}PerformanceByCategory/mAP/{name}"] = values["Precision/mAP"]
            if self._all_per_category:
                figures.update({f"{self._prefix}{tag} ByCategory/{name}": value for tag, value in values.items()})
        for name, members in self._super_categories.items():
            means = {tag: _mean(np.array([by_name[member][tag] for member in members])) for tag in FIGURES}
            figures[f"{self._prefix}PerformanceBySuperCategory/{name}"] = means["Precision/mAP"]
            if self._all_per_category:
                figures.update({f"{self._prefix}{tag} BySuperCategory/{name}": value for tag, value in means.items()})
        return figures


def figures_of(precision, recall, classes=slice(None), prefix=PREFIX):
    """The twelve figures {tag: value}, of precision and recall as `coco_curves.compute` gives them.

    Args:
      precision: [T, R, K, A].
      recall: {maximum of detections: [T, K, A]}.
      classes: rows of the classes whose mean they are.
      prefix: beginning of the tags.
    """
    return {prefix + tag: _figure(precision, recall, tag, classes) for tag in FIGURES}


def _figure(precision, recall, tag, classes):
    kind, threshold, area, maximum = FIGURES[tag]
    thresholds = slice(None) if threshold is None else [threshold]
    if kind == "precision":
        return _mean(precision[thresholds][:, :, classes, area])
    return _mean(recall[maximum][thresholds][:, classes, area])


def _mean(values):
    """Mean of the values that have some ground truth."""
    values = values[values > NO_GROUNDTRUTH]
    return float(values.mean()) if values.size else NO_GROUNDTRUTH
