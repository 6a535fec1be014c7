"""Precision and recall of all classes, sizes and overlaps of COCO's evaluation, from the overlaps of a set.

The rules are those of pycocotools' COCOeval (Lin et al. 2014, arXiv 1405.0312; cocodataset.org/#detection-eval).

Shape letters: T overlap thresholds, R recall levels, K classes, A area ranges.
"""

import dataclasses

import numpy as np

from tfodhelper import box_geometry
from tfodhelper.metrics import greedy

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # [T]
RECALL_LEVELS = np.linspace(0.0, 1.0, 101)  # [R]
AREA_RANGES = np.array([[0, 1e5**2], [0, 32**2], [32**2, 96**2], [96**2, 1e5**2]])  # [A, 2], square pixels
MAX_DETECTIONS = (1, 10, 100)  # of a class in an image, by score
_BLOCK = 1 << 15  # pairs of a detection and an object that are matched at once
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
    gt_ignored = images.gt_crowd | outside_ranges(images.gt_area)
    num_gt = np.stack(
        [np.bincount(images.gt_class[~ignored], minlength=images.num_classes) for ignored in gt_ignored], axis=1
    )
    judged = _judge(overlapping, gt_ignored)
    det_area = box_geometry.area(images.det_boxes) if det_area is None else det_area
    return _sum_up(overlapping, judged, ~outside_ranges(det_area).T, num_gt), _recalls(overlapping, judged, num_gt)


@dataclasses.dataclass(frozen=True)
class _Judged:
    """What the detections have found that overlap anything; C of them.

    Attributes:
      det: int64 [C], rows of detections, ascending.
      is_matched: bool [C, A, T], found an object.
      is_hit: bool [C, A, T], found one that counts.
    """

    det: np.ndarray
    is_matched: np.ndarray
    is_hit: np.ndarray


def _judge(overlapping, gt_ignored):
    """Matches detections and objects, some images at a time: the memory does not depend on the number of images."""
    images, pairs = overlapping.images, overlapping.same_class
    pairs = pairs.where(overlapping.ranks[pairs.det] < MAX_DETECTIONS[-1])
    overlap = np.where(images.gt_crowd[pairs.gt], pairs.ioa, pairs.iou)
    pairs, overlap = pairs.where(overlap >= IOU_THRESHOLDS[0]), overlap[overlap >= IOU_THRESHOLDS[0]]
    image = images.det_image[pairs.det]
    areas = np.arange(len(AREA_RANGES))[:, None]
    nothing = np.zeros([0, len(AREA_RANGES), len(IOU_THRESHOLDS)], bool)
    parts, first = [(np.zeros([0], np.int64), nothing, nothing)], 0
    while first < len(image):
        last = int(np.searchsorted(image, image[min(first + _BLOCK, len(image)) - 1], side="right"))
        gts = slice(images.gt_starts[image[first]], images.gt_starts[image[last - 1] + 1])
        assigned = greedy.assign(
            *(pairs.det[first:last], pairs.gt[first:last] - gts.start, overlap[first:last]),
            *(overlapping.groups, overlapping.ranks),
            thresholds=IOU_THRESHOLDS,
            ignored=gt_ignored[:, gts],
            reusable=images.gt_crowd[gts],
        )
        is_matched = assigned.gt != greedy.NOTHING
        parts.append((assigned.det, is_matched, is_matched & ~gt_ignored[:, gts][areas, assigned.gt]))
        first = last
    return _Judged(*(np.concatenate(column) for column in zip(*parts)))


def _recalls(overlapping, judged, num_gt):
    """{maximum of detections: recall [T, K, A]}."""
    images, has_gt = overlapping.images, num_gt > 0
    recall = {}
    for maximum in MAX_DETECTIONS:
        chosen = overlapping.ranks[judged.det] < maximum
        is_hit = judged.is_hit & chosen[:, None, None]
        hits = _sum_by_class(images.det_class[judged.det], is_hit, images.num_classes)
        values = hits.transpose(2, 0, 1) / np.maximum(num_gt, 1)
        recall[maximum] = np.where(has_gt, values, NO_GROUNDTRUTH)
    return recall


def _sum_up(overlapping, judged, inside, num_gt):
    """Precision [T, R, K, A]; `inside`, bool [D, A], says which detections are of the size that is looked at."""
    images, shape = overlapping.images, (len(AREA_RANGES), len(IOU_THRESHOLDS))
    precision = np.full([shape[1], len(RECALL_LEVELS), images.num_classes, shape[0]], NO_GROUNDTRUTH)
    rows = overlapping.by_score
    rows = rows[overlapping.ranks[rows] < MAX_DETECTIONS[-1]]
    rows = rows[np.argsort(images.det_class[rows], kind="stable")]
    starts = np.searchsorted(images.det_class[rows], np.arange(images.num_classes + 1))
    is_matched, is_hit = (
        part.reshape(len(judged.det), shape[0] * shape[1]) for part in (judged.is_matched, judged.is_hit)
    )
    match_of_det = np.full(len(images.det_class), len(judged.det))
    match_of_det[judged.det] = np.arange(len(judged.det))
    for k in np.flatnonzero(num_gt.any(axis=1)):
        members = rows[starts[k] : starts[k + 1]]
        # A detection that has found nothing is wrong, unless its size is not looked at.
        counted = np.repeat(inside[members], shape[1], axis=1)
        candidates = np.flatnonzero(match_of_det[members] < len(judged.det))
        matches = match_of_det[members[candidates]]
        counted[candidates] = np.where(is_matched[matches], is_hit[matches], counted[candidates])
        curves = _interpolate(candidates, is_hit[matches], counted, np.repeat(num_gt[k], shape[1]))
        has_gt = num_gt[k] > 0
        precision[:, :, k, has_gt] = curves.reshape(*shape, -1).transpose(1, 2, 0)[:, :, has_gt]
    return precision


def _sum_by_class(classes, values, num_classes):
    """[C], bool [C, A, T] -> int64 [K, A, T]."""
    order = np.argsort(classes, kind="stable")
    starts = np.searchsorted(classes[order], np.arange(num_classes + 1))
    sums = [values[order[first:last]].sum(axis=0) for first, last in zip(starts[:-1], starts[1:])]
    return np.stack(sums) if sums else np.zeros([0, *values.shape[1:]], np.int64)


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
