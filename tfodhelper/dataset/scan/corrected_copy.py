"""A set as `check` would have it: corrected copies in a folder of their own; the originals are never touched."""

from tfodhelper import console, storage
from tfodhelper.annotations import findings
from tfodhelper.dataset import placing

FOLDER = "fixed"


def write_fixed(planned, folder, how=placing.COPY, reviewed=None, show_progress=True):
    """Writes all usable images with their corrected annotations; the folder appears whole or not at all.

    Images keep their names, but for an ending that does not fit the content. Bytes that TensorFlow does not decode are
    encoded anew; an image is turned where its boxes belong to the turned one. What is left out is not copied.

    Args:
      planned: a `plan.Plan`.
      folder: an empty or new folder apart from the originals.
      how: `placing.COPY` or LINK, for images that stay as they are.
      reviewed: {image name: `Annotation`} that a person made in the place of the one that is there, or None.
      show_progress: whether the console shows how far it is.

    Returns:
      List of dicts, one an image that is not the same as before: image, fixed (its new name), codes.

    Raises:
      DatasetError: the folder holds something, or lies in that of the originals; StorageError.
    """
    source = planned.examination.source
    folder = placing.make_new_folder(folder, source.image_dir, source.annotation_dir)
    images = planned.examination.images
    names = placing.Names([image.name for image in images])
    changed = []
    progress = console.Progress("images written", len(images), 10.0 if show_progress else float("inf"))
    with storage.whole_folder(folder) as filled:
        for image in images:
            annotation = (reviewed or {}).get(image.name)
            name = placing.place_mended(image, filled, names, how, annotation, folder)
            codes = sorted({finding.code for finding in image.findings if finding.action != findings.KEPT})
            codes += ["reviewed"] if annotation is not None else []
            if codes or name != image.name:
                changed.append({"image": image.name, "fixed": name, "codes": codes})
            progress.advance()
    return changed
