"""The result of scanning one annotation file and its likely image, as plain values.

An `Entry` is made in a worker process and sent as one line of JSON, which is stored in a file
(`entry_store.EntryStore`) and read again on demand: even for a million images, only a few numbers per image stay in
memory.
"""

import dataclasses
import hashlib
import json
import operator
import os
import typing

from tfodhelper import user_files
from tfodhelper.annotations import (
    checks,
    corner_order,
    headers,
    images,
    labelimg,
    mask_files,
    masks,
    usual_layout,
    weight_files,
)
from tfodhelper.annotations.findings import from_unusable
from tfodhelper.annotations.images import ImageFacts
from tfodhelper.annotations.structures import Annotation, Box, SkippedObject, UnusableFile

SMALL_AREA_PX, MEDIUM_AREA_PX = 32**2, 96**2
_FACT_NAMES = [field.name for field in dataclasses.fields(ImageFacts)]
NUM_BYTES, SHA256 = _FACT_NAMES.index("num_bytes"), _FACT_NAMES.index("sha256")
FAULTLESS = True  # in `Entry.checked`: the annotation can be used unchanged
_FACTS = operator.attrgetter(*_FACT_NAMES)
_PLAIN_FIELDS = [field.name for field in dataclasses.fields(Box)][: -len(("mask", "weight", "location_weight"))]
_BOX = operator.attrgetter(*_PLAIN_FIELDS)
NUM_BOX_FIELDS = len(_PLAIN_FIELDS)  # of a packed box without mask and weights


class Entry(typing.NamedTuple):
    """An annotation file with the image that its name leads to.

    Attributes:
      name: of the annotation file, relative to the annotation folder.
      stamp: its (size in bytes, modification time in ns).
      sha256: its hex digest; of the annotation file and its masks and weights, if it has any.
      content: its content, see `pack_annotation`; None when it cannot be used.
      problem: the finding with the reason, as a tuple, or None.
      image: name of the image that was scanned, or None.
      image_stamp: the image's (size in bytes, modification time in ns), or None.
      facts: the fields of the image's `ImageFacts`, or None.
      bad_sha256: the image's hex digest if it has no facts; "" if it could not be read.
      image_problem: the finding with the reason why the image cannot be used, as a tuple, or None.
      checked: the content after `checks.check_annotation`; FAULTLESS if that is `content` itself, None if the image is
        left out.
      turn: whether the image must be rotated according to its EXIF orientation.
      findings: the findings of the check, as tuples.
      masks_stamp: (size in bytes, modification time in ns) of the file with its masks, or None.
      weights_stamp: the same of the file with its weights.
    """

    name: str
    stamp: tuple
    sha256: str
    content: tuple | None
    problem: tuple | None = None
    image: str | None = None
    image_stamp: tuple | None = None
    facts: tuple | None = None
    bad_sha256: str = ""
    image_problem: tuple | None = None
    checked: tuple | bool | None = None
    turn: bool = False
    findings: tuple = ()
    masks_stamp: tuple | None = None
    weights_stamp: tuple | None = None

    @property
    def filename(self):
        """As given in the annotation file."""
        return self.content[0] if self.content else ""

    @property
    def width(self):
        """As given in the annotation file, or None."""
        return self.content[1] if self.content else None

    @property
    def height(self):
        """As given in the annotation file, or None."""
        return self.content[2] if self.content else None

    @property
    def usable(self):
        """The content to store in a record, or None."""
        return self.content if self.checked is FAULTLESS else self.checked

    @property
    def image_sha256(self):
        """Hex digest of the image; "" when it could not be read."""
        return self.facts[SHA256] if self.facts else self.bad_sha256

    @property
    def annotation(self):
        """The `Annotation` as in the file, or None."""
        return None if self.content is None else unpack_annotation(self.content)


class ScanOptions(typing.NamedTuple):
    """How files are scanned.

    Attributes:
      image_dir, annotation_dir: folders that the names are relative to, as strings.
      decode: whether to decode images.
      label_map: the allowed classes; None allows all.
      check_options: a `checks.CheckOptions`.
    """

    image_dir: str
    annotation_dir: str
    decode: bool
    label_map: object
    check_options: checks.CheckOptions


