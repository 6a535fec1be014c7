"""Converts a checked set of LabelImg XML to COCO JSON, YOLO labels or CSV: implements `export-annotations`.

It exports the same images, corrected boxes and split that `convert` would use.
"""

import collections
import dataclasses

from tfodhelper import result_folder
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import placing
from tfodhelper.dataset.split.split import SPLITS
from tfodhelper.formats import box_table, coco, yolo_folder
from tfodhelper.formats.collection import ListedImage
from tfodhelper.formats.import_result import LABEL_MAP

COCO, YOLO, CSV = "coco", "yolo", "csv"
FORMATS = (COCO, YOLO, CSV)
_BOX_PROPERTIES = {
    "difficult box": lambda box: box.difficult,
    "truncated box": lambda box: box.truncated,
    "pose": lambda box: box.pose != "Unspecified",
    "mask": lambda box: box.mask is not None,
    "weight": lambda box: box.is_weighted,
}


@dataclasses.dataclass(frozen=True)
class ExportedSide:
    """What was written for one side of the split.

    Attributes:
      side: of `split.SPLITS`.
      files: names of the files with its annotations, relative to the folder of the export.
      num_images, num_boxes, num_negatives: how many they contain.
    """

    side: str
    files: tuple[str, ...]
    num_images: int
    num_boxes: int
    num_negatives: int


@dataclasses.dataclass(frozen=True)
class ExportResult:
    """The result of an export.

    Attributes:
      sides: `ExportedSide`s.
      lost: {what the format cannot represent, in the singular: how often that occurs in the set}.
      label_map: name of the label map, if the format cannot represent the ids of the classes, else None.
    """

    sides: tuple[ExportedSide, ...]
    lost: dict[str, int]
    label_map: str | None


def export_set(planned, format_, output_dir, how=placing.LINK, maker=None):
    """Writes a plan's images in another format.

    Args:
      planned: a `plan.Plan` that passes its check.
      format_: one of `FORMATS`.
      output_dir: an empty or new folder.
      how: how to place images: `placing.LINK`, COPY or NONE.
      maker: see `result_folder.whole_folder`.

    Returns:
      An `ExportResult`.

    Raises:
      DatasetError, StorageError: a folder that cannot be used.
    """
    source = planned.examination.source
    output_dir = placing.check_new_folder(output_dir, source.image_dir, source.annotation_dir, maker=maker)
    sides = [side for side in SPLITS if planned.images_of(side)]
    images_of = {side: [(image.path, _to_listed(image)) for image in planned.images_of(side)] for side in sides}
    label_map = planned.label_map
    with result_folder.whole_folder(output_dir, maker) as filled:
        if format_ == YOLO:
            yolo_folder.write_folder(filled, images_of, label_map, how)
            files_of = dict.fromkeys(sides, (yolo_folder.DATA_YAML,))
        else:
            files_of = _write_sides(filled, format_, images_of, label_map, how)
        needs_label_map = not _keeps_ids(format_, label_map)
        if needs_label_map:
            label_maps.write_label_map(filled / LABEL_MAP, label_map)
    annotations_of = {side: [image.annotation for _, image in pairs] for side, pairs in images_of.items()}
    return ExportResult(
        tuple(_describe(side, files_of[side], annotations) for side, annotations in annotations_of.items()),
        {} if format_ == COCO else _count_lost(annotations_of),
        LABEL_MAP if needs_label_map else None,
    )


def _keeps_ids(format_, label_map):
    """Whether an import gives the classes the same ids: those in COCO JSON, or from 1, in the order of the names."""
    if format_ == COCO:
        return True
    names = label_map.names if format_ == YOLO else sorted(label_map.names)
    return all(label_map.id_of(name) == id_ for id_, name in enumerate(names, start=1))


def _describe(side, files, annotations):
    num_boxes = sum(len(annotation.boxes) for annotation in annotations)
    num_negatives = sum(not annotation.boxes for annotation in annotations)
    return ExportedSide(side, files, len(annotations), num_boxes, num_negatives)


def _count_lost(annotations_of):
    """{property: count} of what YOLO labels and CSV tables cannot represent, if it occurs."""
    counts = collections.Counter()
    for annotations in annotations_of.values():
        for annotation in annotations:
            counts["verified image"] += annotation.verified
            for name, has in _BOX_PROPERTIES.items():
                counts[name] += sum(map(has, annotation.boxes))
    return {name: count for name, count in counts.items() if count}


def _write_sides(output_dir, format_, images_of, label_map, how):
    """Writes the files of each side, and the images; returns {side: names of the files}."""
    files_of = {}
    for side, pairs in images_of.items():
        listed = [image for _, image in pairs]
        if format_ == COCO:
            files_of[side] = (f"instances_{side}.json",)
            coco.write_coco(output_dir / files_of[side][0], listed, label_map)
        else:
            files_of[side] = _write_tables(output_dir, side, listed)
        for path, image in pairs:
            placing.place_image(path, output_dir / "images" / image.name, how)
    return files_of


def _write_tables(output_dir, side, listed):
    """Writes the table of a side, and a table of its images without objects, which are not in the first one.

    Returns:
      The names of the tables, without one that has no line.
    """
    box_table.write_table(output_dir / f"{side}.csv", listed)
    negatives = [image for image in listed if not image.annotation.boxes]
    if not negatives:
        return (f"{side}.csv",)
    box_table.write_table(output_dir / f"{side}_negatives.csv", negatives, with_empty=True)
    only_negatives = len(negatives) == len(listed)
    return (f"{side}_negatives.csv",) if only_negatives else (f"{side}.csv", f"{side}_negatives.csv")


def _to_listed(image):
    """The image with its corrected annotation, under its name in the image folder."""
    return ListedImage(image.name, dataclasses.replace(image.annotation, filename=image.path.name))
