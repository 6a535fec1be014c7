"""Reads records back as images and annotations, from their bytes and without TensorFlow.

The features are those of the Object Detection API, whichever script wrote them. What a record declares about its image
is compared with the bytes, not trusted.
"""

import dataclasses
import struct

from tfodhelper import errors
from tfodhelper.annotations import images
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.structures import Annotation, Box, UnusableFile
from tfodhelper.fields import Record
from tfodhelper.formats import collection
from tfodhelper.records import reader, wire_format

_CORNERS = (Record.XMIN, Record.YMIN, Record.XMAX, Record.YMAX)


@dataclasses.dataclass(frozen=True)
class UnpackedRecord:
    """One record.

    Attributes:
      where: the file and the 1-based number of the record in it.
      name: image/filename; "" when it is missing.
      data: the encoded image.
      facts: `ImageFacts` of it.
      annotation: its boxes in pixels and its size.
      findings: problems with the record.
    """

    where: str
    name: str
    data: bytes
    facts: images.ImageFacts
    annotation: Annotation
    findings: tuple[Finding, ...]


def read_records(pattern, names=None):
    """Reads the records of all files of a pattern, one by one.

    Args:
      pattern: see `reader.list_shards`.
      names: {class id: name} for records that contain only ids.

    Yields:
      An `UnpackedRecord` or, if its image cannot be used, a `Finding`.

    Raises:
      DatasetError: a file is missing, damaged, or contains other records.
    """
    for path in reader.list_shards(pattern):
        spans = reader.iterate_spans(path)
        with open(path, "rb") as file:
            for number, (offset, length) in enumerate(spans, start=1):
                file.seek(offset)
                yield unpack(file.read(length), f"{path}, record {number}", names or {})


def unpack(data, where, names):
    """One record as an `UnpackedRecord`, or a `Finding` with the reason why not; see `read_records`."""
    try:
        features = parse_example(data)
    except (ValueError, IndexError, struct.error, UnicodeDecodeError) as error:
        raise errors.DatasetError(
            f"{where}: is not a tf.train.Example ({error})", fix="check that the file is a record file"
        ) from None
    encoded = _first(features, Record.ENCODED, b"")
    try:
        facts = images.inspect_image(encoded, where)
    except UnusableFile as error:
        return Finding(error.code, where, error.reason, None, error.expected, error.received, error.fix)
    findings = _check_head(features, facts, where)
    boxes, more = _read_boxes(features, facts, where, names)
    name = collection.to_posix(_text(_first(features, Record.FILENAME, b"")))
    annotation = Annotation(collection.base_name(name), facts.width, facts.height, tuple(boxes))
    return UnpackedRecord(where, name, encoded, facts, annotation, tuple(findings + more))


def _check_head(features, facts, where):
    findings = []
    declared = _text(_first(features, Record.FORMAT, b"")).lower()
    if declared and {"jpg": "jpeg"}.get(declared, declared) != facts.format.lower():
        problem = "image/format does not match the bytes; readers that trust it fail"
        findings.append(Finding("record-format", where, problem, None, facts.format.lower(), declared))
    size = (_first(features, Record.WIDTH, 0), _first(features, Record.HEIGHT, 0))
    if size != (facts.width, facts.height):
        sizes = (f"{facts.width}x{facts.height}", f"{size[0]}x{size[1]}")
        findings.append(Finding("size-differs", where, "differs from the size of the image", None, *sizes))
    return findings


def _read_boxes(features, facts, where, names):
    columns = [features.get(key, []) for key in _CORNERS]
    count = len(columns[0])
    texts, ids = features.get(Record.CLASS_TEXT, []), features.get(Record.CLASS_LABEL, [])
    if any(len(column) != count for column in columns) or (len(texts) != count and len(ids) != count):
        lengths = f"{[len(column) for column in columns]} corners, {len(texts)} names, {len(ids)} ids"
        return [], [Finding("entry-unusable", where, "its lists of boxes differ in length", None, None, lengths)]
    boxes, findings = [], []
    for number, corners in enumerate(zip(*columns)):
        name = _text(texts[number]) if len(texts) == count else names.get(ids[number], f"class_{ids[number]}")
        name = collection.to_class_name(name)
        pixels = [value * side for value, side in zip(corners, 2 * (facts.width, facts.height))]
        if not name or None in map(collection.to_number, pixels):
            findings.append(Finding("box-not-a-number", where, f"received {corners}", f"object {number + 1} ({name})"))
            continue
        flags = [_at(features, key, number) for key in (Record.DIFFICULT, Record.IS_CROWD, Record.TRUNCATED)]
        boxes.append(Box(name, *map(collection.snap, pixels), bool(flags[0] or flags[1]), bool(flags[2])))
    return boxes, findings


def _first(features, key, default):
    values = features.get(key)
    return values[0] if values and isinstance(values[0], type(default)) else default


def _at(features, key, number):
    values = features.get(key, [])
    return values[number] if number < len(values) else 0


def _text(data):
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)


def parse_example(data):
    """{name: list of bytes, floats or ints} of a serialized tf.train.Example.

    Raises:
      ValueError, IndexError, struct.error, UnicodeDecodeError: the data is not an Example.
    """
    features = {}
    for number, _, content in _iterate_fields(data):
        if number != 1:
            continue
        for _, _, entry in _iterate_fields(content):
            parts = {number: value for number, _, value in _iterate_fields(entry)}
            name = _check_bytes(parts.get(1, b"")).decode("utf-8")
            features[name] = _parse_feature(parts.get(2, b""))
    return features


def _parse_feature(data):
    """The values of a Feature: field 1 is a list of bytes, 2 of floats, 3 of int64."""
    values = []
    for kind, _, content in _iterate_fields(data):
        for _, wire, value in _iterate_fields(content):
            if kind == 1:
                values.append(_check_bytes(value))
            elif kind == 2:
                values += struct.unpack(f"<{len(_check_bytes(value)) // 4}f", value)
            elif wire == wire_format.VARINT:
                values.append(_to_signed(value))
            else:
                values += map(_to_signed, wire_format.read_varints(value, 0, len(value)))
    return values


def _check_bytes(value):
    if not isinstance(value, bytes):
        raise ValueError("a number in place of text or a message")
    return value


def _to_signed(value):
    return value - (1 << 64) if value >= 1 << 63 else value


def _iterate_fields(data):
    """Yields (field number, wire type, value) of a message; the value is bytes, or an int for a varint."""
    _check_bytes(data)
    for number, wire, start, end in wire_format.iterate_fields(data, 0, len(data)):
        yield number, wire, wire_format.read_varint(data, start)[0] if wire == wire_format.VARINT else data[start:end]
