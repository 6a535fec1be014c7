"""Annotations of many images from one source: the result of reading COCO JSON, YOLO labels, tables, tasks and so on.

What all of these formats have in common is here: which texts are names and numbers, which numbers are a box, and which
images remain when objects are lost.
"""

import dataclasses
import math
import posixpath
import re

from tfodhelper import limits, spelling
from tfodhelper.annotations import weight_files
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.structures import Annotation, Box

_MAX_SIDE_PX = 1 << 31  # no image format has larger sides
_WHOLE_NUMBER = re.compile(r"[-+]?[0-9]{1,18}")
_SNAP_PX = 0.01  # above the rounding error of six digits or of a float32, even in large images
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclasses.dataclass(frozen=True)
class ListedImage:
    """An image that is named in a list of annotations.

    Attributes:
      name: as given in the list, with "/" between folders; the image may not exist.
      annotation: its content; `filename` is the last part of the name.
      lost: a finding for each of its objects that cannot be read as a box.
    """

    name: str
    annotation: Annotation
    lost: tuple[Finding, ...] = ()


@dataclasses.dataclass(frozen=True)
class PredictedImage:
    """What a model predicts for an image, as lists of annotations carry it.

    Attributes:
      name: as in `ListedImage`.
      width, height: of the image that the boxes refer to, pixels; None if unknown.
      boxes: predicted.
      scores: of the boxes, 0..1; None for a box without a score.
    """

    name: str
    width: int | None
    height: int | None
    boxes: tuple[Box, ...]
    scores: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class Collection:
    """The annotations that were read.

    Attributes:
      images: in the order in which they occur.
      class_ids: {class name: its id in the source}, see `class_ids.ClassIds`; empty if the source has no ids.
      sides: {image name: set of sides of the split}, if the source distinguishes them.
      findings: what could not be imported unchanged.
      predicted: predictions for images, listed or not.
      is_upright: whether the boxes refer to images as EXIF shows them, whatever their size.
    """

    images: tuple[ListedImage, ...]
    class_ids: dict[str, int | str] = dataclasses.field(default_factory=dict)
    sides: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    predicted: tuple[PredictedImage, ...] = ()
    is_upright: bool = False


def to_posix(name):
    """A name with "/" between its parts, whichever system wrote it, as UTF-8 text without surrounding blanks."""
    return str(name).encode("utf-8", "replace").decode("utf-8").strip().replace("\\", "/")


def to_class_name(text):
    """A class name that every format can represent: no surrounding blanks, no control characters and the like.

    A text that is too long for a name (`limits.MAX_NAME`) counts as no name, "".
    """
    name = _CONTROL.sub("\ufffd", str(text).replace("\ufeff", "").strip())
    return "" if limits.name_problem(name) else name


def report_changed(counts, source):
    """Findings about class names that `to_class_name` changes.

    Args:
      counts: {class name as it is written: how often it occurs}.
      source: the file, as shown in findings.
    """
    clean = {name: to_class_name(name) for name in counts}
    return [
        Finding("name-blanks", source, f"the class name {name!r} is read as {clean[name]!r}", received=f"{count} times")
        for name, count in sorted(counts.items())
        if clean[name] and clean[name] != name
    ]


def base_name(name):
    """The last part of a name."""
    return posixpath.basename(to_posix(name))


def to_number(value):
    """A finite float from a number or a string, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def to_size(value):
    """An integer number of pixels, at least 1, or None."""
    number = to_number(value)
    return int(number) if number is not None and 1 <= number <= _MAX_SIDE_PX else None


def to_id(value):
    """An id as a number, where it is one or is written as one, or as text; None for everything else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return int(value) if _WHOLE_NUMBER.fullmatch(value.strip()) else value.strip() or None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def make_box(name, corners, **flags):
    """A `Box` in pixels, or None where a corner is not a finite number, as after an overflow.

    Args:
      name: the class.
      corners: xmin, ymin, xmax, ymax.
      **flags: further fields of the box.
    """
    return Box(name, *corners, **flags) if all(map(math.isfinite, corners)) else None


def read_weights(entry, file, where):
    """The weights of an object, under the names of the fields of a box.

    Args:
      entry: dict of the values that a format has for the object.
      file, where: as in findings.

    Returns:
      ({name: value} of those that it has, findings).
    """
    weights, findings = {}, []
    for key, most in (("weight", weight_files.MOST), ("location_weight", 1.0)):
        if key not in entry:
            continue
        if weight_files.is_weight(entry[key], most):
            weights[key] = float(entry[key])
        else:
            problem, expected = f"its {key} is not one; the object counts 1", f"a number from 0 to {most:g}"
            findings.append(Finding("detail-dropped", file, problem, where, expected, str(entry[key])[:80]))
    return weights, findings


def unnamed_class(id_):
    """The name of a class whose name is unknown; it is always reported, see `report_unnamed`."""
    return f"class_{id_}"


def report_unnamed(counts, source):
    """Findings about class ids without a name.

    Args:
      counts: {id: number of its boxes}.
      source: the file that should have named them, as shown in findings.
    """
    return [
        Finding(
            "class-unnamed",
            source,
            f"no name for the class id {id_} of {spelling.count(count, 'box')}, called {unnamed_class(id_)} here",
            fix="give the file with all class names with --classes, or rename the class",
        )
        for id_, count in sorted(counts.items())
    ]


def is_usable(image):
    """Whether an image can be imported. One that lost all of its objects would teach a model that it is empty."""
    return bool(image.annotation.boxes) or not image.lost


def findings_of(image):
    """The findings about the lost objects of a `ListedImage`, and about the image if it is left out for them."""
    if is_usable(image):
        return list(image.lost)
    return [*image.lost, Finding("no-box-left", image.name, "it has objects, but no usable box")]


def snap(value):
    """Rounds a coordinate that was computed from a fraction to a whole pixel, if that is within 0.01 pixels."""
    if not math.isfinite(value):
        return value
    nearest = round(value)
    return float(nearest) if abs(value - nearest) < _SNAP_PX else value


def enclosing_box(points):
    """The upright box around points.

    Args:
      points: x1, y1, x2, y2, ... as finite floats, at least two points.

    Returns:
      (xmin, ymin, xmax, ymax).
    """
    xs, ys = points[0::2], points[1::2]
    return min(xs), min(ys), max(xs), max(ys)
