"""Decides which frame the boxes of an annotation refer to, if the size in the XML is not that of the image."""

from tfodhelper.annotations.findings import Finding

FIT_TOLERANCE_PX = 2.0  # a box that extends this far beyond the border still "fits" a size
MIN_SIDE_PX = 1.0  # minimum width and height of a box
MIN_VISIBLE_FRACTION = 0.5  # of the area of a box, inside the image
SIZE_TOLERANCE_FRACTION = 0.01  # smaller differences are attributed to rounding
TILE_RATIO = 1.25  # a picture is at least this much wider and higher than a tile of it
_MAX_TILE_CHANCE = 0.05


def choose_frame(annotation, facts, file, trust_pixels=False):
    """Decides which frame the boxes refer to: the image as stored, the image as rotated by EXIF, or undecided.

    Args:
      annotation: an `Annotation`.
      facts: the image's `ImageFacts`.
      file: name of the annotation file, as shown in findings.
      trust_pixels: see `checks.CheckOptions`.

    Returns:
      ((width, height) or None, whether to rotate the image, list of findings).
    """
    stored, turned = (facts.width, facts.height), (facts.height, facts.width)
    given = (annotation.width, annotation.height)
    if None in given:
        fix = "the size of the image is used"
        expected = f"{stored[0]}x{stored[1]}"
        return stored, False, [Finding("size-missing", file, "has no usable <size>", None, expected, fix=fix)]
    if given == stored:
        undecided = facts.orientation > 1 and not (facts.is_quarter_turned and stored != turned)
        return stored, False, [_orientation_undecided(facts, file)] if undecided else []
    if given == turned and facts.is_quarter_turned:
        problem = f"the boxes refer to the image as rotated by EXIF orientation {facts.orientation}; it is rotated"
        return turned, True, [Finding("image-turned", file, problem)]
    return _choose_between(annotation.boxes, stored, given, file, trust_pixels)


def _choose_between(boxes, stored, given, file, trust_pixels):
    """`choose_frame` for a size that differs from the image's."""
    sizes = {"expected": f"{stored[0]}x{stored[1]}, the size of the image", "received": f"<size> {given[0]}x{given[1]}"}
    fits_image = all(fits(box, stored) for box in boxes)
    fits_given = all(fits(box, given) for box in boxes)
    nearly = all(abs(a - b) <= max(1, SIZE_TOLERANCE_FRACTION * b) for a, b in zip(given, stored))
    if fits_image and (nearly or not fits_given or trust_pixels or not boxes):
        problem, fix = "differs from the size of the image", "the size of the image is used; the boxes stay as they are"
        return stored, False, [Finding("size-differs", file, problem, None, **sizes, fix=fix)]
    if is_tile(boxes, stored, given) or trust_pixels and all(fits_mostly(box, stored) for box in boxes):
        problem = (
            "its size is that of a larger picture, from which the image was probably cut; the boxes are in the image"
        )
        fix = "the size of the image is used; boxes that extend beyond it are clipped"
        return stored, False, [Finding("size-differs", file, problem, None, **sizes, fix=fix)]
    if fits_image:
        problem = "the size differs from the image's, and the boxes fit both: cannot tell which one they refer to"
    elif fits_given:
        problem = "the size differs from the image's, and the boxes fit the size only: scaled or cropped afterwards?"
    else:
        problem = "the size differs from the image's, and the boxes fit neither: is it the right image?"
    fix = "open the image in LabelImg, check the boxes and save it again"
    return None, False, [Finding("size-undecided", file, problem, None, **sizes, fix=fix)]


def _orientation_undecided(facts, file):
    problem = f"the image has EXIF orientation {facts.orientation}; the boxes are assumed to refer to the stored pixels"
    return Finding("orientation-undecided", file, problem, fix="check the image, and remove the tag if it is wrong")


def fits(box, size):
    """Whether a box is inside an image of (width, height), within `FIT_TOLERANCE_PX`."""
    xs, ys = sorted((box.xmin, box.xmax)), sorted((box.ymin, box.ymax))
    low = -FIT_TOLERANCE_PX
    return xs[0] >= low and ys[0] >= low and xs[1] <= size[0] - low and ys[1] <= size[1] - low


def fits_mostly(box, size):
    """Whether at least half of a box is inside an image of (width, height), so that it can be clipped."""
    if fits(box, size):
        return True
    spans = (sorted((box.xmin, box.xmax)), sorted((box.ymin, box.ymax)))
    inside = [min(high, limit) - max(low, 0) for (low, high), limit in zip(spans, size)]
    area = (spans[0][1] - spans[0][0]) * (spans[1][1] - spans[1][0])
    return min(inside) >= MIN_SIDE_PX and inside[0] * inside[1] >= MIN_VISIBLE_FRACTION * area


def is_larger_picture(given, stored):
    """Whether an image may be a tile that was cut from a picture of the given size."""
    return all(large >= TILE_RATIO * small for large, small in zip(given, stored))


def is_tile(boxes, stored, given):
    """Whether boxes refer to a tile although the XML gives the size of the picture from which it was cut.

    The picture must be larger and have different proportions; otherwise the image may be a smaller copy of it. If the
    boxes referred to the picture, each would be inside the tile only by chance, at most with the tile's share of it.

    Args:
      boxes: of one annotation file.
      stored: (width, height) of the image.
      given: (width, height) in the XML.
    """
    if not boxes or not is_larger_picture(given, stored):
        return False
    scales = [large / small for large, small in zip(given, stored)]
    if abs(scales[0] - scales[1]) <= SIZE_TOLERANCE_FRACTION * max(scales):
        return False
    chance = (1 / (scales[0] * scales[1])) ** len(boxes)
    return chance <= _MAX_TILE_CHANCE and all(fits_mostly(box, stored) for box in boxes)
