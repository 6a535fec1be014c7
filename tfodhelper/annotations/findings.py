"""Problems found in a set of annotated images: stable codes, their severity, and the action taken."""

import dataclasses

from tfodhelper import plain_text

NOTE, WARNING, ERROR = "note", "warning", "error"  # severities

KEPT = "kept"  # nothing was changed
FIXED = "fixed"  # the image or the annotation is used in a corrected form
BOX_LEFT_OUT = "box left out"
IMAGE_LEFT_OUT = "image left out"
FILE_LEFT_OUT = "file left out"  # its labels are lost, though perhaps not those of its image
MASK_LEFT_OUT = "mask left out"  # the box of the object is used
FILE_IGNORED = "file ignored"  # nothing labelled is lost
REFUSED = "refused"  # continuing would train on wrong or missing labels


@dataclasses.dataclass(frozen=True)
class Kind:
    """How a finding of one code is treated.

    Attributes:
      severity: NOTE, WARNING or ERROR; an error means that something labelled is lost.
      action: what is done about it.
      strict: whether `--strict` stops on it.
      meaning: a general description of the problem.
    """

    severity: str
    action: str
    strict: bool
    meaning: str


KINDS = {
    # annotation files
    "xml-empty": Kind(ERROR, IMAGE_LEFT_OUT, True, "the annotation file is empty"),
    "xml-unreadable": Kind(ERROR, IMAGE_LEFT_OUT, True, "the annotation file is not well-formed XML"),
    "xml-encoding": Kind(WARNING, FIXED, True, "the annotation file is not UTF-8; its encoding was guessed"),
    "not-an-annotation": Kind(NOTE, FILE_IGNORED, True, "the root of the XML file is not <annotation>"),
    "git-lfs-pointer": Kind(ERROR, REFUSED, True, "the file is a git-lfs pointer, not the content"),
    "xml-copy": Kind(NOTE, FILE_IGNORED, True, "a second annotation file with the same content for an image"),
    "xml-conflict": Kind(ERROR, FILE_LEFT_OUT, True, "a second annotation file with different content for an image"),
    "annotations-conflict": Kind(ERROR, IMAGE_LEFT_OUT, True, "annotation files of equal rank contradict each other"),
    # annotations from other formats
    "image-unlisted": Kind(ERROR, IMAGE_LEFT_OUT, True, "an entry that does not say which image it is about"),
    "image-id-shared": Kind(ERROR, IMAGE_LEFT_OUT, True, "several images with the same id"),
    "record-damaged": Kind(ERROR, IMAGE_LEFT_OUT, True, "a record that is damaged, or is not a tf.train.Example"),
    "entry-unusable": Kind(ERROR, BOX_LEFT_OUT, True, "an entry that lacks what it needs"),
    "box-approximated": Kind(WARNING, FIXED, True, "an outline that was reduced to its bounding box"),
    "crowd-as-difficult": Kind(WARNING, FIXED, True, "a crowd, which is imported as a difficult object"),
    "detail-dropped": Kind(NOTE, FIXED, False, "something that LabelImg XML cannot represent"),
    "class-merged": Kind(WARNING, FIXED, True, "one class name with several ids"),
    "ids-conflict": Kind(WARNING, KEPT, True, "class ids that contradict each other"),
    "ids-moved": Kind(WARNING, FIXED, True, "class ids from 0, which are increased by one"),
    "id-replaced": Kind(WARNING, FIXED, True, "a class id that a label map cannot hold"),
    "class-unnamed": Kind(WARNING, KEPT, True, "a class id without a name"),
    "names-uncertain": Kind(WARNING, KEPT, True, "class names that may belong to another dataset"),
    "record-format": Kind(WARNING, FIXED, True, "a record whose image is not in the declared format"),
    "boxes-suggested": Kind(WARNING, KEPT, False, "boxes of a model that nobody may have looked at"),
    "size-conflict": Kind(WARNING, KEPT, True, "one image with several sizes"),
    # weights
    "box-weights": Kind(NOTE, KEPT, False, "boxes that count less than others in training, or are ignored regions"),
    "weights-unreadable": Kind(ERROR, IMAGE_LEFT_OUT, True, "the file with the weights of an image cannot be read"),
    "weight-stale": Kind(WARNING, FIXED, False, "a weight whose box was moved, renamed or deleted"),
    "weights-confirmed": Kind(NOTE, FIXED, False, "weights of an image that a person has verified since"),
    # masks
    "masks-unreadable": Kind(ERROR, IMAGE_LEFT_OUT, True, "the file with the masks of an image cannot be read"),
    "mask-unusable": Kind(ERROR, MASK_LEFT_OUT, True, "an outline or a run-length code that is not a mask"),
    "mask-stale": Kind(WARNING, MASK_LEFT_OUT, True, "a mask whose box was moved or deleted"),
    "mask-size": Kind(ERROR, MASK_LEFT_OUT, True, "a mask whose size is not that of the image"),
    "mask-outside": Kind(ERROR, MASK_LEFT_OUT, True, "a mask without a pixel in its box"),
    "mask-beyond-box": Kind(WARNING, KEPT, False, "a mask of which a part is outside of its box"),
    # finding the image
    "image-missing": Kind(ERROR, IMAGE_LEFT_OUT, True, "no image belongs to the annotation file"),
    "image-ambiguous": Kind(ERROR, IMAGE_LEFT_OUT, True, "several images may belong to the annotation file"),
    "image-elsewhere": Kind(WARNING, KEPT, False, "images that were taken from an unrelated folder"),
    "filename-differs": Kind(WARNING, KEPT, False, "<filename> names a different image from the one used"),
    "filename-bare": Kind(WARNING, KEPT, False, "<filename> has no extension, as written by old tools"),
    "name-not-utf8": Kind(ERROR, FILE_LEFT_OUT, True, "a file whose name is not valid UTF-8"),
    "link-broken": Kind(ERROR, FILE_LEFT_OUT, True, "a symbolic link that leads nowhere or in a circle"),
    "not-a-file": Kind(WARNING, FILE_IGNORED, True, "a named pipe, a socket or a device instead of a file"),
    "folder-unreadable": Kind(ERROR, FILE_LEFT_OUT, True, "a folder that cannot be listed"),
    "format-not-read": Kind(WARNING, FILE_IGNORED, False, "an image in a format that is not read"),
    "unlabelled": Kind(NOTE, IMAGE_LEFT_OUT, False, "the image has no annotation file"),
    # the image itself
    "image-empty": Kind(ERROR, IMAGE_LEFT_OUT, True, "the image file is empty"),
    "image-unreadable": Kind(ERROR, IMAGE_LEFT_OUT, True, "the image cannot be decoded"),
    "image-truncated": Kind(ERROR, IMAGE_LEFT_OUT, True, "the image file ends too early"),
    "image-too-large": Kind(ERROR, IMAGE_LEFT_OUT, True, "the image has too many pixels"),
    "image-reencoded": Kind(WARNING, FIXED, False, "TensorFlow cannot decode the image as it is; it is re-encoded"),
    "image-blank": Kind(WARNING, KEPT, False, "all pixels of an image with boxes are equal"),
    "extension-differs": Kind(WARNING, KEPT, False, "the content does not match the file extension"),
    "orientation-undecided": Kind(WARNING, KEPT, False, "an EXIF rotation that the size in the XML cannot confirm"),
    "image-turned": Kind(WARNING, FIXED, True, "the boxes refer to the image as rotated by EXIF"),
    # size
    "size-missing": Kind(WARNING, FIXED, True, "the XML has no usable image size"),
    "size-differs": Kind(WARNING, FIXED, True, "the size in the XML differs from the image's; the boxes fit the image"),
    "size-undecided": Kind(ERROR, IMAGE_LEFT_OUT, True, "the size in the XML differs, and the boxes may be wrong"),
    # boxes
    "box-missing": Kind(ERROR, BOX_LEFT_OUT, True, "an object without an upright box"),
    "box-not-a-number": Kind(ERROR, BOX_LEFT_OUT, True, "a corner that is not a number"),
    "box-unnamed": Kind(ERROR, BOX_LEFT_OUT, True, "an object without a class name"),
    "box-inverted": Kind(ERROR, BOX_LEFT_OUT, True, "a box whose minimum is greater than its maximum"),
    "corners-confused": Kind(ERROR, IMAGE_LEFT_OUT, True, "several inverted boxes in a file: corners in wrong tags"),
    "box-swapped": Kind(WARNING, FIXED, True, "a box whose corners were swapped"),
    "box-no-area": Kind(ERROR, BOX_LEFT_OUT, True, "a box less than one pixel wide or high"),
    "box-outside": Kind(ERROR, BOX_LEFT_OUT, True, "a box of which less than half is inside the image"),
    "box-clipped": Kind(WARNING, FIXED, True, "a box that extended beyond the image"),
    "box-rounded": Kind(NOTE, FIXED, True, "a box that extended beyond the image by at most a pixel"),
    "box-repeated": Kind(WARNING, BOX_LEFT_OUT, True, "an exact repeat of a box of the same class"),
    "box-duplicate": Kind(WARNING, KEPT, False, "two coinciding boxes of one class"),
    "overlaps-unchecked": Kind(WARNING, KEPT, False, "so many coinciding boxes that they were not compared"),
    "box-tiny": Kind(NOTE, KEPT, False, "boxes that cover less than a thousandth of the image"),
    "box-fraction": Kind(NOTE, KEPT, False, "fractional corners, which LabelImg truncates to whole pixels on saving"),
    "box-class-conflict": Kind(WARNING, KEPT, False, "two coinciding boxes of different classes"),
    "no-box-left": Kind(ERROR, IMAGE_LEFT_OUT, True, "none of the objects of an image has a usable box"),
    # classes
    "class-unknown": Kind(ERROR, IMAGE_LEFT_OUT, True, "a class that is not in the given label map"),
    "name-blanks": Kind(WARNING, FIXED, True, "blanks around class names, and characters that no format allows"),
    "class-twins": Kind(WARNING, KEPT, False, "two class names that may mean the same class"),
    "boxes-too-small": Kind(WARNING, KEPT, False, "boxes that are very small at the model's input size"),
    "no-objects": Kind(WARNING, KEPT, False, "many annotation files without objects that are not marked as verified"),
    "class-few": Kind(NOTE, KEPT, False, "a class with few boxes"),
    "nothing-to-train": Kind(ERROR, REFUSED, True, "no image with a box is left to train on"),
    "class-no-training": Kind(ERROR, REFUSED, True, "a class without training boxes"),
    "class-no-validation": Kind(WARNING, KEPT, False, "a class without validation boxes"),
    "label-map-gap": Kind(WARNING, KEPT, False, "ids that are missing from the label map"),
    # the dataset
    "images-identical": Kind(NOTE, KEPT, False, "byte-identical images with the same boxes"),
    "images-disagree": Kind(WARNING, KEPT, False, "byte-identical images with different boxes"),
    "split-folders": Kind(WARNING, KEPT, False, "folders that look like a split, which is not used"),
    "split-leak": Kind(WARNING, KEPT, False, "the given lists or folders put identical images on both sides"),
    "split-near-leak": Kind(WARNING, KEPT, False, "near-identical images are on both sides of the split"),
    "list-entry-unknown": Kind(WARNING, KEPT, True, "a list names an image that does not exist"),
    "not-listed": Kind(NOTE, IMAGE_LEFT_OUT, False, "the image is in none of the given lists or folders"),
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One problem with one file, or with one object in it.

    Attributes:
      code: a key of `KINDS`.
      file: the file, relative to the data folder if it is inside it.
      what: the problem in one sentence.
      where: the object in the file, or None.
      expected, received, fix: as in `errors.TfodhelperError`, or None.
      action: what is done about it; the code's usual action unless an option changes it.
    """

    code: str
    file: str
    what: str
    where: str | None = None
    expected: str | None = None
    received: str | None = None
    fix: str | None = None
    action: str = ""

    def __post_init__(self):
        if not self.action:
            object.__setattr__(self, "action", KINDS[self.code].action)

    @property
    def severity(self) -> str:
        """NOTE, WARNING or ERROR."""
        return KINDS[self.code].severity

    @property
    def is_strict(self) -> bool:
        """Whether `--strict` stops on it."""
        return KINDS[self.code].strict

    @property
    def message(self) -> str:
        """The finding in one line, without the code."""
        parts = [f"{self.file}: " + (f"{self.where}: " if self.where else "") + self.what]
        expected, received = plain_text.tell_apart(self.expected or "", self.received or "")
        parts += [f"expected {expected}"] if expected else []
        parts += [f"received {received}"] if received else []
        parts += [self.action] if self.action != KEPT else []
        parts += [f"fix: {self.fix}"] if self.fix else []
        return plain_text.one_line("; ".join(plain_text.shorten(part) for part in parts))

    def to_json(self) -> dict[str, str | None]:
        """A dict of plain values, without the empty ones."""
        pairs = {"code": self.code, "severity": self.severity, "action": self.action, "file": self.file}
        rest = {"where": self.where, "what": self.what, "expected": self.expected, "received": self.received}
        return pairs | {k: v for k, v in (rest | {"fix": self.fix}).items() if v}


def from_unusable(error, file):
    """Converts an `UnusableFile` error to a finding.

    Args:
      error: the error.
      file: name of the file, as shown in findings.
    """
    return Finding(error.code, file, error.reason, None, error.expected, error.received, error.fix)


def from_skipped(skipped):
    """Converts a `user_files.Skipped` to a finding."""
    return Finding(skipped.code, skipped.name, skipped.what, fix=skipped.fix)


def count_codes(findings):
    """How often each code occurs: {code: count}, errors first, then by count and name."""
    counts = {}
    for finding in findings:
        counts[finding.code] = counts.get(finding.code, 0) + 1
    rank = {ERROR: 0, WARNING: 1, NOTE: 2}
    return dict(sorted(counts.items(), key=lambda pair: (rank[KINDS[pair[0]].severity], -pair[1], pair[0])))
