"""A converted folder: its content, when it is complete, and what a run on it may do.

The folder is marked as unfinished before the first file is written, and the manifest is written last. Therefore a run
after a killed one starts over, a run with the same input finds the work done, and complete results are never
overwritten.
"""

import dataclasses
import pathlib
import re
import shutil

from tfodhelper import console, errors, storage
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset.split.split import SPLITS, TEST, TRAIN, VALIDATE
from tfodhelper.records import integrity

UNFINISHED = ".unfinished"  # the mark of a folder that is being written
LABEL_MAP = "label_map.pbtxt"
LOG = "process.log"
PARTS = ".parts"  # of a conversion that is shared by several jobs
NOTES = ".inputs.jsonl"  # facts about each input file, so that later runs need not read unchanged files
_OWN_FILE = re.compile(
    r"(train|validate|test)\.record-\d{5}-of-\d{5}|(train|validate|test)\.csv|label_map\.pbtxt|manifest\.json"
    r"|\.inputs\.jsonl"
)
_OWN_TEMPORARY = re.compile(rf"\.({_OWN_FILE.pattern})\.(\d+\.)?tmp")


@dataclasses.dataclass(frozen=True)
class ConvertResult:
    """The result of `convert`, made now or before.

    Attributes:
      output_dir: the folder.
      train_shards, validate_shards: paths of the record files.
      train_pattern, validate_pattern, test_pattern: patterns that match the record files, for the input readers; None
        if there are none.
      train_csv, validate_csv, label_map_path, manifest_path: paths.
      label_map: the `LabelMap`.
      counts: {class name: (boxes in training, boxes in validation)}.
      num_train, num_validate, num_test: numbers of images.
      num_left_out: number of images and annotation files left out.
      reused: whether the folder was already complete.
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
    def num_classes(self) -> int:
        """The largest id of the label map."""
        return self.label_map.num_classes


def read_result(folder, reused=True, manifest=None):
    """The `ConvertResult` of a folder that was converted before.

    Args:
      folder: the folder.
      reused: whether it was already complete.
      manifest: its `Manifest`, if it has already been read.

    Raises:
      DatasetError: it is not a converted folder, or a file in it is missing or changed.
    """
    folder = pathlib.Path(folder)
    manifest = manifest or manifests.read_manifest(folder)
    integrity.check_folder(folder, manifest, is_fresh=not reused)
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
    """Marks a folder as unfinished and removes what a previous, killed run left in it.

    Raises:
      DatasetError: it contains files with these names that are not from an unfinished run; they are not touched.
    """
    own = list_own(folder)
    if own and not (folder / UNFINISHED).exists():
        raise errors.DatasetError(
            f"{folder}: contains {own[0].name}, which is not from an unfinished conversion",
            expected="an empty folder, or one made by `convert`",
            fix="use another folder for --output_dir",
        )
    leftovers = own + [entry for entry in folder.iterdir() if _OWN_TEMPORARY.fullmatch(entry.name)]
    if leftovers:
        console.say(f"{folder}: a previous conversion was stopped before it finished; it starts over")
    try:
        for entry in leftovers:
            entry.unlink()
        shutil.rmtree(folder / PARTS, ignore_errors=True)
        storage.write_text(folder / UNFINISHED, "being converted; removed at the end\n")
    except OSError as error:
        raise storage.explain_os_error(error, folder) from error


def list_own(folder):
    """Paths of the files in a folder that are named like results of a conversion, sorted."""
    return [entry for entry in sorted(folder.iterdir()) if _OWN_FILE.fullmatch(entry.name)]


def finish(folder):
    """Removes the mark; the manifest must exist."""
    (folder / UNFINISHED).unlink(missing_ok=True)
