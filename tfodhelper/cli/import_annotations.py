"""COCO JSON, YOLO text, a CSV of boxes or TFRecords to LabelImg XML beside their images.

  tfodhelper import --from=coco --input=instances.json --image_dir=images --output_dir=FOLDER
  tfodhelper import --from=yolo --input=data.yaml --output_dir=FOLDER
  tfodhelper import --from=csv  --input=train.csv --val_input=validate.csv --image_dir=images --output_dir=FOLDER
  tfodhelper import --from=records --input='train.record-*' --output_dir=FOLDER

The images are linked, or copied with --images=copy. All other verbs go on from there: check, convert, run. Ids of
classes are kept in label_map.pbtxt, and the two sides of a YOLO set or of --input and --val_input in train.txt and
validate.txt, for --label_map, --train_list and --val_list.

Images that a COCO file lists without annotations, and YOLO's empty label files, become negatives; a CSV line without
class and corners too. Images that are not listed are not taken over. Outlines become the boxes around them, crowds
become difficult objects; each is counted. XML of CVAT, X-AnyLabeling, labelme2voc, VoTT, Roboflow and the VOC devkit
needs no import. The exit status is 1 when something labelled could not be taken over.
"""

from absl import flags

from tfodhelper import console
from tfodhelper.cli import flagging


def define_flags(fv):
    """Defines the verb's flags."""
    flags.DEFINE_enum("from", None, ["coco", "yolo", "csv", "records"], "Format of the annotations.", flag_values=fv)
    text = (
        "JSON or CSV file or pattern of records, several with commas between them; data.yaml or folder of a YOLO set."
    )
    flagging.define_path(fv, "input", None, text)
    flagging.define_path(fv, "val_input", None, "Likewise, those of the validation; --input is then the training.")
    flagging.define_path(fv, "image_dir", None, "Folder of the images, searched with its folders; else that of --input")
    flagging.define_path(
        fv, "classes", None, "Class names of a YOLO set, else looked for near it; label map of records."
    )
    flagging.define_images_flag(fv, "link")
    flagging.define_max_shown(fv)
    flagging.define_output_dir(fv, "New folder for XML files and images.")


def main(fv, args):
    """Runs the verb; returns the exit status."""
    flagging.refuse_arguments(args)
    flagging.require(fv, "from", "input", "output_dir")
    from tfodhelper.annotations import findings
    from tfodhelper.dataset import report
    from tfodhelper.formats import importing

    paths, val_paths = (text.split(",") if text else [] for text in (fv.input, fv.val_input))
    if fv["from"].value == "records":
        made = _import_records(fv)
    else:
        made = importing.import_set(
            fv["from"].value, paths, fv.output_dir, val_paths, fv.image_dir, fv.classes, how=fv.images
        )
    for line in report.format_findings(made.findings, fv.max_shown):
        console.say(line)
    console.say("")
    console.say(console.format_table(("NAME", "Boxes"), made.counts.items(), numbers=(1,)))
    console.say("")
    console.say(
        f"{made.num_images} images, {made.num_boxes} boxes, {made.num_negatives} images without objects "
        f"in {made.output_dir}; not listed, not taken over: {len(made.unlisted)} images"
    )
    data = _data_flags(fv, made, importing.LISTS)
    console.say_next(f"tfodhelper check {data}", f"tfodhelper convert {data} --output_dir=CONVERTED")
    return 1 if any(finding.severity == findings.ERROR for finding in made.findings) else 0


def _import_records(fv):
    from tfodhelper.annotations import label_map as label_maps
    from tfodhelper.formats import tfrecord

    label_map = label_maps.read_label_map(fv.classes) if fv.classes else None
    return tfrecord.import_records(fv.input, fv.output_dir, label_map)


def _data_flags(fv, made, lists):
    """The flags by which other verbs find what was made."""
    if fv.images == "none":
        data = f"--image_dir={fv.image_dir or 'IMAGES'} --annotation_dir={made.output_dir}"
    else:
        data = f"--data_dir={made.output_dir}"
    if made.has_lists:
        for flag, side in (("train_list", "train"), ("val_list", "validate")):
            data += f" --{flag}={made.output_dir / lists[side]}"
    return data
