"""Small pictures of images with boxes drawn on them, as JPEG bytes."""

import dataclasses
import io
import math

from PIL import Image

from tfodhelper import image_decoding
from tfodhelper.render import boxes

LONG_SIDE = 360  # pixels
_MARGIN_PX = 6  # a box that leaves the picture is drawn that far beyond its border


def make_thumbnail(path, marks, turn=False, long_side=LONG_SIDE, part=None):
    """Draws boxes on a small copy of an image, or of a part of it.

    Args:
      path: the image file, as a path or a binary file.
      marks: list of `boxes.Mark`s in pixels of the image; the first ones are on top.
      turn: whether the boxes are those of the image as EXIF turns it.
      long_side: pixels of the longer side at most.
      part: (left, top, right, bottom) in pixels of the image: what is shown of it, as far as it is inside; None: all.

    Returns:
      Bytes of a JPEG, or None for a file that cannot be decoded.
    """
    try:
        with image_decoding.opened(path) as image:
            picture, size, corner = _shrink(image, turn, long_side, part)
    except (OSError, image_decoding.UndecodableImageError):
        return None
    if part is not None:
        marks = [_shift(mark, corner) for mark in marks]
    boxes.draw_marks(picture, marks, (picture.width / size[0], picture.height / size[1]), _MARGIN_PX)
    buffer = io.BytesIO()
    # With colours at half the resolution, a thin red line on a dark picture would be nearly black.
    picture.save(buffer, "JPEG", quality=80, optimize=True, subsampling=0)
    return buffer.getvalue()


def _shrink(image, turn, long_side, part=None):
    """An RGB copy of an open image, on white where it is transparent; (width, height) and corner of what it shows.

    It is smaller than the image; a very small image is enlarged, so that boxes and labels in it can be seen.
    """
    size = image.size
    if part is None:  # else the part may need all of its pixels
        image.draft("RGB", (2 * long_side, 2 * long_side))
    image_decoding.load(image)
    image = image_decoding.turn_upright(image, image_decoding.orientation_of(image)) if turn else image
    size = size[::-1] if turn and (image.width > image.height) != (size[0] > size[1]) else size
    corner = (0, 0)
    if part is not None:
        image, corner = _cut(image, part)
        size = image.size
    image.thumbnail((long_side, long_side))
    picture = Image.new("RGB", image.size, "white")
    clear = image.convert("RGBA") if image.mode in ("P", "LA", "PA", "RGBA") else None
    picture.paste(clear or image.convert("RGB"), mask=clear)
    factor = long_side // max(picture.size)
    return (picture.resize([side * factor for side in picture.size]) if factor > 1 else picture), size, corner


def _cut(image, part):
    """The part of an image that is inside it, at least one pixel, and its left top corner."""
    left, top = (min(max(0, math.floor(part[i])), image.size[i] - 1) for i in (0, 1))
    right, bottom = (max(min(image.size[i], math.ceil(part[i + 2])), (left, top)[i] + 1) for i in (0, 1))
    return image.crop((left, top, right, bottom)), (left, top)


def _shift(mark, corner):
    """A mark in pixels of what begins at a corner."""
    x, y = corner
    return dataclasses.replace(mark, xmin=mark.xmin - x, xmax=mark.xmax - x, ymin=mark.ymin - y, ymax=mark.ymax - y)
