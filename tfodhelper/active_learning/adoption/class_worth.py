"""What boxes that nobody has seen are worth, class by class, and whether that is enough to adopt them.

Few validation boxes say little: eight of ten are right by chance one time in six where only six of ten are. So a class
has to reach the required share, and that share has to be reliable. A class with few boxes leans on the others: they are
found by the same detector.
"""

import dataclasses
import math

import numpy as np

from tfodhelper import spelling

ADOPTS, BELOW, TOO_FEW = "adopts", "below", "too few"  # verdicts on a class
NUM_BINS = 10  # of scores
CONFIRMED = "confirmed.csv"  # in the folder of a round: the images that were confirmed and not adopted
# How far the true share may be below the required one: nobody can tell 0.80 from 0.79 with few validation images.
TOLERANCE = 0.1
_ROUNDING = 1e-9  # 0.55 * 20 is a little more than 11
Z_95 = 1.6449  # standard normal quantile of 0.95
_BORROWED = 10  # boxes: how much the other classes count at most where those of one class are too few to judge it
_PRIOR = 4  # boxes: how much all classes together count against those of one class and score


@dataclasses.dataclass(frozen=True)
class ClassWorth:
    """What the boxes of a class are worth.

    Attributes:
      name: of the class.
      boxes: how many would be adopted, without those that are neither right nor wrong.
      right: those that overlap their object by at least 0.5.
      close: those that overlap it by at least 0.75.
      objects: of the class, in the images that would be adopted.
      missed: those of them that would get no box.
      by_score: [B] of (boxes, right, close): bins of equal width of the score, 0..1.
    """

    name: str
    boxes: int
    right: int
    close: int
    objects: int
    missed: int
    by_score: tuple[tuple[int, int, int], ...]

    def verdict(self, least):
        """Whether the class adopts by its own boxes alone; see `judge`.

        Args:
          least: the share of right boxes that is required, 0..1; 0 requires nothing.

        Returns:
          ADOPTS, if the share is reached, and the true one is not below it by more than `TOLERANCE`, with one chance in
          twenty to be wrong; BELOW, if it is not reached; TOO_FEW, if the boxes are too few to tell.
        """
        if not least:
            return ADOPTS
        if not self.boxes:
            return TOO_FEW
        if self.right < least * self.boxes - _ROUNDING:
            return BELOW
        return ADOPTS if lower_bound(self.right, self.boxes) >= least - TOLERANCE else TOO_FEW


def judge(worths, least):
    """{class: verdict} of all classes.

    Where the boxes of a class reach the required share, and are too few to tell, those of the other classes are added
    to them, as ten boxes at most. The sum has to reach the share, and to be reliable.

    Args:
      worths: list of `ClassWorth`.
      least: see `ClassWorth.verdict`.
    """
    return {worth.name: _judge(worth, [each for each in worths if each is not worth], least) for worth in worths}


def _judge(worth, others, least):
    verdict, number = worth.verdict(least), sum(each.boxes for each in others)
    if verdict != TOO_FEW or not worth.boxes or not number:
        return verdict
    borrowed = min(_BORROWED, number)
    right = worth.right + borrowed * sum(each.right for each in others) / number
    boxes = worth.boxes + borrowed
    is_reached = right >= least * boxes - _ROUNDING
    return ADOPTS if is_reached and lower_bound(right, boxes) >= least - TOLERANCE else TOO_FEW


def lower_bound(hits, number):
    """The lower end of Wilson's one-sided interval of a share, at 95 %.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference" (JASA 22).

    Args:
      hits: how many of `number`.
      number: at least 1.
    """
    share, z2 = hits / number, Z_95 * Z_95
    middle = share + z2 / (2 * number)
    half = Z_95 * math.sqrt(share * (1 - share) / number + z2 / (4 * number * number))
    return (middle - half) / (1 + z2 / number)


def enough_if_all_right(least):
    """The smallest number of boxes with which a class adopts if all of them are right."""
    number = 1
    while lower_bound(number, number) < least - TOLERANCE:
        number += 1
    return number


class Chances:
    """How likely a box is right, by class and score.

    Of the validation boxes of its class and tenth of the score; where these are few, all classes together count.

    Args:
      worths: list of `ClassWorth`.
    """

    def __init__(self, worths):
        self._by_score = {worth.name: np.array(worth.by_score) for worth in worths}
        self._all = sum(self._by_score.values(), np.zeros([NUM_BINS, 3], int))

    def of(self, name, score):
        """0..1; a half where no validation box says anything.

        Args:
          name: of a class.
          score: 0..1.
        """
        row = min(int(score * NUM_BINS), NUM_BINS - 1)
        boxes, right, _ = self._all[row]
        everywhere = (right + 1) / (boxes + 2)
        boxes, right, _ = self._by_score[name][row]
        return float((right + _PRIOR * everywhere) / (boxes + _PRIOR))


def to_words(worth, verdict, least):
    """One line on a class."""
    if verdict != ADOPTS and not worth.boxes:
        return f"{worth.name}: no validation box would be adopted, so it cannot be judged; nothing adopted; {_ADVICE}"
    right = f"{worth.right} of {spelling.count(worth.boxes, 'box', 'boxes')} would be right"
    if verdict == BELOW:
        return f"{worth.name}: {right}; nothing adopted; {_ADVICE}"
    if verdict == TOO_FEW:
        number = enough_if_all_right(least)
        more = f"where all are right, {number} are enough; label more images for validation, or lower --min_box_worth"
        return f"{worth.name}: {right}, too few to judge; nothing adopted; {more}"
    missed = f"{worth.missed} of {spelling.count(worth.objects, 'object')} missed"
    leans = "; few, judged with the other classes" if worth.verdict(least) == TOO_FEW else ""
    return f"{worth.name}: {right}, {worth.close} at IoU 0.75; {missed}{leans}"


_ADVICE = "draw some, or train longer"


def to_facts(worths, least):
    """Plain values for round.json.

    Args:
      worths: list of `ClassWorth`.
      least: the share of right boxes that is required.
    """
    verdicts = judge(worths, least)
    classes = [dataclasses.asdict(worth) | {"verdict": verdicts[worth.name]} for worth in worths]
    return {"least": least, "classes": [each | {"by_score": list(map(list, each["by_score"]))} for each in classes]}


def from_facts(facts):
    """The inverse of `to_facts`: [(`ClassWorth`, verdict)]."""
    pairs = []
    for each in facts["classes"]:
        values = {field.name: each[field.name] for field in dataclasses.fields(ClassWorth)}
        by_score = tuple(map(tuple, values.pop("by_score")))
        pairs.append((ClassWorth(**values, by_score=by_score), each["verdict"]))
    return pairs


SHAPE = {
    "least": float,
    "classes": [
        {
            **dict.fromkeys(("boxes", "right", "close", "objects", "missed"), int),
            "name": str,
            "by_score": [[int]],
            "verdict": str,
        }
    ],
}
