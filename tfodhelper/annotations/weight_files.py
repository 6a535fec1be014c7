"""How much the objects of an image count in training, in a JSON file next to its LabelImg XML.

`a.xml` has `a.weights.json`. Only boxes that do not count 1 are listed, one line each:

    {"weights_of": "a.xml", "version": 1, "verified": false, "objects": [
    {"name": "cat", "bndbox": [10, 20, 110, 95], "weight": 0.8},
    {"name": "cat", "bndbox": [30, 20, 90, 95], "weight": 0.7, "location_weight": 0},
    {"name": "dog", "bndbox": [200, 40, 260, 90], "weight": 0}]}

A weight belongs to the box of the same class and the same corners (`side_files`): a box that a person moved, renamed or
added is that person's word and counts 1. So do all boxes of an image that a person marked as verified after the file
was written.
"""

import dataclasses
import json
import math
import os

from tfodhelper import spelling
from tfodhelper.annotations import side_files
from tfodhelper.annotations.structures import SkippedObject

ENDING = ".weights.json"
VERSION = 1
STALE, CONFIRMED = "weight-stale", "weights-confirmed"
MOST = 1000.0
_EXPECTED = '{"weights_of": ..., "version": 1, "objects": [{"name": ..., "bndbox": [4 numbers], "weight": ...}]}'


@dataclasses.dataclass(frozen=True)
class StoredWeight:
    """One line of the file: class name and corners (xmin, ymin, xmax, ymax) of a box, and its weights; see `Box`."""

    name: str
    corners: tuple[float, float, float, float]
    weight: float
    location_weight: float = 1.0


def path_of(xml_path):
    """The path of the weights of an annotation file, as text."""
    return side_files.path_of(xml_path, ENDING)


def read_bytes(xml_path):
    """(bytes, `os.fstat`) of the weights of an annotation file; None if it has none.

    Raises:
      UnusableFile: the file cannot be read, or is too large.
    """
    return side_files.read_bytes(path_of(xml_path), "weights")


def is_weight(value, most=MOST):
    """Whether a value of a file is a weight."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0 <= value <= most


def parse(data, path):
    """(whether the image was verified when they were written, the `StoredWeight`s) in the bytes of a file.

    Args:
      data: the bytes.
      path: their source, for messages.

    Raises:
      UnusableFile: it does not contain weights.
    """
    fix = "write the weights again, or remove the file: all boxes of its image then count 1"
    whole, stored = side_files.parse_objects(data, path, "weights", VERSION, _parse_object, expected=_EXPECTED, fix=fix)
    return whole.get("verified") is True, stored


def _parse_object(entry, name, corners):
    weight, location_weight = entry.get("weight", 1.0), entry.get("location_weight", 1.0)
    if not is_weight(weight):
        raise ValueError(f"weight is not a number from 0 to {MOST:g}")
    if not is_weight(location_weight, 1.0):
        raise ValueError("location_weight is not a number from 0 to 1")
    return StoredWeight(name, corners, float(weight), float(location_weight))


def attach_to(annotation, xml_path):
    """An `Annotation` as read from XML, with the weights next to it, if there are any.

    Raises:
      UnusableFile: the weights cannot be read.
    """
    read = read_bytes(xml_path)
    return annotation if read is None else add_weights(annotation, read[0], path_of(xml_path))


def add_weights(annotation, data, path):
    """An `Annotation` with the weights in the bytes of their file; `path` is for messages. Raises as `parse`."""
    was_verified, stored = parse(data, path)
    if annotation.verified and not was_verified:
        number = spelling.count(len(stored), "weight")
        problem = f"a person has verified the image since its {number} were written; its boxes count 1"
        return _skip(annotation, [SkippedObject(CONFIRMED, number, problem)])
    boxes, skipped = list(annotation.boxes), []
    plain = [(box.name, box.xmin, box.ymin, box.xmax, box.ymax) for box in boxes]
    indices = side_files.find_boxes(plain, stored, is_same_class=True)
    for number, (each, index) in enumerate(zip(stored, indices), start=1):
        if index is None:
            problem = f"no object of its class has its box {side_files.describe(each.corners)}"
            skipped.append(SkippedObject(STALE, f"weight {number} ({each.name})", problem))
        else:
            weights = {"weight": each.weight, "location_weight": each.location_weight}
            boxes[index] = dataclasses.replace(boxes[index], **weights)
    return _skip(dataclasses.replace(annotation, boxes=tuple(boxes)), skipped)


def _skip(annotation, skipped):
    return dataclasses.replace(annotation, skipped=(*annotation.skipped, *skipped))


def write(xml_path, annotation):
    """Writes the weights of an `Annotation` next to its XML file, or removes those of an earlier one.

    Args:
      xml_path: the XML file.
      annotation: the content.

    Raises:
      StorageError: the file cannot be written.
    """
    side_files.write(path_of(xml_path), format_weights(xml_path, annotation.boxes, annotation.verified))


def format_weights(xml_path, boxes, verified):
    """The text that `write` writes.

    Args:
      xml_path: the XML file.
      boxes: `Box`es, in its order.
      verified: whether a person has verified the image with these weights.

    Returns:
      str, or None, for no file: all boxes count 1.
    """
    weighted = {_key_of(box) for box in boxes if box.is_weighted}
    lines = [_to_line(box) for box in boxes if _key_of(box) in weighted]  # of equal boxes all: they are taken in order
    head = {"weights_of": os.path.basename(xml_path), "version": VERSION, "verified": verified}
    start = json.dumps(head, ensure_ascii=False)[:-1]
    return start + ', "objects": [\n' + ",\n".join(lines) + "]}\n" if lines else None


def _key_of(box):
    return (box.name, box.xmin, box.ymin, box.xmax, box.ymax)


def _to_line(box):
    corners = [side_files.plain(v) for v in (box.xmin, box.ymin, box.xmax, box.ymax)]
    return json.dumps({"name": box.name, "bndbox": corners} | to_json(box), ensure_ascii=False, allow_nan=False)


def to_json(box):
    """The weights of a box that are not 1."""
    weights = {"weight": box.weight, "location_weight": box.location_weight}
    return {key: side_files.plain(value) for key, value in weights.items() if value != 1.0}
