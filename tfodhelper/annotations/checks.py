"""Checks of one image with its annotation: what is wrong, and the mended annotation where mending is safe.

Mending is safe where it cannot make a wrong label: the size is taken from the pixels, a box that reaches a little
beyond the image is clipped. Where a guess would be needed, the box or the image is left out. An image all of whose
objects were lost is left out too: as a negative it would teach that there is nothing.
"""

import dataclasses
import difflib
import functools
import itertools

import numpy as np

from tfodhelper import box_geometry
from tfodhelper.annotations import findings as found
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.images import EXTENSIONS
from tfodhelper.annotations.structures import Annotation

MIN_SIDE_PX = 1.0  # a box has to be at least that wide and high
MIN_VISIBLE_FRACTION = 0.5  # of a box's area, inside the image
FIT_TOLERANCE_PX = 2.0  # that far beyond the border a box still "fits" a size
SIZE_TOLERANCE_FRACTION = 0.01  # sizes that differ less are taken for rounding
DUPLICATE_IOU = 0.95
CLASS_CONFLICT_IOU = 0.9
_FRACTIONS = "the corners look like fractions of the image: multiply them by its width and height"
_FEW_BOXES = 12  # so few pairs are compared one by one


@dataclasses.dataclass(frozen=True)
class CheckOptions:
    """What may be done about a trouble that has no safe answer.

    Attributes:
      swap_inverted: swap the corners of a box whose minimum lies beyond its maximum. The result is a valid box, which
        need not be the right one.
      drop_unknown_classes: leave out only the boxes of classes that the label map does not have, so that their objects
        become background; otherwise the whole image is left out.
      trust_pixels: the size in the XML is known to be meaningless in this set.
    """

    swap_inverted: bool = False
    drop_unknown_classes: bool = False
    trust_pixels: bool = False


@dataclasses.dataclass(frozen=True)
class Checked:
    """The outcome for one image.

    Attributes:
      annotation: with the real size and usable boxes only; None when the image is left out.
      findings: what was found.
      turn: whether the image has to be turned as its EXIF orientation says.
    """

    annotation: Annotation | None
    findings: tuple[Finding, ...]
    turn: bool = False


def check_annotation(annotation, facts, file, label_map=None, options=CheckOptions(), image_file=None):  # noqa: B008
    """Checks an annotation against its image.

    Args:
      annotation: an `Annotation` as it was read.
      facts: the image's `ImageFacts`.
      file: the annotation file's name as findings give it.
      label_map: classes that are allowed; None allows all.
      options: a `CheckOptions`.
      image_file: the image's name as findings give it; `file` when left out.

    Returns:
      A `Checked`.
    """
    image_file = image_file or file
    findings = _check_image(annotation, facts, image_file)
    size, turn, more = choose_frame(annotation, facts, file, options)
    findings += more
    if annotation.encoding:
        findings.append(Finding("xml-encoding", file, "is not UTF-8", None, "UTF-8", f"read as {annotation.encoding}"))
    findings += [Finding(s.code, file, s.what, s.where, fix="label the object again") for s in annotation.skipped]
    if size is None:
        return Checked(None, tuple(findings))
    boxes, more = _check_boxes(annotation.boxes, *size, file, label_map, options)
    findings += more + _check_overlaps(boxes, file)
    if any(finding.action == found.IMAGE_LEFT_OUT for finding in findings):
        return Checked(None, tuple(findings))
    num_objects = len(annotation.boxes) + len(annotation.skipped)
    dropped = sum(finding.code == "class-unknown" for finding in findings)
    if num_objects and not boxes and dropped < num_objects:
        findings.append(Finding("no-box-left", file, f"none of its {num_objects} objects has a usable box"))
        return Checked(None, tuple(findings))
    fixed = dataclasses.replace(annotation, width=size[0], height=size[1], boxes=tuple(boxes), skipped=())
    return Checked(fixed, tuple(findings), turn)


def is_faultless(content, facts, image_file, label_map=None):
    """Whether `check_annotation` would find nothing and change nothing; False also where that takes a longer look.

    Args:
      content: (filename, width, height, boxes, verified), the boxes as tuples of the fields of `structures.Box`; more
        of it is never faultless.
      facts, image_file, label_map: as for `check_annotation`.
    """
    width, height, boxes = content[1], content[2], content[3]
    if len(content) != 5 or width != facts.width or height != facts.height or facts.orientation != 1:
        return False
    if facts.reencode_reason or facts.is_blank or len(boxes) > _FEW_BOXES:
        return False
    if EXTENSIONS.get("." + image_file.rpartition(".")[2].lower()) != facts.format:
        return False
    for name, xmin, ymin, xmax, ymax, *_ in boxes:
        if xmin < 0 or ymin < 0 or xmax > width or ymax > height:
            return False
        if not (xmax - xmin >= MIN_SIDE_PX and ymax - ymin >= MIN_SIDE_PX):
            return False
        if label_map is not None and name not in label_map:
            return False
    return len(boxes) < 2 or not any(
        _begin_alike(a[1], a[3], b[1], b[3]) and _begin_alike(a[2], a[4], b[2], b[4])
        for a, b in itertools.combinations(boxes, 2)
    )


