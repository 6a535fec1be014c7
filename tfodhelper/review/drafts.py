"""Suspicions as LabelImg drafts: images and XML under names that begin with their rank, and a table of all of them.

A draft holds the boxes that are labelled and, added to them, the detections without a box. It is not verified: a person
deletes what is wrong, corrects the rest and presses the space bar, which marks the image as verified.
"""

import csv
import dataclasses
import io
import pathlib

from tfodhelper import storage
from tfodhelper.annotations.labelimg import CORNERS, format_number
from tfodhelper.dataset import placing
from tfodhelper.review import suspects

FOLDER = "suspects"
TABLE = "suspects.csv"
HEADER = ("rank", "draft", "image", "xml", "kind", "class", "labelled_class", "score", *CORNERS)


def write_drafts(output_dir, images, by_image, how=placing.LINK):
    """Writes drafts and the table.

    Args:
      output_dir: folder of the report; drafts go to a new folder in it.
      images: {image name: `UsableImage`}.
      by_image: {image name: list of `Suspect`s}.
      how: `placing.LINK`, COPY or NONE, for the images beside the drafts.

    Returns:
      Path of the folder of the drafts.

    Raises:
      DatasetError: the folder holds something.
    """
    folder = placing.make_new_folder(pathlib.Path(output_dir) / FOLDER)
    order = suspects.rank(by_image)
    digits = max(4, len(str(len(order))))
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(HEADER)
    for number, name in enumerate(order, start=1):
        image, found = images[name], by_image[name]
        draft = f"{number:0{digits}d}_{pathlib.PurePosixPath(name).name}"
        placing.place_image(image.path, folder / draft, how)
        added = tuple(one.box for one in found if one.kind == suspects.MISSING)
        annotation = dataclasses.replace(image.annotation, boxes=image.annotation.boxes + added, verified=False)
        shown = image.path if how == placing.NONE else folder / draft
        target = folder / (draft.rsplit(".", 1)[0] + ".xml")
        placing.write_annotation(target, shown, annotation)
        for one in found:
            corners = [format_number(getattr(one.box, tag)) for tag in CORNERS]
            row = (number, target.name, name, image.xml, one.kind, one.box.name, one.labelled or "")
            lines.writerow((*row, f"{one.score:.4f}", *corners))
    storage.write_text(pathlib.Path(output_dir) / TABLE, text.getvalue())
    return folder
