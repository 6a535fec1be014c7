"""Predictions that travel with annotations: from `predict`'s JSON lines to annotation tools, and back.

`predict` gives boxes of stored images; annotation tools show images upright, as EXIF asks, and so do their files.
"""

import dataclasses

from tfodhelper.annotations import exif_boxes, images
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.structures import Box
from tfodhelper.formats.collection import PredictedImage
from tfodhelper.prediction import detections

DETECTIONS = "detections.jsonl"  # as `predict` calls it


def read_suggestions(path):
    """Reads the JSON lines of `predict`.

    Args:
      path: the file.

    Returns:
      (list of `PredictedImage`s in the frame of the stored images, {class name: id}).

    Raises:
      PredictionError: the file cannot be read, or a line is malformed.
    """
    made, ids = [], {}
    for image in detections.read_json_lines(path):
        boxes = [
            Box(each.name, each.xmin, each.ymin, each.xmax, each.ymax, mask=each.mask) for each in image.detections
        ]
        scores = tuple(each.score for each in image.detections)
        made.append(PredictedImage(image.path.replace("\\", "/"), image.width, image.height, tuple(boxes), scores))
        ids |= {each.name: each.id for each in image.detections}
    return made, ids


def to_upright(content, path):
    """An `Annotation` or a `PredictedImage` of a stored image, as EXIF shows it.

    Args:
      content: with the size of the stored image.
      path: the image.

    Returns:
      (the content in the upright frame, or None if its size is different; a `Finding` or None).
    """
    stored = images.read_size(path)
    if stored is None:
        return None, Finding("image-unreadable", str(path), "the image cannot be read")
    size, orientation = (content.width, content.height), stored[2]
    if size != stored[:2]:
        problem = "the size of the image is not that of its predictions; they are left out"
        received = f"{stored[0]}x{stored[1]}"
        return None, Finding("size-conflict", str(path), problem, None, f"{size[0]}x{size[1]}", received)
    if orientation == 1:
        return content, None
    width, height = exif_boxes.turned_size(*size, orientation)
    boxes = tuple(exif_boxes.to_upright(box, *size, orientation) for box in content.boxes)
    return dataclasses.replace(content, boxes=boxes, width=width, height=height), None


def to_stored(content, path):
    """An `Annotation` or a `PredictedImage` of an upright image as one of the stored image.

    What has another size than the upright image stays as it is: whoever made it saw the stored image.

    Args:
      content: in the upright frame; its size may be unknown.
      path: the image.
    """
    width, height, orientation = images.read_size(path) or (None, None, 1)
    if orientation == 1:
        return content
    if (content.width, content.height) not in (exif_boxes.turned_size(width, height, orientation), (None, None)):
        return content
    boxes = tuple(exif_boxes.to_stored(box, width, height, orientation) for box in content.boxes)
    return dataclasses.replace(content, boxes=boxes, width=width, height=height)


def write_suggestions(copier, predicted, is_upright):
    """Writes what was predicted as JSON lines, unless there is nothing.

    Class ids are the places of the names in their order, from 1.

    Args:
      copier: has the folder `filled`, and `path_of(name)`, the final path of an image; and `image_dir`.
      predicted: list of (name of an existing image, `PredictedImage`).
      is_upright: whether they are in the upright frame.

    Returns:
      How many images have predictions.
    """
    if not predicted:
        return 0
    names = sorted({box.name for _, image in predicted for box in image.boxes})
    ids = {name: id_ for id_, name in enumerate(names, start=1)}
    lines = (_to_detections(copier, name, image, is_upright, ids) for name, image in sorted(predicted, key=_by_name))
    return detections.write_json_lines(copier.filled / DETECTIONS, lines)


def _by_name(pair):
    return pair[0]


def _to_detections(copier, name, image, is_upright, ids):
    path = copier.image_dir / name
    image = to_stored(image, path) if is_upright else image
    width, height = image.width, image.height
    if width is None or height is None:
        width, height, *_ = images.read_size(path) or (0, 0)
    rows = [
        detections.Detection(box.name, ids[box.name], score, box.ymin, box.xmin, box.ymax, box.xmax, box.mask)
        for box, score in zip(image.boxes, image.scores)
    ]
    rows.sort(key=lambda each: -(each.score or 0.0))
    return detections.ImageDetections(str(copier.path_of(name)), width, height, tuple(rows))
