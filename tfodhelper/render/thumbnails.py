"""Small pictures of images with boxes drawn on them, as JPEG bytes."""

import dataclasses
import io
import warnings

from PIL import Image, ImageDraw, ImageOps

LONG_SIDE = 360  # pixels
BAD, GOOD, DOUBTFUL = "#ff1744", "#00e5ff", "#ffea00"
_DARK = "#181818"
_LETTERS_PX = 12
_BEYOND_PX = 6  # a box that leaves the picture is drawn that far beyond its border


@dataclasses.dataclass(frozen=True)
class Mark:
    """A box to draw: corners in pixels of the image, colour, and a short text or ""."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float
    color: str = GOOD
    text: str = ""


def make_thumbnail(path, marks, turn=False, long_side=LONG_SIDE):
    """Draws boxes on a small copy of an image.

    Args:
      path: the image file.
      marks: `Mark`s; later ones lie on top.
      turn: whether the boxes are those of the image as EXIF turns it.
      long_side: pixels of the longer side at most.

    Returns:
      Bytes of a JPEG, or None for a file that cannot be decoded.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            size = image.size
            image.draft("RGB", (2 * long_side, 2 * long_side))
            image = ImageOps.exif_transpose(image) if turn else image
            size = size[::-1] if turn and (image.width > image.height) != (size[0] > size[1]) else size
            image.thumbnail((long_side, long_side))
            picture = Image.new("RGB", image.size, "white")
            clear = image.convert("RGBA") if image.mode in ("P", "LA", "PA", "RGBA") else None
            picture.paste(clear or image.convert("RGB"), mask=clear)
    except (OSError, ValueError, SyntaxError, OverflowError, EOFError, IndexError, Image.DecompressionBombError):
        return None
    canvas = ImageDraw.Draw(picture)
    for mark in marks:
        _draw(canvas, mark, picture.width / size[0], picture.height / size[1], picture.size)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _draw(canvas, mark, x_scale, y_scale, size):
    left, right = sorted(_limit(x * x_scale, size[0]) for x in (mark.xmin, mark.xmax))
    top, bottom = sorted(_limit(y * y_scale, size[1]) for y in (mark.ymin, mark.ymax))
    canvas.rectangle([left - 1, top - 1, right + 1, bottom + 1], outline=_DARK)
    canvas.rectangle([left, top, max(left + 1, right), max(top + 1, bottom)], outline=mark.color, width=2)
    if mark.text:
        x, y = max(0, min(left, size[0] - 20)), top - _LETTERS_PX if top >= _LETTERS_PX else top + 2
        text = mark.text[:40]
        canvas.rectangle(canvas.textbbox((x + 1, y), text), fill=_DARK)
        canvas.text((x + 1, y), text, fill=mark.color)


def _limit(value, side):
    return min(max(value, -_BEYOND_PX), side + _BEYOND_PX)
