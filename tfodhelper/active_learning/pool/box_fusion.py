"""Boxes of one object in several views become one box: weighted box fusion.

Solovyev, Wang, Gabruseva 2021, "Weighted boxes fusion: ensembling boxes from different object detection models" (Image
and Vision Computing 107, arXiv 1910.13302), section 3: boxes, best first, join the fused box of their class that they
overlap most, if by enough; its corners are the mean of theirs, weighted by score, and its score is their mean times
the share of the models that found it. Two things are different here, because the models are views of one image:

* A view adds at most one box to a fused one, since the model has suppressed what it finds twice. So the boxes of a
  single view are returned as they are.
* A view that does not see a place whole does not count among those that could have found it. A box that is the cut
  part of one that a view of the whole image found, with at least the same score, is left out.

Boxes are [ymin, xmin, ymax, xmax] in pixels of the image. Shape letters: N boxes, V views, F fused boxes.
"""

from typing import NamedTuple

import numpy as np

from tfodhelper import box_geometry
from tfodhelper.active_learning.pool import views

THRESHOLD = 0.65  # intersection over union from which on boxes show one object


class Found(NamedTuple):
    """Detections in all views of an image.

    Attributes:
      boxes: float64 [N, 4].
      scores: float64 [N].
      classes: int [N].
      views: int [N], the number of the view in which each was found.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    views: np.ndarray


class Fused(NamedTuple):
    """An object.

    Attributes:
      box: float64 [4], the mean of its boxes, weighted by score.
      score: the mean of the scores over the views that could see it; 0 where a view did not find it.
      class_: of its boxes.
      doubt: how far its boxes differ, see `measure_doubt`; None for a single one.
      rows: of its boxes in `Found`, best first.
      num_views: how many views could see it.
    """

    box: np.ndarray
    score: float
    class_: int
    doubt: float | None
    rows: tuple
    num_views: int


def fuse(detected, seen, size, threshold=THRESHOLD):
    """Fuses the boxes of each class.

    Args:
      detected: `Found`.
      seen: V `views.View`s.
      size: (height, width) of the image.
      threshold: of the intersection over union.

    Returns:
      list of `Fused`, in descending order of score, equal ones in the order of their best boxes.
    """
    usable = np.flatnonzero(~find_cut(detected, seen, size, threshold))
    order = usable[np.argsort(-detected.scores[usable], kind="stable")]
    groups = []
    for class_ in np.unique(detected.classes[order]):
        groups += _group(detected, order[detected.classes[order] == class_], threshold)
    if not groups:
        return []
    boxes = np.stack([_mean(detected, rows) for rows in groups])
    could_see = views.find_whole(boxes, seen, size)
    objects = []
    for box, rows, sees in zip(boxes, groups, could_see):
        sees[detected.views[rows]] = True
        num_views = int(sees.sum())
        score = float(detected.scores[rows].sum()) / num_views
        doubt = measure_doubt(detected.boxes[rows], box) if len(rows) > 1 else None
        objects.append(Fused(box, score, int(detected.classes[rows[0]]), doubt, tuple(rows), num_views))
    return sorted(objects, key=lambda each: (-each.score, -detected.scores[each.rows[0]], each.rows[0]))


def find_cut(detected, seen, size, threshold=THRESHOLD):
    """Which boxes show only a part of an object, because their view ends there; arguments as for `fuse`, bool [N]."""
    whole = views.find_whole(detected.boxes, seen, size)
    is_cut = ~whole[np.arange(len(detected.boxes)), detected.views]
    sees_all = views.find_whole([(0.0, 0.0, *size)], seen, size)[0]
    complete = np.flatnonzero(sees_all[detected.views])
    for number in np.flatnonzero(~sees_all):
        rows = np.flatnonzero((detected.views == number) & ~is_cut)
        larger = complete[~whole[complete, number]]
        if not len(rows) or not len(larger):
            continue
        window = np.array(seen[number].window, np.float64)
        parts = np.clip(detected.boxes[larger], np.tile(window[:2], 2), np.tile(window[2:], 2))
        is_part = box_geometry.pairwise_iou(detected.boxes[rows], parts) >= threshold
        is_part &= detected.classes[rows, np.newaxis] == detected.classes[larger]
        is_part &= detected.scores[rows, np.newaxis] <= detected.scores[larger]
        is_cut[rows] = is_part.any(axis=1)
    return is_cut


def measure_doubt(boxes, fused):
    """How far boxes of one object differ: the mean of |side - fused side| over half of the fused height plus width.

    Args:
      boxes: [N, 4].
      fused: [4], with an area.

    Returns:
      0 if all are the same.
    """
    deviation = np.abs(np.asarray(boxes, np.float64) - fused).mean()
    return float(deviation / ((fused[2] - fused[0] + fused[3] - fused[1]) / 2))


def _group(detected, order, threshold):
    """Lists of rows of one class that show one object each; the rows are given best first."""
    groups, fused, totals = [], np.zeros([len(order), 4]), np.zeros(len(order))
    has_view = np.zeros([len(order), detected.views.max() + 1], bool)
    weights = _weights(detected.scores)
    for row in order.tolist():
        view, best = detected.views[row], len(groups)
        open_ = np.flatnonzero(~has_view[:best, view])
        if len(open_):
            iou = box_geometry.pairwise_iou(detected.boxes[row : row + 1], fused[open_])[0]
            nearest = int(np.argmax(iou))
            best = int(open_[nearest]) if iou[nearest] >= threshold else best
        if best == len(groups):
            groups.append([])
        groups[best].append(row)
        has_view[best, view] = True
        totals[best] += weights[row]
        fused[best] += (detected.boxes[row] - fused[best]) * (weights[row] / totals[best])
    return groups


def _mean(detected, rows):
    """float64 [4]: the mean of boxes, weighted by score."""
    if len(rows) == 1:
        return detected.boxes[rows[0]]
    return np.average(detected.boxes[rows], axis=0, weights=_weights(detected.scores[rows]))


def _weights(scores):
    """What boxes count by their scores; scores of 0 count alike."""
    return np.maximum(scores, np.finfo(np.float32).tiny)
