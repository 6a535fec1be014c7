"""Boxes of an image as it is stored and as its EXIF orientation turns it, and from one to the other.

LabelImg since 1.8.4 shows images turned, earlier versions and most other tools as they are stored.
"""

import dataclasses

_QUARTER_TURNED = (5, 6, 7, 8)


def turned_size(width, height, orientation):
    """(width, height) of the upright image, of those of the stored one."""
    return (height, width) if orientation in _QUARTER_TURNED else (width, height)


def to_upright(box, width, height, orientation):
    """A box of the stored image as a box of the upright one.

    Args:
      box: an `annotations.structures.Box`, pixels of the stored image.
      width, height: of the stored image.
      orientation: EXIF orientation, 1 to 8 (Exif 2.3, section 4.6.4, tag 274).
    """
    place = {
        1: lambda x, y: (x, y),
        2: lambda x, y: (width - x, y),
        3: lambda x, y: (width - x, height - y),
        4: lambda x, y: (x, height - y),
        5: lambda x, y: (y, x),
        6: lambda x, y: (height - y, x),
        7: lambda x, y: (height - y, width - x),
        8: lambda x, y: (y, width - x),
    }[orientation]
    return _moved(box, place)


def to_stored(box, width, height, orientation):
    """The inverse of `to_upright`; width and height are those of the stored image, too."""
    if orientation in (6, 8):  # quarter turns are each other's inverse; all else is its own
        return to_upright(box, height, width, 14 - orientation)
    return to_upright(box, *turned_size(width, height, orientation), orientation)


def _moved(box, place):
    (x0, y0), (x1, y1) = place(box.xmin, box.ymin), place(box.xmax, box.ymax)
    return dataclasses.replace(box, xmin=min(x0, x1), ymin=min(y0, y1), xmax=max(x0, x1), ymax=max(y0, y1))
