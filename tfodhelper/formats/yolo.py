"""YOLO's text labels: a file an image, a line a box: class index from 0, centre, width and height as fractions.

Class names stand elsewhere: in data.yaml (`names`), or in a classes.txt. LabelImg writes a classes.txt over the one of
the folder, with the labels of its session, so that such a list alone is not to be trusted.
"""

import pathlib

import yaml

from tfodhelper import errors
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.structures import Box, SkippedObject
from tfodhelper.formats import collection

MAX_BYTES = 8 << 20  # of a text of labels or names
_EXPECTED = "class_index x_center y_center width height, the last four as fractions of the image"


def read_text(path):
    """The text of a file of labels or names.

    Raises:
      AnnotationError: it cannot be read, is too large, or is not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise errors.AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        raise errors.AnnotationError(f"{path}: too large", expected=f"at most {MAX_BYTES >> 20} MB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.AnnotationError(f"{path}: is not UTF-8 text: {error}") from None


def looks_like_labels(text):
    """Whether each line begins with a class index and goes on with at least four numbers."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    return bool(rows) and all(
        len(row) >= 5 and row[0].isdecimal() and None not in map(collection.to_number, row) for row in rows
    )


def parse_labels(text, names, width, height):
    """Reads the labels of one image.

    Args:
      text: the content of the label file.
      names: list of class names.
      width, height: pixels of the image; the frame that the fractions refer to.

    Returns:
      (list of `Box`es, list of `SkippedObject`s, number of outlines that became the boxes around them).
    """
    boxes, skipped, num_outlines = [], [], 0
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
            what = f"class index {fields[0]}, and there are {len(names)} names"
            skipped.append(SkippedObject("box-unnamed", where, what))
            continue
        corners = _to_corners(values[1:], is_outline)
        num_outlines += is_outline
        pixels = [collection.snap(value * side) for value, side in zip(corners, (width, height, width, height))]
        boxes.append(Box(names[index], *pixels))
    return boxes, skipped, num_outlines


def _to_corners(values, is_outline):
    """Fractions xmin, ymin, xmax, ymax; a sixth column is a score, and does not count."""
    if is_outline:
        return collection.enclosing_box(values)
    x, y, width, height = values[:4]
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def format_labels(annotation, index_of):
    """The text of a label file.

    Args:
      annotation: with a size.
      index_of: {class name: index from 0}.
    """
    lines = []
    for box in annotation.boxes:
        x, y = (box.xmin + box.xmax) / 2 / annotation.width, (box.ymin + box.ymax) / 2 / annotation.height
        width, height = box.width / annotation.width, box.height / annotation.height
        lines.append(" ".join([str(index_of[box.name]), *(f"{value:.10g}" for value in (x, y, width, height))]))
    return "".join(line + "\n" for line in lines)


def read_names(path):
    """Class names from a data.yaml or a list with a name a line.

    Returns:
      (list of names, the other content of the YAML file or {}, findings).

    Raises:
      AnnotationError: it cannot be read, or has no names.
    """
    path = pathlib.Path(path)
    text = read_text(path)
    if path.suffix.lower() not in (".yaml", ".yml"):
        names = [collection.to_class_name(line) for line in text.splitlines()]
        while names and not names[-1]:
            names.pop()
        what = "the names come from a list alone, which LabelImg overwrites with the labels of its session"
        fix = "compare the counts of the classes with what you know; a data.yaml with `names` is better"
        return _check_names(names, path), {}, [Finding("names-uncertain", path.name, what, fix=fix)]
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise errors.AnnotationError(f"{path}: is no YAML: {error}") from None
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict) and all(isinstance(key, int) and key >= 0 for key in names):
        size = max(names, default=-1) + 1
        if size > 100 * (len(names) + 1):
            raise errors.AnnotationError(f"{path}: names leave out nearly all indices", received=f"up to {size - 1}")
        names = [names.get(index, f"class_{index}") for index in range(size)]
    if not isinstance(names, list):
        raise errors.AnnotationError(f"{path}: has no names", expected="names: [cat, dog] or names: {0: cat, 1: dog}")
    return _check_names([collection.to_class_name(name) for name in names], path), content, []


def _check_names(names, path):
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or not all(names) or repeated:
        received = f"{repeated[0]!r} twice" if repeated else "an empty one" if names else "none"
        raise errors.AnnotationError(
            f"{path}: the class names cannot be used", expected="a name each", received=received
        )
    return names


def format_data(names, folders):
    """The text of a data.yaml.

    Args:
      names: of the classes, by their indices from 0.
      folders: {"train", "val" or "test": folder of the images, relative to that of the file}.
    """
    return yaml.safe_dump(folders | {"names": dict(enumerate(names))}, allow_unicode=True, sort_keys=False)
