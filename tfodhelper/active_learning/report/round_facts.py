"""The results of a workspace's rounds, read from their files: the set, precision, answers, label cost, time.

A round's figures describe the model with which it continued and the set that this model learned from: its own, unless
it lost its trial. What the round then adopted is in the set of the next one.
"""

import collections
import dataclasses
import itertools
import pathlib

from tfodhelper import errors, limits, run_layout, sheets
from tfodhelper.active_learning import answers as answer_files
from tfodhelper.active_learning import standing as standings
from tfodhelper.active_learning import workspace
from tfodhelper.active_learning.adoption import class_worth
from tfodhelper.active_learning.adoption import trial as trials
from tfodhelper.active_learning.selection import selection as selections
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, WAITING, Edits
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset.split.split import TRAIN, VALIDATE

MAP = "DetectionBoxes_Precision/mAP"
MAP_50 = ("DetectionBoxes_Precision/mAP@.50IOU", "PascalBoxes_Precision/mAP@0.5IOU")  # the first one that exists
AP_50_OF_CLASS = "PascalBoxes_PerformanceByCategory/AP@0.5IOU/"
NEXT = "next"  # the stage after the last round
PHASES = ("convert", "train", "evaluate", "export", "control", "predict", "select", "ask", "merge", "other")


@dataclasses.dataclass(frozen=True)
class SetCounts:
    """How large a set of labelled images is.

    Attributes:
      images: number of images, including those without objects.
      boxes: number of boxes, without ignored regions of adopted images.
      images_of_class: {class: number of images that show it}, for every class.
      boxes_of_class: {class: number of boxes}, for every class.
    """

    images: int
    boxes: int
    images_of_class: dict
    boxes_of_class: dict

    def share(self, name):
        """The share of images that show a class, 0..1; None for an empty set."""
        return self.images_of_class[name] / self.images if self.images else None

    def __add__(self, other):
        return SetCounts(
            self.images + other.images,
            self.boxes + other.boxes,
            {name: count + other.images_of_class[name] for name, count in self.images_of_class.items()},
            {name: count + other.boxes_of_class[name] for name, count in self.boxes_of_class.items()},
        )


@dataclasses.dataclass(frozen=True)
class RoundFacts:
    """One round in figures; None or empty where the phase has not been reached.

    Attributes:
      number: from 1.
      folder: pathlib.Path of rounds/NNN.
      settings: of the round, as in round.json.
      train: `SetCounts` of what its model learned from, or None.
      validate: `SetCounts` of what its model was measured on, or None.
      step: training step of the model that the round uses, or None.
      map50, map5095: precision of that model on the validation images: mAP at IoU 0.5, and its mean over IoU 0.5:0.95.
      ap50: {class: average precision at IoU 0.5, or None}.
      seconds: {phase of `PHASES`: seconds}, finished phases only.
      selection: `Selection` without its images, or None.
      num_chosen: images that were selected, or None.
      verdicts: {verdict: number of answers}, every verdict.
      reasons: {(verdict, reason): number of answers} that were not adopted, the most frequent first.
      edits: sum of the `Edits` of all answers that have them, or None: nobody was asked to edit.
      num_edited: number of answers that have `Edits`, even if all boxes were kept.
      adopted: `SetCounts` of the adopted images.
      is_merged: whether the adopted images have been added to the set.
      label_seconds: that a person spent on the images, or None: nobody measured it.
      num_timed: number of answers that these seconds were measured for.
      worth: pairs of `adoption.class_worth.ClassWorth` and verdict, of boxes that nobody has looked at.
      least_worth: the share of right boxes that was required, or None.
      held_back: number of images that were confirmed and not adopted.
      trial: `adoption.trial.Trial`, or None.
      relabelled: `Relabelled`, or None: it asked about no image again.
    """

    number: int
    folder: pathlib.Path
    settings: dict
    train: SetCounts | None
    validate: SetCounts | None
    step: int | None
    map50: float | None
    map5095: float | None
    ap50: dict
    seconds: dict
    selection: selections.Selection | None
    num_chosen: int | None
    verdicts: dict
    reasons: dict
    edits: Edits | None
    num_edited: int
    adopted: SetCounts
    is_merged: bool
    label_seconds: float | None = None
    num_timed: int = 0
    worth: tuple = ()
    least_worth: float | None = None
    held_back: int = 0
    trial: trials.Trial | None = None
    relabelled: "Relabelled | None" = None


