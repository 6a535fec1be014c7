"""Adoption has to earn its place: boxes that nobody has seen are adopted where those of their class have proven right.

What a person has looked at (an answer with `edits`) is adopted as it is, and so is an image without boxes. Of the other
answers, those stay in the pool in which the boxes of any class do not reach the required worth; they are sorted by what
a person's work on them would bring. In zones, such boxes become ignored regions instead, and an image stays in the pool
only if it has no other object.
"""

import dataclasses

from tfodhelper import sheets, storage
from tfodhelper.active_learning.adoption import box_worth, class_worth, rehearsal, validation
from tfodhelper.active_learning.options import PoolOptions
from tfodhelper.active_learning.structures import REFUSED, Answer

CONFIRMED_HEADER = ("name", "path", "classes", "boxes", "best_score", "expected_mends", "gain")
REASONS = {
    class_worth.BELOW: "the boxes of its class are not good enough yet",
    class_worth.TOO_FEW: "too few validation boxes of its class to judge it",
}


@dataclasses.dataclass(frozen=True)
class HeldBack:
    """A confirmed image that is not adopted.

    Attributes:
      name: of the `PoolImage`.
      classes: of its boxes, sorted.
      boxes: how many.
      best_score: of them.
      expected_mends: how many of the boxes are expected to be wrong.
      gain: the same, each box divided by the number of labelled images of its class, plus one.
    """

    name: str
    classes: tuple[str, ...]
    boxes: int
    best_score: float
    expected_mends: float
    gain: float


def measure(evaluation_dir, oracle, answers, prediction, predictions_dir=None):
    """What the boxes of a round's model are worth on the validation images.

    Args:
      evaluation_dir: of the evaluation of that model.
      oracle: who answered; one that `can_rehearse` is asked about the validation images.
      answers: of the round.
      prediction: settings of the prediction of the pool.
      predictions_dir: of the validation images, where the pool is seen in several views; see `validation.read`.

    Returns:
      list of `class_worth.ClassWorth`, in the order of the label map.

    Raises:
      PredictionError: the detections of the evaluation cannot be read.
    """
    images = validation.read(evaluation_dir, predictions_dir)
    if getattr(oracle, "can_rehearse", False):
        proposed = rehearsal.rehearse(oracle, images, PoolOptions(**prediction).score_threshold)
    else:
        lowest = {}
        for name, score in (pair for answer in answers for pair in scored_boxes(answer)):
            lowest[name] = min(lowest.get(name, score), score)
        proposed = rehearsal.propose(images, lowest)
    return box_worth.measure(images, proposed)


def find_zones(evaluation_dir, oracle, prediction, predictions_dir=None):
    """Tells an oracle that `needs_zones` those of a round's model, by the validation images.

    Args:
      evaluation_dir, oracle, prediction, predictions_dir: see `measure`.

    Returns:
      Lines on the zones of each class; none for other oracles.
    """
    if not getattr(oracle, "needs_zones", False):
        return []
    images = validation.read(evaluation_dir, predictions_dir)
    oracle.zones = rehearsal.find_zones(oracle, images, PoolOptions(**prediction).score_threshold)
    return [zone.to_words(name) for name, zone in oracle.zones.items()]


def hold_back(answers, worths, least, labelled, has_zones=False):
    """Decides about adopted answers.

    Args:
      answers: all `Answer`s of a round.
      worths: list of `class_worth.ClassWorth`.
      least: the required share of right boxes.
      labelled: {class: number of labelled images}.
      has_zones: whether the boxes have the weights of their zones, so that some may become ignored regions.

    Returns:
      (answers, in the same order, `HeldBack`s: those that would bring most first).
    """
    verdicts = class_worth.judge(worths, least)
    chances = class_worth.Chances(worths)
    decided, held = [], []
    for answer in answers:
        scored = scored_boxes(answer)
        failed = {verdicts[name] for name, _ in scored} - {class_worth.ADOPTS}
        if failed and has_zones and any(verdicts[name] == class_worth.ADOPTS for name, _ in scored):
            answer = _ignore(answer, {name for name, _ in scored if verdicts[name] != class_worth.ADOPTS})
        elif failed:
            held.append(_hold(answer.name, scored, chances, labelled))
            verdict = class_worth.BELOW if class_worth.BELOW in failed else class_worth.TOO_FEW
            answer = Answer(answer.name, REFUSED, reason=REASONS[verdict])
        decided.append(answer)
    return decided, sorted(held, key=lambda each: (-each.gain, each.name))


def _ignore(answer, classes):
    """The answer with ignored regions in place of the objects of some classes."""
    boxes = tuple(
        dataclasses.replace(box, weight=0.0) if box.name in classes and score is not None else box
        for box, score in zip(answer.annotation.boxes, answer.scores)
    )
    return dataclasses.replace(answer, annotation=dataclasses.replace(answer.annotation, boxes=boxes))


def scored_boxes(answer):
    """[(class, score)] of the detections that an answer adopts unseen, as objects."""
    if not answer.is_unseen:
        return []
    return [
        (box.name, score)
        for box, score in zip(answer.annotation.boxes, answer.scores)
        if score is not None and box.weight > 0
    ]


def _hold(name, scored, chances, labelled):
    wrong = [(name, 1.0 - chances.of(name, score)) for name, score in scored]
    return HeldBack(
        name=name,
        classes=tuple(sorted({name for name, _ in scored})),
        boxes=len(scored),
        best_score=max(score for _, score in scored),
        expected_mends=sum(chance for _, chance in wrong),
        gain=sum(chance / (labelled.get(name, 0) + 1) for name, chance in wrong),
    )


def write_confirmed(folder, held, paths):
    """Writes confirmed.csv, or removes an earlier one where nothing was held back.

    Args:
      folder: pathlib.Path of the round.
      held: `HeldBack`s, in their order.
      paths: {name: path of the user's image}.
    """
    path = folder / class_worth.CONFIRMED
    if not held:
        path.unlink(missing_ok=True)
        return
    storage.make_folder(folder)
    sheets.write_csv(
        path,
        CONFIRMED_HEADER,
        [
            (
                *(each.name, paths[each.name], "|".join(each.classes), each.boxes),
                *(f"{each.best_score:.4f}", f"{each.expected_mends:.3f}", f"{each.gain:.5f}"),
            )
            for each in held
        ],
    )
