"""Statistics of a dataset as tables and images: implements the verb `stats`."""

from tfodhelper import console, sheets, spelling, storage
from tfodhelper.dataset import plan
from tfodhelper.dataset.analysis import (
    anchor_clusters,
    box_statistics,
    class_distances,
    mask_statistics,
    weight_statistics,
)
from tfodhelper.dataset.scan import examine


def describe_set(options, extract=None):
    """Computes the statistics of a dataset, prints them, and writes them if a folder is given.

    Args:
      options: a `StatsOptions`.
      extract: a function from (images, objects per class, seed) to ([n, D] features, n class names), to measure the
        distances of classes; None to skip this.

    Raises:
      UsageError, DatasetError, AnnotationError: the dataset cannot be used, or has findings that `strict` rejects.
    """
    folder = storage.make_folder(options.output_dir) if options.output_dir else None
    planned = plan.make_plan(options.located())
    plan.warn_of_unused_folders(planned)
    if options.strict:
        examine.check_strict(planned.findings)
    table = box_statistics.make_table(planned)
    tables = {
        "splits": (box_statistics.SPLIT_HEADER, box_statistics.describe_splits(table)),
        "classes": (box_statistics.CLASS_HEADER, box_statistics.describe_classes(table)),
    }
    if mask_rows := mask_statistics.describe(planned):
        tables["masks"] = (mask_statistics.HEADER, mask_rows)
    if weight_rows := weight_statistics.describe(planned):
        tables["weights"] = (weight_statistics.HEADER, weight_rows)
    for header, rows in tables.values():
        console.say("")
        console.say(box_statistics.format_rows(header, rows))
    class_names, together = box_statistics.count_together(table)
    rows = [(name, *counts) for name, counts in zip(class_names, together.tolist())]
    tables["together"] = (("class", *class_names), rows)
    advice = anchor_clusters.advise(table.fractions, options.seed)
    tables["anchors"] = _say_anchors(advice, options.num_anchors)
    distances = None
    if extract is not None:
        tables["distances"], distances = _measure_distances(options, planned, extract)
    if folder is not None:
        _write(folder, tables, table, advice, distances)


def _say_anchors(advice, num_anchors):
    """Prints the anchors; returns (header, rows) of their sheet."""
    if not advice:
        return ("anchors", "mean_iou", "shapes"), []
    rows = []
    for k, clusters in advice.items():
        shapes = " ".join(f"{width:.3f}x{height:.3f}" for width, height in clusters.shapes)
        rows.append((k, round(clusters.mean_iou, 4), shapes))
    console.say("")
    console.say(console.format_table(("anchors", "mean IoU"), [row[:2] for row in rows], numbers=(0, 1)))
    shapes = advice[num_anchors].shapes
    console.say("")
    console.say(f"for a pipeline.config, from {spelling.count(len(shapes), 'anchor')}:")
    console.say(anchor_clusters.to_ssd_config(shapes))
    console.say(anchor_clusters.to_grid_config(shapes))
    return ("anchors", "mean_iou", "width_x_height"), rows


def _measure_distances(options, planned, extract):
    """Prints the distances; returns ((header, rows) of their sheet, (class names, matrix))."""
    vectors, labels = extract(planned.examination.images, options.objects_per_class, options.seed)
    names, matrix = class_distances.mean_distances(vectors, labels)
    header = ("class", "within", "nearest class", "distance", "mean distance")
    rows = [
        tuple(f"{cell:.4f}" if isinstance(cell, float) else cell for cell in row)
        for row in class_distances.summarize(names, matrix)
    ]
    console.say("")
    console.say(f"distance of features (1 - cosine) of {spelling.count(len(labels), 'object')}:")
    console.say(console.format_table(header, rows, numbers=(1, 3, 4)))
    table = [(name, *(round(float(value), 6) for value in row)) for name, row in zip(names, matrix)]
    return (("class", *names), table), (names, matrix)


def _write(folder, tables, table, advice, distances):
    from tfodhelper.dataset.analysis import plots  # matplotlib takes a second to import

    for name, (header, rows) in tables.items():
        sheets.write_csv(folder / f"{name}.csv", header, rows)
    written = plots.write_plots(folder, table, advice)
    if distances is not None:
        written.append(plots.write_distances(folder / "distances.png", *distances))
    console.say("")
    console.say(f"{folder}: {', '.join(f'{name}.csv' for name in tables)}; {', '.join(p.name for p in written)}")
