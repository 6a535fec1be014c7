"""An oracle's answers as JSON lines, one answer per line.

    {"name": "pool/a.jpg", "verdict": "adopted", "reason": "", "edits": {"kept": 1, "moved": 0, ...}, "scores": [0.93],
     "annotation": {"filename": "a.jpg", "width": 640, "height": 480, "verified": true, "boxes": [
       {"class": "cat", "xmin": 12, "ymin": 30, "xmax": 200, "ymax": 410}]}}

"seconds" says how long a person worked on the image, where that was measured. Further keys are allowed; reading ignores
them.
"""

import dataclasses
import json
import math

from tfodhelper import storage
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, WAITING, Answer, Edits
from tfodhelper.annotations import masks, weight_files
from tfodhelper.annotations.labelimg import CORNERS
from tfodhelper.annotations.structures import Annotation, Box

_SCORE_DIGITS = 6
_SECOND_DIGITS = 1
# Of a box, with their defaults.
_DETAILS = {"difficult": False, "truncated": False, "pose": "Unspecified", "weight": 1.0, "location_weight": 1.0}


def to_json(answer):
    """`Answer` -> dict of plain values; scores to a millionth."""
    return {
        "name": answer.name,
        "verdict": answer.verdict,
        "reason": answer.reason,
        "edits": None if answer.edits is None else dataclasses.asdict(answer.edits),
        "scores": [None if score is None else round(float(score), _SCORE_DIGITS) for score in answer.scores],
        "annotation": None if answer.annotation is None else _annotation_to_json(answer.annotation),
        **({} if answer.seconds is None else {"seconds": round(float(answer.seconds), _SECOND_DIGITS)}),
    }


def from_json(value):
    """The inverse of `to_json`.

    Raises:
      KeyError, TypeError, ValueError: the value does not have that form.
    """
    if value["verdict"] not in (ADOPTED, REFUSED, WAITING):
        raise ValueError(f"verdict {value['verdict']!r}")
    annotation = value["annotation"]
    if (annotation is not None) != (value["verdict"] == ADOPTED):
        raise ValueError("an adopted answer has an annotation, and no other answer has one")
    edits = value["edits"]
    return Answer(
        name=str(value["name"]),
        verdict=value["verdict"],
        annotation=None if annotation is None else _annotation_from_json(annotation),
        reason=str(value["reason"]),
        edits=None if edits is None else Edits(**{str(kind): int(count) for kind, count in edits.items()}),
        scores=tuple(None if score is None else float(score) for score in value["scores"]),
        seconds=_seconds_from_json(value.get("seconds")),
    )


def _seconds_from_json(value):
    if value is None:
        return None
    seconds = float(value)
    if not 0 <= seconds < math.inf:
        raise ValueError(f"seconds {value}")
    return seconds


def write_answers(path, answers, add=None):
    """Writes a JSON lines file atomically.

    Args:
      path: the file; an existing one is replaced.
      answers: iterable of `Answer`s, taken one by one.
      add: callable that returns a dict of additional plain values for an answer, or None.

    Returns:
      {verdict: number of answers}.
    """
    counts = dict.fromkeys((ADOPTED, REFUSED, WAITING), 0)
    with storage.open_whole(path) as file:
        for answer in answers:
            value = to_json(answer) | (add(answer) if add else {})
            file.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
            counts[answer.verdict] += 1
    return counts


def read_answers(path):
    """Reads what `write_answers` wrote, line by line.

    Yields:
      `Answer`s.

    Raises:
      StorageError: the file cannot be read, or a line is malformed; the error names it.
    """
    form = storage.LineForm(
        content="an answer",
        expected='{"name", "verdict", "reason", "edits", "scores", "annotation"}',
        fix="restore the file, or remove it to ask the oracle again",
        parse=from_json,
    )
    return storage.read_json_lines(path, form)


def _annotation_to_json(annotation):
    return {
        "filename": annotation.filename,
        "width": annotation.width,
        "height": annotation.height,
        "verified": annotation.verified,
        "boxes": [_box_to_json(box) for box in annotation.boxes],
    }


def _box_to_json(box):
    """Of the details, only those that differ from their defaults are written."""
    details = {name: getattr(box, name) for name, default in _DETAILS.items() if getattr(box, name) != default}
    details |= {} if box.mask is None else {"mask": masks.pack(box.mask)}
    return {"class": box.name} | {side: float(getattr(box, side)) for side in CORNERS} | details


def _annotation_from_json(value):
    return Annotation(
        filename=str(value["filename"]),
        width=int(value["width"]),
        height=int(value["height"]),
        boxes=tuple(_box_from_json(box) for box in value["boxes"]),
        verified=bool(value["verified"]),
    )


def _box_from_json(value):
    sides = [float(value[side]) for side in CORNERS]
    if not all(map(math.isfinite, sides)):
        raise ValueError(f"corners {sides}")
    details = {name: type(default)(value.get(name, default)) for name, default in _DETAILS.items()}
    if not (weight_files.is_weight(details["weight"]) and weight_files.is_weight(details["location_weight"], 1.0)):
        raise ValueError(f"weights {details['weight']}, {details['location_weight']}")
    mask = value.get("mask")
    if mask is not None:
        is_code = isinstance(mask[-1], str)
        mask = masks.make_from_counts(*mask) if is_code else masks.make_from_polygons(mask)
    return Box(str(value["class"]), *sides, **details, mask=mask)
