"""Imports and exports annotations with a report: implements the verbs `import` and `export-annotations`."""

import os

from tfodhelper import console, errors, provenance, spelling
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import plan, report
from tfodhelper.dataset.split.split import TEST, TRAIN, VALIDATE
from tfodhelper.formats import exporting, importing
from tfodhelper.formats.options import COCO, CSV, LABELME, NONE, PICTURES, RECORDS, YOLO

_SEPARATE = (COCO, CSV, RECORDS, LABELME, PICTURES)  # formats with files of their own for each side
# Flags that concern some formats only: {flag: (name of the option, the formats, what to do instead)}.
_LIMITED = {
    "val_input": ("val_input", _SEPARATE, "name the folders of the sides in data.yaml"),
    "test_input": ("test_input", _SEPARATE, "name the folders of the sides in data.yaml"),
    "image_dir": ("image_dir", importing.FORMATS, "leave it out: records contain their images"),
    "classes": ("classes", (YOLO, RECORDS, PICTURES), "leave it out: this format names its classes itself"),
}


def import_annotations(options):
    """Imports annotations and reports the findings.

    Args:
      options: an `ImportOptions`.

    Returns:
      An `import_result.ImportResult`.

    Raises:
      UsageError: an option that does not concern the format.
      AnnotationError, DatasetError, StorageError: see `importing.import_set` and `tfrecord.import_records`.
    """
    _refuse_idle(options)
    maker = provenance.of_command("import", options, "output_dir")
    inputs = {TRAIN: options.input, VALIDATE: options.val_input, TEST: options.test_input}
    inputs = {side: os.fspath(text) for side, text in inputs.items() if text}
    if options.format_ == RECORDS:
        from tfodhelper.formats import tfrecord

        label_map = label_maps.read_label_map(options.classes) if options.classes else None
        made = tfrecord.import_records(inputs, options.output_dir, label_map, maker)
    else:
        paths_of = {side: text.split(",") for side, text in inputs.items()}
        made = importing.import_set(
            *(options.format_, paths_of, options.output_dir, options.image_dir, options.classes),
            *(options.images, maker),
        )
    for line in report.format_findings(made.findings, options.max_shown):
        console.say(line)
    console.say("")
    console.say(console.format_table(("NAME", "Boxes"), made.counts.items(), numbers=(1,)))
    console.say("")
    extras = [spelling.count(made.num_masks, "mask")] if made.num_masks else []
    extras += [spelling.count(made.num_weighted, "weight")] if made.num_weighted else []
    extras = f" ({', '.join(extras)})" if extras else ""
    console.say(
        f"{spelling.count(made.num_images, 'image')}, {spelling.count(made.num_boxes, 'box')}{extras}, "
        f"{spelling.count(made.num_negatives, 'image')} without objects in {made.output_dir}; "
        f"left out: {spelling.count(made.num_left_out, 'image')}; "
        f"not listed and not imported: {spelling.count(len(made.unlisted), 'image')}"
    )
    return made


def _refuse_idle(options):
    """Raises for options that would change nothing for this format."""
    for flag, (name, formats, fix) in _LIMITED.items():
        if getattr(options, name) is not None and options.format_ not in formats:
            problem = f"--{flag} cannot be combined with --from={options.format_}"
            raise errors.UsageError(problem, expected="--from=" + " or ".join(formats), fix=fix)
    if options.format_ == RECORDS and options.images == NONE:
        problem = "--images=none cannot be combined with --from=records"
        raise errors.UsageError(problem, fix="leave it out: the images of records are in no other file")


def export_annotations(options):
    """Exports a dataset to another format and reports its content.

    Args:
      options: an `ExportAnnotationsOptions`.

    Returns:
      An `exporting.ExportResult`.

    Raises:
      UsageError, AnnotationError, DatasetError, StorageError: the dataset or a folder cannot be used.
    """
    options = options.located()
    maker = provenance.of_command("export-annotations", options, "output_dir")
    planned = plan.make_plan(options)
    for line in report.format_report(planned, options.max_shown):
        console.say(line)
    planned.check(options.strict)
    made = exporting.export_set(planned, options.to, options.output_dir, options.images, maker)
    header = ("Side", "Images", "Boxes", "Images without objects", "Files")
    rows = [
        (side.side, side.num_images, side.num_boxes, side.num_negatives, ", ".join(side.files)) for side in made.sides
    ]
    console.say("")
    console.say(console.format_table(header, rows, numbers=(1, 2, 3)))
    console.say("")
    console.say(f"written to {options.output_dir}; {_describe_losses(options.to, made)}")
    return made


def _describe_losses(format_, made):
    """What the format cannot represent of this set, with counts."""
    lost = ", ".join(spelling.count(number, noun) for noun, number in made.lost.items())
    parts = [f"not kept by {format_}: {lost}" if lost else "nothing of this set is lost in this format"]
    if format_ == COCO:
        parts.append("difficult, truncated, pose, verified and weights are under keys that other readers ignore")
    if made.label_map:
        parts.append(f"the ids of the classes are in {made.label_map} only; convert reads it with --label_map")
    return "; ".join(parts)
