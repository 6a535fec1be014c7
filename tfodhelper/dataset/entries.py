"""What one look at an annotation file and its likely image gives, as plain values.

An `Entry` travels from a worker process to its parent, and is one line of the notes that a later conversion begins
with. The annotation in it stays packed in one short text until somebody asks for it: a million of them fit into memory.
"""

import dataclasses
import hashlib
import json
import operator
import os
import pathlib
import sys
import typing

from tfodhelper import errors, storage
from tfodhelper.annotations import checks, headers, images, labelimg
from tfodhelper.annotations.findings import Finding, from_unusable
from tfodhelper.annotations.images import ImageFacts
from tfodhelper.annotations.structures import Annotation, Box, SkippedObject, UnusableFile

_FORMAT = 1
SMALL_AREA_PX, MEDIUM_AREA_PX = 32**2, 96**2
NUM_BYTES = [field.name for field in dataclasses.fields(ImageFacts)].index("num_bytes")
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_FACTS = operator.attrgetter(*(field.name for field in dataclasses.fields(ImageFacts)))
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode


class Entry(typing.NamedTuple):
    """An annotation file with the image that its name leads to.

    Attributes:
      name: of the annotation file, relative to the annotation folder.
      stamp: (bytes, time of change in ns) of it.
      sha256: hex digest of it.
      packed: its content, see `pack`; None when it cannot be used.
      trouble: the finding that says why, as a tuple; or None.
      filename, width, height: as the annotation file gives them.
      image: name of the image that was looked at, or None.
      image_stamp: (bytes, time of change in ns) of it, or None.
      facts: the fields of its `ImageFacts`, or None.
      image_sha256: its hex digest; "" when it could not be read.
      image_trouble: the finding that says why it cannot be used, as a tuple; or None.
      checked: the annotation after `checks.check_annotation`, packed; None when the image is left out.
      turn: whether EXIF's turn has to be carried out.
      findings: what the check found, as tuples.
      labels: class names of the boxes of `checked`.
      sizes: a letter for the size of each: s, m or l, see `size_letter`.
    """

    name: str
    stamp: tuple
    sha256: str
    packed: str | None
    trouble: tuple | None = None
    filename: str = ""
    width: int | None = None
    height: int | None = None
    image: str | None = None
    image_stamp: tuple | None = None
    facts: tuple | None = None
    image_sha256: str = ""
    image_trouble: tuple | None = None
    checked: str | None = None
    turn: bool = False
    findings: tuple = ()
    labels: tuple = ()
    sizes: str = ""

    @property
    def annotation(self):
        """The `Annotation` as it stands in the file, or None."""
        return None if self.packed is None else unpack(self.packed)


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
    """An `Annotation` as a short text; its path is not kept."""
    boxes = [(b.name, b.xmin, b.ymin, b.xmax, b.ymax, b.difficult, b.truncated, b.pose) for b in annotation.boxes]
    skipped = [(s.code, s.where, s.what) for s in annotation.skipped]
    rest = (
        (annotation.verified, skipped, annotation.encoding)
        if skipped or annotation.encoding
        else (annotation.verified,)
    )
    return json.dumps((annotation.filename, annotation.width, annotation.height, boxes, *rest), separators=(",", ":"))


def unpack(text):
    """The `Annotation` that was packed."""
    filename, width, height, boxes, verified, *rest = json.loads(text)
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


def size_letter(box):
    """The size of a box as COCO names it: s below 32 x 32 square pixels, m below 96 x 96, else l."""
    return "s" if box.area < SMALL_AREA_PX else "m" if box.area < MEDIUM_AREA_PX else "l"


def to_tuple(finding):
    """A finding as plain values."""
    return (
        *(finding.code, finding.file, finding.what, finding.where),
        *(finding.expected, finding.received, finding.way_out, finding.action),
    )


def look_at_all(task):
    """Looks at some annotation files and their likely images; the work of one worker process.

    Args:
      task: (`LookOptions`, list of (annotation file, image or None, stamps known of both or None)).

    Returns:
      List of `Entry`s; None for files that have not changed since their stamps were taken.
    """
    options, wanted = task
    return [look_at(options, *one) for one in wanted]


def look_at(options, name, image, known=None):
    """The `Entry` of one annotation file, or None when nothing changed."""
    path = f"{options.annotation_dir}/{name}"
    if known is not None and known == (_stamp_of(path), image and _stamp_of(f"{options.image_dir}/{image}")):
        return None
    entry, annotation = _look_at_annotation(path, name)
    if image is None or (entry.packed is None and entry.trouble[0] == "not-an-annotation"):
        return entry
    return look_at_image(options, entry, image, annotation)


def _look_at_annotation(path, name):
    try:
        data, stamp = _read(path, labelimg.MAX_BYTES)
    except OSError as error:
        trouble = UnusableFile("xml-unreadable", path, f"cannot be read ({error.strerror})")
        return Entry(name, (), hashlib.sha256(b"").hexdigest(), None, to_tuple(from_unusable(trouble, name))), None
    digest = hashlib.sha256(data).hexdigest()
    try:
        annotation = labelimg.parse_labelimg(data, path)
    except UnusableFile as error:
        return Entry(name, stamp, digest, None, to_tuple(from_unusable(error, name))), None
    packed = pack(annotation)
    return Entry(
        name, stamp, digest, packed, None, annotation.filename, annotation.width, annotation.height
    ), annotation


