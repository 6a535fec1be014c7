"""Augmentation that changes colors and leaves boxes as they are.

Images are float32 [h, w, 3] in 0..255, before and after. Scaling to 0..1 and back, which the Object Detection API does
around its operations, is left out where it does not change the result.
"""

import tensorflow as tf

from tfodhelper.inputs import sample as samples

_GRAY_WEIGHTS = (0.2989, 0.587, 0.114)


def normalize_image(sample, draws, original_minval, original_maxval, target_minval=0.0, target_maxval=1.0):
    """Maps one range of values to another, linearly."""
    del draws
    factor = (target_maxval - target_minval) / (original_maxval - original_minval)
    image = (samples.read_image(sample) - original_minval) * factor + target_minval
    return samples.replace_image(sample, image)


def subtract_channel_mean(sample, draws, means):
    """Subtracts one number per channel."""
    del draws
    return samples.replace_image(sample, samples.read_image(sample) - tf.constant(means, tf.float32))


def adjust_gamma(sample, draws, gamma=1.0, gain=1.0):
    """gain * value ** gamma, with values in 0..1."""
    del draws
    image = tf.pow(samples.read_image(sample) / 255.0, gamma) * (gain * 255.0)
    return _replace_clipped(sample, image)


def random_pixel_value_scale(sample, draws, minval=0.9, maxval=1.1):
    """Multiplies every value of every pixel by a number of its own."""
    image = samples.read_image(sample)
    factors = tf.random.stateless_uniform(tf.shape(image), draws.seed(), minval, maxval)
    return _replace_clipped(sample, image * factors)


def random_rgb_to_gray(sample, draws, probability=0.1):
    """Removes the color; three equal channels remain."""
    do = draws.happens(probability)
    image = samples.read_image(sample)

    def to_gray():
        gray = tf.reduce_sum(image * tf.constant(_GRAY_WEIGHTS), axis=-1, keepdims=True)
        return tf.tile(gray, [1, 1, 3])

    return samples.replace_image(sample, tf.cond(do, to_gray, lambda: image))


def random_adjust_brightness(sample, draws, max_delta=0.2):
    """Adds or subtracts up to `max_delta` of the full range."""
    delta = draws.uniform(-max_delta, max_delta)
    return _replace_clipped(sample, samples.read_image(sample) + delta * 255.0)


def random_adjust_contrast(sample, draws, min_delta=0.8, max_delta=1.25):
    """Scales the distance of each channel to its mean."""
    factor = draws.uniform(min_delta, max_delta)
    return _replace_clipped(sample, tf.image.adjust_contrast(samples.read_image(sample), factor))


def random_adjust_hue(sample, draws, max_delta=0.02):
    """Turns the hue by up to `max_delta` of the circle in either direction."""
    delta = draws.uniform(-max_delta, max_delta)
    return _replace_clipped(sample, tf.image.adjust_hue(samples.read_image(sample), delta))


def random_adjust_saturation(sample, draws, min_delta=0.8, max_delta=1.25):
    """Scales the saturation."""
    factor = draws.uniform(min_delta, max_delta)
    return _replace_clipped(sample, tf.image.adjust_saturation(samples.read_image(sample), factor))


def random_distort_color(sample, draws, color_ordering=0):
    """Brightness, contrast, saturation and hue at once, in one of two orders.

    Args:
      sample: a `Sample`.
      draws: `Draws`.
      color_ordering: 0 adjusts the contrast at the end, 1 right after the brightness.
    """
    sample = random_adjust_brightness(sample, draws, 32.0 / 255.0)
    if color_ordering == 1:
        sample = random_adjust_contrast(sample, draws, 0.5, 1.5)
    sample = random_adjust_saturation(sample, draws, 0.5, 1.5)
    sample = random_adjust_hue(sample, draws, 0.2)
    if color_ordering == 0:
        sample = random_adjust_contrast(sample, draws, 0.5, 1.5)
    return sample


def random_black_patches(sample, draws, max_black_patches=10, probability=0.5, size_to_image_ratio=0.1):
    """Blackens squares, each with a probability; their side is a fraction of the image's shorter side."""
    image = samples.read_image(sample)
    size = tf.shape(image)[:2]
    real_size = tf.cast(size, tf.float32)
    side = tf.cast(tf.reduce_min(real_size) * size_to_image_ratio, tf.int32)
    chances = tf.random.stateless_uniform([max_black_patches], draws.seed())
    corners = tf.random.stateless_uniform([max_black_patches, 2], draws.seed(), 0.0, 1.0 - size_to_image_ratio)
    corners = tf.cast(corners * real_size, tf.int32)
    in_rows, in_columns = (
        tf.cast(_in_range(tf.range(size[axis]), corners[:, axis, tf.newaxis], side), tf.float32) for axis in (0, 1)
    )
    in_rows *= tf.cast(chances <= probability, tf.float32)[:, tf.newaxis]
    covered = tf.linalg.matmul(in_rows, in_columns, transpose_a=True) > 0.0
    return samples.replace_image(sample, tf.where(covered[:, :, tf.newaxis], 0.0, image))


def random_jpeg_quality(sample, draws, random_coef=0.0, min_jpeg_quality=0, max_jpeg_quality=100):
    """Stores and reads the image as a JPEG of random quality, below `max_jpeg_quality`.

    With the probability `random_coef` it stays as it is.
    """
    do = draws.uniform() >= random_coef
    quality = draws.integer(min_jpeg_quality, max_jpeg_quality)
    image = samples.read_image(sample)

    def store_and_read():
        return tf.cast(tf.image.adjust_jpeg_quality(tf.cast(image, tf.uint8), quality), tf.float32)

    return samples.replace_image(sample, tf.cond(do, store_and_read, lambda: image))


def random_patch_gaussian(sample, draws, random_coef=0.0, patch_size_range=(1, 250), stddev_range=(0.0, 1.0)):
    """Adds noise inside a square; with the probability `random_coef` the image stays as it is.

    Args:
      sample: a `Sample`.
      draws: `Draws`.
      random_coef: see above.
      patch_size_range: side of the square in pixels; the upper bound is excluded.
      stddev_range: of the noise, with values in 0..1.
    """
    do = draws.uniform() >= random_coef
    side = draws.integer(*patch_size_range)
    stddev = draws.uniform(*stddev_range)
    image = samples.read_image(sample)
    shape = tf.shape(image)
    rows, columns = (
        _in_range(tf.range(shape[axis]), draws.integer(0, shape[axis]) - side // 2, side) for axis in (0, 1)
    )
    seed = draws.seed()

    def add_noise():
        noise = tf.random.stateless_normal(shape, seed) * (stddev * 255.0)
        noisy = tf.clip_by_value(image + noise, 0.0, 255.0)
        return tf.where((rows[:, tf.newaxis] & columns[tf.newaxis, :])[:, :, tf.newaxis], noisy, image)

    return samples.replace_image(sample, tf.cond(do, add_noise, lambda: image))


def _replace_clipped(sample, image):
    return samples.replace_image(sample, tf.clip_by_value(image, 0.0, 255.0))


def _in_range(positions, first, count):
    return (positions >= first) & (positions < first + count)
