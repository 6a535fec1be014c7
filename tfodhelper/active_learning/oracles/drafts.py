"""Predictions as drafts for LabelImg: images and XML in a review folder, and a record of what was predicted.

A person edits the XML in the review folder. Its original content is kept in `drafts.json` in the round's folder, in
the frame of the stored image, so that edits can be counted whatever happens to the review folder.
"""

import dataclasses
import os
import pathlib

from tfodhelper import errors, storage
from tfodhelper.active_learning.oracles import known_classes
from tfodhelper.annotations import exif_boxes, images, labelimg_update
from tfodhelper.annotations.labelimg import CORNERS
from tfodhelper.annotations.structures import Annotation, Box, UnusableFile
from tfodhelper.dataset import placing

MEMORY = "drafts.json"
CLASSES = "predefined_classes.txt"
HOW_TO = "HOW_TO.txt"
UNREADABLE = "the image cannot be read"
CHANGED = "the size of the image has changed since it was predicted"

_FORMAT = 1
_ENDINGS = {  # those that LabelImg looks for; the first one replaces any other ending
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}


@dataclasses.dataclass(frozen=True)
class Draft:
    """The draft of one image.

    Attributes:
      name: of the `PoolImage`.
      path: the user's image.
      image: name of its link or copy in the review folder; its XML has the same stem.
      width, height: of the stored image, pixels.
      orientation: EXIF orientation; if it is not 1, the review folder contains an upright copy with upright boxes.
      format: Pillow's name of the image's format.
      mode: Pillow's mode of the image.
      boxes: predicted, in whole pixels of the stored image, best first.
      scores: of the boxes.
      refused: why there is no draft, or "".
      is_written: whether the XML and the image have been written.
    """

    name: str
    path: str
    image: str = ""
    width: int = 0
    height: int = 0
    orientation: int = 1
    format: str = ""
    mode: str = ""
    boxes: tuple[Box, ...] = ()
    scores: tuple[float, ...] = ()
    refused: str = ""
    is_written: bool = False

    @property
    def xml(self):
        """Name of the annotation file in the review folder."""
        return os.path.splitext(self.image)[0] + ".xml"

    @property
    def shown_size(self):
        """(width, height) of the image in the review folder."""
        return exif_boxes.turned_size(self.width, self.height, self.orientation)

    def to_shown(self, box):
        """A box of the stored image as a box of the image in the review folder."""
        return exif_boxes.to_upright(box, self.width, self.height, self.orientation)

    def to_stored(self, box):
        """The inverse of `to_shown`."""
        return exif_boxes.to_stored(box, self.width, self.height, self.orientation)

    def shown_boxes(self):
        """The boxes as LabelImg would have saved them, in the order of `boxes`."""
        return tuple(labelimg_update.as_labelimg_saves(self.to_shown(box), *self.shown_size) for box in self.boxes)


def plan_draft(question, rank, digits, options, label_map=None):
    """Plans the draft of an image.

    Args:
      question: a `structures.Question`.
      rank: position among the drafts, from 1.
      digits: number of digits with which the rank is written.
      options: has `score_threshold` and `max_overlap`; see `detections_to_boxes.choose_boxes`.
      label_map: the classes that a box may have; None allows all.

    Returns:
      A `Draft`, not written.
    """
    image, predicted = question.image, question.prediction.found
    try:
        facts = images.read_image_facts(image.path)
    except UnusableFile:
        return Draft(image.name, image.path, refused=UNREADABLE)
    if (predicted.width, predicted.height) != (facts.width, facts.height):
        return Draft(image.name, image.path, refused=CHANGED)
    stem, ending = os.path.splitext(pathlib.PurePosixPath(image.name).name)
    endings = _ENDINGS.get(facts.format, (ending,))
    if facts.orientation > 1:  # re-encoded
        ending = ".jpg" if facts.format in images.LOSSY_FORMATS else ".png"
    elif ending.lower() not in endings:
        ending = endings[0]
    draft = Draft(
        name=image.name,
        path=image.path,
        image=f"{rank:0{digits}d}_{stem}{ending}",
        width=facts.width,
        height=facts.height,
        orientation=facts.orientation,
        format=facts.format,
        mode=facts.mode,
    )
    pairs = known_classes.choose_draft(question, options.score_threshold, options.max_overlap, label_map)
    shown = dataclasses.replace(draft, boxes=tuple(box for box, _ in pairs)).shown_boxes()
    pairs = [pair for pair, box in zip(pairs, shown) if box.area > 0]  # LabelImg cannot show the others
    return dataclasses.replace(draft, boxes=tuple(box for box, _ in pairs), scores=tuple(score for _, score in pairs))


