"""masks.json: the masks in the images that a report shows, of models with masks.

Of the images that `worst` lists first, the masks of all objects and detections, in the order in which detections.npz
has them, as COCO's compressed run-length codes: {"size": [height, width], "counts": text}, or null without a mask.
"""

import os
import pathlib
from typing import Any

from tfodhelper import errors, image_decoding, state_files, storage
from tfodhelper.metrics import analysis_file, detection_set

MASKS = "masks.json"
NUM_PICTURED = 12  # of each list of the worst mistakes
_CODES = [({"size": [int], "counts": str}, None)]
_FORM = state_files.StateForm(
    "the masks of an evaluation",
    {"detections_sha256": str, "images": {str: {"objects": _CODES, "detections": _CODES}}},
    "evaluate again: tfodhelper eval",
    format=1,
)


def write_masks(folder: str | os.PathLike[str], analysis: dict[str, Any], masks_of: Any) -> None:
    """Writes masks.json into the folder of an evaluation, or removes a former one if there are no masks.

    Args:
      folder: the folder.
      analysis: values of `analysis_file.SHAPE`.
      masks_of: function of the index of an image that returns {"objects", "detections"}, lists of codes; or None.
    """
    path = pathlib.Path(folder) / MASKS
    if masks_of is None:
        path.unlink(missing_ok=True)
        return
    listed = (entry["image_index"] for kind in analysis["worst"].values() for entry in kind[:NUM_PICTURED])
    images = {str(index): masks_of(index) for index in dict.fromkeys(listed)}
    storage.write_json(path, {"format": 1, "detections_sha256": analysis["detections"]["sha256"], "images": images})


def read_masks(
    folder: str | os.PathLike[str], analysis: dict[str, Any], images: detection_set.DetectionSet
) -> dict[int, dict[str, Any]]:
    """Reads what `write_masks` wrote.

    Args:
      folder, analysis: see `write_masks`.
      images: what the analysis was computed from.

    Returns:
      {index of an image: {"objects", "detections"}}; empty if no masks were measured.

    Raises:
      StorageError: the file is damaged, or belongs to another evaluation.
    """
    path = pathlib.Path(folder) / MASKS
    if not path.exists():
        return {}
    stored = state_files.read_state(path, _FORM)
    if stored["detections_sha256"] != analysis["detections"]["sha256"]:
        raise errors.StorageError(f"{path}: belongs to other detections than {analysis_file.DETECTIONS}", fix=_FORM.fix)
    for name, codes in stored["images"].items():
        problem = _find_misfit(name, codes, images)
        if problem is not None:
            raise errors.StorageError(f"{path}: its parts do not fit together", received=problem, fix=_FORM.fix)
    return {int(name): codes for name, codes in stored["images"].items()}


def _find_misfit(name, codes, images):
    """What does not fit together, in words, or None."""
    if not (name.isascii() and name.isdecimal() and int(name) < images.num_images):
        return f"an image {name!r}, of {images.num_images}"
    size = images.image_sizes[int(name)].tolist()
    if size[0] * size[1] > image_decoding.MAX_PIXELS:
        return f"image {name}: {size[0]} x {size[1]} pixels"
    for kind, rows in zip(("objects", "detections"), images.of_image(int(name))):
        if len(codes[kind]) != rows.stop - rows.start:
            return f"image {name}: {len(codes[kind])} masks of {rows.stop - rows.start} {kind}"
        if any(code is not None and code["size"] != size for code in codes[kind]):
            return f"image {name}: a mask that is not {size[0]} x {size[1]} pixels"
    return None
