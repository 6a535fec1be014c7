"""The masks of an image's objects, in a JSON file next to its LabelImg XML: `a.xml` has `a.masks.json`.

LabelImg neither reads nor writes masks, and it saves boxes in an order of its own. So the file names the box of each
mask, and a mask belongs to the object whose box has the same corners, within a pixel, because LabelImg saves whole
pixels. A mask whose box was moved or deleted belongs to no object any more. One line is one object:

    {"masks_of": "a.xml", "version": 1, "width": 640, "height": 480, "objects": [
    {"name": "cat", "bndbox": [10, 20, 110, 95], "polygons": [[12.5, 20, 110, 40, 60, 95]]},
    {"name": "dog", "bndbox": [200, 40, 260, 90], "rle": {"size": [480, 640], "counts": "..."}}]}

Polygons stay polygons, everything else is COCO's compressed run-length code. Sizes of run-length codes are height and
width, as in COCO; corners are xmin, ymin, xmax, ymax.
"""

import dataclasses
import errno
import json
import os
import pathlib

import numpy as np

from tfodhelper import limits, storage, user_files
from tfodhelper.annotations import masks
from tfodhelper.annotations.structures import SkippedObject, UnusableFile

ENDING = ".masks.json"
MAX_BYTES = 64 << 20
VERSION = 1
STALE = "mask-stale"
_SAME_PX = 1.0
_ABSENT = (errno.ENOENT, errno.ENAMETOOLONG)  # no file can have too long a name
_EXPECTED = (
    '{"masks_of": ..., "version": 1, "objects": [{"name": ..., "bndbox": [4 numbers], "polygons" or "rle": ...}]}'
)


@dataclasses.dataclass(frozen=True)
class StoredMask:
    """One line of the file: the class name and the corners (xmin, ymin, xmax, ymax) of a box, and its `masks.Mask`."""

    name: str
    corners: tuple[float, float, float, float]
    mask: masks.Mask


def path_of(xml_path):
    """The path of the masks of an annotation file, as text."""
    return os.path.splitext(os.fspath(xml_path))[0] + ENDING


