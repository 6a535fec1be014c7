"""Checks the mask of one box against the image and the box."""

import dataclasses

from tfodhelper.annotations import masks
from tfodhelper.annotations.findings import Finding

_TOLERANCE_PX = 2.0  # boxes are often whole pixels, and a mask may reach half a pixel beyond its polygon
_TOLERANCE = 0.05  # of a side of the box


def check_mask(box, width, height, where, file):
    """The box with its mask, or without it if that cannot be used.

    Args:
      box: a usable `structures.Box`.
      width, height: of the image that the box is in, pixels.
      where, file: as in findings.

    Returns:
      (the box, a list of findings).
    """
    if box.mask is None:
        return box, []
    without = dataclasses.replace(box, mask=None)
    try:
        area, bounds = masks.measure(box.mask, height, width)
    except ValueError as error:
        fix = "make the mask again from the image as it is"
        return without, [Finding("mask-size", file, str(error), where, fix=fix)]
    if not area or not _overlaps(bounds, box):
        received = "no pixel in the image" if not area else "pixels in " + _describe(bounds)
        problem, fix = "its mask has no pixel in its box", "label the object again"
        return without, [Finding("mask-outside", file, problem, where, box.describe(), received, fix)]
    beyond_x = max(box.xmin - bounds[0], bounds[2] - box.xmax)
    beyond_y = max(box.ymin - bounds[1], bounds[3] - box.ymax)
    if any(
        beyond > max(_TOLERANCE_PX, _TOLERANCE * side)
        for beyond, side in ((beyond_x, box.width), (beyond_y, box.height))
    ):
        problem = f"its mask reaches {max(beyond_x, beyond_y):.0f} px beyond its box; what is outside is not learnt"
        return box, [Finding("mask-beyond-box", file, problem, where, box.describe(), _describe(bounds))]
    return box, []


def _overlaps(bounds, box):
    return bounds[0] < box.xmax and bounds[2] > box.xmin and bounds[1] < box.ymax and bounds[3] > box.ymin


def _describe(bounds):
    return "xmin {:g}, ymin {:g}, xmax {:g}, ymax {:g}".format(*bounds)
