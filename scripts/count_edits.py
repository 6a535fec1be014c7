#!/usr/bin/env python3
"""Counts what drafts save a person: edits that correct a detector's boxes, against drawing every object.

    python scripts/count_edits.py --workspace=FOLDER --truth_dir=FOLDER --output_dir=edits
    python scripts/count_edits.py --saved_model_dir=EXPORT --image_dir=FOLDER --truth_dir=FOLDER --output_dir=edits

The truth is LabelImg XML, found as the oracle simulated finds it. The boxes are those that each round of the workspace
predicted for its pool (--rounds selects some), or those of an exported detector for the images of a folder. Kinds of
drafts, each from some scores on:

    draft   what the oracles browser, labelimg and label_studio show: the best box in each place, whatever its class
    known   what they show where the classes of the images are known: the same, with these classes
    best    as image_label adopts it: the best box of each class that the image is known to show
    all     all boxes of these classes
    zones   of these, the objects; neither ignored regions nor boxes below are drafted

An image that image_label refuses has no draft. The classes of known, best, all and zones are those of the truth; zones
follow from the validation images of the round (for a detector, from --evaluation_dir, as runs/first/evaluation/best).

An edit is a box that is moved, relabelled, added or deleted, as a round books it; a box of the right class that
overlaps its object by --keep_iou stays as it is. Drawing everything is one edit per object. edits.csv has each image,
summary.csv the table that is printed.
"""

import argparse
import collections
import dataclasses
import functools
import pathlib

from tfodhelper import console, errors, sheets
from tfodhelper.active_learning import workspace
from tfodhelper.active_learning.adoption import law
from tfodhelper.active_learning.oracles import build, detections_to_boxes, edits, known_classes
from tfodhelper.active_learning.pool import pool_predictor, predictions
from tfodhelper.active_learning.structures import ADOPTED, Edits, PoolImage, Question
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.prediction import saved_models, sources

DRAFT, KNOWN, BEST, ALL, ZONES = KINDS = ("draft", "known", "best", "all", "zones")
SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LEAST_SCORE = 0.05  # of a prediction, as in rounds
MAX_OVERLAP = 0.5  # of two boxes of a draft, as the oracles have it
EDITS = tuple(field.name for field in dataclasses.fields(Edits))
IMAGE_HEADER = ("model", "draft", "score_from", "image", "objects", *EDITS, "edits")
SUMMARY_HEADER = (
    *("model", "draft", "score_from", "images", "with_draft", *EDITS, "edits_per_image", "drawing_per_image", "saved"),
)


@dataclasses.dataclass(frozen=True)
class Source:
    """Where boxes come from.

    Attributes:
      name: of the model, in the tables.
      questions: function that returns an iterator of `Question`s.
      evaluation_dir: of the model on validation images, or None: there are no zones.
      prediction: settings with which the images were predicted.
      label_map: `LabelMap` of the classes that count.
    """

    name: str
    questions: object
    evaluation_dir: pathlib.Path | None
    prediction: dict
    label_map: object


