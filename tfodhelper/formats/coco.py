"""Reads and writes COCO's JSON for object detection ("instances").

A box is [x, y, width, height] in pixels from the top-left corner. Properties that exist in LabelImg but not in COCO
(difficult, truncated, pose, verified) are written under keys of these names, which other readers ignore, and read back.
"""

import json
import pathlib

from tfodhelper import errors, storage
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.formats import collection
from tfodhelper.formats.collection import Collection, ListedImage

_EXPECTED = '{"images": [...], "annotations": [...], "categories": [...]}'


def read_coco(path):
    """Reads a JSON file.

    Images without annotations are negatives: the file lists them explicitly, without objects.

    Args:
      path: the JSON file.

    Returns:
      A `Collection`. Class ids are those of the file, increased by one where they begin at 0.

    Raises:
      AnnotationError: the file cannot be read, or is not COCO JSON.
    """
    path = pathlib.Path(path)
    content = _load(path)
    names, class_ids, findings = _read_categories(content["categories"], path)
    boxes, more = _read_annotations(content, names, path)
    images = []
    for image in content["images"]:
        name = collection.to_posix(image.get("file_name") or "")
        if not name:
            more.append(
                Finding("entry-unusable", path.name, "an image without a file_name", f"image {image.get('id')!r}")
            )
            continue
        annotation = Annotation(
            filename=collection.base_name(name),
            width=collection.to_size(image.get("width")),
            height=collection.to_size(image.get("height")),
            boxes=tuple(boxes.get(_key(image.get("id")), ())),
            verified=image.get("verified") is True,
        )
        images.append(ListedImage(name, annotation))
    return Collection(tuple(images), class_ids, {}, tuple(findings + more))


def _load(path):
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise errors.AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
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
    """Returns ({id: name}, {name: id from 1}, findings)."""
    names, class_ids, findings = {}, {}, []
    ids = [entry.get("id") for entry in categories if isinstance(entry.get("id"), int)]
    shift = 1 - min([1, *ids])
    for entry in categories:
        id_, name = entry.get("id"), collection.to_class_name(entry.get("name") or "")
        if not isinstance(id_, int) or isinstance(id_, bool) or not name:
            findings.append(
                Finding("entry-unusable", path.name, "a category without an id or name", f"{str(entry)[:80]}")
            )
            continue
        if name in class_ids:
            problem = f"the ids {class_ids[name] - shift} and {id_} have this name; they become one class"
            findings.append(Finding("class-merged", path.name, problem, f"category {name!r}"))
        names[id_] = name
        class_ids.setdefault(name, id_ + shift)
    return names, class_ids, findings


def _read_annotations(content, names, path):
    """Returns ({image id: list of boxes}, findings)."""
    known = {_key(image.get("id")) for image in content["images"]}
    boxes, findings, num_details = {}, [], 0
    for entry in content["annotations"]:
        where = f"annotation {entry.get('id')!r}"
        image_id, name = _key(entry.get("image_id")), names.get(_key(entry.get("category_id")))
        corners, note = _read_box(entry)
        if image_id not in known:
            findings.append(
                Finding("entry-unusable", path.name, f"no image has the id {entry.get('image_id')!r}", where)
            )
        elif name is None:
            problem = f"no category has the id {entry.get('category_id')!r}"
            findings.append(Finding("box-unnamed", path.name, problem, where))
        elif corners is None:
            findings.append(Finding("box-not-a-number", path.name, note, where, "bbox [x, y, width, height]"))
        else:
            findings += [Finding("box-approximated", path.name, note, where)] if note else []
            crowd = entry.get("iscrowd") in (1, True)
            if crowd:
                problem = "a crowd becomes a difficult object, because LabelImg has no crowds"
                findings.append(Finding("crowd-as-difficult", path.name, problem, where))
            flags = {key: entry.get(key) in (1, True) for key in ("difficult", "truncated")}
            flags["difficult"] |= crowd
            pose = collection.to_class_name(entry.get("pose") or "") or "Unspecified"
            boxes.setdefault(image_id, []).append(Box(name, *corners, **flags, pose=pose))
            num_details += bool(entry.get("segmentation") or entry.get("keypoints"))
    if num_details:
        problem = f"outlines or key points of {num_details} objects are not imported, only their boxes"
        findings.append(Finding("detail-dropped", path.name, problem))
    return boxes, findings


def _key(value):
    """An id as a dictionary key: a number or a string; None for everything else."""
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


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
    return None, f"received {str(given)[:80]}"


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
            annotations.append(_to_entry(len(annotations) + 1, image_id, box, label_map))
    value = {
        "info": {"description": "written by tfodhelper"},
        "licenses": [],
        "images": listed,
        "annotations": annotations,
        "categories": [{"id": item.id, "name": item.name, "supercategory": ""} for item in label_map],
    }
    storage.write_text(path, json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def _to_entry(id_, image_id, box, label_map):
    plain = [int(v) if float(v).is_integer() else v for v in (box.xmin, box.ymin, box.width, box.height)]
    entry = {
        "id": id_,
        "image_id": image_id,
        "category_id": label_map.id_of(box.name),
        "bbox": plain,
        "area": box.width * box.height,
        "iscrowd": 0,
        "segmentation": [],
    }
    flags = {key: 1 for key in ("difficult", "truncated") if getattr(box, key)}
    return entry | flags | ({"pose": box.pose} if box.pose != "Unspecified" else {})
