"""Images and LabelImg XML to sharded records, lists, label map and manifest: what the verb `convert` does.

The folder is marked as unfinished before the first file appears and the manifest is written last, so that a start after
a kill begins again, a start with the same input finds the work done, and nothing that is whole is ever overwritten.
"""

import csv
import dataclasses
import io
import os
import pathlib
import random
import re
import shutil

from tfodhelper import console, errors, storage
from tfodhelper.annotations import checks, findings, labelimg
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import duplicates, examine, index, split, statistics
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset.split import SPLITS, TRAIN, VALIDATE

UNFINISHED = ".unfinished"  # the mark of a folder that is being written
LABEL_MAP = "label_map.pbtxt"
LOG = "process.log"
CSV_HEADER = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")
_RECORD_OVERHEAD = 1.02  # records are a little larger than their images
_OWN_FILE = re.compile(r"(train|validate)\.record-\d{5}-of-\d{5}|(train|validate)\.csv|label_map\.pbtxt|manifest\.json")
_OWN_TEMPORARY = re.compile(rf"\.({_OWN_FILE.pattern})\.(\d+\.)?tmp")
_SHOWN_FINDINGS = 20


@dataclasses.dataclass(frozen=True)
class ConvertOptions:
    """All that `convert` is told.

    Attributes:
      output_dir: where the result goes.
      data_dir, image_dir, annotation_dir: where the input lies; see `index.make_source`.
      train_list, val_list: lists of images instead of a drawn split, or None.
      label_map: path of a label map, or None to make one from the classes met.
      val_fraction: share of validation of a drawn split.
      seed: of the split and of the order of the training records.
      strict: whether each fixed or left out image is an error.
      num_shards: of training; 0 leaves it to the program. Validation gets its share of them.
      swap_inverted, drop_unknown_classes: see `checks.CheckOptions`.
    """

    output_dir: str | os.PathLike
    data_dir: str | os.PathLike | None = None
    image_dir: str | os.PathLike | None = None
    annotation_dir: str | os.PathLike | None = None
    train_list: str | os.PathLike | None = None
    val_list: str | os.PathLike | None = None
    label_map: str | os.PathLike | None = None
    val_fraction: float = 0.2
    seed: int = 0
    strict: bool = False
    num_shards: int = 0
    swap_inverted: bool = False
    drop_unknown_classes: bool = False

    def check_options(self):
        """The part that the checks need."""
        return checks.CheckOptions(self.swap_inverted, self.drop_unknown_classes)

    def identity(self):
        """What the result depends on besides the images and annotations, as plain values."""
        lists = {name: getattr(self, name) for name in ("train_list", "val_list", "label_map")}
        digests = {name: storage.sha256_of(path) if path else None for name, path in lists.items()}
        names = ("val_fraction", "seed", "strict", "num_shards", "swap_inverted", "drop_unknown_classes")
        return {name: getattr(self, name) for name in names} | {f"{k}_sha256": v for k, v in digests.items()}


