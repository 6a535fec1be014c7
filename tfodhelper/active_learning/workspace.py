"""The workspace of active learning: what the folder contains and how its files are read and written.

    workspace.json     the settings of the rounds, as given to `init`
    label_map.pbtxt    the classes, fixed
    set/               links to the labelled and the validation images, with their XML; adopted images join them
    validation.txt     names of the validation images, fixed
    labelled.csv       the images that were labelled at the start
    pool.csv           the images of the pool, with their known classes
    pool_refused.csv   images that were kept out of the pool, and why
    lineage.csv        where each adopted image came from
    rounds/001/        one folder per round; the oracle's answers are in answers.jsonl and, with --relabel, in
                       relabelled.jsonl

Every file is written atomically. What belongs to a round is in its folder alone, so that the state of the workspace
follows from the finished rounds.
"""

import dataclasses
import pathlib

from tfodhelper import errors, run_layout, sheets, state_files, storage
from tfodhelper.active_learning import answers as answer_files
from tfodhelper.active_learning import standing as standings
from tfodhelper.active_learning.adoption import class_worth, trial
from tfodhelper.active_learning.options import PARTS, PHASES, PoolOptions, RoundOptions
from tfodhelper.active_learning.structures import ADOPTED, Edits, PoolImage
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset.split.split import TRAIN
from tfodhelper.options import rename_former

NAME = "workspace.json"
FORMAT = 1
POOL_HEADER = ("name", "path", "classes")
LABELLED_HEADER = ("name", "path")
REFUSED_HEADER = ("path", "reason")
LINEAGE_HEADER = (
    *("name", "path", "round", "model", "oracle", "boxes", "best_score"),
    *(field.name for field in dataclasses.fields(Edits)),
    "relabelled_in",
)
_FIX = "restore the file from a copy"
_WORKSPACE_FORM = state_files.StateForm(
    "the settings of a workspace", {"settings": dict}, _FIX, format=FORMAT, error=errors.DatasetError
)
_ROUND_FORM = state_files.StateForm(
    "the state of a round",
    {"number": int, "settings": dict, "phases": {str: {"seconds": float}}},
    f"{_FIX}, or remove the folder of the round",
)
_SOMETIMES = {
    "worth": class_worth.SHAPE,
    "held_back": int,
    "trial": trial.SHAPE,
    "continues_with": str,
}  # in round.json
_SETTINGS_FORM = state_files.StateForm(
    "the settings of a workspace",
    {"training": dict, "retrain": str, "prediction": dict, "selection": dict, "oracle": dict, "seed": int},
    _FIX,
)
_WHOLE = ("retrain", "min_box_worth", "trial", "relabel")
_BETWEEN = "|"  # separates classes, as in the study's lists


@dataclasses.dataclass(frozen=True)
class Round:
    """One round's folder and state.

    Attributes:
      folder: rounds/NNN.
      state: the content of round.json: number, settings, phases ({name: {"seconds": ...}} of finished ones), the
        name of the oracle once it was asked; while the round waits for a person, "spent" holds the seconds so far and
        "next_steps" what to type; "reported" is whether the report was written behind the last phase. "worth" is what
        boxes that nobody has looked at are worth (`adoption.class_worth`), "held_back" how many confirmed images were
        not adopted for it. "trial" is how the round did against a model without such boxes (`adoption.trial`), and
        "continues_with" the run folder of the model with which it continues, relative to the workspace, if it lost.
    """

    folder: pathlib.Path
    state: dict

    @property
    def number(self):
        """The number of the round, from 1."""
        return self.state["number"]

    @property
    def settings(self):
        """The settings of this round, as in `Workspace.settings`."""
        return self.state["settings"]

    @property
    def training_dir(self):
        """The run folder of the training."""
        return self.folder / "training"

    @property
    def control_dir(self):
        """The run folder of a training without the images on trial."""
        return self.folder / "control"

    @property
    def run_dir(self):
        """The run folder of the model with which the round continues: its own, unless it lost its trial."""
        other = self.state.get("continues_with")
        return self.training_dir if other is None else self.folder.parent.parent / other

    @property
    def model_dir(self):
        """Folder of the exported model that predicts the pool."""
        return self.run_dir / "export" / "best"

    @property
    def evaluation_dir(self):
        """Folder with what that model found in the validation images."""
        return run_layout.evaluation_of(self.run_dir, "best")

    @property
    def has_lost(self):
        """Whether it lost its trial, so that what the round before did unseen was undone; see `standing`."""
        return self.state.get("trial", {}).get("lost", False)

    @property
    def options(self):
        """`RoundOptions` but for the oracle; with their defaults where an earlier version stored none."""
        return RoundOptions(**{name: self.settings[name] for name in _WHOLE if name in self.settings})

    @property
    def pool_options(self):
        """How its model predicts the pool: arguments of `pool_predictor.predict_pool`."""
        options = PoolOptions(**self.settings["prediction"])
        return {"batch_size": options.batch_size, "score_threshold": options.score_threshold, "views": options.views}

    @property
    def predictions_dir(self):
        """Folder of the model's predictions for the pool."""
        return self.folder / "predictions"

    @property
    def validation_predictions_dir(self):
        """Folder of its predictions for the validation images, where it sees the pool in several views."""
        return self.folder / "validation_predictions"

    @property
    def answers_path(self):
        """Path of the oracle's answers about images of the pool."""
        return self.folder / "answers.jsonl"

    @property
    def relabelled_path(self):
        """Path of the oracle's answers about images that were adopted before; only with --relabel."""
        return self.folder / "relabelled.jsonl"

    @property
    def adopted_predictions_dir(self):
        """Folder of the model's predictions for images that were adopted before; only with --relabel."""
        return self.folder / "adopted_predictions"

    def has(self, phase):
        """Whether a phase is finished."""
        return phase in self.state["phases"]

    @property
    def is_finished(self):
        """Whether all phases are finished."""
        return all(self.has(phase) for phase in PHASES)

    @property
    def is_reported(self):
        """Whether the report was written behind the last phase; earlier versions did not note it."""
        return self.state.get("reported") is not False

    def set_reported(self):
        """Notes that it was, and writes round.json."""
        self.state["reported"] = True
        self.save()

    @property
    def next_phase(self):
        """The first phase that is not finished, or None."""
        return next((phase for phase in PHASES if not self.has(phase)), None)

    def save(self):
        """Writes round.json."""
        storage.write_json(self.folder / "round.json", self.state)

    def finish(self, phase, seconds):
        """Marks a phase as finished and writes round.json."""
        self.state["phases"][phase] = {"seconds": round(seconds, 1)}
        self.save()


