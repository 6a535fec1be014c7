"""Operations of `autoaugment` that change colors, after those of Pillow with the same names.

Images are uint8 [h, w, 3], before and after; values are rounded down.
"""

import tensorflow as tf

_LEVELS = 256
_SMOOTHING = ((1, 1, 1), (1, 5, 1), (1, 1, 1))


def blend(start, image, factor):
    """start + factor * (image - start), clipped: less than the image below 1, more above."""
    start, image = tf.cast(start, tf.float32), tf.cast(image, tf.float32)
    return tf.cast(tf.clip_by_value(start + factor * (image - start), 0.0, 255.0), tf.uint8)


def color(image, factor):
    """Less or more saturated, compared with the gray image."""
    return blend(tf.image.rgb_to_grayscale(image), image, factor)


def contrast(image, factor):
    """Less or more contrast, compared with the mean gray."""
    gray = tf.cast(tf.image.rgb_to_grayscale(image), tf.float32)
    return blend(tf.floor(tf.reduce_mean(gray) + 0.5), image, factor)


def brightness(image, factor):
    """Darker or brighter, compared with black."""
    return blend(0.0, image, factor)


def sharpness(image, factor):
    """Smoother or sharper, compared with a smoothed image; the outermost pixels stay as they are."""
    kernel = tf.constant(_SMOOTHING, tf.float32)[:, :, tf.newaxis, tf.newaxis] / tf.reduce_sum(
        tf.constant(_SMOOTHING, tf.float32)
    )
    smooth = tf.nn.depthwise_conv2d(
        tf.cast(image, tf.float32)[tf.newaxis], tf.tile(kernel, [1, 1, 3, 1]), [1, 1, 1, 1], "SAME"
    )[0]
    smooth = tf.cast(tf.clip_by_value(smooth, 0.0, 255.0), tf.uint8)
    inner_rows, inner_columns = (_is_inner(tf.shape(image)[axis]) for axis in (0, 1))
    inner = (inner_rows[:, tf.newaxis] & inner_columns[tf.newaxis])[:, :, tf.newaxis]
    return blend(tf.where(inner, smooth, image), image, factor)


def _is_inner(length):
    positions = tf.range(length)
    return (positions > 0) & (positions < length - 1)


def posterize(image, bits):
    """Keeps the highest bits of each value, at least one."""
    dropped = tf.constant(8 - max(bits, 1), tf.uint8)
    return tf.bitwise.left_shift(tf.bitwise.right_shift(image, dropped), dropped)


def solarize(image, threshold):
    """Inverts the values from a threshold upwards."""
    return tf.where(tf.cast(image, tf.int32) < threshold, image, 255 - image)


def solarize_add(image, addition, threshold=128):
    """Adds a number to the values below a threshold, up to 255."""
    values = tf.cast(image, tf.int32)
    brighter = tf.cast(tf.clip_by_value(values + addition, 0, 255), tf.uint8)
    return tf.where(values < threshold, brighter, image)


def autocontrast(image):
    """Stretches each channel to 0..255; a channel with a single value stays as it is."""
    values = tf.cast(image, tf.float32)
    low, high = (tf.reduce_min(values, axis=[0, 1]), tf.reduce_max(values, axis=[0, 1]))
    scale = 255.0 / tf.maximum(high - low, 1.0)
    stretched = tf.cast(tf.clip_by_value(values * scale - low * scale, 0.0, 255.0), tf.uint8)
    return tf.where(high > low, stretched, image)


def equalize(image):
    """Makes the values of each channel about equally frequent."""
    channel_offsets = tf.range(3) * _LEVELS
    values = tf.cast(image, tf.int32)
    indices = values + channel_offsets
    counts = tf.math.bincount(tf.reshape(indices, [-1]), minlength=3 * _LEVELS, maxlength=3 * _LEVELS)
    of_highest = tf.gather(counts, tf.reduce_max(values, axis=[0, 1]) + channel_offsets)
    step = ((tf.size(values) // 3 - of_highest) // 255)[:, tf.newaxis]
    below = tf.cumsum(tf.reshape(counts, [3, _LEVELS]), axis=1, exclusive=True)
    equalized = tf.clip_by_value((below + step // 2) // tf.maximum(step, 1), 0, 255)
    table = tf.where(step > 0, equalized, tf.range(_LEVELS))
    return tf.cast(tf.gather(tf.reshape(table, [-1]), indices), tf.uint8)
