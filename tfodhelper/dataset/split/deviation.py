"""What a split promises, in numbers: for every class its share on each side and how far that is from the wanted one."""

import collections

from tfodhelper import console
from tfodhelper.dataset.split.split import TRAIN

HEADER = ("class", "images", "alone", "side", "has", "wanted", "deviation", "remark")


def measure(labels, sides, share_out):
    """Rows of `HEADER`: for each class and side, in images.

    A class whose images show nothing else is dealt exactly; "alone" counts those images. Where classes share images,
    or images have to stay together, a deviation remains that the row shows.

    Args:
      labels: {image: class names of its boxes}; an empty one is the class "".
      sides: {image: side}.
      share_out: function from a number of images to {side: wanted number}.
    """
    images = collections.defaultdict(list)
    for name in sides:
        for label in set(labels[name]) or {""}:
            images[label].append(name)
    rows = []
    for label in sorted(images):
        found = collections.Counter(sides[name] for name in images[label])
        wanted = share_out(len(images[label]))
        alone = sum(len(set(labels[name])) <= 1 for name in images[label])
        for side in wanted:
            remark = _remark(len(images[label]), found[side], side)
            deviation = found[side] - wanted[side]
            rows.append(
                (label or "(no object)", len(images[label]), alone, side, found[side], wanted[side], deviation, remark)
            )
    return rows


def _remark(total, has, side):
    if total == 1:
        return "in one image only: it can be trained or measured, not both" if has else ""
    if total == 2 and has == 1:
        return "two images: one here"
    return "" if has or side == TRAIN else "nothing to measure it by"


def format_report(rows):
    """The table, and how many classes are further than one image from their share."""
    far = {row[0] for row in rows if abs(row[6]) > 1}
    texts = [(*row[:6], f"{row[6]:+d}" if row[6] else "0", row[7]) for row in rows]
    table = console.format_table(HEADER, texts, numbers=(1, 2, 4, 5, 6))
    classes = {row[0] for row in rows}
    end = f"{len(classes) - len(far)} of {len(classes)} classes are within one image of the wanted share"
    return table + "\n" + end + (f"; not {', '.join(sorted(far))}" if far else "")
