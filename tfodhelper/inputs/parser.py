"""A record becomes a training or evaluation example: it is decoded, augmented, resized and padded."""

import dataclasses

import tensorflow as tf

from tfodhelper.fields import Groundtruth, Inputs
from tfodhelper.inputs import masks, pixels
from tfodhelper.inputs import sample as samples


class Parser:
    """Turns serialized records into (features, labels).

    Args:
      decoder: `decoder.Decoder`.
      resizer: a `resizers.Resizer`, or a function that does the same.
      max_boxes: labels are padded or cut to this many rows; None keeps them as they are.
      num_rows: without `max_boxes`, labels are padded to this many rows; more boxes are an error. None: not padded.
      augment: a function from (`Sample`, `Draws`) to a `Sample`, or None.
      seed: of all random numbers, an int.
      keep_original_images: how many examples, from index 0, come with their stored image.
      treatment: `adopted.Treatment` of the sets after the first one, or None.
      evaluates: whether examples come with what only an evaluation needs: the labels of whole images, and
        masks as they are stored.
    """

    def __init__(
        self,
        decoder,
        resizer,
        *,
        max_boxes,
        num_rows=None,
        augment=None,
        treatment=None,
        seed=0,
        keep_original_images=0,
        evaluates=False,
    ):
        self._decoder, self._resizer, self._max_boxes = decoder, resizer, max_boxes
        self._num_rows = num_rows if max_boxes is None else max_boxes
        self._augment, self._seed, self._keep_images = augment, seed, keep_original_images
        self._evaluates = evaluates
        self._treatment = treatment

    @tf.autograph.experimental.do_not_convert
    def parse(self, index, serialized, number=None):
        """Parses a record; all random numbers follow from the seed and the index.

        Args:
          index: int64 scalar, number of the example in the whole run.
          serialized: string scalar.
          number: int64 scalar, of the set that the record is of, where several sets are mixed.

        Returns:
          Features and labels, keyed by `fields.Inputs` and `fields.Groundtruth`, without a batch dimension. Boxes are
          still normalized to the true image; see `fit_boxes_to_padding`.
        """
        sample, stored = self._decoder.decode(serialized)
        whole = sample.picture
        if self._treatment is not None:
            sample = self._treatment.distort(sample, self._seed, index, number)
            weights = self._treatment.weigh(stored.weights, index, number)
            stored = dataclasses.replace(stored, weights=weights)
        if self._augment is not None:
            sample = self._augment(sample, samples.Draws(self._seed, index))
        image, true_shape = self._resizer(pixels.read_pixels(sample.picture))
        features = {
            Inputs.IMAGE: image,
            Inputs.TRUE_IMAGE_SHAPE: true_shape,
            Inputs.ORIGINAL_IMAGE_SHAPE: tf.ensure_shape(stored.size, [2]),
            Inputs.FILENAME: stored.filename,
            Inputs.SOURCE_ID: tf.where(stored.source_id == "", tf.strings.as_string(index), stored.source_id),
        }
        if self._evaluates:
            features[Inputs.VERIFIED] = tf.boolean_mask(stored.verified, stored.verified >= 0)
        if self._keep_images:
            features[Inputs.ORIGINAL_IMAGE] = self._read_original(index, whole)
        labels = self._make_labels(sample, stored)
        if sample.masks is not None:
            more, stored_masks = self._make_mask_labels(sample, stored, image, true_shape)
            labels |= more
            if self._evaluates:
                features[Inputs.STORED_MASKS] = stored_masks
        return features, labels

    def _make_mask_labels(self, sample, stored, image, true_shape):
        """(labels, the stored masks of the same objects)."""
        rows = sample.rows[: self._max_boxes]
        height, width = tf.unstack(tf.shape(image)[:2])
        chosen = masks.take(sample.masks, tf.range(tf.shape(rows)[0]))
        pictures, has_pixels = masks.read(chosen, rows, true_shape, height, width)
        pictures = tf.ensure_shape(pictures, [None, *image.shape[:2]])
        weights = tf.gather(stored.mask_weights, rows) * tf.cast(has_pixels, tf.float32)
        pictures *= tf.cast(weights > 0.0, tf.uint8)[:, tf.newaxis, tf.newaxis]
        labels = {Groundtruth.MASKS: self._pad(pictures, 0), Groundtruth.MASK_WEIGHTS: self._pad(weights, 0.0)}
        return labels, self._pad(tf.where(weights > 0.0, tf.gather(stored.masks, rows), ""), "")

    def _make_labels(self, sample, stored):
        count = tf.shape(sample.boxes)[0]
        if self._max_boxes is not None:
            count = tf.minimum(count, self._max_boxes)
        rows = sample.rows[:count]
        weights = tf.gather(stored.weights, rows)
        # What is in an ignored region need not be found, and nothing that is found there is wrong.
        need_not = (weights <= 0.0) & self._evaluates
        return {
            Groundtruth.BOXES: self._pad(sample.boxes[:count], 0.0),
            Groundtruth.CLASSES: self._pad(sample.classes[:count], -1),
            Groundtruth.WEIGHTS: self._pad(weights, 0.0),
            Groundtruth.LOCATION_WEIGHTS: self._pad(tf.gather(stored.location_weights, rows), 0.0),
            Groundtruth.DIFFICULT: self._pad(tf.gather(stored.difficult, rows) | need_not, False),
            Groundtruth.IS_CROWD: self._pad(tf.gather(stored.is_crowd, rows) | need_not, False),
            Groundtruth.GROUP_OF: self._pad(tf.gather(stored.group_of, rows), False),
            Groundtruth.AREA: self._pad(tf.gather(stored.area, rows), 0.0),
            Groundtruth.NUM_BOXES: count,
        }

    def _pad(self, values, padding):
        if self._num_rows is None:
            return values
        missing = self._num_rows - tf.shape(values)[0]
        around = [[0, missing]] + [[0, 0]] * (values.shape.rank - 1)
        if values.dtype == tf.string:
            padded = tf.concat([values, tf.fill([missing], padding)], axis=0)
        else:
            padded = tf.pad(values, around, constant_values=tf.constant(padding, values.dtype))
        return tf.ensure_shape(padded, [self._num_rows, *values.shape[1:]])

    def _read_original(self, index, picture):
        """The stored image for the first examples, one black pixel for the others."""
        image = tf.cond(
            index < self._keep_images, lambda: pixels.read_pixels(picture), lambda: tf.zeros([1, 1, 3], tf.uint8)
        )
        image.set_shape([None, None, 3])
        return image


def fit_boxes_to_padding(features, labels):
    """Changes the frame of a batch's boxes from the true images to the padded ones.

    `Parser.parse` does not know the size of the largest image of a batch; this is the step after batching.
    """
    true_sizes = tf.cast(features[Inputs.TRUE_IMAGE_SHAPE][:, :2], tf.float32)
    padded_size = tf.cast(tf.shape(features[Inputs.IMAGE])[1:3], tf.float32)
    factors = tf.tile(true_sizes / padded_size, [1, 2])[:, tf.newaxis]
    return features, {**labels, Groundtruth.BOXES: labels[Groundtruth.BOXES] * factors}


def padding_values(features, labels):
    """Values that pad smaller examples of a batch; takes the element specs.

    Zero, the empty string or False, except for classes, which are padded with -1.
    """
    values = tf.nest.map_structure(lambda spec: tf.zeros([], spec.dtype), (features, labels))
    values[1][Groundtruth.CLASSES] = tf.constant(-1, tf.int32)
    if Inputs.VERIFIED in values[0]:
        values[0][Inputs.VERIFIED] = tf.constant(-1, tf.int32)
    return values
