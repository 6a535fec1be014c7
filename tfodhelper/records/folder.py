"""The content of a converted folder: which image goes into which shard, and the files next to the records."""

import contextlib
import dataclasses
import random

from tfodhelper import console, spelling, storage
from tfodhelper.annotations import findings
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset.analysis import class_counts
from tfodhelper.dataset.split.split import SPLITS, TEST, TRAIN, VALIDATE
from tfodhelper.outofcore import columns
from tfodhelper.records import image_lists, result, writer

CSV_HEADER = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")
_RECORD_OVERHEAD = 1.02  # records are slightly larger than their images
_SHOWN_FINDINGS = 5  # per code


@dataclasses.dataclass(frozen=True)
class Layout:
    """The distribution of records to shards.

    Attributes:
      shards: `writer.Shard`s of all sides.
      ids: source ids, by the index of the image among the usable images; a `columns.Column`.
      num_records: number of records.
      num_bytes: total bytes of the images.
    """

    shards: list
    ids: columns.Column
    num_records: int
    num_bytes: int


class Content:
    """The content of the written records.

    Args:
      ids: source ids, by the index of the image among the usable images; a `columns.Column`.

    Attributes:
      shards: {side: list of {name, records, bytes}}.
      ids: as given.
      shard_of, record_of: by the same index, the shard of its side that contains the image, and its position there.
      encoded: by the same index, hex digests of re-encoded images, else None.
    """

    def __init__(self, ids):
        self.shards, self.ids, self.encoded = {TRAIN: [], VALIDATE: []}, ids, columns.Digests(len(ids), ids.folder)
        self.shard_of, self.record_of = (columns.filled("I", 0, len(ids), ids.folder) for _ in range(2))

    def add(self, side, shard, members, encoded):
        """Adds a shard.

        Args:
          side: of the split.
          shard: its {name, records, bytes}.
          members: the indices of its images, in order.
          encoded: {index: hex digest of a re-encoded image}.
        """
        shards = self.shards.setdefault(side, [])
        self.shard_of.put(members, [len(shards)] * len(members))
        self.record_of.put(members, range(len(members)))
        shards.append(shard)
        for member, digest in encoded.items():
            self.encoded[member] = digest


def lay_out(folder, planned, options):
    """The `Layout` of a plan; the same plan and options always give the same layout."""
    ids, last = columns.Column("Q", folder=planned.examination.images.folder), 0
    for side in planned.sides.in_order():
        last += side is not None
        ids.append(last if side is not None else 0)
    shards, num_bytes = [], 0
    for side in SPLITS:
        members = columns.Column("q", planned.sides.indices_of(side), ids.folder)
        wanted = options.num_shards
        if wanted and side != TRAIN:
            wanted = max(1, round(wanted * len(members) / last))
        more, size = lay_out_side(folder, side, planned, members, ids, wanted, options.seed)
        shards += more
        num_bytes += size
    return Layout(shards, ids, last, num_bytes)


def lay_out_side(folder, side, planned, members, ids, wanted, seed):
    """The shards of one side, and the bytes of its images; training images are shuffled.

    Args:
      folder: folder of the shards.
      side: of the split.
      planned: a `plan.Plan`.
      members: indices of the images among the usable images; a `columns.Column`.
      ids: source ids by these indices.
      wanted: number of shards; 0 chooses automatically.
      seed: of the random order.
    """
    examination = planned.examination
    sizes, positions = examination.index.entries.num_bytes, examination.images.positions
    num_bytes = sum(sizes[positions[member]] for member in members)
    if side == TRAIN:
        random.Random(seed).shuffle(members.view())
        members.release()
    least = writer.DEFAULT_TRAIN_SHARDS if side == TRAIN else 1
    number = writer.choose_num_shards(len(members), num_bytes, wanted, least)
    layout = writer.SideLayout(side, examination, members, ids, number, planned.label_map)
    return writer.make_shards(folder, layout), num_bytes


def collect(layout, results):
    """The `Content` of shards, collected while they are written.

    Args:
      layout: a `Layout`.
      results: the results of `writer.write_shards` for its shards, in order.
    """
    content = Content(layout.ids)
    for planned, (shard, encoded) in zip(layout.shards, results):
        content.add(planned.side, shard, planned.members(), encoded)
    return content


