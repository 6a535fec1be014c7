"""Of the boxes that would be adopted in the validation images, how many are right.

A box is right if it is the best one of its class on its object and overlaps it by at least 0.5. Objects of an image
that would be adopted, but without a box, are missed: a training takes them for background. Boxes on crowds, groups and
difficult objects are neither right nor wrong, as in all metrics.
"""

import dataclasses

import numpy as np

from tfodhelper import box_geometry
from tfodhelper.active_learning.adoption import class_worth
from tfodhelper.metrics import overlaps

CLOSE = 0.75  # overlap of a box that is close to its object


@dataclasses.dataclass(frozen=True)
class Proposed:
    """Boxes that would be adopted in a set of images. D boxes, I images.

    Attributes:
      image: int64 [D], rows of the images, ascending.
      classes: int32 [D], rows of the classes.
      boxes: float64 [D, 4] ymin, xmin, ymax, xmax in pixels of the stored image.
      scores: float64 [D].
      is_adopted: bool [I], images that would be adopted, with or without boxes.
    """

    image: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    is_adopted: np.ndarray


@dataclasses.dataclass(frozen=True)
class Judged:
    """Boxes that were compared with the ground truth. D boxes, N objects.

    Attributes:
      is_counted: bool [D], those that are right or wrong.
      is_right, is_close: bool [D], those that overlap their object by at least 0.5, and 0.75.
      objects: bool [N], those in images that would be adopted.
      missed: bool [N], those of them without a box.
    """

    is_counted: np.ndarray
    is_right: np.ndarray
    is_close: np.ndarray
    objects: np.ndarray
    missed: np.ndarray


def judge(images, proposed):
    """Holds boxes against the ground truth, one by one.

    Args:
      images: `metrics.detection_set.DetectionSet`, whose own detections do not matter.
      proposed: `Proposed`.

    Returns:
      `Judged`.
    """
    counts = np.bincount(proposed.image, minlength=images.num_images)
    only = dataclasses.replace(
        images,
        det_starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        det_class=np.asarray(proposed.classes, np.int32),
        det_boxes=np.asarray(proposed.boxes, np.float64).reshape(-1, 4),
        det_scores=np.asarray(proposed.scores, np.float64),
    )
    matches = overlaps.Overlaps(only).matches
    hits = np.flatnonzero(matches.hits)
    iou = np.zeros(len(only.det_class))
    iou[hits] = box_geometry.iou_of_pairs(only.det_boxes[hits], only.gt_boxes[matches.gt_of_det[hits]])
    objects = matches.counts & proposed.is_adopted[only.gt_image]
    return Judged(
        is_counted=~matches.is_ignored,
        is_right=np.asarray(matches.hits, bool),
        is_close=matches.hits & (iou >= CLOSE),
        objects=objects,
        missed=objects & (matches.det_of_gt == overlaps.NOTHING),
    )


def to_bins(scores):
    """Which tenth of the scores each one is in; int [D]."""
    return np.clip((np.asarray(scores) * class_worth.NUM_BINS).astype(int), 0, class_worth.NUM_BINS - 1)


def measure(images, proposed):
    """Holds boxes against the ground truth.

    Args:
      images, proposed: see `judge`.

    Returns:
      list of `class_worth.ClassWorth`, in the order of the label map.
    """
    judged, bins = judge(images, proposed), to_bins(proposed.scores)
    counted = judged.is_counted
    table = np.zeros([images.num_classes, class_worth.NUM_BINS, 3], int)
    for column, chosen in enumerate((counted, counted & judged.is_right, counted & judged.is_close)):
        np.add.at(table[:, :, column], (proposed.classes[chosen], bins[chosen]), 1)
    of_class = [
        np.bincount(images.gt_class[chosen], minlength=images.num_classes) for chosen in (judged.objects, judged.missed)
    ]
    return [
        class_worth.ClassWorth(
            name,
            *(int(number) for number in table[row].sum(axis=0)),
            int(of_class[0][row]),
            int(of_class[1][row]),
            tuple(tuple(int(number) for number in line) for line in table[row]),
        )
        for row, name in enumerate(images.names)
    ]
