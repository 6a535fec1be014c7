"""A converted folder brought up to date: only what is new or changed is converted.

Images that were there before keep their side, their class ids and their record. Shards whose images are all unchanged
stay as they are (under a new name, since the names say how many there are); of the others the records that still hold
are copied. New and changed images go into shards of their own at the end.

All of it is made in a folder inside and put into its place when it is whole: a start after a kill either finishes that
or forgets it.
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
from tfodhelper.records import framing, reader, result, writer
from tfodhelper.records import previous_records as earlier_records

_FOLDER = ".update"


@dataclasses.dataclass(frozen=True)
class _Changes:
    """What an update finds, in columns.

    Attributes:
      old: the `previous_records.PreviousRecords`.
      old_of: by the place of an image among the usable ones its old record, or -1.
      is_kept: by this place, whether that record still holds.
      place_of: by the number of an old record the place of its image, if it stays, else -1.
    """

    old: earlier_records.PreviousRecords
    old_of: columns.Column
    is_kept: columns.Column
    place_of: columns.Column


def update(folder, options, manifest, known):
    """Converts what is new or changed since `manifest` was written.

    Args:
      folder: pathlib.Path of a whole folder, held by this process.
      options: the `ConvertOptions`, equal to those of then.
      manifest: the folder's `Manifest`.
      known: `entry_store.Notes` of then, or None.

    Returns:
      A `result.ConvertResult`.
    """
    manifests.check_files(folder, manifest)
    label_map = label_maps.read_label_map(folder / manifest.files["label_map"])
    new_folder = _make_empty(folder / _FOLDER)
    old = earlier_records.PreviousRecords(manifest, str(new_folder))
    planned = plan.make_plan(options, earlier=plan.Earlier(known, old, label_map), folder=new_folder)
    folders.say_findings(planned.findings)
    planned.check(options.strict)
    changes = _find_changes(planned, old)
    content = _write_records(new_folder, folder, planned, options, manifest, changes)
    made = folders.complete(new_folder, planned, options, content)
    recover(folder)
    return result.read_result(folder, reused=False) if made else None


def _make_empty(folder):
    """Makes a folder for the new files; what a stopped update left there is forgotten."""
    shutil.rmtree(folder, ignore_errors=True)
    return storage.make_folder(folder)


def _find_changes(planned, old):
    """Compares the images with the old records, and says what came of it; returns `_Changes`."""
    images, where = planned.examination.images, planned.examination.images.folder
    old_of, is_kept = columns.Column("q", folder=where), columns.Column("b", folder=where)
    place_of, counts = columns.filled("q", -1, len(old), where), collections.Counter()
    for place, (image, side) in enumerate(zip(images, planned.sides.in_order())):
        number = -1 if side is None else old.find(image.name)
        holds = number >= 0 and old.holds(number, side, image.content)
        old_of.append(number)
        is_kept.append(holds)
        if holds:
            place_of[number] = place
        if side is not None:
            counts["unchanged" if holds else "changed" if number >= 0 else "new"] += 1
    gone = len(old) - counts["unchanged"] - counts["changed"]
    console.say(f"unchanged {counts['unchanged']}, changed {counts['changed']}, new {counts['new']}, gone {gone}")
    return _Changes(old, old_of, is_kept, place_of)


def _write_records(new_folder, folder, planned, options, manifest, changes):
    """Keeps, copies and writes the shards of all sides; returns their `folders.Content`."""
    content, where = folders.Content(_choose_ids(planned, changes)), planned.examination.images.folder
    for side in SPLITS:
        staying = {}  # of the old shards the new numbers
        for number, _, kept in changes.old.kept_places(side, changes.place_of, where):
            if any(place >= 0 for place in kept):
                staying[number] = len(staying)
        kept = zip(planned.sides.in_order(), changes.is_kept)
        fresh = (place for place, (own, is_kept) in enumerate(kept) if own == side and not is_kept)
        fresh = columns.Column("q", fresh, where)
        wanted = 0 if side == TRAIN else 1
        shards, _ = folders.lay_out_side(new_folder, side, planned, fresh, content.ids, wanted, options.seed)
        total = len(staying) + len(shards)
        for number, old_shard, kept in changes.old.kept_places(side, changes.place_of, where):
            if number in staying:
                target = new_folder / writer.shard_name(side, staying[number], total)
                shard = _keep_shard(folder / old_shard["name"], target, old_shard, kept)
                places = [place for place in kept if place >= 0]
                encoded = {place: changes.old.encoded[changes.old_of[place]] for place in places}
                content.add(side, shard, places, {place: digest for place, digest in encoded.items() if digest})
        shards = [
            dataclasses.replace(shard, path=str(new_folder / writer.shard_name(side, len(staying) + number, total)))
            for number, shard in enumerate(shards)
        ]
        for planned_shard, (shard, encoded) in zip(shards, writer.write_shards(shards, options.num_workers)):
            content.add(side, shard, planned_shard.members(), encoded)
    content.shards = {side: found for side, found in content.shards.items() if found or side in manifest.shards}
    return content


def _choose_ids(planned, changes):
    """Source ids by place: those of old images stay, new ones go on behind the greatest."""
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
    """Links a shard that stays whole, copies the records of one that does not; returns its entry."""
    num_kept = sum(place >= 0 for place in kept)
    if num_kept == old_shard["records"]:
        try:
            os.link(source, target)
        except OSError:  # a file system without links
            shutil.copyfile(source, target)
    else:
        with open(source, "rb") as old, storage.open_whole(target, "wb") as new:
            for place, (offset, length) in zip(kept, reader.iterate_spans(source)):
                if place >= 0:
                    old.seek(offset - framing.HEADER.size)
                    new.write(old.read(framing.HEADER.size + length + framing.FOOTER.size))
    return {"name": target.name, "records": num_kept, "bytes": target.stat().st_size}


def recover(folder):
    """Finishes an update that was whole when it was stopped, and forgets one that was not.

    Every step may be stopped and done again: the manifest is moved last, and the folder inside goes after it.
    """
    folder = pathlib.Path(folder)
    new_folder = folder / _FOLDER
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
