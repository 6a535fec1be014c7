"""Checks one image with its annotation: what is wrong, and the corrected annotation where a correction is safe.

A correction is safe where it cannot produce a wrong label: the size is taken from the pixels, a box that extends
slightly beyond the image is clipped. Where a guess would be needed, the box or the image is left out. An image that
lost all of its objects is left out too: as a negative it would teach the model that it is empty.
"""

import dataclasses
import itertools

from tfodhelper import box_geometry, spelling
from tfodhelper.annotations import corner_order, frames, mask_checks, mask_files, masks, weight_files
from tfodhelper.annotations.findings import BOX_LEFT_OUT, IMAGE_LEFT_OUT, Finding
from tfodhelper.annotations.frames import MIN_SIDE_PX, MIN_VISIBLE_FRACTION
from tfodhelper.annotations.images import EXTENSIONS
from tfodhelper.annotations.structures import Annotation

DUPLICATE_IOU = 0.95
CLASS_CONFLICT_IOU = 0.9
_FRACTIONS = "the corners look like fractions of the image; multiply them by its width and height"
_MOST_SUGGESTIONS = 20  # of similar class names, in one file
_SHOWN_BLANKS = 3
_ROUNDING_PX = 1.0  # a box that extends at most this far beyond the image was rounded, or counts pixels from 1
_NUM_DETAILS = 3  # of a box without mask and weights: difficult, truncated, pose
_NOT_OBJECTS = (mask_files.STALE, weight_files.STALE, weight_files.CONFIRMED)  # codes of `skipped`
_FEW_BOXES = 12  # up to this many boxes are compared pair by pair


@dataclasses.dataclass(frozen=True)
class CheckOptions:
    """How to treat problems that have no safe correction.

    Attributes:
      swap_inverted: swap the corners of a box whose minimum is greater than its maximum. The result is a valid box,
        though not necessarily the right one.
      drop_unknown_classes: leave out only the boxes of classes that are not in the label map, so that their objects
        become background; otherwise the whole image is left out.
      corner_order: what the four tags of each box contain, see `corner_order.parse_order`; None is the usual order.
      trust_pixels: the sizes in the XML files of this dataset are known to be meaningless.
      boxes_as_masks: whether an object without a mask gets its box as its mask.
    """

    swap_inverted: bool = False
    drop_unknown_classes: bool = False
    corner_order: tuple[str, ...] | None = None
    trust_pixels: bool = False
    boxes_as_masks: bool = False


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """The result for one image.

    Attributes:
      annotation: with the real size and usable boxes only; None when the image is left out.
      findings: what was found.
      turn: whether the image must be rotated according to its EXIF orientation.
    """

    annotation: Annotation | None
    findings: tuple[Finding, ...]
    turn: bool = False


def check_annotation(annotation, facts, file, label_map=None, options=CheckOptions(), image_file=None):  # noqa: B008
    """Checks an annotation against its image.

    Args:
      annotation: an `Annotation`, as read from its file.
      facts: the image's `ImageFacts`.
      file: name of the annotation file, as shown in findings.
      label_map: the allowed classes; None allows all.
      options: a `CheckOptions`.
      image_file: name of the image, as shown in findings; by default `file`.

    Returns:
      A `CheckResult`.
    """
    image_file = image_file or file
    findings = _check_image(annotation, facts, image_file)
    size, turn, more = frames.choose_frame(annotation, facts, file, options.trust_pixels)
    findings += more
    if annotation.encoding:
        findings.append(Finding("xml-encoding", file, "is not UTF-8", None, "UTF-8", f"read as {annotation.encoding}"))
    findings += [_describe_blanks(annotation.blanks, file)] if annotation.blanks else []
    findings += [_describe_skipped(skipped, file) for skipped in annotation.skipped]
    if size is None:
        return CheckResult(None, tuple(findings))
    if _has_confused_corners(annotation.boxes, size, options):
        return CheckResult(None, (*findings, corner_order.describe(annotation.boxes, size, file)))
    boxes, more = _check_boxes(annotation.boxes, *size, file, label_map, options)
    findings += more + _check_overlaps([box for box in boxes if box.weight > 0], file) + _describe_weights(boxes, file)
    if any(finding.action == IMAGE_LEFT_OUT for finding in findings):
        return CheckResult(None, tuple(findings))
    num_objects = len(annotation.boxes) + sum(skipped.code not in _NOT_OBJECTS for skipped in annotation.skipped)
    dropped = sum(finding.code == "class-unknown" for finding in findings)
    if num_objects and not boxes and dropped < num_objects:
        findings.append(
            Finding("no-box-left", file, f"none of its {spelling.count(num_objects, 'object')} has a usable box")
        )
        return CheckResult(None, tuple(findings))
    if options.boxes_as_masks:
        boxes = [box if box.mask else dataclasses.replace(box, mask=masks.make_from_box(box)) for box in boxes]
    fixed = dataclasses.replace(annotation, width=size[0], height=size[1], boxes=tuple(boxes), skipped=(), blanks=())
    return CheckResult(fixed, tuple(findings), turn)


