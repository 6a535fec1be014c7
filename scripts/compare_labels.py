#!/usr/bin/env python3
"""What costs most in boxes that are adopted: the same images, learned with labels of which one thing more is right.

    python scripts/compare_labels.py --exercise=comparison/insects/seed-0

The exercise is one of scripts/compare_adoption.py whose arm K has run. Each training learns from the images that K has
adopted, for as many steps, with

    sure      the boxes as adopted, but those that are wrong (no object of their class overlaps by 0.5) are ignored
    placed    the boxes as adopted, but those that are right are where their object is
    both      both of it
    counted   as both, and objects count 1 and not their score
    true      the true boxes, and no others

The AP at IoU 0.5 of the test images is compared with K itself. The same command resumes an interrupted comparison.
"""

import argparse
import dataclasses
import importlib.util
import json
import pathlib
import shutil

_RIGHT = 0.5  # overlap
_SPEC = importlib.util.spec_from_file_location(
    "compare_adoption", pathlib.Path(__file__).with_name("compare_adoption.py")
)
compare_adoption = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(compare_adoption)

LABELS = {
    "sure": {"ignore_wrong": True},
    "placed": {"place_right": True},
    "both": {"ignore_wrong": True, "place_right": True},
    "counted": {"ignore_wrong": True, "place_right": True, "count_alike": True},
    "true": None,
}


def main():
    """Trains with each kind of labels, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exercise", required=True, help="folder of a set and seed, as comparison/insects/seed-0")
    parser.add_argument("--labels", default=",".join(LABELS), help=f"default: {','.join(LABELS)}")
    arguments = parser.parse_args()
    exercise, chosen = pathlib.Path(arguments.exercise), arguments.labels.split(",")
    if unknown := set(chosen) - set(LABELS):
        parser.error(f"--labels: there is no {', '.join(sorted(unknown))}; expected {', '.join(LABELS)}")
    if not (exercise / "K.json").exists():
        parser.error(f"{exercise}: arm K has not run; expected K.json, see scripts/compare_adoption.py --arms=K")
    print_table(exercise, {name: run(exercise, name) for name in chosen})


def run(exercise, name):
    """The figures of a kind of labels, see `compare_adoption.run_arm`."""
    from tfodhelper import tensorflow_setup
    from tfodhelper.active_learning import rounds, workspace

    tensorflow_setup.quiet_tensorflow()
    result, space = exercise / f"labels-{name}.json", exercise / f"labels-{name}"
    if result.exists():
        return json.loads(result.read_text())
    if not space.exists():
        copy = exercise / f".labels-{name}"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(exercise / "teacher", copy, symlinks=True)
        copy.rename(space)
    if not workspace.Workspace(space).rounds()[0].is_finished:
        oracle = Corrected(exercise, LABELS[name])
        rounds.run_rounds(str(space), oracle=oracle, changes={"min_box_worth": 0.0})
    rounds.run_rounds(str(space), until="train", changes={"trial": "off"})
    adopted = compare_adoption.count_adopted(space)
    figures = {"adopted": adopted} | compare_adoption.evaluate(space, exercise / "test")
    part = result.with_suffix(".part")
    part.write_text(json.dumps(figures))
    part.rename(result)
    return figures


class Corrected:
    """Answers as arm K has, with corrected boxes.

    Args:
      exercise: its folder.
      how: arguments of `correct`, or None for the true boxes.
    """

    name = "image_label"

    def __init__(self, exercise, how):
        from tfodhelper.active_learning import answers, workspace

        (first, *_) = workspace.Workspace(exercise / "K").rounds()
        self._answers = {each.name: each for each in answers.read_answers(first.answers_path)}
        self._truth, self._how = exercise / "truth", how

    def ask(self, questions, folder=None):
        """Yields an answer for each question."""
        from tfodhelper.active_learning.structures import ADOPTED
        from tfodhelper.annotations import labelimg

        for question in questions:
            answer = self._answers[question.image.name]
            if answer.verdict != ADOPTED:
                yield answer
                continue
            name = pathlib.PurePosixPath(question.image.name).relative_to("pool")  # the truth is arranged as the pool
            path = (self._truth / name).with_suffix(".xml")
            true = labelimg.read_labelimg(path).boxes
            boxes = true if self._how is None else correct(answer.annotation.boxes, true, **self._how)
            annotation = dataclasses.replace(answer.annotation, boxes=tuple(boxes))
            scores = (1.0,) * len(true) if self._how is None else answer.scores
            yield dataclasses.replace(answer, annotation=annotation, scores=scores)

    def next_steps(self, folder):
        """Nothing."""
        return ()


def correct(boxes, true, ignore_wrong=False, place_right=False, count_alike=False):
    """Corrects objects; ignored regions stay as they are.

    Args:
      boxes: of an answer, `Box`es with weights, best first.
      true: the `Box`es of the image.
      ignore_wrong: whether a box without an object becomes an ignored region.
      place_right: whether a box gets the place of its object.
      count_alike: whether all objects have the weight 1.

    Returns:
      List of `Box`, in the same order.
    """
    from tfodhelper import box_geometry

    overlaps = box_geometry.pairwise_iou(box_geometry.corners_of(boxes), box_geometry.corners_of(true))
    free, corrected = set(range(len(true))), []
    for row, box in enumerate(boxes):
        fits = [(overlaps[row, each], each) for each in free if true[each].name == box.name]
        overlap, object_ = max(fits, default=(0.0, None))
        if box.weight > 0 and overlap >= _RIGHT:
            free.remove(object_)
            corners = {side: getattr(true[object_], side) for side in ("xmin", "ymin", "xmax", "ymax")}
            box = dataclasses.replace(box, **corners) if place_right else box
        elif box.weight > 0 and ignore_wrong:
            box = dataclasses.replace(box, weight=0.0)
        corrected.append(dataclasses.replace(box, weight=1.0) if count_alike and box.weight > 0 else box)
    return corrected


def print_table(exercise, figures):
    """Prints the figures beside those of the arms that have run."""
    from tfodhelper import console

    rows = []
    for arm, words in (("A", "nothing adopted"), ("K", "as adopted")):
        if (exercise / f"{arm}.json").exists():
            rows.append((f"{words} ({arm})", json.loads((exercise / f"{arm}.json").read_text())))
    rows += figures.items()
    shown = [(name, each["adopted"], f"{each['AP50']:.3f}", f"{each['AP']:.3f}") for name, each in rows]
    print(console.format_table(("labels", "adopted", "AP50", "AP"), shown, numbers=range(1, 4)))


if __name__ == "__main__":
    main()
