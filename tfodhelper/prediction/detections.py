"""A model's detections in an image: as values, as JSON lines, as a LabelImg annotation.

A JSON line:

    {"path": "photos/a.jpg", "width": 640, "height": 480, "detections": [
      {"class": "dog", "id": 18, "score": 0.92, "box": {"xmin": 12.5, "ymin": 30.0, "xmax": 200.0, "ymax": 410.25}}]}

Boxes are in pixels of the stored image, as in LabelImg XML. A detection of a model with masks also has "mask": COCO's
compressed run-length code, {"size": [height, width], "counts": "..."}, as large as the stored image. A detection on
which several views of the image agree also has "doubt": how far they differ about its place.
"""

import dataclasses
import json
import math
import pathlib
from typing import NamedTuple

import numpy as np

from tfodhelper import errors, storage
from tfodhelper.annotations import mask_files, structures
from tfodhelper.annotations import masks as annotated_masks

_SIDES = ("xmin", "ymin", "xmax", "ymax")  # in the order of LabelImg
_PIXEL_DIGITS, _SCORE_DIGITS, _DOUBT_DIGITS = 3, 6, 6


class Detection(NamedTuple):
    """One detected object.

    Attributes:
      name: class name.
      id: class id of the label map, from 1.
      score: 0..1, or None for a labelled object that was not found by a model.
      ymin, xmin, ymax, xmax: pixels of the stored image, continuous.
      mask: its pixels as a run-length code (`mask.to_array()` gives them), or None where the model has no masks.
      doubt: how far several views of the image differ about its place: the mean deviation of its sides over half of
        height plus width; None where it was not seen in several views, or in one of them alone.
    """

    name: str
    id: int
    score: float | None
    ymin: float
    xmin: float
    ymax: float
    xmax: float
    mask: annotated_masks.Mask | None = None
    doubt: float | None = None


@dataclasses.dataclass(frozen=True)
class ImageDetections:
    """All detections in one image.

    Attributes:
      path: the image file, as given.
      width, height: of the stored image, pixels.
      detections: in descending order of score.
    """

    path: str
    width: int
    height: int
    detections: tuple[Detection, ...]

    def to_annotation(self, score_threshold: float = 0.0) -> structures.Annotation:
        """Makes an annotation that LabelImg opens: boxes in whole pixels, inside the image.

        Args:
          score_threshold: detections with a lower score are left out.
        """
        annotation: structures.Annotation = to_annotation(self, score_threshold)
        return annotation


def from_arrays(boxes, classes, names, scores=None, masks=None):
    """Detections of one image from arrays.

    Args:
      boxes: [n, 4] ymin, xmin, ymax, xmax in pixels of the stored image.
      classes: [n], ids of the label map, from 1.
      names: {id: name}; a class without a name is called "class_<id>".
      scores: [n], or None for ground truth.
      masks: [n], run-length codes of pycocotools, or None.

    Returns:
      tuple of `Detection`, in the order given.
    """
    boxes = np.reshape(np.asarray(boxes, np.float64), [-1, 4])
    ids = np.rint(np.reshape(classes, [-1])).astype(int).tolist()
    scores = [None] * len(boxes) if scores is None else np.reshape(scores, [-1]).astype(float).tolist()
    if not len(boxes) == len(ids) == len(scores):
        raise ValueError(f"expected as many classes and scores as boxes: {len(ids)}, {len(scores)}, {len(boxes)}")
    names = [names.get(id_, f"class_{id_}") for id_ in ids]
    if masks is None:
        return tuple(map(Detection, names, ids, scores, *boxes.T.tolist()))
    masks = [annotated_masks.make_from_rle(code) for code in masks]
    return tuple(map(Detection, names, ids, scores, *boxes.T.tolist(), masks))


def to_rles(image_detections):
    """The masks of all detections as run-length codes of pycocotools: object array [n]."""
    size = image_detections.height, image_detections.width
    codes = np.empty([len(image_detections.detections)], object)
    codes[:] = [annotated_masks.to_rle(each.mask, *size) for each in image_detections.detections]
    return codes


def to_drawn(image_detections):
    """The detections with their masks as pixels, as `render.boxes` draws them."""
    size = image_detections.height, image_detections.width
    return [
        each if each.mask is None else each._replace(mask=each.mask.to_array(*size))
        for each in image_detections.detections
    ]


