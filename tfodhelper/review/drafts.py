"""Suspicions as LabelImg drafts: images and XML whose names begin with their rank, and a table of all suspicions.

A draft contains the labelled boxes and the detections without a box. It is not verified: a person deletes wrong boxes,
corrects the rest and presses the space bar, which marks the image as verified. Only verified drafts are read back.
"""

import dataclasses
import pathlib

from tfodhelper import errors, result_folder, sheets
from tfodhelper.annotations import checks, findings, labelimg
from tfodhelper.annotations.labelimg import CORNERS, format_number
from tfodhelper.annotations.structures import UnusableFile
from tfodhelper.dataset import placing
from tfodhelper.review import suspects

FOLDER = "suspects"
TABLE = "suspects.csv"
HEADER = ("rank", "draft", "image", "xml", "kind", "class", "labelled_class", "score", *CORNERS)


def write_drafts(output_dir, planned, by_image, how=placing.LINK, maker=None):
    """Writes drafts and the table.

    Args:
      output_dir: folder of the report; drafts go to a new folder in it.
      planned: the `plan.Plan` that was compared.
      by_image: {image name: list of `Suspect`s}.
      how: `placing.LINK`, COPY or NONE, for the images next to the drafts.
      maker: see `result_folder.whole_folder`.

    Returns:
      Path of the folder of the drafts.

    Raises:
      DatasetError: the folder is not empty, or is among the originals, where drafts would count as annotations.
    """
    source = planned.examination.source
    folder = pathlib.Path(output_dir) / FOLDER
    placing.check_new_folder(folder, source.image_dir, source.annotation_dir, maker=maker)
    images = {image.name: image for image in planned.examination.images}
    order = suspects.rank(by_image)
    digits = max(4, len(str(len(order))))
    rows = []
    with result_folder.whole_folder(folder, maker) as filled:
        for number, name in enumerate(order, start=1):
            image, image_suspects = images[name], by_image[name]
            draft = f"{number:0{digits}d}_{pathlib.PurePosixPath(name).name}"
            placing.place_image(image.path, filled / draft, how)
            added = tuple(suspect.box for suspect in image_suspects if suspect.kind == suspects.MISSING)
            annotation = dataclasses.replace(image.annotation, boxes=image.annotation.boxes + added, verified=False)
            shown = image.path if how == placing.NONE else folder / draft
            target = filled / (draft.rsplit(".", 1)[0] + ".xml")
            placing.write_annotation(target, shown, annotation)
            for suspect in image_suspects:
                corners = [format_number(getattr(suspect.box, tag)) for tag in CORNERS]
                row = (number, target.name, name, image.xml, suspect.kind, suspect.box.name, suspect.labelled or "")
                rows.append((*row, f"{suspect.score:.4f}", *corners))
        sheets.write_csv(pathlib.Path(output_dir) / TABLE, HEADER, rows)
    return folder


def read_reviewed(folder, planned):
    """Reads the drafts that a person verified.

    Args:
      folder: the folder that `write_drafts` made, or the one of the report around it.
      planned: a `plan.Plan` of the same set.

    Returns:
      ({image name: checked `Annotation`}, findings in the drafts).

    Raises:
      DatasetError: the folder contains no drafts.
    """
    folder = pathlib.Path(folder)
    folder = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    table = folder.parent / TABLE
    if not table.is_file():
        raise errors.DatasetError(
            f"{folder}: contains no drafts",
            expected=f"the folder {FOLDER}, next to {TABLE}",
            fix="write drafts with `tfodhelper check --model=EXPORTED_FOLDER --output_dir=FOLDER`",
        )
    image_of = {row.get("draft", ""): row.get("image", "") for row in sheets.read_csv(table)}
    images = {image.name: image for image in planned.examination.images}
    reviewed, notes = {}, []
    for draft, name in sorted(image_of.items()):
        if name not in images or not placing.is_inside(draft) or not (folder / draft).is_file():
            continue
        annotation, more = _read_draft(folder / draft, images[name], planned.label_map)
        notes += more
        if annotation is not None:
            reviewed[name] = annotation
    return reviewed, notes


def _read_draft(path, image, label_map):
    """Returns (the checked annotation or None, findings); None also for a draft that nobody verified."""
    try:
        draft = labelimg.read_labelimg(path)
    except UnusableFile as error:
        return None, [findings.from_unusable(error, path.name)]
    if not draft.verified:
        return None, []
    checked = checks.check_annotation(draft, image.facts, path.name, label_map, image_file=image.name)
    severe = [finding for finding in checked.findings if finding.severity == findings.ERROR]
    return checked.annotation, severe
