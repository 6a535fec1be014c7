"""What one look at an annotation file and its likely image gives, as plain values.

An `Entry` is made in a worker process and travels as one line of JSON, which goes into a file
(`entry_store.EntryStore`) and is read again when somebody asks for it: of a million images only a few numbers each
stay in memory.
"""

import dataclasses
import hashlib
import json
import operator
import os
import typing

from tfodhelper.annotations import checks, headers, images, labelimg, usual_layout
from tfodhelper.annotations.findings import from_unusable
from tfodhelper.annotations.images import ImageFacts
from tfodhelper.annotations.structures import Annotation, Box, SkippedObject, UnusableFile

SMALL_AREA_PX, MEDIUM_AREA_PX = 32**2, 96**2
_FACT_NAMES = [field.name for field in dataclasses.fields(ImageFacts)]
NUM_BYTES, SHA256 = _FACT_NAMES.index("num_bytes"), _FACT_NAMES.index("sha256")
FAULTLESS = True  # in `Entry.checked`: the annotation can be used as it stands
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_FACTS = operator.attrgetter(*_FACT_NAMES)
_BOX = operator.attrgetter(*(field.name for field in dataclasses.fields(Box)))


class Entry(typing.NamedTuple):
    """An annotation file with the image that its name leads to.

    Attributes:
      name: of the annotation file, relative to the annotation folder.
      stamp: (bytes, time of change in ns) of it.
      sha256: hex digest of it.
      content: what it says, see `pack`; None when it cannot be used.
      trouble: the finding that says why, as a tuple; or None.
      image: name of the image that was looked at, or None.
      image_stamp: (bytes, time of change in ns) of it, or None.
      facts: the fields of its `ImageFacts`, or None.
      bad_sha256: the image's hex digest where it has no facts; "" when it could not be read.
      image_trouble: the finding that says why it cannot be used, as a tuple; or None.
      checked: the content after `checks.check_annotation`; FAULTLESS when that is `content` itself, None when the image
        is left out.
      turn: whether EXIF's turn has to be carried out.
      findings: what the check found, as tuples.
    """

    name: str
    stamp: tuple
    sha256: str
    content: tuple | None
    trouble: tuple | None = None
    image: str | None = None
    image_stamp: tuple | None = None
    facts: tuple | None = None
    bad_sha256: str = ""
    image_trouble: tuple | None = None
    checked: tuple | bool | None = None
    turn: bool = False
    findings: tuple = ()

    @property
    def filename(self):
        """As the annotation file gives it."""
        return self.content[0] if self.content else ""

    @property
    def width(self):
        """As the annotation file gives it; None when it does not."""
        return self.content[1] if self.content else None

    @property
    def height(self):
        """As the annotation file gives it; None when it does not."""
        return self.content[2] if self.content else None

    @property
    def usable(self):
        """The content that goes into a record, or None."""
        return self.content if self.checked is FAULTLESS else self.checked

    @property
    def image_sha256(self):
        """Hex digest of the image; "" when it could not be read."""
        return self.facts[SHA256] if self.facts else self.bad_sha256

    @property
    def annotation(self):
        """The `Annotation` as it stands in the file, or None."""
        return None if self.content is None else unpack(self.content)


class LookOptions(typing.NamedTuple):
    """How files are looked at.

    Attributes:
      image_dir, annotation_dir: folders that the names are relative to, as strings.
      decode: whether images are decoded.
      label_map: classes that are allowed, or None.
      check_options: a `checks.CheckOptions`.
    """

    image_dir: str
    annotation_dir: str
    decode: bool
    label_map: object
    check_options: checks.CheckOptions


def pack(annotation):
    """An `Annotation` as nested plain values; its path is not kept.

    Returns:
      (filename, width, height, boxes, verified), the boxes as tuples of the fields of `Box`; then skipped objects and
      guessed encoding, where there are.
    """
    boxes = tuple([_BOX(box) for box in annotation.boxes])
    start = (annotation.filename, annotation.width, annotation.height, boxes, annotation.verified)
    if not annotation.skipped and not annotation.encoding:
        return start
    return (*start, tuple([(s.code, s.where, s.what) for s in annotation.skipped]), annotation.encoding)


def unpack(content):
    """The `Annotation` that was packed."""
    filename, width, height, boxes, verified, *rest = content
    skipped, encoding = rest or ((), None)
    return Annotation(
        filename,
        width,
        height,
        tuple([Box(*box) for box in boxes]),
        verified,
        None,
        tuple([SkippedObject(*one) for one in skipped]),
        encoding,
    )


def size_letter(width, height):
    """The size of a box as COCO names it: s below 32 x 32 square pixels, m below 96 x 96, else l."""
    area = width * height
    return "s" if area < SMALL_AREA_PX else "m" if area < MEDIUM_AREA_PX else "l"


def to_tuple(finding):
    """A finding as plain values."""
    return (
        *(finding.code, finding.file, finding.what, finding.where),
        *(finding.expected, finding.received, finding.fix, finding.action),
    )


