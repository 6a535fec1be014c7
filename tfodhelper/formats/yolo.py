"""YOLO's text labels: one file per image, one line per box: 0-based class index, centre, width and height as fractions.

A line with an outline (class index, then x and y of its points as fractions) is a box with a mask.

Class names are in a separate file: data.yaml (`names`) or classes.txt. LabelImg overwrites the classes.txt of a folder
with the labels of its session, so that such a list alone cannot be trusted.
"""

import collections
import dataclasses
import itertools
import pathlib
import re

import yaml

from tfodhelper import errors, limits, spelling
from tfodhelper.annotations import masks
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.structures import SkippedObject
from tfodhelper.formats import collection, yaml_text

MAX_BYTES = 8 << 20  # of a file with labels or names
_SHOWN_DIGITS = 20
_INDEX = re.compile("[0-9]{1,9}")
_EXPECTED = "class_index x_center y_center width height, the last four as fractions of the image"


def read_text(path, most=MAX_BYTES):
    """The text of a file with labels or names, of at most `most` bytes.

    Raises:
      AnnotationError: the file cannot be read, is too large, or is not UTF-8.
    """
    try:
        return limits.read_text(path, errors.AnnotationError, most)
    except OSError as error:
        raise errors.AnnotationError(f"{path}: cannot be read ({error.strerror})") from error


def looks_like_labels(text):
    """Whether each line is a class index followed by at least four numbers."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    return bool(rows) and all(
        len(row) >= 5 and row[0].isdecimal() and None not in map(collection.to_number, row) for row in rows
    )


def parse_labels(text, names, width, height):
    """Parses the labels of one image.

    Args:
      text: the content of the label file.
      names: the class names, by index; None for an index without a name, which is then called class_INDEX.
      width, height: pixels of the image; the frame that the fractions refer to.

    Returns:
      (list of `Box`es, those of outlines with masks; list of `SkippedObject`s).
    """
    boxes, skipped = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        where = f"line {number}"
        values = [collection.to_number(field) for field in fields]
        is_outline = len(fields) >= 7 and len(fields) % 2 == 1
        if None in values or not (len(fields) in (5, 6) or is_outline):
            skipped.append(SkippedObject("box-not-a-number", where, f"expected {_EXPECTED}; received {line[:80]!r}"))
            continue
        index = int(values[0])
        if index != values[0] or not 0 <= index < len(names):
            problem = f"class index {fields[0]}, but there are only {spelling.count(len(names), 'class name')}"
            skipped.append(SkippedObject("box-unnamed", where, problem))
            continue
        corners = _to_corners(values[1:], is_outline)
        pixels = [collection.snap(value * side) for value, side in zip(corners, (width, height, width, height))]
        box = collection.make_box(names[index] or collection.unnamed_class(index), pixels)
        if box is None:
            problem = f"the box is too large for numbers; received {line[:80]!r}"
            skipped.append(SkippedObject("box-not-a-number", where, problem))
            continue
        boxes.append(dataclasses.replace(box, mask=_make_mask(values[1:], width, height)) if is_outline else box)
    return boxes, skipped


def _make_mask(values, width, height):
    """The mask of an outline in fractions of the image; None if it is beyond all images."""
    points = [collection.snap(value * side) for value, side in zip(values, itertools.cycle((width, height)))]
    try:
        return masks.make_from_polygons([points])
    except ValueError:
        return None


def _to_corners(values, is_outline):
    """Fractions xmin, ymin, xmax, ymax; a sixth column is a score, which is ignored."""
    if is_outline:
        return collection.enclosing_box(values)
    x, y, width, height = values[:4]
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def format_labels(annotation, index_of):
    """The text of a label file.

    Args:
      annotation: an `Annotation` with a size.
      index_of: {class name: 0-based index}.
    """
    lines = []
    for box in annotation.boxes:
        x, y = (box.xmin + box.xmax) / 2 / annotation.width, (box.ymin + box.ymax) / 2 / annotation.height
        width, height = box.width / annotation.width, box.height / annotation.height
        lines.append(" ".join([str(index_of[box.name]), *(f"{value:.10g}" for value in (x, y, width, height))]))
    return "".join(line + "\n" for line in lines)


def read_names(path):
    """Reads class names from a data.yaml, or from a list with one name per line.

    Returns:
      (list of names, in which None is an index without a name; content of the YAML file or {}; findings).

    Raises:
      AnnotationError: the file cannot be read, or has no names.
    """
    path = pathlib.Path(path)
    text = read_text(path, limits.MAX_TEXT_BYTES)
    if path.suffix.lower() not in (".yaml", ".yml"):
        names = [collection.to_class_name(line) for line in text.splitlines()]
        while names and not names[-1]:
            names.pop()
        problem = "the class names come from a list, which LabelImg overwrites with the labels of its session"
        fix = "check that the class counts are plausible, or provide a data.yaml with `names`"
        return _check_names(names, path), {}, [Finding("names-uncertain", path.name, problem, fix=fix)]
    content = yaml_text.parse(text, path)
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict) and all(isinstance(key, str) and re.fullmatch("[0-9]+", key) for key in names):
        for key in names:
            if not _INDEX.fullmatch(key):
                shown = key if len(key) <= _SHOWN_DIGITS else f"{key[:_SHOWN_DIGITS]}..."
                raise errors.AnnotationError(
                    f"{path}: names are missing for nearly all indices", received=f"up to {shown}"
                )
        names = {int(key): name for key, name in names.items()}
        size = max(names, default=-1) + 1
        if size > 100 * (len(names) + 1):
            raise errors.AnnotationError(
                f"{path}: names are missing for nearly all indices", received=f"up to {size - 1}"
            )
        names = [names.get(index) for index in range(size)]
    if not isinstance(names, list):
        raise errors.AnnotationError(
            f"{path}: has no class names", expected="names: [cat, dog] or names: {0: cat, 1: dog}"
        )
    changed = collection.report_changed(collections.Counter(str(name) for name in names if name), path.name)
    names = [None if name is None else collection.to_class_name(name) for name in names]
    return _check_names(names, path), content, [*changed, *_check_count(content, names, path)]


def _check_count(content, names, path):
    """A finding if `nc`, which older files have beside the names, is another number."""
    count = content.get("nc")
    if not isinstance(count, str) or not _INDEX.fullmatch(count) or int(count) == len(names):
        return []
    fix = "correct the names or nc"
    problem = f"nc is {count}, but it has {spelling.count(len(names), 'name')}"
    return [Finding("names-uncertain", path.name, problem, fix=fix)]


def _check_names(names, path):
    limits.check_class_count(len(names), path)
    filled = (collection.unnamed_class(index) if name is None else name for index, name in enumerate(names))
    counts = collections.Counter(filled)
    repeated = sorted(name for name, count in counts.items() if count > 1)
    if not counts or "" in counts or repeated:
        received = f"{repeated[0]!r} twice" if repeated else "an empty name" if names else "none"
        raise errors.AnnotationError(
            f"{path}: the class names are invalid",
            expected=f"a distinct name for each class, of at most {limits.MAX_NAME} characters",
            received=received,
        )
    return names


def format_data(names, folders):
    """The text of a data.yaml.

    Args:
      names: the class names, by 0-based index.
      folders: {"train", "val" or "test": folder of the images, relative to the file's folder}.
    """
    return yaml.safe_dump(folders | {"names": dict(enumerate(names))}, allow_unicode=True, sort_keys=False)
