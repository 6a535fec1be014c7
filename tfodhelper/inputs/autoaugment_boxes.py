"""Operations of `autoaugment` that cut rectangles out of images, or change them inside of boxes.

Images are uint8 [h, w, 3] (masks: one channel), boxes float32 [N, 4], normalized to the image.
"""

import tensorflow as tf


def cut_out(image, half_side, where, fill):
    """Fills a square (DeVries & Taylor 2017, arXiv 1708.04552).

    Args:
      image: uint8 [h, w, 3].
      half_side: half of its side, in pixels.
      where: two float32 scalars in [0, 1): the position of its center from top to bottom and from left to right. At the
        border of the image a part of the square is outside.
      fill: the value.
    """
    height, width, _ = tf.unstack(tf.shape(image))
    center_y, center_x = _pick(0, height, where[0]), _pick(0, width, where[1])
    return _fill(image, center_y - half_side, center_x - half_side, center_y + half_side, center_x + half_side, fill)


def cut_out_of_one_box(image, boxes, fraction, where, seed, fill):
    """Fills a rectangle with its center in a box that is chosen at random.

    Args:
      image: uint8 [h, w, 3].
      boxes: float32 [N, 4]; without boxes the image stays as it is.
      fraction: sides of the rectangle as a fraction of those of the box.
      where: two float32 scalars in [0, 1): the position of its center in the box.
      seed: int64 [2], for the choice of the box.
      fill: the value.
    """
    count = tf.shape(boxes)[0]

    def cut():
        chosen = _pick(0, count, tf.random.stateless_uniform([], seed))
        top, left, bottom, right = tf.unstack(pixel_windows(boxes, tf.shape(image))[chosen])
        half_height, half_width = (
            tf.cast(fraction * tf.cast(side, tf.float32) / 2.0, tf.int32) for side in (bottom - top, right - left)
        )
        y, x = _pick(top, bottom, where[0]), _pick(left, right, where[1])
        return _fill(image, y - half_height, x - half_width, y + half_height, x + half_width, fill)

    return tf.cond(count > 0, cut, lambda: tf.identity(image))


def change_contents(image, boxes, change, probability, seed):
    """Changes the pixels inside of boxes, in random order, each with a probability.

    Args:
      image: uint8 [h, w, 3].
      boxes: float32 [N, 4].
      change: function of the content of a box, uint8 [h, w, 3], and two float32 scalars in [0, 1); returns the new
        content.
      probability: of a change, for each box.
      seed: int64 [2].
    """
    chances = tf.random.stateless_uniform([tf.shape(boxes)[0], 4], seed)
    changed = tf.where(chances[:, 0] < probability)[:, 0]
    order = tf.gather(changed, tf.argsort(tf.gather(chances[:, 1], changed)))
    windows = tf.gather(pixel_windows(boxes, tf.shape(image)), order)
    positions, channels = tf.gather(chances[:, 2:], order), image.shape[-1]

    def change_next(index, image):
        top, left, bottom, right = tf.unstack(windows[index])
        content = change(image[top:bottom, left:right], tuple(tf.unstack(positions[index])))
        return index + 1, _put(image, content, top, left, bottom, right)

    _, image = tf.while_loop(
        lambda index, image: index < tf.shape(windows)[0],
        change_next,
        (0, tf.ensure_shape(image, [None, None, channels])),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, None, channels])),
    )
    return image


def pixel_windows(boxes, shape):
    """The pixels that belong to boxes: int32 [N, 4], top, left, bottom, right; bottom and right are excluded.

    The pixel in which a box ends belongs to it, and every box has at least one pixel.
    """
    height, width, _ = tf.unstack(shape)
    size = tf.stack([height, width])
    sides = tf.cast(tf.tile(size, [2]), tf.float32)
    first, last = tf.split(tf.cast(boxes * sides, tf.int32), 2, axis=1)
    first = tf.clip_by_value(first, 0, size - 1)
    return tf.concat([first, tf.clip_by_value(last, first, size - 1) + 1], axis=1)


def _pick(low, high, fraction):
    """The whole number at a fraction (in [0, 1)) of low..high-1."""
    return tf.minimum(low + tf.cast(fraction * tf.cast(high - low, tf.float32), tf.int32), high - 1)


def _fill(image, top, left, bottom, right, value):
    inside = _inside(image, top, left, bottom, right)
    return tf.where(inside, tf.cast(value, image.dtype), image)


def _put(image, content, top, left, bottom, right):
    """Replaces a window of an image, which is inside of it."""
    height, width, _ = tf.unstack(tf.shape(image))
    padded = tf.pad(content, [[top, height - bottom], [left, width - right], [0, 0]])
    padded = tf.ensure_shape(padded, [None, None, image.shape[-1]])
    return tf.where(_inside(image, top, left, bottom, right), padded, image)


def _inside(image, top, left, bottom, right):
    """Which pixels are in a window: bool [h, w, 1]."""
    rows, columns = tf.range(tf.shape(image)[0]), tf.range(tf.shape(image)[1])
    in_rows = (rows >= top) & (rows < bottom)
    in_columns = (columns >= left) & (columns < right)
    return (in_rows[:, tf.newaxis] & in_columns[tf.newaxis])[:, :, tf.newaxis]
