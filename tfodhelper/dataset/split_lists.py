"""Writes the split of a dataset as lists of images, and the deviation of every class: implements `split`."""

import functools
import os

from tfodhelper import console, sheets, storage
from tfodhelper.dataset import plan
from tfodhelper.dataset.scan import examine
from tfodhelper.dataset.split import deviation, image_lists, split

LISTS = {"train": "train", "validate": "val", "test": "test"}  # {side: file name of its list}


def write_split(options):
    """Splits a dataset and writes the lists.

    Args:
      options: a `ListsOptions`.

    Returns:
      The folder with the lists for `convert`, of the split or of the first fold, as pathlib.Path.

    Raises:
      UsageError, DatasetError, AnnotationError: the dataset cannot be used, or has findings that `strict` rejects.
    """
    planned = plan.make_plan(options.located())
    plan.warn_of_unused_folders(planned)
    if options.strict:
        examine.check_strict(planned.findings)
    examine.check_usable(planned.examination)
    folder = storage.make_folder(options.output_dir)
    labels = {image.name: image.labels for image in planned.examination.images}
    write = _write_folds if options.num_folds else _write_sides
    sides, share_out = write(options, planned, labels, folder)
    rows = deviation.measure(labels, sides, share_out)
    sheets.write_csv(folder / "split.csv", deviation.HEADER, rows)
    console.say(deviation.format_report(rows))
    return folder / "fold-1" if options.num_folds else folder


def _write_folds(options, planned, labels, folder):
    """Writes a folder per fold; returns ({image: fold}, a function from a total to {fold: wanted number})."""
    split_input = plan.make_split_input(planned.examination, options)
    sides = dict(zip(labels, split.assign_folds(split_input, options.num_folds, options.seed)))
    for fold in range(1, options.num_folds + 1):
        parts = {"val": [n for n in labels if sides[n] == fold], "train": [n for n in labels if sides[n] != fold]}
        _write_lists(storage.make_folder(folder / f"fold-{fold}"), parts)
    return sides, functools.partial(split.share_out_folds, num_folds=options.num_folds)


def _write_sides(options, planned, labels, folder):
    """Writes the lists of the sides; returns ({image: side}, a function from a total to {side: wanted number})."""
    sides = planned.sides
    parts = {short: [n for n in labels if sides.get(n) == side] for side, short in LISTS.items()}
    _write_lists(folder, parts)
    is_given = any(options.lists) or options.split_by_folder
    test_fraction = len(parts["test"]) / len(sides) if is_given else options.test_fraction
    val_fraction = len(parts["val"]) / len(sides) if is_given else options.val_fraction
    return sides, functools.partial(split.share_out, val_fraction=val_fraction, test_fraction=test_fraction)


def _write_lists(folder, parts):
    """Writes lists with one name per line, without extensions if that is not ambiguous."""
    entry_of = _choose_entries([name for members in parts.values() for name in members])
    for part, members in parts.items():
        listed = [entry_of[name] for name in members if name in entry_of]
        if listed:  # an empty list could not be read again
            storage.write_text(folder / f"{part}.txt", "".join(entry + "\n" for entry in listed))


def _choose_entries(names):
    """{name: its entry in a list}, without names that no list can hold; a warning counts those."""
    stems = [os.path.splitext(name)[0] for name in names]
    short = dict(zip(names, stems)) if len(set(stems)) == len(stems) else {}
    entries = {name: short[name] if image_lists.can_be_listed(short.get(name, "")) else name for name in names}
    unlisted = sorted(name for name, entry in entries.items() if not image_lists.can_be_listed(entry))
    if unlisted:
        console.warn(
            f"images that are in no list, as their names have line breaks or begin or end with a space: {len(unlisted)}"
            f" (the first is {unlisted[0]!r}); rename them"
        )
    return {name: entry for name, entry in entries.items() if image_lists.can_be_listed(entry)}
