"""A serialized tf.train.Example becomes the ground truth and the undecoded image of a `Sample`.

The format and size of an image are read from its bytes, not from image/format, image/height and image/width. Invalid
boxes (a coordinate that is not a number, no area inside the image) and boxes of classes that are not in the label map
are left out; boxes that reach beyond the image are clipped to it.
"""

import dataclasses

import tensorflow as tf

from tfodhelper import jpeg_dct
from tfodhelper.fields import Record
from tfodhelper.inputs import masks, pixels
from tfodhelper.inputs import sample as samples

NUMERICAL, PNG = "NUMERICAL_MASKS", "PNG_MASKS"  # how records keep masks
_UNKNOWN = -1


@dataclasses.dataclass(frozen=True)
class Stored:
    """What a record holds besides picture, boxes and classes; `Sample.rows` points into the lists.

    Attributes:
      size: int32 [2], height and width of the stored image in pixels.
      filename: string scalar, may be empty.
      source_id: string scalar, may be empty.
      weights: float32 [N]; 0 is an ignored region.
      location_weights: float32 [N], factors of the weights for the corners.
      difficult: bool [N].
      is_crowd: bool [N].
      group_of: bool [N].
      area: float32 [N], square pixels of the stored image.
      verified: int32 [V], 0-based classes whose presence or absence in the image was verified.
      masks: string [N], PNGs as large as the stored image, "" where there is none; None if masks are not read.
      mask_weights: float32 [N], or None if masks are not read.
    """

    size: tf.Tensor
    filename: tf.Tensor
    source_id: tf.Tensor
    weights: tf.Tensor
    location_weights: tf.Tensor
    difficult: tf.Tensor
    is_crowd: tf.Tensor
    group_of: tf.Tensor
    area: tf.Tensor
    verified: tf.Tensor
    masks: tf.Tensor | None = None
    mask_weights: tf.Tensor | None = None


class Decoder:
    """Decodes records.

    Args:
      label_map: a `LabelMap`, or None. With a label map, class names of a record take precedence over its class ids,
        and names over display names; a record without names is read by its ids.
      num_classes: without a label map, ids from 1 to this number are known; None: all are.
      dct: how JPEGs are decoded, a key of `jpeg_dct.CHOICES`.
      mask_type: how records keep masks, NUMERICAL or PNG; None: masks are not read.
    """

    def __init__(self, label_map=None, num_classes=None, dct=jpeg_dct.ACCURATE, mask_type=None):
        self._dct, self._mask_type = dct, mask_type
        self._features = dict(_FEATURES)
        if mask_type is not None:
            dtype = tf.string if mask_type == PNG else tf.float32
            self._features[Record.MASK] = tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True)
            self._features[Record.MASK_WEIGHT] = tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)
        self._ids_by_name = self._known_ids = None
        if label_map is not None:
            shown = {item.display_name: item.id for item in label_map if item.display_name}
            self._ids_by_name = _build_table(shown | {item.name: item.id for item in label_map})
            self._known_ids = _build_table({item.id: item.id for item in label_map})
        self._num_classes = num_classes

    def decode(self, serialized):
        """Decodes a record.

        Args:
          serialized: string scalar.

        Returns:
          A `Sample` and a `Stored`.
        """
        features = tf.io.parse_single_example(serialized, self._features)
        picture = pixels.make_picture_from_bytes(features[Record.ENCODED], self._dct)
        sides = [features[key] for key in (Record.YMIN, Record.XMIN, Record.YMAX, Record.XMAX)]
        raw_boxes = tf.stack(sides, axis=1)
        count = tf.shape(raw_boxes)[0]
        boxes = tf.clip_by_value(raw_boxes, 0.0, 1.0)
        classes = self._read_classes(features, Record.CLASS_TEXT, Record.CLASS_LABEL, count)
        # A comparison with NaN is false.
        is_box = tf.reduce_all(boxes[:, 2:] > boxes[:, :2], axis=1) & tf.reduce_all(raw_boxes == raw_boxes, axis=1)
        verified = self._read_classes(features, Record.IMAGE_CLASS_TEXT, Record.IMAGE_CLASS_LABEL, 0)
        stored = _read_stored(features, picture, boxes, count, verified)
        sample = samples.Sample(picture, boxes, classes, tf.range(count))
        if self._mask_type is not None:
            stored = dataclasses.replace(
                stored,
                masks=_read_masks(features[Record.MASK], count, stored.size),
                mask_weights=_fill(features[Record.MASK_WEIGHT], count, 1.0),
            )
            sample = dataclasses.replace(sample, masks=masks.Masks(stored.masks, stored.size))
        return samples.keep_boxes(sample, is_box & (classes != _UNKNOWN)), stored

    def _read_classes(self, features, text_key, label_key, count):
        """0-based classes, int32 [N]; `_UNKNOWN` for unknown ones."""
        ids = _fill(features[label_key], count, tf.constant(0, tf.int64))
        if self._known_ids is not None:
            names, by_id = features[text_key], self._known_ids.lookup(ids)
            ids = tf.cond(tf.size(names) > 0, lambda: self._ids_by_name.lookup(names), lambda: by_id)
            ids = tf.ensure_shape(ids, [None])
        elif self._num_classes is not None:
            ids = tf.where(ids <= self._num_classes, ids, 0)
        return tf.cast(tf.clip_by_value(ids, 0, tf.int32.max), tf.int32) - 1


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
            Record.GROUP_OF: tf.int64,
            Record.IMAGE_CLASS_TEXT: tf.string,
            Record.IMAGE_CLASS_LABEL: tf.int64,
            Record.AREA: tf.float32,
            Record.WEIGHT: tf.float32,
            Record.LOCATION_WEIGHT: tf.float32,
        }.items()
    },
}


