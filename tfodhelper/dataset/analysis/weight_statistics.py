"""How many objects of each class do not count 1 in training, and what all of them count together."""

import collections

HEADER = ("class", "boxes", "ignored regions", "other weights", "only their class", "sum of the weights")


def describe(planned):
    """One row per class, sorted by name.

    Args:
      planned: a `plan.Plan`.

    Returns:
      List of (class, boxes, boxes of weight 0, boxes of another weight than 0 and 1, boxes of location weight 0, sum of
      the weights), see `HEADER`; [] if every box counts 1.
    """
    if not any(finding.code == "box-weights" for finding in planned.findings):
        return []
    columns = [collections.Counter() for _ in range(5)]
    for image, side in zip(planned.examination.images, planned.sides.in_order()):
        annotation = image.annotation if side is not None else None
        for box in annotation.boxes if annotation else ():
            is_object = box.weight > 0
            values = (
                1,
                not is_object,
                is_object and box.weight != 1,
                is_object and not box.location_weight,
                box.weight,
            )
            for column, value in zip(columns, values):
                column[box.name] += value
    *counts, sums = columns
    return [(name, *(column[name] for column in counts), round(sums[name], 4)) for name in sorted(columns[0])]
