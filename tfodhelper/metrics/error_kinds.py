"""Why detections are wrong and objects missed, and what each kind of error costs.

Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors" (arXiv 2008.08115), section 3.2,
and its published tool: localization is looked for first, then classification, duplicates, background; with an overlap
of 0.5 for a match and 0.1 for background, among the 100 best detections of an image. The cost of a kind is the average
precision (at an overlap of 0.5) that is gained when its errors are corrected and all else stays.

Unlike there, detections on objects that need not be found (crowds, groups, difficult ones) are not errors, and classes
without objects do not take part in the mean, as in COCO's average precision.
"""

import dataclasses

import numpy as np

from tfodhelper.metrics import coco_curves, overlaps, score_order

# The same levels as COCO's but for the last bit, which decides where a recall is a level, such as 29 of 100 objects.
_LEVELS = np.arange(101) / 100
RIGHT, IGNORED = -1, -2  # of a detection that is not an error
CLASSIFICATION, LOCALIZATION, BOTH, DUPLICATE, BACKGROUND, MISSED = range(6)
NAMES = ("classification", "localization", "both", "duplicate", "background", "missed")


@dataclasses.dataclass(frozen=True)
class Kinds:
    """Errors of a set.

    Attributes:
      kind: int8 [D], of each detection: its kind of error, `RIGHT`, or `IGNORED` (on an object that need not be found,
        or not among the best of its image).
      gt: int64 [D], the object that the detection has found (`RIGHT`), or would have found without the error
        (classification, localization, duplicate), or `overlaps.NOTHING`.
      iou: float64 [D], highest overlap with an object of any class that has to be found; 0 below `overlaps.LEAST`.
      is_missed: bool [N], objects that no detection has found, nor would find if its error were corrected.
    """

    kind: np.ndarray
    gt: np.ndarray
    iou: np.ndarray
    is_missed: np.ndarray


def classify(overlapping):
    """The `Kinds` of an `overlaps.Overlaps`."""
    images, matches, pairs = overlapping.images, overlapping.matches, overlapping.pairs
    pairs = pairs.where(matches.counts[pairs.gt] & (pairs.iou >= overlaps.LEAST))
    is_same = images.det_class[pairs.det] == images.gt_class[pairs.gt]
    same_iou, same_gt = _best(pairs.where(is_same), len(images.det_class))
    other_iou, other_gt = _best(pairs.where(~is_same), len(images.det_class))
    is_seen = ~matches.is_ignored & (overlapping.ranks_in_image < overlaps.MAX_DETECTIONS)
    is_taken = np.zeros(len(images.gt_class), bool)
    is_taken[matches.gt_of_det[matches.hits & is_seen]] = True
    used_iou, used_gt = _best(pairs.where(is_same & is_taken[pairs.gt]), len(images.det_class))

    highest = np.maximum(same_iou, other_iou)
    kind = np.full(len(images.det_class), BOTH, np.int8)
    gt = np.full(len(images.det_class), overlaps.NOTHING, np.int64)
    kind[highest <= overlaps.LEAST] = BACKGROUND
    # The kinds that come first are looked for first: they are written last.
    for this, chosen, objects in (
        (DUPLICATE, used_iou >= overlaps.MATCH, used_gt),
        (CLASSIFICATION, other_iou >= overlaps.MATCH, other_gt),
        (LOCALIZATION, (same_iou >= overlaps.LEAST) & (same_iou <= overlaps.MATCH), same_gt),
        (RIGHT, matches.hits, matches.gt_of_det),
    ):
        kind[chosen], gt[chosen] = this, objects[chosen]
    kind[~is_seen] = IGNORED

    is_found = np.zeros(len(images.gt_class), bool)
    is_found[gt[np.isin(kind, (RIGHT, CLASSIFICATION, LOCALIZATION))]] = True
    return Kinds(kind, gt, highest, matches.counts & ~is_found)


def _best(pairs, num_det):
    """(highest overlap of each detection, 0 without any; the object, the first of equals)."""
    iou, gt = np.zeros(num_det), np.full(num_det, overlaps.NOTHING, np.int64)
    order = np.lexsort((-pairs.iou, pairs.det))
    rows, firsts = np.unique(pairs.det[order], return_index=True)
    iou[rows], gt[rows] = pairs.iou[order[firsts]], pairs.gt[order[firsts]]
    return iou, gt


@dataclasses.dataclass(frozen=True)
class Costs:
    """Average precision at an overlap of 0.5, and what is gained by correcting errors; NaN without objects.

    Attributes:
      ap: mean over the classes that have objects.
      by_kind: float [6], in the order of `NAMES`; never below 0.
      false_positives: gained if all wrong detections had lower scores than all right ones.
      false_negatives: gained if all objects that were not found did not exist.
    """

    ap: float
    by_kind: np.ndarray
    false_positives: float
    false_negatives: float


