"""Which detections overlap which objects, in many images at once: computed once, read by every metric.

Sets of any size are looked at in parts, of which one is in memory; whatever is computed of a set is a `Tally`.
"""

import abc
import dataclasses
import functools

import numpy as np

from tfodhelper.metrics import collector, detection_set, greedy

LEAST = 0.1  # smallest overlap that any metric asks for, unless it says so
MATCH = 0.5  # overlap of a detection that has found its object
MAX_DETECTIONS = 100  # of an image, by score, whose errors are counted
NOTHING = greedy.NOTHING
_BLOCK = 1 << 16  # pairs of boxes that are compared at once


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of a detection and a ground truth box of the same image, sorted by detection, then by box.

    Attributes:
      det: int64 [P], rows of detections.
      gt: int64 [P], rows of ground truth.
      iou: float64 [P], intersection over union.
      ioa: float64 [P], intersection over the area of the detection.
    """

    det: np.ndarray
    gt: np.ndarray
    iou: np.ndarray
    ioa: np.ndarray

    def where(self, chosen):
        """Those of the pairs that are chosen by a mask or by indices."""
        return Pairs(self.det[chosen], self.gt[chosen], self.iou[chosen], self.ioa[chosen])


@dataclasses.dataclass(frozen=True)
class Matches:
    """What the detections found at an overlap of `MATCH`, the best first (COCO's matching).

    Detections on objects that need not be found (crowds, groups, difficult ones) are neither right nor wrong. Since
    the best scores come first, the detections above any score have found what they would find without the others.

    Attributes:
      gt_of_det: int64 [D], the object that a detection has found, or `NOTHING`.
      det_of_gt: int64 [N], the detection that has found an object, or `NOTHING`.
      is_ignored: bool [D], detections that do not count.
      counts: bool [N], objects that have to be found.
    """

    gt_of_det: np.ndarray
    det_of_gt: np.ndarray
    is_ignored: np.ndarray
    counts: np.ndarray

    @property
    def hits(self):
        """Detections that have found an object; bool [D]."""
        return self.gt_of_det != NOTHING


class Tally(abc.ABC):
    """Something that is computed of a set, one part after the other."""

    @abc.abstractmethod
    def add(self, part):
        """Counts the images of an `Overlaps`."""

    @abc.abstractmethod
    def finish(self):
        """The result, when all parts were counted."""


class SetOverlaps:
    """The overlaps of a set of images, in parts.

    Args:
      images: a `collector.ImageSet`, or a `detection_set.DetectionSet`.
      least: smallest overlap that is kept.

    Attributes:
      images: the same.
    """

    def __init__(self, images: collector.ImageSet | detection_set.DetectionSet, least=LEAST):
        self.images, self._least, self._results = images, least, {}

    def parts(self):
        """Yields `Overlaps` of some images at a time, in order."""
        for images in self.images.parts():
            yield Overlaps(images, self._least)

    def results(self, *requests):
        """Results of tallies, all of which see the images in one pass; none is computed twice.

        Args:
          requests: values that are equal where their results are, with a method `start`, which takes the images and
            returns a `Tally`.

        Returns:
          List of what the tallies return.
        """
        tallies = {request: request.start(self.images) for request in requests if request not in self._results}
        if tallies:
            for part in self.parts():
                for tally in tallies.values():
                    tally.add(part)
            self._results.update({request: tally.finish() for request, tally in tallies.items()})
        return [self._results[request] for request in requests]


class Overlaps:
    """Some images with the overlaps of their boxes.

    Args:
      images: a `detection_set.DetectionSet`.
      least: smallest overlap that is kept.

    Attributes:
      images: the same.
      pairs: `Pairs` with an IoU of at least `least`; around crowds and groups, with such a share of the detection.
    """

    def __init__(self, images: detection_set.DetectionSet, least=LEAST):
        self.images, self._facts = images, {}
        self.pairs = _find_pairs(images, least)

    def once(self, function, *arguments):
        """What a function returns of these overlaps and some further arguments; it is called once."""
        key = (function, *arguments)
        if key not in self._facts:
            self._facts[key] = function(self, *arguments)
        return self._facts[key]

    @functools.cached_property
    def same_class(self):
        """The pairs of one class."""
        images, pairs = self.images, self.pairs
        return pairs.where(images.det_class[pairs.det] == images.gt_class[pairs.gt])

    @functools.cached_property
    def groups(self):
        """A number for each image and class of a detection; int64 [D]."""
        return self.images.det_image.astype(np.int64) * self.images.num_classes + self.images.det_class

    @functools.cached_property
    def ranks(self):
        """Position of each detection among those of its class in its image, by score; int64 [D]."""
        return greedy.ranks_in_group(self.groups, self.images.det_scores)

    @functools.cached_property
    def ranks_in_image(self):
        """Position of each detection among those of its image, by score; int64 [D]."""
        return greedy.ranks_in_group(self.images.det_image, self.images.det_scores)

    @functools.cached_property
    def by_score(self):
        """Rows of detections in descending order of score, of equal ones the first image first; int64 [D]."""
        return np.argsort(-self.images.det_scores, kind="stable")

    @functools.cached_property
    def matches(self):
        """What the detections found; see `Matches`."""
        images, pairs = self.images, self.same_class
        around_many = images.gt_crowd | images.gt_group_of
        need_not = around_many | images.gt_difficult
        overlap = np.where(around_many[pairs.gt], pairs.ioa, pairs.iou)
        pairs, overlap = pairs.where(overlap >= MATCH), overlap[overlap >= MATCH]
        taken = greedy.assign(
            *(pairs.det, pairs.gt, overlap, self.groups, self.ranks),
            thresholds=np.array([MATCH]),
            ignored=need_not[None],
            reusable=need_not,
        )
        gt_of_det = np.full(len(images.det_class), NOTHING, np.int64)
        gt_of_det[taken.det] = taken.gt[:, 0, 0]
        is_ignored = np.append(need_not, False)[gt_of_det]  # the last entry is that of `NOTHING`
        gt_of_det[is_ignored] = NOTHING
        det_of_gt = np.full(len(images.gt_class), NOTHING, np.int64)
        hits = np.flatnonzero(gt_of_det != NOTHING)
        det_of_gt[gt_of_det[hits]] = hits
        return Matches(gt_of_det, det_of_gt, is_ignored, ~need_not)


def _find_pairs(images, least):
    around_many = images.gt_crowd | images.gt_group_of
    num_gt, num_det = np.diff(images.gt_starts), np.diff(images.det_starts)
    # The arithmetic is that of COCO's program, [x, y, width, height], to the last bit: overlaps may be a threshold.
    gt, det = (_to_sides(boxes) for boxes in (images.gt_boxes, images.det_boxes))
    parts = []
    ends = np.cumsum(num_gt * num_det)
    first = 0
    while first < images.num_images:
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + _BLOCK, side="right")))
        parts.append(_pairs_of(slice(first, last), images, gt, det, around_many, least))
        first = last
    columns = zip(*parts) if parts else [[np.zeros([0], dtype)] for dtype in (int, int, float, float)]
    return Pairs(*(np.concatenate(column) for column in columns))


def _to_sides(boxes):
    """[n, 4] ymin, xmin, ymax, xmax -> tuple of [n]: ymin, xmin, ymax, xmax, area, with far sides as near + length."""
    heights, widths = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return (
        *(np.ascontiguousarray(boxes[:, 0]), np.ascontiguousarray(boxes[:, 1])),
        *(boxes[:, 0] + heights, boxes[:, 1] + widths, widths * heights),
    )


def _pairs_of(chosen, images, gt_sides, det_sides, around_many, least):
    """Pairs of some neighboring images: rows of detections, rows of ground truth, IoU, IoA."""
    det_starts, gt_starts = images.det_starts[chosen.start : chosen.stop + 1], images.gt_starts
    image = images.det_image[det_starts[0] : det_starts[-1]]
    counts = (gt_starts[image + 1] - gt_starts[image]).astype(np.int64)
    det = np.repeat(np.arange(det_starts[0], det_starts[-1]), counts)
    gt = np.repeat(gt_starts[image] - (np.cumsum(counts) - counts), counts) + np.arange(len(det))
    height = np.minimum(det_sides[2][det], gt_sides[2][gt]) - np.maximum(det_sides[0][det], gt_sides[0][gt])
    near = np.flatnonzero(height > 0)
    det, gt, height = det[near], gt[near], height[near]
    width = np.minimum(det_sides[3][det], gt_sides[3][gt]) - np.maximum(det_sides[1][det], gt_sides[1][gt])
    near = np.flatnonzero(width > 0)
    det, gt = det[near], gt[near]
    shared = width[near] * height[near]
    det_area = det_sides[4][det]
    iou = shared / (det_area + gt_sides[4][gt] - shared)
    ioa = shared / det_area
    kept = np.flatnonzero((iou >= least) | (around_many[gt] & (ioa >= least)))
    return det[kept], gt[kept], iou[kept], ioa[kept]
