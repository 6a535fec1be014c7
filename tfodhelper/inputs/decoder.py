"""A serialized tf.train.Example becomes the ground truth and the undecoded image of a `Sample`.

The format and size of an image are read from its bytes, not from image/format, image/height and image/width. Invalid
boxes (a coordinate that is not a number, no area inside the image) and boxes of classes that are not in the label map
are left out; boxes that reach beyond the image are clipped to it.
"""

import dataclasses

import tensorflow as tf

from tfodhelper.fields import Record
from tfodhelper.inputs import pixels
from tfodhelper.inputs import sample as samples

_UNKNOWN = -1


@dataclasses.dataclass(frozen=True)
class Stored:
    """What a record holds besides picture, boxes and classes; `Sample.rows` points into the lists.

    Attributes:
      size: int32 [2], height and width of the stored image in pixels.
      filename: string scalar, may be empty.
      source_id: string scalar, may be empty.
      weights: float32 [N].
      difficult: bool [N].
      is_crowd: bool [N].
      area: float32 [N], square pixels of the stored image.
    """

    size: tf.Tensor
    filename: tf.Tensor
    source_id: tf.Tensor
    weights: tf.Tensor
    difficult: tf.Tensor
    is_crowd: tf.Tensor
    area: tf.Tensor


class Decoder:
    """Decodes records.

    Args:
      label_map: a `LabelMap`, or None. With a label map, class names of a record take precedence over its class ids,
        and names over display names; a record without names is read by its ids.
      num_classes: without a label map, ids from 1 to this number are known; None: all are.
    """

    def __init__(self, label_map=None, num_classes=None):
        self._table = _build_table(label_map) if label_map is not None else None
        self._num_classes = num_classes if label_map is None else label_map.num_classes

    def decode(self, serialized):
        """Decodes a record.

        Args:
          serialized: string scalar.

        Returns:
          A `Sample` and a `Stored`.
        """
        features = tf.io.parse_single_example(serialized, _FEATURES)
        picture = pixels.make_picture_from_bytes(features[Record.ENCODED])
        sides = [features[key] for key in (Record.YMIN, Record.XMIN, Record.YMAX, Record.XMAX)]
        raw_boxes = tf.stack(sides, axis=1)
        count = tf.shape(raw_boxes)[0]
        boxes = tf.clip_by_value(raw_boxes, 0.0, 1.0)
        classes = self._read_classes(features, count)
        # A comparison with NaN is false.
        is_box = tf.reduce_all(boxes[:, 2:] > boxes[:, :2], axis=1) & tf.reduce_all(raw_boxes == raw_boxes, axis=1)
        sample = samples.Sample(picture, boxes, classes, tf.range(count))
        sample = samples.keep_boxes(sample, is_box & (classes != _UNKNOWN))
        return sample, _read_stored(features, picture, boxes, count)

    def _read_classes(self, features, count):
        """0-based classes, int32 [N]; `_UNKNOWN` for unknown ones."""
        ids = tf.cast(_fill(features[Record.CLASS_LABEL], count, tf.constant(0, tf.int64)), tf.int32)
        if self._num_classes is not None:
            ids = tf.where(ids <= self._num_classes, ids, 0)
        ids = tf.maximum(ids, 0)
        if self._table is not None:
            names = features[Record.CLASS_TEXT]
            ids = tf.cond(tf.size(names) > 0, lambda: tf.ensure_shape(self._table.lookup(names), [None]), lambda: ids)
        return ids - 1


_FEATURES = {
    Record.ENCODED: tf.io.FixedLenFeature([], tf.string, ""),
    Record.FILENAME: tf.io.FixedLenFeature([], tf.string, ""),
    Record.SOURCE_ID: tf.io.FixedLenFeature([], tf.string, ""),
    **{
        key: tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True)
        for key, dtype in {
            Record.YMIN: tf.float32,
            Record.XMIN: tf.float32,
            Record.YMAX: tf.float32,
            Record.XMAX: tf.float32,
            Record.CLASS_TEXT: tf.string,
            Record.CLASS_LABEL: tf.int64,
            Record.DIFFICULT: tf.int64,
            Record.IS_CROWD: tf.int64,
            Record.AREA: tf.float32,
            Record.WEIGHT: tf.float32,
        }.items()
    },
}


def _build_table(label_map):
    """Name -> 1-based id, 0 for unknown names."""
    ids = {item.display_name: item.id for item in label_map if item.display_name}
    ids |= {item.name: item.id for item in label_map}
    names = tf.constant(list(ids))
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(names, tf.constant(list(ids.values()), tf.int32)), default_value=0
    )


def _read_stored(features, picture, boxes, count):
    height, width = picture.size
    size = tf.stack([height, width])
    sides = (boxes[:, 2:] - boxes[:, :2]) * tf.cast(size, tf.float32)
    area = features[Record.AREA]
    return Stored(
        size=size,
        filename=features[Record.FILENAME],
        source_id=features[Record.SOURCE_ID],
        weights=_fill(features[Record.WEIGHT], count, 1.0),
        difficult=_fill(features[Record.DIFFICULT], count, tf.constant(0, tf.int64)) > 0,
        is_crowd=_fill(features[Record.IS_CROWD], count, tf.constant(0, tf.int64)) > 0,
        area=tf.cond(tf.size(area) == count, lambda: area, lambda: sides[:, 0] * sides[:, 1]),
    )


def _fill(values, count, default):
    """The values of a feature, or `count` times the default if the record does not have it."""
    return tf.cond(tf.size(values) > 0, lambda: values, lambda: tf.fill([count], default))
