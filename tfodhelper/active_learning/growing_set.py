"""The files of adopted images in the set of a workspace: a link to the image, its XML and the files next to it."""

import os
import pathlib

from tfodhelper import errors
from tfodhelper.active_learning import standing as standings
from tfodhelper.annotations import images, labelimg, mask_files, weight_files
from tfodhelper.dataset import placing


def add(set_dir, name, path, annotation):
    """Links an image into the set and writes its XML in place of an earlier one.

    Args:
      set_dir: pathlib.Path of the set.
      name: of the image in the workspace.
      path: of the user's image.
      annotation: its boxes.

    Raises:
      AnnotationError: the image cannot be read.
    """
    target = set_dir / name
    mode = images.inspect_image(images.read_image(path), path).mode
    if not target.is_symlink():
        target.unlink(missing_ok=True)  # a copy may have been interrupted
        placing.place_image(path, target, placing.LINK)
    placing.write_annotation(target.with_suffix(".xml"), target, annotation, 1 if mode == "L" else 3)


def remove(set_dir, name):
    """Removes an image from the set; may be repeated.

    Args:
      set_dir: pathlib.Path of the set.
      name: of the image in the workspace.
    """
    xml = (set_dir / name).with_suffix(".xml")
    for path in (set_dir / name, xml, mask_files.path_of(xml), weight_files.path_of(xml)):
        pathlib.Path(path).unlink(missing_ok=True)


def lay_out(space, names, standing):
    """Makes the set show for some images what stands; may be repeated.

    Args:
      space: the `Workspace`.
      names: of the images; the others are left as they are.
      standing: {name: `standing.Standing`} of all adopted images; the set loses those that are missing there.

    Raises:
      DatasetError: an image can no longer be read, so that its boxes cannot be exchanged.
    """
    for name in set(names) - standing.keys():
        remove(space.set_dir, name)
    wanted = {name: standing[name] for name in names if name in standing}
    if not wanted:
        return
    paths = {image.name: image.path for image in space.pool() if image.name in wanted}
    for answer, _ in standings.read(space.rounds(), wanted):
        target = space.set_dir / answer.name
        if not os.path.lexists(target) or not _has_boxes(target.with_suffix(".xml"), answer.annotation):
            _exchange(space, answer, paths[answer.name])


def _exchange(space, answer, path):
    try:
        add(space.set_dir, answer.name, path, answer.annotation)
    except errors.AnnotationError as error:
        raise errors.DatasetError(
            f"{space.folder}: the boxes of {answer.name} were predicted again, and the image can no longer be read",
            expected=f"the image {path}",
            received=str(error),
            fix="put the image back, and type the same command again",
        ) from error


def _has_boxes(xml, annotation):
    """Whether an XML file, with the files next to it, has these boxes in this order."""
    try:
        return labelimg.read_labelimg(xml).boxes == annotation.boxes
    except errors.TfodhelperError:
        return False
