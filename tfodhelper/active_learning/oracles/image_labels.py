"""The classes that images are known to show, from the folders that they lie in or from a CSV file.

What is not clear is left open rather than guessed: an image without a label asks nobody for anything.
"""

import collections
import csv
import os
import pathlib
import posixpath

from tfodhelper import console, errors

FOLDER = "folder"
BETWEEN = "|"  # of classes in one cell
MAX_BYTES = 1 << 30  # of a CSV file; a million images are about 60 MB

_IMAGE_COLUMNS = ("image", "filename", "file", "path", "name", "image_name", "image_path")
_CLASS_COLUMNS = ("classes", "class", "labels", "label", "category")
_SHOWN = 3


def read_image_labels(source, images):
    """Reads the classes of images.

    Args:
      source: "folder", when images lie in a folder called by their class, or the path of a CSV file with a column
        `image` (a path, the relative path, the name or the stem) and a column `classes` (or `class`) with `|` between
        several; other columns do not count.
      images: objects with `name`, a relative POSIX path, and `path`, the file.

    Returns:
      {image name: tuple of classes}, sorted and without those of which nothing clear is said. What is left open, and
      why, is said on the console.

    Raises:
      DatasetError: a CSV file that cannot be read, or a source that says nothing about any of the images.
    """
    images = list(images)
    found, notes = _from_folders(images) if str(source) == FOLDER else _from_csv(pathlib.Path(source), images)
    for note in notes:
        console.warn(note)
    return found


def check_source(source):
    """Raises DatasetError for a CSV file that cannot be read; for the rest of it the images must be known."""
    if str(source) != FOLDER:
        _read_rows(pathlib.Path(source))


def _from_folders(images):
    """The class is the folder that the image lies in."""
    found, loose = {}, []
    for image in images:
        folder = posixpath.basename(posixpath.dirname(image.name))
        if folder:
            found[image.name] = (folder,)
        else:
            loose.append(image.name)
    if images and not found:
        raise errors.DatasetError(
            "none of the images lies in a folder of its class",
            expected="CLASS/IMAGE in the folder that was named",
            received=loose[0],
            fix="sort the images into folders called by their classes, or name a CSV file",
        )
    what = "images lie in no folder of a class, and nothing is known of them"
    return found, [_count(loose, what)] if loose else []


def _from_csv(path, images):
    rows = _read_rows(path)
    lookup = _Lookup(images)
    said, unknown, unclear, empty = collections.defaultdict(dict), [], [], []
    for number, entry, classes in rows:
        names = lookup.find(entry)
        if not names:
            unknown.append(entry)
        elif len(names) > 1:
            unclear.append(f"{entry} (line {number}: {' or '.join(names[:2])})")
        elif not classes:
            empty.append(f"{entry} (line {number})")
        else:
            said[names[0]].setdefault(classes, number)
    if not said:
        raise errors.DatasetError(
            f"{path}: says nothing about any of the {len(images)} images",
            expected="names of images, for instance " + ", ".join(image.name for image in images[:2]),
            received=f"{len(rows)} rows" + (f", the first is {rows[0][1]!r}" if rows else ""),
            fix="name the file that belongs to these images",
        )
    found = {name: next(iter(versions)) for name, versions in said.items() if len(versions) == 1}
    contradicted = [_contradiction(name, versions) for name, versions in said.items() if len(versions) > 1]
    silent = [image.name for image in images if image.name not in said]
    notes = [
        (unknown, "rows name images that are not in the folder"),
        (unclear, "rows fit several images, and count for none; write the path inside the folder"),
        (empty, "rows name no class, and say nothing"),
        (contradicted, "images have rows that contradict each other, and count as unknown; write a|b for two classes"),
        (silent, "images of the folder are not in the list, and nothing is known of them"),
    ]
    return found, [f"{path}: {_count(which, what)}" for which, what in notes if which]


