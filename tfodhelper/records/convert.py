"""Images and LabelImg XML to sharded records, lists, label map and manifest: what the verb `convert` does."""

import csv
import dataclasses
import io
import os
import random
import shutil

from tfodhelper import console, errors, storage
from tfodhelper.annotations import findings, labelimg
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import examine, plan, statistics
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset.split import SPLITS, TRAIN, VALIDATE
from tfodhelper.records import result, writer

CSV_HEADER = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")
_RECORD_OVERHEAD = 1.02  # records are a little larger than their images
_SHOWN_FINDINGS = 5  # of one code


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertOptions(plan.SetOptions):
    """All that `convert` is told; the rest of the attributes stands in `plan.SetOptions`.

    Attributes:
      output_dir: where the result goes.
      strict: whether each fixed or left out image is an error.
      num_shards: of training; 0 leaves it to the program. Validation gets its share of them.
    """

    output_dir: str | os.PathLike
    strict: bool = False
    num_shards: int = 0

    def identity(self):
        """What the result depends on besides the images and annotations, as plain values."""
        return super().identity() | {"strict": self.strict, "num_shards": self.num_shards}


def convert(options):
    """Converts a set of annotated images.

    Args:
      options: a `ConvertOptions`.

    Returns:
      A `result.ConvertResult`.

    Raises:
      UsageError, DatasetError, AnnotationError: an input that cannot be used.
      StorageError: a full disk, a folder that cannot be written or that another process holds.
    """
    options.check_early()
    folder = storage.make_folder(options.output_dir)
    with storage.hold(folder), console.process_log(folder / result.LOG):
        if (folder / manifests.NAME).exists():
            return _reuse(folder, options)
        result.begin(folder)
        with console.phase("convert"):
            made = _convert(folder, options)
        result.finish(folder)
        return made


def _reuse(folder, options):
    """A second start on a whole folder: the same input is said to be done, another one is refused."""
    manifest = manifests.read_manifest(folder)
    given, source = options.identity(), options.make_source()
    differing = [name for name in given if manifest.options.get(name) != given[name]]
    if differing:
        what = ", ".join(f"--{name.removesuffix('_sha256')}" for name in differing)
        received = ", ".join(f"{name} {given[name]} (was {manifest.options.get(name)})" for name in differing)
        raise _other_work(folder, f"options differ: {what}", received)
    if examine.fingerprint_of(source) != manifest.fingerprint:
        received = f"{source.image_dir} as it is now"
        raise _other_work(folder, "the images or annotation files differ", received)
    found = result.read_result(folder)
    result.finish(folder)
    console.say(f"{folder}: converted before from the same files with the same options; it is used as it is")
    return found


def _other_work(folder, why, received):
    return errors.DatasetError(
        f"{folder}: holds the result of another conversion ({why})",
        expected="the same files and options as then, or an empty folder",
        received=received,
        way_out="name another folder with --output_dir, or remove this one",
    )


def _convert(folder, options):
    planned = plan.make_plan(options)
    _say_findings(planned.findings)
    planned.check(options.strict)
    shards, digests, ids = _write_records(folder, planned, options)
    for side in SPLITS:
        _write_csv(folder / f"{side}.csv", planned.images_of(side), planned.label_map)
    label_maps.write_label_map(folder / result.LABEL_MAP, planned.label_map)
    manifest = _make_manifest(planned, options, shards, digests, ids)
    manifests.write_manifest(folder, manifest)
    _say_summary(planned, manifest)
    return result.read_result(folder, reused=False)


def _write_records(folder, planned, options):
    """Writes the records; returns ({side: shards}, {image name: digest as written}, {image name: source id})."""
    images = [image for image in planned.examination.images if image.name in planned.sides]
    ids = {image.name: number for number, image in enumerate(images, start=1)}
    _check_space(folder, sum(image.facts.num_bytes for image in images))
    shards, digests = {}, {}
    with console.Progress("records written", len(images)) as progress:
        for side in SPLITS:
            items = [writer.RecordItem(image, ids[image.name]) for image in planned.images_of(side)]
            if side == TRAIN:
                random.Random(options.seed).shuffle(items)
            wanted = options.num_shards
            if wanted and side == VALIDATE:
                wanted = max(1, round(wanted * len(items) / len(images)))
            least = writer.DEFAULT_TRAIN_SHARDS if side == TRAIN else 1
            num_bytes = sum(item.image.facts.num_bytes for item in items)
            number = writer.choose_num_shards(len(items), num_bytes, wanted, least)
            shards[side], more = writer.write_shards(folder, side, items, number, planned.label_map, progress)
            digests |= more
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


def _make_manifest(planned, options, shards, digests, ids):
    images = [image for image in planned.examination.images if image.name in planned.sides]
    boxes = planned.statistics.boxes
    return manifests.Manifest(
        fingerprint=planned.examination.fingerprint,
        options=options.identity(),
        classes=[
            {"id": item.id, "name": item.name} | {side: statistics.count_of_item(boxes[side], item) for side in SPLITS}
            for item in planned.label_map
        ],
        shards=shards,
        files={"label_map": result.LABEL_MAP, "train_csv": f"{TRAIN}.csv", "validate_csv": f"{VALIDATE}.csv"},
        images=[_describe(image, planned.sides[image.name], ids[image.name], digests[image.name]) for image in images],
        left_out=[_describe_left_out(planned, name, reasons) for name, reasons in planned.left_out.items()],
        unlabelled=list(planned.examination.unlabelled),
        findings=findings.count_codes(planned.findings),
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


def _describe_left_out(planned, name, reasons):
    """The first reason in full, the others by their number."""
    digest = planned.examination.digests.get(name)
    known = {"sha256": digest} if digest else {}
    more = {"more_reasons": len(reasons) - 1} if len(reasons) > 1 else {}
    return {"path": name} | known | {"code": reasons[0].code, "message": reasons[0].message} | more


def _say_findings(notes):
    """Shows errors and warnings, of each code as many as a person reads; all of them go to the process log."""
    grave = [finding for finding in notes if finding.severity != findings.NOTE]
    for code, count in findings.count_codes(grave).items():
        same = [finding for finding in grave if finding.code == code]
        for finding in same[:_SHOWN_FINDINGS]:
            console.warn(f"{code}: {finding.message}")
        for finding in same[_SHOWN_FINDINGS:]:
            console.note(f"warning: {code}: {finding.message}")
        if count > _SHOWN_FINDINGS:
            console.warn(f"{code}: ... and {count - _SHOWN_FINDINGS} more; all of them stand in {result.LOG}")


def _say_summary(planned, manifest):
    console.say("")
    console.say(statistics.format_summary(planned.label_map, planned.statistics))
    console.say("")
    codes = ", ".join(f"{code} {count}" for code, count in manifest.findings.items())
    console.say(f"found: {codes or 'nothing to remark'}")
    console.say(f"left out: {len(manifest.left_out)} images or annotation files, listed in {manifests.NAME}")
    if manifest.unlabelled:
        console.say(f"without annotation file, not used: {len(manifest.unlabelled)} images, listed there too")
