"""The table of boxes that `convert` writes, one line per box: filename,width,height,class,xmin,ymin,xmax,ymax.

It is the table that the usual xml_to_csv scripts write. Columns are found by name, in any order. A line with a file
name but neither class nor corners represents an image without objects.
"""

import collections
import csv
import io
import pathlib

from tfodhelper import errors, storage
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.labelimg import CORNERS, format_number
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.formats import collection
from tfodhelper.formats.collection import Collection, ListedImage

HEADER = ("filename", "width", "height", "class", *CORNERS)
_FLAGS = ("difficult", "truncated")  # read if the table has them
_COLUMNS = (*HEADER, *_FLAGS)


def read_table(path):
    """Reads a CSV file.

    Args:
      path: UTF-8 text, with columns separated by commas, semicolons or tabs.

    Returns:
      A `Collection`.

    Raises:
      AnnotationError: the file cannot be read, or a column is missing or occurs twice.
    """
    path = pathlib.Path(path)
    images, sizes, findings, names = {}, {}, [], collections.Counter()
    for number, row in _read_rows(path):
        where = f"line {number}"
        problem = _find_problem(row)
        if problem:
            findings.append(Finding("entry-unusable", path.name, problem, where))
            continue
        name = collection.to_posix(row["filename"])
        boxes, lost = images.setdefault(name, ([], []))
        size = tuple(collection.to_size(row.get(key) or "") for key in ("width", "height"))
        if sizes.setdefault(name, size) != size:
            problem = f"{name}: the size differs from that in a previous line"
            findings.append(Finding("size-conflict", path.name, problem, where, str(sizes[name]), str(size)))
        texts = [(row.get(key) or "").strip() for key in ("class", *CORNERS)]
        if any(texts):
            box = _read_box(row, texts, path, where)
            (boxes if isinstance(box, Box) else lost).append(box)
            names[row["class"]] += isinstance(box, Box)
    listed = [
        ListedImage(name, Annotation(collection.base_name(name), *sizes[name], boxes=tuple(boxes)), tuple(lost))
        for name, (boxes, lost) in images.items()
    ]
    findings += collection.report_changed(+names, path.name)
    return Collection(tuple(listed), findings=tuple(findings))


def _find_problem(row):
    """Why it is unknown which image a row is about, or None."""
    if None in row:  # the key of cells without a column
        return "has more cells than the table has columns; a cell with a comma must be in quotation marks"
    if any("\n" in (row.get(key) or "") for key in _COLUMNS):
        return "a cell contains a line break; a quotation mark is not closed"
    return None if (row["filename"] or "").strip() else "has no filename"


def _read_rows(path):
    """Yields (line number, {column: text})."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise errors.AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise errors.AnnotationError(f"{path}: is not UTF-8 text: {error}", fix="save it as CSV UTF-8") from None
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows.fieldnames = [name.strip().lower() for name in rows.fieldnames or ()]
        _check_columns(path, rows.fieldnames, head)
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise errors.AnnotationError(f"{path}, line {rows.line_num}: cannot be read as CSV: {error}") from None


def _check_columns(path, columns, head):
    missing = [name for name in ("filename", "class", *CORNERS) if name not in columns]
    repeated = [name for name in _COLUMNS if columns.count(name) > 1]
    if missing or repeated:
        problem = f"no column {', '.join(missing)}" if missing else f"several columns are called {', '.join(repeated)}"
        raise errors.AnnotationError(
            f"{path}: is not a table of boxes: {problem}",
            expected=",".join(HEADER),
            received=head.strip()[:200],
            fix="rename the columns" if missing else "rename or remove the columns that are not meant",
        )


def _read_box(row, texts, path, where):
    """Returns a `Box`, or the `Finding` why there is none."""
    corners = [collection.to_number(text) for text in texts[1:]]
    if None in corners:
        received = ", ".join(f"{tag} {text!r}" for tag, text in zip(CORNERS, texts[1:]))
        return Finding("box-not-a-number", path.name, "a corner is not a number", where, "numbers", received)
    if not collection.to_class_name(texts[0]):
        return Finding("box-unnamed", path.name, "has no class", where)
    flags = {key: bool(collection.to_number((row.get(key) or "").strip())) for key in _FLAGS}
    return Box(collection.to_class_name(texts[0]), *corners, **flags)


def write_table(path, images, with_empty=False):
    """Writes a CSV file atomically.

    Args:
      path: the file; an existing one is replaced.
      images: iterable of `ListedImage`s.
      with_empty: whether to write a line, without class and corners, for an image without boxes.
    """
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(HEADER)
    for image in images:
        head = (image.name, image.annotation.width or "", image.annotation.height or "")
        for box in image.annotation.boxes:
            lines.writerow((*head, box.name, *(format_number(getattr(box, tag)) for tag in CORNERS)))
        if with_empty and not image.annotation.boxes:
            lines.writerow((*head, *[""] * 5))
    storage.write_text(path, text.getvalue())