@dataclasses.dataclass(frozen=True)
class ConvertResult:
    """What `convert` made, or found made.

    Attributes:
      output_dir: the folder.
      train_shards, validate_shards: paths of the record files.
      train_pattern, validate_pattern: patterns that fit them, for the input readers; None when there are none.
      train_csv, validate_csv, label_map_path, manifest_path: paths.
      label_map: the `LabelMap`.
      counts: {class name: (boxes in training, boxes in validation)}.
      num_train, num_validate: numbers of images.
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
    reused: bool = False

    @property
    def num_classes(self):
        """The largest id of the label map."""
        return self.label_map.num_classes


def convert(options):
    """Converts a set of annotated images.

    Args:
      options: a `ConvertOptions`.

    Returns:
      A `ConvertResult`.

    Raises:
      UsageError, DatasetError, AnnotationError: an input that cannot be used.
      StorageError: a full disk, a folder that cannot be written or that another process holds.
    """
    if not 0 <= options.val_fraction < 1:
        raise errors.UsageError(
            "--val_fraction cannot be that", expected="at least 0 and less than 1", received=options.val_fraction
        )
    source = index.make_source(options.data_dir, options.image_dir, options.annotation_dir)
    label_map = label_maps.read_label_map(options.label_map) if options.label_map else None
    for path in (options.train_list, options.val_list):
        if path:
            split.read_list(path)
    folder = storage.make_folder(options.output_dir)
    with storage.hold(folder), console.process_log(folder / LOG):
        if (folder / manifests.NAME).exists():
            return _reuse(folder, source, options)
        _begin(folder)
        with console.phase("convert"):
            result = _convert(folder, source, label_map, options)
        (folder / UNFINISHED).unlink()
        return result


def read_result(folder, reused=True):
    """The `ConvertResult` of a folder that was converted before.

    Raises:
      DatasetError: it is none, or a file in it is missing or changed.
    """
    folder = pathlib.Path(folder)
    manifest = manifests.read_manifest(folder)
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
        reused=reused,
    )


def _reuse(folder, source, options):
    """A second start on a whole folder: the same input is said to be done, another one is refused."""
    manifest = manifests.read_manifest(folder)
    given = options.identity()
    differing = [name for name in given if manifest.options.get(name) != given[name]]
    if differing:
        what = ", ".join(f"--{name.removesuffix('_sha256')}" for name in differing)
        received = ", ".join(f"{name} {given[name]} (was {manifest.options.get(name)})" for name in differing)
        raise _other_work(folder, f"options differ: {what}", received)
    if examine.fingerprint_of(source) != manifest.fingerprint:
        raise _other_work(
            folder, "the images or annotation files differ", f"the files of {source.image_dir} as they are"
        )
    result = read_result(folder)
    (folder / UNFINISHED).unlink(missing_ok=True)
    console.say(f"{folder}: converted before from the same files with the same options; it is used as it is")
    return result


def _other_work(folder, why, received):
    return errors.DatasetError(
        f"{folder}: holds the result of another conversion ({why})",
        expected="the same files and options as then, or an empty folder",
        received=received,
        way_out="name another folder with --output_dir, or remove this one",
    )


def _begin(folder):
    """Marks the folder as unfinished; what an earlier, killed start left is removed, files of others are not touched."""
    own = [entry for entry in sorted(folder.iterdir()) if _OWN_FILE.fullmatch(entry.name)]
    if own and not (folder / UNFINISHED).exists():
        raise errors.DatasetError(
            f"{folder}: holds {own[0].name}, which this program did not leave unfinished",
            expected="an empty folder, or one that `convert` made",
            way_out="name another folder with --output_dir",
        )
    leftovers = own + [entry for entry in folder.iterdir() if _OWN_TEMPORARY.fullmatch(entry.name)]
    if leftovers:
        console.say(f"{folder}: an earlier start was stopped before its end; it is done again")
    try:
        for entry in leftovers:
            entry.unlink()
        storage.write_text(folder / UNFINISHED, "being converted; removed at the end\n")
    except OSError as error:
        raise storage.explain_os_error(error, folder) from error


def _convert(folder, source, label_map, options):
    examination = examine.examine(source, label_map, options.check_options())
    _say_findings(examination.findings)
    if options.strict:
        examine.check_strict(examination.findings)
    examine.check_usable(examination)
    label_map = label_map or _make_label_map(examination)
    sides, notes = _split(examination, options)
    annotations = {image.name: image.annotation for image in examination.images}
    counted = statistics.count(annotations, sides)
    notes += statistics.find_missing_classes(label_map, counted)
    notes += [
        findings.Finding("label-map-gap", str(options.label_map), f"no class has the id {id}")
        for id in label_map.gaps[:1]
    ]
    _say_findings(notes)
    if options.strict:
        examine.check_strict(notes)
    _refuse(notes)
    _check_sides(counted, options)
    written = _write(folder, examination, sides, label_map, options)
    every = [*examination.findings, *notes]
    manifest = _make_manifest(examination, every, sides, label_map, counted, options, *written)
    manifests.write_manifest(folder, manifest)
    _say_summary(manifest, label_map, counted, every)
    return read_result(folder, reused=False)


def _make_label_map(examination):
    counts = examination.count_boxes()
    if not counts:
        raise errors.DatasetError(
            f"{examination.source.annotation_dir}: no image has a box, so there is no class to learn",
            expected="objects in the annotation files",
            received=f"{len(examination.images)} images without objects",
            way_out="label objects",
        )
    return label_maps.make_label_map(counts)


def _split(examination, options):
    """Returns {image name: side} and findings."""
    if options.train_list or options.val_list:
        names = [image.name for image in examination.images]
        sides, notes = split.split_by_lists(names, options.train_list, options.val_list)
        rest = [name for name in names if name not in sides]
        notes += [findings.Finding("not-listed", name, "is in neither list") for name in rest]
        return sides, notes + duplicates.find_leaks(examination.images, sides)
    cards = [
        split.SplitImage(image.name, image.facts.sha256, frozenset(box.name for box in image.annotation.boxes))
        for image in examination.images
    ]
    return split.split_images(cards, options.val_fraction, options.seed), []


def _refuse(notes):
    """Stops on a class that cannot be trained."""
    refused = [finding for finding in notes if finding.action == findings.REFUSED]
    if refused:
        names = ", ".join(repr(finding.file) for finding in refused[:10]) + (", ..." if len(refused) > 10 else "")
        raise errors.DatasetError(
            f"{len(refused)} classes have no box to train on: {names}",
            expected="at least one training image with a box of each class of the label map",
            received=f"{refused[0].file}: {refused[0].received}",
            way_out="label images of them, or take them out of the label map given with --label_map",
        )


def _check_sides(counted, options):
    if not counted.images[TRAIN]:
        raise errors.DatasetError("no image is left to train on", way_out="look at --train_list and --val_list")
    if not counted.images[VALIDATE]:
        given = "--val_list" if options.val_list or options.train_list else f"--val_fraction={options.val_fraction}"
        console.warn(f"no image is left to validate on ({given}): precision cannot be measured")


def _write(folder, examination, sides, label_map, options):
    """Writes records, lists and label map; returns ({side: shards}, {image: digest}, {image: source id})."""
    ids = {image.name: number for number, image in enumerate(examination.images, start=1)}
    by_side = {side: [image for image in examination.images if sides.get(image.name) == side] for side in SPLITS}
    random.Random(options.seed).shuffle(by_side[TRAIN])
    _check_space(folder, sum(image.facts.num_bytes for images in by_side.values() for image in images))
    # TensorFlow takes seconds to import: input that cannot be used has been refused by now.
    from tfodhelper.records import writer

    shards, digests = {}, {}
    total = sum(map(len, by_side.values()))
    with console.Progress("records written", total) as progress:
        for side in SPLITS:
            items = [writer.RecordItem(image, ids[image.name]) for image in by_side[side]]
            num_bytes = sum(image.facts.num_bytes for image in by_side[side])
            wanted = options.num_shards
            if wanted and side == VALIDATE and items:
                wanted = max(1, round(wanted * len(items) / total))
            least = writer.DEFAULT_TRAIN_SHARDS if side == TRAIN else 1
            number = writer.choose_num_shards(len(items), num_bytes, wanted, least)
            shards[side], more = writer.write_shards(folder, side, items, number, label_map, progress)
            digests |= more
    for side in SPLITS:
        _write_csv(folder / f"{side}.csv", [i for i in examination.images if sides.get(i.name) == side], label_map)
    label_maps.write_label_map(folder / LABEL_MAP, label_map)
    return shards, digests, ids


def _check_space(folder, num_bytes):
    needed, free = int(num_bytes * _RECORD_OVERHEAD), shutil.disk_usage(folder).free
    if free < needed:
        raise errors.StorageError(
            f"{folder}: the disk has not enough space",
            expected=f"{needed / 2**20:.0f} MB for the records",
            received=f"{free / 2**20:.0f} MB free",
            way_out="free some space, or name a folder on another disk with --output_dir",
        )


def _write_csv(path, images, label_map):
    """One line a box, in pixels of the encoded image."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(CSV_HEADER)
    for image in images:
        size = (image.annotation.width, image.annotation.height)
        for box in image.annotation.boxes:
            corners = [labelimg.format_number(getattr(box, tag)) for tag in labelimg.CORNERS]
            lines.writerow((image.name, *size, label_map.name_of(label_map.id_of(box.name)), *corners))
    storage.write_text(path, text.getvalue())


