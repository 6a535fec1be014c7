"""COCO, YOLO, CSV, Label Studio, CVAT, labelme, VOC masks or TFRecords to LabelImg XML and images.

  tfodhelper import --from=coco --input=instances.json --image_dir=images --output_dir=FOLDER
  tfodhelper import --from=yolo --input=data.yaml --output_dir=FOLDER
  tfodhelper import --from=csv  --input=train.csv --val_input=validate.csv --image_dir=images --output_dir=FOLDER
  tfodhelper import --from=records --input='train.record-*' --output_dir=FOLDER
  tfodhelper import --from=labelme --input=FOLDER_OF_JSON_FILES --output_dir=FOLDER
  tfodhelper import --from=voc-masks --input=VOC2012 --classes=names.txt --output_dir=FOLDER
  tfodhelper import --from=labelstudio --input=project.json --image_dir=images --output_dir=FOLDER
  tfodhelper import --from=cvat --input=annotations.xml --image_dir=images --output_dir=FOLDER

The images are linked, or copied with --images=copy; those of records are always written. All other verbs continue from
there: check, convert, run. label_map.pbtxt keeps the ids of the classes that have boxes; if one of them has the id 0,
which is the background, all ids are increased by one. The sides of a YOLO set, or of --input, --val_input and
--test_input, are in train.txt, validate.txt and test.txt. The command that is printed at the end uses these files.

Images that a COCO file lists without annotations, and empty label files of YOLO, become negatives; so does a CSV line
without class and corners. An image none of whose objects can be used is left out; so are images that are not listed.
A file name without extension is the image with that stem. A class id without a name is called class_ID. Masks are kept
next to the XML, in NAME.masks.json; crowds become difficult objects. All of this is reported. JSON of X-AnyLabeling is
that of labelme; voc-masks are PNG files of numbers in SegmentationObject and SegmentationClass. Predictions in Label
Studio's tasks, and scores in CVAT's XML, go to detections.jsonl, as `predict` writes it. "PASCAL VOC" of CVAT and XML
of X-AnyLabeling, labelme2voc, VoTT, Roboflow and the VOC devkit need no import. The exit status is 1 if something
labelled could not be imported.
"""

from tfodhelper import console, invocation
from tfodhelper.cli import flagging, option_flags
from tfodhelper.formats.options import ImportOptions

_LIST_FLAGS = {"train": "train_list", "validate": "val_list", "test": "test_list"}


def define_flags(fv):
    """Defines the verb's flags."""
    option_flags.define_flags(fv, ImportOptions)


def main(fv, args):
    """Runs the verb; returns the exit status."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, ImportOptions)
    from tfodhelper.annotations import findings
    from tfodhelper.formats import exchange

    made = exchange.import_annotations(options)
    if not made.num_images:
        return 1
    data = _data_flags(options, made)
    commands = {"check": {}, "convert": {"output_dir": "CONVERTED"}}
    console.say_next(*(invocation.format_command(verb, **data, **more) for verb, more in commands.items()))
    return 1 if any(finding.severity == findings.ERROR for finding in made.findings) else 0


def _data_flags(options, made):
    """{flag: value} by which other verbs find what was made, with the ids of its classes and its sides."""
    if options.images == "none":
        flags = {"image_dir": options.image_dir or "IMAGES", "annotation_dir": made.output_dir}
    else:
        flags = {"data_dir": made.output_dir}
    if made.label_map:
        flags["label_map"] = made.output_dir / made.label_map
    for side, name in made.lists.items():
        flags[_LIST_FLAGS[side]] = made.output_dir / name
    return flags
