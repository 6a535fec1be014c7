"""A checked set of LabelImg XML to COCO JSON, YOLO text or CSV: what `export-annotations` does.

The same images, mended boxes and split as `convert` would use.
"""

import dataclasses

from tfodhelper.annotations import box_table, coco
from tfodhelper.annotations.collection import ListedImage
from tfodhelper.dataset import placing, yolo_folder
from tfodhelper.dataset.split import SPLITS

COCO, YOLO, CSV = "coco", "yolo", "csv"
FORMATS = (COCO, YOLO, CSV)
LOST = {
    COCO: "nothing; difficult, truncated, pose and verified stand under keys that other readers pass over",
    YOLO: "difficult, truncated, pose, verified",
    CSV: "difficult, truncated, pose, verified",
}


def export_set(planned, format_, output_dir, how=placing.LINK):
    """Writes a plan's images in another format.

    Args:
      planned: a `plan.Plan` that can be carried out.
      format_: one of `FORMATS`.
      output_dir: an empty or new folder.
      how: for images: `placing.LINK`, COPY or NONE.

    Returns:
      {side: number of images}.

    Raises:
      DatasetError, StorageError: a folder that cannot be used.
    """
    source = planned.examination.source
    output_dir = placing.make_new_folder(output_dir, source.image_dir, source.annotation_dir)
    images_of = {side: [(image, _to_listed(image)) for image in planned.images_of(side)] for side in SPLITS}
    if format_ == YOLO:
        pairs = {side: [(image.path, listed) for image, listed in images_of[side]] for side in SPLITS}
        yolo_folder.write_folder(output_dir, pairs, planned.label_map, how)
    else:
        for side in SPLITS:
            listed = [one for _, one in images_of[side]]
            if format_ == COCO:
                coco.write_coco(output_dir / f"instances_{side}.json", listed, planned.label_map)
            else:
                box_table.write_table(output_dir / f"{side}.csv", listed)
                negatives = [one for one in listed if not one.annotation.boxes]
                if negatives:
                    box_table.write_table(output_dir / f"{side}_negatives.csv", negatives, with_empty=True)
            for image, one in images_of[side]:
                placing.place_image(image.path, output_dir / "images" / one.name, how)
    return {side: len(images_of[side]) for side in SPLITS}


def _to_listed(image):
    """The image with its corrected annotation, under the name that it has in the image folder."""
    return ListedImage(image.name, dataclasses.replace(image.annotation, filename=image.path.name))