def _make_manifest(examination, notes, sides, label_map, counted, options, shards, digests, ids):
    used = [image for image in examination.images if image.name in sides]
    left_out = [f for f in notes if f.code != "unlabelled"]
    left_out = [f for f in left_out if f.action in (findings.IMAGE_LEFT_OUT, findings.FILE_IGNORED)]
    return manifests.Manifest(
        fingerprint=examination.fingerprint,
        options=options.identity(),
        classes=[
            {"id": item.id, "name": item.name}
            | {side: statistics.count_of_item(counted.boxes[side], item) for side in SPLITS}
            for item in label_map
        ],
        shards=shards,
        files={"label_map": LABEL_MAP, "train_csv": f"{TRAIN}.csv", "validate_csv": f"{VALIDATE}.csv"},
        images=[_describe(image, sides[image.name], ids[image.name], digests[image.name]) for image in used],
        left_out=[{"path": f.file, "code": f.code, "message": f.message} for f in left_out],
        unlabelled=list(examination.unlabelled),
        findings=findings.count_codes(notes),
    )


def _describe(image, side, source_id, digest):
    facts = {
        "path": image.name,
        "xml": image.xml,
        "sha256": image.facts.sha256,
        "split": side,
        "source_id": str(source_id),
        "width": image.annotation.width,
        "height": image.annotation.height,
        "boxes": len(image.annotation.boxes),
    }
    changed = {"encoded_sha256": digest} if digest != image.facts.sha256 else {}
    fixes = [f for f in image.findings if f.action != findings.KEPT]
    return facts | changed | {"fixes": [{"code": f.code, "message": f.message} for f in fixes]}


def _say_findings(notes):
    """Shows errors and warnings, as many as a person reads; all of them go to the process log."""
    grave = [finding for finding in notes if finding.severity != findings.NOTE]
    grave.sort(key=lambda finding: finding.severity != findings.ERROR)
    for finding in grave[:_SHOWN_FINDINGS]:
        console.warn(f"{finding.code}: {finding.message}")
    for finding in grave[_SHOWN_FINDINGS:]:
        console.note(f"warning: {finding.code}: {finding.message}")
    if len(grave) > _SHOWN_FINDINGS:
        console.warn(f"... and {len(grave) - _SHOWN_FINDINGS} more; all of them stand in {LOG}")


def _say_summary(manifest, label_map, counted, notes):
    console.say("")
    console.say(statistics.format_summary(label_map, counted))
    console.say("")
    codes = ", ".join(f"{code} {count}" for code, count in findings.count_codes(notes).items())
    console.say(f"found: {codes or 'nothing to remark'}")
    console.say(
        f"left out: {len(manifest.left_out)} images or annotation files; without annotation file: "
        f"{len(manifest.unlabelled)} images (both listed in {manifests.NAME})"
    )
