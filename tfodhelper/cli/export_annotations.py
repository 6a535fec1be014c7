"""Images with LabelImg XML to COCO JSON, YOLO text, a CSV of boxes, Label Studio or CVAT.

  tfodhelper export-annotations --to=coco --data_dir=photos --output_dir=FOLDER
  tfodhelper export-annotations --to=labelstudio --data_dir=pool --predictions=detections.jsonl --output_dir=FOLDER

The set is checked, corrected and split first, as `convert` does it with the same flags. COCO: instances_train.json and
instances_validate.json. YOLO: images/, labels/ and data.yaml. CSV: train.csv and validate.csv, as `convert` writes
them, and train_negatives.csv and validate_negatives.csv for images without objects. YOLO and CSV cannot represent
difficult, truncated, pose and verified: what is lost is counted. Where they cannot keep the ids of the classes either,
label_map.pbtxt has them. If EXIF turns an image and its XML says so, the boxes are those of the turned image.

Label Studio: tasks_train.json, tasks_validate.json, and label_config.xml for the project. CVAT: annotations_train.xml,
annotations_validate.xml, and labels.json for the task. With --predictions, images without XML that `predict` has seen
are in tasks_drafts.json or annotations_drafts.xml; then there need not be any XML. All boxes are those of the upright
image.

`tfodhelper import` reads all of these; the command that does so is printed at the end.
"""

import pathlib

from tfodhelper import console, invocation
from tfodhelper.cli import flagging, option_flags
from tfodhelper.formats.options import DRAFTS, NONE, ExportAnnotationsOptions


def define_flags(fv):
    """Defines the verb's flags."""
    option_flags.define_flags(fv, ExportAnnotationsOptions, without=("validate", "num_workers"))


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, ExportAnnotationsOptions).located()
    from tfodhelper.formats import exchange

    console.say_next(_import_command(options, exchange.export_annotations(options)))


def _import_command(options, made):
    """The command that imports all that was exported."""
    output_dir = pathlib.Path(options.output_dir)
    inputs = {}
    labelled = [side for side in made.sides if side.side != DRAFTS]
    for side, flag in zip(labelled or made.sides, ("input", "val_input", "test_input")):
        files = ",".join(str(output_dir / name) for name in side.files)
        inputs |= {} if files in inputs.values() else {flag: files}  # a data.yaml names all sides
    for side in made.sides if labelled else ():
        if side.side == DRAFTS:
            inputs["input"] += f",{output_dir / side.files[0]}"
    image_dir = output_dir / "images"
    if options.images == NONE:
        image_dir = options.image_dir or options.data_dir
    flags = {"from": options.to, **inputs, "image_dir": image_dir, "output_dir": "FOLDER"}
    return invocation.format_command("import", **flags)
