"""Reads records back as images and annotations, from their bytes and without TensorFlow.

The features are those of the Object Detection API, whichever script wrote them. What a record declares about its image
is compared with the bytes, not trusted.
"""

import dataclasses
import os
import struct

from tfodhelper import errors, spelling
from tfodhelper.annotations import images
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.structures import Annotation, UnusableFile
from tfodhelper.fields import Record
from tfodhelper.formats import collection, record_masks
from tfodhelper.formats.collection import ListedImage
from tfodhelper.records import framing, reader, wire_format

_CORNERS = (Record.XMIN, Record.YMIN, Record.XMAX, Record.YMAX)


@dataclasses.dataclass(frozen=True)
class UnpackedRecord:
    """One record.

    Attributes:
      where: the file and the 1-based number of the record in it.
      data: the encoded image.
      facts: `ImageFacts` of it.
      listed: a `ListedImage` with its name, "" when that is missing, its size, and its boxes in pixels.
      class_ids: (class name, id) of each box that has both.
      unnamed: the class ids without a name, one for each box.
      class_texts: the class names as they are written, one for each box that has one.
      findings: problems with the record other than lost objects.
    """

    where: str
    data: bytes
    facts: images.ImageFacts
    listed: ListedImage
    class_ids: tuple[tuple[str, int], ...]
    unnamed: tuple[int, ...]
    class_texts: tuple[str, ...]
    findings: tuple[Finding, ...]


def list_filled(pattern):
    """The files of a pattern, which must contain at least one record.

    Raises:
      DatasetError: a file is missing, or there is no record.
    """
    paths = reader.list_shards(pattern)
    if not any(os.path.getsize(path) for path in paths):
        raise errors.DatasetError(
            f"{pattern}: the record files are empty",
            expected="at least one record",
            received=spelling.count(len(paths), "file"),
        )
    return paths


def read_records(paths, names=None):
    """Reads the records of files, one by one. A record that is damaged costs only itself.

    Args:
      paths: of the files.
      names: {class id: name} for records that contain only ids.

    Yields:
      An `UnpackedRecord` or, if the record or its image cannot be used, a `Finding`.

    Raises:
      DatasetError: a file does not begin with a record.
    """
    for path in paths:
        with open(path, "rb") as file:
            for number, (offset, length) in enumerate(_iterate_spans(path), start=1):
                where = f"{path}, record {number}"
                if isinstance(offset, Finding):
                    yield offset
                    continue
                file.seek(offset)
                data, footer = file.read(length), file.read(framing.FOOTER.size)
                if footer == framing.FOOTER.pack(framing.masked_crc(data)):
                    yield unpack(data, where, names or {})
                else:
                    problem = "its checksum does not match its content"
                    yield Finding("record-damaged", where, problem, fix="copy the file again from its source")


def _iterate_spans(path):
    """As `reader.iterate_spans`, but where the rest of a file cannot be read, (a `Finding`, None) is the last."""
    number = 0
    try:
        for span in reader.iterate_spans(path):
            number += 1
            yield span
    except errors.DatasetError as error:
        if not number:
            raise
        problem = f"this record and all that follow in the file cannot be read ({error.what})"
        yield Finding("record-damaged", f"{path}, record {number + 1}", problem, fix=error.fix), None


def unpack(data, where, names):
    """One record as an `UnpackedRecord`, or a `Finding` with the reason why not; see `read_records`."""
    try:
        features = parse_example(data)
    except (ValueError, IndexError, struct.error, UnicodeDecodeError) as error:
        return Finding("record-damaged", where, f"is not a tf.train.Example ({error})")
    encoded = _first(features, Record.ENCODED, b"")
    try:
        facts = images.inspect_image(encoded, where)
    except UnusableFile as error:
        return Finding(error.code, where, error.reason, None, error.expected, error.received, error.fix)
    numbers, boxes, lost, class_ids, unnamed = _read_boxes(features, facts, where, names)
    boxes, problems = record_masks.add_masks(features, facts, numbers, boxes, where)
    boxes, more = _add_weights(features, numbers, boxes, where)
    name = collection.to_posix(_text(_first(features, Record.FILENAME, b"")))
    annotation = Annotation(collection.base_name(name), facts.width, facts.height, tuple(boxes))
    listed = ListedImage(name, annotation, tuple(lost))
    findings = (*_check_head(features, facts, where), *problems, *more)
    texts = tuple(map(_text, features.get(Record.CLASS_TEXT, ())))
    return UnpackedRecord(where, encoded, facts, listed, tuple(class_ids), tuple(unnamed), texts, findings)


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
    """Returns (positions in the lists, boxes, findings about lost ones, (class name, id) pairs, ids without a name)."""
    columns = [features.get(key, []) for key in _CORNERS]
    count = len(columns[0])
    texts, ids = features.get(Record.CLASS_TEXT, []), features.get(Record.CLASS_LABEL, [])
    if any(len(column) != count for column in columns) or (len(texts) != count and len(ids) != count):
        corners = [len(column) for column in columns]
        lengths = f"{corners} corners, {spelling.count(len(texts), 'name')}, {spelling.count(len(ids), 'id')}"
        return (
            [],
            [],
            [Finding("entry-unusable", where, "its lists of boxes differ in length", received=lengths)],
            [],
            [],
        )
    positions, boxes, lost, class_ids, unnamed = [], [], [], [], []
    for number, corners in enumerate(zip(*columns)):
        id_ = ids[number] if len(ids) == count and isinstance(ids[number], int) else None
        text = collection.to_class_name(_text(texts[number])) if len(texts) == count else ""
        name = text or names.get(id_) or ("" if id_ is None else collection.unnamed_class(id_))
        box = _make_box(features, facts, number, name, corners) if name else None
        if box is None:
            code = "box-not-a-number" if name else "box-unnamed"
            lost.append(Finding(code, where, f"received {corners}", f"object {number + 1} ({name})"))
            continue
        positions.append(number)
        boxes.append(box)
        class_ids += [] if id_ is None else [(name, id_)]
        unnamed += [] if text or id_ in names else [id_]
    return positions, boxes, lost, class_ids, unnamed


def _add_weights(features, positions, boxes, where):
    """(boxes with their weights, as far as the record has any, findings); arguments as in `record_masks.add_masks`."""
    keys, made, findings = {"weight": Record.WEIGHT, "location_weight": Record.LOCATION_WEIGHT}, [], []
    for position, box in zip(positions, boxes):
        listed = {name: features.get(key, []) for name, key in keys.items()}
        entry = {name: values[position] for name, values in listed.items() if position < len(values)}
        weights, problems = collection.read_weights(entry, where, f"object {position + 1} ({box.name})")
        # Records have float32.
        made.append(dataclasses.replace(box, **{name: round(value, 6) for name, value in weights.items()}))
        findings += problems
    return made, findings


def _make_box(features, facts, number, name, corners):
    """The box in pixels, or None where a corner is not a number."""
    if None in map(collection.to_number, corners):
        return None
    pixels = [collection.snap(value * side) for value, side in zip(corners, 2 * (facts.width, facts.height))]
    flags = [_at(features, key, number) for key in (Record.DIFFICULT, Record.IS_CROWD, Record.TRUNCATED)]
    return collection.make_box(name, pixels, difficult=bool(flags[0] or flags[1]), truncated=bool(flags[2]))


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
