"""Learned augmentation policies for detection (Zoph et al. 2019, arXiv 1906.11172): `autoaugment_image`.

A policy is a list of sub-policies, of which each image gets one. A sub-policy is a sequence of operations; each has a
probability and a magnitude from 0 to 10. The policies and the meaning of the magnitudes are those that were published
with the Object Detection API. Three things differ on purpose: boxes are moved exactly instead of being rounded to whole
pixels, a box that leaves the image is dropped instead of being replaced by a strip at the border, and contrast is
changed around the mean of the image, as in the paper's description, where the published code takes a number that
depends only on the count of pixels.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfodhelper.inputs import autoaugment_boxes, autoaugment_color, autoaugment_geometry
from tfodhelper.inputs import sample as samples

LARGEST_MAGNITUDE = 10
GRAY = 128  # fills what an operation leaves empty
_ONLY_BOXES = 1 / 3  # of the probability: neighbouring boxes overlap, and each would be changed several times


@dataclasses.dataclass(frozen=True)
class Randomness:
    """The random numbers for one operation; drawn before branches of the graph, so that all branches can share them.

    Attributes:
      chance: float32 scalar in [0, 1): the operation happens if it is below the probability.
      sign: float32 scalar, 1 or -1, the direction.
      where: two float32 scalars in [0, 1), a position.
      seed: int64 [2], for numbers per box.
    """

    chance: Any
    sign: Any
    where: tuple
    seed: Any


def draw_randomness(draws):
    """A `Randomness` from `Draws`."""
    return Randomness(
        chance=draws.uniform(),
        sign=tf.where(draws.happens(0.5), 1.0, -1.0),
        where=(draws.uniform(), draws.uniform()),
        seed=draws.seed(),
    )


def autoaugment_image(sample, draws, policy):
    """Applies one sub-policy of a policy, chosen at random.

    Args:
      sample: a `Sample`; its image has values in 0..255.
      draws: `Draws`.
      policy: a tuple of sub-policies, see `autoaugment_policies`.

    Returns:
      A `Sample` whose image has whole values in 0..255. Boxes that no longer have an area are dropped.
    """
    chosen = draws.integer(0, len(policy))
    randomness = [draw_randomness(draws) for _ in range(max(map(len, policy)))]
    image = tf.cast(tf.clip_by_value(samples.read_image(sample), 0.0, 255.0), tf.uint8)

    def apply(pixels, operations, fill):
        branches = [
            functools.partial(_apply, sub_policy, pixels, sample.boxes, randomness, operations, fill)
            for sub_policy in policy
        ]
        return tf.switch_case(chosen, branches)

    def move_mask(mask):
        return apply(mask[:, :, tf.newaxis], _MOVING, 0)[0][:, :, 0]

    image, boxes = apply(image, OPERATIONS, GRAY)
    image.set_shape([None, None, 3])
    sample = samples.replace_image(sample, tf.cast(image, tf.float32), move_mask)
    sides = boxes[:, 2:] - boxes[:, :2]
    return samples.keep_boxes(dataclasses.replace(sample, boxes=boxes), tf.reduce_all(sides > 0.0, axis=1))


def _apply(sub_policy, image, boxes, randomness, operations, fill):
    """Applies the operations of a sub-policy, as far as they are among the given ones; returns (image, boxes).

    Args:
      sub_policy: (name, probability, magnitude) of each operation.
      image: uint8 [h, w, c].
      boxes: float32 [N, 4].
      randomness: a `Randomness` for each operation.
      operations: {name: `Operation`}.
      fill: value of the pixels that an operation leaves empty.
    """
    for (name, probability, magnitude), random in zip(sub_policy, randomness):
        operation = operations.get(name)
        if operation is None:
            continue
        change = functools.partial(operation.change, image, boxes, magnitude, probability, random, fill)
        if operation.draws_per_box:
            image, boxes = change()
        elif probability > 0.0:
            unchanged = functools.partial(lambda *pair: tuple(map(tf.identity, pair)), image, boxes)
            image, boxes = tf.cond(random.chance < probability, change, unchanged)
        image = tf.ensure_shape(image, [None, None, image.shape[-1]])
        boxes = tf.ensure_shape(boxes, [None, 4])
    return tf.identity(image), tf.identity(boxes)


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
      change: function of (image, boxes, magnitude, probability, `Randomness`, fill), returns (image, boxes). Images are
        uint8 [h, w, 3], boxes float32 [N, 4], normalized to the image.
      draws_per_box: whether the operation happens for each box on its own, so that it uses the probability itself.
      moves: whether it moves pixels, and with them masks, which it then takes as images of one channel.
    """

    change: Callable
    draws_per_box: bool = False
    moves: bool = False


def _of_colors(recolor, argument=None):
    """An operation on pixels alone; `argument` turns the magnitude into an argument of `recolor`."""

    def change(image, boxes, magnitude, probability, random, fill):
        del probability, random, fill
        return recolor(image, *([argument(magnitude)] if argument else [])), boxes

    return Operation(change)


