"""Workspaces with rounds, written by hand: no training, no prediction."""

import json
import pathlib

from tfodhelper import sheets
from tfodhelper.active_learning import answers, workspace
from tfodhelper.active_learning.pool import predictions
from tfodhelper.active_learning.selection import rules, selection
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, Answer, Edits, Prediction
from tfodhelper.annotations import label_map
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.dataset import manifest
from tfodhelper.formats import box_table
from tfodhelper.formats.collection import ListedImage
from tfodhelper.prediction.detections import Detection, ImageDetections

SETTINGS = {
    "training": {},
    "retrain": "continue",
    "prediction": {},
    "selection": {"rule": "random", "budget": 4},
    "oracle": {"name": "simulated", "options": {}},
    "seed": 7,
}


def start(folder, classes, pool=()):
    """Makes a workspace; `pool` holds (name, path)."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    label_map.write_label_map(folder / "label_map.pbtxt", label_map.make_label_map(classes))
    sheets.write_csv(folder / "pool.csv", workspace.POOL_HEADER, [(name, path, "") for name, path in pool])
    sheets.write_csv(folder / "labelled.csv", workspace.LABELLED_HEADER, [])
    workspace.write_new(folder, SETTINGS)
    return workspace.Workspace(folder)


def box(name, size=10):
    return Box(name, 5.0, 5.0, 5.0 + size, 5.0 + size)


def add_training(space, number, train, validate, evaluations, seconds=None):
    """Begins a round and writes the files of its training.

    Args:
      space: the `Workspace`.
      number: of the round.
      train, validate: {image name: class names of its boxes}.
      evaluations: list of (step, {tag: value}).
      seconds: of the phases in run.json.

    Returns:
      The `Round`.
    """
    round_ = space.begin_round(number, SETTINGS)
    data = round_.training_dir / "data"
    data.mkdir(parents=True)
    for side, images in (("train", train), ("validate", validate)):
        listed = [
            ListedImage(name, Annotation(name, 64, 48, tuple(box(label) for label in labels)))
            for name, labels in images.items()
        ]
        box_table.write_table(data / f"{side}.csv", listed)
    classes = label_map.read_label_map(space.label_map).names
    manifest.write_manifest(
        data,
        manifest.Manifest(
            fingerprint="",
            options={},
            classes=[{"id": i, "name": name, "train": 0, "validate": 0} for i, name in enumerate(classes, start=1)],
            shards={side: [{"name": side, "records": len(i), "bytes": 1}] for side, i in _sides(train, validate)},
            files={"label_map": "label_map.pbtxt", "train_csv": "train.csv", "validate_csv": "validate.csv"},
            images=[],
            left_out=[],
            unlabelled=[],
            findings={},
        ),
    )
    checkpoints = round_.training_dir / "checkpoints"
    checkpoints.mkdir()
    lines = [json.dumps({"step": step, "seconds": 2.0, "metrics": metrics}) + "\n" for step, metrics in evaluations]
    (checkpoints / "evaluations.jsonl").write_text("".join(lines))
    phases = {name: {"seconds": value} for name, value in (seconds or {}).items()}
    (round_.training_dir / "run.json").write_text(
        json.dumps({"settings": {"data": {}}, "phases": phases, "finished": True})
    )
    return round_


def _sides(train, validate):
    return (("train", train), ("validate", validate))


def add_selection(round_, chosen, num_candidates, scores=()):
    """Writes selection.json, and scores.csv from `Chosen`s."""
    options = rules.SelectOptions(rule="random", budget=4, seed=7)
    outcome = selection.Selection(options, round_.number, "random", "", tuple(chosen), (), num_candidates)
    selection.write_selection(round_.folder, outcome)
    with selection.open_scores(round_.folder / "scores.csv") as write:
        for row in scores:
            write(row)


def chosen(name, score=1.0, best_class="cat", best_score=0.9):
    return selection.Chosen(name, score, 1, best_class, best_score)


def adopted(name, labels, edits=None, scores=()):
    boxes = tuple(box(label) for label in labels)
    return Answer(name, ADOPTED, Annotation(name, 64, 48, boxes), edits=edits, scores=tuple(scores))


def refused(name, reason, edits=None):
    return Answer(name, REFUSED, reason=reason, edits=edits)


def add_answers(round_, given):
    answers.write_answers(round_.answers_path, given)


def add_predictions(round_, given, part_size=2):
    """Writes predictions of {image name: [(class, score, (xmin, ymin, xmax, ymax))]}; images are 64 by 48 pixels."""
    ids = label_map.read_label_map(round_.folder.parent.parent / "label_map.pbtxt")
    predicted = []
    for name, boxes in given.items():
        detections = tuple(
            Detection(label, ids.id_of(label), score, ymin, xmin, ymax, xmax)
            for label, score, (xmin, ymin, xmax, ymax) in boxes
        )
        few = (0.5,) * len(boxes)
        predicted.append(Prediction(name, ImageDetections(name, 64, 48, detections), few, few))
    predictions.keep_plan(round_.predictions_dir, predictions.Plan(len(predicted), part_size, "", "", 0.05, 100))
    for number in range(-(-len(predicted) // part_size)):
        predictions.write_part(round_.predictions_dir, number, predicted[number * part_size :][:part_size])


def finish(round_, **seconds):
    """Marks phases as finished."""
    for name, value in seconds.items():
        round_.finish(name, value)


def metrics(map50, ap50, map5095=None):
    """The metrics of a step in evaluations.jsonl."""
    by_class = {f"PascalBoxes_PerformanceByCategory/AP@0.5IOU/{name}": value for name, value in ap50.items()}
    return {
        "DetectionBoxes_Precision/mAP": map50 / 2 if map5095 is None else map5095,
        "DetectionBoxes_Precision/mAP@.50IOU": map50,
        **by_class,
    }


def two_rounds(folder):
    """Classes cat and dog, two complete rounds and the training of a third; small enough to count by hand."""
    space = start(folder, ["cat", "dog"], [(f"pool/{i}.jpg", f"/pool/{i}.jpg") for i in range(6)])
    validate = {"v1.jpg": ["cat", "dog"], "v2.jpg": ["cat"]}
    train = {"a.jpg": ["cat", "cat"], "b.jpg": ["cat", "dog"], "c.jpg": ["cat"], "empty.jpg": []}
    evaluations = [
        (100, metrics(0.4, {"cat": 0.5, "dog": 0.3})),
        (200, metrics(0.6, {"cat": 0.8, "dog": 0.4})),
        (300, metrics(0.5, {"cat": 0.7, "dog": 0.3})),
    ]
    first = add_training(
        space, 1, train, validate, evaluations, {"convert": 1, "config": 0.5, "train": 20, "export": 4}
    )
    add_selection(first, [chosen(f"pool/{i}.jpg") for i in range(4)], 6, [chosen(f"pool/{i}.jpg", i) for i in range(6)])
    add_answers(
        first,
        [
            adopted("pool/0.jpg", ["dog"], Edits(kept=1), [0.9]),
            adopted("pool/1.jpg", ["cat", "dog"], Edits(kept=1, moved=1), [0.8, None]),
            refused("pool/2.jpg", "nothing found"),
            refused("pool/3.jpg", "another class", Edits(deleted=2, added=1, relabelled=1)),
        ],
    )
    finish(first, train=30.0, predict=5.0, select=1.0, ask=2.0, merge=0.5)
    train = train | {"pool/0.jpg": ["dog"], "pool/1.jpg": ["cat", "dog"]}
    evaluations = [(100, metrics(0.7, {"cat": 0.9, "dog": None}, 0.4))]
    second = add_training(space, 2, train, validate, evaluations, {"convert": 1, "train": 22, "export": 4})
    add_selection(second, [chosen(f"pool/{i}.jpg") for i in (2, 3)], 4)
    add_answers(second, [adopted("pool/2.jpg", ["dog"], scores=[0.9]), refused("pool/3.jpg", "another class")])
    finish(second, train=28.0, predict=3.0, select=1.0, ask=0.0, merge=0.5)
    return space
