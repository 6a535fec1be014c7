"""A converted folder brought up to date: only what is new or changed is converted.

Images that were there before keep their side, their class ids and their record. Shards whose images are all unchanged
stay as they are (under a new name, since the names say how many there are); of the others the records that still hold
are copied. New and changed images go into shards of their own at the end.

All of it is made in a folder inside and put into its place when it is whole: a start after a kill either finishes that
or forgets it.
"""

import array
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
      known: `looked.Notes` of then, or None.

    Returns:
      A `result.ConvertResult`.
    """
    manifests.check_files(folder, manifest)
    old = {image["path"]: image for image in manifest.images}
    label_map = label_maps.read_label_map(folder / manifest.files["label_map"])
    sides = {name: image["split"] for name, image in old.items()}
    new_folder = _make_empty(folder / _FOLDER)
    planned = plan.make_plan(options, earlier=plan.Earlier(known, sides, label_map), folder=new_folder)
    folders.say_findings(planned.findings)
    planned.check(options.strict)
    images = planned.examination.images
    members = {image.name: number for number, image in enumerate(images) if image.name in planned.sides}
    kept = {
        name
        for name, number in members.items()
        if name in old and old[name]["content"] == images[number].content and old[name]["split"] == planned.sides[name]
    }
    _say_changes(old, members, kept)
    content = _write_records(new_folder, folder, planned, options, manifest, old, kept, members)
    made = folders.complete(new_folder, planned, options, content)
    recover(folder)
    return result.read_result(folder, reused=False) if made else None


def _make_empty(folder):
    """Makes a folder for the new files; what a stopped update left there is forgotten."""
    shutil.rmtree(folder, ignore_errors=True)
    return storage.make_folder(folder)


def _say_changes(old, members, kept):
    gone = len(old.keys() - members.keys())
    changed = len((members.keys() & old.keys()) - kept)
    new = len(members.keys() - old.keys())
    console.say(f"unchanged {len(kept)}, changed {changed}, new {new}, gone {gone}")


def _write_records(new_folder, folder, planned, options, manifest, old, kept, members):
    """Keeps, copies and writes the shards of all sides; returns their `folders.Content`."""
    content = folders.Content(_choose_ids(planned, old, members))
    for side in SPLITS:
        staying = _find_staying(manifest, old, kept, side)
        fresh = [members[name] for name in members if planned.sides[name] == side and name not in kept]
        wanted = 0 if side == TRAIN else 1
        tasks, _ = folders.lay_out_side(new_folder, side, planned, fresh, content.ids, wanted, options.seed)
        total = len(staying) + len(tasks)
        for number, old_shard in enumerate(staying):
            target = new_folder / writer.shard_name(side, number, total)
            shard = _keep_shard(folder / old_shard.shard["name"], target, old_shard)
            names = [name for _, name in sorted(old_shard.names.items())]
            encoded = {members[name]: old[name].get("encoded_sha256") for name in names}
            content.add(side, shard, [members[name] for name in names], {m: sha for m, sha in encoded.items() if sha})
        tasks = [
            task._replace(path=str(new_folder / writer.shard_name(side, len(staying) + number, total)))
            for number, task in enumerate(tasks)
        ]
        for task, (shard, encoded) in zip(tasks, writer.write_shards(tasks, options.num_workers)):
            content.add(side, shard, task.members, encoded)
    content.shards = {side: found for side, found in content.shards.items() if found or side in manifest.shards}
    return content


def _choose_ids(planned, old, members):
    """Source ids by place: those of old images stay, new ones go on behind the greatest."""
    ids = array.array("Q", bytes(8 * len(planned.examination.images)))
    last = max((int(image["source_id"]) for image in old.values()), default=0)
    for name, member in members.items():
        if name in old:
            ids[member] = int(old[name]["source_id"])
        else:
            ids[member] = last = last + 1
    return ids


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
