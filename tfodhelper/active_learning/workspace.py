"""The folder of an active learning: what it holds and how its files are read and written.

    workspace.json     how rounds are made, as `init` was told
    label_map.pbtxt    the classes, fixed
    set/               links to the labelled and the validation images, with their XML; adopted images join them
    validation.txt     names of the validation images, fixed
    labelled.csv       the images that were labelled at the start
    pool.csv           the images of the pool, with the classes that are known of them
    pool_refused.csv   images that were kept out of the pool, and why
    lineage.csv        where each adopted image came from
    rounds/001/        one folder a round

Every file is written whole. What belongs to a round stands in its folder alone, so that the state of the workspace
follows from the rounds that are finished.
"""

import csv
import dataclasses
import pathlib

from tfodhelper import errors, storage
from tfodhelper.active_learning import answers as answer_files
from tfodhelper.active_learning.options import PARTS, PHASES
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
)
_BETWEEN = "|"  # of classes, as in the study's lists


@dataclasses.dataclass(frozen=True)
class Round:
    """One round's folder and state.

    Attributes:
      folder: rounds/NNN.
      state: the content of round.json: number, settings, phases ({name: {"seconds": ...}} of finished ones), the
        name of the oracle once it was asked; while a person is waited for, in "spent" the seconds so far and in
        "next_steps" what to type.
    """

    folder: pathlib.Path
    state: dict

    @property
    def number(self):
        """From 1."""
        return self.state["number"]

    @property
    def settings(self):
        """How this round is made: as `Workspace.settings`."""
        return self.state["settings"]

    @property
    def training(self):
        """The run folder of its training."""
        return self.folder / "training"

    @property
    def model(self):
        """The exported model that predicts the pool."""
        return self.training / "export" / "best"

    @property
    def predictions(self):
        """Folder of what the model says of the pool."""
        return self.folder / "predictions"

    @property
    def answers(self):
        """What the oracle said."""
        return self.folder / "answers.jsonl"

    def has(self, phase):
        """Whether a phase is finished."""
        return phase in self.state["phases"]

    @property
    def is_finished(self):
        """Whether all phases are."""
        return all(self.has(phase) for phase in PHASES)

    @property
    def next_phase(self):
        """The first phase that is not finished, or None."""
        return next((phase for phase in PHASES if not self.has(phase)), None)

    def save(self):
        """Writes round.json."""
        storage.write_json(self.folder / "round.json", self.state)

    def finish(self, phase, seconds):
        """Marks a phase as finished and writes it down."""
        self.state["phases"][phase] = {"seconds": round(seconds, 1)}
        self.save()