def pack_annotation(annotation):
    """An `Annotation` as nested plain values, without its path.

    Returns:
      (filename, width, height, boxes, verified), the boxes as tuples of the fields of `Box`, of which the mask
      (`masks.pack`) is only there if the object has one, and the weights if they are not 1, after the mask or None;
      followed by the skipped objects, the guessed encoding and the blanks around names, if there are any.
    """
    boxes = tuple([_pack_box(box) for box in annotation.boxes])
    start = (annotation.filename, annotation.width, annotation.height, boxes, annotation.verified)
    if not annotation.skipped and not annotation.encoding and not annotation.blanks:
        return start
    skipped = tuple([(s.code, s.where, s.what) for s in annotation.skipped])
    return (*start, skipped, annotation.encoding, annotation.blanks)


def _pack_box(box):
    if box.is_weighted:
        mask = None if box.mask is None else masks.pack(box.mask)
        return (*_BOX(box), mask, box.weight, box.location_weight)
    return _BOX(box) if box.mask is None else (*_BOX(box), masks.pack(box.mask))


def has_mask(packed_box):
    """Whether a box of `pack_annotation` has a mask."""
    return len(packed_box) > NUM_BOX_FIELDS and packed_box[NUM_BOX_FIELDS] is not None


def unpack_annotation(content):
    """The `Annotation` of values made by `pack_annotation`."""
    filename, width, height, boxes, verified, *rest = content
    skipped, encoding, blanks = rest or ((), None, ())
    return Annotation(
        filename,
        width,
        height,
        tuple([Box(*box) for box in boxes]),
        verified,
        None,
        tuple([SkippedObject(*values) for values in skipped]),
        encoding,
        tuple([tuple(values) for values in blanks]),
    )


def size_letter(width, height):
    """The size class of a box as in COCO: s for areas below 32 x 32 pixels, m below 96 x 96, else l."""
    area = width * height
    return "s" if area < SMALL_AREA_PX else "m" if area < MEDIUM_AREA_PX else "l"


def to_tuple(finding):
    """A finding as a tuple of plain values."""
    return (
        *(finding.code, finding.file, finding.what, finding.where),
        *(finding.expected, finding.received, finding.fix, finding.action),
    )


def make_entry(options, name, image, known=None):
    """Scans one annotation file and its likely image.

    Args:
      options: `ScanOptions`.
      name: of the annotation file.
      image: name of the image that its name leads to, or None.
      known: a previous `Entry`, or None; its content is reused if neither file has changed since.
    """
    path = f"{options.annotation_dir}/{name}"
    if known is not None and _is_unchanged(options, path, image, known):
        # The findings may have depended on the other files of the dataset.
        return known if known.facts is None or known.checked is FAULTLESS else check_entry(options, known)
    entry = _reorder_corners(_read_annotation(path, name), options.check_options.corner_order)
    if image is None or _is_no_annotation(entry):
        return entry
    return add_image(options, entry, image)


def _is_unchanged(options, path, image, known):
    """Whether neither file has changed; the image may have been found by something other than the name."""
    if tuple(known.stamp) != _stamp_of(path):
        return False
    if (known.masks_stamp and tuple(known.masks_stamp)) != _stamp_of(mask_files.path_of(path)):
        return False
    if (known.weights_stamp and tuple(known.weights_stamp)) != _stamp_of(weight_files.path_of(path)):
        return False
    if image is not None and known.image != image:
        return _is_no_annotation(known)
    return known.image is None or tuple(known.image_stamp or ()) == _stamp_of(f"{options.image_dir}/{known.image}")


def _is_no_annotation(entry):
    return entry.problem is not None and entry.problem[0] == "not-an-annotation"


