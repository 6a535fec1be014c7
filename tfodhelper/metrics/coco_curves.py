"""Precision and recall of all classes, sizes and overlaps of COCO's evaluation, from the overlaps of a set.

The rules are those of pycocotools' COCOeval (Lin et al. 2014, arXiv 1405.0312; cocodataset.org/#detection-eval).

Shape letters: T overlap thresholds, R recall levels, K classes, A area ranges.
"""

import dataclasses

import numpy as np

from tfodhelper import box_geometry
from tfodhelper.metrics import greedy, overlaps, score_order

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # [T]
RECALL_LEVELS = np.linspace(0.0, 1.0, 101)  # [R]
AREA_RANGES = np.array([[0, 1e5**2], [0, 32**2], [32**2, 96**2], [96**2, 1e5**2]])  # [A, 2], square pixels
MAX_DETECTIONS = (1, 10, 100)  # of a class in an image, by score
_BLOCK = 1 << 15  # pairs of a detection and an object that are matched at once
NO_GROUNDTRUTH = -1.0  # the value of a figure without any ground truth


def outside_ranges(areas):
    """Which areas are outside of each range; [n] -> bool [A, n]."""
    return (areas < AREA_RANGES[:, :1]) | (areas > AREA_RANGES[:, 1:])


@dataclasses.dataclass(frozen=True)
class CocoCurves:
    """Asks for precision and recall of the boxes of a set; see `overlaps.SetOverlaps.results` and `CocoTally`."""

    def start(self, images):
        """A `CocoTally`."""
        return CocoTally(images.num_classes)


class CocoTally(overlaps.Tally):
    """Matches detections and sums up.

    Args:
      num_classes: of the set.
    """

    def __init__(self, num_classes):
        shape = [num_classes, len(AREA_RANGES), len(IOU_THRESHOLDS)]
        self._num_gt = np.zeros(shape[:2], np.int64)
        self._num_found = {maximum: np.zeros(shape, np.int64) for maximum in MAX_DETECTIONS}
        packed = (np.uint8, (-(-shape[1] * shape[2] // 8),))  # a bit for each range and overlap
        self._order = score_order.ScoreOrder([("row", np.int64), ("hit", *packed), ("counted", *packed)], ["row"])

    def add(self, part, det_area=None):
        """Counts the images of an `overlaps.Overlaps`.

        Args:
          part: the overlaps.
          det_area: float64 [D], sizes of the detections, square pixels; None: those of their boxes.
        """
        images = part.images
        gt_ignored = images.gt_crowd | outside_ranges(images.gt_area)
        for area, ignored in enumerate(gt_ignored):
            self._num_gt[:, area] += np.bincount(images.gt_class[~ignored], minlength=len(self._num_gt))
        judged = _judge(part, gt_ignored)
        ranks = part.ranks[judged.det]
        for maximum, num_found in self._num_found.items():
            is_hit = judged.is_hit[ranks < maximum]
            num_found += _sum_by_class(images.det_class[judged.det[ranks < maximum]], is_hit, len(num_found))
        rows = np.flatnonzero(part.ranks < MAX_DETECTIONS[-1])
        det_area = box_geometry.area(images.det_boxes) if det_area is None else det_area
        # A detection that has found nothing is wrong, unless its size is not looked at.
        counted = _pack(np.repeat(~outside_ranges(det_area[rows]).T[:, :, None], len(IOU_THRESHOLDS), axis=2))
        hit = np.zeros_like(counted)
        places = np.searchsorted(rows, judged.det)
        is_hit = _pack(judged.is_hit)
        hit[places], counted[places] = is_hit, (counted[places] & ~_pack(judged.is_matched)) | is_hit
        scores, classes = images.det_scores[rows], images.det_class[rows]
        self._order.add(scores, classes, row=rows + images.first_det, hit=hit, counted=counted)

    def finish(self):
        """Precision and recall.

        Returns:
          precision: float64 [T, R, K, A], interpolated, with at most 100 detections of a class in an image.
          recall: {maximum of detections: float64 [T, K, A]}.
          Both are -1 where there is no ground truth.
        """
        num_classes, num_areas = self._num_gt.shape
        num_gt = np.repeat(self._num_gt, len(IOU_THRESHOLDS), axis=1)
        curves = score_order.PrecisionAtRecall(num_gt, RECALL_LEVELS)
        for block in self._order.blocks():
            hits, counted = (_unpack(block[name], num_gt.shape[1]) for name in ("hit", "counted"))
            curves.add(score_order.Grouped(block["class"]), hits, counted)
        shape = [num_classes, num_areas, len(IOU_THRESHOLDS), len(RECALL_LEVELS)]
        has_gt = self._num_gt > 0
        precision = np.where(has_gt[:, :, None, None], curves.finish().reshape(shape), NO_GROUNDTRUTH)
        recall = {
            maximum: np.where(has_gt, num_found.transpose(2, 0, 1) / np.maximum(self._num_gt, 1), NO_GROUNDTRUTH)
            for maximum, num_found in self._num_found.items()
        }
        return precision.transpose(2, 3, 0, 1), recall


def _pack(values):
    """bool [n, A, T] -> uint8 [n, bytes], a bit for each."""
    return np.packbits(values.reshape(len(values), values.shape[1] * values.shape[2]), axis=1)


def _unpack(packed, number):
    return np.unpackbits(packed, axis=1, count=number).view(bool)


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
    """Matches detections and objects, some images at a time."""
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


def _sum_by_class(classes, values, num_classes):
    """[C], bool [C, A, T] -> int64 [K, A, T]."""
    order = np.argsort(classes, kind="stable")
    starts = np.searchsorted(classes[order], np.arange(num_classes + 1))
    sums = [values[order[first:last]].sum(axis=0) for first, last in zip(starts[:-1], starts[1:])]
    return np.stack(sums) if sums else np.zeros([0, *values.shape[1:]], np.int64)


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
