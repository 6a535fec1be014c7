"""Reads and writes CVAT's XML 1.1 "for images".

Boxes are in pixels. A polygon or a mask is an object of its own; those that share a group with each other, and with one
box at most, of the same label, are one object, as in CVAT's own export to COCO. CVAT turns a box around its centre.
difficult, truncated, pose and score are attributes. CVAT has no predictions: suggestions are boxes whose source is
"auto", and what comes back is what a person left of them.
"""

import collections as counting
import dataclasses
import json
import math
import pathlib

import numpy as np
from lxml import etree

from tfodhelper import errors, image_decoding, plain_text, spelling, storage, user_files
from tfodhelper.annotations import masks
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.labelimg import format_number, replace_invalid
from tfodhelper.annotations.structures import Annotation
from tfodhelper.formats import collection
from tfodhelper.formats.collection import Collection, ListedImage, PredictedImage

_MAX_BYTES = 256 << 20
_TRUE = ("true", "1", "yes")
_EXPORT = 'export the task from CVAT as "CVAT for images 1.1"'
_ELLIPSE_POINTS = 72
_ATTRIBUTES = (("difficult", "checkbox", "false"), ("truncated", "checkbox", "false"))
_ATTRIBUTES += (("pose", "text", ""), ("score", "text", ""))


@dataclasses.dataclass
class _Shape:
    """One shape: its class, corners, mask (or None), properties, score (or None), and key of its group (or None)."""

    label: str
    corners: tuple
    mask: object
    flags: dict
    score: float | None
    group: tuple | None
    is_box: bool
    is_suggested: bool


def read_cvat(path):
    """Reads an XML file.

    Args:
      path: the file, annotations.xml.

    Returns:
      A `Collection` of upright images; classes have no ids. Boxes with a score are in its predictions, too.

    Raises:
      AnnotationError: the file cannot be read, or is not XML of CVAT for images.
    """
    path = pathlib.Path(path)
    root = _parse(path)
    images, predicted, findings = [], [], []
    tally = counting.Counter()
    for element in root.iterchildren("image"):
        name = collection.to_posix(element.get("name") or "")
        if not name:
            where = f"image {plain_text.shorten(element.get('id'), 40)}"
            findings.append(Finding("image-unlisted", path.name, "the image has no name", where))
            continue
        size = tuple(collection.to_size(element.get(key) or "") for key in ("width", "height"))
        shapes, lost, notes = _read_shapes(element, name, size, tally)
        findings += notes
        boxes = [collection.make_box(shape.label, shape.corners, mask=shape.mask, **shape.flags) for shape in shapes]
        annotation = Annotation(collection.base_name(name), *size, tuple(boxes))
        images.append(ListedImage(name, annotation, tuple(lost)))
        scored = [(box, shape.score) for box, shape in zip(boxes, shapes) if shape.score is not None]
        if scored:
            predicted.append(PredictedImage(name, *size, *map(tuple, zip(*scored))))
    if not images and not findings:
        raise errors.AnnotationError(f"{path}: lists no image", expected='<image name="..." ...>', fix=_EXPORT)
    findings += _report(tally, path.name)
    return Collection(tuple(images), {}, {}, tuple(findings), tuple(predicted), is_upright=True)


def _report(tally, source):
    findings = []
    details = tally["attribute"] + tally["occluded"]
    if details:
        problem = f"{spelling.count(details, 'attribute')} of shapes, such as occluded, are not imported"
        findings.append(Finding("detail-dropped", source, problem))
    if tally["tag"]:
        problem = f"{spelling.count(tally['tag'], 'tag')} of whole images are not imported"
        findings.append(Finding("detail-dropped", source, problem))
    if tally["auto"]:
        problem = f"{spelling.count(tally['auto'], 'box')} made by a model, which CVAT does not tell from accepted ones"
        fix = "delete wrong ones in CVAT before the import"
        findings.append(Finding("boxes-suggested", source, problem, fix=fix))
    return findings


