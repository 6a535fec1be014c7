"""Options for importing annotations from other formats and exporting them."""

import dataclasses

from tfodhelper import options
from tfodhelper.dataset.options import COPY, LINK, NONE, SetOptions, ShownOptions

COCO, YOLO, CSV, RECORDS = "coco", "yolo", "csv", "records"
LABELME, PICTURES = "labelme", "voc-masks"
LABEL_STUDIO, CVAT = "labelstudio", "cvat"
DRAFTS = "drafts"  # images that nobody has labelled, with a model's suggestions, as a side of an export


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImagesOptions(ShownOptions):
    """How images get to the new folder."""

    title = "Result"

    images: str = options.option(
        LINK,
        "How images get to the new folder.",
        choices={LINK: "as links to the originals", COPY: "as copies", NONE: "not at all"},
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportOptions(ImagesOptions):
    """Options of the verb `import`."""

    title = "Annotations"

    format_: str = options.option(
        options.REQUIRED,
        "Format of the annotations.",
        flag="from",
        choices=(COCO, YOLO, CSV, RECORDS, LABELME, PICTURES, LABEL_STUDIO, CVAT),
    )
    input: options.Path = options.option(
        options.REQUIRED,
        "JSON, XML or CSV file or pattern of record files, several separated by commas; data.yaml or folder for YOLO; "
        "folder for labelme and voc-masks.",
    )
    val_input: options.Path | None = options.option(
        None, "The same for the validation images; --input is then for training. Not for YOLO, which names the sides."
    )
    test_input: options.Path | None = options.option(None, "The same for the test images. Not for YOLO.")
    image_dir: options.Path | None = options.option(
        None,
        "Folder with the images; its subfolders are searched, too. By default the folder of --input. Not for records.",
    )
    classes: options.Path | None = options.option(
        None,
        "File with the class names of a YOLO dataset or of voc-masks, by default searched near it; or label map for "
        "records that contain only class ids. Not for the other formats.",
    )
    output_dir: options.Path = options.option(options.REQUIRED, "New folder for XML files and images.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportAnnotationsOptions(ImagesOptions, SetOptions):
    """Options of the verb `export-annotations`."""

    title = "Result"

    to: str = options.option(options.REQUIRED, "Format to write.", choices=(COCO, YOLO, CSV, LABEL_STUDIO, CVAT))
    predictions: options.Path | None = options.option(
        None,
        "detections.jsonl of `predict`: suggestions for images that nobody has labelled, and in Label Studio for the "
        "others, too.",
        only_with=("to", LABEL_STUDIO, CVAT),
    )
    image_url: str | None = options.option(
        None,
        "Address before the names of the images; when omitted, that of files that Label Studio serves from the "
        "result's folder.",
        only_with=("to", LABEL_STUDIO),
    )
    output_dir: options.Path = options.option(options.REQUIRED, "New folder for the result.")
