"""How many objects of each class have a mask, and how much of their boxes the masks cover."""

import collections

from tfodhelper.annotations import masks

HEADER = ("class", "boxes", "masks", "mean share of the box")


def describe(planned):
    """One row per class, sorted by name.

    Args:
      planned: a `plan.Plan`.

    Returns:
      List of (class, boxes, masks, mean share of the box that a mask covers), see `HEADER`; [] if there is no mask.
    """
    if not any(planned.statistics.masks.values()):
        return []
    boxes, counts, shares = collections.Counter(), collections.Counter(), collections.Counter()
    for image, side in zip(planned.examination.images, planned.sides.in_order()):
        annotation = image.annotation if side is not None else None
        for box in annotation.boxes if annotation else ():
            boxes[box.name] += 1
            if box.mask is not None:
                area, _ = masks.measure(box.mask, annotation.height, annotation.width)
                counts[box.name] += 1
                shares[box.name] += area / box.area
    return [
        (name, boxes[name], counts[name], round(shares[name] / counts[name], 4) if counts[name] else "")
        for name in sorted(boxes)
    ]
