"""The masks of a record as the Object Detection API keeps them: a PNG per object, or numbers, one per pixel."""

import dataclasses

import numpy as np

from tfodhelper import image_decoding, spelling
from tfodhelper.annotations import masks
from tfodhelper.annotations.findings import Finding
from tfodhelper.fields import Record


def add_masks(features, facts, positions, boxes, where):
    """Boxes with their masks; an object whose mask has no pixel, or the weight 0, has none.

    Args:
      features: {name: values} of the record.
      facts: `ImageFacts` of its image.
      positions: of the boxes in the lists of the record.
      boxes: `structures.Box`es.
      where: as in findings.

    Returns:
      (boxes, findings).
    """
    stored, count = features.get(Record.MASK, []), len(features.get(Record.XMIN, []))
    if not stored:
        return boxes, []
    height, width = facts.height, facts.width
    is_png = isinstance(stored[0], bytes)
    expected = count if is_png else count * height * width
    if len(stored) != expected:
        kind = "PNG" if is_png else "number"
        problem = f"the record has {spelling.count(len(stored), kind)} in {Record.MASK}, so that no mask is read"
        size = f"{count} of the objects" if is_png else f"{count} x {height} x {width}"
        return boxes, [Finding("mask-unusable", where, problem, expected=size)]
    weights, made, findings = features.get(Record.MASK_WEIGHT, []), [], []
    for position, box in zip(positions, boxes):
        if position < len(weights) and not weights[position]:
            made.append(box)
            continue
        name = f"object {position + 1} ({box.name})"
        try:
            image = image_decoding.open_image(stored[position]) if is_png else None
            shape = (height, width) if image is None else (image.height, image.width)
            if shape != (height, width):  # before pixels are decoded, of which there may be very many
                sizes = f"{width}x{height}", f"{shape[1]}x{shape[0]}"
                findings.append(Finding("mask-size", where, "its mask is not as large as the image", name, *sizes))
                made.append(box)
                continue
            array = _slice(stored, position, height, width) if image is None else _decode(image)
        except image_decoding.UndecodableImageError as error:
            findings.append(Finding("mask-unusable", where, f"its mask is not a PNG ({error.reason})", name))
            made.append(box)
            continue
        made.append(dataclasses.replace(box, mask=masks.make_from_array(array)) if array.any() else box)
    return made, findings


def _decode(image):
    """[height, width], 0 is background."""
    image_decoding.load(image)
    array = np.asarray(image)
    return array if array.ndim == 2 else array.max(axis=2)


def _slice(numbers, position, height, width):
    """The mask of one object of numbers, which count as its pixels where they are above 0."""
    size = height * width
    part = np.asarray(numbers[position * size : (position + 1) * size])
    return (part > 0).reshape(height, width)
