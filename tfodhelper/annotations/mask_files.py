"""The masks of an image's objects, in a JSON file next to its LabelImg XML: `a.xml` has `a.masks.json`.

A mask belongs to the object whose box has the same corners, whatever its class (`side_files`). A mask whose box was
moved or deleted belongs to no object any more. One line is one object:

    {"masks_of": "a.xml", "version": 1, "width": 640, "height": 480, "objects": [
    {"name": "cat", "bndbox": [10, 20, 110, 95], "polygons": [[12.5, 20, 110, 40, 60, 95]]},
    {"name": "dog", "bndbox": [200, 40, 260, 90], "rle": {"size": [480, 640], "counts": "..."}}]}

Polygons stay polygons, everything else is COCO's compressed run-length code. Sizes of run-length codes are height and
width, as in COCO; corners are xmin, ymin, xmax, ymax.
"""

import dataclasses
import json
import os

from tfodhelper.annotations import masks, side_files
from tfodhelper.annotations.structures import SkippedObject

ENDING = ".masks.json"
VERSION = 1
STALE = "mask-stale"
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
    return side_files.path_of(xml_path, ENDING)


def read_bytes(xml_path):
    """(bytes, `os.fstat`) of the masks of an annotation file; None if it has none.

    Raises:
      UnusableFile: the file cannot be read, or is too large.
    """
    return side_files.read_bytes(path_of(xml_path), "masks")


def parse(data, path):
    """The `StoredMask`s in the bytes of a file; `path` is for messages.

    Raises:
      UnusableFile: it does not contain masks.
    """
    fix = "import the masks again, or remove the file: its image then has boxes only"
    _, stored = side_files.parse_objects(data, path, "masks", VERSION, _parse_object, expected=_EXPECTED, fix=fix)
    return stored


def _parse_object(entry, name, corners):
    return StoredMask(name, corners, _parse_mask(entry))


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
    for number, (stored_mask, best) in enumerate(zip(stored, side_files.find_boxes(boxes, stored)), start=1):
        if best is None:
            problem = f"no object has its box {side_files.describe(stored_mask.corners)}"
            skipped.append(SkippedObject(STALE, f"mask {number} ({stored_mask.name})", problem))
        else:
            matched[best] = stored_mask.mask
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
    lines = [_to_line(box) for box in annotation.boxes if box.mask is not None]
    head = {"masks_of": os.path.basename(xml_path), "version": VERSION}
    head |= {"width": annotation.width or 0, "height": annotation.height or 0}
    start = json.dumps(head, ensure_ascii=False)[:-1]
    text = start + ', "objects": [\n' + ",\n".join(lines) + "]}\n"
    side_files.write(path_of(xml_path), text if lines else None)


def _to_line(box):
    mask = box.mask
    value = {"name": box.name, "bndbox": [side_files.plain(v) for v in (box.xmin, box.ymin, box.xmax, box.ymax)]}
    if mask.polygons:
        value["polygons"] = [[side_files.plain(v) for v in polygon] for polygon in mask.polygons]
    else:
        value["rle"] = to_json(mask)
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def to_json(mask):
    """A run-length code as COCO's JSON has it."""
    return {"size": [mask.height, mask.width], "counts": mask.counts}
