"""lists of images for training, validation and test, or for k folds, with the deviation of every class

    tfodhelper split --data_dir=FOLDER --val_fraction=0.2 --test_fraction=0.1 --output_dir=lists
    tfodhelper split --data_dir=FOLDER --num_folds=5 --output_dir=lists

Writes train.txt, val.txt and test.txt as VOC's ImageSets have them (with folds, one folder a fold), and split.csv. The
split is by image, stratified over the classes and the sizes of their boxes, seeded, and independent of the order of the
folder; byte-identical images stay together, and with --group_by and --group_near_duplicates others, too. `convert`
takes the lists, or draws the same split by itself from the same flags.
"""

import os

from absl import flags

from tfodhelper import console, errors, storage
from tfodhelper.cli import flagging


def define_flags(fv):
    """Defines the flags of this verb."""
    flagging.define_data_flags(fv)
    flagging.define_seed(fv)
    flagging.define_check_flags(fv)
    flagging.define_reading(fv, "header")
    flags.DEFINE_integer("num_folds", None, "Number of folds, instead of one split.", 2, flag_values=fv)
    flagging.define_output_dir(fv, "Folder for the lists.")


def main(fv, args):
    """Runs the verb."""
    from tfodhelper.dataset import plan
    from tfodhelper.dataset.analysis import box_statistics
    from tfodhelper.dataset.scan import examine
    from tfodhelper.dataset.split import deviation, split

    flagging.refuse_arguments(args)
    flagging.require(fv, "output_dir")
    names = [field for field in plan.SetOptions.__dataclass_fields__ if field in fv]
    options = plan.SetOptions(**{name: fv[name].value for name in names})
    planned = plan.make_plan(options)
    examine.check_usable(planned.examination)
    folder = storage.make_folder(fv.output_dir)
    labels = {image.name: image.labels for image in planned.examination.images}
    if fv.num_folds:
        split_input = plan.make_split_input(planned.examination, options)
        sides = dict(zip(labels, split.assign_folds(split_input, fv.num_folds, fv.seed)))
        for fold in range(1, fv.num_folds + 1):
            parts = {"val": [n for n in labels if sides[n] == fold], "train": [n for n in labels if sides[n] != fold]}
            _write_lists(storage.make_folder(folder / f"fold-{fold}"), parts)

        def share_out(total):
            return split.share_out_folds(total, fv.num_folds)

    else:
        sides = planned.sides
        parts = {short: [n for n in labels if sides.get(n) == side] for side, short in _LISTS.items()}
        _write_lists(folder, parts)
        test_fraction = len(parts["test"]) / len(sides) if options.test_list else options.test_fraction
        val_fraction = len(parts["val"]) / len(sides) if any(options.lists) else options.val_fraction

        def share_out(total):
            return split.share_out(total, val_fraction, test_fraction)

    rows = deviation.measure(labels, sides, share_out)
    box_statistics.write_csv(folder / "split.csv", deviation.HEADER, rows)
    console.say(deviation.format_report(rows))
    where = folder / "fold-1" if fv.num_folds else folder
    lists = [f"--{part}_list={where}/{part}.txt" for part in _LISTS.values() if (where / f"{part}.txt").exists()]
    console.say_next(f"tfodhelper convert {' '.join(lists)} --output_dir=data ...")


_LISTS = {"train": "train", "validate": "val", "test": "test"}


def _write_lists(folder, parts):
    """One name a line, without extension where that is not ambiguous."""
    names = [name for found in parts.values() for name in found]
    stems = [os.path.splitext(name)[0] for name in names]
    short = dict(zip(names, stems)) if len(set(stems)) == len(stems) else {name: name for name in names}
    for part, found in parts.items():
        if not found:
            continue  # an empty list could not be read again
        if any("\n" in name for name in found):
            raise errors.DatasetError("a name with a line break cannot be in a list", fix="rename the image")
        storage.write_text(folder / f"{part}.txt", "".join(short[name] + "\n" for name in found))
