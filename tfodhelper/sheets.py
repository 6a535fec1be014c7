"""Tables as CSV files that people open in a spreadsheet program.

Such a program runs a cell that begins like a formula: a class named `=cmd|...` would start a program on the reader's
machine. A text that begins with =, +, - or @, after blanks or after a character that may separate cells, gets an
apostrophe in front of it, which spreadsheet programs take for "this is text". Numbers stay numbers. `read_csv` takes
the apostrophes away again.

Annotations in CSV (`formats.box_table`) are not written by this module: other programs read them, and names must come
back as they are.
"""

import contextlib
import csv
import re

from tfodhelper import errors, storage

_FORMULA = "=+\\-@\uff1d\uff0b\uff0d\uff20"  # with the full-width forms, which some programs treat alike
_UNSAFE = re.compile(f"(^|[;,\t\r\n])(\\s*'*)(?=[{_FORMULA}])")
_NEUTRALIZED = re.compile(f"(^|[;,\t\r\n])(\\s*'*)'(?=[{_FORMULA}])")


def write_csv(path, header, rows):
    """Writes a table atomically.

    Args:
      path: the file; an existing one is replaced.
      header: names of the columns.
      rows: iterable of rows; None and undefined numbers (the mean of nothing) are empty cells.

    Raises:
      StorageError: it cannot be written.
    """
    with open_csv(path, header) as add_row:
        for row in rows:
            add_row(row)


@contextlib.contextmanager
def open_csv(path, header):
    """Opens a table for writing row by row; the file appears when the block ends.

    Yields:
      A function that adds a row; see `write_csv`.
    """
    with storage.open_whole(path) as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow([to_cell(name) for name in header])
        yield lambda row: lines.writerow([to_cell(value) for value in row])


def read_csv(path, columns=(), is_neutralized=True):
    """Yields the rows of a table, as dicts of texts.

    Args:
      path: the file.
      columns: names of the columns that it must have.
      is_neutralized: whether `write_csv` wrote it; otherwise its cells are taken as they stand.

    Raises:
      StorageError: the file cannot be read.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            restore = to_text if is_neutralized else str
            rows = csv.DictReader(file, restval="")
            missing = [name for name in columns if name not in map(restore, rows.fieldnames or ())]
            if missing:
                raise errors.StorageError(f"{path}: is damaged: no column {', '.join(missing)}", fix="restore the file")
            for row in rows:
                yield {restore(key): restore(cell) for key, cell in row.items() if key is not None}
    except OSError as error:
        raise errors.StorageError(f"{path}: cannot be read ({error.strerror})") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise errors.StorageError(f"{path}: cannot be read as a table ({error})") from error


def to_cell(value):
    """What is written for a value: the text of a formula is neutralized, numbers stay."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if not isinstance(value, str) or _is_number(value) or value == "-":
        return value
    return _UNSAFE.sub(r"\1\2'", value)


def to_text(cell):
    """The inverse of `to_cell` for texts."""
    return _NEUTRALIZED.sub(r"\1\2", cell)


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
