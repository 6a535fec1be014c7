"""Images with LabelImg XML to sharded records, train.csv, validate.csv, label_map.pbtxt and manifest.json.

The split is by image, stratified over the classes, seeded, and independent of the order of the folder; byte-identical
images stay on one side. Images whose XML has no object are kept as negatives; images without XML are left out.

What is wrong is fixed where that is safe; else the image is left out, counted and listed in the manifest. With --strict
each of these is an error. `tfodhelper check` shows the same findings without writing anything.

A start on a folder that was stopped does it again; a start on a finished one with the same input uses it as it is.
"""

from tfodhelper import console
from tfodhelper.cli import flagging


def define_flags(fv):
    """Defines the verb's flags."""
    flagging.define_data_flags(fv)
    flagging.define_seed(fv)
    flagging.define_check_flags(fv)
    flagging.define_num_shards(fv)
    flagging.define_output_dir(fv, "Folder for the result.")


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    flagging.require(fv, "output_dir")
    from tfodhelper.records import convert

    names = [field for field in convert.ConvertOptions.__dataclass_fields__ if field in fv]
    made = convert.convert(convert.ConvertOptions(**{name: fv[name].value for name in names}))
    console.say(f"{made.num_train} training and {made.num_validate} validation images in {made.output_dir}")
    console.say_next(f"python -m tfodhelper config --model=ssd_mobilenet_v1 --data_dir={made.output_dir}")
