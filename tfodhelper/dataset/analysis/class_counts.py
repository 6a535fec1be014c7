"""Counts of boxes and images per class and side, and the table that shows them."""

import collections
import dataclasses

from tfodhelper import console
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset.scan import usable_images
from tfodhelper.dataset.split.split import SPLITS, TEST, TRAIN, VALIDATE


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Counts by side; the keys are TRAIN, VALIDATE and TEST.

    Attributes:
      boxes: {side: {class name: number of boxes}}.
      images_of_class: {side: {class name: number of images that show it}}.
      images: {side: number of images}.
      negatives: {side: number of images without boxes}.
    """

    boxes: dict
    images_of_class: dict
    images: dict
    negatives: dict


def count(kinds, split):
    """Counts boxes and images.

    Args:
      kinds: for each image (class names of its boxes, anything).
      split: for each image its side; None does not count.

    Returns:
      `Statistics`.
    """
    boxes, of_class = ({side: collections.Counter() for side in SPLITS} for _ in range(2))
    images, negatives = (dict.fromkeys(SPLITS, 0) for _ in range(2))
    for ((labels, _), side), number in usable_images.count_kinds(zip(kinds, split)):
        if side is None:
            continue
        images[side] += number
        negatives[side] += 0 if labels else number
        for label in labels:
            boxes[side][label] += number
        for label in set(labels):
            of_class[side][label] += number
    return Statistics(boxes, of_class, images, negatives)


def format_summary(label_map, statistics):
    """The table ID / NAME / Train / Validate: boxes of each class, then all boxes, images and negatives.

    A column Test follows when there are test images.
    """
    sides = SPLITS if statistics.images[TEST] else (TRAIN, VALIDATE)
    rows = [
        (item.id, item.shown_name, *(count_of_item(statistics.boxes[side], item) for side in sides))
        for item in label_map
    ]
    rows.append(("", "all boxes", *(sum(statistics.boxes[side].values()) for side in sides)))
    rows.append(("", "images", *(statistics.images[side] for side in sides)))
    rows.append(("", "images without objects", *(statistics.negatives[side] for side in sides)))
    return console.format_table(("ID", "NAME", *(side.title() for side in sides)), rows, numbers=(0, 2, 3, 4))


def count_of_item(counts, item):
    """The boxes of a label map's item, which annotations may call by its name or by its display name."""
    return sum(counts.get(name, 0) for name in {item.name, item.display_name} if name)


def find_missing_classes(label_map, statistics):
    """Findings for classes of the label map without boxes to train on, or without boxes to validate on."""
    findings = []
    for item in label_map:
        train, validate = (count_of_item(statistics.boxes[side], item) for side in (TRAIN, VALIDATE))
        if not train:
            received = "no box at all" if not validate else f"{validate} boxes, all of them in validation"
            findings.append(
                Finding(
                    "class-no-training",
                    item.shown_name,
                    "the class has no box to train on",
                    received=received,
                    fix="label images of it, or take it out of the label map",
                )
            )
        elif not validate and statistics.images[VALIDATE]:
            fix = "label more images of it, or raise --val_fraction: its precision cannot be measured"
            what = "the class has no box to validate on"
            findings.append(Finding("class-no-validation", item.shown_name, what, fix=fix))
    return findings
