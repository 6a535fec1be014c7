"""Reads and writes COCO's JSON for object detection ("instances").

A box is [x, y, width, height] in pixels from the top-left corner. A mask is a list of polygons, or a run-length code,
compressed or not; polygons stay polygons in both directions, run-length codes are written compressed. Properties that
exist in LabelImg but not in COCO (difficult, truncated, pose, verified) are written under keys of these names, which
other readers ignore, and read back.
"""

import dataclasses
import json
import pathlib

from tfodhelper import errors, limits, spelling, storage
from tfodhelper.annotations import mask_files, masks, weight_files
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.structures import Annotation
from tfodhelper.formats import collection
from tfodhelper.formats.collection import Collection, ListedImage

_BBOX = "bbox [x, y, width, height]"
_EXPECTED = '{"images": [...], "annotations": [...], "categories": [...]}'


def read_coco(path):
    """Reads a JSON file.

    Images without annotations are negatives: the file lists them explicitly, without objects. An id that several images
    share says of none of them whose its annotations are, so that these images are left out.

    Args:
      path: the JSON file.

    Returns:
      A `Collection`; class ids are those of the file.

    Raises:
      AnnotationError: the file cannot be read, or is not COCO JSON.
    """
    path = pathlib.Path(path)
    content = _load(path)
    names_of, findings = _read_categories(content["categories"], path)
    images_of, more = _read_images(content["images"], path)
    objects, details = _read_annotations(content["annotations"], names_of, images_of, path)
    images = []
    for id_, entries in images_of.items():
        boxes, lost = objects.get(id_, ((), ()))
        names = sorted({name for name, _ in entries})
        if len(names) > 1 and (boxes or lost):
            more += _report_shared_id(path, id_, names, len(boxes) + len(lost))
        else:
            images += [_make_image(name, entry, boxes, lost) for name, entry in entries]
    class_ids = {}
    for id_, names in names_of.items():
        class_ids.setdefault(names[0], id_)
    return Collection(tuple(images), class_ids, {}, (*findings, *more, *details))


def _make_image(name, entry, boxes, lost):
    annotation = Annotation(
        filename=collection.base_name(name),
        width=collection.to_size(entry.get("width")),
        height=collection.to_size(entry.get("height")),
        boxes=tuple(boxes),
        verified=entry.get("verified") is True,
    )
    return ListedImage(name, annotation, tuple(lost))


def _report_shared_id(path, id_, names, num_objects):
    problem = (
        f"{len(names)} images have the id {id_!r}, so that it is unknown whose its annotations ({num_objects}) are"
    )
    fix = f"give each image in {path.name} an id of its own"
    return [Finding("image-id-shared", name, problem, fix=fix) for name in names]


def _load(path):
    try:
        content = limits.parse_json(path.read_bytes())
    except OSError as error:
        raise errors.AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise errors.AnnotationError(f"{path}: is not JSON: {error}", expected=_EXPECTED) from None
    if not isinstance(content, dict):
        raise errors.AnnotationError(f"{path}: is not COCO JSON", expected=_EXPECTED, received=type(content).__name__)
    for key in ("images", "annotations", "categories"):
        value = content.get(key)
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            fix = "import a file with annotations; files of results (a bare list) or of test sets have none"
            received = f"{key}: {type(value).__name__}" if key in content else f"no {key!r}"
            raise errors.AnnotationError(
                f"{path}: is not COCO JSON with boxes", expected=_EXPECTED, received=received, fix=fix
            )
    return content


def _read_categories(categories, path):
    """Returns ({id: names}, findings); a correct file has one name per id."""
    names_of, ids, findings = {}, {}, []
    for entry in categories:
        id_, name = collection.to_id(entry.get("id")), collection.to_class_name(entry.get("name") or "")
        if id_ is None or not name:
            problem = "a category without an id or name"
            findings.append(Finding("entry-unusable", path.name, problem, f"{str(entry)[:80]}"))
            continue
        findings += collection.report_changed({str(entry["name"]): 1}, path.name)
        names = names_of.setdefault(id_, [])
        if name in names:
            continue
        names.append(name)
        if name in ids:
            problem = f"the ids {ids[name]} and {id_} have this name; they become one class"
            findings.append(Finding("class-merged", path.name, problem, f"category {name!r}"))
        ids.setdefault(name, id_)
    return names_of, findings


def _read_images(images, path):
    """Returns ({id: list of (name, entry)}, findings); a correct file has one image per id."""
    images_of, findings = {}, []
    for entry in images:
        name, id_ = collection.to_posix(entry.get("file_name") or ""), collection.to_id(entry.get("id"))
        if name and id_ is not None:
            images_of.setdefault(id_, []).append((name, entry))
        else:
            problem = "an image without a file_name" if not name else "an image without an id"
            findings.append(Finding("image-unlisted", path.name, problem, f"image {name or entry.get('id')!r}"))
    return images_of, findings


def _read_annotations(annotations, names_of, images_of, path):
    """Returns ({image id: (list of boxes, list of findings about lost objects)}, other findings)."""
    objects, findings, num_details = {}, [], 0
    for entry in annotations:
        where = f"annotation {entry.get('id')!r}"
        image_id = collection.to_id(entry.get("image_id"))
        if image_id not in images_of:
            problem = f"no image has the id {entry.get('image_id')!r}"
            findings.append(Finding("entry-unusable", path.name, problem, where))
            continue
        boxes, lost = objects.setdefault(image_id, ([], []))
        box, notes = _read_object(entry, names_of, path, where)
        if box is None:
            lost += notes
        else:
            boxes.append(box)
            findings += notes
            num_details += bool(entry.get("keypoints"))
    if num_details:
        problem = f"key points of {spelling.count(num_details, 'object')} are not imported"
        findings.append(Finding("detail-dropped", path.name, problem))
    return objects, findings


