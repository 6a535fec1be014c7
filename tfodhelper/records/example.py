"""One annotated image as a serialized tf.train.Example.

Feature names are those of the Object Detection API; its decoder and the Model Garden's both read the result. The
latter parses `image/source_id` as a number, and the former takes `image/format` at its word.

The few lines of protobuf's wire format that an Example needs stand here, so that a conversion need not wait for
TensorFlow to be imported; the bytes are those of TensorFlow's own deterministic serialization.
"""

import functools
import struct

from tfodhelper.fields import Record

_SHORT = [bytes([value]) for value in range(0x80)]
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3  # fields of tf.train.Feature


def to_features(annotation, encoded, format, source_id, sha256, label_map, filename=None):
    """The features of one image.

    Args:
      annotation: checked: the size of the encoded image, boxes of positive area inside it, pixels.
      encoded: bytes, JPEG or PNG.
      format: "jpeg" or "png", by the content.
      source_id: whole number, unique in the set.
      sha256: hex digest of `encoded`.
      label_map: a `LabelMap` that has all classes of the boxes.
      filename: what `image/filename` says; the annotation's when left out.

    Returns:
      {name: serialized tf.train.Feature}, with the names of `fields.Record`; boxes are normalized to the image.
    """
    boxes, width, height = annotation.boxes, annotation.width, annotation.height
    ids = [label_map.id_of(box.name) for box in boxes]
    return {
        Record.HEIGHT: _ints([height]),
        Record.WIDTH: _ints([width]),
        Record.FILENAME: _texts([filename or annotation.filename]),
        Record.SOURCE_ID: _texts([str(int(source_id))]),
        Record.KEY: _texts([sha256]),
        Record.ENCODED: _bytes([encoded]),
        Record.FORMAT: _texts([format]),
        Record.XMIN: _floats([box.xmin / width for box in boxes]),
        Record.XMAX: _floats([box.xmax / width for box in boxes]),
        Record.YMIN: _floats([box.ymin / height for box in boxes]),
        Record.YMAX: _floats([box.ymax / height for box in boxes]),
        Record.CLASS_TEXT: _text_list(tuple([label_map.name_of(id) for id in ids])),
        Record.CLASS_LABEL: _ints(ids),
        Record.DIFFICULT: _ints([int(box.difficult) for box in boxes]),
        Record.TRUNCATED: _ints([int(box.truncated) for box in boxes]),
        Record.VIEW: _text_list(tuple([box.pose for box in boxes])),
        Record.IS_CROWD: _zeros(len(boxes)),
        Record.AREA: _floats([box.area for box in boxes]),
        Record.WEIGHT: _ones(len(boxes)),
    }


def serialize(features):
    """The bytes of a tf.train.Example.

    Args:
      features: {name: serialized tf.train.Feature}, as `to_features` gives.
    """
    entries = [_field(1, _key(name) + _field(2, features[name])) for name in sorted(features)]
    return _field(1, b"".join(entries))


@functools.cache
def _key(name):
    return _field(1, name.encode("utf-8"))


@functools.lru_cache(1024)
def _zeros(count):
    return _ints([0] * count)


@functools.lru_cache(1024)
def _ones(count):
    return _floats([1.0] * count)


def _ints(values):
    return _field(_INT64_LIST, _packed(b"".join([_varint(value) for value in values])))


def _floats(values):
    return _field(_FLOAT_LIST, _packed(struct.pack(f"<{len(values)}f", *values)))


def _bytes(values):
    return _field(_BYTES_LIST, b"".join([_field(1, value) for value in values]))


@functools.lru_cache(4096)
def _text_list(values):
    """Class names and views: few, and met over and over."""
    return _texts(values)


def _texts(values):
    return _bytes([value.encode("utf-8") for value in values])


def _packed(content):
    return _field(1, content) if content else b""


def _field(number, content):
    """A length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    """A whole number of at least 0, seven bits a byte, the lowest first."""
    if value < 0x80:
        return _SHORT[value]
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
