"""The labelled boxes of a converted folder, from its lists train.csv and validate.csv."""

import dataclasses
import pathlib

import numpy as np

from tfodhelper import sheets

_SIDES = ("ymin", "xmin", "ymax", "xmax")


@dataclasses.dataclass(frozen=True)
class LabelledBoxes:
    """Boxes of training and validation.

    Attributes:
      names: of the classes, in the order of their ids.
      ids: of the classes, from 1.
      counts: int64 [K], boxes of each class.
      boxes: float32 [N, 4] ymin, xmin, ymax, xmax in parts of the image.
      roots_px: float32 [N], root of the area in pixels of the image.
    """

    names: tuple
    ids: tuple
    counts: np.ndarray
    boxes: np.ndarray
    roots_px: np.ndarray


def read_labelled_boxes(folder, manifest):
    """Reads the boxes of a converted folder.

    Args:
      folder: of the conversion.
      manifest: its `dataset.manifest.Manifest`.

    Returns:
      `LabelledBoxes`; rows that are not a box of a known class are left out.

    Raises:
      StorageError: a list cannot be read.
    """
    names = tuple(entry["name"] for entry in manifest.classes)
    counts, boxes, roots = dict.fromkeys(names, 0), [], []
    for key in ("train_csv", "validate_csv"):
        for row in sheets.read_csv(pathlib.Path(folder) / manifest.files[key], is_neutralized=False):
            try:
                size = np.array([float(row["height"]), float(row["width"])] * 2, np.float32)
                box = np.array([float(row[side]) for side in _SIDES], np.float32)
            except (KeyError, TypeError, ValueError):
                continue
            if row.get("class") in counts and (size > 0).all():
                counts[row["class"]] += 1
                boxes.append(box / size)
                roots.append(np.sqrt(max(0.0, float((box[2] - box[0]) * (box[3] - box[1])))))
    return LabelledBoxes(
        names,
        tuple(entry["id"] for entry in manifest.classes),
        np.array(list(counts.values()), np.int64),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(roots, np.float32),
    )