def is_faultless(content, facts, image_file, label_map=None):
    """Whether `check_annotation` would find and change nothing; may be False where only the full check can tell.

    Args:
      content: (filename, width, height, boxes, verified), the boxes as tuples of the fields of `structures.Box`;
        content with more elements is never faultless, and neither are boxes with masks or weights.
      facts, image_file, label_map: see `check_annotation`.
    """
    width, height, boxes = content[1], content[2], content[3]
    if len(content) != 5 or width != facts.width or height != facts.height or facts.orientation != 1:
        return False
    if facts.reencode_reason or facts.is_blank or len(boxes) > _FEW_BOXES:
        return False
    if EXTENSIONS.get("." + image_file.rpartition(".")[2].lower()) != facts.format:
        return False
    for name, xmin, ymin, xmax, ymax, *details in boxes:
        if len(details) > _NUM_DETAILS:
            return False
        if xmin < 0 or ymin < 0 or xmax > width or ymax > height:
            return False
        if not (xmax - xmin >= MIN_SIDE_PX and ymax - ymin >= MIN_SIDE_PX):
            return False
        if label_map is not None and name not in label_map:
            return False
    return len(boxes) < 2 or not any(
        _may_coincide(a[1], a[3], b[1], b[3]) and _may_coincide(a[2], a[4], b[2], b[4])
        for a, b in itertools.combinations(boxes, 2)
    )


def _may_coincide(low, high, other_low, other_high):
    """Whether two spans may overlap by more than 90 %: those that do start at nearly the same coordinate."""
    return abs(low - other_low) <= (1 - CLASS_CONFLICT_IOU) * max(high - low, other_high - other_low)


def _check_image(annotation, facts, file):
    findings = []
    named = EXTENSIONS.get("." + file.rsplit(".", 1)[-1].lower())
    if named and named != facts.format and not (named == "JPEG" and facts.format == "MPO"):
        findings.append(
            Finding("extension-differs", file, "the content does not match the extension", None, named, facts.format)
        )
    if "." not in file.rsplit("/", 1)[-1]:
        findings.append(Finding("extension-differs", file, "the file has no extension", None, None, facts.format))
    if facts.reencode_reason:
        findings.append(Finding("image-reencoded", file, facts.reencode_reason))
    if facts.is_blank and annotation.boxes:
        findings.append(
            Finding(
                "image-blank",
                file,
                f"all pixels are equal, but it has {spelling.count(len(annotation.boxes), 'box')}",
                fix="check the image",
            )
        )
    return findings


def _describe_blanks(blanks, file):
    names = ", ".join(f"{where}: {name!r}" for where, name in blanks[:_SHOWN_BLANKS])
    more = ", ..." if len(blanks) > _SHOWN_BLANKS else ""
    problem = f"blanks around {spelling.count(len(blanks), 'class name')}, which are removed"
    return Finding("name-blanks", file, problem, received=names + more)


def _describe_skipped(skipped, file):
    fix = "label the object again"
    if skipped.code == mask_files.STALE:
        fix = f"delete it from {mask_files.path_of(file)}, or import the masks again"
    elif skipped.code == weight_files.STALE:
        fix = f"delete it from {weight_files.path_of(file)}; the box counts 1"
    elif skipped.code == weight_files.CONFIRMED:
        fix = f"delete {weight_files.path_of(file)}"
    return Finding(skipped.code, file, skipped.what, skipped.where, fix=fix)


def _describe_weights(boxes, file):
    """What a reader of records is told about boxes that do not count 1."""
    num_ignored = sum(not box.weight for box in boxes)
    num_weighted = sum(box.is_weighted for box in boxes)
    if not num_weighted:
        return []
    problem = f"{num_weighted} of {spelling.count(len(boxes), 'box')} do not count 1 in training"
    problem += f", of which {spelling.count(num_ignored, 'is an ignored region', 'are ignored regions')}"
    return [Finding("box-weights", file, problem)]


