"""COCO's JSON of object detection ("instances"), read and written.

A box is [x, y, width, height] in pixels from the top-left corner. What LabelImg knows and COCO does not (difficult,
truncated, pose, verified) is written under keys of that name, which other readers pass over, and read back.
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

    Images without annotations are negatives: the file lists them, and says that nothing is on them.

    Args:
      path: the JSON file.

    Returns:
      A `Collection`. Ids of classes are those of the file, or one more where it begins at 0.

    Raises:
      AnnotationError: it cannot be read, or is no such JSON.
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
                Finding("entry-unusable", path.name, "an image without file_name", f"image {image.get('id')!r}")
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
        raise errors.AnnotationError(f"{path}: is no JSON: {error}", expected=_EXPECTED) from None
    if not isinstance(content, dict):
        raise errors.AnnotationError(f"{path}: is no COCO JSON", expected=_EXPECTED, received=type(content).__name__)
    for key in ("images", "annotations", "categories"):
        value = content.get(key)
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            fix = "a file of results (a bare list) or of a test set has no annotations to import"
            received = f"{key}: {type(value).__name__}" if key in content else f"no {key!r}"
            raise errors.AnnotationError(
                f"{path}: is no COCO JSON with boxes", expected=_EXPECTED, received=received, fix=fix
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
            findings.append(Finding("entry-unusable", path.name, "a category without id or name", f"{str(entry)[:80]}"))
            continue
        if name in class_ids:
            what = f"the name stands for the ids {class_ids[name] - shift} and {id_}; they become one class"
            findings.append(Finding("class-merged", path.name, what, f"category {name!r}"))
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
            what = f"no category has the id {entry.get('category_id')!r}"
            findings.append(Finding("box-unnamed", path.name, what, where))
        elif corners is None:
            findings.append(Finding("box-not-a-number", path.name, note, where, "bbox [x, y, width, height]"))
        else:
            findings += [Finding("box-approximated", path.name, note, where)] if note else []
            crowd = entry.get("iscrowd") in (1, True)
            if crowd:
                what = "a crowd becomes a difficult object: LabelImg knows no crowds"
                findings.append(Finding("crowd-as-difficult", path.name, what, where))
            flags = {key: entry.get(key) in (1, True) for key in ("difficult", "truncated")}
            flags["difficult"] |= crowd
            pose = collection.to_class_name(entry.get("pose") or "") or "Unspecified"
            boxes.setdefault(image_id, []).append(Box(name, *corners, **flags, pose=pose))
            num_details += bool(entry.get("segmentation") or entry.get("keypoints"))
    if num_details:
        what = f"outlines or key points of {num_details} objects are not taken over, only their boxes"
        findings.append(Finding("detail-dropped", path.name, what))
    return boxes, findings


def _key(value):
    """An id as a key: numbers and texts; everything else is None."""
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
            return collection.enclosing_box(points), "no bbox; the box around its outline is used"
    return None, f"received {str(given)[:80]}"


def write_coco(path, images, label_map):
    """Writes a JSON file, whole or not at all.

    Args:
      path: the file; an existing one is replaced.
      images: iterable of `ListedImage`s whose annotations have sizes.
      label_map: `LabelMap` with all of their classes.
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
