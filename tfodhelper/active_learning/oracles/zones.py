"""Zones of the score: which boxes of a known class are objects, which teach their class alone, which are ignored.

A false or a missing object costs more than one that is not used. So a box is an object only where it has proven right:
above the score with the best F0.5 on the validation images, and there it counts as much as its score. Its corners are
learned only above the score from which on nine of ten boxes are close. A box below is neither an object nor background,
but an ignored region.
"""

import dataclasses
import math

import numpy as np

LOWEST_SCORE = 0.1  # of an ignored region; boxes below are background
CLOSE_SHARE = 0.9  # of the boxes whose corners are learned, those that overlap their object by at least 0.75
_BETA_2 = 0.25  # F0.5: precision counts twice as much as recall
_DIGITS = 4  # of a weight


@dataclasses.dataclass(frozen=True)
class Zone:
    """The zones of a class.

    Attributes:
      object_score: from it on, a box is an object; inf: none is.
      place_score: from it on, the corners of an object are learned; inf: of none.
    """

    object_score: float = math.inf
    place_score: float = math.inf

    def weigh(self, box, score):
        """A `structures.Box` of a score with its weights."""
        if score < self.object_score:
            return dataclasses.replace(box, weight=0.0)
        location_weight = float(score >= self.place_score)
        return dataclasses.replace(box, weight=round(float(score), _DIGITS), location_weight=location_weight)

    def to_words(self, name):
        """One line on the zones of a class."""
        if math.isinf(self.object_score):
            return f"{name}: no score is high enough, its boxes are ignored regions"
        corners = f"from {self.place_score:.2f} on with their place"
        if math.isinf(self.place_score):
            corners = "without their place, which is never close enough"
        return f"{name}: objects from a score of {self.object_score:.2f} on, {corners}; ignored regions below"


def find_zone(scores, is_right, is_close, num_objects):
    """The zones of a class from its boxes in images whose objects are known.

    Args:
      scores: float [D], of the boxes.
      is_right: bool [D], whether each is the best one on an object, and overlaps it by at least 0.5.
      is_close: bool [D], whether it overlaps it by at least 0.75.
      num_objects: in these images.

    Returns:
      A `Zone`.
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
    is_reached = is_last & (close >= CLOSE_SHARE * number - 1e-9)
    place_score = float(scores[np.flatnonzero(is_reached)[-1]]) if is_reached.any() else math.inf
    return Zone(object_score, max(object_score, place_score))
