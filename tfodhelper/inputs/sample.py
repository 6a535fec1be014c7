"""An image with its ground truth on its way through augmentation, and the random numbers for it."""

import dataclasses

import tensorflow as tf

from tfodhelper.inputs import masks as instance_masks
from tfodhelper.inputs import pixels


@dataclasses.dataclass(frozen=True)
class Sample:
    """An image and its boxes. Every step of augmentation takes a sample and returns another.

    Attributes:
      picture: `pixels.Picture`.
      boxes: float32 [N, 4], normalized to the picture as it is seen.
      classes: int32 [N], 0-based.
      rows: int32 [N], the row of the stored ground truth that each box comes from, for its weight and flags.
      masks: `masks.Masks` of the boxes, or None where masks are not read.
    """

    picture: pixels.Picture
    boxes: tf.Tensor
    classes: tf.Tensor
    rows: tf.Tensor
    masks: instance_masks.Masks | None = None


def replace_picture(sample, picture, move_mask):
    """The same boxes with another picture.

    Args:
      sample: a `Sample`.
      picture: `pixels.Picture`.
      move_mask: function from a mask, uint8 [h, w], to the mask of the same object in the new picture.
    """
    return dataclasses.replace(sample, picture=picture, masks=instance_masks.add_step(sample.masks, move_mask))


def crop(sample, y, x, height, width):
    """Narrows the picture to a window, int32 scalars in pixels; the boxes stay in their frame."""
    return replace_picture(
        sample,
        pixels.crop(sample.picture, y, x, height, width),
        lambda mask: instance_masks.crop(mask, y, x, height, width),
    )


def read_image(sample):
    """The image as it is seen: float32 [h, w, 3]; a stored image has values in 0..255."""
    return tf.cast(pixels.read_pixels(sample.picture), tf.float32)


def replace_image(sample, image, move_mask=None):
    """The same boxes with pixels instead of the picture; `move_mask` as in `replace_picture`, None: nothing moved."""
    image.set_shape([None, None, 3])
    picture = pixels.make_picture_from_pixels(image)
    if move_mask is None:
        return dataclasses.replace(sample, picture=picture)
    return replace_picture(sample, picture, move_mask)


def keep_boxes(sample, keep):
    """Drops the boxes where `keep` (bool [N]) is false."""
    indices = tf.where(keep)[:, 0]
    return dataclasses.replace(
        sample,
        boxes=tf.gather(sample.boxes, indices),
        classes=tf.gather(sample.classes, indices),
        rows=tf.gather(sample.rows, indices),
        masks=instance_masks.take(sample.masks, indices),
    )


def move_boxes(sample, window):
    """Expresses the boxes in the frame of a window.

    Args:
      sample: a `Sample`.
      window: float32 [4], ymin, xmin, ymax, xmax, normalized to the frame that the boxes are in.
    """
    origin = tf.stack([window[0], window[1], window[0], window[1]])
    height, width = window[2] - window[0], window[3] - window[1]
    scale = tf.stack([1.0 / height, 1.0 / width, 1.0 / height, 1.0 / width])
    return dataclasses.replace(sample, boxes=(sample.boxes - origin) * scale)


def clip_boxes(sample):
    """Clips the boxes to the picture."""
    return dataclasses.replace(sample, boxes=tf.clip_by_value(sample.boxes, 0.0, 1.0))


def covered_fractions(boxes, window):
    """Which fraction of each box is inside a window: float32 [N]; NaN for a box without area.

    Args:
      boxes: float32 [N, 4].
      window: float32 [4], in the same frame.
    """
    ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=1)
    heights = tf.maximum(0.0, tf.minimum(ymax, window[2]) - tf.maximum(ymin, window[0]))
    widths = tf.maximum(0.0, tf.minimum(xmax, window[3]) - tf.maximum(xmin, window[1]))
    return heights * widths / ((ymax - ymin) * (xmax - xmin))


def overlaps(boxes, window):
    """Whether each box shares more than an edge with a window: bool [N]."""
    ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=1)
    return (ymin < window[2]) & (xmin < window[3]) & (ymax > window[0]) & (xmax > window[1])


class Draws:
    """Random numbers that depend only on a seed and on the order in which they are drawn.

    Scalars are taken from one vector, because many small random ops cost more than one. Draw them outside of `tf.cond`
    and the like: a number that is drawn inside a branch belongs to that branch alone.

    Args:
      seed: int64 scalar, of the whole run.
      index: int64 scalar, of the sample in the whole run.
    """

    _BLOCK = 32
    _SEEDS_PER_SAMPLE = 1 << 16

    def __init__(self, seed, index):
        self._seed = tf.cast(seed, tf.int64)
        self._first = tf.cast(index, tf.int64) * self._SEEDS_PER_SAMPLE
        self._count = 0
        self._block = []

    def seed(self):
        """A fresh seed, int64 [2], for a stateless op."""
        self._count += 1
        return tf.stack([self._seed, self._first + self._count])

    def uniform(self, low=0.0, high=1.0):
        """A float32 scalar in [low, high)."""
        if not self._block:
            self._block = tf.unstack(tf.random.stateless_uniform([self._BLOCK], self.seed()))[::-1]
        return low + self._block.pop() * (high - low)

    def integer(self, low, high):
        """An int32 scalar in low..high-1, all equally likely; `low` if there is no such number."""
        span = tf.maximum(high - low, 1)
        step = tf.cast(self.uniform() * tf.cast(span, tf.float32), tf.int32)
        return low + tf.minimum(step, span - 1)

    def happens(self, probability):
        """A bool scalar that is true with a probability."""
        return self.uniform() < probability