def look_at_image(options, entry, image, annotation=None):
    """An entry with its image looked at and its annotation checked against it.

    Args:
      options: `LookOptions`.
      entry: an `Entry`, whatever image it names.
      image: name of the image.
      annotation: of the entry, where it is at hand.
    """
    path = f"{options.image_dir}/{image}"
    data, stamp = b"", None
    try:
        data, stamp = read_with_stamp(path)
        facts = headers.inspect(data, path, options.decode)
    except UnusableFile as error:
        digest = hashlib.sha256(data).hexdigest() if stamp else ""
        trouble = to_tuple(from_unusable(error, image))
        return entry._replace(image=image, image_stamp=stamp, facts=None, image_sha256=digest, image_trouble=trouble)
    entry = entry._replace(
        image=image, image_stamp=stamp, facts=_FACTS(facts), image_sha256=facts.sha256, image_trouble=None
    )
    return check(options, entry, annotation or entry.annotation, facts)


def check(options, entry, annotation=None, facts=None):
    """An entry with its annotation checked against the image that was looked at."""
    annotation, facts = annotation or entry.annotation, facts or ImageFacts(*entry.facts)
    if annotation is None:
        return entry
    found = checks.check_annotation(
        annotation, facts, entry.name, options.label_map, options.check_options, entry.image
    )
    checked = found.annotation
    return entry._replace(
        checked=None if checked is None else entry.packed if checked == annotation else pack(checked),
        turn=found.turn,
        findings=tuple([to_tuple(finding) for finding in found.findings]),
        labels=tuple([box.name for box in checked.boxes]) if checked is not None else (),
        sizes="".join([size_letter(box) for box in checked.boxes]) if checked is not None else "",
    )


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


class UsableImage:
    """An image that can be trained on.

    Attributes:
      entry: what is known of it.
      image_dir: the folder that its name is relative to.
    """

    __slots__ = ("entry", "image_dir")

    def __init__(self, entry, image_dir):
        self.entry, self.image_dir = entry, image_dir

    @property
    def name(self):
        """Relative to the image folder, POSIX."""
        return self.entry.image

    @property
    def path(self):
        """The file."""
        return pathlib.Path(self.image_dir) / self.entry.image

    @property
    def xml(self):
        """Name of the annotation file, relative to the annotation folder."""
        return self.entry.name

    @property
    def annotation(self):
        """Checked; the size is the one of the frame that goes into the record."""
        return unpack(self.entry.checked)

    @property
    def facts(self):
        """`ImageFacts` of the file."""
        return ImageFacts(*self.entry.facts)

    @property
    def sha256(self):
        """Hex digest of the file."""
        return self.entry.image_sha256

    @property
    def num_bytes(self):
        """Size of the file."""
        return self.entry.facts[NUM_BYTES]

    @property
    def turn(self):
        """Whether EXIF's turn has to be carried out."""
        return self.entry.turn

    @property
    def labels(self):
        """Class names of the boxes, in their order."""
        return self.entry.labels

    @property
    def strata(self):
        """(class name, letter of the size) of the boxes, each once."""
        return frozenset(zip(self.entry.labels, self.entry.sizes))

    @property
    def content(self):
        """A short digest of all that its record depends on, but for ids."""
        entry = self.entry
        return hashlib.sha256(f"{entry.image_sha256}{entry.turn}{entry.checked}".encode()).hexdigest()[:16]

    @property
    def findings(self):
        """What was found about this image."""
        return tuple(Finding(*values) for values in self.entry.findings)


def write_notes(path, identity, entries):
    """Writes entries as lines of JSON, the first of which says what they depend on."""
    with storage.open_whole(path) as file:
        file.write(json.dumps({"format": _FORMAT, "identity": identity}) + "\n")
        for entry in entries:
            file.write(_encode(entry) + "\n")


def read_notes(path, identity):
    """{annotation file: `Entry`} of a file of notes; None when it is not there, is of other options or is damaged."""
    try:
        with open(path, encoding="utf-8") as file:
            head = json.loads(file.readline() or "null")
            if head != {"format": _FORMAT, "identity": identity}:
                return None
            return {entry.name: entry for entry in map(_from_line, file)}
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.StorageError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, TypeError):
        return None  # notes only save work


def _from_line(line):
    entry = Entry(*json.loads(line))
    return entry._replace(
        stamp=tuple(entry.stamp),
        image_stamp=entry.image_stamp and tuple(entry.image_stamp),
        facts=entry.facts and tuple(entry.facts),
        findings=tuple(map(tuple, entry.findings)),
        labels=tuple(map(sys.intern, entry.labels)),
    )


def stamps_of(entry):
    """What `look_at` compares: the stamps of the annotation file and of its image."""
    return (entry.stamp, entry.image_stamp if entry.image else None)
