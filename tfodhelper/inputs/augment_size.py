"""Augmentation that changes the size of images in pixels.

Boxes are normalized and stay as they are, except where a part is cut out. Sampling grids are those of TensorFlow 1's
`resize_images`, as in the Object Detection API.
"""

import tensorflow as tf

from tfodhelper.inputs import augment_crop, augment_pad, masks
from tfodhelper.inputs import sample as samples

METHODS = ("BILINEAR", "NEAREST_NEIGHBOR", "BICUBIC", "AREA")


def random_image_scale(sample, draws, min_scale_ratio=0.5, max_scale_ratio=2.0):
    """Scales both sides by the same random factor; the corner pixels keep their values."""
    factor = draws.uniform(min_scale_ratio, max_scale_ratio)
    image = samples.read_image(sample)
    size = tf.cast(tf.cast(tf.shape(image)[:2], tf.float32) * factor, tf.int32)
    image = tf.compat.v1.image.resize_bilinear(image[tf.newaxis], size, align_corners=True)[0]
    return samples.replace_image(sample, image, lambda mask: masks.resize(mask, size, align_corners=True))


def resize_image(sample, draws, new_height, new_width, method="BILINEAR"):
    """Scales to a given size."""
    del draws
    size = [new_height, new_width]
    image = _resize(samples.read_image(sample), size, method)
    return samples.replace_image(sample, image, lambda mask: masks.resize(mask, size))


def random_resize_method(sample, draws, target_height, target_width):
    """Scales to a given size by one of four equally likely methods."""
    chosen = draws.integer(0, len(METHODS))
    image = samples.read_image(sample)
    size = [target_height, target_width]
    image = tf.switch_case(chosen, [lambda method=method: _resize(image, size, method) for method in METHODS])
    return samples.replace_image(sample, image, lambda mask: masks.resize(mask, size))


def random_downscale_to_target_pixels(
    sample, draws, random_coef=0.0, min_target_pixels=300000, max_target_pixels=800000
):
    """Shrinks an image to a random number of pixels, if it has more.

    With the probability `random_coef` it stays as it is.
    """
    do = draws.uniform() >= random_coef
    target = draws.integer(min_target_pixels, max_target_pixels)
    image = samples.read_image(sample)
    size = tf.shape(image)[:2]
    count = size[0] * size[1]
    factor = tf.sqrt(tf.cast(target, tf.float32) / tf.cast(count, tf.float32))
    new_size = tf.cast(factor * tf.cast(size, tf.float32), tf.int32)
    shrink = do & (count > target)
    image = tf.cond(shrink, lambda: _resize(image, new_size, "BILINEAR"), lambda: image)
    return samples.replace_image(sample, image, lambda mask: masks.resize(mask, tf.shape(image)[:2]))


def random_scale_crop_and_pad_to_square(sample, draws, output_size=512, scale_min=0.1, scale_max=2.0):
    """Scales the longer side to a random multiple of `output_size`, then crops or pads to a square of that size.

    Padding below and to the right is zero (Tan et al. 2020, arXiv 1911.09070, and the code published with it).
    """
    scale = draws.uniform(scale_min, scale_max)
    image = samples.read_image(sample)
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    scaled = tf.cast(scale * float(output_size) * (size / tf.reduce_max(size)), tf.int32)
    room = tf.maximum(0.0, tf.cast(scaled - output_size, tf.float32))
    offset = tf.cast(room * tf.stack([draws.uniform(), draws.uniform()]), tf.int32)
    y, x = tf.unstack(offset)
    image = _resize(image, scaled, "BILINEAR")[y : y + output_size, x : x + output_size]
    image = augment_pad.pad_image(image, 0, 0, output_size, output_size)

    def move_mask(mask):
        part = masks.crop(masks.resize(mask, scaled), y, x, output_size, output_size)
        return masks.pad(part, 0, 0, output_size, output_size)

    window = tf.cast(tf.concat([offset, offset + output_size], axis=0), tf.float32)
    window /= tf.cast(tf.tile(scaled, [2]), tf.float32)
    return augment_crop.keep_inside(samples.replace_image(sample, image, move_mask), window)


def _resize(image, size, method):
    resized = tf.compat.v1.image.resize(image, size, method=getattr(tf.image.ResizeMethod, method))
    return tf.ensure_shape(tf.cast(resized, tf.float32), [None, None, 3])
