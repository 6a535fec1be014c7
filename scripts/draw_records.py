"""Draws the boxes of random records, read back from a converted folder, on their images: a sheet to look at.

  python scripts/draw_records.py CONVERTED_FOLDER SHEET.png [--count 10] [--seed 0]

It also counts the records and boxes and compares them with the manifest.
"""

import argparse
import collections
import io
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from PIL import Image  # noqa: E402

from tfodhelper.annotations.findings import Finding  # noqa: E402
from tfodhelper.dataset import manifest as manifests  # noqa: E402
from tfodhelper.formats import tfrecord_reader  # noqa: E402
from tfodhelper.render import palette, thumbnails  # noqa: E402
from tfodhelper.render.boxes import Mark  # noqa: E402

_COLUMNS = 5


def draw(record, colors):
    """A thumbnail of a record with its boxes."""
    marks = []
    for box in record.annotation.boxes:
        color = colors.setdefault(box.name, palette.color_of(len(colors) + 1))
        marks.append(Mark(box.xmin, box.ymin, box.xmax, box.ymax, color, box.name))
    return Image.open(io.BytesIO(thumbnails.make_thumbnail(io.BytesIO(record.data), marks)))


def main():
    """Draws the sheet and prints the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("sheet", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, kept, counts, seen = random.Random(args.seed), [], collections.Counter(), 0
    for record in tfrecord_reader.read_records(str(args.folder / "*.record-*")):
        if isinstance(record, Finding):
            sys.exit(record.message)
        seen += 1
        counts.update(box.name for box in record.annotation.boxes)
        if record.findings:
            print(*(finding.message for finding in record.findings), sep="\n")
        slot = len(kept) if len(kept) < args.count else rng.randrange(seen)  # each record is as likely as any other
        if slot < args.count:
            kept[slot : slot + 1] = [record]
    manifest = manifests.read_manifest(args.folder)
    wanted = {entry["name"]: sum(v for k, v in entry.items() if k not in ("id", "name")) for entry in manifest.classes}
    print(f"{args.folder}: {seen} records, {sum(counts.values())} boxes: {dict(sorted(counts.items()))}")
    print("as the manifest says" if dict(counts) == wanted else f"but the manifest says {wanted}")
    colors = {}
    cells = [draw(record, colors) for record in kept]
    side, rows = thumbnails.LONG_SIDE + 8, -(-len(cells) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * side, rows * side), "white")
    for number, cell in enumerate(cells):
        sheet.paste(cell, (number % _COLUMNS * side, number // _COLUMNS * side))
    sheet.save(args.sheet)
    print(f"{args.sheet}: {', '.join(record.name for record in kept)}")


if __name__ == "__main__":
    main()
