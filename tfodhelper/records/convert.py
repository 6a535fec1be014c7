"""Converts images and LabelImg XML to sharded records, lists, label map and manifest: implements `convert`."""

from tfodhelper import console, errors, storage
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset import plan
from tfodhelper.dataset.scan import examine
from tfodhelper.dataset.scan.scan_notes import read_notes
from tfodhelper.outofcore import workers
from tfodhelper.records import folder as folders
from tfodhelper.records import jobs, result, update, writer
from tfodhelper.records.options import ConvertOptions

__all__ = ["ConvertOptions", "convert"]


def convert(options):
    """Converts a dataset of annotated images.

    Args:
      options: a `ConvertOptions`.

    Returns:
      A `result.ConvertResult`, or None for one of several jobs if others have not finished.

    Raises:
      UsageError, DatasetError, AnnotationError: an input cannot be used.
      StorageError: the disk is full, or the folder cannot be written or is in use by another process.
    """
    options = options.located()
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
    """Handles a complete folder: the same input is already done; another input is an update, or is rejected."""
    manifest = manifests.read_manifest(folder)
    given, source = options.identity(), options.make_source()
    differing = [name for name in manifest.options | given if manifest.options.get(name) != given.get(name)]
    if differing:
        flags = ", ".join(f"--{name.removesuffix('_sha256')}" for name in differing)
        received = ", ".join(f"{name} {given.get(name)} (was {manifest.options.get(name)})" for name in differing)
        raise _other_conversion(folder, f"different options: {flags}", received)
    known = read_notes(folder / result.NOTES, given)
    if known is None:
        console.say(f"{folder / result.NOTES}: missing, changed or of a different version; all images are read again")
    if examine.fingerprint_of(source, known, options.num_workers, folder) != manifest.fingerprint:
        if options.update:
            with console.phase("update"):
                return update.update(folder, options, manifest, known)
        fix = "use --update to convert new and changed images, or another folder for --output_dir"
        raise _other_conversion(folder, "different images or annotation files", f"{source.image_dir} as it is now", fix)
    existing = result.read_result(folder, manifest=manifest)
    result.finish(folder)
    console.say(f"{folder}: already converted from the same files with the same options; nothing to do")
    return existing


def _other_conversion(folder, reason, received, fix=None):
    return errors.DatasetError(
        f"{folder}: contains the result of another conversion ({reason})",
        expected="the same files and options as before, or an empty folder",
        received=received,
        fix=fix or "use another folder for --output_dir, or remove this one",
    )


def _convert(folder, options):
    planned = plan.make_plan(options, folder=folder)
    folders.report_findings(planned.findings, options)
    planned.check(options.strict)
    layout = folders.lay_out(folder, planned, options)
    folders.check_space(folder, layout.num_bytes)
    with console.Progress("records written", layout.num_records) as progress:
        written = writer.write_shards(layout.shards, options.num_workers, progress)
        content = folders.collect(layout, written)
    return folders.complete(folder, planned, options, content)
