"""The classes that images are known to show, from their folders or from a CSV file.

What is unclear is left open rather than guessed: an image without a label is merely not adopted.
"""

import collections
import csv
import os
import pathlib
import posixpath

from tfodhelper import console, errors, spelling

FOLDER = "folder"
BETWEEN = "|"  # separates classes in one cell
MAX_BYTES = 1 << 30  # of a CSV file; a million images are about 60 MB

_IMAGE_COLUMNS = ("image", "filename", "file", "path", "name", "image_name", "image_path")
_CLASS_COLUMNS = ("classes", "class", "labels", "label", "category")
_SHOWN = 3


def read_image_labels(source, images):
    """Reads the classes of images.

    Args:
      source: "folder", if each image is in a folder named after its class, or the path of a CSV file with a column
        `image` (a path, the relative path, the name or the stem) and a column `classes` (or `class`) with `|` between
        several; other columns are ignored.
      images: objects with `name`, a relative POSIX path, and `path`, the file.

    Returns:
      {image name: sorted tuple of classes}, without the images whose classes are unclear. What is left open, and why,
      is printed.

    Raises:
      DatasetError: the CSV file cannot be read, or the source does not mention any of the images.
    """
    images = list(images)
    classes_of, notes = _from_folders(images) if str(source) == FOLDER else _from_csv(pathlib.Path(source), images)
    for note in notes:
        console.warn(note)
    return classes_of


def check_source(source):
    """Raises DatasetError for a CSV file that cannot be read; all other checks need the images."""
    if str(source) != FOLDER:
        _read_rows(pathlib.Path(source))


def _from_folders(images):
    """The class is the name of the image's folder."""
    classes_of, loose = {}, []
    for image in images:
        folder = posixpath.basename(posixpath.dirname(image.name))
        if folder:
            classes_of[image.name] = (folder,)
        else:
            loose.append(image.name)
    if images and not classes_of:
        raise errors.DatasetError(
            "none of the images is in a folder named after its class",
            expected="CLASS/IMAGE in the given folder",
            received=loose[0],
            fix="sort the images into folders named after their classes, or use a CSV file",
        )
    text = ("image is not in a class folder, so its class is", "images are not in a class folder, so their classes are")
    return classes_of, [_count(loose, *(f"{words} unknown" for words in text))] if loose else []


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
            f"{path}: does not mention any of the {spelling.count(len(images), 'image')}",
            expected="image names such as " + ", ".join(image.name for image in images[:2]),
            received=f"{spelling.count(len(rows), 'row')}" + (f", the first is {rows[0][1]!r}" if rows else ""),
            fix="use the file that belongs to these images",
        )
    classes_of = {name: next(iter(versions)) for name, versions in said.items() if len(versions) == 1}
    contradicted = [_contradiction(name, versions) for name, versions in said.items() if len(versions) > 1]
    silent = [image.name for image in images if image.name not in said]
    notes = [
        (unknown, "row names an image", "rows name images", "not in the folder"),
        (unclear, "row is", "rows are", "ignored, because several images fit; write the path relative to the folder"),
        (empty, "row is", "rows are", "ignored, because there is no class"),
        (contradicted, "image has", "images have", "contradictory rows and no known class; write a|b for two classes"),
        (silent, "image of the folder is", "images of the folder are", "not in the list and of unknown class"),
    ]
    return classes_of, [
        f"{path}: {_count(entries, f'{singular} {text}', f'{plural} {text}')}"
        for entries, singular, plural, text in notes
        if entries
    ]


def _count(entries, singular, plural):
    more = ", ..." if len(entries) > _SHOWN else ""
    return f"{spelling.count(len(entries), singular, plural)}: {', '.join(entries[:_SHOWN])}{more}"


def _contradiction(name, versions):
    return f"{name} (" + ", ".join(f"line {number}: {BETWEEN.join(v)}" for v, number in versions.items()) + ")"


def _read_rows(path):
    """[(line number, image as written, sorted classes)]."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise errors.DatasetError(f"{path}: the file is too large", expected=f"at most {MAX_BYTES >> 20} MB")
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
        raise errors.DatasetError(f"{path}: is not a CSV file ({error})") from error


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
    """Finds images by their names in a list: exact matches before loose ones, longer names before shorter ones."""

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
        """By name or stem; among images with the same name, the one whose folders agree best with the entry's."""
        folder, base = posixpath.split(entry)
        candidates = self._stems.get(base, [])
        if len(candidates) > 1 and folder:
            parts = folder.split("/")
            shared = {name: _shared_tail(parts, posixpath.dirname(name).split("/")) for name in candidates}
            best = max(shared.values())
            return [name for name in candidates if best and shared[name] == best]
        return candidates


def _shared_tail(first, second):
    return len(os.path.commonprefix([first[::-1], second[::-1]]))
