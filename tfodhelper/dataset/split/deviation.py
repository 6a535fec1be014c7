"""The quality of a split in numbers: every class's share on each side, and its deviation from the wanted share."""

import collections

from tfodhelper import console, spelling
from tfodhelper.dataset.split.split import TRAIN

HEADER = ("class", "images", "alone", "side", "has", "wanted", "deviation", "remark")


def measure(labels, sides, share_out):
    """Rows of `HEADER`: for each class and side, in images.

    A class whose images show no other class is split exactly; "alone" counts those images. Where classes share images,
    or images must stay together, a deviation may remain, which the row shows.

    Args:
      labels: {image: class names of its boxes}; an image without boxes counts as class "".
      sides: {image: side}.
      share_out: maps a number of images to {side: wanted number}.
    """
    images = collections.defaultdict(list)
    for name in sides:
        for label in set(labels[name]) or {""}:
            images[label].append(name)
    rows = []
    for label in sorted(images):
        counts = collections.Counter(sides[name] for name in images[label])
        wanted = share_out(len(images[label]))
        alone = sum(len(set(labels[name])) <= 1 for name in images[label])
        for side in wanted:
            remark = _remark(len(images[label]), counts[side], side)
            deviation = counts[side] - wanted[side]
            rows.append(
                (label or "(no object)", len(images[label]), alone, side, counts[side], wanted[side], deviation, remark)
            )
    return rows


def _remark(total, has, side):
    if total == 1:
        return "in one image only: it can be either trained or evaluated, not both" if has else ""
    if total == 2 and has == 1:
        return "two images, one of them here"
    return "" if has or side == TRAIN else "no image to evaluate it on"


def format_report(rows):
    """The table, and how many classes have their share; those that deviate and those that a side lacks are named."""
    far = sorted({row[0] for row in rows if abs(row[6]) > 1})
    lacking = _find_lacking(rows)
    texts = [(*row[:6], f"{row[6]:+d}" if row[6] else "0", row[7]) for row in rows]
    table = console.format_table(HEADER, texts, numbers=(1, 2, 4, 5, 6))
    classes = {row[0] for row in rows}
    good = len(classes - {*far, *lacking})
    parts = [
        f"{good} of {spelling.count(len(classes), 'class')} are on every side, within one image of the wanted share"
    ]
    if lacking:
        names = ", ".join(f"{name} ({', '.join(sides)})" for name, sides in sorted(lacking.items()))
        parts.append(f"{spelling.count(len(lacking), 'class has', 'classes have')} no image on a side: {names}")
    if far:
        parts.append(f"{spelling.count(len(far), 'class deviates', 'classes deviate')} by more: {', '.join(far)}")
    return table + "\n" + "; ".join(parts)


def _find_lacking(rows):
    """{class: sides that have images, but none of it}: there is nothing to train it with, or to measure it by."""
    used = {row[3] for row in rows if row[4]}
    lacking = collections.defaultdict(list)
    for label, _, _, side, has, *_ in rows:
        if side in used and not has:
            lacking[label].append(str(side))
    return lacking
