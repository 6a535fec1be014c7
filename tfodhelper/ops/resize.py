"""Resizing images to the size that a model takes.

Both functions take one image [height, width, channels] or a batch of images of one size [batch, height, width,
channels], of any real dtype, and return float32 images in the range of the input together with the shape that the
image itself has in the result: int32 [3] (height, width, channels), or [batch, 3] for a batch. What lies outside that
shape, below and to the right of it, is padding.

The sampling grid is the one of TensorFlow 1 (corners not aligned, no half-pixel centres), because the published
detectors were trained with it.
"""

import tensorflow as tf

METHODS = {
    "BILINEAR": tf.image.ResizeMethod.BILINEAR,
    "NEAREST_NEIGHBOR": tf.image.ResizeMethod.NEAREST_NEIGHBOR,
    "BICUBIC": tf.image.ResizeMethod.BICUBIC,
    "AREA": tf.image.ResizeMethod.AREA,
}


def resize_to_fixed(image, height, width, method="BILINEAR"):
    """Resizes to exactly [height, width]; the aspect ratio may change.

    Args:
      image: [h, w, c] or [b, h, w, c], any real dtype.
      height: of the result, in pixels.
      width: of the result, in pixels.
      method: a key of `METHODS`.

    Returns:
      float32 [height, width, c] or [b, height, width, c], and the true shape, int32 [3] or [b, 3].
    """
    image = _as_resizable(image)
    resized = tf.compat.v1.image.resize(image, [height, width], method=METHODS[method])
    return tf.cast(resized, tf.float32), _true_shape(image, height, width)


def resize_keep_aspect_ratio(
    image, min_dimension, max_dimension, pad, method="BILINEAR", per_channel_pad_value=(0.0, 0.0, 0.0)
):
    """Resizes so that the short side becomes `min_dimension`, or less where the long side would exceed `max_dimension`.

    Args:
      image: [h, w, c] or [b, h, w, c], any real dtype.
      min_dimension: desired length of the short side, in pixels.
      max_dimension: greatest length of the long side, in pixels.
      pad: whether to pad below and to the right to [max_dimension, max_dimension].
      method: a key of `METHODS`.
      per_channel_pad_value: what to pad with, one number per channel.

    Returns:
      float32 image or images, and the true shape, int32 [3] or [b, 3].
    """
    image = _as_resizable(image)
    height, width = _height_and_width(image)
    landscape = height < width
    if isinstance(landscape, bool):
        box = [min_dimension, max_dimension] if landscape else [max_dimension, min_dimension]
    else:
        box = tf.where(landscape, [min_dimension, max_dimension], [max_dimension, min_dimension])
    resized = tf.compat.v1.image.resize(image, box, method=METHODS[method], preserve_aspect_ratio=True)
    resized = tf.cast(resized, tf.float32)
    height, width = _height_and_width(resized)
    true_shape = _true_shape(image, height, width)
    if pad:
        resized = _pad_to(resized, height, width, max_dimension, per_channel_pad_value)
    return resized, true_shape


def fill_padding(images, true_image_shapes, per_channel_value):
    """Sets everything outside the true shapes to one value per channel.

    Args:
      images: float32 [b, height, width, c].
      true_image_shapes: int32 [b, 3].
      per_channel_value: c numbers.

    Returns:
      float32 [b, height, width, c].
    """
    rows = tf.range(tf.shape(images)[1])[tf.newaxis, :] < true_image_shapes[:, :1]
    columns = tf.range(tf.shape(images)[2])[tf.newaxis, :] < true_image_shapes[:, 1:2]
    inside = rows[:, :, tf.newaxis, tf.newaxis] & columns[:, tf.newaxis, :, tf.newaxis]
    return tf.where(inside, images, tf.constant(per_channel_value, tf.float32))


def _as_resizable(image):
    """float32, or uint8 unchanged: the result is the same, without four times the bytes of a large photo."""
    image = tf.convert_to_tensor(image)
    return image if image.dtype == tf.uint8 else tf.cast(image, tf.float32)


def _height_and_width(image):
    """The two spatial sizes, as numbers where they are static."""
    static, dynamic = image.shape[-3:-1].as_list(), tf.shape(image)
    return [static[i] if static[i] is not None else dynamic[i - 3] for i in (0, 1)]


def _true_shape(image, height, width):
    """int32 [3], or [b, 3] where `image` is a batch."""
    channels = image.shape[-1] if image.shape[-1] is not None else tf.shape(image)[-1]
    shape = tf.stack([height, width, channels])
    if image.shape.rank == 3:
        return shape
    return tf.tile(shape[tf.newaxis], [tf.shape(image)[0], 1])


def _pad_to(image, height, width, size, per_channel_value):
    """Pads below and to the right to [size, size], with one value per channel."""
    around = [[0, 0]] * (image.shape.rank - 3) + [[0, size - height], [0, size - width]]
    channels = [
        tf.pad(image[..., i], around, constant_values=float(value)) for i, value in enumerate(per_channel_value)
    ]
    padded = tf.stack(channels, axis=-1)
    padded.set_shape([*image.shape[:-3], size, size, len(channels)])
    return padded