def _build_table(ids):
    """Name or id -> 1-based id; 0 for what is not in the label map."""
    keys, values = tf.constant(list(ids)), tf.constant(list(ids.values()), tf.int64)
    keys = keys if keys.dtype == tf.string else tf.cast(keys, tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default_value=0)


def _read_stored(features, picture, boxes, count, verified):
    height, width = picture.size
    size = tf.stack([height, width])
    sides = (boxes[:, 2:] - boxes[:, :2]) * tf.cast(size, tf.float32)
    area = features[Record.AREA]
    return Stored(
        size=size,
        filename=features[Record.FILENAME],
        source_id=features[Record.SOURCE_ID],
        weights=_fill(features[Record.WEIGHT], count, 1.0),
        location_weights=_fill(features[Record.LOCATION_WEIGHT], count, 1.0),
        difficult=_fill(features[Record.DIFFICULT], count, tf.constant(0, tf.int64)) > 0,
        is_crowd=_fill(features[Record.IS_CROWD], count, tf.constant(0, tf.int64)) > 0,
        group_of=_fill(features[Record.GROUP_OF], count, tf.constant(0, tf.int64)) > 0,
        verified=verified,
        area=tf.cond(tf.size(area) == count, lambda: area, lambda: sides[:, 0] * sides[:, 1]),
    )


def _read_masks(values, count, size):
    """The masks of a record as PNGs; numbers become PNGs, too, of which all but one are small in memory.

    Args:
      values: string [count], float32 [count * height * width], or empty.
      count: int32 scalar, number of objects.
      size: int32 [2], height and width of the image.

    Returns:
      string [count].
    """
    if values.dtype == tf.string:
        expected, encode = count, lambda: tf.identity(values)
    else:
        expected = count * size[0] * size[1]

        def encode():
            pictures = tf.cast(tf.reshape(values, [count, size[0], size[1], 1]) > 0.0, tf.uint8)
            return tf.map_fn(tf.io.encode_png, pictures, fn_output_signature=tf.string)

    problem = f"{Record.MASK}: the masks are not as many, or not as large, as the objects and the image ask for"
    is_empty = tf.equal(tf.size(values), 0)
    with tf.control_dependencies([tf.debugging.Assert(is_empty | tf.equal(tf.size(values), expected), [problem])]):
        is_empty = tf.identity(is_empty)
    return tf.ensure_shape(tf.cond(is_empty, lambda: tf.fill([count], ""), encode), [None])


def _fill(values, count, default):
    """The values of a feature, or `count` times the default if the record does not have it."""
    return tf.cond(tf.size(values) > 0, lambda: values, lambda: tf.fill([count], default))
