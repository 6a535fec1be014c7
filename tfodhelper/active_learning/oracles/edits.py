"""What a person changed in a draft: which box of the answer was which box of the draft, and how many boxes that cost.

Boxes are matched by class and place alone; their order in the files does not matter. Whenever LabelImg saves, it
truncates corners to whole pixels and raises xmin and ymin to at least 1, so places are compared as it would save them.
"""

import dataclasses

import numpy as np

from tfodhelper import box_geometry
from tfodhelper.active_learning.structures import Edits

KEPT, MOVED, RELABELLED, ADDED, IGNORED = "kept", "moved", "relabelled", "added", "ignored"

# An object that is found but badly localized overlaps by a tenth or more; below that, a detection is background (Bolya
# et al. 2020, TIDE, section 2.2; arXiv 2008.08115).
MOVED_IOU = 0.1
RELABELLED_IOU = 0.5  # a box of another class is the same object only if it overlaps this much
_SAME_PX = 1.0  # corners that differ by less are the same after rounding


@dataclasses.dataclass(frozen=True)
class Comparison:
    """An answer compared with its draft.

    Attributes:
      edits: number of boxes by kind of edit, including deleted ones.
      kinds: for each box of the answer, KEPT, MOVED, RELABELLED, IGNORED or ADDED.
      sources: for each box of the answer, the index of its box in the draft, or None for an added one.
      unchanged: for each box of the answer, whether its class and place are those of its box in the draft.
    """

    edits: Edits
    kinds: tuple[str, ...]
    sources: tuple[int | None, ...]
    unchanged: tuple[bool, ...]


def compare_boxes(draft, answer, keep_iou=None):
    """Finds what became of the boxes of a draft.

    In this order, the best fits first within each step: boxes in the same place with the same class are kept; boxes in
    the same place with another class, relabelled; boxes of the same class that overlap by half, moved; boxes of another
    class that overlap by half, relabelled; boxes of the same class that overlap by `MOVED_IOU`, moved. The remaining
    boxes of the answer were added, the remaining ones of the draft were deleted. A box that was dragged so far that it
    no longer overlaps its old place counts as deleted and added. A box that was found and is an ignored region in the
    answer, which says nothing about its class and place, counts as ignored alone.

    Args:
      draft: `annotations.structures.Box`es, pixels.
      answer: the person's boxes, in the same frame.
      keep_iou: intersection over union from which a box of the same class counts as kept; None: only in the same place.

    Returns:
      `Comparison`.
    """
    kinds, sources = [ADDED] * len(answer), [None] * len(answer)
    if draft and answer:
        places, answered = _places_of(draft), _places_of(answer)
        off = np.abs(places[:, None] - answered[None]).max(axis=2)  # [draft, answer]
        overlaps = box_geometry.pairwise_iou(places, answered)
        same = np.array([[box.name == other.name for other in answer] for box in draft])
        steps = [
            (KEPT, same & (off < _SAME_PX), -off),
            (RELABELLED, ~same & (off < _SAME_PX), -off),
            (MOVED, same & (overlaps >= RELABELLED_IOU), overlaps),
            (RELABELLED, ~same & (overlaps >= RELABELLED_IOU), overlaps),
            (MOVED, same & (overlaps >= MOVED_IOU), overlaps),
        ]
        if keep_iou is not None:
            steps.insert(1, (KEPT, same & (overlaps >= keep_iou), overlaps))
        free = np.ones_like(same)
        for kind, allowed, fit in steps:
            for row, column in _pair(allowed & free, fit, draft, answer):
                kinds[column], sources[column] = kind, row
                free[row, :] = free[:, column] = False
    unchanged = tuple(kind == KEPT for kind in kinds)
    kinds = tuple(kind if kind == ADDED or box.weight else IGNORED for kind, box in zip(kinds, answer))
    counts = {kind: kinds.count(kind) for kind in (KEPT, MOVED, RELABELLED, ADDED, IGNORED)}
    deleted = len(draft) - len(answer) + counts[ADDED]
    return Comparison(Edits(**counts, deleted=deleted), kinds, tuple(sources), unchanged)


def _places_of(boxes):
    """Corners with xmin and ymin at least 1."""
    corners = box_geometry.corners_of(boxes)
    corners[:, :2] = np.maximum(corners[:, :2], 1)
    return corners


def _pair(allowed, fit, draft, answer):
    """Pairs (draft index, answer index), best fit first; ties are broken by class and place, not by order."""
    rows, columns = np.nonzero(allowed)
    order = sorted(zip(rows.tolist(), columns.tolist()), key=lambda p: (-fit[p], _key(draft[p[0]]), _key(answer[p[1]])))
    taken_rows, taken_columns = set(), set()
    for row, column in order:
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            yield row, column


def _key(box):
    return (box.name, box.xmin, box.ymin, box.xmax, box.ymax)
