"""The content of an annotation file, as plain immutable values.

Coordinates are float pixels of the original image, exactly as in the file (nothing is subtracted); the origin is the
top-left corner of the top-left pixel.
"""

import dataclasses
import pathlib

from tfodhelper import errors
from tfodhelper.annotations import masks


class UnusableFile(errors.AnnotationError):
    """One annotation or image file that cannot be used; the rest of the dataset may be fine.

    Args:
      code: the stable code of the reason, a key of `findings.KINDS`.
      path: the file.
      reason: what is wrong with it, without the path.
      expected, received, fix: see `errors.TfodhelperError`.
    """

    def __init__(self, code, path, reason, *, expected=None, received=None, fix=None):
        super().__init__(f"{path}: {reason}", expected=expected, received=received, fix=fix)
        self.code, self.reason = code, reason


@dataclasses.dataclass(frozen=True)
class Box:
    """One labelled object.

    Attributes:
      name: the class name, verbatim.
      xmin, ymin, xmax, ymax: float pixels of the original image.
      difficult: whether the object is hard to recognise; evaluation may ignore it.
      truncated: whether the object extends beyond the image.
      pose: the view, as free text.
      mask: its pixels, in the same frame, or None.
      weight: how much it counts in training; 0 is an ignored region, of which nothing is learned.
      location_weight: 0 to 1, how much of that holds for its corners and its mask; 0: only its class is learned.
    """

    name: str
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    difficult: bool = False
    truncated: bool = False
    pose: str = "Unspecified"
    mask: masks.Mask | None = None
    weight: float = 1.0
    location_weight: float = 1.0

    def __post_init__(self):
        if self.mask is not None and not isinstance(self.mask, masks.Mask):
            object.__setattr__(self, "mask", masks.unpack(self.mask))

    @property
    def is_weighted(self) -> bool:
        """Whether it counts differently from a box that a person drew."""
        return self.weight != 1.0 or self.location_weight != 1.0

    @property
    def width(self) -> float:
        """Pixels; negative when the corners are inverted."""
        return self.xmax - self.xmin

    @property
    def height(self) -> float:
        """Pixels; negative when the corners are inverted."""
        return self.ymax - self.ymin

    @property
    def area(self) -> float:
        """Square pixels, 0 for a box without positive sides."""
        return max(self.width, 0.0) * max(self.height, 0.0)

    def describe(self) -> str:
        """The corners as a short text, for messages."""
        return f"xmin {self.xmin:g}, ymin {self.ymin:g}, xmax {self.xmax:g}, ymax {self.ymax:g}"


@dataclasses.dataclass(frozen=True)
class SkippedObject:
    """An object in an annotation file without a readable box.

    Attributes:
      code: the reason, a key of `findings.KINDS`.
      where: a description of the object.
      what: the problem with it.
    """

    code: str
    where: str
    what: str


@dataclasses.dataclass(frozen=True)
class Annotation:
    """The content of one annotation file.

    Attributes:
      filename: the image's name as given in the file, without folders; "" when there is none.
      width, height: the image's size in pixels as given in the file; None when it is missing or below 1.
      boxes: the objects, in file order.
      verified: whether a person marked the image as checked.
      path: the annotation file; ignored in comparisons.
      skipped: objects that could not be read as boxes.
      encoding: the encoding if it had to be guessed, or None.
      blanks: (object, class name as written) of the objects whose name had blanks around it, which were removed.
    """

    filename: str
    width: int | None
    height: int | None
    boxes: tuple[Box, ...]
    verified: bool = False
    path: pathlib.Path | None = dataclasses.field(default=None, compare=False)
    skipped: tuple[SkippedObject, ...] = ()
    encoding: str | None = dataclasses.field(default=None, compare=False)
    blanks: tuple[tuple[str, str], ...] = dataclasses.field(default=(), compare=False)
