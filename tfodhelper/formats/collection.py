"""Annotations of many images from one source: the result of reading COCO JSON, YOLO labels and CSV tables."""

import dataclasses
import math
import posixpath
import re

from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.structures import Annotation

_SNAP_PX = 0.01  # above the rounding error of six digits or of a float32, even in large images
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclasses.dataclass(frozen=True)
class ListedImage:
    """An image that is named in a list of annotations.

    Attributes:
      name: as given in the list, with "/" between folders; the image may not exist.
      annotation: its content; `filename` is the last part of the name.
    """

    name: str
    annotation: Annotation


@dataclasses.dataclass(frozen=True)
class Collection:
    """The annotations that were read.

    Attributes:
      images: in the order in which they occur.
      class_ids: {class name: 1-based id}; empty if the source does not number its classes.
      sides: {image name: "train" or "validate"}, if the source distinguishes them.
      findings: what could not be imported unchanged.
    """

    images: tuple[ListedImage, ...]
    class_ids: dict[str, int] = dataclasses.field(default_factory=dict)
    sides: dict[str, str] = dataclasses.field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def to_posix(name):
    """A name with "/" between its parts, whichever system wrote it, as UTF-8 text without surrounding blanks."""
    return str(name).encode("utf-8", "replace").decode("utf-8").strip().replace("\\", "/")


def to_class_name(text):
    """A class name that every format can represent: no surrounding blanks, no control characters and the like."""
    return _CONTROL.sub("\ufffd", str(text).replace("\ufeff", "").strip())


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
    return int(number) if number is not None and number >= 1 else None


def snap(value):
    """Rounds a coordinate that was computed from a fraction to a whole pixel, if that is within 0.01 pixels."""
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
