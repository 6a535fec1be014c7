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


def measure(images, proposed):
    """Holds boxes against the ground truth.

    Args:
      images: `metrics.detection_set.DetectionSet`, whose own detections do not matter.
      proposed: `Proposed`.

    Returns:
      list of `class_worth.ClassWorth`, in the order of the label map.
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
    is_close = matches.hits & (iou >= CLOSE)
    counted = ~matches.is_ignored
    bins = np.clip((only.det_scores * class_worth.NUM_BINS).astype(int), 0, class_worth.NUM_BINS - 1)
    objects = matches.counts & proposed.is_adopted[only.gt_image]
    missed = objects & (matches.det_of_gt == overlaps.NOTHING)
    table = np.zeros([images.num_classes, class_worth.NUM_BINS, 3], int)
    for column, chosen in enumerate((counted, counted & matches.hits, counted & is_close)):
        np.add.at(table[:, :, column], (only.det_class[chosen], bins[chosen]), 1)
    of_class = [np.bincount(only.gt_class[chosen], minlength=images.num_classes) for chosen in (objects, missed)]
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
