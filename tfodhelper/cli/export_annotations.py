"""Images with LabelImg XML to COCO JSON, YOLO text or a CSV of boxes.

  tfodhelper export-annotations --to=coco --data_dir=photos --output_dir=FOLDER

The set is checked, corrected and split first, as `convert` does it with the same flags. COCO: instances_train.json and
instances_validate.json. YOLO: images/, labels/ and data.yaml. CSV: train.csv and validate.csv, as `convert` writes
them, and train_negatives.csv for images without objects. If EXIF turns an image and its XML says so, the boxes are
those of the turned image. `tfodhelper import` reads all three formats.
"""

from tfodhelper import console
from tfodhelper.cli import flagging, option_flags
from tfodhelper.formats.options import ExportAnnotationsOptions


def define_flags(fv):
    """Defines the verb's flags."""
    option_flags.define_flags(fv, ExportAnnotationsOptions, without=("validate", "num_workers"))


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, ExportAnnotationsOptions)
    from tfodhelper.formats import exchange

    exchange.export_annotations(options)
    console.say_next(f"tfodhelper import --from={options.to} --help")
