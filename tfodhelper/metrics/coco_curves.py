"""Precision and recall of all classes, sizes and overlaps of COCO's evaluation, from the overlaps of a set.

The rules are those of pycocotools' COCOeval (Lin et al. 2014, arXiv 1405.0312; cocodataset.org/#detection-eval).

Shape letters: T overlap thresholds, R recall levels, K classes, A area ranges.
"""

import numpy as np

from tfodhelper import box_geometry
from tfodhelper.metrics import greedy

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # [T]
RECALL_LEVELS = np.linspace(0.0, 1.0, 101)  # [R]
AREA_RANGES = np.array([[0, 1e5**2], [0, 32**2], [32**2, 96**2], [96**2, 1e5**2]])  # [A, 2], square pixels
MAX_DETECTIONS = (1, 10, 100)  # of a class in an image, by score
NO_GROUNDTRUTH = -1.0  # the value of a figure without any ground truth


def outside_ranges(areas):
    """Which areas are outside of each range; [n] -> bool [A, n]."""
    return (areas < AREA_RANGES[:, :1]) | (areas > AREA_RANGES[:, 1:])


def compute(overlapping, det_area=None):
    """Matches all detections and sums up.

    Args:
      overlapping: an `overlaps.Overlaps`.
      det_area: float64 [D], sizes of the detections, square pixels; None: those of their boxes.

    Returns:
      precision: float64 [T, R, K, A], interpolated, with at most 100 detections of a class in an image.
      recall: {maximum of detections: float64 [T, K, A]}.
      Both are -1 where there is no ground truth.
    """
    images = overlapping.images
    num_classes, num_areas, num_thresholds = images.num_classes, len(AREA_RANGES), len(IOU_THRESHOLDS)
    gt_ignored = images.gt_crowd | outside_ranges(images.gt_area)
    num_gt = np.stack([np.bincount(images.gt_class[~ignored], minlength=num_classes) for ignored in gt_ignored], axis=1)
    assigned = _assign(overlapping, gt_ignored)
    is_matched = assigned.gt != greedy.NOTHING
    is_ignored = is_matched & gt_ignored[np.arange(num_areas)[:, None], assigned.gt]
    is_hit = is_matched & ~is_ignored
    flat_matched, flat_hits = (part.reshape(len(part), num_areas * num_thresholds) for part in (is_matched, is_hit))
    det_area = box_geometry.area(images.det_boxes) if det_area is None else det_area
    inside = ~outside_ranges(det_area).T  # [D, A]

    precision = np.full([num_thresholds, len(RECALL_LEVELS), num_classes, num_areas], NO_GROUNDTRUTH)
    recall = {m: np.full([num_thresholds, num_classes, num_areas], NO_GROUNDTRUTH) for m in MAX_DETECTIONS}
    for maximum, values in recall.items():
        chosen = overlapping.ranks[assigned.det] < maximum
        hits = _sum_by_class(images.det_class[assigned.det[chosen]], is_hit[chosen], num_classes)
        has_gt = np.broadcast_to(num_gt > 0, values.shape)
        values[has_gt] = (hits.transpose(2, 0, 1) / np.maximum(num_gt, 1))[has_gt]

    rows = overlapping.by_score
    rows = rows[overlapping.ranks[rows] < MAX_DETECTIONS[-1]]
    rows = rows[np.argsort(images.det_class[rows], kind="stable")]
    starts = np.searchsorted(images.det_class[rows], np.arange(num_classes + 1))
    match_of_det = np.full(len(images.det_class), len(assigned.det))
    match_of_det[assigned.det] = np.arange(len(assigned.det))
    for k in np.flatnonzero(num_gt.any(axis=1)):
        members = rows[starts[k] : starts[k + 1]]
        # A detection that has found nothing is wrong, unless its size is not looked at.
        counted = np.repeat(inside[members], num_thresholds, axis=1)
        candidates = np.flatnonzero(match_of_det[members] < len(assigned.det))
        matches = match_of_det[members[candidates]]
        counted[candidates] = np.where(flat_matched[matches], flat_hits[matches], counted[candidates])
        curves = _interpolate(candidates, flat_hits[matches], counted, np.repeat(num_gt[k], num_thresholds))
        has_gt = num_gt[k] > 0
        precision[:, :, k, has_gt] = curves.reshape(num_areas, num_thresholds, -1).transpose(1, 2, 0)[:, :, has_gt]
    return precision, recall


def _assign(overlapping, gt_ignored):
    images, pairs = overlapping.images, overlapping.same_class
    pairs = pairs.where(overlapping.ranks[pairs.det] < MAX_DETECTIONS[-1])
    overlap = np.where(images.gt_crowd[pairs.gt], pairs.ioa, pairs.iou)
    enough = overlap >= IOU_THRESHOLDS[0]
    pairs = pairs.where(enough)
    return greedy.assign(
        *(pairs.det, pairs.gt, overlap[enough], overlapping.groups, overlapping.ranks),
        thresholds=IOU_THRESHOLDS,
        ignored=gt_ignored,
        reusable=images.gt_crowd,
    )


def _sum_by_class(classes, values, num_classes):
    """[C], bool [C, A, T] -> int64 [K, A, T]."""
    sums = np.zeros([num_classes, *values.shape[1:]], np.int64)
    order = np.argsort(classes, kind="stable")
    present, starts = np.unique(classes[order], return_index=True)
    if len(present):
        sums[present] = np.add.reduceat(values[order], starts, axis=0, dtype=np.int64)
    return sums


def _interpolate(places, hits, counted, num_gt):
    """The best precision at the recall levels or above, of several curves (columns) of one list of detections.

    Precision is highest, and a recall first reached, where an object is found: the other places need not be looked at.

    Args:
      places: int64 [C], where in the list the detections are that overlap anything.
      hits: bool [C, columns], whether they are right.
      counted: bool [n, columns], whether a detection of the list counts.
      num_gt: [columns], objects.

    Returns:
      float64 [columns, R]; 0 at levels that are not reached.
    """
    precision = np.zeros([hits.shape[1], len(RECALL_LEVELS)])
    totals = np.cumsum(counted, axis=0, dtype=np.int32)[places]
    for column in np.flatnonzero(hits.any(axis=0) & (num_gt > 0)):
        rows = np.flatnonzero(hits[:, column])
        precision[column] = interpolate(totals[rows, column], num_gt[column])
    return precision


def interpolate(totals, num_gt, levels=RECALL_LEVELS):
    """The best precision at the recall levels or above.

    Args:
      totals: int [n], for each object that is found, in descending order of score, how many detections there are up to
        the one that has found it.
      num_gt: objects to find, at least 1.
      levels: [R], of recall.

    Returns:
      float64 [R]; 0 at levels that are not reached.
    """
    num_found = np.arange(1, len(totals) + 1)
    curve = np.maximum.accumulate((num_found / (totals + np.spacing(1)))[::-1])[::-1]
    reached = np.searchsorted(num_found / num_gt, levels, side="left")
    return np.append(curve, 0.0)[reached]
