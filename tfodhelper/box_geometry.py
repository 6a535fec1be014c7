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


def coinciding(boxes, threshold, most_pairs=2_000_000):
    """Pairs of boxes that overlap by more than a threshold, without comparing all with all.

    Two boxes whose low corners differ by more than (1 - threshold) of the first one's side cannot overlap that much, so
    that each box, in the order of its low corner, is compared with the few that follow closely.

    Args:
      boxes: [N, 4] of finite numbers.
      threshold: an IoU within 0..1, exclusive.
      most_pairs: how many pairs may be close enough for a comparison.

    Returns:
      (int [P], int [P], float64 [P]): indices i < j and their IoU, sorted by i, then j. None if more than
      `most_pairs` boxes would have to be compared.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    order = np.argsort(boxes[:, 0], kind="stable")
    low = boxes[order, 0]
    reach = low + (1.0 - threshold) * np.maximum(boxes[order, 2] - low, 0.0)
    counts = np.searchsorted(low, reach, side="right") - np.arange(len(order)) - 1
    if counts.sum() > most_pairs:
        return None
    first = np.repeat(np.arange(len(order)), counts)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    i, j = np.sort(np.stack([order[first], order[second]]), axis=0)
    near = np.abs(boxes[i, 1] - boxes[j, 1]) <= (1.0 - threshold) * np.maximum(
        *(boxes[k, 3] - boxes[k, 1] for k in (i, j))
    )
    i, j = i[near], j[near]
    iou = iou_of_pairs(boxes[i], boxes[j])
    keep = np.flatnonzero(iou > threshold)
    keep = keep[np.lexsort((j[keep], i[keep]))]
    return i[keep], j[keep], iou[keep]


def iou_of_pairs(boxes, others):
    """Intersection over union of each box with the other one in its row.

    Args:
      boxes: [P, 4].
      others: [P, 4], same order of corners, same unit and frame.

    Returns:
      float64 [P], as `pairwise_iou` says.
    """
    boxes, others = np.asarray(boxes, np.float64), np.asarray(others, np.float64)
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    intersection = np.prod(np.maximum(sides, 0.0), axis=1)
    union = area(boxes) + area(others) - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


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