def write_draft(folder, draft, how):
    """Writes the image and the XML of a draft to the review folder; an existing XML file is left unchanged.

    Args:
      folder: the review folder.
      draft: a `Draft`.
      how: `placing.LINK` or COPY; an image that EXIF rotates is always copied, upright.
    """
    target, xml = folder / draft.image, folder / draft.xml
    if xml.exists():
        return
    if target.is_symlink() or target.exists():
        target.unlink()  # left by an interruption
    if draft.orientation == 1:
        placing.place_image(draft.path, target, how)
    else:
        _write_upright(draft, target)
    annotation = Annotation(target.name, *draft.shown_size, draft.shown_boxes())
    placing.write_annotation(xml, target, annotation, 1 if draft.mode == "L" else 3)


def _write_upright(draft, target):
    data = images.read_image(draft.path)
    facts = images.inspect_image(data, draft.path)
    data, _ = images.encode_for_record(data, facts, True)
    with storage.open_whole(target, "wb") as file:
        file.write(data)


def write_guides(folder, class_names, instructions):
    """Writes the list of classes, as LabelImg reads it, and the instructions, unless they exist.

    Args:
      folder: the review folder.
      class_names: list of str.
      instructions: text.
    """
    texts = {CLASSES: "".join(f"{name}\n" for name in class_names), HOW_TO: instructions}
    for name, text in texts.items():
        if not (folder / name).exists():
            storage.write_text(folder / name, text)


def write_memory(folder, review, drafts):
    """Writes drafts.json atomically.

    Args:
      folder: of the round.
      review: path of the review folder, absolute or relative to the round's folder.
      drafts: iterable of `Draft`s.
    """
    value = {"format": _FORMAT, "review": review, "drafts": [_to_json(draft) for draft in drafts]}
    storage.write_json(pathlib.Path(folder) / MEMORY, value)


def read_memory(folder):
    """Reads what `write_memory` wrote.

    Returns:
      (review, {image name: `Draft`} in the order written); (None, {}) if nothing has been written yet.

    Raises:
      StorageError: the file is malformed.
    """
    path = pathlib.Path(folder) / MEMORY
    if not path.exists():
        return None, {}
    value = storage.read_json(path)
    try:
        if value["format"] != _FORMAT:
            raise ValueError(f"format {value['format']}")
        drafts = [_from_json(entry) for entry in value["drafts"]]
        return value["review"], {draft.name: draft for draft in drafts}
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise errors.StorageError(
            f"{path}: does not contain the drafts of a round ({type(error).__name__}: {error})",
            fix="restore the file; without it, the original predictions are lost",
        ) from error


def _to_json(draft):
    boxes = [
        {"class": box.name} | {side: getattr(box, side) for side in CORNERS} | {"score": score}
        for box, score in zip(draft.boxes, draft.scores)
    ]
    plain = {field.name: getattr(draft, field.name) for field in dataclasses.fields(draft) if field.name != "scores"}
    return plain | {"boxes": boxes}


def _from_json(value):
    boxes = tuple(Box(box["class"], *(float(box[side]) for side in CORNERS)) for box in value["boxes"])
    return Draft(**value | {"boxes": boxes, "scores": tuple(float(box["score"]) for box in value["boxes"])})
