"""What a converted folder is made of: which image goes into which shard, and the files beside the records."""

import dataclasses
import random
import shutil

from tfodhelper import console, errors, storage
from tfodhelper.annotations import findings
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import entries, statistics
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset.split import SPLITS, TEST, TRAIN, VALIDATE
from tfodhelper.records import result, writer

CSV_HEADER = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")
_RECORD_OVERHEAD = 1.02  # records are a little larger than their images
_SHOWN_FINDINGS = 5  # of one code


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which record goes where.

    Attributes:
      tasks: `writer.ShardTask`s of all sides.
      sides: the side of each task.
      ids: {image name: source id}.
    """

    tasks: list
    sides: list
    ids: dict

    @property
    def num_records(self):
        """Number of records."""
        return sum(len(task.items) for task in self.tasks)

    @property
    def num_bytes(self):
        """Bytes of the images."""
        return sum(item.facts[entries.NUM_BYTES] for task in self.tasks for item in task.items)


@dataclasses.dataclass(frozen=True)
class Content:
    """What the records hold.

    Attributes:
      shards: {side: list of {name, records, bytes}}.
      written: {image name: `writer.Written`}.
      places: {image name: (shard, position in it)}.
      ids: {image name: source id}.
    """

    shards: dict
    written: dict
    places: dict
    ids: dict


def lay_out(folder, planned, options):
    """Decides on the shards of a plan; the same plan and options always give the same layout."""
    images = [image for image in planned.examination.images if image.name in planned.sides]
    ids = {image.name: number for number, image in enumerate(images, start=1)}
    tasks, sides = [], []
    for side in SPLITS:
        items = [writer.make_item(image, ids[image.name]) for image in planned.images_of(side)]
        wanted = options.num_shards
        if wanted and side != TRAIN:
            wanted = max(1, round(wanted * len(items) / len(images)))
        more = lay_out_side(folder, side, items, wanted, options.seed, planned.label_map)
        tasks += more
        sides += [side] * len(more)
    return Layout(tasks, sides, ids)


def lay_out_side(folder, side, items, wanted, seed, label_map):
    """The tasks of one side; training is written in random order."""
    if side == TRAIN:
        random.Random(seed).shuffle(items)
    least = writer.DEFAULT_TRAIN_SHARDS if side == TRAIN else 1
    num_bytes = sum(item.facts[entries.NUM_BYTES] for item in items)
    number = writer.choose_num_shards(len(items), num_bytes, wanted, least)
    return writer.make_tasks(folder, side, items, number, label_map)


def collect(layout, results):
    """The `Content` of shards as they are written.

    Args:
      layout: a `Layout`.
      results: (shard, {image name: `writer.Written`}) for each of its tasks, in order.
    """
    shards, written, places = {TRAIN: [], VALIDATE: []}, {}, {}
    for task, side, (shard, more) in zip(layout.tasks, layout.sides, results):
        number = len(shards.setdefault(side, []))
        shards[side].append(shard)
        written |= more
        places |= {item.name: (number, position) for position, item in enumerate(task.items)}
    return Content(shards, written, places, layout.ids)


def check_space(folder, num_bytes):
    """Checks that the disk has room for records of so many bytes of images.

    Raises:
      StorageError: when it has not.
    """
    needed, free = int(num_bytes * _RECORD_OVERHEAD), shutil.disk_usage(folder).free
    if free < needed:
        raise errors.StorageError(
            f"{folder}: the disk has not enough space",
            expected=f"{needed / 2**20:.0f} MB for the records",
            received=f"{free / 2**20:.0f} MB free",
            way_out="free some space, or name a folder on another disk with --output_dir",
        )


def complete(folder, planned, options, content):
    """Writes everything but the records; the manifest last, which marks the folder as whole.

    Returns:
      A `result.ConvertResult`.
    """
    sides = [side for side in SPLITS if side != TEST or content.shards.get(TEST)]
    for side in sides:
        with storage.open_whole(folder / f"{side}.csv") as file:
            file.write(",".join(CSV_HEADER) + "\n")
            file.writelines(content.written[image.name].csv for image in planned.images_of(side))
    label_maps.write_label_map(folder / result.LABEL_MAP, planned.label_map)
    entries.write_notes(folder / result.NOTES, options.identity(), planned.examination.looked)
    manifest = _make_manifest(planned, options, content, sides)
    manifests.write_manifest(folder, manifest)
    _say_summary(planned, manifest)
    return result.read_result(folder, reused=False, manifest=manifest)


def _make_manifest(planned, options, content, sides):
    images = (image for image in planned.examination.images if image.name in planned.sides)
    boxes = planned.statistics.boxes
    return manifests.Manifest(
        fingerprint=planned.examination.fingerprint,
        options=options.identity(),
        classes=[
            {"id": item.id, "name": item.name} | {side: statistics.count_of_item(boxes[side], item) for side in sides}
            for item in planned.label_map
        ],
        shards=content.shards,
        files={"label_map": result.LABEL_MAP} | {f"{side}_csv": f"{side}.csv" for side in sides},
        images=(_describe(image, planned.sides[image.name], content) for image in images),
        left_out=[_describe_left_out(planned, name, reasons) for name, reasons in planned.left_out.items()],
        unlabelled=list(planned.examination.unlabelled),
        findings=findings.count_codes(planned.findings),
    )


def _describe(image, side, content):
    written = content.written[image.name]
    facts = {
        "path": image.name,
        "xml": image.xml,
        "sha256": image.sha256,
        "split": side,
        "source_id": str(content.ids[image.name]),
        "width": written.width,
        "height": written.height,
        "boxes": len(image.labels),
        "content": image.content,
        "record": content.places[image.name],
    }
    if written.encoded_sha256:
        facts["encoded_sha256"] = written.encoded_sha256
    fixes = [f for f in image.findings if f.action != findings.KEPT] if image.entry.findings else []
    facts["fixes"] = [{"code": f.code, "message": f.message} for f in fixes]
    return facts


def _describe_left_out(planned, name, reasons):
    """The first reason in full, the others by their number."""
    digest = planned.examination.digests.get(name)
    known = {"sha256": digest} if digest else {}
    more = {"more_reasons": len(reasons) - 1} if len(reasons) > 1 else {}
    return {"path": name} | known | {"code": reasons[0].code, "message": reasons[0].message} | more


def say_findings(notes):
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
