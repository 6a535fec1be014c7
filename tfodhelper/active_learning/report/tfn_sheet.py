"""The T/F/N sheet: a model's answers for test images whose classes are known, with a row of cells for each class.

T is right, F is wrong, N is nothing found; of several detections, the highest score decides. The sheet needs no drawn
boxes, and shows at a glance for which classes a round of adopted boxes can be trusted.
"""

import collections
import dataclasses
import hashlib
import pathlib

from tfodhelper import console, errors, sheets, storage

RIGHT, WRONG, NOTHING, UNREAD = _MARKS = "T", "F", "N", "?"
HEADER = ("class", "name", "mark", "found", "score")
SUMMARY_HEADER = ("class", "images", "T", "F", "N", "unread", "right", "mostly_taken_for")
GROUP = 5  # cells between spaces
_SHEET_FILE = "tally.json"
_NAME_WIDTH = 24
_SCORE_DIGITS = 6


@dataclasses.dataclass(frozen=True)
class Cell:
    """One test image in the row of one of its classes.

    Attributes:
      name: of the image.
      mark: RIGHT, WRONG, NOTHING, or UNREAD for an image without a prediction.
      found: the class of the detection that decided, or "".
      score: of that detection, or None.
    """

    name: str
    mark: str
    found: str = ""
    score: float | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """All cells of a class.

    Attributes:
      label: the class.
      num_images: number of test images that show it; the cells may be a sample of them.
      cells: in the order of the images' names.
    """

    label: str
    num_images: int
    cells: tuple[Cell, ...]

    def count(self, mark):
        """Number of cells with a mark."""
        return sum(cell.mark == mark for cell in self.cells)

    @property
    def share(self):
        """Share of right cells, 0..1, among those that could be judged; None if there are none."""
        judged = len(self.cells) - self.count(UNREAD)
        return self.count(RIGHT) / judged if judged else None

    @property
    def mostly_taken_for(self):
        """The class that wrong cells name most often, or ""."""
        wrong = collections.Counter(cell.found for cell in self.cells if cell.mark == WRONG)
        return min(wrong, key=lambda name: (-wrong[name], name), default="")


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A filled-in sheet and what it describes.

    Attributes:
      rows: `Row`s by class name.
      round_number: of the round whose model made the predictions.
      test_dir: folder of the test images.
      score_threshold: a detection with a lower score counted as none.
    """

    rows: tuple[Row, ...]
    round_number: int
    test_dir: str
    score_threshold: float


def fill_sheet(predictions, images, per_class=20, seed=0, score_threshold=0.5):
    """Fills in the sheet.

    An image that shows several classes is in the row of each of them; there, detections of its other classes are
    ignored, because they are right and say nothing about the row's class.

    Args:
      predictions: iterable of `Prediction`s of the images, in any order; taken one by one.
      images: iterable of `PoolImage`s with their classes; an image that shows none of them is in no row.
      per_class: maximum number of cells per class; from more images, a sample is drawn at random, the same for the
        same seed.
      seed: of the draw.
      score_threshold: a detection with a lower score counts as none.

    Returns:
      tuple of `Row`s by class name.

    Raises:
      DatasetError: the classes of an image are unknown, a name occurs twice, or there is no image.
    """
    drawn, totals = _draw(images, per_class, seed)
    wanted = {name for known in drawn.values() for name in known}
    detections_of = {}
    for prediction in predictions:
        if prediction.name in wanted:
            kept = [detection for detection in prediction.found.detections if detection.score >= score_threshold]
            detections_of[prediction.name] = sorted(kept, key=lambda detection: -detection.score)
    return tuple(
        Row(
            label,
            totals[label],
            tuple(_judge(name, label, known[name], detections_of.get(name)) for name in sorted(known)),
        )
        for label, known in sorted(drawn.items())
    )


def _draw(images, per_class, seed):
    """({class: {image name: its classes}}, {class: number of images})."""
    totals, drawn, seen = collections.Counter(), collections.defaultdict(dict), set()
    for image in images:
        if image.classes is None:
            raise errors.DatasetError(
                f"{image.path}: its class is unknown",
                expected="a folder named after its class, or a line in the table of image labels",
                fix="remove the image, or add its class",
            )
        if image.name in seen:
            raise errors.DatasetError(f"{image.name}: the name occurs twice", fix="give each image its own name")
        seen.add(image.name)
        for label in set(image.classes):
            totals[label] += 1
            row = drawn[label]
            row[image.name] = (_key(seed, image.name), frozenset(image.classes))
            if len(row) > 2 * per_class:
                _shorten(row, per_class)
    if not totals:
        raise errors.DatasetError("there are no test images", expected="images whose classes are known")
    for row in drawn.values():
        _shorten(row, per_class)
    return {label: {name: known for name, (_, known) in row.items()} for label, row in drawn.items()}, totals


def _shorten(row, size):
    """Keeps only the entries with the smallest keys."""
    for name in sorted(row, key=lambda name: row[name][0])[size:]:
        del row[name]


def _key(seed, name):
    """Bytes that order images at random, whatever order they come in."""
    return hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=16).digest()


def _judge(name, label, classes, detections):
    if detections is None:
        return Cell(name, UNREAD)
    deciding = next(
        (detection for detection in detections if detection.name == label or detection.name not in classes), None
    )
    if deciding is None:
        return Cell(name, NOTHING)
    return Cell(name, RIGHT if deciding.name == label else WRONG, deciding.name, deciding.score)


def format_sheet(rows):
    """The sheet for the console: for each class, a line with its cells, its counts and the share that is right."""
    lines = [(_cut(row.label), _cells(row), *figures_of(row), _cut(row.mostly_taken_for)) for row in rows]
    every = join(rows)
    lines.append((every.label, "", *figures_of(every), ""))
    header = ("class", "cells", RIGHT, WRONG, NOTHING, UNREAD, "right", "mostly taken for")
    return console.format_table(header, lines, numbers=(2, 3, 4, 5, 6))


def join(rows):
    """A `Row` with the cells of all rows."""
    return Row("all cells", sum(row.num_images for row in rows), tuple(cell for row in rows for cell in row.cells))


def _cells(row):
    marks = "".join(cell.mark for cell in row.cells)
    return " ".join(marks[i : i + GROUP] for i in range(0, len(marks), GROUP))


def figures_of(row):
    """(T, F, N, unread, share of right cells as text)."""
    share = "-" if row.share is None else f"{row.share:.0%}"
    return (*(row.count(mark) for mark in _MARKS), share)


def _cut(name):
    return name if len(name) <= _NAME_WIDTH else name[: _NAME_WIDTH - 1] + "…"


def write_sheet(folder, sheet):
    """Writes tally.csv, one line per cell, tally_classes.csv, one line per class, and tally.json for `read_sheet`.

    Returns:
      The paths of both CSV files.
    """
    folder, rows = storage.make_folder(folder), sheet.rows
    cells = [
        (row.label, cell.name, cell.mark, cell.found, "" if cell.score is None else round(cell.score, _SCORE_DIGITS))
        for row in rows
        for cell in row.cells
    ]
    counts = [
        (row.label, row.num_images, *(row.count(mark) for mark in _MARKS))
        + ("" if row.share is None else round(row.share, _SCORE_DIGITS), row.mostly_taken_for)
        for row in rows
    ]
    sheets.write_csv(folder / "tally.csv", HEADER, cells)
    sheets.write_csv(folder / "tally_classes.csv", SUMMARY_HEADER, counts)
    storage.write_json(folder / _SHEET_FILE, dataclasses.asdict(sheet))
    return folder / "tally.csv", folder / "tally_classes.csv"


def read_sheet(folder):
    """Reads the `Sheet` that `write_sheet` wrote; None if there is none.

    Raises:
      StorageError: the file cannot be read or is malformed.
    """
    path = pathlib.Path(folder) / _SHEET_FILE
    if not path.exists():
        return None
    value = storage.read_json(path)
    try:
        rows = tuple(Row(**row | {"cells": tuple(Cell(**cell) for cell in row["cells"])}) for row in value["rows"])
        return Sheet(**value | {"rows": rows})
    except (KeyError, TypeError) as error:
        raise errors.StorageError(
            f"{path}: is not a T/F/N sheet ({type(error).__name__}: {error})",
            fix="delete it and write it again with `tfodhelper active report --test_dir=FOLDER`",
        ) from error
