"""Which boxes of a record training uses: the rules of `decoder.Decoder`, without TensorFlow.

A box is left out if its class is not in the label map, if a corner is not a number, or if no area is left of it inside
the image. A box that reaches beyond the image is clipped to it; where one reaches beyond it by more than the size of
the image, its corners are hardly fractions: pixels, for example.
"""

import math

CLASS, NUMBER, INVERTED, AREA, FAR, FAR_AREA = "class", "number", "inverted", "area", "far", "far-area"
LOST = frozenset({CLASS, NUMBER, INVERTED, AREA, FAR_AREA})  # of boxes that are left out

_FARTHEST = 1.0  # beyond the image, in sizes of the image


def class_indices(labels, label_map):
    """The classes of a record's boxes: names take precedence over ids, and count as display names too.

    Args:
      labels: a `records.labels.Labels`.
      label_map: a `LabelMap`; None: every id from 1 is known, and names are not read.

    Returns:
      For each box, its 0-based class, or None if it is not known.
    """
    if label_map is None:
        known = (id if id > 0 else None for id in labels.ids)
    elif labels.names:
        known = (label_map.id_of(name) if name in label_map else None for name in labels.names)
    else:
        known = (id if label_map.has_id(id) else None for id in labels.ids)
    indices = [None if id is None else id - 1 for id in known]
    return indices or [None] * len(labels.corners)


def find_fault(corners):
    """What is wrong with a box, whatever its class.

    Args:
      corners: (ymin, xmin, ymax, xmax), normalized to the image.

    Returns:
      NUMBER, INVERTED or AREA, for which the box is left out; FAR_AREA, if it lies far beyond the image and is left
      out; FAR, if it reaches far beyond the image and is clipped; or None.
    """
    if any(map(math.isnan, corners)):
        return NUMBER
    ymin, xmin, ymax, xmax = (min(max(value, 0.0), 1.0) for value in corners)
    is_far = min(corners) < -_FARTHEST or max(corners) > 1.0 + _FARTHEST
    if ymin < ymax and xmin < xmax:
        return FAR if is_far else None
    if corners[0] > corners[2] or corners[1] > corners[3]:
        return INVERTED
    return FAR_AREA if is_far else AREA


def usable_classes(labels, label_map):
    """The 0-based classes of the boxes that training uses."""
    indices = class_indices(labels, label_map)
    return tuple(
        index
        for index, corners in zip(indices, labels.corners)
        if index is not None and find_fault(corners) not in LOST
    )
