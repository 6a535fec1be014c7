"""One image with its annotation file, as the page in the browser shows and changes it.

The page always shows an image upright, as EXIF asks for it. The file keeps its own frame: the one that it was written
in, and for a new file the one that LabelImg would use, so that every reader of this program finds the boxes where the
person saw them. The version of a file is a digest of its bytes, with those of the weights next to it: who saves says on
which version the changes are based, and a file that another program has changed since then is never overwritten.

An ignored region is a box of weight 0. A box with another weight keeps it until a person confirms or changes the box,
or accepts the image: then it counts 1, as everything that a person says.
"""

import dataclasses
import os
import pathlib

from tfodhelper import errors, image_decoding, limits
from tfodhelper.annotations import exif_boxes, frames, labelimg, labelimg_update, mask_files, weight_files
from tfodhelper.annotations.images import ImageFacts
from tfodhelper.annotations.labelimg_update import EditedBox
from tfodhelper.annotations.structures import Box, UnusableFile
from tfodhelper.labelling import stored
from tfodhelper.labelling.stored import Stored

_SAME_PX = 1e-6


class Conflict(errors.TfodhelperError):
    """The annotation file is not the one that the changes were made to."""


@dataclasses.dataclass(frozen=True)
class Item:
    """An image that is to be labelled.

    Attributes:
      name: what the page calls it.
      image: path of the image.
      xml: path of its annotation file, which need not exist.
      suggestions: (`Box` in pixels of the stored image, score) of a detector, best first.
    """

    name: str
    image: str
    xml: str
    suggestions: tuple[tuple[Box, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Document:
    """An annotation file that is open, as it was when it was opened.

    Attributes:
      item: its `Item`.
      size: (width, height) of the image file.
      orientation: EXIF orientation.
      is_turned: whether the frame of the file is the upright image; otherwise it is the stored one.
      depth: number of colour channels.
      base: its bytes.
      is_verified: whether it says that a person has accepted the image.
      notes: what a person should know about the file.
    """

    item: Item
    size: tuple[int, int]
    orientation: int
    is_turned: bool
    depth: int
    base: Stored
    is_verified: bool = False
    notes: tuple[str, ...] = ()

    @property
    def shown_size(self):
        """(width, height) of the image as it is shown."""
        return exif_boxes.turned_size(*self.size, self.orientation)

    @property
    def file_size(self):
        """(width, height) of the frame of the file."""
        return self.shown_size if self.is_turned else self.size

    def to_shown(self, box):
        """A box of the file as a box of the image as it is shown."""
        return box if self.is_turned else exif_boxes.to_upright(box, *self.size, self.orientation)

    def to_file(self, box):
        """The inverse of `to_shown`."""
        return box if self.is_turned else exif_boxes.to_stored(box, *self.size, self.orientation)

    def suggested(self):
        """[(`Box` in the frame of the file as LabelImg would save it, score)] of the suggestions that have an area."""
        pairs = []
        for box, score in self.item.suggestions:
            shown = exif_boxes.to_upright(box, *self.size, self.orientation) if self.is_turned else box
            saved = labelimg_update.as_labelimg_saves(shown, *self.file_size)
            if saved.area > 0:
                pairs.append((saved, score))
        return pairs

    def boxes(self):
        """The `EditedBox`es of the file, with their weights; of a file that does not exist, the suggestions."""
        if not self.base.exists:
            return [EditedBox(box) for box, _ in self.suggested()]
        objects = labelimg_update.read_objects(self.base.xml, self.item.xml)
        weighted = self.base.parse(self.item.xml).boxes
        return [dataclasses.replace(each, box=box) for each, box in zip(objects, weighted, strict=True)]


def open_document(item):
    """Opens the annotation file of an image.

    Args:
      item: an `Item`.

    Returns:
      `Document`.

    Raises:
      UnusableFile: the image or the file cannot be read; the message says why.
    """
    try:
        with image_decoding.opened(item.image) as image:
            size, mode = image.size, image.mode
            orientation = image_decoding.orientation_of(image)
    except image_decoding.UndecodableImageError as error:
        raise UnusableFile("image-unreadable", item.image, f"cannot be decoded ({error.reason})") from None
    except OSError as error:
        raise UnusableFile("image-unreadable", item.image, f"cannot be read ({error.strerror})") from error
    base = stored.read(item.xml)
    annotation = base.parse(item.xml) if base.exists else None
    is_turned, notes = _choose_frame(item, annotation, size, orientation)
    is_verified = annotation is not None and annotation.verified
    return Document(item, size, orientation, is_turned, 1 if mode == "L" else 3, base, is_verified, tuple(notes))


def _choose_frame(item, annotation, size, orientation):
    """(whether the frame of the file is the upright image, notes)."""
    width, height = size
    facts = ImageFacts("", width, height, "RGB", orientation, "", 0)
    if annotation is None:  # as LabelImg, where the size of the file tells it apart
        return facts.is_quarter_turned and width != height, []
    _, is_turned, findings = frames.choose_frame(annotation, facts, os.path.basename(item.xml))
    notes = [finding.what for finding in findings if finding.code not in ("image-turned", "orientation-undecided")]
    notes += [f"{skipped.where} {skipped.what}; {_fate_of(skipped)}" for skipped in annotation.skipped]
    if mask_files.read_bytes(item.xml) is not None:
        notes.append("its objects have masks: the mask of a box that is moved belongs to no object any more")
    return is_turned, notes


def _fate_of(skipped):
    is_weight = skipped.code in (weight_files.STALE, weight_files.CONFIRMED)
    return "it is removed with the first change" if is_weight else "it stays in the file"


def is_verified(path):
    """Whether an annotation file says that a person has verified it; False if there is none, or it cannot be read."""
    try:
        data = stored.read_xml(path)
        return data is not None and labelimg.parse_labelimg(data, path).verified
    except UnusableFile:  # the page says why
        return False


def save(document, version, boxes, verified):
    """Writes the annotation file of a document, or removes the one that this session has made.

    Args:
      document: a `Document`.
      version: of the file that the changes were made to.
      boxes: list of `EditedBox` in the image as it is shown; None for no file.
      verified: whether a person has accepted the image as a whole.

    Returns:
      The `Stored` that is there now.

    Raises:
      Conflict: the file has another version.
      AnnotationError: a class name that cannot be written, a box that is not inside the image.
      StorageError: it cannot be written.
    """
    path = pathlib.Path(document.item.xml)
    current = stored.read(path)
    if current.version != version:
        raise Conflict(
            f"{path}: another program has {'changed' if current.exists else 'removed'} this file in the meantime",
            fix="load it again; what you changed in this image since it was last saved is then lost",
        )
    if boxes is None:
        return _remove(document, path)
    base = document.base.xml
    if base is None:
        base = labelimg_update.make_empty(path, document.item.image, document.file_size, document.depth)
    before = {each.source: each.box for each in document.boxes() if each.source is not None}
    objects = [_to_file(document, each, before, verified) for each in boxes]
    text = labelimg_update.update(base, path, objects, document.file_size, verified)
    kept = sorted((each for each in objects if each.source is not None), key=lambda each: each.source)
    in_order = [*kept, *(each for each in objects if each.source is None)]
    return stored.write(path, current, text, [each.box for each in in_order], verified)


def _remove(document, path):
    if document.base.exists:
        raise errors.AnnotationError(f"{path}: existed before, and is not removed", fix="delete its boxes instead")
    stored.remove(path, document.base.weights)
    return document.base


def _to_file(document, edited, before, verified):
    """An `EditedBox` in the frame of the file; corners that were not touched stay as they are in the file."""
    box, old = edited.box, before.get(edited.source)
    if edited.source is not None and old is None:
        raise errors.AnnotationError(f"object {edited.source}: is not in the file")
    if problem := limits.name_problem(box.name):
        raise errors.AnnotationError(f"the box {box.describe()} {problem}")
    if old is not None and _is_same_place(upright_corners(document.to_shown(old)), box):
        kept = dataclasses.replace(old, name=box.name, difficult=box.difficult)
        is_said = edited.is_confirmed or kept.name != old.name or verified and not document.is_verified
        return dataclasses.replace(edited, box=_weigh(kept, box, is_said))
    saved = labelimg_update.as_labelimg_saves(document.to_file(box), *document.file_size)
    if saved.area <= 0 or saved.xmax > document.file_size[0] or saved.ymax > document.file_size[1]:
        raise errors.AnnotationError(
            f"the box {box.describe()} cannot be saved",
            expected="a box of at least one pixel inside the image of {}x{}".format(*document.shown_size),
        )
    return dataclasses.replace(edited, box=_weigh(saved, box, True))


def _weigh(kept, box, is_said):
    """A box with the weights that it gets; `box` is what the page shows, `is_said` whether that is a person's word."""
    if not box.weight:
        return kept if not kept.weight else dataclasses.replace(kept, weight=0.0, location_weight=1.0)
    if is_said or not kept.weight:
        return dataclasses.replace(kept, weight=1.0, location_weight=1.0)
    return kept


def upright_corners(box):
    """A box with xmin <= xmax and ymin <= ymax, as it is drawn."""
    (xmin, xmax), (ymin, ymax) = sorted((box.xmin, box.xmax)), sorted((box.ymin, box.ymax))
    return dataclasses.replace(box, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax)


def _is_same_place(first, second):
    return all(abs(getattr(first, tag) - getattr(second, tag)) <= _SAME_PX for tag in labelimg.CORNERS)
