"""What an annotation file says, as plain immutable values.

Coordinates are float pixels of the original image; the origin is the top-left corner of the top-left pixel, and they
are kept as they stand in the file (nothing is subtracted).
"""

import dataclasses
import pathlib

from tfodhelper import errors


class UnusableFile(errors.AnnotationError):
    """One annotation or image file that cannot be used; the rest of the set may be fine.

    Args:
      code: the stable name of the reason, a key of `findings.KINDS`.
      path: the file.
      reason: what is wrong with it, without the path.
      expected, received, fix: as for every error of this program.
    """

    def __init__(self, code, path, reason, *, expected=None, received=None, fix=None):
        super().__init__(f"{path}: {reason}", expected=expected, received=received, fix=fix)
        self.code, self.reason = code, reason


@dataclasses.dataclass(frozen=True)
class Box:
    """One labelled object.

    Attributes:
      name: the class name, exact.
      xmin, ymin, xmax, ymax: float pixels of the original image.
      difficult: whether the object is hard to recognise; evaluation may leave it out.
      truncated: whether the object reaches beyond the image.
      pose: the view, free text.
    """

    name: str
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    difficult: bool = False
    truncated: bool = False
    pose: str = "Unspecified"

    @property
    def width(self):
        """Pixels; negative when the corners are inverted."""
        return self.xmax - self.xmin

    @property
    def height(self):
        """Pixels; negative when the corners are inverted."""
        return self.ymax - self.ymin

    @property
    def area(self):
        """Square pixels, 0 for a box without positive sides."""
        return max(self.width, 0.0) * max(self.height, 0.0)

    def describe(self):
        """The corners in short, for messages."""
        return f"xmin {self.xmin:g}, ymin {self.ymin:g}, xmax {self.xmax:g}, ymax {self.ymax:g}"


@dataclasses.dataclass(frozen=True)
class SkippedObject:
    """An object of an annotation file that has no box that could be read.

    Attributes:
      code: the reason, a key of `findings.KINDS`.
      where: which object it is, in words.
      what: what is wrong with it.
    """

    code: str
    where: str
    what: str


@dataclasses.dataclass(frozen=True)
class Annotation:
    """The content of one annotation file.

    Attributes:
      filename: the image's name as the file gives it, without folders; "" when the file gives none.
      width, height: the image's size as the file gives it, pixels; None when it gives none or one below 1.
      boxes: the objects, in the order of the file.
      verified: whether a person marked the image as checked.
      path: the annotation file; not part of equality.
      skipped: objects that could not be read as boxes.
      encoding: the encoding that had to be guessed, or None.
    """

    filename: str
    width: int | None
    height: int | None
    boxes: tuple[Box, ...]
    verified: bool = False
    path: pathlib.Path | None = dataclasses.field(default=None, compare=False)
    skipped: tuple[SkippedObject, ...] = ()
    encoding: str | None = dataclasses.field(default=None, compare=False)
