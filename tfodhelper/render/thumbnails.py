"""Small pictures of images with boxes drawn on them, as JPEG bytes."""

import io

from PIL import Image

from tfodhelper import image_decoding
from tfodhelper.render import boxes

LONG_SIDE = 360  # pixels
_MARGIN_PX = 6  # a box that leaves the picture is drawn that far beyond its border


def make_thumbnail(path, marks, turn=False, long_side=LONG_SIDE):
    """Draws boxes on a small copy of an image.

    Args:
      path: the image file, as a path or a binary file.
      marks: list of `boxes.Mark`s in pixels of the image; the first ones are on top.
      turn: whether the boxes are those of the image as EXIF turns it.
      long_side: pixels of the longer side at most.

    Returns:
      Bytes of a JPEG, or None for a file that cannot be decoded.
    """
    try:
        with image_decoding.opened(path) as image:
            picture, size = _shrink(image, turn, long_side)
    except (OSError, image_decoding.UndecodableImageError):
        return None
    boxes.draw_marks(picture, marks, (picture.width / size[0], picture.height / size[1]), _MARGIN_PX)
    buffer = io.BytesIO()
    # With colours at half the resolution, a thin red line on a dark picture would be nearly black.
    picture.save(buffer, "JPEG", quality=80, optimize=True, subsampling=0)
    return buffer.getvalue()


def _shrink(image, turn, long_side):
    """An RGB copy of an open image, on white where it is transparent, and (width, height) of the whole image.

    It is smaller than the image; a very small image is enlarged, so that boxes and labels in it can be seen.
    """
    size = image.size
    image.draft("RGB", (2 * long_side, 2 * long_side))
    image_decoding.load(image)
    image = image_decoding.turn_upright(image, image_decoding.orientation_of(image)) if turn else image
    size = size[::-1] if turn and (image.width > image.height) != (size[0] > size[1]) else size
    image.thumbnail((long_side, long_side))
    picture = Image.new("RGB", image.size, "white")
    clear = image.convert("RGBA") if image.mode in ("P", "LA", "PA", "RGBA") else None
    picture.paste(clear or image.convert("RGB"), mask=clear)
    factor = long_side // max(picture.size)
    return (picture.resize([side * factor for side in picture.size]) if factor > 1 else picture), size
