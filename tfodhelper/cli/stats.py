"""what a set looks like: classes, boxes, sizes, shapes, classes seen together, anchors

    tfodhelper stats --data_dir=FOLDER --output_dir=stats

Counts images, boxes and classes per side of the split, boxes per image and class, sizes (small is below 32 x 32
pixels), boxes beyond 4:1 and 1:4 ("twisted"), the share of the image that objects take, and which classes are seen
together; advises on anchors by k-means with 1 - IoU. With --output_dir all of it goes into CSV files and pictures, too.

With --features, a folder with pipeline.config and a checkpoint or a SavedModel that gives features, the distance
(1 - cosine) of objects within and between classes is measured; only that needs TensorFlow.
"""

from absl import flags

from tfodhelper import console, storage
from tfodhelper.cli import flagging


def define_flags(fv):
    """Defines the flags of this verb."""
    flagging.define_data_flags(fv)
    flagging.define_seed(fv)
    flagging.define_check_flags(fv)
    flagging.define_reading(fv, "header")
    text = "Checkpoint folder or SavedModel whose features tell how far classes are apart."
    flagging.define_path(fv, "features", None, text)
    text = "Objects of each class that --features looks at."
    flags.DEFINE_integer("objects_per_class", 200, text, 2, flag_values=fv)
    flags.DEFINE_integer("num_anchors", 6, "Anchors of the text for the configuration.", 1, 15, flag_values=fv)
    flagging.define_output_dir(fv, "Folder for tables (CSV) and pictures; nothing is written when left out.")


def main(fv, args):
    """Runs the verb."""
    from tfodhelper.dataset import plan
    from tfodhelper.dataset.analysis import anchor_clusters, box_statistics

    flagging.refuse_arguments(args)
    folder = storage.make_folder(fv.output_dir) if fv.output_dir else None
    names = [field for field in plan.SetOptions.__dataclass_fields__ if field in fv]
    planned = plan.make_plan(plan.SetOptions(**{name: fv[name].value for name in names}))
    table = box_statistics.make_table(planned)
    sheets = {
        "splits": (box_statistics.SPLIT_HEADER, box_statistics.describe_splits(table)),
        "classes": (box_statistics.CLASS_HEADER, box_statistics.describe_classes(table)),
    }
    for header, rows in sheets.values():
        console.say("")
        console.say(box_statistics.format_rows(header, rows))
    class_names, together = box_statistics.count_together(table)
    rows = [(name, *counts) for name, counts in zip(class_names, together.tolist())]
    sheets["together"] = (("class", *class_names), rows)
    advice = anchor_clusters.advise(table.fractions, fv.seed)
    sheets["anchors"] = _say_anchors(advice, fv.num_anchors)
    if fv.features:
        sheets["distances"], matrix = _measure_distances(fv, planned)
    if folder is not None:
        _write(folder, sheets, table, advice, matrix if fv.features else None)
    data = (
        f"--data_dir={fv.data_dir}"
        if fv.data_dir
        else f"--image_dir={fv.image_dir} --annotation_dir={fv.annotation_dir}"
    )
    console.say_next(f"tfodhelper convert {data} --output_dir=data")


def _say_anchors(advice, num_anchors):
    from tfodhelper.dataset.analysis import anchor_clusters

    if not advice:
        return ("anchors", "mean_iou", "shapes"), []
    rows = []
    for k, found in advice.items():
        shapes = " ".join(f"{width:.3f}x{height:.3f}" for width, height in found.shapes)
        rows.append((k, round(found.mean_iou, 4), shapes))
    console.say("")
    console.say(console.format_table(("anchors", "mean IoU"), [row[:2] for row in rows], numbers=(0, 1)))
    shapes = advice[num_anchors].shapes
    console.say("")
    console.say(f"for a pipeline.config, from {len(shapes)} anchors:")
    console.say(anchor_clusters.to_ssd_config(shapes))
    console.say(anchor_clusters.to_grid_config(shapes))
    return ("anchors", "mean_iou", "width_x_height"), rows


def _measure_distances(fv, planned):
    from tfodhelper import tensorflow_setup

    tensorflow_setup.quiet_tensorflow()
    from tfodhelper import features
    from tfodhelper.dataset.analysis import class_distances

    extract = features.build_extractor(fv.features)
    vectors, labels = features.extract_features(extract, planned.examination.images, fv.objects_per_class, fv.seed)
    names, matrix = class_distances.mean_distances(vectors, labels)
    header = ("class", "within", "nearest class", "distance", "mean distance")
    rows = [
        tuple(f"{cell:.4f}" if isinstance(cell, float) else cell for cell in row)
        for row in class_distances.summarize(names, matrix)
    ]
    console.say("")
    console.say(f"distance of features (1 - cosine) of {len(labels)} objects:")
    console.say(console.format_table(header, rows, numbers=(1, 3, 4)))
    table = [(name, *(round(float(value), 6) for value in row)) for name, row in zip(names, matrix)]
    return (("class", *names), table), (names, matrix)


def _write(folder, sheets, table, advice, distances):
    from tfodhelper.dataset.analysis import box_statistics, plots
    from tfodhelper.render import figures

    for name, (header, rows) in sheets.items():
        box_statistics.write_csv(folder / f"{name}.csv", header, rows)
    written = plots.write_plots(folder, table, advice)
    if distances is not None:
        names, matrix = distances
        limits = (0, max(0.01, float(matrix[matrix == matrix].max(initial=0.01))))
        figure = plots.plot_matrix(names, matrix, "distance of features, 1 - cosine", "{:.2f}", limits)
        written.append(figures.save(folder / "distances.png", figure))
    console.say("")
    console.say(f"{folder}: {', '.join(f'{name}.csv' for name in sheets)}; {', '.join(p.name for p in written)}")
