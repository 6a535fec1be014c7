"""Which images of each round the page shows, and what is drawn on them: adopted, refused and most doubtful ones.

Files are passed through line by line; what is kept depends on how many images are shown and not on the pool.
"""

import collections
import csv
import dataclasses
import hashlib
import heapq
import itertools

from tfodhelper import errors
from tfodhelper.active_learning import answers as answer_files
from tfodhelper.active_learning.pool import predictions as prediction_files
from tfodhelper.active_learning.selection import selection as selections
from tfodhelper.active_learning.structures import ADOPTED, NAME_OF_VERDICT, REFUSED, Answer
from tfodhelper.render import html, palette, thumbnails
from tfodhelper.render.boxes import Mark

DOUBTFUL = "doubtful"
_LONG_SIDE = 260  # pixels of a picture
_MAX_BOXES = 8  # drawn on a picture of a prediction
_MIN_SCORE = 0.25  # of a drawn detection, but the best one is always drawn
_MAX_LABELLED = 2  # each has its label on the picture; of more boxes only the best one: labels would hide each other
_IGNORED, _CLASS_ONLY = " (ignored)", " (class only)"  # behind the class of a box with weights
_MAX_NAMED = 6  # boxes named below a picture


@dataclasses.dataclass
class Shown:
    """An image on the page.

    Attributes:
      name: of the `PoolImage`.
      answer: what the oracle said of it, or None.
      uncertainty: as in scores.csv, or None.
      path: of the user's file, or None until it is known.
      classes: image-level labels, or None.
      detections: what the model found, the best first, or None until it is known.
    """

    name: str
    answer: Answer | None = None
    uncertainty: float | None = None
    path: str | None = None
    classes: tuple[str, ...] | None = None
    detections: tuple | None = None


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Some images of a kind.

    Attributes:
      kind: ADOPTED, REFUSED or DOUBTFUL.
      total: how many there are in the round.
      images: the `Shown` ones, in the order to show them.
    """

    kind: str
    total: int
    images: list


def pick(space, rounds, names, per_kind):
    """Picks the images of all rounds.

    Of the adopted images some are drawn at random from each class in turn, of the refused ones from each reason; the
    most doubtful ones are those with the highest uncertainty in scores.csv, whatever rule chose.

    Args:
      space: the `Workspace`.
      rounds: list of `round_facts.RoundFacts`.
      names: `round_facts.ClassNames`.
      per_kind: how many of a kind and round are shown at most.

    Returns:
      {number of the round: list of `Gallery`s that are not empty}.
    """
    galleries = {facts.number: _pick_round(facts, names, per_kind) for facts in rounds}
    for facts in rounds:
        _add_predictions(facts, galleries[facts.number])
    by_name = _by_name(itertools.chain.from_iterable(galleries.values()))
    for image in space.pool() if by_name else ():
        for shown in by_name.get(image.name, ()):
            shown.path, shown.classes = image.path, image.classes
    return galleries


def _by_name(galleries):
    """{image name: list of the `Shown` ones}; an image may be in several galleries."""
    shown_of = collections.defaultdict(list)
    for shown in itertools.chain.from_iterable(gallery.images for gallery in galleries):
        shown_of[shown.name].append(shown)
    return shown_of


def _pick_round(facts, names, per_kind):
    samples = {ADOPTED: _Sample(per_kind, facts.number), REFUSED: _Sample(per_kind, facts.number)}
    doubtful, num_scores = _pick_doubtful(facts.folder / selections.SCORES_FILE, per_kind)
    path = facts.folder / "answers.jsonl"
    for answer in answer_files.read_answers(path) if path.is_file() else ():
        if answer.name in doubtful:
            doubtful[answer.name].answer = answer
        if answer.verdict == ADOPTED:
            labels = sorted({names.find(box.name) or box.name for box in answer.annotation.boxes})
            samples[ADOPTED].offer(min(labels, key=lambda label: _key(answer.name, label), default=""), answer)
        elif answer.verdict == REFUSED:
            samples[REFUSED].offer(answer.reason, answer)
    galleries = [
        Gallery(kind, facts.verdicts[kind], [Shown(answer.name, answer) for answer in sample.in_turns()])
        for kind, sample in samples.items()
    ]
    galleries.append(Gallery(DOUBTFUL, num_scores, list(doubtful.values())))
    return [gallery for gallery in galleries if gallery.images]


def _pick_doubtful(path, count):
    """({name: `Shown`} of the highest uncertainties, number of rows of scores.csv)."""
    if not path.is_file():
        return {}, 0
    counter = itertools.count()
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        if tuple(next(rows, ())) != selections.SCORE_COLUMNS:
            raise errors.StorageError(f"{path}: is not a table of scores", expected=",".join(selections.SCORE_COLUMNS))
        scored = ((float(row[1]), row[0]) for row in rows if next(counter) >= 0)
        best = heapq.nsmallest(count, ((-score, name) for score, name in scored))
    return {name: Shown(name, uncertainty=-score) for score, name in best}, next(counter)


class _Sample:
    """Draws at random, from each group in turn, and keeps no more than that takes.

    Args:
      size: how many are drawn.
      seed: of the draw.
    """

    def __init__(self, size, seed):
        self._size, self._seed, self._groups = size, seed, {}

    def offer(self, group, answer):
        """Takes note of an answer of a group."""
        kept = self._groups.setdefault(group, [])
        kept.append((_key(self._seed, answer.name), answer))
        if len(kept) > 2 * self._size:
            self._shorten(kept)

    def _shorten(self, kept):
        kept.sort(key=lambda item: item[0])
        del kept[self._size :]

    def in_turns(self):
        """The drawn answers, side by side by group."""
        for kept in self._groups.values():
            self._shorten(kept)
        order = sorted(self._groups)
        turns = itertools.zip_longest(*(self._groups[group] for group in order))
        drawn = [(group, item) for turn in turns for group, item in zip(order, turn) if item is not None][: self._size]
        return [answer for _, (_, answer) in sorted(drawn, key=lambda pair: pair[0])]


def _key(*parts):
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=16).digest()


def _add_predictions(facts, galleries):
    """Adds the detections of the images that are shown."""
    by_name = _by_name(galleries)
    folder = facts.folder / "predictions"
    if by_name and (folder / prediction_files.PLAN).is_file():  # somebody may have cleared it away
        for prediction in prediction_files.find_predictions(folder, by_name):
            for shown in by_name[prediction.name]:
                shown.detections = prediction.found.detections


def make_cards(gallery, names):
    """Yields a `html.Card` for each image of a `Gallery`, with its picture, one at a time.

    Args:
      gallery: a `Gallery`.
      names: `round_facts.ClassNames`.
    """
    ids = names.ids | {name: names.ids[shown_name] for name, shown_name in names.by_name.items()}
    for shown in gallery.images:
        picture = None
        if shown.path is not None:
            picture = thumbnails.make_thumbnail(shown.path, marks_of(shown, ids), long_side=_LONG_SIDE)
        yield html.Card(shown.name, picture, tuple(lines_of(shown)), gallery.kind)


def marks_of(shown, ids):
    """The boxes to draw on an image: the adopted ones, or else the model's, in the colours of their classes.

    Ignored regions are grey.

    Args:
      shown: a `Shown`.
      ids: {class: id}.

    Returns:
      list of `boxes.Mark`s, the most certain one first.
    """
    boxes = _boxes_of(shown)
    num_labels = len(boxes) if len(boxes) <= _MAX_LABELLED else 1
    return [
        Mark(*corners, _color_of(name, ids), _name_box(name, score) if number < num_labels else "")
        for number, (name, score, corners) in enumerate(boxes)
    ]


def _color_of(name, ids):
    name = name.removesuffix(_CLASS_ONLY)
    return palette.color_of(ids[name]) if name in ids else palette.GREY


def lines_of(shown):
    """The lines below an image: what is known about it, and its boxes with their scores."""
    lines = []
    if shown.classes:
        lines.append("known to show " + ", ".join(shown.classes))
    answer = shown.answer
    if answer is not None and answer.verdict != ADOPTED:
        verdict = NAME_OF_VERDICT[answer.verdict]
        lines.append(f"{verdict}: {answer.reason}" if answer.reason else verdict)
    elif answer is not None and shown.uncertainty is not None:
        lines.append(ADOPTED)
    if shown.uncertainty is not None:
        lines.append(f"uncertainty {shown.uncertainty:.3g}")
    boxes = _boxes_of(shown)
    named = [_name_box(name, score) for name, score, _ in boxes]
    if boxes:
        more = [f"{len(named) - _MAX_NAMED} more"] if len(named) > _MAX_NAMED else []
        lines.append(", ".join(named[:_MAX_NAMED] + more))
    elif answer is not None and answer.verdict == ADOPTED and shown.uncertainty is None:
        lines.append("no object")
    elif shown.detections is not None:
        lines.append("nothing found")
    return lines


def _boxes_of(shown):
    """[(class, score or None, corners)] of what is drawn, the most certain first; a box without score was corrected."""
    answer = shown.answer
    if answer is not None and answer.verdict == ADOPTED and shown.uncertainty is None:
        scores = itertools.chain(answer.scores, itertools.repeat(None))
        boxes = [
            (_say_weight(box), score, (box.xmin, box.ymin, box.xmax, box.ymax))
            for box, score in zip(answer.annotation.boxes, scores)
        ]
        return sorted(boxes, key=lambda box: (box[1] is None, -(box[1] or 0.0)))
    detections = shown.detections or ()
    kept = [detection for i, detection in enumerate(detections) if i == 0 or detection.score >= _MIN_SCORE]
    return [(d.name, d.score, (d.xmin, d.ymin, d.xmax, d.ymax)) for d in kept[:_MAX_BOXES]]


def _say_weight(box):
    """The class of an adopted box, with what training does not learn of it."""
    if not box.weight:
        return box.name + _IGNORED
    return box.name if box.location_weight else box.name + _CLASS_ONLY


def _name_box(name, score):
    return name if score is None else f"{name} {score:.0%}"
