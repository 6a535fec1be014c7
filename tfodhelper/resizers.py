"""The image_resizer of a pipeline.config as one function."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfodhelper import errors
from tfodhelper.families import values
from tfodhelper.ops import resize

_METHODS = {0: "BILINEAR", 1: "NEAREST_NEIGHBOR", 2: "BICUBIC", 3: "AREA"}


@dataclasses.dataclass(frozen=True)
class Resizer:
    """Resizes an image, or a batch of images of one size, to the size that the model takes.

    Attributes:
      resize: image [..., h, w, 3] of any real dtype -> float32 image and its true shape, int32 [..., 3]; see
        `ops.resize`.
      height: of every result in pixels, or None where it depends on the image.
      width: likewise.
      padding: the three values of padded pixels in the normalized input, or None where nothing is padded.
    """

    resize: Callable
    height: int | None
    width: int | None
    padding: tuple | None = None

    def __call__(self, image):
        image = tf.convert_to_tensor(image)
        batch = [image.shape[0]] if image.shape.rank == 4 else []
        result, true_shape = self.resize(image)
        result.set_shape([*batch, self.height, self.width, 3])
        return result, tf.ensure_shape(tf.cast(true_shape, tf.int32), [*batch, 3])


def build_resizer(config):
    """Builds the resizer of an `ImageResizer` message.

    Raises:
      ConfigError: when there is none, when it is not supported, or when it would leave one channel.
    """
    kind = config.WhichOneof("image_resizer_oneof")
    if kind not in _BUILDERS:
        raise errors.ConfigError(
            "image_resizer: no supported resizer", expected=f"one of {', '.join(_BUILDERS)}", received=kind
        )
    options = getattr(config, kind)
    if kind != "identity_resizer" and options.convert_to_grayscale:
        raise errors.ConfigError(
            f"image_resizer.{kind}.convert_to_grayscale: detectors take three channels", fix="remove it"
        )
    values.check_resizer(config)
    return _BUILDERS[kind](options)


def _fixed_shape(options):
    height, width, method = options.height, options.width, _METHODS[options.resize_method]
    return Resizer(lambda image: resize.resize_to_fixed(image, height, width, method), height, width)


def _keep_aspect_ratio(options):
    low, high, pad = options.min_dimension, options.max_dimension, options.pad_to_max_dimension
    method, color = _METHODS[options.resize_method], (0.0, 0.0, 0.0)
    if len(options.per_channel_pad_value):
        color = tuple(float(value) for value in options.per_channel_pad_value)
    side = high if pad else None
    return Resizer(
        lambda image: resize.resize_keep_aspect_ratio(image, low, high, pad, method, color),
        side,
        side,
        padding=color if pad else None,
    )


def _conditional_shape(options):
    """Scales an image whose longer side is too long or whose shorter side is too short, keeping its aspect ratio."""
    if options.condition not in (1, 2):
        raise errors.ConfigError("conditional_shape_resizer.condition", expected="GREATER or SMALLER")
    greater, limit, method = options.condition == 1, options.size_threshold, _METHODS[options.resize_method]

    def shape_and_resize(image):
        size = tf.cast(tf.shape(image)[-3:-1], tf.float32)
        side = tf.reduce_max(size) if greater else tf.reduce_min(size)
        target = tf.minimum(side, float(limit)) if greater else tf.maximum(side, float(limit))
        height, width = tf.unstack(tf.cast(tf.round(size * (target / side)), tf.int32))
        return resize.resize_to_fixed(image, height, width, method)

    return Resizer(shape_and_resize, None, None)


def _pad_to_multiple(options):
    multiple = options.multiple
    if multiple < 1:
        raise errors.ConfigError("pad_to_multiple_resizer.multiple", expected="at least 1", received=multiple)

    def pad(image):
        missing = -tf.shape(image)[-3:-1] % multiple
        paddings = [[0, 0]] * (image.shape.rank - 3) + [[0, missing[0]], [0, missing[1]], [0, 0]]
        return tf.pad(tf.cast(image, tf.float32), paddings), _shape_of_each(image)

    return Resizer(pad, None, None, padding=(0.0, 0.0, 0.0))


def _identity(options):
    del options
    return Resizer(lambda image: (tf.cast(image, tf.float32), _shape_of_each(image)), None, None)


def _shape_of_each(image):
    """The shape of an image, or one shape for each image of a batch."""
    shape = tf.shape(image)
    return shape if image.shape.rank == 3 else tf.tile(shape[tf.newaxis, 1:], [shape[0], 1])


_BUILDERS = {
    "fixed_shape_resizer": _fixed_shape,
    "keep_aspect_ratio_resizer": _keep_aspect_ratio,
    "conditional_shape_resizer": _conditional_shape,
    "pad_to_multiple_resizer": _pad_to_multiple,
    "identity_resizer": _identity,
}
