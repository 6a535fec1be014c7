"""A converted folder: what is in it, when it is whole, and what a start on it may do.

The folder is marked as unfinished before the first file appears and the manifest is written last, so that a start after
a kill begins again, a start with the same input finds the work done, and nothing that is whole is ever overwritten.
"""

import dataclasses
import pathlib
import re
import shutil

from tfodhelper import console, errors, storage
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset.split.split import SPLITS, TEST, TRAIN, VALIDATE

UNFINISHED = ".unfinished"  # the mark of a folder that is being written
LABEL_MAP = "label_map.pbtxt"
LOG = "process.log"
PARTS = ".parts"  # of a conversion that several jobs share
NOTES = ".inputs.jsonl"  # what was known of each input file: saves a later start from reading what has not changed
_OWN_FILE = re.compile(
    r"(train|validate|test)\.record-\d{5}-of-\d{5}|(train|validate|test)\.csv|label_map\.pbtxt|manifest\.json"
    r"|\.inputs\.jsonl"
)
_OWN_TEMPORARY = re.compile(rf"\.({_OWN_FILE.pattern})\.(\d+\.)?tmp")


@dataclasses.dataclass(frozen=True)
class ConvertResult:
    """What `convert` made, or found made.

    Attributes:
      output_dir: the folder.
      train_shards, validate_shards: paths of the record files.
      train_pattern, validate_pattern, test_pattern: patterns that fit the record files, for the input readers; None
        when there are none.
      train_csv, validate_csv, label_map_path, manifest_path: paths.
      label_map: the `LabelMap`.
      counts: {class name: (boxes in training, boxes in validation)}.
      num_train, num_validate, num_test: numbers of images.
      num_left_out: number of images and annotation files left out.
      reused: whether the folder was whole already.
    """

    output_dir: pathlib.Path
    train_shards: tuple[pathlib.Path, ...]
    validate_shards: tuple[pathlib.Path, ...]
    train_pattern: str | None
    validate_pattern: str | None
    train_csv: pathlib.Path
    validate_csv: pathlib.Path
    label_map_path: pathlib.Path
    manifest_path: pathlib.Path
    label_map: label_maps.LabelMap
    counts: dict[str, tuple[int, int]]
    num_train: int
    num_validate: int
    num_left_out: int
    num_test: int = 0
    test_pattern: str | None = None
    reused: bool = False

    @property
    def num_classes(self):
        """The largest id of the label map."""
        return self.label_map.num_classes


def read_result(folder, reused=True, manifest=None):
    """The `ConvertResult` of a folder that was converted before.

    Args:
      folder: the folder.
      reused: whether it was whole already.
      manifest: its `Manifest`, where it is at hand.

    Raises:
      DatasetError: it is none, or a file in it is missing or changed.
    """
    folder = pathlib.Path(folder)
    manifest = manifest or manifests.read_manifest(folder)
    manifests.check_files(folder, manifest)
    shards = {side: tuple(folder / name for name in manifest.shard_names(side)) for side in SPLITS}
    patterns = {side: manifest.record_pattern(side) for side in SPLITS}
    return ConvertResult(
        output_dir=folder,
        train_shards=shards[TRAIN],
        validate_shards=shards[VALIDATE],
        train_pattern=str(folder / patterns[TRAIN]) if patterns[TRAIN] else None,
        validate_pattern=str(folder / patterns[VALIDATE]) if patterns[VALIDATE] else None,
        train_csv=folder / manifest.files["train_csv"],
        validate_csv=folder / manifest.files["validate_csv"],
        label_map_path=folder / manifest.files["label_map"],
        manifest_path=folder / manifests.NAME,
        label_map=label_maps.read_label_map(folder / manifest.files["label_map"]),
        counts={entry["name"]: (entry[TRAIN], entry[VALIDATE]) for entry in manifest.classes},
        num_train=manifest.num_train,
        num_validate=manifest.num_validate,
        num_left_out=len(manifest.left_out),
        num_test=manifest.count_images(TEST),
        test_pattern=str(folder / patterns[TEST]) if patterns[TEST] else None,
        reused=reused,
    )


def begin(folder):
    """Marks a folder as unfinished and removes what an earlier, killed start left in it.

    Raises:
      DatasetError: it holds files of these names that no unfinished start can have left; they are not touched.
    """
    own = list_own(folder)
    if own and not (folder / UNFINISHED).exists():
        raise errors.DatasetError(
            f"{folder}: holds {own[0].name}, which this program did not leave unfinished",
            expected="an empty folder, or one that `convert` made",
            fix="name another folder with --output_dir",
        )
    leftovers = own + [entry for entry in folder.iterdir() if _OWN_TEMPORARY.fullmatch(entry.name)]
    if leftovers:
        console.say(f"{folder}: an earlier start was stopped before its end; it is done again")
    try:
        for entry in leftovers:
            entry.unlink()
        shutil.rmtree(folder / PARTS, ignore_errors=True)
        storage.write_text(folder / UNFINISHED, "being converted; removed at the end\n")
    except OSError as error:
        raise storage.explain_os_error(error, folder) from error


def list_own(folder):
    """Paths of the files in a folder that have the names of a conversion's result, sorted."""
    return [entry for entry in sorted(folder.iterdir()) if _OWN_FILE.fullmatch(entry.name)]


def finish(folder):
    """Takes the mark away; the manifest has to be there."""
    (folder / UNFINISHED).unlink(missing_ok=True)