def find_corrected(overlapping):
    """Which errors are corrected, and which objects none of the detections has found.

    Only the best of the detections that would find an object is corrected; and none if the object is found already.

    Args:
      overlapping: an `overlaps.Overlaps`.

    Returns:
      is_corrected: bool [D].
      is_open: bool [N].
    """
    kinds, is_open = overlapping.once(classify), overlapping.matches.counts.copy()
    is_open[kinds.gt[kinds.kind == RIGHT]] = False
    order = overlapping.by_score
    order = order[np.isin(kinds.kind[order], (CLASSIFICATION, LOCALIZATION))]
    order = order[is_open[kinds.gt[order]]]
    _, firsts = np.unique(kinds.gt[order], return_index=True)
    is_corrected = np.zeros(len(kinds.kind), bool)
    is_corrected[order[firsts]] = True
    return is_corrected, is_open


_CORRECTED_IN_PLACE = (LOCALIZATION, BOTH, DUPLICATE, BACKGROUND)  # the class of the detection stays


class CostCounter:
    """Computes `Costs` from the errors of a set in the order of the scores.

    Args:
      num_gt: int [K], objects that have to be found.
      num_missed: int [K], of them, those that are `Kinds.is_missed`.
      num_open: int [K], of them, those that no detection has found.
    """

    def __init__(self, num_gt, num_missed, num_open):
        self._num_gt = num_gt
        columns = [num_gt, num_gt - num_missed, num_gt - num_open, *[num_gt] * len(_CORRECTED_IN_PLACE)]
        self._curves = score_order.PrecisionAtRecall(np.stack(columns, axis=1), _LEVELS)
        self._moved = score_order.PrecisionAtRecall(num_gt[:, None], _LEVELS)
        self._num_found = np.zeros(len(num_gt), np.int64)

    def add(self, classes, kind, is_corrected, gt_class):
        """Counts a block of detections.

        Args:
          classes: int [n].
          kind: [n], see `Kinds`; not `IGNORED`.
          is_corrected: bool [n], see `find_corrected`.
          gt_class: int [n], class of the object that the detection would find, if it is corrected.
        """
        hits = kind == RIGHT
        self._num_found += np.bincount(classes[hits], minlength=len(self._num_found))
        all_hits = [hits] * 3 + [hits | (is_corrected & (kind == this)) for this in _CORRECTED_IN_PLACE]
        everything = np.ones(len(kind), bool)
        counted = [everything] * 3 + [(kind != this) | is_corrected for this in _CORRECTED_IN_PLACE]
        self._curves.add(score_order.Grouped(classes), np.stack(all_hits, axis=1), np.stack(counted, axis=1))
        is_moved = is_corrected & (kind == CLASSIFICATION)
        keep = (kind != CLASSIFICATION) | is_moved
        grouped = score_order.Grouped(np.where(is_moved, gt_class, classes)[keep])
        self._moved.add(grouped, (hits | is_moved)[keep, None], np.ones([keep.sum(), 1], bool))

    def finish(self):
        """The `Costs`."""
        if not self._num_gt.any():
            return Costs(np.nan, np.full(len(NAMES), np.nan), np.nan, np.nan)
        ap, without_missed, without_open, *in_place = self._means(self._curves)
        gains = np.zeros(len(NAMES))
        gains[list(_CORRECTED_IN_PLACE)] = np.array(in_place) - ap
        gains[CLASSIFICATION], gains[MISSED] = self._means(self._moved)[0] - ap, without_missed - ap
        first = np.zeros(len(self._num_gt))  # average precision if all right detections came first
        for k in np.flatnonzero(self._num_found):
            totals = np.arange(1, self._num_found[k] + 1)
            first[k] = coco_curves.interpolate(totals, self._num_gt[k], _LEVELS).mean()
        return Costs(ap, np.maximum(gains, 0.0), float(first[self._num_gt > 0].mean()) - ap, without_open - ap)

    def _means(self, curves):
        """Mean of the average precision of the classes that have objects, of each column."""
        judged = self._num_gt > 0
        values, num_gt = curves.finish().mean(axis=-1)[judged], curves.num_gt[judged]
        # Where neither objects nor detections remain, nothing is wrong any more.
        is_empty = (num_gt <= 0) & (curves.num_counted[judged] == 0)
        sums, number = np.where(is_empty, 0.0, values).sum(axis=0), (~is_empty).sum(axis=0)
        return [float(total / count) if count else 1.0 for total, count in zip(sums, number)]