@dataclasses.dataclass(frozen=True)
class Relabelled:
    """What a round changed in images that were adopted before, unless the next one lost its trial.

    Attributes:
      renewed: number of images with new boxes.
      returned: number of images that went back to the pool.
      change: `SetCounts` of the set afterwards minus those before; may be negative.
    """

    renewed: int
    returned: int
    change: SetCounts


@dataclasses.dataclass(frozen=True)
class Stage:
    """The set at one point in time: "round 3" is what round 3 learned from."""

    label: str
    counts: SetCounts


class ClassNames:
    """The classes of a workspace in the order of their ids, by their display names.

    Args:
      label_map: a `LabelMap`.
    """

    def __init__(self, label_map):
        self.shown = tuple(item.shown_name for item in label_map)
        self.ids = {item.shown_name: item.id for item in label_map}
        self._shown_of = {item.shown_name: item.shown_name for item in label_map}
        self._shown_of |= {item.name: item.shown_name for item in label_map}
        self.by_name = {item.name: item.shown_name for item in label_map}

    def find(self, name):
        """The shown name of a class, whichever of its names a file uses; None if it is not in the label map."""
        return self._shown_of.get(name)

    def counts(self, images, boxes, images_of_class, boxes_of_class):
        """`SetCounts` that include every class."""
        by_class = ({name: count.get(name, 0) for name in self.shown} for count in (images_of_class, boxes_of_class))
        return SetCounts(images, boxes, *by_class)


def read_class_names(workspace_dir):
    """The `ClassNames` of a workspace."""
    return ClassNames(label_maps.read_label_map(workspace.Workspace(workspace_dir).label_map))


def read_rounds(workspace_dir):
    """Reads the results of a workspace's rounds.

    Args:
      workspace_dir: the folder of the workspace; it is only read.

    Returns:
      list of `RoundFacts`, one for each round that has begun, in order.

    Raises:
      DatasetError: the folder is not a workspace.
      StorageError: one of its files cannot be read.
    """
    space = workspace.Workspace(workspace_dir)
    names = ClassNames(label_maps.read_label_map(space.label_map))
    return [_read_round(space, round_, names) for round_ in space.rounds()]


def stages(rounds):
    """How the set grew.

    Args:
      rounds: list of `RoundFacts`.

    Returns:
      list of `Stage`s: what each round learned from, and finally what the next one will learn from, if the last round
      adopted or relabelled images from which no round has learned yet.
    """
    trained = [facts for facts in rounds if facts.train is not None]
    result = [Stage(f"round {facts.number}", facts.train) for facts in trained]
    last = trained[-1] if trained else None
    if last is not None and last.is_merged and (last.adopted.images or last.relabelled):
        counts = last.train + last.adopted
        result.append(Stage(NEXT, counts + last.relabelled.change if last.relabelled else counts))
    return result


