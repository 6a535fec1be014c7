"""images and LabelImg XML to records, label map, lists and a manifest

    tfodhelper convert --data_dir=FOLDER --output_dir=data

Writes sharded records, train.csv, validate.csv, label_map.pbtxt and manifest.json.

The images are split into training and validation, stratified by class. The split depends on the seed and not on the
order of the folder; identical files stay together. Images whose XML has no object are kept as negatives; images without
XML are left out.

Faults are corrected where that is safe. Otherwise the image is left out, counted and listed in the manifest. With
--strict, each of these faults is an error. `tfodhelper check` shows the same findings without writing anything.

--test_fraction or --test_list also splits off a test set. --fold=2/5 uses the second of five folds for validation.
--split_by_folder uses folders named train, valid and test. --group_by and --group_near_duplicates keep frames of the
same video, or images that look alike, together. --validate=full decodes all images, and reports those that look alike
but are on different sides.

With --update, only images and annotations that are new or have changed are converted. All others keep their record,
their side of the split and their class ids; images that no longer exist are removed from the records. With --shard=i/n,
n jobs share the work: start all of them with the same flags, wait until they have ended, and start them once more. The
records are the same as those of a single conversion.

If a conversion was interrupted, the same command repeats it. If it is complete and the input is the same, the result is
used as it is.
"""

from tfodhelper import console, invocation, spelling
from tfodhelper.cli import flagging, option_flags
from tfodhelper.records.options import ConvertOptions


def define_flags(fv):
    """Defines the verb's flags."""
    option_flags.define_flags(fv, ConvertOptions)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, ConvertOptions)
    from tfodhelper.records import convert

    made = convert.convert(options)
    if made is None:
        console.say_next("the same command once more for this job, after the other jobs have ended")
        return
    console.say(
        f"{made.num_train} training and {spelling.count(made.num_validate, 'validation image')} in {made.output_dir}"
    )
    if made.num_test:
        console.say(f"{spelling.count(made.num_test, 'test image')}: {made.test_pattern}")
    console.say_next(invocation.format_command("config", model="ssd_mobilenet_v1", data_dir=made.output_dir))