def main():
    """Counts, writes both files and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", help="whose rounds have predicted their pool")
    parser.add_argument("--rounds", help="their numbers, such as 1,3; default: all")
    parser.add_argument("--saved_model_dir", help="exported detector, instead of a workspace")
    parser.add_argument("--image_dir", help="images for it")
    parser.add_argument("--evaluation_dir", help="its evaluation, for zones")
    parser.add_argument("--truth_dir", required=True)
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--scores", default=",".join(map(str, SCORES)))
    parser.add_argument("--keep_iou", type=float, default=0.75)
    arguments = parser.parse_args()
    if bool(arguments.workspace) == bool(arguments.saved_model_dir and arguments.image_dir):
        parser.error("give either --workspace, or --saved_model_dir and --image_dir")
    scores = [float(text) for text in arguments.scores.split(",")]
    rows = []
    for source in find_sources(arguments):
        rows += count(source, arguments.truth_dir, scores, arguments.keep_iou)
    table = summarize(rows)
    folder = pathlib.Path(arguments.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    sheets.write_csv(folder / "edits.csv", IMAGE_HEADER, [row[:-1] for row in rows])
    sheets.write_csv(folder / "summary.csv", SUMMARY_HEADER, table)
    print_summary(table)


def find_sources(arguments):
    """The `Source`s that the arguments name.

    Raises:
      DatasetError: no round has predicted its pool.
    """
    if not arguments.workspace:
        return [_source_of_model(arguments)]
    space = workspace.Workspace(arguments.workspace)
    numbers = set(map(int, arguments.rounds.split(","))) if arguments.rounds else None
    wanted = [
        round_ for round_ in space.rounds() if round_.has("predict") and (numbers is None or round_.number in numbers)
    ]
    if not wanted:
        raise errors.DatasetError(
            f"{space.folder}: no such round has predicted its pool",
            expected="a round that is trained" if numbers is None else f"rounds {arguments.rounds}",
            fix="continue it with `tfodhelper active round --until=predict`",
        )
    label_map = label_maps.read_label_map(space.label_map)
    return [
        Source(
            f"round {round_.number}",
            functools.partial(_questions_of_round, space, round_),
            round_.evaluation_dir,
            round_.settings["prediction"],
            label_map,
        )
        for round_ in wanted
    ]


def _questions_of_round(space, round_):
    images = space.pool()
    for prediction in predictions.read_predictions(round_.predictions_dir):
        yield Question(next(image for image in images if image.name == prediction.name), prediction)


def _source_of_model(arguments):
    model = saved_models.find_model(arguments.saved_model_dir)
    label_map = saved_models.find_label_map(model)
    if label_map is None:
        raise errors.PredictionError(
            f"{model}: has no label map",
            expected="label_map.pbtxt next to the model",
            fix="put the label map of its training there",
        )
    return Source(
        "detector",
        functools.partial(_questions_of_folder, model, arguments.image_dir),
        pathlib.Path(arguments.evaluation_dir) if arguments.evaluation_dir else None,
        {"score_threshold": LEAST_SCORE},
        label_maps.read_label_map(label_map),
    )


def _questions_of_folder(model, folder):
    skipped = []
    images = [PoolImage(each.name, str(each.path.absolute())) for each in sources.find_images([folder], skipped.append)]
    sources.warn_of_skipped(skipped)
    by_name = {image.name: image for image in images}
    for prediction in pool_predictor.PoolModel(model, score_threshold=LEAST_SCORE).predict(images):
        if isinstance(prediction, predictions.Unreadable):
            console.warn(f"{prediction.path}: {prediction.reason}")
        else:
            yield Question(by_name[prediction.name], prediction)


def count(source, truth_dir, scores, keep_iou):
    """Counts the edits of each image, kind of draft and score.

    Args:
      source: `Source`.
      truth_dir: folder of the truth.
      scores: lowest scores of a box.
      keep_iou: overlap from which a box of the right class is left as it is.

    Returns:
      List of (model, kind, score, image, objects, *counts by kind of edit, edits, whether it has a draft).
    """
    truth = build.build_oracle("simulated", label_map=source.label_map, truth_dir=str(truth_dir))
    drafters = make_drafters(source, scores)
    rows, refused = [], collections.Counter()
    for question in source.questions():
        (answer,) = truth.ask([question])
        if answer.verdict != ADOPTED:
            refused[answer.reason] += 1
            continue
        objects = answer.annotation.boxes
        shown = tuple(sorted({box.name for box in objects}))
        question = dataclasses.replace(question, image=dataclasses.replace(question.image, classes=shown))
        for (kind, score), make_draft in drafters.items():
            boxes = make_draft(question)
            made = edits.compare_boxes(boxes, objects, keep_iou).edits
            number = sum(dataclasses.astuple(made)) - made.kept
            counts = (len(objects), *dataclasses.astuple(made), number)
            rows.append((source.name, kind, score, question.image.name, *counts, bool(boxes)))
    for reason, number in refused.most_common():
        console.warn(f"{source.name}: {number} x {reason}")
    return rows


def make_drafters(source, scores):
    """{(kind, score): function that returns the boxes of a draft for a question}."""
    drafters = {}
    for score in scores:
        drafters[DRAFT, score] = functools.partial(draft_places, score=score)
        drafters[KNOWN, score] = functools.partial(draft_known, score=score, label_map=source.label_map)
    for kind in (BEST, ALL, ZONES):
        if kind == ZONES and source.evaluation_dir is None:
            continue
        for score in scores:
            oracle = build.build_oracle(
                "image_label",
                label_map=source.label_map,
                several_boxes=kind,
                several_classes="found",
                score_threshold=score,
                max_overlap=MAX_OVERLAP,
            )
            law.find_zones(source.evaluation_dir, oracle, source.prediction)
            drafters[kind, score] = functools.partial(draft_adopted, score=score, oracle=oracle)
    return drafters


def draft_places(question, score):
    """The best box in each place."""
    return [box for box, _ in detections_to_boxes.choose_boxes(question.prediction.found, score, MAX_OVERLAP)]


def draft_known(question, score, label_map):
    """The best box in each place, with the known classes."""
    return [box for box, _ in known_classes.choose_draft(question, score, MAX_OVERLAP, label_map)]


def draft_adopted(question, score, oracle):
    """The objects that an oracle would adopt."""
    (answer,) = oracle.ask([question])
    if answer.verdict != ADOPTED:
        return []
    pairs = zip(answer.annotation.boxes, answer.scores)
    return [box for box, own_score in pairs if box.weight > 0 and own_score >= score]


def summarize(rows):
    """The table, see `SUMMARY_HEADER`: a row for each model, kind of draft and score."""
    groups = collections.defaultdict(list)
    for model, kind, score, _, *counts in rows:
        groups[model, kind, score].append(counts)
    table = []
    for key, counts in groups.items():
        objects, *of_kind, number, drafted = (sum(column) for column in zip(*counts))
        images = len(counts)
        saved = 1 - number / objects if objects else None
        table.append((*key, images, drafted, *of_kind, number / images, objects / images, saved))
    return table


def print_summary(table):
    """Prints it."""
    rows = [
        (
            *row[:-3],
            *(f"{value:.2f}" for value in row[-3:-1]),
            "-" if row[-1] is None else f"{row[-1]:.0%}",
        )
        for row in table
    ]
    header = [name.replace("_", " ") for name in SUMMARY_HEADER]
    print(console.format_table(header, rows, numbers=range(2, len(header))))


if __name__ == "__main__":
    main()
