"""Masks that are decoded late: what happens to an image is noted first, and done to one mask after the other.

The masks of an image are as large as the image, all together much larger. So a `Masks` keeps them as they are stored,
with the steps that the image went through. `read` decodes one mask, takes it through all steps, and keeps only the
result, as large as the model's input. Masks are resized to the nearest pixel, as in the Object Detection API.
"""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Step:
    """A change of a mask.

    Attributes:
      move: function of a mask, uint8 [h, w], and of one scalar for each of `details`; returns the mask as it is then.
      details: tuple of tensors [N], one value for each box.
    """

    move: object
    details: tuple = ()


@dataclasses.dataclass(frozen=True)
class Masks:
    """The masks of an image.

    Attributes:
      encoded: string [R], a PNG for each row of the stored ground truth, "" where there is none.
      size: int32 [2], height and width of the stored image.
      steps: tuple of `Step`s, in order.
    """

    encoded: tf.Tensor
    size: tf.Tensor
    steps: tuple = ()


def add_step(masks, move, *details):
    """Notes what happened to the image; None stays None."""
    if masks is None:
        return None
    return dataclasses.replace(masks, steps=(*masks.steps, Step(move, details)))


def take(masks, indices):
    """The steps for a choice of the boxes, which may repeat; None stays None."""
    if masks is None:
        return None
    steps = tuple(Step(step.move, tuple(tf.gather(each, indices) for each in step.details)) for step in masks.steps)
    return dataclasses.replace(masks, steps=steps)


def read(masks, rows, true_shape, height, width):
    """Decodes masks and takes them through all steps.

    Args:
      masks: a `Masks` whose steps have details for N boxes.
      rows: int32 [N], the row of the stored ground truth of each box.
      true_shape: int32 [3], height and width of the image in the model input, channels.
      height, width: of the model input, to which masks are padded below and to the right.

    Returns:
      uint8 [N, height, width], 0 or 1, and bool [N], whether the stored mask has any pixel.
    """
    details = tuple(step.details for step in masks.steps)
    encoded = tf.gather(masks.encoded, rows)
    true_size = true_shape[:2]

    def read_one(elements):
        mask = _decode(elements[0], masks.size)
        has_pixels = tf.reduce_max(mask) > 0
        for step, values in zip(masks.steps, elements[1]):
            mask = tf.ensure_shape(step.move(mask, *values), [None, None])
        mask = tf.cast(resize(mask, true_size) > 0, tf.uint8)
        return tf.pad(mask, [[0, height - true_size[0]], [0, width - true_size[1]]]), has_pixels

    def read_all():
        signature = tf.TensorSpec([None, None], tf.uint8), tf.TensorSpec([], tf.bool)
        return tf.map_fn(read_one, (encoded, details), fn_output_signature=signature, parallel_iterations=2)

    def read_none():
        return tf.zeros([0, height, width], tf.uint8), tf.zeros([0], tf.bool)

    pictures, has_pixels = tf.cond(tf.size(rows) > 0, read_all, read_none)
    return tf.ensure_shape(pictures, [None, None, None]), tf.ensure_shape(has_pixels, [None])


def resize(mask, size, align_corners=False):
    """A mask [h, w] in another size, int32 [2], by the nearest pixel of TensorFlow 1's grid."""
    resized = tf.raw_ops.ResizeNearestNeighbor(
        images=mask[tf.newaxis, :, :, tf.newaxis], size=size, align_corners=align_corners
    )
    return resized[0, :, :, 0]


def crop(mask, y, x, height, width):
    """A part of a mask; int32 scalars."""
    return mask[y : y + height, x : x + width]


def pad(mask, y, x, height, width):
    """Puts a mask [h, w] into an empty one of (height, width) at (y, x)."""
    shape = tf.shape(mask)
    return tf.pad(mask, [[y, height - y - shape[0]], [x, width - x - shape[1]]])


def _decode(encoded, size):
    """uint8 [h, w], 0 is background."""

    def decode():
        mask = tf.io.decode_png(encoded, channels=1)[:, :, 0]
        problem = "image/object/mask: a mask does not have the size of the image"
        with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(mask), size, problem)]):
            return tf.identity(mask)

    return tf.cond(tf.strings.length(encoded) > 0, decode, lambda: tf.zeros(size, tf.uint8))
