"""How detections in several windows of a picture become those of the picture.

Two windows that overlap look at the same part of the picture, their common view. Boxes of the same class from two
windows show the same object if they agree there: clipped to the common view, their intersection over union exceeds a
threshold. For boxes inside the view this is the usual rule; for an object that only one window sees completely, it
compares what both see of it. Boxes from the same window are never compared: the model has suppressed what it finds
twice.

A box that touches a border of its window inside the picture is cut: the object may continue beyond it. In this order:

1. Of complete boxes that agree, the best is kept.
2. A cut box that agrees with a kept one is dropped, and also one of which more than the threshold is inside a kept one:
   detectors place the unseen end of an object badly, so that views of narrow strips agree less than they should. Akyon
   et al. 2022 (arXiv 2202.06934) merge by this intersection over the smaller area; here it only applies to cut boxes,
   since a complete box in a larger one may be a smaller object in front of it.
3. Cut boxes that are left and agree, directly or through others, are the pieces of an object that no window sees
   completely: they become the box around all of them, with the best of their scores.

Boxes are [ymin, xmin, ymax, xmax]. Shape letters: N boxes, T windows, P pairs of boxes.
"""

import collections
from typing import NamedTuple

import numpy as np

from tfodhelper import box_geometry

THRESHOLD = 0.5
_NEAR_BORDER = 0.01  # of a window's side: how far from a border a box may end that touches it
_LEAST_NEAR_PX = 1.0
_PAIRS_AT_ONCE = 1 << 20


class Found(NamedTuple):
    """Detections in a picture.

    Attributes:
      boxes: float64 [N, 4], pixels of the picture.
      scores: float64 [N].
      classes: int [N].
      windows: int [N], the number of the window in which each was detections.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    windows: np.ndarray


def merge(detections, windows, threshold=THRESHOLD):
    """Merges the detections in all windows.

    Args:
      detections: `Found`, in any order.
      windows: int [T, 4], pixels of the picture; together they cover it.
      threshold: of the agreement of two boxes, exclusive.

    Returns:
      `Found`, in descending order of score, equal ones in the order given; a box made of pieces has the window of the
      best one.
    """
    windows = np.asarray(windows)
    same, parts = _link(detections, windows, threshold)
    is_cut = find_cut(detections.boxes, windows[detections.windows], windows[:, 2:].max(axis=0))
    order = np.argsort(-detections.scores, kind="stable")
    dropped, kept = set(), []
    for row in order[~is_cut[order]].tolist():
        if row not in dropped:
            kept.append((row, detections.boxes[row]))
            dropped.update(same[row])
            dropped.update(part for part in parts[row] if is_cut[part])
    left = [row for row in order[is_cut[order]].tolist() if row not in dropped]
    for group in _group(left, same):
        low, high = detections.boxes[group, :2].min(axis=0), detections.boxes[group, 2:].max(axis=0)
        kept.append((group[0], np.concatenate([low, high])))
    boxes = np.array([box for _, box in kept], np.float64).reshape(-1, 4)
    rows = np.array([row for row, _ in kept], np.int64)
    order = np.lexsort((rows, -detections.scores[rows]))
    rows = rows[order]
    return Found(boxes[order], detections.scores[rows], detections.classes[rows], detections.windows[rows])


def find_cut(boxes, windows, size):
    """Which boxes touch a border of their window that is not one of the picture.

    Args:
      boxes: [N, 4].
      windows: [N, 4], of each box.
      size: (height, width) of the picture.

    Returns:
      bool [N].
    """
    sides = windows[:, 2:] - windows[:, :2]
    near = np.maximum(sides * _NEAR_BORDER, _LEAST_NEAR_PX)
    is_low = (boxes[:, :2] <= windows[:, :2] + near) & (windows[:, :2] > 0)
    is_high = (boxes[:, 2:] >= windows[:, 2:] - near) & (windows[:, 2:] < np.asarray(size))
    return (is_low | is_high).any(axis=1)


def _group(rows, same):
    """Lists of rows that agree, directly or through others of them; each in the order of `rows`."""
    ranks = {row: rank for rank, row in enumerate(rows)}
    left = dict.fromkeys(rows)
    while left:
        group, waiting = [], [next(iter(left))]
        del left[waiting[0]]
        while waiting:
            row = waiting.pop()
            group.append(row)
            near = [other for other in same[row] if other in left]
            waiting += near
            for other in near:
                del left[other]
        yield sorted(group, key=ranks.get)


def _link(detections, windows, threshold):
    """Which boxes of the same class and different windows belong together.

    Returns:
      {row: rows whose boxes agree with its box}, and {row: rows of whose boxes more than the threshold is inside its
      box}; rows without any give an empty list.
    """
    same, parts = collections.defaultdict(list), collections.defaultdict(list)
    for first, second in _find_pairs(detections):
        agrees = _agreement(detections, windows, first, second) > threshold
        inside = _intersection(detections.boxes[first], detections.boxes[second])
        for row, other in ((first, second), (second, first)):
            _add(same, row[agrees], other[agrees])
            is_part = inside > threshold * box_geometry.area(detections.boxes[other])
            _add(parts, row[is_part], other[is_part])
    return same, parts


def _add(links, rows, others):
    for row, other in zip(rows.tolist(), others.tolist()):
        links[row].append(other)


def _find_pairs(detections):
    """Yields (int [P], int [P]): pairs of boxes of the same class and different windows that overlap vertically.

    Each box, in the order of its upper border, is compared with those that begin before it ends.
    """
    for class_ in np.unique(detections.classes):
        rows = np.flatnonzero(detections.classes == class_)
        rows = rows[np.argsort(detections.boxes[rows, 0], kind="stable")]
        ends = np.searchsorted(detections.boxes[rows, 0], detections.boxes[rows, 2], side="left")
        counts = np.maximum(ends - np.arange(len(rows)) - 1, 0)
        chunks = np.cumsum(counts) // _PAIRS_AT_ONCE
        for chunk in range(int(chunks[-1]) + 1):
            places = np.flatnonzero(chunks == chunk)
            first = np.repeat(places, counts[places])
            before = np.repeat(np.cumsum(counts[places]) - counts[places], counts[places])
            second = first + 1 + np.arange(len(first)) - before
            first, second = rows[first], rows[second]
            is_pair = detections.windows[first] != detections.windows[second]
            yield first[is_pair], second[is_pair]


def _agreement(detections, windows, first, second):
    """float64 [P]: how far the boxes of pairs agree in their common views."""
    near, far = windows[detections.windows[first]], windows[detections.windows[second]]
    low, high = np.maximum(near[:, :2], far[:, :2]), np.minimum(near[:, 2:], far[:, 2:])
    view = np.tile(low, 2), np.tile(np.maximum(low, high), 2)
    return box_geometry.iou_of_pairs(np.clip(detections.boxes[first], *view), np.clip(detections.boxes[second], *view))


def _intersection(boxes, others):
    """[P, 4], [P, 4] -> float64 [P] areas."""
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    return np.prod(np.maximum(sides, 0.0), axis=1)