def read_bytes(xml_path):
    """(bytes, `os.fstat`) of the masks of an annotation file; None if it has none.

    Raises:
      UnusableFile: the file cannot be read, or is too large.
    """
    path = path_of(xml_path)
    try:
        data, status = user_files.read_bytes(path, MAX_BYTES)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise UnusableFile("masks-unreadable", path, f"cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        expected = f"at most {MAX_BYTES >> 20} MB"
        raise UnusableFile("masks-unreadable", path, "is too large for the masks of an image", expected=expected)
    return data, status


def parse(data, path):
    """The `StoredMask`s in the bytes of a file; `path` is for messages.

    Raises:
      UnusableFile: it does not contain masks.
    """
    fix = "import the masks again, or remove the file: its image then has boxes only"

    def refuse(problem):
        return UnusableFile("masks-unreadable", path, problem, expected=_EXPECTED, fix=fix)

    try:
        content = limits.parse_json(data)
    except ValueError as error:
        raise refuse(f"is not JSON: {error}") from None
    listed = content.get("objects") if isinstance(content, dict) else None
    if not isinstance(listed, list) or content.get("version") != VERSION:
        raise refuse(f"does not contain masks of version {VERSION}")
    stored = []
    for number, entry in enumerate(listed, start=1):
        try:
            stored.append(_parse_object(entry))
        except ValueError as error:
            raise refuse(f"object {number}: {error}") from None
    return stored


def _parse_object(entry):
    if not isinstance(entry, dict):
        raise ValueError("is not an object of JSON")
    corners = entry.get("bndbox")
    is_box = isinstance(corners, list) and len(corners) == 4
    if not is_box or not all(masks.is_coordinate(value) for value in corners):
        raise ValueError("bndbox is not four numbers of pixels")
    return StoredMask(str(entry.get("name", "")), tuple(map(float, corners)), _parse_mask(entry))


def _parse_mask(entry):
    polygons, rle = entry.get("polygons"), entry.get("rle")
    if isinstance(polygons, list) and all(isinstance(polygon, list) for polygon in polygons):
        return masks.make_from_polygons(polygons)
    size = rle.get("size") if isinstance(rle, dict) else None
    if not isinstance(size, list) or len(size) != 2:
        raise ValueError("has neither polygons nor a run-length code with its size")
    return masks.make_from_counts(*size, rle.get("counts"))


def attach(boxes, stored):
    """Gives the boxes of an annotation file their masks.

    Args:
      boxes: tuples that begin with class name, xmin, ymin, xmax, ymax.
      stored: `StoredMask`s.

    Returns:
      (for each box its `masks.Mask` or None, `SkippedObject`s for the masks without a box).
    """
    matched, skipped = [None] * len(boxes), []
    corners_of = np.array([box[1:5] for box in boxes], np.float64).reshape(-1, 4)
    is_free = np.ones(len(boxes), bool)
    for number, stored_mask in enumerate(stored, start=1):
        distances = np.abs(corners_of - stored_mask.corners).max(axis=1)
        near = np.flatnonzero(is_free & (distances <= _SAME_PX)).tolist()
        # A box of the same class before one that was renamed; equal boxes take their masks in order.
        best = min(near, key=lambda i: (boxes[i][0] != stored_mask.name, distances[i], i), default=None)
        if best is None:
            corners = "{:g}, {:g}, {:g}, {:g}".format(*stored_mask.corners)
            skipped.append(
                SkippedObject(STALE, f"mask {number} ({stored_mask.name})", f"no object has its box {corners}")
            )
        else:
            matched[best] = stored_mask.mask
            is_free[best] = False
    return matched, skipped


def attach_to(annotation, xml_path):
    """An `Annotation` as read from XML, with the masks next to it, if there are any.

    Raises:
      UnusableFile: the masks cannot be read.
    """
    read = read_bytes(xml_path)
    return annotation if read is None else add_masks(annotation, read[0], path_of(xml_path))


def add_masks(annotation, data, path):
    """An `Annotation` with the masks in the bytes of their file; `path` is for messages. Raises as `parse`."""
    boxes = annotation.boxes
    plain = [(box.name, box.xmin, box.ymin, box.xmax, box.ymax) for box in boxes]
    matched, skipped = attach(plain, parse(data, path))
    boxes = tuple([box if mask is None else dataclasses.replace(box, mask=mask) for box, mask in zip(boxes, matched)])
    return dataclasses.replace(annotation, boxes=boxes, skipped=(*annotation.skipped, *skipped))


def write(xml_path, annotation):
    """Writes the masks of an `Annotation` next to its XML file, or removes those of an earlier one.

    Args:
      xml_path: the XML file.
      annotation: the content.

    Raises:
      StorageError: the file cannot be written.
    """
    path = pathlib.Path(path_of(xml_path))
    lines = [_to_line(box) for box in annotation.boxes if box.mask is not None]
    if not lines:
        _remove(path)
        return
    head = {"masks_of": os.path.basename(xml_path), "version": VERSION}
    head |= {"width": annotation.width or 0, "height": annotation.height or 0}
    start = json.dumps(head, ensure_ascii=False)[:-1]
    storage.write_text(path, start + ', "objects": [\n' + ",\n".join(lines) + "]}\n")


def _remove(path):
    try:
        path.unlink()
    except OSError as error:
        if error.errno not in _ABSENT:
            raise storage.explain_os_error(error, path) from error


def _to_line(box):
    mask = box.mask
    value = {"name": box.name, "bndbox": [_plain(v) for v in (box.xmin, box.ymin, box.xmax, box.ymax)]}
    if mask.polygons:
        value["polygons"] = [[_plain(v) for v in polygon] for polygon in mask.polygons]
    else:
        value["rle"] = to_json(mask)
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def to_json(mask):
    """A run-length code as COCO's JSON has it."""
    return {"size": [mask.height, mask.width], "counts": mask.counts}


def _plain(value):
    return int(value) if float(value).is_integer() else value
