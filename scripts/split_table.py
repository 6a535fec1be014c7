#!/usr/bin/env python3
"""Prints the table of `convert` for the class counts of a log of 2018, next to the figures in that log.

    python scripts/split_table.py

Two sets with 18 classes and one box per image, split 8:2. The log's figures are known for some of the classes; the
others fill the sets up to their number of images.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfodhelper import console  # noqa: E402
from tfodhelper.annotations import label_map as label_maps  # noqa: E402
from tfodhelper.dataset.analysis import class_counts  # noqa: E402
from tfodhelper.dataset.split import split  # noqa: E402

NUM_CLASSES = 18
# {images of the set: {class: (training, validation) by the log}}
LOG = {
    6932: {"homer": (500, 126), "ned": (485, 122), "moe": (172, 43), "lisa": (462, 116)},
    17448: {"homer": (1652, 414), "ned": (1110, 278), "moe": (996, 250)},
}


def list_counts(num_images, printed):
    """{class: number of images} with all classes of the set."""
    counts = {name: sum(sides) for name, sides in printed.items()}
    rest, others = num_images - sum(counts.values()), NUM_CLASSES - len(counts)
    return counts | {f"other {i + 1}": rest // others + (i < rest % others) for i in range(others)}


def main():
    """Prints a table for each set; the exit status is 1 when a figure of the log is not reproduced."""
    is_equal = True
    for num_images, printed in LOG.items():
        labels = {
            f"{name}/{number}": (name,)
            for name, count in list_counts(num_images, printed).items()
            for number in range(count)
        }
        cards = [split.SplitImage(name, name, frozenset(classes)) for name, classes in labels.items()]
        sides = split.split_images(cards, 0.2, seed=0)
        counted = class_counts.count(((classes, "") for classes in labels.values()), map(sides.get, labels))
        label_map = label_maps.make_label_map(name for (name,) in labels.values())
        console.say(f"{num_images} images, {NUM_CLASSES} classes, one box each, 8:2")
        console.say(class_counts.format_summary(label_map, counted))
        for name, expected in printed.items():
            counted_boxes = tuple(counted.boxes[side][name] for side in (split.TRAIN, split.VALIDATE))
            is_equal &= counted_boxes == expected
            console.say(f"  {name}: {counted_boxes[0]}/{counted_boxes[1]}, in the log {expected[0]}/{expected[1]}")
        console.say("")
    return 0 if is_equal else 1


if __name__ == "__main__":
    sys.exit(main())
