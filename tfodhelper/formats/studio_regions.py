"""Objects as regions of Label Studio: boxes and outlines in percent of the image, brushes, and choices about a region.

A region is one or more entries of a "result" with one id: the shape with its labels, and what was chosen for it
("difficult", "truncated"). Label Studio turns a rectangle around its top-left corner, clockwise. An outline or a brush
whose `parentID` is a rectangle of the same class is the mask of that object; alone, it is an object of its own.

Percentages become pixels to nine digits: what has at most that many comes back as it was, and nothing else is moved by
more than half a billionth of a pixel.
"""

import dataclasses
import math

from tfodhelper.annotations import masks
from tfodhelper.formats import brush_code, collection

FLAGS = ("difficult", "truncated")
_DIGITS = 9
_LABELS = ("rectanglelabels", "polygonlabels", "brushlabels", "ellipselabels", "labels")
_RECTANGLES = ("rectanglelabels", "rectangle")
_POLYGONS, _BRUSHES, _ELLIPSES = ("polygonlabels", "polygon"), ("brushlabels", "brush"), ("ellipselabels", "ellipse")
_SHAPES = (*_RECTANGLES, *_POLYGONS, *_BRUSHES, *_ELLIPSES)
_ELLIPSE_POINTS = 72


@dataclasses.dataclass(frozen=True)
class ControlNames:
    """Names of the tags in a labelling configuration; None for one that it does not have.

    Attributes:
      image: of the picture, to which the others belong.
      boxes, outlines, brushes: of the labels for rectangles, polygons and brushes.
      flags: of the choices about a region.
    """

    image: str = "image"
    boxes: str = "label"
    outlines: str | None = "outline"
    brushes: str | None = "brush"
    flags: str | None = "flags"


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something in a result that is lost or changed.

    Attributes:
      code: a key of `findings.KINDS`.
      where: the region.
      what: the problem in one sentence.
    """

    code: str
    where: str
    what: str


@dataclasses.dataclass(frozen=True)
class Regions:
    """The objects of a result.

    Attributes:
      boxes: `annotations.structures.Box`es, pixels.
      scores: of the boxes; None for one without a score.
      width, height: of the image that the percentages refer to, pixels; None if no region says so.
      lost: `Problem`s of regions that cannot be read as a box.
      notes: `Problem`s of regions that were changed, or lost a mask.
      num_details: how many other entries there are, such as relations, texts, and choices about the image.
    """

    boxes: tuple
    scores: tuple
    width: int | None
    height: int | None
    lost: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    num_details: int


@dataclasses.dataclass
class _Region:
    """The entries of one id, put together."""

    where: str
    kind: str
    entry: dict
    value: dict
    label: str
    flags: dict
    parent: object
    masks: list = dataclasses.field(default_factory=list)


def to_regions(box, width, height, key, names, score=None):
    """The entries of a result for an object: its rectangle, what was chosen for it, and its mask.

    Args:
      box: an `annotations.structures.Box`, pixels.
      width, height: of the image, pixels.
      key: id of its rectangle, unique in the result.
      names: `ControlNames`; what has no tag there is left out.
      score: of a prediction, or None.
    """
    common = {"to_name": names.image, "original_width": width, "original_height": height, "image_rotation": 0}
    position = {
        "x": 100 * box.xmin / width,
        "y": 100 * box.ymin / height,
        "width": 100 * box.width / width,
        "height": 100 * box.height / height,
        "rotation": 0,
    }
    rectangle = {"id": key, "type": "rectanglelabels", "from_name": names.boxes, **common}
    made = [
        rectangle | {"value": position | {"rectanglelabels": [box.name]}} | ({} if score is None else {"score": score})
    ]
    chosen = [flag for flag in FLAGS if getattr(box, flag)]
    if chosen and names.flags:
        choice = {"id": key, "type": "choices", "from_name": names.flags, **common}
        made.append(choice | {"value": position | {"choices": chosen}})
    return made + (_mask_regions(box, width, height, key, names, common) if box.mask is not None else [])


def _mask_regions(box, width, height, key, names, common):
    if box.mask.is_polygons:
        if not names.outlines:
            return []
        made = []
        for number, polygon in enumerate(box.mask.polygons, start=1):
            points = [[100 * x / width, 100 * y / height] for x, y in zip(polygon[::2], polygon[1::2])]
            value = {"points": points, "closed": True, "polygonlabels": [box.name]}
            entry = {"id": f"{key}-{number}", "parentID": key, "type": "polygonlabels", "from_name": names.outlines}
            made.append(entry | common | {"value": value})
        return made
    if not names.brushes:
        return []
    value = {"format": "rle", "rle": brush_code.encode(box.mask.to_array(height, width)), "brushlabels": [box.name]}
    return [
        {"id": f"{key}-1", "parentID": key, "type": "brushlabels", "from_name": names.brushes}
        | common
        | {"value": value}
    ]


def read_result(result):
    """Reads the objects of a "result" of an annotation or a prediction.

    Args:
      result: what JSON has there; anything.

    Returns:
      `Regions`.
    """
    regions, lost, num_details = _gather(result if isinstance(result, list) else [])
    sizes = [_size_of(region) for region in regions.values()]
    size = next((each for each in sizes if each), (None, None))
    shapes, notes = {}, []
    for key, region in regions.items():
        try:
            shapes[key] = _read_region(region, size)
        except ValueError as error:
            lost.append(Problem("entry-unusable", region.where, str(error)))
    for key, region in regions.items():
        parent = regions.get(region.parent)
        if key in shapes and _is_mask_of(region, parent) and region.parent in shapes:
            parent.masks.append(shapes.pop(key)[1])
    boxes, scores = [], []
    for key, (corners, mask, note) in shapes.items():
        region = regions[key]
        if not region.label:
            lost.append(Problem("box-unnamed", region.where, "the region does not have exactly one label"))
            continue
        try:
            mask = masks.unite(region.masks, *reversed(size)) if region.masks else mask
        except ValueError as error:
            mask = None
            notes.append(Problem("mask-unusable", region.where, str(error)))
        box = collection.make_box(region.label, corners, mask=mask, **region.flags)
        if box is None:
            lost.append(Problem("box-not-a-number", region.where, "a corner is not a number"))
            continue
        notes += [Problem("box-approximated", region.where, note)] if note else []
        boxes.append(box)
        scores.append(collection.to_number(region.entry.get("score")))
    return Regions(tuple(boxes), tuple(scores), *size, tuple(lost), tuple(notes), num_details)


def _is_mask_of(region, parent):
    is_shape = region.kind in _POLYGONS + _BRUSHES
    return is_shape and parent is not None and parent.kind in _RECTANGLES and parent.label == region.label


def _gather(result):
    """Returns ({id: `_Region`}, problems, number of other entries)."""
    entries_of, lost, num_details = {}, [], 0
    for number, entry in enumerate(result, start=1):
        if not isinstance(entry, dict) or not isinstance(entry.get("value"), dict):
            if isinstance(entry, dict) and entry.get("type") == "relation":
                num_details += 1
            else:
                lost.append(Problem("entry-unusable", f"region {number}", "it has no value"))
            continue
        key = entry.get("id")
        entries_of.setdefault(key if isinstance(key, str) else number, []).append((number, entry))
    regions = {}
    for key, entries in entries_of.items():
        shapes = [(number, entry) for number, entry in entries if entry.get("type") in _SHAPES]
        if not shapes:
            num_details += len(entries)
            continue
        regions[key] = _put_together(*shapes[0], [entry for _, entry in entries])
        known = {id(shapes[0][1]), *(id(entry) for _, entry in entries if entry.get("type") in ("labels", "choices"))}
        num_details += sum(id(entry) not in known for _, entry in entries)
    return regions, lost, num_details


def _put_together(number, shape, entries):
    labels, choices = [], []
    for entry in entries:
        value = entry["value"]
        for key in _LABELS:
            labels += [text for text in _texts(value.get(key)) if text not in labels]
        choices += [text.strip().casefold() for text in _texts(value.get("choices"))]
    label = collection.to_class_name(labels[0]) if len(labels) == 1 else ""
    flags = {flag: flag in choices for flag in FLAGS}
    where = f"region {number} ({label or ', '.join(labels)[:80] or 'no label'})"
    return _Region(where, shape["type"], shape, shape["value"], label, flags, _key(shape.get("parentID")))


def _key(value):
    return value if isinstance(value, str) else None


def _texts(value):
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _size_of(region):
    size = tuple(collection.to_size(region.entry.get(key)) for key in ("original_width", "original_height"))
    return None if None in size else size


def _read_region(region, size):
    """Returns (corners, a `Mask` or None, a note or None).

    Raises:
      ValueError: with the reason in words.
    """
    own = _size_of(region)
    if own is None:
        raise ValueError("it has no original_width and original_height, so its percentages are of no known size")
    if own != size:
        raise ValueError(f"it is of an image of {own[0]}x{own[1]} pixels, other regions of one of {size[0]}x{size[1]}")
    rotation = collection.to_number(region.entry.get("image_rotation") or 0)
    if rotation is None or rotation % 360:
        raise ValueError("it was drawn on a rotated image; turn the image back in Label Studio and draw it again")
    if region.kind in _RECTANGLES:
        return _read_rectangle(region.value, *size)
    if region.kind in _POLYGONS:
        points = region.value.get("points")
        pairs = [_numbers(pair) for pair in points] if isinstance(points, list) else []
        if not pairs or any(len(pair) != 2 for pair in pairs):
            raise ValueError("its points are not pairs of numbers")
        flat = [_to_pixels(value, side) for pair in pairs for value, side in zip(pair, size)]
        return collection.enclosing_box(flat), masks.make_from_polygons([flat]), None
    if region.kind in _BRUSHES:
        pixels = brush_code.decode(region.value.get("rle"), *reversed(size))
        mask = masks.make_from_array(pixels)
        area, bounds = masks.measure(mask, *reversed(size))
        if not area:
            raise ValueError("its brush covers no pixel")
        return bounds, mask, None
    return _read_ellipse(region.value, *size)


def _numbers(values):
    numbers = [collection.to_number(value) for value in values] if isinstance(values, list) else []
    return [] if None in numbers else numbers


def _take(value, *keys):
    numbers = [collection.to_number(value.get(key)) for key in keys]
    if None in numbers:
        raise ValueError(f"{', '.join(keys)} are not numbers")
    return numbers


def _to_pixels(percent, side):
    return round(percent * side / 100, _DIGITS)


def _read_rectangle(value, width, height):
    x, y, across, down = _take(value, "x", "y", "width", "height")
    turn = collection.to_number(value.get("rotation") or 0)
    if turn is None:
        raise ValueError("its rotation is not a number")
    if not turn % 360:
        sides = (x, width), (y, height), (x + across, width), (y + down, height)
        return [_to_pixels(percent, side) for percent, side in sides], None, None
    left, top, across, down = x * width / 100, y * height / 100, across * width / 100, down * height / 100
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    corners = ((0, 0), (across, 0), (across, down), (0, down))
    flat = [v for a, d in corners for v in (left + a * cosine - d * sine, top + a * sine + d * cosine)]
    flat = [round(value, _DIGITS) for value in flat]
    return collection.enclosing_box(flat), None, "a rotated rectangle; the upright box around it is used"


def _read_ellipse(value, width, height):
    x, y, across, down = _take(value, "x", "y", "radiusX", "radiusY")
    turn = collection.to_number(value.get("rotation") or 0)
    if turn is None:
        raise ValueError("its rotation is not a number")
    x, y, across, down = x * width / 100, y * height / 100, across * width / 100, down * height / 100
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    flat = []
    for step in range(_ELLIPSE_POINTS):
        angle = 2 * math.pi * step / _ELLIPSE_POINTS
        a, d = across * math.cos(angle), down * math.sin(angle)
        flat += [round(x + a * cosine - d * sine, _DIGITS), round(y + a * sine + d * cosine, _DIGITS)]
    return collection.enclosing_box(flat), masks.make_from_polygons([flat]), None
