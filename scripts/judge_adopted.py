#!/usr/bin/env python3
"""Compares the boxes that a workspace adopted with a hidden truth.

    python scripts/judge_adopted.py --workspace=FOLDER --truth_dir=FOLDER

For each round and class: boxes adopted, how many of them are on a true box of their class with an intersection over
union above 0.5 and above 0.75 (each true box serves once), and how many true boxes of the adopted images were left
unlabelled. The truth is LabelImg XML, found by the stem of the image.
"""

import argparse
import collections
import pathlib

import numpy as np

from tfodhelper import console
from tfodhelper.active_learning import answers, workspace
from tfodhelper.active_learning.structures import ADOPTED
from tfodhelper.annotations import labelimg
from tfodhelper.box_geometry import corners_of, pairwise_iou


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", required=True)
    parser.add_argument("--truth_dir", required=True)
    arguments = parser.parse_args()
    truths = {path.stem: path for path in pathlib.Path(arguments.truth_dir).rglob("*.xml")}
    rows = []
    for round_ in workspace.Workspace(arguments.workspace).rounds():
        if round_.has("merge"):
            adopted = [answer for answer in answers.read_answers(round_.answers_path) if answer.verdict == ADOPTED]
            rows += judge_round(round_.number, adopted, truths)
    header = ("round", "class", "images", "boxes", "IoU > 0.5", "share", "IoU > 0.75", "share", "true boxes left out")
    print(console.format_table(header, rows, numbers=(0, 2, 3, 4, 5, 6, 7, 8)))


def judge_round(number, adopted, truths):
    """Rows of one round: each class, then all."""
    counts = collections.defaultdict(collections.Counter)
    for answer in adopted:
        truth = labelimg.read_labelimg(truths[pathlib.PurePosixPath(answer.name).stem])
        for name in {box.name for box in (*answer.annotation.boxes, *truth.boxes)}:
            ours = [box for box in answer.annotation.boxes if box.name == name]
            theirs = [box for box in truth.boxes if box.name == name]
            overlaps = best_overlaps(ours, theirs)
            figures = {
                "images": int(bool(ours)),
                "boxes": len(ours),
                "half": sum(value > 0.5 for value in overlaps),
                "tight": sum(value > 0.75 for value in overlaps),
                "missing": max(0, len(theirs) - sum(value > 0.5 for value in overlaps)),
            }
            counts[name].update(figures)
            counts["all"].update(figures)
    order = [*sorted(set(counts) - {"all"}), "all"] if counts else []
    return [(number, name, *_cells(counts[name])) for name in order]


def best_overlaps(ours, theirs):
    """Intersection over union of each of our boxes with a true one; each true box serves once, best pairs first."""
    if not ours or not theirs:
        return [0.0] * len(ours)
    table, overlaps = pairwise_iou(corners_of(ours), corners_of(theirs)), [0.0] * len(ours)
    for _ in range(min(table.shape)):
        row, column = np.unravel_index(np.argmax(table), table.shape)
        overlaps[row] = float(table[row, column])
        table[row, :], table[:, column] = -1, -1
    return overlaps


def _cells(count):
    boxes = count["boxes"]
    shares = [f"{count[name] / boxes:.1%}" if boxes else "-" for name in ("half", "tight")]
    return (count["images"], boxes, count["half"], shares[0], count["tight"], shares[1], count["missing"])


if __name__ == "__main__":
    main()