def _parse(path):
    try:
        data, _ = user_files.read_bytes(path, _MAX_BYTES)
    except OSError as error:
        raise errors.AnnotationError(f"{path}: cannot be read ({error.strerror})", fix=_EXPORT) from error
    if len(data) > _MAX_BYTES:
        expected = f"at most {_MAX_BYTES >> 20} MiB"
        raise errors.AnnotationError(f"{path}: is too large", expected=expected, fix="export the jobs of it one by one")
    if data.startswith(b"PK\x03\x04"):
        raise errors.AnnotationError(f"{path}: is a ZIP archive", fix="unpack it, and give its annotations.xml")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False, recover=False
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise errors.AnnotationError(
            f"{path}: is not well-formed XML", received=plain_text.shorten(error), fix=_EXPORT
        ) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise errors.AnnotationError(f"{path}: declares a document type, which CVAT never does", fix=_EXPORT)
    if root.tag != "annotations":
        received = f"<{plain_text.shorten(root.tag, 80)}>"
        raise errors.AnnotationError(
            f"{path}: is not XML of CVAT", expected="<annotations>", received=received, fix=_EXPORT
        )
    if root.find("track") is not None:
        raise errors.AnnotationError(f"{path}: is CVAT for video", expected="CVAT for images", fix=_EXPORT)
    return root


def _read_shapes(image, name, size, tally):
    """Returns (`_Shape`s, findings about lost objects, other findings)."""
    shapes, lost, notes = [], [], []
    for number, element in enumerate(image.iterchildren(tag=etree.Element), start=1):
        if element.tag == "tag":
            tally["tag"] += 1
            continue
        label = collection.to_class_name(element.get("label") or "")
        where = f"{plain_text.shorten(element.tag, 40)} {number} ({label or 'no label'})"
        if not label:
            lost.append(Finding("box-unnamed", name, "the shape has no label", where))
            continue
        try:
            shape, note = _read_shape(element, label, size, tally)
        except ValueError as error:
            lost.append(Finding("entry-unusable", name, str(error), where))
            continue
        notes += [Finding("box-approximated", name, note, where)] if note else []
        shapes.append(shape)
    joined = []
    for parts in _group(shapes):
        shape, problem = _join(parts, size)
        joined.append(shape)
        tally["auto"] += shape.is_suggested
        notes += [Finding("mask-unusable", name, problem, shape.label)] if problem else []
    return joined, lost, notes


def _read_shape(element, label, size, tally):
    """Returns (a `_Shape`, a note or None); raises ValueError with the reason in words."""
    corners, mask, note = _read_place(element, size)
    if not all(map(math.isfinite, corners)):
        raise ValueError("a corner is not a number")
    given = {}
    for attribute in element.iterchildren("attribute"):
        given.setdefault((attribute.get("name") or "").strip().casefold(), (attribute.text or "").strip())
    flags = {key: given.pop(key, "").casefold() in _TRUE for key in ("difficult", "truncated")}
    flags["pose"] = collection.to_class_name(given.pop("pose", "")) or "Unspecified"
    score = collection.to_number(given.pop("score", ""))
    tally["attribute"] += len(given)
    tally["occluded"] += element.get("occluded") == "1"
    group = (element.get("group_id") or "0").strip()
    key = (label, group) if group not in ("", "0") else None
    is_suggested = element.get("source") == "auto"
    return _Shape(label, corners, mask, flags, score, key, element.tag == "box", is_suggested), note


