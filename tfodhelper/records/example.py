"""One annotated image as a serialized tf.train.Example.

Feature names are those of the Object Detection API; its decoder and that of the Model Garden can read the result. The
latter parses `image/source_id` as a number, and the former trusts `image/format`.

This module implements the small part of protobuf's wire format that an Example needs, so that a conversion does not
have to import TensorFlow; the bytes equal TensorFlow's own deterministic serialization. Parts that recur in many
records (class names, flags, the lengths before lists of numbers) are cached.
"""

import functools
import struct

from tfodhelper.annotations import masks
from tfodhelper.fields import Record
from tfodhelper.records import mask_png

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3  # fields of tf.train.Feature
_CACHED = 1024
_PLAIN = 8  # fields of a box without mask and weights


def make_example(boxes, width, height, encoded, format, source_id, sha256, label_map, filename):
    """The bytes of a tf.train.Example.

    Args:
      boxes: tuples of the fields of `structures.Box`, in pixels, with positive area and inside the encoded image; a
        ninth value is a mask, see `masks.pack`, or None, and two more are the weights.
      width, height: of the encoded image, pixels.
      encoded: bytes, JPEG or PNG.
      format: "jpeg" or "png", matching the content.
      source_id: an integer that is unique in the dataset.
      sha256: hex digest of `encoded`.
      label_map: a `LabelMap` with all classes of the boxes.
      filename: value of `image/filename`.

    Returns:
      The bytes, with the features of `fields.Record`; boxes are normalized to the image. If an object has a mask, all
      have: one without gets an empty one, and the weight 0. The area of an object is that of its mask, if it has one.
      Factors of the weights for the corners are only there if one is not 1.
    """
    columns = zip(*[box[:_PLAIN] for box in boxes]) if boxes else ((),) * _PLAIN
    names, xmin, ymin, xmax, ymax, difficult, truncated, poses = columns
    areas = [(c - a) * (d - b) for a, b, c, d in zip(xmin, ymin, xmax, ymax)]
    pictures, mask_weights, (weights, location_weights) = [], [], _weights_of(boxes)
    if any(len(box) > _PLAIN and box[_PLAIN] is not None for box in boxes):
        areas, pictures, mask_weights = _draw_masks(boxes, areas, width, height)
    ids = tuple([label_map.id_of(name) for name in names])
    number = len(boxes)
    content = b"".join(  # sorted by feature name
        (
            *_bytes(Record.ENCODED, encoded),
            *_bytes(Record.FILENAME, filename.encode("utf-8")),
            _texts(Record.FORMAT, (format,)),
            _ints(Record.HEIGHT, (height,)),
            *_bytes(Record.KEY, sha256.encode("ascii")),
            *_floats(Record.AREA, areas),
            *(_floats(Record.LOCATION_WEIGHT, location_weights) if location_weights else ()),
            *_floats(Record.XMAX, [value / width for value in xmax]),
            *_floats(Record.XMIN, [value / width for value in xmin]),
            *_floats(Record.YMAX, [value / height for value in ymax]),
            *_floats(Record.YMIN, [value / height for value in ymin]),
            _ints(Record.CLASS_LABEL, ids),
            _texts(Record.CLASS_TEXT, tuple([label_map.name_of(id) for id in ids])),
            _ints(Record.DIFFICULT, difficult),
            _ints(Record.IS_CROWD, (0,) * number),
            *(_blobs(Record.MASK, pictures) if pictures else ()),
            *(_floats(Record.MASK_WEIGHT, mask_weights) if pictures else ()),
            _ints(Record.TRUNCATED, truncated),
            _texts(Record.VIEW, poses),
            *(_floats(Record.WEIGHT, weights) if weights else (_ones(Record.WEIGHT, number),)),
            *_bytes(Record.SOURCE_ID, b"%d" % source_id),
            _ints(Record.WIDTH, (width,)),
        )
    )
    return _head_of(1, len(content)) + content


def _weights_of(boxes):
    """(weights, factors of them for the corners) of objects; () where all are 1."""
    pairs = [tuple(box[_PLAIN + 1 :]) or (1.0, 1.0) for box in boxes]
    columns = tuple(zip(*pairs)) or ((), ())
    return tuple([() if all(value == 1.0 for value in column) else column for column in columns])


def _draw_masks(boxes, areas, width, height):
    """(areas, PNGs, weights) of objects of which at least one has a mask."""
    areas, pictures, weights = list(areas), [], []
    for i, box in enumerate(boxes):
        mask = masks.unpack(box[_PLAIN]) if len(box) > _PLAIN else None
        array = mask_png.empty(height, width) if mask is None else masks.to_array(mask, height, width)
        areas[i] = areas[i] if mask is None else float(array.sum())
        pictures.append(mask_png.encode(array))
        weights.append(0.0 if mask is None else 1.0)
    return areas, pictures, weights


def _blobs(name, values):
    """A feature with several pieces of bytes, in pieces."""
    length = sum(len(_head_of(1, len(value))) + len(value) for value in values)
    yield _head_of_content(name, _BYTES_LIST, length)
    for value in values:
        yield _head_of(1, len(value))
        yield value


def _bytes(name, value):
    """A feature with a single value, in pieces."""
    return _head_of_list(name, _BYTES_LIST, len(value)), value


def _floats(name, values):
    """A feature with floats, in pieces."""
    if not values:
        return (_head_of_list(name, _FLOAT_LIST, 0, False),)
    return _head_of_list(name, _FLOAT_LIST, 4 * len(values)), struct.pack(f"<{len(values)}f", *values)


@functools.lru_cache(_CACHED)
def _ones(name, count):
    return b"".join(_floats(name, [1.0] * count))


@functools.lru_cache(_CACHED)
def _ints(name, values):
    """A feature with integers of at least 0; cached, because few lists differ."""
    packed = b"".join([_varint(int(value)) for value in values])
    return _head_of_list(name, _INT64_LIST, len(packed), bool(values)) + packed


@functools.lru_cache(_CACHED)
def _texts(name, values):
    """A feature with strings; cached, because few lists differ."""
    encoded = [value.encode("utf-8") for value in values]
    content = b"".join([_head_of(1, len(value)) + value for value in encoded])
    return _head_of_content(name, _BYTES_LIST, len(content)) + content


@functools.lru_cache(_CACHED)
def _head_of_list(name, kind, length, has_values=True):
    """The bytes before a single value, or before packed numbers, of the given length in bytes."""
    head = _head_of(1, length) if has_values else b""
    return _head_of_content(name, kind, len(head) + length) + head


def _head_of_content(name, kind, length):
    """The bytes before the content of a list: headers of the map entry, its key, the feature and the list."""
    listed = _head_of(kind, length)
    feature = _head_of(2, len(listed) + length)
    key = name.encode("ascii")
    key = _head_of(1, len(key)) + key
    return _head_of(1, len(key) + len(feature) + len(listed) + length) + key + feature + listed


def _head_of(number, length):
    """Tag and length of a length-delimited field."""
    return bytes([number << 3 | 2]) + _varint(length)


def _varint(value):
    """An integer of at least 0 as a varint: seven bits per byte, the lowest first."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