class Workspace:
    """The folder of an active learning.

    Args:
      folder: an existing workspace.

    Attributes:
      folder: pathlib.Path.
      settings: plain values, by part: training, retrain, prediction, selection, oracle, seed.

    Raises:
      DatasetError: it is none.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        path = self.folder / NAME
        if not path.is_file():
            raise errors.DatasetError(
                f"{self.folder}: is no workspace",
                expected=f"a folder with {NAME}",
                received="a folder without it" if self.folder.is_dir() else "no such folder",
                fix="tfodhelper active init --workspace=FOLDER ... makes one",
            )
        value = storage.read_json(path)
        if value.get("format") != FORMAT:
            raise errors.DatasetError(
                f"{path}: is of another version", expected=f"format {FORMAT}", received=value.get("format")
            )
        self.settings = _read_settings(value["settings"])

    @property
    def set_dir(self):
        """The tree that is converted."""
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
        found = []
        for folder in sorted((self.folder / "rounds").glob("[0-9]*")):
            if (folder / "round.json").is_file():
                state = storage.read_json(folder / "round.json")
                found.append(Round(folder, state | {"settings": _read_settings(state["settings"])}))
        return found

    def begin_round(self, number, settings):
        """Makes the folder of a round."""
        folder = storage.make_folder(self.folder / "rounds" / f"{number:03d}")
        new = Round(folder, {"number": number, "settings": settings, "phases": {}})
        new.save()
        return new

    def labelled(self):
        """[(name, path)] of the images that were labelled at the start."""
        return [(row["name"], row["path"]) for row in read_rows(self.folder / "labelled.csv")]

    def validation(self):
        """Names of the validation images."""
        return self.validation_list.read_text(encoding="utf-8").splitlines()

    def pool(self):
        """Yields the `PoolImage`s of the start, in the order of the pool."""
        for row in read_rows(self.folder / "pool.csv"):
            yield PoolImage(row["name"], row["path"], split_classes(row["classes"]))

    def adopted(self, before=None):
        """{name: number of the round} of the images adopted in finished rounds, those before a round only."""
        found = {}
        for one in self.rounds():
            if one.has("merge") and (before is None or one.number < before):
                for answer in answer_files.read_answers(one.answers):
                    if answer.verdict == ADOPTED:
                        found[answer.name] = one.number
        return found

    def open_pool(self, before=None):
        """Yields the `PoolImage`s that were not adopted before a round."""
        adopted = self.adopted(before)
        return (image for image in self.pool() if image.name not in adopted)

    def training_names(self, number):
        """Names of the images that round `number` trains on: the start's and those adopted before."""
        return [*(name for name, _ in self.labelled()), *sorted(self.adopted(before=number))]

    def write_lineage(self):
        """Writes lineage.csv anew from all finished rounds."""
        paths = {image.name: image.path for image in self.pool()}
        rows = []
        for one in self.rounds():
            if one.has("merge"):
                rows += [_lineage(answer, one, paths) for answer in answer_files.read_answers(one.answers)]
        write_rows(self.folder / "lineage.csv", LINEAGE_HEADER, [row for row in rows if row])


def _lineage(answer, one, paths):
    if answer.verdict != ADOPTED:
        return None
    scores = [score for score in answer.scores if score is not None]
    edits = dataclasses.astuple(answer.edits) if answer.edits else ("",) * len(dataclasses.fields(Edits))
    best = f"{max(scores):.4f}" if scores else ""
    model = one.model.relative_to(one.folder.parent.parent).as_posix()
    boxes = len(answer.annotation.boxes)
    return (answer.name, paths[answer.name], one.number, model, one.state["oracle"], boxes, best, *edits)


def count_labelled(training):
    """What a round trains on, by class.

    Args:
      training: the run folder of a training.

    Returns:
      {class name: number of training images that show it}, for every class of the label map.
    """
    manifest = manifests.read_manifest(training / "data")
    counts = {item["name"]: 0 for item in manifest.classes}
    seen = set()
    for row in read_rows(training / "data" / manifest.files[f"{TRAIN}_csv"]):
        key = (row["filename"], row["class"])
        if key not in seen:
            seen.add(key)
            counts[row["class"]] += 1
    return counts


def join_classes(classes):
    """Class names as one cell: "" for None, a lone separator for none at all."""
    return "" if classes is None else _BETWEEN.join(classes) or _BETWEEN


def split_classes(cell):
    """The inverse of `join_classes`."""
    return tuple(name for name in cell.split(_BETWEEN) if name) if cell else None


def write_rows(path, header, rows):
    """Writes a CSV file whole."""
    with storage.open_whole(path) as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(header)
        lines.writerows(rows)


def read_rows(path):
    """Yields the rows of a CSV file as dicts."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)
    except OSError as error:
        raise errors.StorageError(f"{path}: cannot be read ({error.strerror})") from error


def _read_settings(stored):
    """Stored settings, under the names that their options have today."""
    return stored | {part: rename_former(kind, stored[part]) for part, kind in PARTS.items() if part in stored}


def write_new(folder, settings):
    """Writes workspace.json, which makes a folder a workspace; the last step of `init`."""
    storage.write_json(pathlib.Path(folder) / NAME, {"format": FORMAT, "settings": settings})
