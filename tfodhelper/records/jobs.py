"""One conversion shared by several jobs, such as the array jobs of a batch system: `--shard=i/n`.

All jobs get the same command except for their number, and share one output folder. Each job first scans its part of
the files and stores the result; when all parts exist, the jobs make the same plan from them, and each writes its part
of the shards; the job that finds all shards written adds the manifest. No job waits for another: a job that cannot
continue says so and ends, and must be started again. The result is byte-identical to that of a single conversion.
"""

import shutil

from tfodhelper import console, errors, spelling, state_files, storage
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset import plan
from tfodhelper.dataset.scan import discover, examine, scan_notes
from tfodhelper.records import folder as folders
from tfodhelper.records import result, writer

_OPTIONS_FORM = state_files.StateForm(
    "the options of several jobs", {"jobs": int}, "remove the output folder and start all jobs again"
)


def convert_share(folder, options, number, count):
    """Does the work of one job, as far as the progress of the other jobs allows.

    Args:
      folder: the output folder as pathlib.Path.
      options: a `ConvertOptions`.
      number: 1-based number of this job.
      count: number of jobs.

    Returns:
      A `result.ConvertResult` if the folder is complete, else None.

    Raises:
      DatasetError: the folder contains something else.
    """
    storage.check_no_link(folder / result.PARTS)
    parts = storage.make_own_folder(folder / result.PARTS / f"{number}-of-{count}").parent
    with storage.hold(parts / f"{number}-of-{count}"), console.process_log(folder / f"process-{number}-of-{count}.log"):
        if (folder / manifests.NAME).exists():
            shutil.rmtree(parts)
            return _read_complete(folder, options)
        identity = options.identity() | {"jobs": count}
        _claim(folder, parts, identity)
        known = _scan(parts, options, identity, number, count)
        if known is None:
            return None
        with console.phase(f"convert, job {number} of {count}"):
            own = parts / f"{number}-of-{count}"
            planned = plan.make_plan(options, show_progress=False, previous=plan.PreviousConversion(known), folder=own)
            planned.check(options.strict)
            layout = folders.lay_out(folder, planned, options)
            _write_own(parts, layout, options, number, count)
        return _complete(folder, parts, planned, options, layout)


def _read_complete(folder, options):
    manifest = manifests.read_manifest(folder)
    if manifest.options != options.identity():
        raise errors.DatasetError(
            f"{folder}: contains the result of a conversion with different options",
            fix="use another folder for --output_dir",
        )
    console.say(f"{folder}: all jobs have finished")
    return result.read_result(folder, manifest=manifest)


def _claim(folder, parts, identity):
    """Marks the folder as used by these jobs, or checks that it already is."""
    path = parts / "options.json"
    if not path.exists():
        own = result.list_own(folder)
        if own:
            raise errors.DatasetError(
                f"{folder}: contains {own[0].name}, which these jobs did not write",
                expected="an empty folder",
                fix="use another folder for --output_dir",
            )
        storage.write_json(path, identity)
        storage.write_text(folder / result.UNFINISHED, "being converted by several jobs; removed at the end\n")
    claimed = state_files.read_state(path, _OPTIONS_FORM)
    if claimed != identity:
        differing = sorted(name for name in {*claimed, *identity} if claimed.get(name) != identity.get(name))
        raise errors.DatasetError(
            f"{folder}: other jobs use it with different options",
            expected="; ".join(f"{name} {claimed.get(name)!r}" for name in differing),
            received="; ".join(f"{name} {identity.get(name)!r}" for name in differing),
            fix="start all jobs with the same flags, or use another folder for --output_dir",
        )


def _scan(parts, options, identity, number, count):
    """Scans this job's part, once; returns the `scan_notes.Notes` of all parts, or None if some are missing."""
    own = parts / f"looked-{number}-of-{count}.jsonl"
    if not own.exists():
        label_map = label_maps.read_label_map(options.label_map) if options.label_map else None
        source, check_options = options.make_source(), options.make_check_options()
        scan_options = examine.make_scan_options(source, label_map, check_options, options.validate == plan.FULL)
        batches = discover.scan_share(source, scan_options, number - 1, count, options.num_workers)
        scan_notes.write_notes(own, identity, batches)
        console.say(f"job {number} of {count}: scanned its part of the annotation files and images")
    known, missing = scan_notes.Notes(str(parts)), []
    for other in range(1, count + 1):
        exists = known.add(parts / f"looked-{other}-of-{count}.jsonl", identity)
        missing += [] if exists else [other]
    if missing:
        numbers = ", ".join(str(other) for other in missing[:10]) + (", ..." if len(missing) > 10 else "")
        console.say(f"job {numbers} has not scanned its part yet: start this job again when it has ended")
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
    """Writes the other files when all shards are written; this is done by the first job that finds them."""
    count = state_files.read_state(parts / "options.json", _OPTIONS_FORM)["jobs"]
    paths = [parts / f"written-{number}-of-{count}.json" for number in range(1, count + 1)]
    missing = [number for number, path in enumerate(paths, start=1) if not path.exists()]
    if missing:
        console.say(f"this job is done; {len(missing)} of {spelling.count(count, 'job')} still have shards to write")
        return None
    with storage.hold(folder), console.process_log(folder / result.LOG):
        if (folder / manifests.NAME).exists():
            return _read_complete(folder, options)
        results = [None] * len(layout.shards)
        for number, path in enumerate(paths):
            results[number::count] = [_to_result(*pair) for pair in storage.read_json(path)]
        folders.report_findings(planned.findings, options)
        made = folders.complete(folder, planned, options, folders.collect(layout, results))
        shutil.rmtree(parts)
        result.finish(folder)
        return made


def _to_result(shard, encoded):
    return shard, {int(member): digest for member, digest in encoded.items()}
