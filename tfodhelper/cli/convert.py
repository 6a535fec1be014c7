"""Images with LabelImg XML to sharded records, train.csv, validate.csv, label_map.pbtxt and manifest.json.

The split is by image, stratified over the classes, seeded, and independent of the order of the folder; byte-identical
images stay on one side. Images whose XML has no object are kept as negatives; images without XML are left out.

What is wrong is fixed where that is safe; else the image is left out, counted and listed in the manifest. With --strict
each of these is an error. `tfodhelper check` shows the same findings without writing anything.

The split has a test side with --test_fraction or --test_list. --fold=2/5 takes the second of five folds as validation.
--group_by and --group_near_duplicates keep frames of one video, or images that look alike, on one side.

With --update only images and annotations that are new or changed are converted: all others keep their record, their
side and their class ids, and images that are gone leave the records. With --shard=i/n, n jobs share the work: start
all of them with the same flags, wait until they have ended, and start them once more; the records are those of one
conversion.

A start on a folder that was stopped does it again; a start on a finished one with the same input uses it as it is.
"""

from absl import flags

from tfodhelper import console
from tfodhelper.cli import flagging


def define_flags(fv):
    """Defines the verb's flags."""
    flagging.define_data_flags(fv)
    flagging.define_seed(fv)
    flagging.define_check_flags(fv)
    flagging.define_num_shards(fv)
    flagging.define_reading(fv, "header")
    text = "Bring a folder up to date that holds an earlier state of the set: only what is new or changed is converted."
    flags.DEFINE_bool("update", False, text, flag_values=fv)
    text = "As in 3/8: the third of eight jobs that share this conversion and its output folder."
    flags.DEFINE_string("shard", None, text, flag_values=fv)
    flagging.define_output_dir(fv, "Folder for the result.")


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    flagging.require(fv, "output_dir")
    from tfodhelper.records import convert

    names = [field for field in convert.ConvertOptions.__dataclass_fields__ if field in fv]
    made = convert.convert(convert.ConvertOptions(**{name: fv[name].value for name in names}))
    if made is None:
        console.say_next("the same command once more for this job, when the other jobs have ended")
        return
    console.say(f"{made.num_train} training and {made.num_validate} validation images in {made.output_dir}")
    if made.num_test:
        console.say(f"{made.num_test} test images: {made.test_pattern}")
    console.say_next(f"python -m tfodhelper config --model=ssd_mobilenet_v1 --data_dir={made.output_dir}")
