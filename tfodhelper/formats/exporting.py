"""Converts a checked set of LabelImg XML to COCO JSON, YOLO labels or CSV: implements `export-annotations`.

It exports the same images, corrected boxes and split that `convert` would use.
"""

import dataclasses

from tfodhelper import storage
from tfodhelper.dataset import placing
from tfodhelper.dataset.split.split import SPLITS
from tfodhelper.formats import box_table, coco, yolo_folder
from tfodhelper.formats.collection import ListedImage

COCO, YOLO, CSV = "coco", "yolo", "csv"
FORMATS = (COCO, YOLO, CSV)
LOST = {
    COCO: "nothing; difficult, truncated, pose and verified are under keys that other readers ignore",
    YOLO: "difficult, truncated, pose, verified",
    CSV: "difficult, truncated, pose, verified",
}


def export_set(planned, format_, output_dir, how=placing.LINK, maker=None):
    """Writes a plan's images in another format.

    Args:
      planned: a `plan.Plan` that passes its check.
      format_: one of `FORMATS`.
      output_dir: an empty or new folder.
      how: how to place images: `placing.LINK`, COPY or NONE.
      maker: see `storage.whole_folder`.

    Returns:
      {side: number of images}.

    Raises:
      DatasetError, StorageError: a folder that cannot be used.
    """
    source = planned.examination.source
    output_dir = placing.check_new_folder(output_dir, source.image_dir, source.annotation_dir, maker=maker)
    sides = [side for side in SPLITS if planned.images_of(side)]
    images_of = {side: [(image.path, _to_listed(image)) for image in planned.images_of(side)] for side in sides}
    with storage.whole_folder(output_dir, maker) as filled:
        if format_ == YOLO:
            yolo_folder.write_folder(filled, images_of, planned.label_map, how)
        else:
            _write_sides(filled, format_, images_of, planned.label_map, how)
    return {side: len(pairs) for side, pairs in images_of.items()}


def _write_sides(output_dir, format_, images_of, label_map, how):
    """Writes a file per side, and the images."""
    for side, pairs in images_of.items():
        listed = [image for _, image in pairs]
        if format_ == COCO:
            coco.write_coco(output_dir / f"instances_{side}.json", listed, label_map)
        else:
            _write_tables(output_dir, side, listed)
        for path, image in pairs:
            placing.place_image(path, output_dir / "images" / image.name, how)


def _write_tables(output_dir, side, listed):
    """Writes the table of a side, and a table of its images without objects, which are not in the first one."""
    box_table.write_table(output_dir / f"{side}.csv", listed)
    negatives = [image for image in listed if not image.annotation.boxes]
    if negatives:
        box_table.write_table(output_dir / f"{side}_negatives.csv", negatives, with_empty=True)


def _to_listed(image):
    """The image with its corrected annotation, under its name in the image folder."""
    return ListedImage(image.name, dataclasses.replace(image.annotation, filename=image.path.name))
