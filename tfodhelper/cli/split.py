"""lists of images for training, validation and test, or for k folds, with the deviation of every class

    tfodhelper split --data_dir=FOLDER --val_fraction=0.2 --test_fraction=0.1 --output_dir=lists
    tfodhelper split --data_dir=FOLDER --num_folds=5 --output_dir=lists

Writes train.txt, val.txt and test.txt in the format of VOC's ImageSets (with folds, one folder per fold), and
split.csv. The images are split by class and size of boxes. The split depends on the seed and not on the order of the
folder. Identical files stay together; with --group_by and --group_near_duplicates, other images do, too. `convert`
takes the lists, or makes the same split from the same flags.
"""

from tfodhelper import console, invocation
from tfodhelper.cli import flagging, option_flags
from tfodhelper.dataset.options import ListsOptions


def define_flags(fv):
    """Defines the flags of this verb."""
    option_flags.define_flags(fv, ListsOptions)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, ListsOptions)
    from tfodhelper.dataset import split_lists

    folder = split_lists.write_split(options)
    parts = [part for part in split_lists.LISTS.values() if (folder / f"{part}.txt").exists()]
    lists = {f"{part}_list": f"{folder}/{part}.txt" for part in parts}
    console.say_next(invocation.format_command("convert", **lists, output_dir="data") + " ...")