def _read_place(element, size):
    """Returns (corners, a `Mask` or None, a note or None)."""
    if element.tag == "box":
        corners = _take(element, "xtl", "ytl", "xbr", "ybr")
        turn = collection.to_number(element.get("rotation") or 0)
        if turn is None:
            raise ValueError("its rotation is not a number")
        if not turn % 360:
            return corners, None, None
        return _turn(corners, turn), None, "a rotated box; the upright box around it is used"
    if element.tag == "polygon":
        flat = _read_points(element.get("points"))
        return collection.enclosing_box(flat), masks.make_from_polygons([flat]), None
    if element.tag == "mask":
        return _read_mask(element, size)
    if element.tag == "ellipse":
        x, y, across, down = _take(element, "cx", "cy", "rx", "ry")
        turn = math.radians(collection.to_number(element.get("rotation") or 0) or 0)
        angles = [2 * math.pi * step / _ELLIPSE_POINTS for step in range(_ELLIPSE_POINTS)]
        pairs = [(across * math.cos(angle), down * math.sin(angle)) for angle in angles]
        cosine, sine = math.cos(turn), math.sin(turn)
        flat = [v for a, d in pairs for v in (x + a * cosine - d * sine, y + a * sine + d * cosine)]
        return collection.enclosing_box(flat), masks.make_from_polygons([flat]), None
    raise ValueError("this kind of shape has no area, or none that LabelImg XML can hold")


def _take(element, *keys):
    numbers = [collection.to_number(element.get(key)) for key in keys]
    if None in numbers:
        raise ValueError(f"{', '.join(keys)} are not numbers")
    return tuple(numbers)


def _turn(corners, degrees):
    xmin, ymin, xmax, ymax = corners
    x, y, across, down = (xmin + xmax) / 2, (ymin + ymax) / 2, abs(xmax - xmin) / 2, abs(ymax - ymin) / 2
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    wide, high = across * cosine + down * sine, across * sine + down * cosine
    return x - wide, y - high, x + wide, y + high


def _read_points(text):
    pairs = [pair.split(",") for pair in (text or "").split(";")]
    numbers = [collection.to_number(value) for pair in pairs for value in pair]
    if any(len(pair) != 2 for pair in pairs) or None in numbers:
        raise ValueError("its points are not pairs of numbers")
    return numbers


def _read_mask(element, size):
    if None in size:
        raise ValueError("a mask needs the width and height of its image")
    left, top, width, height = map(int, _take(element, "left", "top", "width", "height"))
    texts = (element.get("rle") or "").split(",")
    if width < 1 or height < 1 or width * height > min(size[0] * size[1], image_decoding.MAX_PIXELS):
        raise ValueError(f"its mask has {width}x{height} pixels, more than the image")
    numbers = [collection.to_number(text) for text in texts]
    if None in numbers or min(numbers) < 0 or sum(numbers) != width * height:
        raise ValueError(f"the runs of its mask do not add up to {width}x{height} pixels")
    runs = np.asarray(numbers, np.int64)
    part = np.repeat((np.arange(len(runs)) % 2).astype(np.uint8), runs).reshape(
        height, width
    )  # row by row, background first
    mask = masks.make_from_part(part, top, left, size[1], size[0])
    area, bounds = masks.measure(mask, size[1], size[0])
    if not area:
        raise ValueError("its mask has no pixel in the image")
    return bounds, mask, None


def _group(shapes):
    """Lists of shapes that are one object each, in the order of their first ones."""
    members = counting.defaultdict(list)
    for shape in shapes:
        members[shape.group].append(shape)
    is_one = {
        key: sum(shape.is_box for shape in parts) < min(2, len(parts))
        for key, parts in members.items()
        if key is not None
    }
    made = []
    for shape in shapes:
        if not is_one.get(shape.group):
            made.append([shape])
        elif shape is members[shape.group][0]:
            made.append(members[shape.group])
    return made


def _join(parts, size):
    """Returns (one object of several parts, what is wrong with its mask or None)."""
    if len(parts) == 1:
        return parts[0], None
    drawn, box = [part for part in parts if not part.is_box], next((part for part in parts if part.is_box), None)
    first, mask, problem = box or parts[0], None, None
    corners = first.corners
    if box is None:
        corners = tuple(min(part.corners[side] for part in drawn) for side in (0, 1))
        corners += tuple(max(part.corners[side] for part in drawn) for side in (2, 3))
    try:
        mask = masks.unite([part.mask for part in drawn], size[1], size[0])
    except (TypeError, ValueError) as error:
        problem = str(error)
    flags = {key: any(part.flags[key] for part in parts) for key in ("difficult", "truncated")}
    return dataclasses.replace(first, corners=corners, mask=mask, flags=first.flags | flags), problem


