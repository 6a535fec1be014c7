"""What a model found in an image: as values, as JSON lines, as a LabelImg annotation.

A JSON line reads

    {"path": "photos/a.jpg", "width": 640, "height": 480, "detections": [
      {"class": "dog", "id": 18, "score": 0.92, "box": {"xmin": 12.5, "ymin": 30.0, "xmax": 200.0, "ymax": 410.25}}]}

Boxes are in pixels of the stored image, as in LabelImg XML.
"""

import dataclasses
import json
import math
import pathlib
from typing import NamedTuple

import numpy as np

from tfodhelper import errors, storage
from tfodhelper.annotations import structures

_SIDES = ("xmin", "ymin", "xmax", "ymax")  # in the order of LabelImg
_PIXEL_DIGITS, _SCORE_DIGITS = 3, 6


class Detection(NamedTuple):
    """One object that was found.

    Attributes:
      name: class name.
      id: class id of the label map, from 1.
      score: 0..1, or None for an object that is known and was not found by a model.
      ymin, xmin, ymax, xmax: pixels of the stored image, continuous.
    """

    name: str
    id: int
    score: float | None
    ymin: float
    xmin: float
    ymax: float
    xmax: float


@dataclasses.dataclass(frozen=True)
class ImageDetections:
    """All that was found in one image.

    Attributes:
      path: the image file, as it was given.
      width, height: of the stored image, pixels.
      detections: in descending order of score.
    """

    path: str
    width: int
    height: int
    detections: tuple[Detection, ...]


def from_arrays(boxes, classes, names, scores=None):
    """Detections of one image from arrays.

    Args:
      boxes: [n, 4] ymin, xmin, ymax, xmax in pixels of the stored image.
      classes: [n], ids of the label map, from 1.
      names: {id: name}; a class without a name is called "class_<id>".
      scores: [n], or None for ground truth.

    Returns:
      tuple of `Detection`, in the order given.
    """
    boxes = np.reshape(np.asarray(boxes, np.float64), [-1, 4])
    ids = np.rint(np.reshape(classes, [-1])).astype(int).tolist()
    scores = [None] * len(boxes) if scores is None else np.reshape(scores, [-1]).astype(float).tolist()
    if not len(boxes) == len(ids) == len(scores):
        raise ValueError(f"expected as many classes and scores as boxes: {len(ids)}, {len(scores)}, {len(boxes)}")
    names = [names.get(id_, f"class_{id_}") for id_ in ids]
    return tuple(map(Detection, names, ids, scores, *boxes.T.tolist()))


def above(found, score_threshold):
    """The same image with only the detections whose score is at least the threshold."""
    kept = tuple(one for one in found.detections if one.score is None or one.score >= score_threshold)
    return dataclasses.replace(found, detections=kept)


def to_json(found):
    """`ImageDetections` -> dict of plain values; pixels to 1/1000, scores to a millionth."""
    return {
        "path": found.path,
        "width": found.width,
        "height": found.height,
        "detections": [
            {
                "class": one.name,
                "id": one.id,
                "score": None if one.score is None else round(float(one.score), _SCORE_DIGITS),
                "box": {side: round(float(getattr(one, side)), _PIXEL_DIGITS) for side in _SIDES},
            }
            for one in found.detections
        ],
    }


def to_line(found):
    """`ImageDetections` -> one line of a JSON lines file, with its line end."""
    return json.dumps(to_json(found), ensure_ascii=False, allow_nan=False) + "\n"


def from_json(value):
    """The inverse of `to_json`.

    Raises:
      KeyError, TypeError, ValueError: when the value does not have that form.
    """
    return ImageDetections(
        path=str(value["path"]),
        width=int(value["width"]),
        height=int(value["height"]),
        detections=tuple(
            Detection(
                name=str(one["class"]),
                id=int(one["id"]),
                score=None if one["score"] is None else float(one["score"]),
                **{side: float(one["box"][side]) for side in _SIDES},
            )
            for one in value["detections"]
        ),
    )


def write_json_lines(path, images):
    """Writes a JSON lines file, whole or not at all.

    Args:
      path: the file; an existing one is replaced.
      images: iterable of `ImageDetections`, taken one by one.

    Returns:
      number of images written.
    """
    count = 0
    with storage.open_whole(path) as file:
        for found in images:
            file.write(to_line(found))
            count += 1
    return count


def read_json_lines(path):
    """Reads what `write_json_lines` wrote, line by line.

    Yields:
      `ImageDetections`.

    Raises:
      PredictionError: for a file that cannot be read, or a line of another form; it is named.
    """
    form = storage.LineForm(
        content="the detections of an image",
        expected='{"path": ..., "width": ..., "height": ..., "detections": [{"class", "id", "score", "box"}]}',
        fix="give the detections.jsonl that predict wrote",
        parse=from_json,
        error=errors.PredictionError,
    )
    return storage.read_json_lines(path, form)


def to_annotation(found, score_threshold=0.0):
    """Makes an annotation that LabelImg opens: boxes in whole pixels, inside the image.

    Sides are rounded to the nearest pixel; a box that has no area inside the image after that is left out.

    Args:
      found: `ImageDetections`.
      score_threshold: least score of a box that is kept.

    Returns:
      `annotations.structures.Annotation`, not verified.
    """
    boxes = [to_box(one, found.width, found.height) for one in above(found, score_threshold).detections]
    return structures.Annotation(
        filename=pathlib.PurePath(found.path).name,
        width=found.width,
        height=found.height,
        boxes=tuple(box for box in boxes if box is not None),
    )


def to_box(detection, width, height):
    """Makes a labelled box of a detection: whole pixels, inside an image of that size.

    Returns:
      `annotations.structures.Box`, or None when no area is left.
    """
    xmin, xmax = (_whole(side, width) for side in (detection.xmin, detection.xmax))
    ymin, ymax = (_whole(side, height) for side in (detection.ymin, detection.ymax))
    return structures.Box(detection.name, xmin, ymin, xmax, ymax) if xmin < xmax and ymin < ymax else None


def _whole(side, limit):
    """The nearest whole pixel inside the image, halves upwards."""
    return float(min(max(math.floor(side + 0.5), 0), limit))
