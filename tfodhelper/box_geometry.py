"""Areas and overlaps of boxes in numpy: the one place for them outside of `ops/`, which works on tensors.

Boxes are continuous: an area has no +1. Corners stand as [first low, second low, first high, second high]: both
[ymin, xmin, ymax, xmax] and [xmin, ymin, xmax, ymax] will do, as long as all boxes of a call have the same order, unit
and frame. All is computed in float64, whatever type comes in. Shape letters: N and M boxes of two sets.
"""

import numpy as np


def corners_of(boxes):
    """float64 [N, 4] xmin, ymin, xmax, ymax of objects that have these attributes; [0, 4] for none."""
    return np.array([(box.xmin, box.ymin, box.xmax, box.ymax) for box in boxes], np.float64).reshape(-1, 4)


def area(boxes):
    """[..., 4] boxes -> float64 [...] areas; a box with inverted corners has the product of its signed sides."""
    boxes = np.asarray(boxes, np.float64)
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def pairwise_iou(boxes, others):
    """Intersection over union of every box with every other box.

    Args:
      boxes: [N, 4].
      others: [M, 4], same order of corners, same unit and frame.

    Returns:
      float64 [N, M] within 0..1; exactly 1 for equal boxes, 0 where one has no area or inverted corners.
    """
    boxes, others = np.asarray(boxes, np.float64), np.asarray(others, np.float64)
    first, second = (
        np.minimum.outer(boxes[:, high], others[:, high]) - np.maximum.outer(boxes[:, low], others[:, low])
        for low, high in ((0, 2), (1, 3))
    )
    intersection = np.maximum(first, 0.0) * np.maximum(second, 0.0)
    union = np.add.outer(area(boxes), area(others)) - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