def above(image_detections, score_threshold):
    """The same image with only the detections whose score is at least the threshold."""
    kept = tuple(
        detection
        for detection in image_detections.detections
        if detection.score is None or detection.score >= score_threshold
    )
    return dataclasses.replace(image_detections, detections=kept)


def to_json(image_detections):
    """`ImageDetections` -> dict of plain values; pixels to 1/1000, scores to a millionth."""
    return {
        "path": image_detections.path,
        "width": image_detections.width,
        "height": image_detections.height,
        "detections": [
            {
                "class": detection.name,
                "id": detection.id,
                "score": None if detection.score is None else round(float(detection.score), _SCORE_DIGITS),
                "box": {side: round(float(getattr(detection, side)), _PIXEL_DIGITS) for side in _SIDES},
                **({} if detection.mask is None else {"mask": mask_files.to_json(detection.mask)}),
                **({} if detection.doubt is None else {"doubt": round(float(detection.doubt), _DOUBT_DIGITS)}),
            }
            for detection in image_detections.detections
        ],
    }


def to_line(image_detections):
    """`ImageDetections` -> one line of a JSON lines file, with its line end."""
    return json.dumps(to_json(image_detections), ensure_ascii=False, allow_nan=False) + "\n"


def from_json(value):
    """The inverse of `to_json`.

    Raises:
      KeyError, TypeError, ValueError: the value does not have that form.
    """
    return ImageDetections(
        path=str(value["path"]),
        width=int(value["width"]),
        height=int(value["height"]),
        detections=tuple(
            Detection(
                name=str(entry["class"]),
                id=int(entry["id"]),
                score=None if entry["score"] is None else _finite(entry["score"]),
                **{side: _finite(entry["box"][side]) for side in _SIDES},
                mask=_to_mask(entry.get("mask")),
                doubt=None if entry.get("doubt") is None else _finite(entry["doubt"]),
            )
            for entry in value["detections"]
        ),
    )


def _to_mask(value):
    return None if value is None else annotated_masks.make_from_counts(*value["size"], value["counts"])


def _finite(value):
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, received {number}")
    return number


def write_json_lines(path, images):
    """Writes a JSON lines file atomically.

    Args:
      path: the file; an existing one is replaced.
      images: iterable of `ImageDetections`, taken one by one.

    Returns:
      Number of images written.
    """
    count = 0
    with storage.open_whole(path) as file:
        for image_detections in images:
            file.write(to_line(image_detections))
            count += 1
    return count


def read_json_lines(path):
    """Reads what `write_json_lines` wrote, line by line.

    Yields:
      `ImageDetections`.

    Raises:
      PredictionError: the file cannot be read, or a line is malformed; the error names it.
    """
    form = storage.LineForm(
        content="the detections of an image",
        expected='{"path": ..., "width": ..., "height": ..., "detections": [{"class", "id", "score", "box"}]}',
        fix="use the detections.jsonl that `tfodhelper predict` wrote",
        parse=from_json,
        error=errors.PredictionError,
    )
    return storage.read_json_lines(path, form)


def to_annotation(image_detections, score_threshold=0.0):
    """Makes an annotation that LabelImg can open: boxes in whole pixels, inside the image.

    Sides are rounded to the nearest pixel; a box that has no area inside the image after that is left out.

    Args:
      image_detections: `ImageDetections`.
      score_threshold: minimum score of a box that is kept.

    Returns:
      `annotations.structures.Annotation`, not verified.
    """
    boxes = [
        to_box(detection, image_detections.width, image_detections.height)
        for detection in above(image_detections, score_threshold).detections
    ]
    return structures.Annotation(
        filename=pathlib.PurePath(image_detections.path).name,
        width=image_detections.width,
        height=image_detections.height,
        boxes=tuple(box for box in boxes if box is not None),
    )


def to_box(detection, width, height):
    """Makes a labelled box of a detection: whole pixels, inside an image of that size.

    Returns:
      `annotations.structures.Box`, or None if no area is left.
    """
    xmin, xmax = (_whole(side, width) for side in (detection.xmin, detection.xmax))
    ymin, ymax = (_whole(side, height) for side in (detection.ymin, detection.ymax))
    if xmin >= xmax or ymin >= ymax:
        return None
    return structures.Box(detection.name, xmin, ymin, xmax, ymax, mask=detection.mask)


def _whole(side, limit):
    """The nearest whole pixel inside the image, rounding halves up."""
    return float(min(max(math.floor(side + 0.5), 0), limit))
