"""Detections choose objects, the best score first: in all images and classes at once.

Detections of different images, or of different classes where these are apart, never compete. So the first detections of
all groups choose together, then the second ones, and so on: as many steps as the largest group has detections that
overlap anything, each of them arithmetic on arrays.
"""

import dataclasses

import numpy as np

NOTHING = -1
_MOST = 1 << 14  # detections that choose at once: bounds the memory


@dataclasses.dataclass(frozen=True)
class Assignment:
    """Which objects were chosen.

    Attributes:
      det: int64 [C], the detections that overlap anything, ascending.
      gt: int32 [C, A, T], the object that each has chosen, or -1.
    """

    det: np.ndarray
    gt: np.ndarray


def ranks_in_group(groups, scores):
    """Position of each row among those of its group, by descending score, the first of equals first; int64 [n]."""
    order = np.lexsort((-scores, groups))
    grouped = groups[order]
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.searchsorted(grouped, grouped, side="left")
    return ranks


def assign(det, gt, overlap, groups, ranks, thresholds, ignored, reusable):
    """Each detection takes the free object of highest overlap at or above a threshold, the later one of equals.

    An object that counts is preferred to one that is ignored. A is the number of views, which differ in what is
    ignored.

    Args:
      det: [P], rows of detections, ascending; of the same detection, objects ascend.
      gt: [P], rows of objects.
      overlap: [P], at least the smallest threshold.
      groups: [D], detections that compete have the same number.
      ranks: [D], order in a group.
      thresholds: [T].
      ignored: bool [A, N].
      reusable: bool [N], objects that any number of detections may take.

    Returns:
      `Assignment`.
    """
    rows, starts, counts = np.unique(det, return_index=True, return_counts=True)
    chosen = np.full([len(rows), len(ignored), len(thresholds)], NOTHING, np.int32)
    if not len(rows):
        return Assignment(rows, chosen)
    turn = ranks_in_group(groups[rows], -ranks[rows].astype(np.float64))
    in_turn = np.argsort(turn, kind="stable")
    turn_ends = np.cumsum(np.bincount(turn))
    preference, pair_of = _preferences(det, gt, overlap, ignored)
    meets = overlap[:, None] >= thresholds
    free = np.ones([ignored.shape[1], len(ignored), len(thresholds)], bool)
    first = 0
    for end in turn_ends:
        while first < end:  # members of a turn do not compete, so that they may choose in any portions
            last = min(end, first + _MOST)
            members = in_turn[first:last]
            _choose(members, starts, counts, gt, preference, pair_of, meets, free, reusable, chosen)
            first = last
    return Assignment(rows, chosen)


def _preferences(det, gt, overlap, ignored):
    """(position of each pair in the order in which its detection prefers it, last is best; the inverse): [P, A]."""
    preference = np.empty([len(det), len(ignored)], np.int32)
    pair_of = np.empty_like(preference)
    by_overlap = np.lexsort((overlap, det))
    for view, is_ignored in enumerate(ignored):
        if is_ignored.any():
            order = np.lexsort((overlap, ~is_ignored[gt], det))
        else:
            order = by_overlap
        pair_of[:, view] = order
        preference[order, view] = np.arange(len(det))
    return preference, pair_of


def _choose(members, starts, counts, gt, preference, pair_of, meets, free, reusable, chosen):
    """Lets detections of different groups choose; changes `free` and `chosen`."""
    sizes = counts[members]
    offsets = np.cumsum(sizes) - sizes
    pairs = np.repeat(starts[members] - offsets, sizes) + np.arange(sizes.sum())
    possible = free[gt[pairs]]
    possible &= meets[pairs][:, None, :]
    keys = np.where(possible, preference[pairs][:, :, None], NOTHING)
    best = np.maximum.reduceat(keys, offsets, axis=0)
    member, view, threshold = np.nonzero(best != NOTHING)
    objects = gt[pair_of[best[member, view, threshold], view]]
    chosen[members[member], view, threshold] = objects
    free[objects, view, threshold] = reusable[objects]
