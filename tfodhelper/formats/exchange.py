"""Imports and exports annotations with a report: implements the verbs `import` and `export-annotations`."""

import os

from tfodhelper import console
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import plan, report
from tfodhelper.formats import exporting, importing
from tfodhelper.formats.options import RECORDS


def import_annotations(options):
    """Imports annotations and reports the findings.

    Args:
      options: an `ImportOptions`.

    Returns:
      An `importing.ImportResult`.

    Raises:
      UsageError, AnnotationError, DatasetError, StorageError: see `importing.import_set`.
    """
    if options.format_ == RECORDS:
        from tfodhelper.formats import tfrecord

        label_map = label_maps.read_label_map(options.classes) if options.classes else None
        made = tfrecord.import_records(os.fspath(options.input), options.output_dir, label_map)
    else:
        paths, val_paths = (os.fspath(text).split(",") if text else [] for text in (options.input, options.val_input))
        made = importing.import_set(
            options.format_, paths, options.output_dir, val_paths, options.image_dir, options.classes, options.images
        )
    for line in report.format_findings(made.findings, options.max_shown):
        console.say(line)
    console.say("")
    console.say(console.format_table(("NAME", "Boxes"), made.counts.items(), numbers=(1,)))
    console.say("")
    console.say(
        f"{made.num_images} images, {made.num_boxes} boxes, {made.num_negatives} images without objects "
        f"in {made.output_dir}; not listed and not imported: {len(made.unlisted)} images"
    )
    return made


def export_annotations(options):
    """Exports a dataset to another format and reports its content.

    Args:
      options: an `ExportAnnotationsOptions`.

    Raises:
      UsageError, AnnotationError, DatasetError, StorageError: the dataset or a folder cannot be used.
    """
    planned = plan.make_plan(options)
    for line in report.format_report(planned, options.max_shown):
        console.say(line)
    planned.check(options.strict)
    counts = exporting.export_set(planned, options.to, options.output_dir, options.images)
    console.say(", ".join(f"{side} {count} images" for side, count in counts.items()) + f" in {options.output_dir}")
    console.say(f"not kept by this format: {exporting.LOST[options.to]}")