def _count(which, what):
    more = ", ..." if len(which) > _SHOWN else ""
    return f"{len(which)} {what}: {', '.join(which[:_SHOWN])}{more}"


def _contradiction(name, versions):
    return f"{name} (" + ", ".join(f"line {number}: {BETWEEN.join(v)}" for v, number in versions.items()) + ")"


def _read_rows(path):
    """[(line, image as it stands there, sorted classes)]."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise errors.DatasetError(f"{path}: too large for a list", expected=f"at most {MAX_BYTES >> 20} MB")
        with open(path, encoding="utf-8-sig", newline="") as file:
            delimiter = _find_delimiter(file.readline())
            file.seek(0)
            lines = csv.reader(file, delimiter=delimiter)
            image_column, class_column = _find_columns(path, next(lines, []))
            return [_parse_row(path, lines.line_num, row, image_column, class_column) for row in lines if any(row)]
    except OSError as error:
        raise errors.DatasetError(
            f"{path}: cannot be read ({error.strerror})",
            expected=f"a CSV file with the columns image and classes, or {FOLDER}",
        ) from error
    except UnicodeDecodeError as error:
        raise errors.DatasetError(f"{path}: is not UTF-8 text ({error})", fix="save it as UTF-8") from error
    except csv.Error as error:
        raise errors.DatasetError(f"{path}: is no CSV file ({error})") from error


def _find_delimiter(line):
    return max(",;\t", key=line.count)


def _find_columns(path, header):
    """Positions of the columns of images and of classes."""
    plain = [cell.strip().casefold() for cell in header]
    image = next((plain.index(name) for name in _IMAGE_COLUMNS if name in plain), None)
    classes = next((plain.index(name) for name in _CLASS_COLUMNS if name in plain), None)
    if image is None or classes is None:
        raise errors.DatasetError(
            f"{path}: lacks a column",
            expected="a first line with `image` and `classes` (or `class`)",
            received=", ".join(header) or "an empty file",
            fix="name the columns in the first line",
        )
    return image, classes


def _parse_row(path, number, row, image_column, class_column):
    if len(row) <= max(image_column, class_column):
        raise errors.DatasetError(
            f"{path}, line {number}: has too few columns",
            expected=f"at least {max(image_column, class_column) + 1}",
            received=f"{len(row)}: {row[0][:80]}",
        )
    classes = {name.strip() for name in row[class_column].split(BETWEEN)} - {""}
    return number, row[image_column].strip(), tuple(sorted(classes))


class _Lookup:
    """Finds images by what a list calls them: exact before loose, the longest name before the shortest."""

    def __init__(self, images):
        self._paths = {os.path.realpath(image.path): image.name for image in images}
        self._names = {image.name: image.name for image in images}
        self._stems, self._places = collections.defaultdict(list), collections.defaultdict(list)
        for image in images:
            self._places[os.path.splitext(image.name)[0]].append(image.name)
            base = posixpath.basename(image.name)
            for key in {base, os.path.splitext(base)[0]}:
                self._stems[key].append(image.name)

    def find(self, entry):
        """Names of the images that fit."""
        entry = posixpath.normpath(entry.replace("\\", "/")) if entry else ""
        if entry in self._names:
            return [entry]
        if entry.startswith("/") and os.path.realpath(entry) in self._paths:
            return [self._paths[os.path.realpath(entry)]]
        return self._places.get(entry) or self._find_by_end(entry)

    def _find_by_end(self, entry):
        """By name or stem; folders in front tell apart those that are called alike, as far as they agree."""
        folder, base = posixpath.split(entry)
        found = self._stems.get(base, [])
        if len(found) > 1 and folder:
            parts = folder.split("/")
            shared = {name: _shared_tail(parts, posixpath.dirname(name).split("/")) for name in found}
            best = max(shared.values())
            return [name for name in found if best and shared[name] == best]
        return found


def _shared_tail(first, second):
    return len(os.path.commonprefix([first[::-1], second[::-1]]))