class Workspace:
    """A workspace of active learning.

    Args:
      folder: an existing workspace.

    Attributes:
      folder: pathlib.Path.
      settings: plain values, by part: training, retrain, prediction, selection, oracle, seed.

    Raises:
      DatasetError: the folder is not a workspace.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        path = self.folder / NAME
        if not path.is_file():
            raise errors.DatasetError(
                f"{self.folder}: is not a workspace",
                expected=f"a folder with {NAME}",
                received="a folder without it" if self.folder.is_dir() else "no such folder",
                fix="make one with `tfodhelper active init --workspace=FOLDER ...`",
            )
        self.settings = _read_settings(path, state_files.read_state(path, _WORKSPACE_FORM)["settings"])

    @property
    def set_dir(self):
        """The folder that is converted."""
        return self.folder / "set"

    @property
    def label_map(self):
        """Path of the label map."""
        return self.folder / "label_map.pbtxt"

    @property
    def validation_list(self):
        """Path of the list of validation images."""
        return self.folder / "validation.txt"

    def rounds(self):
        """All rounds that have begun, oldest first."""
        rounds = []
        for folder in sorted((self.folder / "rounds").glob("[0-9]*")):
            if (folder / "round.json").is_file():
                path = folder / "round.json"
                state = state_files.read_state(path, _ROUND_FORM)
                keys = {name: shape for name, shape in _SOMETIMES.items() if name in state}
                state_files.check_state(path, state, dataclasses.replace(_ROUND_FORM, keys=keys))
                rounds.append(Round(folder, state | {"settings": _read_settings(path, state["settings"])}))
        return rounds

    def begin_round(self, number, settings):
        """Makes the folder of a round."""
        folder = storage.make_folder(self.folder / "rounds" / f"{number:03d}")
        new = Round(folder, {"number": number, "settings": settings, "phases": {}})
        new.save()
        return new

    def labelled(self):
        """[(name, path)] of the images that were labelled at the start."""
        return [(row["name"], row["path"]) for row in sheets.read_csv(self.folder / "labelled.csv", LABELLED_HEADER)]

    def validation(self):
        """Names of the validation images."""
        return self.validation_list.read_text(encoding="utf-8").splitlines()

    def pool(self):
        """Yields the `PoolImage`s of the initial pool, in its order."""
        for row in sheets.read_csv(self.folder / "pool.csv", POOL_HEADER):
            yield PoolImage(row["name"], row["path"], split_classes(row["classes"]))

    def standing(self, before=None, tried_before=None):
        """What stands of the answers of finished rounds; see `standing.find`."""
        return standings.find(self.rounds(), before, tried_before)

    def adopted(self, before=None, tried_before=None):
        """The images adopted in finished rounds, without those that went back to the pool.

        Args:
          before, tried_before: see `standing.find`.

        Returns:
          {name: number of the round}.
        """
        return {name: image.adopted for name, image in self.standing(before, tried_before).items()}

    def standing_in_training(self, number):
        """What stands when round `number` is trained."""
        return self.standing(number, tried_before=number)

    def standing_in_control(self, number):
        """What stands when the same training is done without what nobody has seen of the round before."""
        return standings.find(self.rounds(), number, tried_before=number, undone=(number - 1,))

    def on_trial(self, number):
        """Names of the images with boxes that nobody has seen that round `number` is the first to learn from."""
        before = self._merged_before(number)
        answered = answer_files.read_answers(before.answers_path) if before else ()
        return {answer.name for answer in answered if answer.verdict == ADOPTED and answer.is_unseen}

    def relabelled(self, number):
        """Names of the images whose boxes were replaced or refused unseen after earlier rounds learned from them.

        Round `number` is the first one that learns from this.
        """
        before = self._merged_before(number)
        answered = standings.read_relabelled(before) if before else ()
        return {answer.name for answer in answered if standings.is_on_trial(answer)}

    def _merged_before(self, number):
        """The round before round `number`, if it has adopted its images; otherwise None."""
        return next((each for each in self.rounds() if each.number == number - 1 and each.has("merge")), None)

    def open_pool(self, before=None):
        """Yields the `PoolImage`s that were not adopted before a round, or went back after its training."""
        adopted = self.adopted(before)
        return (image for image in self.pool() if image.name not in adopted)

    def training_names(self, number):
        """Names of the images that round `number` trains on: the initial ones and those adopted before."""
        return self.names_with(self.standing_in_training(number))

    def names_with(self, adopted):
        """Names of the initial images, and of adopted ones, in the order in which trainings list them."""
        return [*(name for name, _ in self.labelled()), *sorted(adopted)]

    def labelled_names(self, number):
        """Those of `training_names` that did not go back to the pool after the training of that round."""
        return self.names_with(self.standing(number, tried_before=number + 1))

    def write_lineage(self):
        """Rewrites lineage.csv from all finished rounds."""
        paths = {image.name: image.path for image in self.pool()}
        standing = self.standing()
        rows = [
            _lineage(answer, round_, standing[answer.name], paths)
            for answer, round_ in standings.read(self.rounds(), standing)
        ]
        rows.sort(key=lambda row: row[LINEAGE_HEADER.index("round")])
        sheets.write_csv(self.folder / "lineage.csv", LINEAGE_HEADER, rows)


def _lineage(answer, round_, standing, paths):
    scores = [score for score in answer.scores if score is not None]
    edits = dataclasses.astuple(answer.edits) if answer.edits else ("",) * len(dataclasses.fields(Edits))
    best = f"{max(scores):.4f}" if scores else ""
    model = round_.model_dir.relative_to(round_.folder.parent.parent).as_posix()
    boxes = len(answer.annotation.boxes)
    relabelled = round_.number if standing.is_relabelled else ""
    origin = (answer.name, paths[answer.name], standing.adopted, model, round_.state["oracle"])
    return (*origin, boxes, best, *edits, relabelled)


def adopted_records_of(run_dir):
    """The folder beside a training with the records of images that nobody has looked at, where they have a share."""
    return run_dir.with_name(f"{run_dir.name}_adopted")


def count_labelled(training):
    """Counts a round's training images by class.

    Args:
      training: the run folder of a training.

    Returns:
      {class name: number of training images that show it}, for every class of the label map.
    """
    manifest = manifests.read_manifest(training / "data")
    counts = {item["name"]: 0 for item in manifest.classes}
    seen = set()
    table = training / "data" / manifest.files[f"{TRAIN}_csv"]
    for row in sheets.read_csv(table, ("filename", "class"), is_neutralized=False):
        key = (row["filename"], row["class"])
        if key not in seen:
            seen.add(key)
            counts[row["class"]] += 1
    return counts


def join_classes(classes):
    """Class names as one cell: "" for None, a lone separator for no classes at all."""
    return "" if classes is None else _BETWEEN.join(classes) or _BETWEEN


def split_classes(cell):
    """The inverse of `join_classes`."""
    return tuple(name for name in cell.split(_BETWEEN) if name) if cell else None


def _read_settings(path, stored):
    """The settings that a file holds, under the names that their options have today."""
    state_files.check_state(f"{path}, settings", stored, _SETTINGS_FORM)
    return stored | {part: rename_former(kind, stored[part]) for part, kind in PARTS.items() if part in stored}


def write_new(folder, settings):
    """Writes workspace.json, which makes a folder a workspace; the last step of `init`."""
    storage.write_json(pathlib.Path(folder) / NAME, {"format": FORMAT, "settings": settings})
