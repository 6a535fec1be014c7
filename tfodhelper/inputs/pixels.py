"""Pixels that are decoded late: crops, flips and turns are noted first and applied once, to the part that is left.

Decoding is the most expensive step of an input pipeline. A `Picture` therefore keeps an image as it is stored, with a
window and up to three mirrorings, and `read_pixels` decodes only that window. The pixels are the same as when the whole
image is decoded first.
"""

import dataclasses
from typing import Any

import tensorflow as tf

from tfodhelper import jpeg_dct

# Smooth chroma upsampling uses one pixel on each side, and libjpeg skips it where a window is less than five pixels
# wide; with four pixels around it, a window has the same pixels as in the whole image.
_MARGIN = 4


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image, as encoded bytes or as pixels, and the part and position in which it is seen.

    The picture seen is `source[window]`, first transposed, then turned upside down, then mirrored left to right, each
    if its flag is true. The flags are Python's False until an operation sets them, then scalar bool tensors.

    Attributes:
      encoded: string scalar, or None if there are only pixels.
      is_jpeg: bool scalar: whether `encoded` is a JPEG, by its bytes.
      pixels: [h, w, 3], the source as pixels; empty if `encoded` is a JPEG.
      window: int32 scalars (y, x, height, width) in the source.
      transposed, upside_down, mirrored: see above.
      dct_method: of JPEGs, see `jpeg_dct.method_of`.
    """

    encoded: Any
    is_jpeg: Any
    pixels: tf.Tensor
    window: tuple
    transposed: Any = False
    upside_down: Any = False
    mirrored: Any = False
    dct_method: str = jpeg_dct.method_of(jpeg_dct.ACCURATE)

    @property
    def size(self):
        """(height, width), int32 scalars, as the picture is seen."""
        _, _, height, width = self.window
        if self.transposed is False:
            return height, width
        return tf.where(self.transposed, width, height), tf.where(self.transposed, height, width)


def make_picture_from_bytes(encoded, dct=jpeg_dct.ACCURATE):
    """A picture of a whole stored image; of a JPEG only the header is read, other formats are decoded.

    Args:
      encoded: string scalar: the bytes of a JPEG, PNG, GIF (first frame) or BMP.
      dct: how JPEGs are decoded, a key of `jpeg_dct.CHOICES`.
    """
    is_jpeg = tf.io.is_jpeg(encoded)

    def of_jpeg():
        return tf.zeros([0, 0, 3], tf.uint8), tf.io.extract_jpeg_shape(encoded)[:2]

    def of_others():
        pixels = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        return pixels, tf.shape(pixels)[:2]

    pixels, size = tf.cond(is_jpeg, of_jpeg, of_others)
    pixels.set_shape([None, None, 3])
    return Picture(encoded, is_jpeg, pixels, (0, 0, size[0], size[1]), dct_method=jpeg_dct.method_of(dct))


def make_picture_from_pixels(pixels):
    """A picture of pixels [h, w, 3] of any dtype."""
    shape = tf.shape(pixels)
    return Picture(None, None, pixels, (0, 0, shape[0], shape[1]))


def crop(picture, y, x, height, width):
    """Narrows a picture to a window: int32 scalars in the frame in which it is seen."""
    seen_height, seen_width = picture.size
    if picture.upside_down is not False:
        y = tf.where(picture.upside_down, seen_height - y - height, y)
    if picture.mirrored is not False:
        x = tf.where(picture.mirrored, seen_width - x - width, x)
    if picture.transposed is not False:
        y, x = tf.where(picture.transposed, x, y), tf.where(picture.transposed, y, x)
        height, width = (
            tf.where(picture.transposed, width, height),
            tf.where(picture.transposed, height, width),
        )
    source_y, source_x, _, _ = picture.window
    return dataclasses.replace(picture, window=(source_y + y, source_x + x, height, width))


def mirror(picture, do):
    """Mirrors left to right where `do` (bool scalar) is true."""
    return dataclasses.replace(picture, mirrored=_differ(picture.mirrored, do))


def turn_upside_down(picture, do):
    """Mirrors top to bottom where `do` (bool scalar) is true."""
    return dataclasses.replace(picture, upside_down=_differ(picture.upside_down, do))


def rotate90(picture, do):
    """Turns counter-clockwise by 90 degrees where `do` (bool scalar) is true.

    The turn is a transposition followed by mirroring top to bottom; a transposition after the two mirrorings swaps
    them.
    """
    upside_down, mirrored = (tf.convert_to_tensor(flag) for flag in (picture.upside_down, picture.mirrored))
    return dataclasses.replace(
        picture,
        transposed=_differ(picture.transposed, do),
        upside_down=tf.where(do, tf.logical_not(mirrored), upside_down),
        mirrored=tf.where(do, upside_down, mirrored),
    )


def read_pixels(picture):
    """The pixels as they are seen, [h, w, 3], uint8 where the picture is a stored image."""
    if picture.encoded is None:
        pixels = _slice(picture.pixels, picture.window)
    else:
        pixels = tf.cond(
            picture.is_jpeg,
            lambda: _decode_jpeg_window(picture.encoded, picture.window, picture.dct_method),
            lambda: _slice(picture.pixels, picture.window),
        )
    pixels.set_shape([None, None, 3])
    if picture.transposed is not False:
        pixels = _where(picture.transposed, lambda: tf.transpose(pixels, [1, 0, 2]), pixels)
    if picture.upside_down is not False:
        upright = pixels
        pixels = _where(picture.upside_down, lambda: tf.reverse(upright, [0]), upright)
    if picture.mirrored is not False:
        unmirrored = pixels
        pixels = _where(picture.mirrored, lambda: tf.reverse(unmirrored, [1]), unmirrored)
    return pixels


def _differ(flag, do):
    return do if flag is False else tf.not_equal(flag, do)


def _where(flag, make, pixels):
    result = tf.cond(flag, make, lambda: tf.identity(pixels))
    result.set_shape([None, None, 3])
    return result


def _slice(pixels, window):
    y, x, height, width = window
    return pixels[y : y + height, x : x + width]


def _decode_jpeg_window(encoded, window, dct_method):
    y, x, height, width = window
    size = tf.io.extract_jpeg_shape(encoded)
    top, left = tf.maximum(y - _MARGIN, 0), tf.maximum(x - _MARGIN, 0)
    bottom, right = tf.minimum(y + height + _MARGIN, size[0]), tf.minimum(x + width + _MARGIN, size[1])
    wide = tf.io.decode_and_crop_jpeg(
        encoded, tf.stack([top, left, bottom - top, right - left]), channels=3, dct_method=dct_method
    )
    return _slice(wide, (y - top, x - left, height, width))