def _read_round(space, round_, names):
    run = run_layout.read_state(round_.training_dir) or {}
    is_trained = round_.has("train") or bool(run.get("finished"))
    evaluations = _read_evaluations(round_.training_dir)
    going_on = evaluations if round_.run_dir == round_.training_dir else _read_evaluations(round_.run_dir)
    metrics, step = _best_metrics(going_on) if is_trained else ({}, None)
    ignored = _read_ignored(space, round_) if is_trained else {}
    train, validate = _read_sets(round_.run_dir / "data", names, ignored) if is_trained else (None, None)
    # Images that nobody has looked at may have records of their own, see `adopted_records`.
    own_records = workspace.adopted_records_of(round_.run_dir)
    _, adopted = _read_sets(own_records, names, ignored) if is_trained else (None, None)
    train = train if train is None or adopted is None else train + adopted
    selection, num_chosen = _read_selection(round_)
    return RoundFacts(
        number=round_.number,
        folder=round_.folder,
        settings=round_.settings,
        train=train,
        validate=validate,
        step=step,
        map50=next((metrics[tag] for tag in MAP_50 if metrics.get(tag) is not None), None),
        map5095=metrics.get(MAP),
        ap50={shown: metrics.get(AP_50_OF_CLASS + name) for name, shown in names.by_name.items()},
        seconds=_read_seconds(round_, run, evaluations),
        selection=selection,
        num_chosen=num_chosen,
        is_merged=round_.has("merge"),
        relabelled=_read_relabelled(space, round_, names),
        **_read_answers(round_, names),
        **_read_law(round_.state),
    )


def _read_law(state):
    worth = state.get("worth", {"classes": [], "least": None})
    return {
        "worth": tuple(class_worth.from_facts(worth)),
        "least_worth": worth["least"],
        "held_back": state.get("held_back", 0),
        "trial": trials.from_facts(state["trial"]) if "trial" in state else None,
    }


def _read_evaluations(run):
    path = run_layout.checkpoints_of(run) / "evaluations.jsonl"
    return run_layout.read_evaluations(path) if path.is_file() else []


def _best_metrics(evaluations):
    """({tag: value}, step) of the exported model: the best one, otherwise the last."""
    best = run_layout.best_of(evaluations) or (evaluations[-1] if evaluations else None)
    return (best["metrics"], best["step"]) if best else ({}, None)


def _read_ignored(space, round_):
    """{image: number of its ignored regions by class} of the adopted images that a round learned from."""
    is_control = round_.run_dir == round_.control_dir
    find = space.standing_in_control if is_control else space.standing_in_training
    pairs = standings.read(space.rounds(), find(round_.number))
    boxes = {answer.name: answer.annotation.boxes for answer, _ in pairs}
    return {name: collections.Counter(box.name for box in own if not box.weight) for name, own in boxes.items()}


def _read_sets(folder, names, ignored):
    """`SetCounts` of the training and the validation side of a converted folder; (None, None) if there is none."""
    if not (folder / manifests.NAME).is_file():
        return None, None
    head = _read_manifest_head(folder / manifests.NAME)
    return tuple(
        _count_table(
            folder / head["files"][f"{side}_csv"],
            sum(shard["records"] for shard in head["shards"].get(side, ())),
            names,
            ignored,
        )
        for side in (TRAIN, VALIDATE)
    )


def _read_manifest_head(path):
    """The head of a manifest, before its images, of any version: rounds may be older than this program."""
    with open(path, encoding="utf-8") as file:
        lines = list(itertools.takewhile(lambda line: not line.startswith('  "images":'), file))
    text = "".join(lines).rstrip()
    try:
        head = limits.parse_json(text[:-1] + "}" if text.endswith(",") else text)
        return {key: head[key] for key in ("files", "shards")}
    except (ValueError, KeyError, TypeError) as error:
        raise errors.StorageError(f"{path}: is not a manifest ({type(error).__name__}: {error})") from error


def _count_table(path, num_images, names, ignored):
    """`SetCounts` of a table of boxes, in which the lines of an image are consecutive, without ignored regions."""
    images_of_class, boxes_of_class = collections.Counter(), collections.Counter()
    last, seen, left_out = None, set(), collections.Counter()
    for row in sheets.read_csv(path, ("filename", "class"), is_neutralized=False):
        if row["filename"] != last:
            last, seen = row["filename"], set()
            left_out = collections.Counter(ignored.get(last))
        name = names.find(row["class"])
        if name is None:
            continue
        if left_out[row["class"]]:  # which of the boxes of a class it is does not matter for their number
            left_out[row["class"]] -= 1
            continue
        boxes_of_class[name] += 1
        images_of_class[name] += name not in seen
        seen.add(name)
    return names.counts(num_images, sum(boxes_of_class.values()), images_of_class, boxes_of_class)


