"""One conversion shared by several jobs, as an array of a batch system starts them: `--shard=i/n`.

All jobs get the same command but for their number, and one output folder that all of them see. Each first looks at its
part of the files and leaves what it found; when all parts are there, the jobs make the same plan from them and each
writes its part of the shards; the one that finds all shards written adds the manifest. No job waits for another: one
that cannot go on says so and ends, and is started once more. The result is, byte for byte, that of one conversion.
"""

import shutil

from tfodhelper import console, errors, storage
from tfodhelper.annotations import checks
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset import plan
from tfodhelper.dataset.scan import discover, entry_store, examine
from tfodhelper.records import folder as folders
from tfodhelper.records import result, writer


def convert_share(folder, options, number, count):
    """Does the part of one job, as far as the other jobs' parts allow.

    Args:
      folder: pathlib.Path of the output folder.
      options: a `ConvertOptions`.
      number: of this job, from 1.
      count: of all jobs.

    Returns:
      A `result.ConvertResult` when the folder is whole, else None.

    Raises:
      DatasetError: the folder holds something else.
    """
    parts = storage.make_folder(folder / result.PARTS / f"{number}-of-{count}").parent
    with storage.hold(parts / f"{number}-of-{count}"), console.process_log(folder / f"process-{number}-of-{count}.log"):
        if (folder / manifests.NAME).exists():
            shutil.rmtree(parts)
            return _check_whole(folder, options)
        identity = options.identity() | {"jobs": count}
        _claim(folder, parts, identity)
        known = _look(parts, options, identity, number, count)
        if known is None:
            return None
        with console.phase(f"convert, job {number} of {count}"):
            own = parts / f"{number}-of-{count}"
            planned = plan.make_plan(options, show_progress=False, earlier=plan.Earlier(known), folder=own)
            planned.check(options.strict)
            layout = folders.lay_out(folder, planned, options)
            _write_own(parts, layout, options, number, count)
        return _complete(folder, parts, planned, options, layout)


def _check_whole(folder, options):
    manifest = manifests.read_manifest(folder)
    if manifest.options != options.identity():
        raise errors.DatasetError(
            f"{folder}: holds the result of a conversion with other options",
            fix="name another folder with --output_dir",
        )
    console.say(f"{folder}: all jobs have finished")
    return result.read_result(folder, manifest=manifest)


def _claim(folder, parts, identity):
    """Marks the folder for these jobs, or sees that it is marked for them already."""
    path = parts / "options.json"
    if not path.exists():
        own = result.list_own(folder)
        if own:
            raise errors.DatasetError(
                f"{folder}: holds {own[0].name}, which these jobs did not write",
                expected="an empty folder",
                fix="name another folder with --output_dir",
            )
        storage.write_json(path, identity)
        storage.write_text(folder / result.UNFINISHED, "being converted by several jobs; removed at the end\n")
    found = storage.read_json(path)
    if found != identity:
        differing = sorted(name for name in {*found, *identity} if found.get(name) != identity.get(name))
        raise errors.DatasetError(
            f"{folder}: other jobs share it with other options",
            expected="; ".join(f"{name} {found.get(name)!r}" for name in differing),
            received="; ".join(f"{name} {identity.get(name)!r}" for name in differing),
            fix="start all jobs with the same flags, or name another folder with --output_dir",
        )


def _look(parts, options, identity, number, count):
    """Looks at this job's part, once; returns the `entry_store.Notes` of all parts, None while some are missing."""
    own = parts / f"looked-{number}-of-{count}.jsonl"
    if not own.exists():
        label_map = label_maps.read_label_map(options.label_map) if options.label_map else None
        check_options = checks.CheckOptions(options.swap_inverted, options.drop_unknown_classes)
        source = options.make_source()
        look = examine.make_look_options(source, label_map, check_options, options.validate == plan.FULL)
        found = discover.look_at_share(source, look, number - 1, count, options.num_workers)
        entry_store.write_notes(own, identity, found)
        console.say(f"job {number} of {count}: its part of the annotation files and their images is looked at")
    known, missing = entry_store.Notes(str(parts)), []
    for other in range(1, count + 1):
        is_there = known.add(parts / f"looked-{other}-of-{count}.jsonl", identity)
        missing += [] if is_there else [other]
    if missing:
        numbers = ", ".join(str(other) for other in missing[:10]) + (", ..." if len(missing) > 10 else "")
        console.say(f"waiting for the first part of job {numbers}: start this job once more when they have ended")
        return None
    return known


def _write_own(parts, layout, options, number, count):
    """Writes this job's shards, once."""
    own = parts / f"written-{number}-of-{count}.json"
    if own.exists():
        return
    shards = layout.shards[number - 1 :: count]
    with console.Progress("records written", sum(map(len, shards))) as progress:
        storage.write_json(own, list(writer.write_shards(shards, options.num_workers, progress)))


def _complete(folder, parts, planned, options, layout):
    """Adds what stands beside the records when all shards are written; the first job to see that does it."""
    count = storage.read_json(parts / "options.json")["jobs"]
    paths = [parts / f"written-{number}-of-{count}.json" for number in range(1, count + 1)]
    missing = [number for number, path in enumerate(paths, start=1) if not path.exists()]
    if missing:
        console.say(f"this job is done; {len(missing)} of {count} have shards to write")
        return None
    with storage.hold(folder), console.process_log(folder / result.LOG):
        if (folder / manifests.NAME).exists():
            return _check_whole(folder, options)
        results = [None] * len(layout.shards)
        for number, path in enumerate(paths):
            results[number::count] = [_to_result(*pair) for pair in storage.read_json(path)]
        folders.say_findings(planned.findings)
        made = folders.complete(folder, planned, options, folders.collect(layout, results))
        shutil.rmtree(parts)
        result.finish(folder)
        return made


def _to_result(shard, encoded):
    return shard, {int(member): digest for member, digest in encoded.items()}
