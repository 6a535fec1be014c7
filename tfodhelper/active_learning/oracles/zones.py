"""Zones of the score: which boxes of a known class are objects, which teach their class alone, which are ignored.

A false or a missing object costs more than one that is not used. So a box is an object only where it has proven right:
above the score with the best F0.5 on the validation images, and there it counts as much as its score. Its corners are
learned only above the score from which on nine of ten boxes are close, or where that is wanted for all objects. A box
below is neither an object nor background, but an ignored region.

Boxes of several views also have a doubt, see `pool.box_fusion`: then score and doubt together say whose corners are
learned. The more limits are tried, the sooner one holds by chance; so there are few, and the share has to be reliable.
"""

import dataclasses
import math

import numpy as np

from tfodhelper.active_learning.adoption import class_worth

LOWEST_SCORE = 0.1  # of an ignored region; boxes below are background
CLOSE_SHARE = 0.9  # of the boxes whose corners are learned, those that overlap their object by at least 0.75
DOUBTS = (*(number / 100 for number in range(1, 11)), math.inf)  # limits that are tried; inf: any doubt, or none at all
_BETA_2 = 0.25  # F0.5: precision counts twice as much as recall
_DIGITS = 4  # of a weight
_ROUNDING = 1e-9  # 0.9 * 10 may be a little more than 9


@dataclasses.dataclass(frozen=True)
class Zone:
    """The zones of a class.

    Attributes:
      object_score: from it on, a box is an object; inf: none is.
      place_score: from it on, the corners of an object are learned; inf: of none.
      place_doubt: and where its doubt is not higher; inf: whatever its doubt is.
    """

    object_score: float = math.inf
    place_score: float = math.inf
    place_doubt: float = math.inf

    def weigh(self, box, score, doubt=None):
        """A `structures.Box` with its weights.

        Args:
          box: of a detection.
          score: of it.
          doubt: of its place, or None where no second view has found it.
        """
        if score < self.object_score:
            return dataclasses.replace(box, weight=0.0)
        is_sure = math.isinf(self.place_doubt) or doubt is not None and doubt <= self.place_doubt
        location_weight = float(is_sure and score >= self.place_score)
        return dataclasses.replace(box, weight=round(float(score), _DIGITS), location_weight=location_weight)

    def with_all_places(self):
        """The same zone, in which the corners of all objects are learned."""
        return dataclasses.replace(self, place_score=self.object_score, place_doubt=math.inf)

    def to_words(self, name):
        """One line on the zones of a class."""
        if math.isinf(self.object_score):
            return f"{name}: no score is high enough, its boxes are ignored regions"
        if self.place_score == self.object_score and math.isinf(self.place_doubt):
            return f"{name}: objects from a score of {self.object_score:.2f} on; ignored regions below"
        corners = f"from {self.place_score:.2f} on with their place"
        if not math.isinf(self.place_doubt):
            corners += f" where the views differ by at most {self.place_doubt:.2f}"
        if math.isinf(self.place_score):
            corners = "without their place, which is never close enough"
        return f"{name}: objects from a score of {self.object_score:.2f} on, {corners}; ignored regions below"


def find_zone(scores, is_right, is_close, num_objects, doubts=None):
    """The zones of a class from its boxes in images whose objects are known.

    Args:
      scores: float [D], of the boxes.
      is_right: bool [D], whether each is the best one on an object, and overlaps it by at least 0.5.
      is_close: bool [D], whether it overlaps it by at least 0.75.
      num_objects: in these images.
      doubts: float [D], of their places, inf where only one view has found a box; None where there was one view.

    Returns:
      A `Zone`. With doubts, its limits are those that leave most close boxes, if nine of ten boxes are close and the
      lower end of Wilson's one-sided 95 % interval is not below eight of ten (`class_worth.lower_bound`). If several
      leave as many, those with fewer other boxes count, and then those of the lower doubt.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    scores, right = np.asarray(scores, np.float64)[order], np.cumsum(np.asarray(is_right, bool)[order])
    close = np.cumsum(np.asarray(is_close, bool)[order])
    if not len(scores) or not right[-1]:
        return Zone()
    number = np.arange(1, len(scores) + 1)
    is_last = np.append(scores[1:] != scores[:-1], True)  # of equal scores all boxes count, or none
    # F = (1 + b2) TP / ((1 + b2) TP + b2 FN + FP), with FN = objects - TP and FP = boxes - TP.
    f = np.where(is_last, (1 + _BETA_2) * right / (_BETA_2 * num_objects + number), -1.0)
    object_score = float(scores[np.argmax(f)])
    if doubts is not None:
        is_object = scores >= object_score
        doubts, is_close = (np.asarray(values)[order][is_object] for values in (doubts, is_close))
        return Zone(object_score, *_find_place(scores[is_object], is_close.astype(bool), doubts))
    is_reached = is_last & (close >= CLOSE_SHARE * number - _ROUNDING)
    place_score = float(scores[np.flatnonzero(is_reached)[-1]]) if is_reached.any() else math.inf
    return Zone(object_score, max(object_score, place_score))


def _find_place(scores, is_close, doubts):
    """(lowest score, highest doubt) of objects whose corners are learned; scores are descending, inf: of none."""
    best, limits = (0, 0.0), (math.inf, math.inf)
    for limit in DOUBTS:
        rows = np.flatnonzero(doubts <= limit)
        close, number = np.cumsum(is_close[rows]), np.arange(1, len(rows) + 1)
        is_last = np.append(scores[rows][1:] != scores[rows][:-1], True)[: len(rows)]
        for row in np.flatnonzero(is_last & (close >= CLOSE_SHARE * number - _ROUNDING)).tolist():
            hits, count = int(close[row]), int(number[row])
            is_reliable = class_worth.lower_bound(hits, count) >= CLOSE_SHARE - class_worth.TOLERANCE
            if is_reliable and (hits, hits / count) > best:
                best, limits = (hits, hits / count), (float(scores[rows[row]]), limit)
    return limits
