"""Annotations of many images that come from one place: what COCO JSON, YOLO text and CSV tables are read into."""

import dataclasses
import math
import posixpath
import re

from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.structures import Annotation

_SNAP_PX = 0.01  # six digits of a fraction, or its float32, are less than that on the largest images
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclasses.dataclass(frozen=True)
class ListedImage:
    """An image as a list of annotations names it.

    Attributes:
      name: as the list gives it, with "/" between folders; nothing is known of whether it is there.
      annotation: its content; `filename` is the last part of the name.
    """

    name: str
    annotation: Annotation


@dataclasses.dataclass(frozen=True)
class Collection:
    """What was read.

    Attributes:
      images: in the order in which they were met.
      class_ids: {class name: id from 1} where the source numbers its classes, else empty.
      sides: {image name: "train" or "validate"} where the source tells them apart.
      findings: what could not be taken over as it stood.
    """

    images: tuple[ListedImage, ...]
    class_ids: dict[str, int] = dataclasses.field(default_factory=dict)
    sides: dict[str, str] = dataclasses.field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def to_posix(name):
    """A name with "/" between its parts, whichever system wrote it; without blanks around it, and UTF-8 text."""
    return str(name).encode("utf-8", "replace").decode("utf-8").strip().replace("\\", "/")


def to_class_name(text):
    """A class name that every format can hold: no blanks around it, a mark for each control character and the like."""
    return _CONTROL.sub("\ufffd", str(text).replace("\ufeff", "").strip())


def base_name(name):
    """The last part of a name."""
    return posixpath.basename(to_posix(name))


def to_number(value):
    """A finite float from a number or a text, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def to_size(value):
    """A whole number of pixels, at least 1, or None."""
    number = to_number(value)
    return int(number) if number is not None and number >= 1 else None


def snap(value):
    """A coordinate that came from a fraction: the whole pixel where it lies within a hundredth of one."""
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