def _read_seconds(round_, run, evaluations):
    """{phase: seconds}; time of a round's training outside the phases of its run is "other"."""
    phases = {name: phase["seconds"] for name, phase in round_.state["phases"].items()}
    whole = phases.pop("train", None)
    parts = {name: phase["seconds"] for name, phase in run.get("phases", {}).items()}
    seconds = {name: parts[name] for name in ("convert", "train", "export") if name in parts}
    if "train" in seconds:
        evaluating = min(sum(record.get("seconds", 0.0) for record in evaluations), seconds["train"])
        seconds |= {"train": seconds["train"] - evaluating, "evaluate": evaluating}
    control = (run_layout.read_state(round_.control_dir) or {}).get("phases", {})
    if control:
        seconds["control"] = sum(phase["seconds"] for phase in control.values())
    if whole is not None:
        known = sum(parts[name] for name in parts if name != "config") + seconds.get("control", 0.0)
        seconds["other"] = max(0.0, whole - known)
    seconds |= phases
    return {name: round(seconds[name], 1) for name in PHASES if name in seconds}


def _read_selection(round_):
    """(`Selection` without its images, number of chosen images), or (None, None)."""
    if not (round_.folder / selections.SELECTION_FILE).is_file():
        return None, None
    selection = selections.read_selection(round_.folder)
    return dataclasses.replace(selection, chosen=(), random=()), len(selection.chosen)


def _read_answers(round_, names):
    verdicts, reasons = dict.fromkeys((ADOPTED, REFUSED, WAITING), 0), collections.Counter()
    images_of_class, boxes_of_class = collections.Counter(), collections.Counter()
    edits, num_edited, seconds = None, 0, []
    for answer in answer_files.read_answers(round_.answers_path) if round_.answers_path.is_file() else ():
        verdicts[answer.verdict] += 1
        if answer.edits is not None:
            edits, num_edited = (edits or Edits()) + answer.edits, num_edited + 1
        if answer.seconds is not None:
            seconds.append(answer.seconds)
        if answer.verdict != ADOPTED:
            reasons[answer.verdict, answer.reason] += 1
            continue
        objects = (box for box in answer.annotation.boxes if box.weight)
        shown = [name for box in objects if (name := names.find(box.name)) is not None]
        boxes_of_class.update(shown)
        images_of_class.update(set(shown))
    adopted = names.counts(verdicts[ADOPTED], sum(boxes_of_class.values()), images_of_class, boxes_of_class)
    return {
        "verdicts": verdicts,
        "reasons": dict(reasons.most_common()),
        "edits": edits,
        "num_edited": num_edited,
        "label_seconds": sum(seconds) if seconds else None,
        "num_timed": len(seconds),
        "adopted": adopted,
    }


def _read_relabelled(space, round_, names):
    changes = {answer.name: answer for answer in standings.read_relabelled(round_)}
    if not changes:
        return None
    standing = space.standing(round_.number)
    former = {name: image for name, image in standing.items() if name in changes}
    images_of_class, boxes_of_class = collections.Counter(), collections.Counter()
    signs = [(-1, answer) for answer, _ in standings.read(space.rounds(), former)]
    signs += [(1, answer) for answer in changes.values() if answer.verdict == ADOPTED]
    for sign, answer in signs:
        objects = (box for box in answer.annotation.boxes if box.weight)
        for name, count in collections.Counter(names.find(box.name) for box in objects).items():
            boxes_of_class[name] += sign * count
            images_of_class[name] += sign
    renewed = sum(sign > 0 for sign, _ in signs)
    returned = len(changes) - renewed
    boxes = sum(count for name, count in boxes_of_class.items() if name is not None)
    return Relabelled(renewed, returned, names.counts(-returned, boxes, images_of_class, boxes_of_class))
