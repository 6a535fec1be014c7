"""What the page shows of an image: a reduced picture of all of it, and parts of it in full resolution.

A browser could not hold an image of fifty megapixels several times over, and it would turn and decode some of our
formats in its own way; so it gets JPEGs that are upright and not larger than a screen needs.
"""

import contextlib
import io
import threading

from PIL import Image

from tfodhelper import image_decoding
from tfodhelper.annotations.structures import UnusableFile

LONG_SIDE = 2048  # pixels of a picture, and of a part
_QUALITY, _PART_QUALITY = 88, 94


class Pictures:
    """Makes pictures of images; the last decoded image is kept, since parts are requested one after another."""

    def __init__(self):
        self._lock, self._path, self._image = threading.Lock(), None, None

    def picture(self, path):
        """A picture of a whole image, reduced if it is large.

        Args:
          path: of the image.

        Returns:
          Bytes of a JPEG.

        Raises:
          UnusableFile: the image cannot be decoded.
        """
        with self._lock, _explained(path), image_decoding.opened(path) as image:
            image.draft(None, (LONG_SIDE, LONG_SIDE))  # decodes a JPEG at a fraction of its size
            image = _decode(image)
            image.thumbnail((LONG_SIDE, LONG_SIDE))
            return _encode(image, _QUALITY)

    def part(self, path, area, scale):
        """A part of an image.

        Args:
          path: of the image.
          area: (left, top, right, bottom) in pixels of the upright image; what is outside of it is left out.
          scale: pixels of the result for each pixel of the image, at most 1.

        Returns:
          Bytes of a JPEG.

        Raises:
          UnusableFile: the image cannot be decoded, or nothing of it is in the area.
        """
        with self._lock, _explained(path):
            if self._path != path:
                self._path = self._image = None  # before the next one needs memory
                with image_decoding.opened(path) as image:
                    self._image = _decode(image)
                self._path = path
            left, top, right, bottom = area
            left, top = max(0, left), max(0, top)
            right, bottom = min(self._image.width, right), min(self._image.height, bottom)
            if left >= right or top >= bottom:
                raise UnusableFile("image-unreadable", path, "has no pixels in this area")
            size = right - left, bottom - top
            scale = min(scale, 1.0, LONG_SIDE / max(size))
            target = tuple(max(1, round(side * scale)) for side in size)
            piece = self._image.resize(target, Image.Resampling.BOX, (left, top, right, bottom), reducing_gap=2.0)
            return _encode(piece, _PART_QUALITY)


def _decode(image):
    """All pixels of an open image: upright, grey or RGB, on white where it is transparent."""
    image_decoding.load(image)
    image = image_decoding.turn_upright(image, image_decoding.orientation_of(image))
    if image.mode in ("P", "LA", "PA", "RGBA") and (image.mode != "P" or "transparency" in image.info):
        clear = image.convert("RGBA")
        image = Image.new("RGB", clear.size, "white")
        image.paste(clear, mask=clear)
        return image
    return image_decoding.to_rgb_or_grey(image)


def _encode(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


@contextlib.contextmanager
def _explained(path):
    """Turns the errors of decoding into `UnusableFile`."""
    try:
        yield
    except image_decoding.UndecodableImageError as error:
        raise UnusableFile("image-unreadable", path, f"cannot be decoded ({error.reason})") from None
    except OSError as error:
        raise UnusableFile("image-unreadable", path, f"cannot be read ({error.strerror})") from error
