"""Corners in the wrong tags: which order a program wrote them in, and boxes read in that order.

A person who draws boxes leaves no inverted one, and a mishap leaves one. If a file has several, the program that wrote
it confused the corners, and its other boxes are wrong as well, though nothing shows it.
"""

import itertools

from tfodhelper import errors, spelling
from tfodhelper.annotations import frames
from tfodhelper.annotations.findings import Finding

USUAL = ("xmin", "ymin", "xmax", "ymax")
# Values that describe one axis; others cannot be combined.
_PAIRS = {
    frozenset(("min", "max")): lambda low, high: (low, high),
    frozenset(("min", "size")): lambda low, size: (low, low + size),
    frozenset(("center", "size")): lambda center, size: (center - size / 2, center + size / 2),
}
_NAMES = {"x": {"min": "xmin", "max": "xmax", "size": "width", "center": "xcenter"}}
_NAMES["y"] = {"min": "ymin", "max": "ymax", "size": "height", "center": "ycenter"}
_ORDERS = (
    ("xmin", "xmax", "ymin", "ymax"),
    ("xmin", "ymin", "width", "height"),
    ("xcenter", "ycenter", "width", "height"),
    *(order for order in itertools.permutations(USUAL) if order not in (USUAL, ("xmin", "xmax", "ymin", "ymax"))),
)
_SHOWN = 3
_FEW_INVERTED = 2


def parse_order(text):
    """The order of corners given by a flag, such as "xmin,xmax,ymin,ymax", as a tuple of four names.

    Raises:
      UsageError: the names do not describe a box.
    """
    order = tuple(name.strip() for name in text.split(","))
    if len(order) != 4 or len(set(order)) != 4 or not all(_kinds_of(order, axis) in _PAIRS for axis in "xy"):
        raise errors.UsageError(
            f"--corner_order={text}: invalid value",
            expected="what xmin, ymin, xmax and ymax contain, in this order, such as xmin,xmax,ymin,ymax or "
            "xmin,ymin,width,height or xcenter,ycenter,width,height",
            received=text,
        )
    return order


def _kinds_of(order, axis):
    return frozenset(kind for kind, name in _NAMES[axis].items() if name in order)


def reorder(values, order):
    """The corners of a box whose tags were filled in another order.

    Args:
      values: contents of the tags xmin, ymin, xmax and ymax.
      order: what each of the four contains, see `parse_order`.

    Returns:
      (xmin, ymin, xmax, ymax).
    """
    value_of = dict(zip(order, values))
    spans = []
    for axis in "xy":
        kinds = _kinds_of(order, axis)
        first, second = (kind for kind in ("min", "center", "max", "size") if kind in kinds)
        spans.append(_PAIRS[kinds](value_of[_NAMES[axis][first]], value_of[_NAMES[axis][second]]))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


def is_confused(boxes):
    """Whether several boxes of one file are inverted."""
    return sum(box.width < 0 or box.height < 0 for box in boxes) >= _FEW_INVERTED


def swap_fits(boxes, size):
    """Whether all boxes are inside an image of (width, height) if minimum and maximum of inverted ones are swapped."""
    return all(frames.fits(box, size) for box in boxes)


def find_orders(boxes, size):
    """The orders, other than the usual one, in which all boxes have an area and are inside the image.

    Args:
      boxes: of one file.
      size: (width, height) of the image.
    """
    corners = [(box.xmin, box.ymin, box.xmax, box.ymax) for box in boxes]
    return [order for order in _ORDERS if all(_is_valid(reorder(values, order), size) for values in corners)]


def _is_valid(corners, size):
    xmin, ymin, xmax, ymax = corners
    is_inside = min(xmin, ymin) >= -frames.FIT_TOLERANCE_PX and all(
        high <= limit + frames.FIT_TOLERANCE_PX for high, limit in zip((xmax, ymax), size)
    )
    return is_inside and min(xmax - xmin, ymax - ymin) >= frames.MIN_SIDE_PX


def describe(boxes, size, file):
    """The finding about a file of `is_confused` boxes."""
    inverted = [box for box in boxes if box.width < 0 or box.height < 0]
    problem = (
        f"the minimum is greater than the maximum in {len(inverted)} of its {spelling.count(len(boxes), 'box')}: the "
        "program that wrote it confused the corners, so the other boxes may be wrong as well"
    )
    expected, received = "xmin < xmax, ymin < ymax", inverted[0].describe()
    return Finding("corners-confused", file, problem, None, expected, received, _advise(boxes, size))


def _advise(boxes, size):
    orders = find_orders(boxes, size)
    texts = [f"--corner_order={','.join(order)}" for order in orders[:_SHOWN]]
    texts += ["--swap_inverted"] if swap_fits(boxes, size) else []
    if not texts:
        return "no order of the corners fits all boxes; correct the program that wrote the file, or label it again"
    if len(texts) == 1:
        return f"all boxes are inside the image if they are read with {texts[0]}; compare some of them with the image"
    several = ", ".join(texts) + (", ..." if len(orders) > _SHOWN else "")
    return f"all boxes are inside the image if they are read with one of: {several}; compare them with the image"
