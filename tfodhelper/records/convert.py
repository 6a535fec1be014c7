"""Images and LabelImg XML to sharded records, lists, label map and manifest: what the verb `convert` does."""

from tfodhelper import console, errors, storage
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset import plan
from tfodhelper.dataset.scan import examine
from tfodhelper.dataset.scan.entry_store import read_notes
from tfodhelper.outofcore import workers
from tfodhelper.records import folder as folders
from tfodhelper.records import jobs, result, update, writer
from tfodhelper.records.options import ConvertOptions

__all__ = ["ConvertOptions", "convert"]


def convert(options):
    """Converts a set of annotated images.

    Args:
      options: a `ConvertOptions`.

    Returns:
      A `result.ConvertResult`; None for one of several jobs as long as others have not finished.

    Raises:
      UsageError, DatasetError, AnnotationError: an input that cannot be used.
      StorageError: a full disk, a folder that cannot be written or that another process holds.
    """
    options.check_early()
    folder = storage.make_folder(options.output_dir)
    if options.shard:
        return jobs.convert_share(folder, options, *plan.parse_part(options.shard, "--shard"))
    with storage.hold(folder), console.process_log(folder / result.LOG), workers.kept_workers():
        update.recover(folder)
        if (folder / manifests.NAME).exists():
            return _reuse(folder, options)
        result.begin(folder)
        with console.phase("convert"), workers.rare_collections():
            made = _convert(folder, options)
        result.finish(folder)
        return made


def _reuse(folder, options):
    """A second start on a whole folder: the same input is said to be done; another one is an update, or refused."""
    manifest = manifests.read_manifest(folder)
    given, source = options.identity(), options.make_source()
    differing = [name for name in given if manifest.options.get(name) != given[name]]
    if differing:
        what = ", ".join(f"--{name.removesuffix('_sha256')}" for name in differing)
        received = ", ".join(f"{name} {given[name]} (was {manifest.options.get(name)})" for name in differing)
        raise _other_work(folder, f"options differ: {what}", received)
    known = read_notes(folder / result.NOTES, given)
    if examine.fingerprint_of(source, known, options.num_workers, folder) != manifest.fingerprint:
        if options.update:
            with console.phase("update"):
                return update.update(folder, options, manifest, known)
        fix = "--update converts what is new or changed; or name another folder with --output_dir"
        raise _other_work(folder, "the images or annotation files differ", f"{source.image_dir} as it is now", fix)
    found = result.read_result(folder, manifest=manifest)
    result.finish(folder)
    console.say(f"{folder}: converted before from the same files with the same options; it is used as it is")
    return found


def _other_work(folder, why, received, fix=None):
    return errors.DatasetError(
        f"{folder}: holds the result of another conversion ({why})",
        expected="the same files and options as then, or an empty folder",
        received=received,
        fix=fix or "name another folder with --output_dir, or remove this one",
    )


def _convert(folder, options):
    planned = plan.make_plan(options, folder=folder)
    folders.say_findings(planned.findings)
    planned.check(options.strict)
    layout = folders.lay_out(folder, planned, options)
    folders.check_space(folder, layout.num_bytes)
    with console.Progress("records written", layout.num_records) as progress:
        written = writer.write_shards(layout.shards, options.num_workers, progress)
        content = folders.collect(layout, written)
    return folders.complete(folder, planned, options, content)