def _of_geometry(make_transform, largest):
    """An operation that moves pixels and boxes; `largest` is the argument for the largest magnitude."""

    def change(image, boxes, magnitude, probability, random, fill):
        del probability
        amount = random.sign * (magnitude / LARGEST_MAGNITUDE * largest)
        transform = make_transform(amount, tf.shape(image))
        return (
            autoaugment_geometry.transform_image(image, transform, fill),
            autoaugment_geometry.transform_boxes(boxes, transform, tf.shape(image)),
        )

    return Operation(change, moves=True)


def _inside_boxes(change_content, moves=False):
    """An operation on the pixels inside each box, which leaves the boxes as they are.

    Args:
      change_content: function of (content, magnitude, random, fill), where the content of a box is uint8 [h, w, 3] and
        `random` a `Randomness`; returns the new content.
      moves: see `Operation`.
    """

    def change(image, boxes, magnitude, probability, random, fill):
        changed = autoaugment_boxes.change_contents(
            image,
            boxes,
            lambda content, where: change_content(content, magnitude, dataclasses.replace(random, where=where), fill),
            probability * _ONLY_BOXES,
            random.seed,
        )
        return changed, boxes

    return Operation(change, draws_per_box=True, moves=moves)


def _move_inside_boxes(make_transform, largest):
    """An operation that moves the content of each box within the box."""

    def change(content, magnitude, random, fill):
        amount = random.sign * (magnitude / LARGEST_MAGNITUDE * largest)
        return autoaugment_geometry.transform_image(content, make_transform(amount, tf.shape(content)), fill)

    return _inside_boxes(change, moves=True)


def _cut_out(largest):
    def change(image, magnitude, random, fill):
        half_side = int(magnitude / LARGEST_MAGNITUDE * largest)
        return autoaugment_boxes.cut_out(image, half_side, random.where, fill)

    return change


def _cutout(image, boxes, magnitude, probability, random, fill):
    del probability
    return _cut_out(100)(image, magnitude, random, fill), boxes


def _bbox_cutout(image, boxes, magnitude, probability, random, fill):
    del probability
    fraction = magnitude / LARGEST_MAGNITUDE * 0.75
    return autoaugment_boxes.cut_out_of_one_box(image, boxes, fraction, random.where, random.seed, fill), boxes


def _whole(largest):
    return lambda magnitude: int(magnitude / LARGEST_MAGNITUDE * largest)


def _enhancement(magnitude):
    """From 0.1, much less than in the image, to 1.9, much more."""
    return magnitude / LARGEST_MAGNITUDE * 1.8 + 0.1


_DEGREES, _SHEAR, _TRANSLATION_PX, _TRANSLATION_IN_BOXES_PX = 30.0, 0.3, 250.0, 120.0

# By the names of the published policies.
OPERATIONS = {
    "AutoContrast": _of_colors(autoaugment_color.autocontrast),
    "Equalize": _of_colors(autoaugment_color.equalize),
    "Posterize": _of_colors(autoaugment_color.posterize, _whole(4)),
    "Solarize": _of_colors(autoaugment_color.solarize, _whole(256)),
    "SolarizeAdd": _of_colors(autoaugment_color.solarize_add, _whole(110)),
    "Color": _of_colors(autoaugment_color.color, _enhancement),
    "Contrast": _of_colors(autoaugment_color.contrast, _enhancement),
    "Brightness": _of_colors(autoaugment_color.brightness, _enhancement),
    "Sharpness": _of_colors(autoaugment_color.sharpness, _enhancement),
    "Cutout": Operation(_cutout),
    "BBox_Cutout": Operation(_bbox_cutout),
    "Rotate_BBox": _of_geometry(autoaugment_geometry.rotation, _DEGREES),
    "TranslateX_BBox": _of_geometry(autoaugment_geometry.translation_x, _TRANSLATION_PX),
    "TranslateY_BBox": _of_geometry(autoaugment_geometry.translation_y, _TRANSLATION_PX),
    "ShearX_BBox": _of_geometry(autoaugment_geometry.shear_x, _SHEAR),
    "ShearY_BBox": _of_geometry(autoaugment_geometry.shear_y, _SHEAR),
    "Rotate_Only_BBoxes": _move_inside_boxes(autoaugment_geometry.rotation, _DEGREES),
    "ShearX_Only_BBoxes": _move_inside_boxes(autoaugment_geometry.shear_x, _SHEAR),
    "ShearY_Only_BBoxes": _move_inside_boxes(autoaugment_geometry.shear_y, _SHEAR),
    "TranslateX_Only_BBoxes": _move_inside_boxes(autoaugment_geometry.translation_x, _TRANSLATION_IN_BOXES_PX),
    "TranslateY_Only_BBoxes": _move_inside_boxes(autoaugment_geometry.translation_y, _TRANSLATION_IN_BOXES_PX),
    "Flip_Only_BBoxes": _inside_boxes(lambda content, magnitude, random, fill: content[:, ::-1], moves=True),
    "Solarize_Only_BBoxes": _inside_boxes(
        lambda content, magnitude, random, fill: autoaugment_color.solarize(content, _whole(256)(magnitude))
    ),
    "Equalize_Only_BBoxes": _inside_boxes(lambda content, magnitude, random, fill: autoaugment_color.equalize(content)),
    "Cutout_Only_BBoxes": _inside_boxes(_cut_out(50)),
}
_MOVING = {name: operation for name, operation in OPERATIONS.items() if operation.moves}