def look_at(options, name, image, known=None):
    """The `Entry` of one annotation file.

    Args:
      options: `LookOptions`.
      name: of the annotation file.
      image: name of the image that its name leads to, or None.
      known: an earlier `Entry`, which is given back when neither file has changed since; or None.
    """
    path = f"{options.annotation_dir}/{name}"
    if known is not None and _is_unchanged(options, path, image, known):
        # What was found may have depended on the other files of the set.
        return known if known.facts is None or known.checked is FAULTLESS else check(options, known)
    entry = _look_at_annotation(path, name)
    if image is None or _is_no_annotation(entry):
        return entry
    return look_at_image(options, entry, image)


def _is_unchanged(options, path, image, known):
    """Whether neither file has changed; the image may be one to which another thing than the name has led."""
    if tuple(known.stamp) != _stamp_of(path):
        return False
    if image is not None and known.image != image:
        return _is_no_annotation(known)
    return known.image is None or tuple(known.image_stamp or ()) == _stamp_of(f"{options.image_dir}/{known.image}")


def _is_no_annotation(entry):
    return entry.trouble is not None and entry.trouble[0] == "not-an-annotation"


def _look_at_annotation(path, name):
    try:
        data, stamp = _read(path, labelimg.MAX_BYTES)
    except OSError as error:
        trouble = UnusableFile("xml-unreadable", path, f"cannot be read ({error.strerror})")
        return Entry(name, (), hashlib.sha256(b"").hexdigest(), None, to_tuple(from_unusable(trouble, name)))
    digest, content = hashlib.sha256(data).hexdigest(), usual_layout.read(data)
    if content is None:
        try:
            content = pack(labelimg.parse_labelimg(data, path))
        except UnusableFile as error:
            return Entry(name, stamp, digest, None, to_tuple(from_unusable(error, name)))
    return Entry(name, stamp, digest, content)


def look_at_image(options, entry, image):
    """An entry with its image looked at and its annotation checked against it.

    Args:
      options: `LookOptions`.
      entry: an `Entry`, whatever image it names.
      image: name of the image.
    """
    path = f"{options.image_dir}/{image}"
    data, stamp = b"", None
    try:
        data, stamp = read_with_stamp(path)
        facts = _FACTS(headers.inspect(data, path, options.decode))
    except UnusableFile as error:
        digest = hashlib.sha256(data).hexdigest() if stamp else ""
        trouble = to_tuple(from_unusable(error, image))
        return entry._replace(image=image, image_stamp=stamp, facts=None, bad_sha256=digest, image_trouble=trouble)
    return check(
        options, entry._replace(image=image, image_stamp=stamp, facts=facts, bad_sha256="", image_trouble=None)
    )


def check(options, entry):
    """An entry with its annotation checked against the image that was looked at."""
    if entry.content is None:
        return entry
    facts = ImageFacts(*entry.facts)
    if checks.is_faultless(entry.content, facts, entry.image, options.label_map):
        return entry._replace(checked=FAULTLESS, turn=False, findings=())
    annotation = entry.annotation
    found = checks.check_annotation(
        annotation, facts, entry.name, options.label_map, options.check_options, entry.image
    )
    checked = found.annotation
    return entry._replace(
        checked=None if checked is None else FAULTLESS if checked == annotation else pack(checked),
        turn=found.turn,
        findings=tuple([to_tuple(finding) for finding in found.findings]),
    )


def labels_of(entry):
    """(class names, letters of the sizes, see `size_letter`) of the boxes that can be used, in their order."""
    boxes = (entry.usable or (None,) * 4)[3] or ()
    return tuple([box[0] for box in boxes]), "".join([size_letter(box[3] - box[1], box[4] - box[2]) for box in boxes])


def content_digest(entry):
    """A short digest of all that the image's record depends on, but for ids."""
    text = f"{entry.image_sha256}{entry.turn}{json.dumps(entry.usable)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_with_stamp(path):
    """(the bytes of a file, its stamp).

    Raises:
      UnusableFile: when it cannot be read.
    """
    try:
        data, stamp = _read(path, images.MAX_BYTES)
        if len(data) <= images.MAX_BYTES:
            return data, stamp
    except OSError as error:
        raise UnusableFile("image-unreadable", path, f"cannot be read ({error.strerror})") from error
    expected = f"at most {images.MAX_BYTES >> 20} MB"
    raise UnusableFile("image-too-large", path, "the file is too large", expected=expected)


def _read(path, most):
    """(the first most + 1 bytes of a file, its stamp), with as few calls of the system as can be."""
    descriptor = os.open(path, _READ_FLAGS)
    try:
        status = os.fstat(descriptor)
        wanted = min(status.st_size, most) + 1
        data = os.read(descriptor, wanted)
        while len(data) != status.st_size and len(data) <= most and (more := os.read(descriptor, wanted)):
            data += more
    finally:
        os.close(descriptor)
    return data, _to_stamp(status)


def _stamp_of(path):
    try:
        return _to_stamp(os.stat(path))
    except OSError:
        return None


def _to_stamp(status):
    return status.st_size, status.st_mtime_ns
