"""Findings about a planned set as a whole: what `check` looks for and `convert` does not wait for."""

import collections
import dataclasses

from tfodhelper import console
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset.scan import near_duplicates

TINY_FRACTION = 0.001  # of the image's area
_SMALL_PX = 8.0  # side at the model's input below which little is left of an object
_MIN_SMALL_FRACTION = 0.1  # of the boxes, before they are pointed out
_BIN_EDGES = (4, 8, 16, 32, 64, 128, 256)  # pixels


@dataclasses.dataclass(frozen=True)
class ModelScale:
    """How large objects are where the model looks at them.

    Attributes:
      height, width: of the model's input, pixels; for an input that keeps the aspect ratio, the shorter side twice.
      keeps_aspect: whether images are scaled alike in both directions, their shorter side to `height`.
      smallest_anchor: side of the smallest anchor in pixels of the input, or None where it is not known.
    """

    height: int
    width: int
    keeps_aspect: bool = False
    smallest_anchor: float | None = None

    def sides(self, box, width, height):
        """Width and height of a box at the model's input, pixels."""
        if self.keeps_aspect:
            scale = self.height / min(width, height)
            return box.width * scale, box.height * scale
        return box.width * self.width / width, box.height * self.height / height


def look_closer(planned, scale, near=True, show_progress=True):
    """Looks at everything again that takes the set as a whole or the pixels of its images.

    Args:
      planned: a `plan.Plan`.
      scale: a `ModelScale`.
      near: whether near duplicates on several sides are looked for, which decodes all images once more.
      show_progress: whether the console shows how far it is.

    Returns:
      List of findings.
    """
    images = planned.examination.images
    notes = _find_torn(planned, show_progress) if near else []
    fractions, all_sides = [], []
    for image in images:
        annotation = image.annotation
        tiny = [box for box in annotation.boxes if box.area < TINY_FRACTION * annotation.width * annotation.height]
        if tiny:
            what = f"{len(tiny)} of {len(annotation.boxes)} boxes take less than a thousandth of the image each"
            notes.append(Finding("box-tiny", image.xml, what, f"{tiny[0].name} ({tiny[0].describe()})"))
        fractions += [image.xml] if any(not _is_whole(box) for box in annotation.boxes) else []
        all_sides += [scale.sides(box, annotation.width, annotation.height) for box in annotation.boxes]
    if fractions:
        what = f"corners between pixels here and in {len(fractions) - 1} other files; they are used as they are"
        notes.append(Finding("box-fraction", fractions[0], what))
    return notes + _find_small(all_sides, scale)


def _find_torn(planned, show_progress):
    images, folder = planned.examination.images, planned.examination.source.image_dir
    names = [image.name for image in images]
    if not show_progress:
        hashes = near_duplicates.hash_files(folder, names)
    else:
        with console.Progress("images compared", len(names)) as progress:
            hashes = near_duplicates.hash_files(folder, names, progress)
    return near_duplicates.find_torn(images, planned.sides, hashes)


def _is_whole(box):
    return all(float(value).is_integer() for value in (box.xmin, box.ymin, box.xmax, box.ymax))


def _find_small(all_sides, scale):
    """One finding where many boxes are too small for the model."""
    anchor = scale.smallest_anchor
    if anchor:  # a box of less than half of the area of the smallest anchor overlaps it by less than half
        small = [sides for sides in all_sides if sides[0] * sides[1] < anchor * anchor / 2]
        what = f"smaller than half of the smallest anchor ({anchor:.0f} px)"
    else:
        small = [sides for sides in all_sides if min(sides) < _SMALL_PX]
        what = f"less than {_SMALL_PX:.0f} px wide or high"
    if len(small) < max(1, _MIN_SMALL_FRACTION * len(all_sides)):
        return []
    share = len(small) / len(all_sides)
    size = f"{scale.height}" if scale.keeps_aspect else f"{scale.width}x{scale.height}"
    fix = "train with a larger input or smaller anchors, or cut the images into tiles"
    what = f"{len(small)} of {len(all_sides)} boxes ({share:.0%}) are {what} at the model's input of {size}"
    return [Finding("boxes-too-small", "all boxes", what, fix=fix)]


def size_histogram(planned, scale):
    """How large the boxes are at the model's input.

    Returns:
      List of (class name, list of counts by `bin_names`), sorted by name, with the sum of all classes at the end.
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
    """Names of the columns of `size_histogram`: square roots of areas, pixels."""
    edges = [str(edge) for edge in _BIN_EDGES]
    return [f"<{edges[0]}", *(f"{low}-{high}" for low, high in zip(edges, edges[1:])), f">={edges[-1]}"]
