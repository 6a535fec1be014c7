"""COCO JSON, YOLO text, a CSV of boxes or TFRecords to LabelImg XML next to their images.

  tfodhelper import --from=coco --input=instances.json --image_dir=images --output_dir=FOLDER
  tfodhelper import --from=yolo --input=data.yaml --output_dir=FOLDER
  tfodhelper import --from=csv  --input=train.csv --val_input=validate.csv --image_dir=images --output_dir=FOLDER
  tfodhelper import --from=records --input='train.record-*' --output_dir=FOLDER

The images are linked, or copied with --images=copy. All other verbs continue from there: check, convert, run. The ids
of classes are kept in label_map.pbtxt, and the two sides of a YOLO set or of --input and --val_input in train.txt and
validate.txt, for --label_map, --train_list and --val_list.

Images that a COCO file lists without annotations, and empty label files of YOLO, become negatives; so does a CSV line
without class and corners. Images that are not listed are not imported. Outlines become the boxes around them, crowds
become difficult objects; both are counted. XML of CVAT, X-AnyLabeling, labelme2voc, VoTT, Roboflow and the VOC devkit
needs no import. The exit status is 1 if something labelled could not be imported.
"""

from tfodhelper import console
from tfodhelper.cli import flagging, option_flags
from tfodhelper.formats.options import ImportOptions


def define_flags(fv):
    """Defines the verb's flags."""
    option_flags.define_flags(fv, ImportOptions)


def main(fv, args):
    """Runs the verb; returns the exit status."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, ImportOptions)
    from tfodhelper.annotations import findings
    from tfodhelper.formats import exchange, importing

    made = exchange.import_annotations(options)
    data = _data_flags(options, made, importing.LISTS)
    console.say_next(f"tfodhelper check {data}", f"tfodhelper convert {data} --output_dir=CONVERTED")
    return 1 if any(finding.severity == findings.ERROR for finding in made.findings) else 0


def _data_flags(options, made, lists):
    """The flags by which other verbs find what was made."""
    if options.images == "none":
        data = f"--image_dir={options.image_dir or 'IMAGES'} --annotation_dir={made.output_dir}"
    else:
        data = f"--data_dir={made.output_dir}"
    if made.has_lists:
        for flag, side in (("train_list", "train"), ("val_list", "validate")):
            data += f" --{flag}={made.output_dir / lists[side]}"
    return data
