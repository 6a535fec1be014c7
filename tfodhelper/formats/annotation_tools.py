"""Writes images with annotations and with predictions for the annotation tools: Label Studio's tasks, CVAT's XML.

Both show images upright, so that is the frame of all boxes here. Images that nobody has labelled are drafts: they get
what a model predicts for them, in a file of their own.
"""

import dataclasses
import pathlib

from tfodhelper import storage
from tfodhelper.annotations import image_search
from tfodhelper.annotations.structures import Annotation
from tfodhelper.dataset import placing
from tfodhelper.formats import cvat, importing, label_studio, suggestions
from tfodhelper.formats.collection import PredictedImage
from tfodhelper.formats.options import CVAT, LABEL_STUDIO

FORMATS = (LABEL_STUDIO, CVAT)
CONFIG, LABELS = "label_config.xml", "labels.json"


@dataclasses.dataclass(frozen=True)
class Entry:
    """An image for an annotation tool.

    Attributes:
      path: the image.
      name: relative to the folder of images.
      annotation: an upright `Annotation`, or None if nobody has labelled it.
      suggestion: an upright `PredictedImage`, or None.
    """

    path: pathlib.Path
    name: str
    annotation: Annotation | None = None
    suggestion: PredictedImage | None = None

    @property
    def size(self):
        """(width, height), pixels."""
        shown = self.annotation or self.suggestion
        return shown.width, shown.height


class Suggested:
    """The predictions for the images of a folder.

    Args:
      path: the JSON lines of `predict`, or None for no predictions.
      image_dir: the folder; paths in the file are those of its images, or end as their names do.
    """

    def __init__(self, path, image_dir):
        self.findings, self.ids, self._of, self._image_dir = [], {}, {}, pathlib.Path(image_dir)
        if path is not None:
            given, self.ids = suggestions.read_suggestions(path)
            located, self.findings = importing.locate(given, image_search.list_images(image_dir)[0])
            self._of = dict(located)

    def names(self):
        """Names of the images with predictions, sorted."""
        return sorted(self._of)

    def take(self, name):
        """The upright `PredictedImage` for an image, or None; once for each image."""
        given = self._of.get(name)
        if given is None:
            return None
        upright, finding = suggestions.to_upright(given, self._image_dir / name)
        self.findings += [finding] if finding else []
        return upright


def make_entry(image, suggested):
    """The `Entry` of a labelled image.

    Args:
      image: a `usable_images.UsableImage`.
      suggested: a `Suggested`.
    """
    annotation = image.annotation
    if not image.turn:  # else it is upright already
        annotation = suggestions.to_upright(annotation, image.path)[0] or annotation
    return Entry(image.path, image.name, annotation, suggested.take(image.name))


def make_drafts(names, image_dir, suggested):
    """`Entry`s of images without annotation, as far as there are predictions for them; sorted by name."""
    names = sorted(set(suggested.names()) & set(names))
    drafts = [(name, suggested.take(name)) for name in names]
    return [Entry(pathlib.Path(image_dir) / name, name, None, taken) for name, taken in drafts if taken is not None]


def write_entries(folder, format_, entries_of, class_names, how, image_url=None):
    """Writes the files of each side, the images, and what sets up the tool.

    Args:
      folder: of the result.
      format_: one of `FORMATS`.
      entries_of: {side, or DRAFTS: `Entry`s}.
      class_names: of all classes.
      how: `placing.LINK`, COPY or NONE.
      image_url: address before the names of images, or None for that of files which Label Studio serves from here.

    Returns:
      {side: names of its files}.
    """
    files_of = {}
    for side, entries in entries_of.items():
        if format_ == LABEL_STUDIO:
            files_of[side] = (f"tasks_{side}.json",)
            prefix = f"{label_studio.LOCAL_FILES}images/" if image_url is None else image_url
            label_studio.write_tasks(folder / files_of[side][0], (_to_task(entry, prefix) for entry in entries))
        else:
            files_of[side] = (f"annotations_{side}.xml",)
            cvat.write_cvat(folder / files_of[side][0], map(_to_image, entries), class_names)
        for entry in entries:
            placing.place_image(entry.path, folder / "images" / entry.name, how)
    if format_ == CVAT:
        cvat.write_labels(folder / LABELS, class_names)
    else:
        boxes = (box for entries in entries_of.values() for entry in entries for box in _boxes_of(entry))
        with_masks = any(box.mask is not None for box in boxes)
        config = label_studio.make_config(class_names, with_masks)
        storage.write_text(folder / CONFIG, config)
    return files_of


def _boxes_of(entry):
    shown = [content.boxes for content in (entry.annotation, entry.suggestion) if content is not None]
    return [box for boxes in shown for box in boxes]


def _to_task(entry, prefix):
    address = label_studio.make_address(prefix, entry.name)
    return label_studio.make_task(entry.name, address, entry.size, entry.annotation, entry.suggestion)


def _to_image(entry):
    if entry.annotation is not None:
        return entry.name, entry.size, entry.annotation.boxes, [None] * len(entry.annotation.boxes)
    return entry.name, entry.size, entry.suggestion.boxes, entry.suggestion.scores
