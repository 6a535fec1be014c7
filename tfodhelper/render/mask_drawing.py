"""Masks on pictures: translucent areas with outlines."""

import numpy as np
from PIL import Image, ImageFilter

from tfodhelper.render import palette

_OPACITY = 0.4


def draw_mask(picture, mask, color, line):
    """Colours the pixels of an object, in place: those of its outline fully, the others so that they shine through.

    Args:
      picture: PIL.Image, RGB.
      mask: [height, width], 0 is background, of the same frame as the picture; a different size is scaled.
      color: "#rrggbb".
      line: width of the outline, pixels.
    """
    mask = np.asarray(mask) != 0
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return
    # Only the part around the object: pictures are large, and objects many.
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    scale_y, scale_x = picture.height / mask.shape[0], picture.width / mask.shape[1]
    corners = [round(left * scale_x), round(top * scale_y), round(right * scale_x), round(bottom * scale_y)]
    size = max(1, corners[2] - corners[0]), max(1, corners[3] - corners[1])
    cover = Image.fromarray(mask[top:bottom, left:right].astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    framed = Image.new("L", (size[0] + 2 * line, size[1] + 2 * line))
    framed.paste(cover.point(lambda value: 255 if value >= 128 else 0), (line, line))
    inner = framed.filter(ImageFilter.MinFilter(2 * max(1, line // 2) + 1))
    opacity = np.where(np.asarray(framed) > 0, np.where(np.asarray(inner) > 0, _OPACITY, 1.0), 0.0)
    opacity = Image.fromarray(np.rint(opacity * 255).astype(np.uint8)).crop(
        (line, line, line + size[0], line + size[1])
    )
    picture.paste(Image.new("RGB", size, palette.to_rgb(color)), (corners[0], corners[1]), opacity)
