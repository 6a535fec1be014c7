"""Reads the JSON files of labelme and X-AnyLabeling, one beside each image.

A polygon, a circle and a mask (labelme's small picture between two corners) become an object with a mask, a rectangle
one with a box alone. Shapes of one label and one group, as `group_id` says, are one object: the parts of something that
is hidden in between. Points and lines have no area and are reported.
"""

import base64
import binascii
import math
import pathlib
import posixpath

import numpy as np

from tfodhelper import errors, image_decoding, limits, spelling, user_files
from tfodhelper.annotations import mask_files, masks, weight_files
from tfodhelper.annotations.findings import IMAGE_LEFT_OUT, Finding, from_skipped
from tfodhelper.annotations.structures import Annotation
from tfodhelper.formats import collection
from tfodhelper.formats.collection import Collection, ListedImage

_MAX_BYTES = 256 << 20  # labelme stores the image in the file, too
_CIRCLE_POINTS = 72
_EXPECTED = '{"shapes": [{"label": ..., "points": [[x, y], ...], "shape_type": "polygon"}], "imagePath": ...}'


def read_folder(path, image_names):
    """Reads all JSON files of a folder and its subfolders, or one file.

    Args:
      path: the folder or the file.
      image_names: names of the images, relative to the folder of the images.

    Returns:
      A `Collection`; classes have no ids.

    Raises:
      DatasetError: no file has shapes.
    """
    path = pathlib.Path(path)
    folder, skipped = (path if path.is_dir() else path.parent), []
    names = user_files.list_files(path, skipped.append) if path.is_dir() else [path.name]
    ours = (mask_files.ENDING, weight_files.ENDING)
    names = [name for name in names if name.lower().endswith(".json") and not name.endswith(ours)]
    findings = [from_skipped(entry) for entry in skipped if entry.name.lower().endswith(".json")]
    known = {posixpath.splitext(name)[0].casefold(): name for name in image_names}
    listed = []
    for name in names:
        image, more = _read_file(folder / name, name, known)
        listed += [image] if image else []
        findings += more
    if not listed:
        raise errors.DatasetError(
            f"{path}: no JSON file of labelme or X-AnyLabeling in it or its folders",
            expected=_EXPECTED,
            received=spelling.count(len(names), "JSON file"),
            fix="give the folder with the JSON files as --input",
        )
    return Collection(tuple(listed), {}, {}, tuple(findings))


def _read_file(path, name, known):
    """Returns (a `ListedImage` or None, findings)."""
    try:
        data, _ = user_files.read_bytes(path, _MAX_BYTES)
        if len(data) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES >> 20} MiB")
        content = limits.parse_json(data)
    except (OSError, ValueError) as error:
        return None, [Finding("entry-unusable", name, f"cannot be read: {error}", action=IMAGE_LEFT_OUT)]
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list):
        return None, [Finding("not-an-annotation", name, "has no list of shapes")]
    height, width = (collection.to_size(content.get(key)) for key in ("imageHeight", "imageWidth"))
    boxes, lost, findings = _read_shapes(shapes, height, width, name)
    image = _find_image(name, content.get("imagePath"), known)
    annotation = Annotation(collection.base_name(image), width, height, tuple(boxes))
    return ListedImage(image, annotation, tuple(lost)), findings


def _find_image(name, given, known):
    """The name of the image: the one beside the file, else what the file says."""
    beside = known.get(posixpath.splitext(name)[0].casefold())
    if beside is not None or not isinstance(given, str) or not given.strip():
        return beside or posixpath.splitext(name)[0]
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), collection.to_posix(given)))