def _has_confused_corners(boxes, size, options):
    """Whether the corners of a file are in the wrong tags; swapping them is an option only if that fits all boxes."""
    return corner_order.is_confused(boxes) and not (options.swap_inverted and corner_order.swap_fits(boxes, size))


def _check_boxes(boxes, width, height, file, label_map, options):
    """Returns the usable boxes, clipped and without exact repeats, and the findings."""
    usable, findings, number_of, num_unknown = [], [], {}, 0
    for number, box in enumerate(boxes, start=1):
        where = f"object {number} ({box.name})"
        unknown = label_map is not None and box.name not in label_map
        if unknown:
            num_unknown += 1
            has_suggestion = num_unknown <= _MOST_SUGGESTIONS
            findings.append(_class_unknown(box, where, file, label_map, options, has_suggestion))
        fixed, more = _check_box(box, width, height, where, file, options)
        if unknown and options.drop_unknown_classes:
            continue
        findings += more
        if fixed is not None:
            first = number_of.setdefault((fixed.name, fixed.xmin, fixed.ymin, fixed.xmax, fixed.ymax), number)
            if first == number:
                fixed, problems = mask_checks.check_mask(fixed, width, height, where, file)
                findings += problems
                usable.append(fixed)
            else:
                findings.append(Finding("box-repeated", file, f"is the same box as object {first}", where))
    return usable, findings


def _class_unknown(box, where, file, label_map, options, has_suggestion):
    drop = options.drop_unknown_classes
    names = label_map.shown_names
    closest = next(iter(spelling.nearest(box.name, names, 1, cutoff=0.8)), None) if has_suggestion else None
    known = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    return Finding(
        "class-unknown",
        file,
        f"class {box.name!r} is not in the label map" + (f" (did you mean {closest!r}?)" if closest else ""),
        where,
        f"one of {known}",
        fix=None if drop else "rename the class, add it to the label map, or use --drop_unknown_classes",
        action=BOX_LEFT_OUT if drop else IMAGE_LEFT_OUT,
    )


def _check_box(box, width, height, where, file, options):
    """Returns the usable box or None, and the findings."""
    findings = []
    inside = f"inside {width}x{height}"
    if box.width < 0 or box.height < 0:
        if not options.swap_inverted:
            return None, [
                Finding(
                    "box-inverted",
                    file,
                    "the minimum is greater than the maximum",
                    where,
                    "xmin < xmax, ymin < ymax",
                    box.describe(),
                    "label the object again"
                    + (", or use --swap_inverted" if frames.fits(box, (width, height)) else ""),
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
                "less than half of the box is inside the image",
                where,
                inside,
                box.describe(),
                "label the object again",
            ),
        ]
    beyond = max(-box.xmin, -box.ymin, box.xmax - width, box.ymax - height)
    code = "box-rounded" if beyond <= _ROUNDING_PX else "box-clipped"
    problem = f"the box extends beyond the image by {beyond:.2g} px and is clipped"
    return clipped, [*findings, Finding(code, file, problem, where, inside, box.describe())]


def _check_overlaps(boxes, file):
    """Findings about boxes that coincide almost exactly."""
    findings = []
    if len(boxes) < 2 or not _may_overlap(boxes):
        return findings
    pairs = box_geometry.coinciding(box_geometry.corners_of(boxes), CLASS_CONFLICT_IOU)
    if pairs is None:
        problem = f"too many of its {spelling.count(len(boxes), 'box')} coincide for a comparison of each pair"
        return [Finding("overlaps-unchecked", file, problem, fix="check the boxes in LabelImg")]
    said = set()
    for i, j, iou in zip(*(column.tolist() for column in pairs)):
        first, second = boxes[i], boxes[j]
        if first.name != second.name:
            code, problem = "box-class-conflict", f"coincides with a box of class {second.name!r}"
        elif iou > DUPLICATE_IOU:
            code, problem = "box-duplicate", "coincides with another box of the same class"
        else:
            continue
        if (code, j) not in said:  # one finding per box and kind, however many boxes are stacked
            said.add((code, j))
            findings.append(Finding(code, file, problem, f"{first.name} ({first.describe()})"))
    return findings


def _may_overlap(boxes):
    """Whether any two boxes may coincide, so that computing their overlaps is worthwhile."""
    if len(boxes) > _FEW_BOXES:
        return True
    return any(
        _may_coincide(a.xmin, a.xmax, b.xmin, b.xmax) and _may_coincide(a.ymin, a.ymax, b.ymin, b.ymax)
        for a, b in itertools.combinations(boxes, 2)
    )
