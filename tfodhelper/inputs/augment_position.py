"""Augmentation that mirrors and turns images, and that moves, drops or renames boxes.

Each function takes a `Sample` and `Draws` and returns a `Sample`; images and boxes change together. Probabilities and
ranges are those of the Object Detection API's operations of the same name.
"""

import dataclasses

import tensorflow as tf

from tfodhelper.inputs import masks, pixels
from tfodhelper.inputs import sample as samples

_SMALLEST_SIDE = 1e-6


def random_horizontal_flip(sample, draws, probability=0.5):
    """Mirrors left to right."""
    return _turn(
        *(sample, draws.happens(probability), pixels.mirror),
        lambda y1, x1, y2, x2: (y1, 1.0 - x2, y2, 1.0 - x1),
        lambda mask: tf.reverse(mask, [1]),
    )


def random_vertical_flip(sample, draws, probability=0.5):
    """Turns upside down by mirroring."""
    return _turn(
        *(sample, draws.happens(probability), pixels.turn_upside_down),
        lambda y1, x1, y2, x2: (1.0 - y2, x1, 1.0 - y1, x2),
        lambda mask: tf.reverse(mask, [0]),
    )


def random_rotation90(sample, draws, probability=0.5):
    """Turns counter-clockwise by 90 degrees."""
    return _turn(
        *(sample, draws.happens(probability), pixels.rotate90),
        lambda y1, x1, y2, x2: (1.0 - x2, y1, 1.0 - x1, y2),
        lambda mask: tf.reverse(tf.transpose(mask), [0]),
    )


def _turn(sample, do, turn_picture, turn_sides, turn_mask):
    """Turns a picture with its boxes and masks where `do` is true.

    Args:
      sample: `sample.Sample`.
      do: bool scalar tensor.
      turn_picture: function from (picture, do) to the picture.
      turn_sides: function from ymin, xmin, ymax, xmax, each [N], to those of the turned boxes.
      turn_mask: function from a mask, uint8 [h, w], to the turned mask.
    """
    boxes = tf.stack(turn_sides(*tf.unstack(sample.boxes, axis=1)), axis=1)
    turned = dataclasses.replace(sample, boxes=tf.where(do, boxes, sample.boxes))
    return samples.replace_picture(
        turned,
        turn_picture(sample.picture, do),
        lambda mask: tf.cond(do, lambda: turn_mask(mask), lambda: tf.identity(mask)),
    )


def random_self_concat_image(sample, draws, vertical_probability=0.1, horizontal_probability=0.1):
    """Repeats the image below itself, beside itself, or both; every copy has all boxes."""
    for axis, probability in ((0, vertical_probability), (1, horizontal_probability)):
        do = draws.happens(probability)
        image = samples.read_image(sample)
        copies = tf.where(do, 2, 1)
        halves = tf.constant([0.5, 1.0, 0.5, 1.0] if axis == 0 else [1.0, 0.5, 1.0, 0.5])
        first = tf.where(do, sample.boxes * halves, sample.boxes)
        second = sample.boxes * halves + (1.0 - halves)
        boxes = tf.cond(do, lambda a=first, b=second: tf.concat([a, b], axis=0), lambda a=first: a)
        boxes.set_shape([None, 4])
        count = tf.shape(sample.classes)[0]
        indices = tf.tile(tf.range(count), [copies])
        which = tf.repeat([0, 1], [count, count])[: count * copies]
        sample = samples.Sample(
            picture=sample.picture,
            boxes=boxes,
            classes=tf.tile(sample.classes, [copies]),
            rows=tf.tile(sample.rows, [copies]),
            masks=masks.add_step(masks.take(sample.masks, indices), _make_concatenation(axis, copies), which),
        )
        repeats = tf.stack([copies, 1, 1] if axis == 0 else [1, copies, 1])
        sample = samples.replace_image(sample, tf.tile(image, repeats))
    return sample


def _make_concatenation(axis, copies):
    """A function from a mask and the number of its copy to the mask in an image that is repeated along an axis."""

    def move(mask, which):
        height, width = tf.unstack(tf.shape(mask))
        if axis == 0:
            return masks.pad(mask, which * height, 0, copies * height, width)
        return masks.pad(mask, 0, which * width, height, copies * width)

    return move


def random_jitter_boxes(sample, draws, ratio=0.05, mode="DEFAULT"):
    """Moves the sides of each box by up to half of `ratio` of its size, and clips it to the image.

    Args:
      sample: a `Sample`.
      draws: `Draws`.
      ratio: greatest relative change.
      mode: DEFAULT moves each side independently in both directions, EXPAND only outwards, SHRINK only inwards; with
        _SYMMETRIC opposite sides move by the same amount, with _SYMMETRIC_XY both pairs by the same relative amount.
    """
    low = 0.0 if mode.startswith("EXPAND") else -ratio
    high = 0.0 if mode.startswith("SHRINK") else ratio
    ymin, xmin, ymax, xmax = tf.unstack(sample.boxes, axis=1)
    y, x = (ymin + ymax) / 2.0, (xmin + xmax) / 2.0
    height = tf.maximum(tf.abs(ymax - ymin), _SMALLEST_SIDE)
    width = tf.maximum(tf.abs(xmax - xmin), _SMALLEST_SIDE)
    shape = [tf.shape(sample.boxes)[0], 4]
    factors = 1.0 + tf.random.stateless_uniform(shape, draws.seed(), low, high)
    top, left, bottom, right = tf.unstack(factors, axis=1)
    if "SYMMETRIC" in mode:
        top, left = _symmetric_factors(y, x, height, width, top, left, together=mode.endswith("_XY"))
        bottom, right = top, left
    boxes = tf.stack(
        [y - height * top / 2.0, x - width * left / 2.0, y + height * bottom / 2.0, x + width * right / 2.0], axis=1
    )
    return samples.clip_boxes(dataclasses.replace(sample, boxes=boxes))


def _symmetric_factors(y, x, height, width, vertical, horizontal, together):
    """Limits the growth of boxes around their centers to the room that the image has."""
    room_y = tf.abs(2.0 * tf.minimum(y, 1.0 - y) / height)
    room_x = tf.abs(2.0 * tf.minimum(x, 1.0 - x) / width)
    if together:
        horizontal = vertical
        room_y = room_x = tf.minimum(room_y, room_x)
    return tf.clip_by_value(vertical, -room_y, room_y), tf.clip_by_value(horizontal, -room_x, room_x)


def drop_label_probabilistically(sample, draws, label, drop_probability=1.0):
    """Drops each box of a class, a 0-based index, with a probability."""
    chances = tf.random.stateless_uniform(tf.shape(sample.classes), draws.seed())
    return samples.keep_boxes(sample, (chances > drop_probability) | (sample.classes != label))


def remap_labels(sample, draws, original_labels, new_label):
    """Changes the class of boxes of some classes; all classes are 0-based indices."""
    del draws
    classes = sample.classes
    for label in original_labels:
        classes = tf.where(classes == label, new_label, classes)
    return dataclasses.replace(sample, classes=classes)
