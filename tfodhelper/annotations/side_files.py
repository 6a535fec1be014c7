"""Files next to LabelImg XML with what it cannot hold: `a.xml` has `a.masks.json` and `a.weights.json`.

LabelImg neither reads nor writes them, and it saves boxes in an order of its own. So such a file names the box of each
of its objects, and what it says belongs to the object whose box has the same corners, within a pixel, because LabelImg
saves whole pixels.
"""

import errno
import os
import pathlib

import numpy as np

from tfodhelper import limits, storage, user_files
from tfodhelper.annotations import masks
from tfodhelper.annotations.structures import UnusableFile

MAX_BYTES = 64 << 20
_SAME_PX = 1.0
_ABSENT = (errno.ENOENT, errno.ENAMETOOLONG)  # no file can have too long a name


def path_of(xml_path, ending):
    """The path of the file of an annotation file, as text."""
    return os.path.splitext(os.fspath(xml_path))[0] + ending


def read_bytes(path, content):
    """(bytes, `os.fstat`) of a file; None if there is none.

    Args:
      path: the file.
      content: "masks" or "weights", for the code of the problem and its words.

    Raises:
      UnusableFile: the file cannot be read, or is too large.
    """
    try:
        data, status = user_files.read_bytes(path, MAX_BYTES)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise UnusableFile(f"{content}-unreadable", path, f"cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        problem, expected = f"is too large for the {content} of an image", f"at most {MAX_BYTES >> 20} MB"
        raise UnusableFile(f"{content}-unreadable", path, problem, expected=expected)
    return data, status


def parse_objects(data, path, content, version, parse_object, *, expected, fix):
    """Reads the frame of a file: its version, and objects that name their boxes.

    Args:
      data: the bytes.
      path: their source, for messages.
      content: as for `read_bytes`.
      version: the one that is read.
      parse_object: (entry, name, corners) -> object; a ValueError says what is wrong with an entry.
      expected, fix: for messages.

    Returns:
      (the whole as a dict, the objects).

    Raises:
      UnusableFile: it is not such a file.
    """

    def refuse(problem):
        return UnusableFile(f"{content}-unreadable", path, problem, expected=expected, fix=fix)

    try:
        whole = limits.parse_json(data)
    except ValueError as error:
        raise refuse(f"is not JSON: {error}") from None
    listed = whole.get("objects") if isinstance(whole, dict) else None
    if not isinstance(listed, list) or whole.get("version") != version:
        raise refuse(f"does not contain {content} of version {version}")
    objects = []
    for number, entry in enumerate(listed, start=1):
        try:
            objects.append(parse_object(entry, *_parse_box(entry)))
        except ValueError as error:
            raise refuse(f"object {number}: {error}") from None
    return whole, objects


def _parse_box(entry):
    """(class name, corners) of an entry."""
    if not isinstance(entry, dict):
        raise ValueError("is not an object of JSON")
    corners = entry.get("bndbox")
    is_box = isinstance(corners, list) and len(corners) == 4
    if not is_box or not all(masks.is_coordinate(value) for value in corners):
        raise ValueError("bndbox is not four numbers of pixels")
    return str(entry.get("name", "")), tuple(map(float, corners))


def find_boxes(boxes, stored, is_same_class=False):
    """Finds the box of each stored object; no box is taken twice.

    Args:
      boxes: tuples that begin with class name, xmin, ymin, xmax, ymax.
      stored: objects with `name` and `corners` (xmin, ymin, xmax, ymax).
      is_same_class: whether a box of another class, one that was renamed, is another object.

    Returns:
      For each stored object the index of its box, or None.
    """
    corners_of = np.array([box[1:5] for box in boxes], np.float64).reshape(-1, 4)
    is_free, indices = np.ones(len(boxes), bool), [None] * len(stored)
    # Boxes at the very place come first: another one, a pixel beside it, would take it from them.
    for tolerance, is_exact in ((0.0, True), (_SAME_PX, is_same_class)):
        for number, each in enumerate(stored):
            if indices[number] is not None:
                continue
            distances = np.abs(corners_of - each.corners).max(axis=1)
            near = np.flatnonzero(is_free & (distances <= tolerance)).tolist()
            near = [i for i in near if boxes[i][0] == each.name or not is_exact]
            # A box of the same class before one that was renamed; equal boxes are taken in order.
            best = min(near, key=lambda i: (boxes[i][0] != each.name, distances[i], i), default=None)
            if best is not None:
                is_free[best] = False
                indices[number] = best
    return indices


def write(path, text):
    """Writes a file, or, without a text, removes that of an earlier annotation.

    Raises:
      StorageError: the file cannot be written.
    """
    if text is not None:
        storage.write_text(path, text)
        return
    path = pathlib.Path(path)
    try:
        path.unlink()
    except OSError as error:
        if error.errno not in _ABSENT:
            raise storage.explain_os_error(error, path) from error


def describe(corners):
    """Corners (xmin, ymin, xmax, ymax) as a short text, for messages."""
    return "{:g}, {:g}, {:g}, {:g}".format(*corners)


def plain(value):
    """12 for 12.0; other floats as they are."""
    return int(value) if float(value).is_integer() else value