def _read_annotation(path, name):
    try:
        data, status = user_files.read_bytes(path, labelimg.MAX_BYTES)
    except OSError as error:
        problem = UnusableFile("xml-unreadable", path, f"cannot be read ({error.strerror})")
        return Entry(name, (), hashlib.sha256(b"").hexdigest(), None, to_tuple(from_unusable(problem, name)))
    stamp, digest, content = _to_stamp(status), hashlib.sha256(data).hexdigest(), usual_layout.read(data)
    stamps, beside = {}, b""
    try:
        if content is None:
            content = pack_annotation(labelimg.parse_labelimg(data, path))
        for kind, files, add in _BESIDE_XML:
            read = files.read_bytes(path)
            if read is not None:
                beside += read[0]
                stamps[kind], digest = _to_stamp(read[1]), hashlib.sha256(data + beside).hexdigest()
                content = pack_annotation(add(unpack_annotation(content), read[0], files.path_of(path)))
    except UnusableFile as error:
        problem = to_tuple(from_unusable(error, name))
        return Entry(name, stamp, digest, None, problem, **stamps)
    return Entry(name, stamp, digest, content, **stamps)


_BESIDE_XML = (  # field of `Entry`, module, its function that adds the content of a file to an annotation
    ("masks_stamp", mask_files, mask_files.add_masks),
    ("weights_stamp", weight_files, weight_files.add_weights),
)


def _reorder_corners(entry, order):
    """An entry whose boxes are read in the given order of corners, see `corner_order.parse_order`."""
    if order is None or entry.content is None:
        return entry
    filename, width, height, boxes, *rest = entry.content
    boxes = tuple([(box[0], *corner_order.reorder(box[1:5], order), *box[5:]) for box in boxes])
    return entry._replace(content=(filename, width, height, boxes, *rest))


def add_image(options, entry, image):
    """An entry with its image scanned and its annotation checked against it.

    Args:
      options: `ScanOptions`.
      entry: an `Entry` with any image.
      image: name of the image.
    """
    path = f"{options.image_dir}/{image}"
    data, stamp = b"", None
    try:
        data, stamp = read_with_stamp(path)
        facts = _FACTS(headers.inspect(data, path, options.decode))
    except UnusableFile as error:
        digest = hashlib.sha256(data).hexdigest() if stamp else ""
        problem = to_tuple(from_unusable(error, image))
        return entry._replace(image=image, image_stamp=stamp, facts=None, bad_sha256=digest, image_problem=problem)
    return check_entry(
        options, entry._replace(image=image, image_stamp=stamp, facts=facts, bad_sha256="", image_problem=None)
    )


def check_entry(options, entry):
    """An entry with its annotation checked against its image."""
    if entry.content is None:
        return entry
    facts = ImageFacts(*entry.facts)
    needs_masks = options.check_options.boxes_as_masks and entry.content[3]
    if not needs_masks and checks.is_faultless(entry.content, facts, entry.image, options.label_map):
        return entry._replace(checked=FAULTLESS, turn=False, findings=())
    annotation = entry.annotation
    result = checks.check_annotation(
        annotation, facts, entry.name, options.label_map, options.check_options, entry.image
    )
    checked = result.annotation
    return entry._replace(
        checked=None if checked is None else FAULTLESS if checked == annotation else pack_annotation(checked),
        turn=result.turn,
        findings=tuple([to_tuple(finding) for finding in result.findings]),
    )


def labels_of(entry):
    """(class names, size letters, see `size_letter`) of the usable boxes, in order; capitals for boxes with a mask."""
    boxes = (entry.usable or (None,) * 4)[3] or ()
    letters = [size_letter(box[3] - box[1], box[4] - box[2]) for box in boxes]
    letters = [letter.upper() if has_mask(box) else letter for letter, box in zip(letters, boxes)]
    return tuple([box[0] for box in boxes]), "".join(letters)


def content_digest(entry):
    """A short digest of everything that the image's record depends on, except ids."""
    text = f"{entry.image_sha256}{entry.turn}{json.dumps(entry.usable)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_with_stamp(path):
    """(the bytes of an image file, its stamp).

    Raises:
      UnusableFile: when it cannot be read.
    """
    data, status = images.read_with_status(path)
    return data, _to_stamp(status)


def _stamp_of(path):
    try:
        return _to_stamp(os.stat(path))
    except OSError:
        return None


def _to_stamp(status):
    return status.st_size, status.st_mtime_ns