def _read_object(entry, names_of, path, where):
    """Returns (a box, or None if it is lost; findings)."""
    names = names_of.get(collection.to_id(entry.get("category_id")), ())
    if len(names) != 1:
        problem = f"the category id has the names {', '.join(names)}" if names else "no category has this id"
        return None, [Finding("box-unnamed", path.name, problem, where, received=repr(entry.get("category_id")))]
    corners, note = _read_box(entry)
    is_crowd = entry.get("iscrowd") in (1, True)
    flags = {key: entry.get(key) in (1, True) for key in ("difficult", "truncated")}
    flags["difficult"] |= is_crowd
    pose = collection.to_class_name(entry.get("pose") or "") or "Unspecified"
    box = None if corners is None else collection.make_box(names[0], corners, **flags, pose=pose)
    if box is None:
        received = note or str(entry.get("bbox"))[:80]
        return None, [Finding("box-not-a-number", path.name, "a corner is not a number", where, _BBOX, received)]
    findings = [Finding("box-approximated", path.name, note, where)] if note else []
    weights, more = collection.read_weights(entry, path.name, where)
    box, findings = dataclasses.replace(box, **weights), findings + more
    mask, more = _read_mask(entry.get("segmentation"), path, where)
    box, findings = dataclasses.replace(box, mask=mask), findings + more
    if is_crowd:
        problem = "a crowd becomes a difficult object, because LabelImg has no crowds"
        findings.append(Finding("crowd-as-difficult", path.name, problem, where))
    return box, findings


def _read_mask(segmentation, path, where):
    """Returns (a `masks.Mask` or None, findings)."""
    if not segmentation:
        return None, []
    expected = "polygons [[x1, y1, x2, y2, x3, y3, ...], ...], or {size: [height, width], counts: ...}"
    try:
        if isinstance(segmentation, list):
            if not all(isinstance(polygon, list) for polygon in segmentation):
                raise ValueError("an outline is not a list of polygons")
            return masks.make_from_polygons(segmentation), []
        size = segmentation.get("size") if isinstance(segmentation, dict) else None
        if not isinstance(size, list) or len(size) != 2:
            raise ValueError("it is neither a list of polygons nor a run-length code with its size")
        return masks.make_from_counts(*size, segmentation.get("counts")), []
    except ValueError as error:
        return None, [Finding("mask-unusable", path.name, str(error), where, expected)]


def _read_box(entry):
    """Returns (corners or None, a note or None)."""
    given = entry.get("bbox")
    numbers = [collection.to_number(value) for value in given] if isinstance(given, list) else []
    if len(numbers) == 4 and None not in numbers:
        x, y, width, height = numbers
        return (x, y, x + width, y + height), None
    polygons = entry.get("segmentation")
    if not numbers and isinstance(polygons, list):
        rings = [ring for ring in polygons if isinstance(ring, list)]
        points = [collection.to_number(value) for ring in rings for value in ring]
        if len(points) >= 4 and None not in points and all(len(ring) % 2 == 0 for ring in rings):
            return collection.enclosing_box(points), "no bbox; the bounding box of the outline is used"
    if not numbers and isinstance(polygons, dict):
        mask, _ = _read_mask(polygons, pathlib.Path(), "")
        bounds = mask and masks.measure(mask, mask.height, mask.width)[1]
        if bounds:
            return bounds, "no bbox; the bounding box of the mask is used"
    return None, str(given)[:80]


def write_coco(path, images, label_map):
    """Writes a JSON file atomically.

    Args:
      path: the file; an existing one is replaced.
      images: iterable of `ListedImage`s whose annotations have sizes.
      label_map: a `LabelMap` with all of their classes.
    """
    listed, annotations = [], []
    for image_id, image in enumerate(images, start=1):
        annotation = image.annotation
        entry = {"id": image_id, "file_name": image.name, "width": annotation.width, "height": annotation.height}
        listed.append(entry | ({"verified": True} if annotation.verified else {}))
        for box in annotation.boxes:
            annotations.append(_to_entry(len(annotations) + 1, image_id, box, annotation, label_map))
    value = {
        "info": {"description": "written by tfodhelper"},
        "licenses": [],
        "images": listed,
        "annotations": annotations,
        "categories": [{"id": item.id, "name": item.name, "supercategory": ""} for item in label_map],
    }
    storage.write_text(path, json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def _to_entry(id_, image_id, box, annotation, label_map):
    plain = [int(v) if float(v).is_integer() else v for v in (box.xmin, box.ymin, box.width, box.height)]
    mask, area, segmentation = box.mask, box.width * box.height, []
    if mask is not None:
        segmentation = [list(polygon) for polygon in mask.polygons] or mask_files.to_json(mask)
        area, _ = masks.measure(mask, annotation.height, annotation.width)
    entry = {
        "id": id_,
        "image_id": image_id,
        "category_id": label_map.id_of(box.name),
        "bbox": plain,
        "area": area,
        "iscrowd": 0,
        "segmentation": segmentation,
    }
    flags = {key: 1 for key in ("difficult", "truncated") if getattr(box, key)}
    flags |= weight_files.to_json(box)
    return entry | flags | ({"pose": box.pose} if box.pose != "Unspecified" else {})