def _read_shapes(shapes, height, width, name):
    """Returns (boxes, findings about lost objects, other findings)."""
    boxes, lost, findings, groups = [], [], [], {}
    for number, shape in enumerate(shapes, start=1):
        shape = shape if isinstance(shape, dict) else {}
        label = collection.to_class_name(shape.get("label") or "")
        where = f"shape {number} ({label or 'no label'})"
        if not label:
            lost.append(Finding("box-unnamed", name, "the shape has no label", where))
            continue
        try:
            corners, mask = _read_shape(shape, height, width)
        except ValueError as error:
            lost.append(Finding("entry-unusable", name, str(error), where))
            continue
        if shape.get("shape_type") == "rotation":
            problem = "a rotated rectangle; the upright box around it is used"
            findings.append(Finding("box-approximated", name, problem, where))
        box = collection.make_box(label, corners, difficult=shape.get("difficult") in (1, True), mask=mask)
        group = shape.get("group_id")
        key = (label, group) if isinstance(group, (int, str)) and not isinstance(group, bool) else None
        if key is not None and key in groups:
            groups[key].append(box)
            continue
        if key is not None:
            groups[key] = [box]
        boxes.append(groups.get(key, [box]))
    joined = []
    for parts in boxes:
        box, problem = _join(parts, height, width)
        joined.append(box)
        if problem is not None:
            findings.append(Finding("mask-unusable", name, problem, box.name))
    return joined, lost, findings


def _read_shape(shape, height, width):
    """Returns (xmin, ymin, xmax, ymax; a `masks.Mask` or None).

    Raises:
      ValueError: with the reason in words.
    """
    points = _read_points(shape.get("points"))
    kind = shape.get("shape_type") or "polygon"
    if kind in ("rectangle", "rotation") and len(points) in (2, 4):
        return collection.enclosing_box([value for point in points for value in point]), None
    if kind == "polygon":
        flat = [value for point in points for value in point]
        mask = masks.make_from_polygons([flat])
        return collection.enclosing_box(flat), mask
    if kind == "circle" and len(points) == 2:
        (x, y), radius = points[0], math.dist(*points)
        steps = [2 * math.pi * step / _CIRCLE_POINTS for step in range(_CIRCLE_POINTS)]
        flat = [value for step in steps for value in (x + radius * math.cos(step), y + radius * math.sin(step))]
        return (x - radius, y - radius, x + radius, y + radius), masks.make_from_polygons([flat])
    if kind == "mask" and len(points) == 2:
        return _read_picture(shape.get("mask"), points, height, width)
    raise ValueError(f"a shape of the type {str(kind)[:40]!r} with {spelling.count(len(points), 'point')} has no area")


def _read_points(points):
    pairs = points if isinstance(points, list) else []
    numbers = [[collection.to_number(value) for value in pair] if isinstance(pair, list) else [] for pair in pairs]
    if not numbers or any(len(pair) != 2 or None in pair for pair in numbers):
        raise ValueError("its points are not pairs of numbers")
    return numbers


def _read_picture(data, points, height, width):
    """A mask between two corners, as labelme stores what a model has segmented: a PNG in base64."""
    if height is None or width is None:
        raise ValueError("a mask needs imageHeight and imageWidth")
    try:
        image = image_decoding.open_image(base64.b64decode(data, validate=True))
        if image.width * image.height > width * height:
            raise ValueError(f"its mask has {image.width}x{image.height} pixels, more than the image")
        image_decoding.load(image)
    except (TypeError, binascii.Error, image_decoding.UndecodableImageError) as error:
        raise ValueError(f"its mask is not a picture: {error}") from None
    part = np.asarray(image)
    part = part if part.ndim == 2 else part.max(axis=2)
    left, top = (round(value) for value in points[0])
    mask = masks.make_from_part(part, top, left, height, width)
    area, bounds = masks.measure(mask, height, width)
    if not area:
        raise ValueError("its mask has no pixel in the image")
    return bounds, mask


def _join(parts, height, width):
    """Returns (one object of several parts, what is wrong with its mask or None)."""
    if len(parts) == 1:
        return parts[0], None
    first, mask, problem = parts[0], None, None
    corners = [min(box.xmin for box in parts), min(box.ymin for box in parts)]
    corners += [max(box.xmax for box in parts), max(box.ymax for box in parts)]
    drawn = [box.mask for box in parts if box.mask is not None]
    if len(drawn) == len(parts) and (None not in (height, width) or all(each.is_polygons for each in drawn)):
        try:
            mask = masks.unite(drawn, height, width)
        except ValueError as error:
            problem = str(error)
    box = collection.make_box(first.name, corners, difficult=any(box.difficult for box in parts), mask=mask)
    return box, problem
