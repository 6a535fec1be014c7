"""Updates a converted folder: only new and changed images are converted.

Existing images keep their side, class ids and record. Shards whose images are all unchanged are kept (under new names,
because names contain the number of shards); from the other shards, records that are still up to date are copied. New
and changed images go into additional shards at the end.

The update is made in a subfolder and moved into place when it is complete: a run after a killed one either finishes it
or discards it.
"""

import collections
import dataclasses
import os
import pathlib
import shutil

from tfodhelper import console, storage
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset import plan
from tfodhelper.dataset.split.split import SPLITS, TRAIN
from tfodhelper.outofcore import columns
from tfodhelper.records import folder as folders
from tfodhelper.records import framing, integrity, previous_records, reader, result, writer

_FOLDER = ".update"


@dataclasses.dataclass(frozen=True)
class _Changes:
    """The changes since the previous conversion, in columns.

    Attributes:
      old: the `previous_records.PreviousRecords`.
      old_of: for each usable image, the number of its old record, or -1.
      is_kept: for each usable image, whether that record is still up to date.
      image_of: for each old record, the index of its image among the usable images if it stays, else -1.
    """

    old: previous_records.PreviousRecords
    old_of: columns.Column
    is_kept: columns.Column
    image_of: columns.Column


def update(folder, options, manifest, known):
    """Converts the images that are new or changed since `manifest` was written.

    Args:
      folder: a complete folder as pathlib.Path, locked by this process.
      options: the `ConvertOptions`, equal to those of the previous conversion.
      manifest: the folder's `Manifest`.
      known: the `scan_notes.Notes` of the previous conversion, or None.

    Returns:
      A `result.ConvertResult`.
    """
    integrity.check_folder(folder, manifest)
    label_map = label_maps.read_label_map(folder / manifest.files["label_map"])
    new_folder = _make_empty(folder / _FOLDER)
    old = previous_records.PreviousRecords(manifest, str(new_folder))
    planned = plan.make_plan(options, previous=plan.PreviousConversion(known, old, label_map), folder=new_folder)
    folders.report_findings(planned.findings, options)
    planned.check(options.strict)
    changes = _find_changes(planned, old)
    content = _write_records(new_folder, folder, planned, options, manifest, changes)
    made = folders.complete(new_folder, planned, options, content)
    recover(folder)
    return result.read_result(folder, reused=False) if made else None


def _make_empty(folder):
    """Makes a folder for the new files; what a stopped update left there is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    return storage.make_own_folder(folder)


def _find_changes(planned, old):
    """Compares the images with the old records and reports the counts; returns `_Changes`."""
    images, temporary_dir = planned.examination.images, planned.examination.images.folder
    old_of, is_kept = columns.Column("q", folder=temporary_dir), columns.Column("b", folder=temporary_dir)
    image_of, counts = columns.filled("q", -1, len(old), temporary_dir), collections.Counter()
    for index, (image, side) in enumerate(zip(images, planned.sides.in_order())):
        number = -1 if side is None else old.find(image.name)
        is_current = number >= 0 and old.is_current(number, side, image.content)
        old_of.append(number)
        is_kept.append(is_current)
        if is_current:
            image_of[number] = index
        if side is not None:
            counts["unchanged" if is_current else "changed" if number >= 0 else "new"] += 1
    gone = len(old) - counts["unchanged"] - counts["changed"]
    console.say(f"unchanged {counts['unchanged']}, changed {counts['changed']}, new {counts['new']}, gone {gone}")
    return _Changes(old, old_of, is_kept, image_of)


def _write_records(new_folder, folder, planned, options, manifest, changes):
    """Keeps, copies and writes the shards of all sides; returns their `folder.Content`."""
    content, temporary_dir = folders.Content(_choose_ids(planned, changes)), planned.examination.images.folder
    for side in SPLITS:
        staying = {}  # {number of an old shard: its new number}
        for number, _, kept in changes.old.kept_images(side, changes.image_of, temporary_dir):
            if any(image >= 0 for image in kept):
                staying[number] = len(staying)
        kept = zip(planned.sides.in_order(), changes.is_kept)
        fresh = (image for image, (own, is_kept) in enumerate(kept) if own == side and not is_kept)
        fresh = columns.Column("q", fresh, temporary_dir)
        wanted = 0 if side == TRAIN else 1
        shards, _ = folders.lay_out_side(new_folder, side, planned, fresh, content.ids, wanted, options.seed)
        total = len(staying) + len(shards)
        for number, old_shard, kept in changes.old.kept_images(side, changes.image_of, temporary_dir):
            if number in staying:
                target = new_folder / writer.shard_name(side, staying[number], total)
                shard = _keep_shard(folder / old_shard["name"], target, old_shard, kept)
                images = [image for image in kept if image >= 0]
                encoded = {image: changes.old.encoded[changes.old_of[image]] for image in images}
                content.add(side, shard, images, {image: digest for image, digest in encoded.items() if digest})
        shards = [
            dataclasses.replace(shard, path=str(new_folder / writer.shard_name(side, len(staying) + number, total)))
            for number, shard in enumerate(shards)
        ]
        for planned_shard, (shard, encoded) in zip(shards, writer.write_shards(shards, options.num_workers)):
            content.add(side, shard, planned_shard.members(), encoded)
    content.shards = {side: shards for side, shards in content.shards.items() if shards or side in manifest.shards}
    return content


def _choose_ids(planned, changes):
    """Source ids of all usable images: old images keep theirs, new ones continue after the largest."""
    ids, old = columns.Column("Q", folder=planned.examination.images.folder), changes.old
    last = max(old.source_ids, default=0)
    for number, side in zip(changes.old_of, planned.sides.in_order()):
        if number >= 0:
            ids.append(old.source_ids[number])
        else:
            last += side is not None
            ids.append(last if side is not None else 0)
    return ids


def _keep_shard(source, target, old_shard, kept):
    """Links a shard that is unchanged, or copies the remaining records of one that is not; returns its entry."""
    num_kept = sum(image >= 0 for image in kept)
    if num_kept == old_shard["records"]:
        try:
            os.link(source, target)
        except OSError:  # a file system without links
            shutil.copyfile(source, target)
    else:
        with open(source, "rb") as old, storage.open_whole(target, "wb") as new:
            for image, (offset, length) in zip(kept, reader.iterate_spans(source)):
                if image >= 0:
                    old.seek(offset - framing.HEADER.size)
                    new.write(old.read(framing.HEADER.size + length + framing.FOOTER.size))
    return writer.describe_shard(target, num_kept, reader.digest_checksums(target))


def recover(folder):
    """Finishes a stopped update if it was complete, and discards it otherwise.

    Every step may be interrupted and repeated: the manifest is moved last, then the subfolder is removed.
    """
    folder = pathlib.Path(folder)
    new_folder = folder / _FOLDER
    storage.check_no_link(new_folder)
    if not new_folder.is_dir():
        return
    if (new_folder / manifests.NAME).exists():
        manifest = manifests.read_manifest(new_folder)
        names = {shard["name"] for side in SPLITS for shard in manifest.shards.get(side, [])}
        names |= {*manifest.files.values(), result.NOTES}
        for name in sorted(names):
            if (new_folder / name).exists():
                os.replace(new_folder / name, folder / name)
        for path in result.list_own(folder):
            if path.name not in names and path.name != manifests.NAME:
                path.unlink()
        os.replace(new_folder / manifests.NAME, folder / manifests.NAME)
    shutil.rmtree(new_folder)