def write_cvat(path, images, class_names):
    """Writes an XML file atomically.

    Args:
      path: the file; an existing one is replaced.
      images: iterable of (name, (width, height), boxes, scores); a box with a score is a suggestion.
      class_names: of all classes.
    """
    root = etree.Element("annotations")
    etree.SubElement(root, "version").text = "1.1"
    images = list(images)
    task = etree.SubElement(etree.SubElement(root, "meta"), "task")
    for tag, text in (("name", "tfodhelper"), ("size", str(len(images))), ("mode", "annotation")):
        etree.SubElement(task, tag).text = text
    labels = etree.SubElement(task, "labels")
    for class_name in class_names:
        label = etree.SubElement(labels, "label")
        etree.SubElement(label, "name").text = class_name
        attributes = etree.SubElement(label, "attributes")
        for attribute in _describe_attributes():
            own = etree.SubElement(attributes, "attribute")
            for key in ("name", "mutable", "input_type", "default_value"):
                etree.SubElement(own, key).text = str(attribute[key])
            etree.SubElement(own, "values").text = "\n".join(attribute["values"])
    for id_, (name, size, boxes, scores) in enumerate(images):
        sides = dict(zip(("width", "height"), map(str, size)))
        element = etree.SubElement(root, "image", id=str(id_), name=replace_invalid(name), **sides)
        groups = 0
        for box, score in zip(boxes, scores):
            groups += box.mask is not None
            _add_object(element, box, score, str(groups) if box.mask is not None else "0", size)
    etree.indent(root)
    data = etree.tostring(root, encoding="utf-8", xml_declaration=True)
    with storage.open_whole(path, "wb") as file:
        file.write(data + b"\n")


def _describe_attributes():
    return [
        {
            "name": name,
            "mutable": False,
            "input_type": kind,
            "default_value": default,
            "values": [default],
        }
        for name, kind, default in _ATTRIBUTES
    ]


def write_labels(path, class_names):
    """Writes labels.json, which CVAT's constructor of labels takes under "Raw"."""
    labels = [{"name": name, "attributes": _describe_attributes()} for name in class_names]
    storage.write_text(path, json.dumps(labels, ensure_ascii=False, indent=1) + "\n")


def _add_object(image, box, score, group, size):
    common = {"label": box.name, "source": "manual" if score is None else "auto", "occluded": "0", "z_order": "0"}
    common |= {} if group == "0" else {"group_id": group}
    corners = zip(("xtl", "ytl", "xbr", "ybr"), (box.xmin, box.ymin, box.xmax, box.ymax))
    element = etree.SubElement(image, "box", **common, **{key: format_number(value) for key, value in corners})
    values = {"difficult": box.difficult and "true", "truncated": box.truncated and "true"}
    values |= {"pose": box.pose if box.pose != "Unspecified" else None}
    values |= {"score": None if score is None else repr(float(score))}
    for key, value in values.items():
        if value:
            etree.SubElement(element, "attribute", name=key).text = value
    if box.mask is not None:
        _add_mask(image, box.mask, common, size)


def _add_mask(image, mask, common, size):
    if mask.is_polygons:
        for polygon in mask.polygons:
            pairs = zip(polygon[::2], polygon[1::2])
            points = ";".join(f"{format_number(x)},{format_number(y)}" for x, y in pairs)
            etree.SubElement(image, "polygon", **common, points=points)
        return
    area, bounds = masks.measure(mask, size[1], size[0])
    if not area:
        return
    left, top, right, bottom = map(int, bounds)
    flat = mask.to_array(size[1], size[0])[top:bottom, left:right].ravel() != 0
    breaks = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]])
    runs = np.diff(breaks).tolist()
    runs = [0, *runs] if flat[0] else runs
    window = {"left": left, "top": top, "width": right - left, "height": bottom - top}
    rle = ", ".join(map(str, runs))
    etree.SubElement(image, "mask", **common, rle=rle, **{key: str(value) for key, value in window.items()})