def check_space(folder, num_bytes):
    """Checks that the disk has enough space for records of the given bytes of images.

    Raises:
      StorageError: it does not.
    """
    needed = int(num_bytes * _RECORD_OVERHEAD)
    storage.check_space(folder, needed, "the records", fix="use a folder on another disk for --output_dir")


def complete(folder, planned, options, content):
    """Writes everything except the records; the manifest last, which marks the folder as complete.

    Returns:
      A `result.ConvertResult`.
    """
    sides = [side for side in SPLITS if side != TEST or content.shards.get(TEST)]
    paths, header = {side: folder / f"{side}.csv" for side in sides}, ",".join(CSV_HEADER) + "\n"
    with contextlib.ExitStack() as stack:
        with image_lists.open_lists(paths, header) as files:
            lines = image_lists.write_lists(folder, files, planned, content, options.num_workers)
            read_lines = stack.enter_context(lines)
        label_maps.write_label_map(folder / result.LABEL_MAP, planned.label_map)
        manifest = _make_manifest(folder, planned, options, content, sides)
        planned.examination.index.entries.save_as(folder / result.NOTES)
        manifests.write_manifest(folder, manifest, read_lines())
    _say_summary(planned, manifest, options)
    return result.read_result(folder, reused=False, manifest=manifest)


def _make_manifest(folder, planned, options, content, sides):
    boxes = planned.statistics.boxes
    files = {"label_map": result.LABEL_MAP} | {f"{side}_csv": f"{side}.csv" for side in sides}
    return manifests.Manifest(
        fingerprint=planned.examination.fingerprint,
        options=options.identity(),
        classes=[
            {"id": item.id, "name": item.name} | {side: class_counts.count_of_item(boxes[side], item) for side in sides}
            for item in planned.label_map
        ],
        shards=content.shards,
        files=files,
        images=[],
        left_out=[_describe_left_out(planned, name, reasons) for name, reasons in planned.left_out.items()],
        unlabelled=planned.examination.unlabelled,
        findings=findings.count_codes(planned.findings),
        digests=manifests.digest_files(folder, files.values()),
    )


def _describe_left_out(planned, name, reasons):
    """The first reason in full, and the number of other reasons."""
    digest = planned.examination.digest_of(name)
    known = {"sha256": digest} if digest else {}
    more = {"more_reasons": len(reasons) - 1} if len(reasons) > 1 else {}
    return {"path": name} | known | {"code": reasons[0].code, "message": reasons[0].message} | more


def report_findings(notes, options):
    """Shows errors and warnings, only a few per code; all of them go to the process log.

    Those that stop the conversion are the error that follows.

    Args:
      notes: `Finding`s.
      options: a `RecordOptions`; what it does to the labels is said, too.
    """
    if options.boxes_as_masks:
        console.warn("--boxes_as_masks: objects without a mask get their boxes as masks, so that rectangles are learnt")
    grave = [f for f in notes if f.severity != findings.NOTE and f.action != findings.REFUSED]
    for code, count in findings.count_codes(grave).items():
        same = [finding for finding in grave if finding.code == code]
        for finding in same[:_SHOWN_FINDINGS]:
            console.warn(f"{code}: {finding.message}")
        for finding in same[_SHOWN_FINDINGS:]:
            console.note(f"warning: {code}: {finding.message}")
        if count > _SHOWN_FINDINGS:
            console.warn(f"{code}: ... and {count - _SHOWN_FINDINGS} more; all of them are in {result.LOG}")


def _say_summary(planned, manifest, options):
    console.say("")
    console.say(class_counts.format_summary(planned.label_map, planned.statistics))
    console.say("")
    codes = ", ".join(f"{code} {count}" for code, count in manifest.findings.items())
    console.say(f"findings: {codes or 'none'}")
    left_out = spelling.count(len(manifest.left_out), "image or annotation file", "images or annotation files")
    console.say(f"left out: {left_out}, listed in {manifests.NAME}")
    if manifest.unlabelled:
        unlabelled = spelling.count(len(manifest.unlabelled), "image")
        console.say(f"without an annotation file, not used: {unlabelled}, also listed there")
    if len(planned.examination.images) > options.most_compared:
        console.say(
            "not checked: whether images on different sides of the split look almost the same; `tfodhelper check` does "
            "that, and --group_near_duplicates keeps them on one side"
        )
