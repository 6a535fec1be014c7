"""Converts a checked set of LabelImg XML to other formats: implements `export-annotations`.

It exports the same images, corrected boxes and split that `convert` would use.
"""

import collections
import dataclasses

from tfodhelper import errors, result_folder
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset import placing
from tfodhelper.dataset.split.split import SPLITS
from tfodhelper.formats import annotation_tools, box_table, coco, yolo_folder
from tfodhelper.formats.class_ids import ClassIds
from tfodhelper.formats.collection import ListedImage
from tfodhelper.formats.import_result import LABEL_MAP
from tfodhelper.formats.options import CVAT, DRAFTS, LABEL_STUDIO

COCO, YOLO, CSV = "coco", "yolo", "csv"
FORMATS = (COCO, YOLO, CSV, LABEL_STUDIO, CVAT)
_BOX_PROPERTIES = {
    "difficult box": lambda box: box.difficult,
    "truncated box": lambda box: box.truncated,
    "pose": lambda box: box.pose != "Unspecified",
    "mask": lambda box: box.mask is not None,
    "weight": lambda box: box.is_weighted,
}
_VERIFIED, _SUGGESTED = "verified image", "image with both annotation and predictions"
# What a format keeps of the properties; COCO all of them.
_KEPT = {
    LABEL_STUDIO: ("difficult box", "truncated box", "mask", _VERIFIED, _SUGGESTED),
    CVAT: ("difficult box", "truncated box", "pose", "mask"),
}


@dataclasses.dataclass(frozen=True)
class ExportedSide:
    """What was written for one side of the split.

    Attributes:
      side: of `split.SPLITS`, or `annotation_tools.DRAFTS`.
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
      findings: about predictions that could not be used.
    """

    sides: tuple[ExportedSide, ...]
    lost: dict[str, int]
    label_map: str | None
    findings: tuple[Finding, ...] = ()


def export_set(planned, format_, output_dir, how=placing.LINK, maker=None):
    """Writes a plan's images in another format.

    Args:
      planned: a `plan.Plan` that passes its check.
      format_: COCO, YOLO or CSV.
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


def export_to_tool(planned, suggested, format_, output_dir, how=placing.LINK, image_url=None, maker=None):
    """Writes a plan's images, and those without annotation that a model has suggestions for, for an annotation tool.

    Args:
      planned: a `plan.Plan` that passes its check.
      suggested: an `annotation_tools.Suggested`.
      format_: of `annotation_tools.FORMATS`.
      output_dir, how, maker: see `export_set`.
      image_url: see `annotation_tools.write_entries`.

    Returns:
      An `ExportResult`, whose last side is DRAFTS if there are any.

    Raises:
      DatasetError, StorageError: a folder that cannot be used.
    """
    source = planned.examination.source
    output_dir = placing.check_new_folder(output_dir, source.image_dir, source.annotation_dir, maker=maker)
    images_of = {side: planned.images_of(side) for side in SPLITS}
    entries_of = {
        side: [annotation_tools.make_entry(image, suggested) for image in images]
        for side, images in images_of.items()
        if images
    }
    drafts = annotation_tools.make_drafts(planned.examination.index.unlabelled, source.image_dir, suggested)
    entries_of |= {DRAFTS: drafts} if drafts else {}
    label_map = planned.label_map
    class_names = [*label_map.names, *sorted(set(suggested.ids) - set(label_map.names))]
    return _write_for_tool(entries_of, format_, output_dir, label_map, class_names, how, image_url, suggested, maker)


def export_drafts(image_dir, suggested, format_, output_dir, label_map, how=placing.LINK, image_url=None, maker=None):
    """Writes images that nobody has labelled, with a model's suggestions, for an annotation tool.

    Args:
      image_dir: of the images.
      label_map: the classes, or None for those of the predictions with their ids.
      suggested, format_, output_dir, how, image_url, maker: see `export_to_tool`.

    Returns:
      An `ExportResult` with the side DRAFTS.

    Raises:
      DatasetError: no prediction is for one of the images; StorageError.
    """
    drafts = annotation_tools.make_drafts(suggested.names(), image_dir, suggested)
    if not drafts:
        raise errors.DatasetError(
            f"{image_dir}: no prediction is for one of these images",
            received=suggested.findings[0].message if suggested.findings else None,
            fix="give the detections.jsonl that `tfodhelper predict` wrote for them",
        )
    output_dir = placing.check_new_folder(output_dir, image_dir, maker=maker)
    if label_map is None:
        ids = ClassIds()
        ids.add(suggested.ids.items())
        label_map = ids.make_label_map(sorted(suggested.ids))[0] or label_maps.make_label_map(sorted(suggested.ids))
    class_names = [*label_map.names, *sorted(set(suggested.ids) - set(label_map.names))]
    entries_of = {DRAFTS: drafts}
    return _write_for_tool(entries_of, format_, output_dir, label_map, class_names, how, image_url, suggested, maker)


def _write_for_tool(entries_of, format_, output_dir, label_map, class_names, how, image_url, suggested, maker):
    needs_label_map = not _keeps_ids(format_, label_map)
    with result_folder.whole_folder(output_dir, maker) as filled:
        files_of = annotation_tools.write_entries(filled, format_, entries_of, class_names, how, image_url)
        if needs_label_map:
            label_maps.write_label_map(filled / LABEL_MAP, label_map)
    annotations_of = {
        side: [entry.annotation or entry.suggestion for entry in entries] for side, entries in entries_of.items()
    }
    labelled = {side: contents for side, contents in annotations_of.items() if side != DRAFTS}
    lost = _count_lost(labelled)
    lost[_SUGGESTED] = sum(
        e.annotation is not None and e.suggestion is not None for v in entries_of.values() for e in v
    )
    return ExportResult(
        tuple(_describe(side, files_of[side], contents) for side, contents in annotations_of.items()),
        {name: count for name, count in lost.items() if count and name not in _KEPT[format_]},
        LABEL_MAP if needs_label_map else None,
        tuple(suggested.findings),
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
            counts[_VERIFIED] += annotation.verified
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
