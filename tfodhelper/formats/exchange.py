"""Imports and exports annotations with a report: implements the verbs `import` and `export-annotations`."""

import os

from tfodhelper import console, errors, provenance, spelling
from tfodhelper.annotations import image_search
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import plan, report
from tfodhelper.dataset.split.split import TEST, TRAIN, VALIDATE
from tfodhelper.formats import annotation_tools, exporting, importing, suggestions
from tfodhelper.formats.options import COCO, CSV, CVAT, LABEL_STUDIO, LABELME, NONE, PICTURES, RECORDS, YOLO

_SEPARATE = (COCO, CSV, RECORDS, LABELME, PICTURES, LABEL_STUDIO, CVAT)  # formats with files of their own for each side
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
    if made.num_predicted:
        console.say(
            f"predictions for {spelling.count(made.num_predicted, 'image')} in "
            f"{made.output_dir / suggestions.DETECTIONS}"
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
    made = _export(options, maker)
    for line in report.format_findings(made.findings, options.max_shown) if made.findings else ():
        console.say(line)
    header = ("Side", "Images", "Boxes", "Images without objects", "Files")
    rows = [
        (side.side, side.num_images, side.num_boxes, side.num_negatives, ", ".join(side.files)) for side in made.sides
    ]
    console.say("")
    console.say(console.format_table(header, rows, numbers=(1, 2, 3)))
    console.say("")
    console.say(f"written to {options.output_dir}; {_describe_losses(options.to, made)}")
    return made


def _export(options, maker):
    is_for_tool, image_dir = options.to in annotation_tools.FORMATS, options.data_dir or options.image_dir
    suggested = annotation_tools.Suggested(options.predictions, image_dir) if is_for_tool else None
    if options.predictions is not None and not _has_annotations(options):
        label_map = label_maps.read_label_map(options.label_map) if options.label_map else None
        return exporting.export_drafts(
            *(image_dir, suggested, options.to, options.output_dir, label_map, options.images),
            *(options.image_url, maker),
        )
    planned = plan.make_plan(options)
    for line in report.format_report(planned, options.max_shown):
        console.say(line)
    planned.check(options.strict)
    if is_for_tool:
        return exporting.export_to_tool(
            *(planned, suggested, options.to, options.output_dir, options.images, options.image_url, maker)
        )
    return exporting.export_set(planned, options.to, options.output_dir, options.images, maker)


def _has_annotations(options):
    folder = options.data_dir or options.annotation_dir
    return folder is None or any(kind == image_search.XML for kind, _ in image_search.search(folder, lambda _: None))


def _describe_losses(format_, made):
    """What the format cannot represent of this set, with counts."""
    lost = ", ".join(spelling.count(number, noun) for noun, number in made.lost.items())
    parts = [f"not kept by {format_}: {lost}" if lost else "nothing of this set is lost in this format"]
    if format_ == COCO:
        parts.append("difficult, truncated, pose, verified and weights are under keys that other readers ignore")
    if format_ == LABEL_STUDIO:
        parts.append(
            f"set up the project with {annotation_tools.CONFIG}, so that it knows classes, difficult, truncated"
        )
    if format_ == CVAT:
        parts.append(f"make the task with the labels in {annotation_tools.LABELS}, so that it knows their attributes")
    if made.label_map:
        parts.append(f"the ids of the classes are in {made.label_map} only; convert reads it with --label_map")
    return "; ".join(parts)
