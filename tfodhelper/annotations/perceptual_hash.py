"""A 64-bit fingerprint of an image's content, robust to scaling, re-encoding and small changes of brightness.

The hash is the usual pHash: a 32 x 32 grey copy is cosine transformed, and the 8 x 8 lowest frequencies are compared
with their median (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2.1).
Two images are near duplicates when few bits differ.
"""

import functools

import numpy as np
from PIL import Image

from tfodhelper import image_decoding

HASH_SIDE = 32  # pixels; a grey copy of this size is transformed
DRAFT_SIZE = (2 * HASH_SIDE, 2 * HASH_SIDE)  # a JPEG is decoded at the smallest fraction that is at least as large
NUM_BITS = 64
_KEPT = 8  # lowest frequencies in each direction
_MIN_CONTRAST = 2.0  # standard deviation of the grey copy; below it the bits are noise


@functools.cache
def _cosines():
    """[8, 32] rows 0..7 of the orthonormal DCT-II."""
    frequency, position = np.arange(_KEPT)[:, None], np.arange(HASH_SIDE)[None, :]
    rows = np.cos(np.pi * (2 * position + 1) * frequency / (2 * HASH_SIDE)) * np.sqrt(2.0 / HASH_SIDE)
    rows[0] /= np.sqrt(2.0)
    return rows


def hash_image(image):
    """The fingerprint of an image.

    Args:
      image: PIL.Image of any mode and size.

    Returns:
      A 64-bit integer, or None for an image with hardly any contrast, which would resemble every other such image.
    """
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA").convert("RGB")
    if image.mode.startswith(("I", "F")):
        image = image.convert("F")
    else:
        image = image.convert("L")
    grey = np.asarray(image.resize((HASH_SIDE, HASH_SIDE), Image.Resampling.BOX), np.float64)
    if not np.isfinite(grey).all() or grey.std() < _MIN_CONTRAST:
        return None
    low = (_cosines() @ grey @ _cosines().T).ravel()
    bits = low > np.median(low[1:])  # the first is the mean brightness, which is not distinctive
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hash_file(path):
    """The fingerprint of an image file; None also when the file cannot be decoded."""
    try:
        with image_decoding.opened(path) as image:
            image.draft(None, DRAFT_SIZE)
            image_decoding.load(image)
            return hash_image(image)
    except (OSError, image_decoding.UndecodableImageError):
        return None


def distance(first, second):
    """The number of bits in which two fingerprints differ."""
    return (first ^ second).bit_count()
