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

from tfodhelper.metrics import average, overlaps

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


def cost(overlapping, kinds):
    """The `Costs` of the errors that `classify` found."""
    images, matches = overlapping.images, overlapping.matches
    order = overlapping.by_score
    order = order[kinds.kind[order] != IGNORED]
    kind, classes, gt = kinds.kind[order], images.det_class[order], kinds.gt[order]
    hits = kind == RIGHT
    num_gt = _count(images, matches.counts)
    judged = np.flatnonzero(num_gt)
    if not len(judged):
        return Costs(np.nan, np.full(len(NAMES), np.nan), np.nan, np.nan)

    def mean_of(classes, hits, num_gt):
        values = average.average_precisions(classes, hits, num_gt)[judged]
        # Where neither objects nor detections remain, nothing is wrong any more.
        return 1.0 if np.isnan(values).all() else float(np.nanmean(values))

    ap = mean_of(classes, hits, num_gt)
    # Only the best of the detections that would find an object is corrected; and none if the object is found already.
    is_open = matches.counts.copy()
    is_open[gt[hits]] = False
    gt_classes = np.append(images.gt_class, images.num_classes)  # the last entry is that of `NOTHING`
    gains = np.zeros(len(NAMES))
    would_find = np.isin(kind, (CLASSIFICATION, LOCALIZATION))
    would_find[would_find] = is_open[gt[would_find]]
    candidates = np.flatnonzero(would_find)
    _, firsts = np.unique(gt[candidates], return_index=True)
    is_best = np.zeros(len(kind), bool)
    is_best[candidates[firsts]] = True
    for this in range(MISSED):
        errors = kind == this
        corrected = errors & is_best
        keep = ~errors | corrected
        moved = np.where(corrected, gt_classes[gt], classes)
        gains[this] = mean_of(moved[keep], (hits | corrected)[keep], num_gt) - ap
    gains[MISSED] = _gain_without(images, kinds.is_missed, classes, hits, num_gt, mean_of) - ap
    return Costs(
        ap,
        np.maximum(gains, 0.0),
        mean_of(*(np.concatenate([part[hits], part[~hits]]) for part in (classes, hits)), num_gt) - ap,
        _gain_without(images, is_open, classes, hits, num_gt, mean_of) - ap,
    )


def _gain_without(images, left_out, classes, hits, num_gt, mean_of):
    return mean_of(classes, hits, num_gt - _count(images, left_out))


def _count(images, chosen):
    return np.bincount(images.gt_class[chosen], minlength=images.num_classes)
