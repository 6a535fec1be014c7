"""Converts boxes and masks between an image as it is stored and as its EXIF orientation shows it, upright.

LabelImg shows images upright since version 1.8.4; earlier versions and most other tools show them as stored.
"""

import dataclasses

import numpy as np

from tfodhelper.annotations import masks

_QUARTER_TURNED = (5, 6, 7, 8)


def turned_size(width, height, orientation):
    """(width, height) of the upright image, from those of the stored one."""
    return (height, width) if orientation in _QUARTER_TURNED else (width, height)


def to_upright(box, width, height, orientation):
    """A box of the stored image as a box of the upright one.

    Args:
      box: an `annotations.structures.Box`, pixels of the stored image.
      width, height: of the stored image.
      orientation: EXIF orientation, 1 to 8 (Exif 2.3, section 4.6.4, tag 274).
    """
    turn_point = {
        1: lambda x, y: (x, y),
        2: lambda x, y: (width - x, y),
        3: lambda x, y: (width - x, height - y),
        4: lambda x, y: (x, height - y),
        5: lambda x, y: (y, x),
        6: lambda x, y: (height - y, x),
        7: lambda x, y: (height - y, width - x),
        8: lambda x, y: (y, width - x),
    }[orientation]
    mask = None if box.mask is None else _turn_mask(box.mask, width, height, orientation, turn_point)
    return dataclasses.replace(_moved(box, turn_point), mask=mask)


def to_stored(box, width, height, orientation):
    """The inverse of `to_upright`; width and height are again those of the stored image."""
    if orientation in (6, 8):  # quarter turns are each other's inverses; all others are their own
        return to_upright(box, height, width, 14 - orientation)
    return to_upright(box, *turned_size(width, height, orientation), orientation)


def _moved(box, turn_point):
    (x0, y0), (x1, y1) = turn_point(box.xmin, box.ymin), turn_point(box.xmax, box.ymax)
    return dataclasses.replace(box, xmin=min(x0, x1), ymin=min(y0, y1), xmax=max(x0, x1), ymax=max(y0, y1))


def _turn_mask(mask, width, height, orientation, turn_point):
    if mask.is_polygons:
        points = [[turn_point(*point) for point in zip(polygon[::2], polygon[1::2])] for polygon in mask.polygons]
        return masks.Mask(tuple(tuple(value for point in polygon for value in point) for polygon in points))
    pixels = mask.to_array(height, width)
    turned = {
        1: lambda: pixels,
        2: lambda: pixels[:, ::-1],
        3: lambda: pixels[::-1, ::-1],
        4: lambda: pixels[::-1],
        5: lambda: pixels.T,
        6: lambda: np.rot90(pixels, -1),
        7: lambda: pixels[::-1, ::-1].T,
        8: lambda: np.rot90(pixels),
    }[orientation]()
    return masks.make_from_array(turned)