def _begin_alike(low, high, other_low, other_high):
    """Whether two spans may overlap by more than nine tenths: those that do begin at nearly the same place."""
    return abs(low - other_low) <= (1 - CLASS_CONFLICT_IOU) * max(high - low, other_high - other_low)


def _check_image(annotation, facts, file):
    findings = []
    named = EXTENSIONS.get("." + file.rsplit(".", 1)[-1].lower())
    if named and named != facts.format and not (named == "JPEG" and facts.format == "MPO"):
        findings.append(
            Finding("extension-differs", file, "the content is not what the extension says", None, named, facts.format)
        )
    if facts.reencode_reason:
        findings.append(Finding("image-reencoded", file, facts.reencode_reason))
    if facts.is_blank and annotation.boxes:
        findings.append(
            Finding(
                "image-blank",
                file,
                f"all pixels are equal, and it has {len(annotation.boxes)} boxes",
                fix="look at the image",
            )
        )
    return findings


def choose_frame(annotation, facts, file, options=CheckOptions()):  # noqa: B008
    """Decides which frame the boxes belong to: the image as it is stored, or as EXIF turns it, or none for sure.

    Returns:
      ((width, height) or None, whether to turn the image, list of findings).
    """
    stored, turned = (facts.width, facts.height), (facts.height, facts.width)
    given = (annotation.width, annotation.height)
    if None in given:
        finding = Finding(
            "size-missing",
            file,
            "has no usable <size>",
            None,
            f"{stored[0]}x{stored[1]}",
            fix="the size of the image is used",
        )
        return stored, False, [finding]
    if given == stored:
        undecided = facts.orientation > 1 and not (facts.is_quarter_turned and stored != turned)
        return stored, False, [_orientation_undecided(facts, file)] if undecided else []
    if given == turned and facts.is_quarter_turned:
        what = f"the boxes belong to the image as EXIF orientation {facts.orientation} turns it; it is turned"
        return turned, True, [Finding("image-turned", file, what)]
    sizes = {"expected": f"{stored[0]}x{stored[1]} as the image", "received": f"<size> {given[0]}x{given[1]}"}
    fits_image = all(fits(box, stored) for box in annotation.boxes)
    fits_given = all(fits(box, given) for box in annotation.boxes)
    nearly = all(abs(a - b) <= max(1, SIZE_TOLERANCE_FRACTION * b) for a, b in zip(given, stored))
    if fits_image and (nearly or not fits_given or options.trust_pixels or not annotation.boxes):
        fix = "the size of the image is used; the boxes stay as they are"
        finding = Finding("size-differs", file, "the size is not the image's", None, **sizes, fix=fix)
        return stored, False, [finding]
    if fits_image:
        what = "the size is not the image's, and the boxes fit both: which one they belong to cannot be told"
    elif fits_given:
        what = "the size is not the image's, and the boxes fit only the size: scaled or cut after labelling?"
    else:
        what = "the size is not the image's, and the boxes fit neither: is it the right image?"
    fix = "open the image in LabelImg, look at the boxes and save it again"
    return None, False, [Finding("size-undecided", file, what, None, **sizes, fix=fix)]


def _orientation_undecided(facts, file):
    what = f"the image carries EXIF orientation {facts.orientation}; the boxes are taken for those of the stored pixels"
    return Finding("orientation-undecided", file, what, fix="look at the image, and remove the tag if it is stale")


def fits(box, size):
    """Whether a box lies inside an image of (width, height), give or take `FIT_TOLERANCE_PX`."""
    xs, ys = sorted((box.xmin, box.xmax)), sorted((box.ymin, box.ymax))
    low = -FIT_TOLERANCE_PX
    return xs[0] >= low and ys[0] >= low and xs[1] <= size[0] - low and ys[1] <= size[1] - low


def _check_boxes(boxes, width, height, file, label_map, options):
    """Returns the usable boxes, clipped, and the findings."""
    usable, findings = [], []
    for number, box in enumerate(boxes, start=1):
        where = f"object {number} ({box.name})"
        unknown = label_map is not None and box.name not in label_map
        if unknown:
            findings.append(_class_unknown(box, where, file, label_map, options))
        fixed, more = _check_box(box, width, height, where, file, options)
        if not unknown or not options.drop_unknown_classes:
            findings += more
            usable += [fixed] if fixed is not None else []
    return usable, findings


