"""Writes a corrected copy of a dataset into a separate folder; the originals are never touched."""

from tfodhelper import console, result_folder
from tfodhelper.annotations import findings
from tfodhelper.dataset import placing

FOLDER = "fixed"


def write_fixed(planned, folder, how=placing.COPY, reviewed=None, show_progress=True, maker=None):
    """Writes all usable images with their corrected annotations, atomically.

    Images keep their names, except for extensions that do not match the content. Images that TensorFlow cannot decode
    are re-encoded, and images whose boxes refer to the rotated image are rotated. What is left out is not copied.

    Args:
      planned: a `plan.Plan`.
      folder: an empty or new folder, separate from the originals.
      how: how to place unchanged images: `placing.COPY` or LINK.
      reviewed: {image name: `Annotation`} that a person made to replace the existing one, or None.
      show_progress: whether to show the progress on the console.
      maker: see `result_folder.whole_folder`.

    Returns:
      List of dicts, one per changed image: image, fixed (its new name), codes.

    Raises:
      DatasetError: the folder is not empty, or is inside that of the originals; StorageError.
    """
    source = planned.examination.source
    folder = placing.check_new_folder(folder, source.image_dir, source.annotation_dir, maker=maker)
    images = planned.examination.images
    names = placing.Names([image.name for image in images])
    changed = []
    progress = console.Progress("images written", len(images), 10.0 if show_progress else float("inf"))
    with result_folder.whole_folder(folder, maker) as filled:
        for image in images:
            annotation = (reviewed or {}).get(image.name)
            name = placing.place_corrected(image, filled, names, how, annotation, folder)
            codes = sorted({finding.code for finding in image.findings if finding.action != findings.KEPT})
            codes += ["reviewed"] if annotation is not None else []
            if codes or name != image.name:
                changed.append({"image": image.name, "fixed": name, "codes": codes})
            progress.advance()
    return changed
