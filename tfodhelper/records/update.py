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
from tfodhelper.dataset.split import SPLITS, TRAIN
from tfodhelper.records import folder as folders
from tfodhelper.records import framing, reader, result, writer

_FOLDER = ".update"


@dataclasses.dataclass(frozen=True)
class _Kept:
    """An old shard of which some records stay.

    Attributes:
      shard: its entry in the old manifest.
      names: {position: image name} of the records that stay.
    """

    shard: dict
    names: dict


def update(folder, options, manifest, known):
    """Converts what is new or changed since `manifest` was written.

    Args:
      folder: pathlib.Path of a whole folder, held by this process.
      options: the `ConvertOptions`, equal to those of then.
      manifest: the folder's `Manifest`.
      known: {annotation file: `entries.Entry`} of then, or None.

    Returns:
      A `result.ConvertResult`.
    """
    manifests.check_files(folder, manifest)
    old = {image["path"]: image for image in manifest.images}
    label_map = label_maps.read_label_map(folder / manifest.files["label_map"])
    sides = {name: image["split"] for name, image in old.items()}
    planned = plan.make_plan(options, earlier=plan.Earlier(known, sides, label_map))
    folders.say_findings(planned.findings)
    planned.check(options.strict)
    images = {image.name: image for image in planned.examination.images if image.name in planned.sides}
    kept = {
        name
        for name, image in images.items()
        if name in old and old[name]["content"] == image.content and old[name]["split"] == planned.sides[name]
    }
    _say_changes(old, images, kept)
    new_folder = storage.make_folder(folder / _FOLDER)
    content = _write_records(new_folder, folder, planned, options, manifest, old, kept)
    made = folders.complete(new_folder, planned, options, content)
    recover(folder)
    return result.read_result(folder, reused=False) if made else None


def _say_changes(old, images, kept):
    gone = len(old.keys() - images.keys())
    changed = len((images.keys() & old.keys()) - kept)
    new = len(images.keys() - old.keys())
    console.say(f"unchanged {len(kept)}, changed {changed}, new {new}, gone {gone}")


def _write_records(new_folder, folder, planned, options, manifest, old, kept):
    """Keeps, copies and writes the shards of all sides; returns their `folders.Content`."""
    ids = _choose_ids(planned, old)
    label_map = planned.label_map
    by_name = {image.name: image for image in planned.examination.images}
    shards, places, written = {}, {}, {}
    for side in SPLITS:
        staying = _find_staying(manifest, old, kept, side)
        items = [writer.make_item(i, ids[i.name]) for i in planned.images_of(side) if i.name not in kept]
        tasks = folders.lay_out_side(new_folder, side, items, 0 if side == TRAIN else 1, options.seed, label_map)
        total = len(staying) + len(tasks)
        shards[side] = []
        for number, old_shard in enumerate(staying):
            target = new_folder / writer.shard_name(side, number, total)
            shards[side].append(_keep_shard(folder / old_shard.shard["name"], target, old_shard))
            names = [name for _, name in sorted(old_shard.names.items())]
            places |= {name: (number, position) for position, name in enumerate(names)}
        tasks = [
            task._replace(path=str(new_folder / writer.shard_name(side, len(staying) + number, total)))
            for number, task in enumerate(tasks)
        ]
        for task, (shard, more) in zip(tasks, writer.write_shards(tasks, options.num_workers)):
            places |= {item.name: (len(shards[side]), position) for position, item in enumerate(task.items)}
            shards[side].append(shard)
            written |= more
    for name in kept:
        csv = writer.to_csv(name, by_name[name].annotation, label_map)
        written[name] = writer.Written(old[name]["width"], old[name]["height"], old[name].get("encoded_sha256"), csv)
    return folders.Content(
        {s: found for s, found in shards.items() if found or s in manifest.shards}, written, places, ids
    )


def _choose_ids(planned, old):
    """Source ids: those of old images stay, new ones go on behind the greatest."""
    ids = {name: int(image["source_id"]) for name, image in old.items()}
    last = max(ids.values(), default=0)
    new = [image.name for image in planned.examination.images if image.name in planned.sides and image.name not in ids]
    return ids | {name: last + number for number, name in enumerate(new, start=1)}


def _find_staying(manifest, old, kept, side):
    """The `_Kept` shards of a side that keep any record, in order."""
    names = collections.defaultdict(dict)
    for name in kept:
        if old[name]["split"] == side:
            number, position = old[name]["record"]
            names[number][position] = name
    return [_Kept(shard, names[n]) for n, shard in enumerate(manifest.shards.get(side, [])) if names[n]]


def _keep_shard(source, target, kept):
    """Links a shard that stays whole, copies the records of one that does not; returns its entry."""
    if len(kept.names) == kept.shard["records"]:
        try:
            os.link(source, target)
        except OSError:  # a file system without links
            shutil.copyfile(source, target)
    else:
        with open(source, "rb") as old, storage.open_whole(target, "wb") as new:
            for position, (offset, length) in enumerate(reader.iterate_spans(source)):
                if position in kept.names:
                    old.seek(offset - framing.HEADER.size)
                    new.write(old.read(framing.HEADER.size + length + framing.FOOTER.size))
    return {"name": target.name, "records": len(kept.names), "bytes": target.stat().st_size}


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