@functools.lru_cache(maxsize=4096)
def _find_meant(name, names):
    """The class that an unknown name is nearly the same as, or None."""
    near = difflib.get_close_matches(name.casefold(), [known.casefold() for known in names], n=1, cutoff=0.8)
    return next((known for known in names if [known.casefold()] == near), None)


def _class_unknown(box, where, file, label_map, options):
    drop = options.drop_unknown_classes
    names = [item.shown_name for item in label_map]
    meant = _find_meant(box.name, tuple(names))
    known = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    return Finding(
        "class-unknown",
        file,
        f"class {box.name!r} is not in the label map" + (f"; is {meant!r} meant?" if meant else ""),
        where,
        f"one of {known}",
        fix=None if drop else "rename the class, add it to the label map, or give --drop_unknown_classes",
        action=found.BOX_LEFT_OUT if drop else found.IMAGE_LEFT_OUT,
    )


def _check_box(box, width, height, where, file, options):
    """Returns the box as it can be used, or None, and the findings."""
    findings = []
    inside = f"inside {width}x{height}"
    if box.width < 0 or box.height < 0:
        if not options.swap_inverted:
            return None, [
                Finding(
                    "box-inverted",
                    file,
                    "the minimum lies beyond the maximum",
                    where,
                    "xmin < xmax, ymin < ymax",
                    box.describe(),
                    "label the object again, or give --swap_inverted",
                )
            ]
        findings.append(Finding("box-swapped", file, "the corners were swapped", where, received=box.describe()))
        xs, ys = sorted((box.xmin, box.xmax)), sorted((box.ymin, box.ymax))
        box = dataclasses.replace(box, xmin=xs[0], xmax=xs[1], ymin=ys[0], ymax=ys[1])
    if box.width < MIN_SIDE_PX or box.height < MIN_SIDE_PX:
        return None, [
            *findings,
            Finding(
                "box-no-area",
                file,
                "the box is less than one pixel wide or high",
                where,
                received=box.describe(),
                fix=_FRACTIONS if 0 < box.width < 1 and max(box.xmax, box.ymax) <= 1 else "label the object again",
            ),
        ]
    if box.xmin >= 0 and box.ymin >= 0 and box.xmax <= width and box.ymax <= height:
        return box, findings
    clipped = dataclasses.replace(
        box,
        xmin=min(max(box.xmin, 0.0), float(width)),
        ymin=min(max(box.ymin, 0.0), float(height)),
        xmax=min(max(box.xmax, 0.0), float(width)),
        ymax=min(max(box.ymax, 0.0), float(height)),
    )
    too_small = clipped.width < MIN_SIDE_PX or clipped.height < MIN_SIDE_PX
    if too_small or clipped.area < MIN_VISIBLE_FRACTION * box.area:
        return None, [
            *findings,
            Finding(
                "box-outside",
                file,
                "less than half of the box lies inside the image",
                where,
                inside,
                box.describe(),
                "label the object again",
            ),
        ]
    return clipped, [
        *findings,
        Finding("box-clipped", file, "the box reaches beyond the image and is clipped", where, inside, box.describe()),
    ]


def _check_overlaps(boxes, file):
    """Boxes that lie on each other almost exactly."""
    findings = []
    if len(boxes) < 2 or not _may_overlap(boxes):
        return findings
    corners = box_geometry.corners_of(boxes)
    overlaps = np.triu(box_geometry.pairwise_iou(corners, corners), k=1)
    for i, j in np.argwhere(overlaps > CLASS_CONFLICT_IOU):
        first, second = boxes[i], boxes[j]
        if first.name != second.name:
            what = f"lies on a box of class {second.name!r} at the same place"
            findings.append(Finding("box-class-conflict", file, what, f"{first.name} ({first.describe()})"))
        elif overlaps[i, j] > DUPLICATE_IOU:
            what = "there is a second box of this class at the same place"
            findings.append(Finding("box-duplicate", file, what, f"{first.name} ({first.describe()})"))
    return findings


def _may_overlap(boxes):
    """Whether it is worth computing how far boxes overlap."""
    if len(boxes) > _FEW_BOXES:
        return True
    return any(
        _begin_alike(a.xmin, a.xmax, b.xmin, b.xmax) and _begin_alike(a.ymin, a.ymax, b.ymin, b.ymax)
        for a, b in itertools.combinations(boxes, 2)
    )
