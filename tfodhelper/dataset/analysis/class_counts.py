"""Counts boxes and images per class and side, and formats them as a table."""

import collections
import dataclasses

from tfodhelper import console, spelling
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset.scan import usable_images
from tfodhelper.dataset.split.split import SPLITS, TEST, TRAIN, VALIDATE


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Counts by side; the keys are TRAIN, VALIDATE and TEST.

    Attributes:
      boxes: {side: {class name: number of boxes}}.
      images_of_class: {side: {class name: number of images with it}}.
      images: {side: number of images}.
      negatives: {side: number of images without boxes}.
      masks: {side: number of boxes with a mask}.
    """

    boxes: dict
    images_of_class: dict
    images: dict
    negatives: dict
    masks: dict


def count(kinds, split):
    """Counts boxes and images.

    Args:
      kinds: for each image (class names of its boxes, their size letters, see `entry.labels_of`).
      split: for each image its side; images with None are not counted.

    Returns:
      `Statistics`.
    """
    boxes, of_class = ({side: collections.Counter() for side in SPLITS} for _ in range(2))
    images, negatives, masks = (dict.fromkeys(SPLITS, 0) for _ in range(3))
    for ((labels, letters), side), number in usable_images.count_kinds(zip(kinds, split)):
        if side is None:
            continue
        images[side] += number
        negatives[side] += 0 if labels else number
        masks[side] += number * sum(map(str.isupper, letters))
        for label in labels:
            boxes[side][label] += number
        for label in set(labels):
            of_class[side][label] += number
    return Statistics(boxes, of_class, images, negatives, masks)


def format_summary(label_map, statistics):
    """The table ID / NAME / Train / Validate: boxes of each class, then totals of boxes, masks, images and negatives.

    A column Test is added if there are test images.
    """
    sides = SPLITS if statistics.images[TEST] else (TRAIN, VALIDATE)
    rows = [
        (item.id, item.shown_name, *(count_of_item(statistics.boxes[side], item) for side in sides))
        for item in label_map
    ]
    rows.append(("", "all boxes", *(sum(statistics.boxes[side].values()) for side in sides)))
    if any(statistics.masks.values()):
        rows.append(("", "boxes with a mask", *(statistics.masks[side] for side in sides)))
    rows.append(("", "images", *(statistics.images[side] for side in sides)))
    rows.append(("", "images without objects", *(statistics.negatives[side] for side in sides)))
    return console.format_table(("ID", "NAME", *(side.title() for side in sides)), rows, numbers=(0, 2, 3, 4))


def count_of_item(counts, item):
    """The number of boxes of a label map item; annotations may use its name or its display name."""
    return sum(counts.get(name, 0) for name in {item.name, item.display_name} if name)


def find_missing_classes(label_map, statistics, is_given=True):
    """Findings for classes of the label map without training boxes or without validation boxes.

    Args:
      label_map: a `LabelMap`.
      statistics: `Statistics` of the images.
      is_given: whether the user gave the label map; otherwise it was made from the classes that occur.
    """
    otherwise = "remove it from the label map" if is_given else "move some of its images to the training side"
    findings = []
    for item in label_map:
        train, validate = (count_of_item(statistics.boxes[side], item) for side in (TRAIN, VALIDATE))
        if not train:
            received = (
                "no boxes at all" if not validate else f"{spelling.count(validate, 'box')}, all of them in validation"
            )
            findings.append(
                Finding(
                    "class-no-training",
                    item.shown_name,
                    "the class has no training boxes",
                    received=received,
                    fix=f"label images of it, or {otherwise}",
                )
            )
        elif not validate and statistics.images[VALIDATE]:
            fix = "label more images of it, or increase --val_fraction; otherwise its precision cannot be measured"
            problem = "the class has no validation boxes"
            findings.append(Finding("class-no-validation", item.shown_name, problem, fix=fix))
    return findings
