"""Findings about a planned dataset as a whole, which `check` reports but `convert` skips to save time."""

import collections
import dataclasses

from tfodhelper import spelling
from tfodhelper.annotations.findings import Finding

TINY_FRACTION = 0.001  # of the image's area
_SMALL_PX = 8.0  # an object with a smaller side at the model input is hardly recognizable
_MIN_SMALL_FRACTION = 0.1  # of all boxes; fewer small boxes are not reported
_BIN_EDGES = (4, 8, 16, 32, 64, 128, 256)  # pixels


@dataclasses.dataclass(frozen=True)
class ModelScale:
    """Scale of images at the model input.

    Attributes:
      height, width: of the model input, pixels; if it keeps the aspect ratio, both are the shorter side.
      keeps_aspect: whether images keep their aspect ratio, with the shorter side scaled to `height`.
      smallest_anchor: side of the smallest anchor in pixels of the input, or None if it is not known.
    """

    height: int
    width: int
    keeps_aspect: bool = False
    smallest_anchor: float | None = None

    def sides(self, box, width, height):
        """Width and height of a box at the model input, in pixels."""
        if self.keeps_aspect:
            scale = self.height / min(width, height)
            return box.width * scale, box.height * scale
        return box.width * self.width / width, box.height * self.height / height


def check_whole_set(planned, scale):
    """Runs the checks that need the whole dataset.

    Args:
      planned: a `plan.Plan`.
      scale: a `ModelScale`.

    Returns:
      List of findings.
    """
    notes, fractions, all_sides = [], [], []
    for image in planned.examination.images:
        annotation = image.annotation
        tiny = [box for box in annotation.boxes if box.area < TINY_FRACTION * annotation.width * annotation.height]
        if tiny:
            total = spelling.count(len(annotation.boxes), "box")
            problem = f"{len(tiny)} of {total}, each less than a thousandth of the image"
            notes.append(Finding("box-tiny", image.xml, problem, f"{tiny[0].name} ({tiny[0].describe()})"))
        fractions += [image.xml] if any(not _is_whole(box) for box in annotation.boxes) else []
        all_sides += [scale.sides(box, annotation.width, annotation.height) for box in annotation.boxes]
    if fractions:
        others = f" and in {spelling.count(len(fractions) - 1, 'other file')}" if len(fractions) > 1 else ""
        problem = f"fractional corners here{others}; they are used as they are"
        notes.append(Finding("box-fraction", fractions[0], problem))
    return notes + _find_small(all_sides, scale)


def _is_whole(box):
    return all(float(value).is_integer() for value in (box.xmin, box.ymin, box.xmax, box.ymax))


def _find_small(all_sides, scale):
    """One finding where many boxes are too small for the model."""
    anchor = scale.smallest_anchor
    if anchor:  # a box with less than half the area of the smallest anchor has an IoU below 0.5 with it
        small = [sides for sides in all_sides if sides[0] * sides[1] < anchor * anchor / 2]
        description = f"smaller than half the smallest anchor ({anchor:.0f} px)"
    else:
        small = [sides for sides in all_sides if min(sides) < _SMALL_PX]
        description = f"less than {_SMALL_PX:.0f} px wide or high"
    if len(small) < max(1, _MIN_SMALL_FRACTION * len(all_sides)):
        return []
    share = len(small) / len(all_sides)
    size = f"{scale.height}" if scale.keeps_aspect else f"{scale.width}x{scale.height}"
    fix = "train with a larger input or smaller anchors, or cut the images into tiles"
    total = spelling.count(len(all_sides), "box")
    problem = f"{len(small)} of {total} ({share:.0%}), {description} at the model input of {size}"
    return [Finding("boxes-too-small", "all boxes", problem, fix=fix)]


def size_histogram(planned, scale):
    """The sizes of the boxes at the model input.

    Returns:
      List of (class name, list of counts per bin of `bin_names`), sorted by name, followed by the sum of all classes.
    """
    counts = collections.defaultdict(lambda: [0] * (len(_BIN_EDGES) + 1))
    for image in planned.examination.images:
        annotation = image.annotation
        for box in annotation.boxes:
            width, height = scale.sides(box, annotation.width, annotation.height)
            side = (width * height) ** 0.5
            counts[box.name][sum(side >= edge for edge in _BIN_EDGES)] += 1
    rows = sorted(counts.items())
    return [*rows, ("all boxes", [sum(column) for column in zip(*(row for _, row in rows))])] if rows else []


def bin_names():
    """Names of the columns of `size_histogram`: square roots of areas, in pixels."""
    edges = [str(edge) for edge in _BIN_EDGES]
    return [f"<{edges[0]}", *(f"{low}-{high}" for low, high in zip(edges, edges[1:])), f">={edges[-1]}"]
