"""The labels of a serialized tf.train.Example: classes and corners of its boxes, and which of them have masks.

The encoded image and the masks, nearly all of a record, are skipped. TensorFlow is not needed.
"""

import struct
import typing

from tfodhelper import errors
from tfodhelper.fields import Record
from tfodhelper.records import framing, wire_format

CORNERS = (Record.YMIN, Record.XMIN, Record.YMAX, Record.XMAX)

_BYTES, _FLOATS, _INTEGERS = 1, 2, 3  # fields of tf.train.Feature
_KINDS = {_BYTES: "bytes", _FLOATS: "floating-point numbers", _INTEGERS: "whole numbers"}
_WANTED = {
    key.encode(): (key, kind)
    for key, kind in (
        (Record.FILENAME, _BYTES),
        (Record.CLASS_TEXT, _BYTES),
        (Record.CLASS_LABEL, _INTEGERS),
        (Record.MASK_WEIGHT, _FLOATS),
        *((key, _FLOATS) for key in CORNERS),
    )
}
_MASK = Record.MASK.encode()
PNG, NUMERICAL = "PNG_MASKS", "NUMERICAL_MASKS"  # how a record keeps masks, as `InputReader.mask_type` calls it
_MASK_KINDS = {_BYTES: PNG, _FLOATS: NUMERICAL}
UNREADABLE = (ValueError, IndexError, struct.error)  # what `read_labels` raises
_FIX = "convert the images again, or copy the file again"


class Labels(typing.NamedTuple):
    """What a record says of its boxes.

    Attributes:
      filename: image/filename; "" when it is missing.
      names: class names; empty if the record has none.
      ids: class ids, from 1; empty if the record has none, or names of which there are more or fewer.
      corners: for each box (ymin, xmin, ymax, xmax), normalized to the image.
      has_mask: for each box; empty if the record has no masks.
      mask_type: `PNG` or `NUMERICAL`; "" if the record has no masks.
    """

    filename: str
    names: tuple[str, ...]
    ids: tuple[int, ...]
    corners: tuple[tuple[float, float, float, float], ...]
    has_mask: tuple[bool, ...] = ()
    mask_type: str = ""


def read_labels(data, start, end):
    """Reads the labels of one record.

    Args:
      data: bytes, or a map of a file.
      start, end: of the serialized tf.train.Example in them.

    Returns:
      `Labels`.

    Raises:
      `UNREADABLE`: it is not an Example, its features have other types, or its lists of boxes
        differ in length.
    """
    values = dict(_iterate_values(data, start, end))
    columns = [values.get(key, ()) for key in CORNERS]
    names, ids = values.get(Record.CLASS_TEXT, ()), values.get(Record.CLASS_LABEL, ())
    count = len(columns[0])
    if names and len(ids) != count:
        ids = ()
    if {*map(len, columns), len(names) or count, len(ids) or count} != {count}:
        lengths = ", ".join(str(len(column)) for column in columns)
        raise ValueError(f"its lists differ in length: corners {lengths}, names {len(names)}, ids {len(ids)}")
    filename, mask_type = values.get(Record.FILENAME, ()), values.get(Record.MASK, "")
    weights = values.get(Record.MASK_WEIGHT) or [1.0] * count
    if mask_type and len(weights) != count:
        raise ValueError(f"its lists differ in length: corners {count}, weights of masks {len(weights)}")
    return Labels(
        _text(filename[0]) if filename else "",
        tuple(map(_text, names)),
        tuple(ids),
        tuple(zip(*columns, strict=True)),
        tuple(weight > 0.0 for weight in weights) if mask_type else (),
        mask_type,
    )


def explain(path, number, data, span, error):
    """Why a record cannot be read: its content has changed since it was written, or it is another kind of record.

    Args:
      path: of the record file.
      number: of the record, from 0.
      data: the content of the file: bytes, or a map of it.
      span: (offset, length) of the record's content, see `reader.iterate_spans`.
      error: what `read_labels` raised.

    Returns:
      A `DatasetError` that names file and record.
    """
    offset, length = span
    content = bytes(data[offset : offset + length])
    (stored,) = framing.FOOTER.unpack(data[offset + length : offset + length + framing.FOOTER.size])
    if framing.masked_crc(content) != stored:
        return explain_damage(path, number)
    return errors.DatasetError(
        f"{path}: record {number} (from 0) cannot be used: {error}",
        expected="a tf.train.Example with the features of the Object Detection API",
        fix=_FIX,
    )


def explain_damage(path, number):
    """A `DatasetError` for a record whose content does not fit its checksum."""
    return errors.DatasetError(
        f"{path}: record {number} (from 0) is damaged: its content does not fit its checksum",
        expected="the bytes that were written",
        fix=_FIX,
    )


def _text(value):
    return value.decode("utf-8", "replace")


def _iterate_values(data, start, end):
    """Yields (name, list of values) of the features that are wanted."""
    for number, _, low, high in wire_format.iterate_fields(data, start, end):
        if number != 1:
            continue
        for entry, _, entry_low, entry_high in wire_format.iterate_fields(data, low, high):
            if entry == 1:
                yield from _read_entry(data, entry_low, entry_high)


def _read_entry(data, start, end):
    """Yields (name, values) of one entry of the map of features, if it is wanted."""
    parts = {number: (low, high) for number, _, low, high in wire_format.iterate_fields(data, start, end)}
    key_low, key_high = parts.get(1, (0, 0))
    key = bytes(data[key_low:key_high])
    wanted = _WANTED.get(key)
    if key == _MASK and 2 in parts:
        yield Record.MASK, _find_mask_type(data, *parts[2])
    elif wanted and 2 in parts:
        yield wanted[0], _read_feature(data, *parts[2], *wanted)


def _find_mask_type(data, start, end):
    """How a tf.train.Feature keeps masks; "" if it has none."""
    for kind, _, low, high in wire_format.iterate_fields(data, start, end):
        if kind not in _MASK_KINDS:
            raise ValueError(f"{Record.MASK} holds {_KINDS.get(kind, 'something else')} instead of PNGs or numbers")
        if high > low:
            return _MASK_KINDS[kind]
    return ""


def _read_feature(data, start, end, key, wanted):
    """The values of a tf.train.Feature, which must be of one kind."""
    values = []
    for kind, _, low, high in wire_format.iterate_fields(data, start, end):
        for number, _, a, b in wire_format.iterate_fields(data, low, high):
            if number != 1:
                continue
            if kind != wanted:
                raise ValueError(f"{key} holds {_KINDS.get(kind, 'something else')} instead of {_KINDS[wanted]}")
            values += _READERS[kind](data, a, b)
    return values


def _read_integers(data, start, end):
    return [value - (1 << 64) if value >> 63 else value for value in wire_format.read_varints(data, start, end)]


_READERS = {
    _BYTES: lambda data, start, end: (bytes(data[start:end]),),
    _FLOATS: lambda data, start, end: struct.unpack(f"<{(end - start) // 4}f", data[start:end]),
    _INTEGERS: _read_integers,
}
