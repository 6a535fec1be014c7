"""One annotated image as a tf.train.Example.

Feature names are those of the Object Detection API; its decoder and the Model Garden's both read the result. The
latter parses `image/source_id` as a number, and the former takes `image/format` at its word.
"""

import tensorflow as tf

from tfodhelper.fields import Record


def to_example(annotation, encoded, format, source_id, sha256, label_map, filename=None):
    """Makes the example of one image.

    Args:
      annotation: checked: the size of the encoded image, boxes of positive area inside it, pixels.
      encoded: bytes, JPEG or PNG.
      format: "jpeg" or "png", by the content.
      source_id: whole number, unique in the set.
      sha256: hex digest of `encoded`.
      label_map: a `LabelMap` that has all classes of the boxes.
      filename: what `image/filename` says; the annotation's when left out.

    Returns:
      A tf.train.Example with the features of `fields.Record`; boxes are normalized to the image.
    """
    boxes, width, height = annotation.boxes, annotation.width, annotation.height
    ids = [label_map.id_of(box.name) for box in boxes]
    features = {
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
        Record.CLASS_TEXT: _texts([label_map.name_of(id) for id in ids]),
        Record.CLASS_LABEL: _ints(ids),
        Record.DIFFICULT: _ints([int(box.difficult) for box in boxes]),
        Record.TRUNCATED: _ints([int(box.truncated) for box in boxes]),
        Record.VIEW: _texts([box.pose for box in boxes]),
        Record.IS_CROWD: _ints([0] * len(boxes)),
        Record.AREA: _floats([box.area for box in boxes]),
        Record.WEIGHT: _floats([1.0] * len(boxes)),
    }
    return tf.train.Example(features=tf.train.Features(feature=features))


def serialize(example):
    """The bytes of an example; equal examples give equal bytes."""
    return example.SerializeToString(deterministic=True)


def _ints(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _floats(values):
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _bytes(values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _texts(values):
    return _bytes([value.encode("utf-8") for value in values])
