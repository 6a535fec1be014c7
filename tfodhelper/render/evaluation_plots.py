"""The figures of evaluations and of labelled sets as pictures; values are those of `metrics.analysis_file.SHAPE`."""

import numpy as np

from tfodhelper import spelling
from tfodhelper.render import figures, palette

_MOST_CLASSES = 20  # lines of single classes in one picture; the table has all
_MOST_CELLS = 40  # classes up to which a confusion matrix is readable
_CELL_TEXT = 16  # classes up to which its cells have numbers
_BINS = 40
_CURVES = {"precision": "precision", "recall": "recall", "f1": "F1"}


def _numbers(values):
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _shown_classes(analysis):
    """Positions of the classes with the most objects, in the order of the label map."""
    counts = [-entry["num_objects"] for entry in analysis["per_class"]]
    return sorted(np.argsort(counts, kind="stable")[:_MOST_CLASSES].tolist())


@figures.style()
def plot_precision_recall(analysis):
    """Precision over recall at an overlap of 0.5, of each class and their mean."""
    figure = figures.new_figure(7.5, 5)
    axes = figure.subplots()
    _plot_classes(axes, analysis, "recall_level", "precision_at_recall", "ap50")
    axes.set(
        xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="precision over recall, overlap 0.5"
    )
    _finish(axes)
    return figure


@figures.style()
def plot_over_threshold(analysis, name):
    """Precision, recall or F1 over the score threshold, of each class and of all objects.

    Args:
      analysis: values of `metrics.analysis_file.SHAPE`.
      name: "precision", "recall" or "f1".
    """
    figure = figures.new_figure(7.5, 5)
    axes = figure.subplots()
    _plot_classes(axes, analysis, "score", name, None)
    threshold = analysis["settings"]["score_threshold"]
    if threshold is not None:
        axes.axvline(threshold, color="black", linestyle="--", linewidth=1, label=f"best overall: {threshold:.2f}")
    title = f"{_CURVES[name]} over the score threshold, overlap 0.5"
    axes.set(xlabel="score threshold", ylabel=_CURVES[name], xlim=(0, 1), ylim=(0, 1.02), title=title)
    _finish(axes)
    return figure


def _plot_classes(axes, analysis, across, up, figure_name):
    curves = analysis["curves"]
    for position in _shown_classes(analysis):
        curve, entry = curves["per_class"][position], analysis["per_class"][position]
        label = figures.shorten_name(entry["name"])
        if figure_name is not None and entry[figure_name] is not None:
            label += f" {entry[figure_name]:.3f}"
        line = {**figures.class_line(entry["id"]), "marker": None, "linewidth": 1}
        axes.plot(_numbers(curve[across]), _numbers(curve[up]), label=label, **line)
    overall = curves["overall"]
    label = "all classes"
    if figure_name is not None and analysis["summary"][figure_name] is not None:
        label += f" {analysis['summary'][figure_name]:.3f}"
    axes.plot(_numbers(overall[across]), _numbers(overall[up]), label=label, color=palette.DARK, linewidth=2.5)


def _finish(axes):
    axes.grid()
    figures.place_legend_beside(axes)


@figures.style()
def plot_confusion(analysis, normalized):
    """Which class objects are found as; rows are the objects' classes.

    Args:
      analysis: values of `metrics.analysis_file.SHAPE`, with at most `_MOST_CELLS` classes; None for more.
      normalized: whether a row is divided by its sum.
    """
    labels = analysis["confusion"]["labels"]
    if len(labels) - 1 > _MOST_CELLS:
        return None
    matrix = np.array(analysis["confusion"]["matrix"], np.float64)
    if normalized:
        sums = matrix.sum(axis=1, keepdims=True)
        matrix = np.divide(matrix, sums, out=np.full_like(matrix, np.nan), where=sums > 0)
    side = min(3.4 + 0.55 * len(labels), 16)
    figure = figures.new_figure(side + 1.4, side)
    axes = figure.subplots()
    names = [figures.shorten_name(name) for name in labels]
    show = (lambda value: f"{value:.2f}" if normalized else f"{value:.0f}") if len(labels) <= _CELL_TEXT else None
    limits = (0, 1) if normalized else (0, max(1.0, float(matrix.max())))
    figures.draw_table(axes, matrix, [*names[:-1], "nothing there"], [*names[:-1], "missed"], show, limits=limits)
    axes.tick_params(axis="x", labelrotation=40)
    for label in axes.get_xticklabels():
        label.set(horizontalalignment="right", rotation_mode="anchor")
    threshold = analysis["confusion"]["score_threshold"]
    text = "share of each row" if normalized else "counts"
    at = "" if threshold is None else f", score {threshold:.2f}"
    axes.set(xlabel="found as", ylabel="object", title=f"confusion: {text}{at}")
    return figure


@figures.style()
def plot_errors(analysis):
    """The average precision that each kind of error costs, and how many there are."""
    kinds = analysis["errors"]["kinds"]
    figure = figures.new_figure(7.5, 0.9 + 0.45 * len(kinds))
    axes = figure.subplots()
    costs = [kind["delta_ap"] or 0.0 for kind in kinds.values()]
    axes.barh(range(len(kinds)), costs, color=palette.VERMILION)
    for position, (kind, cost) in enumerate(zip(kinds.values(), costs)):
        axes.annotate(
            f"{cost:.3f} ({kind['count']:,})", (cost, position), (4, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(kinds)), list(kinds))
    axes.invert_yaxis()
    axes.set(xlim=(0, max([*costs, 0.01]) * 1.3), xlabel="AP50 that is lost (number of errors)", title="errors by kind")
    axes.grid(axis="x")
    return figure


@figures.style()
def plot_sizes(analysis):
    """Objects that were found and missed, by their size."""
    histogram = analysis["sizes"]["histogram"]
    num_found, num_missed = (np.array(histogram[name], np.float64) for name in ("found", "missed"))
    labels = [f"{low:.0f} to {high:.0f}" for low, high in zip(histogram["edges"], histogram["edges"][1:])]
    figure = figures.new_figure(7.5, 4)
    axes = figure.subplots()
    places = np.arange(len(labels))
    axes.bar(places, num_found, color=palette.GREEN, label="found")
    look = {"color": palette.VERMILION, "hatch": "///", "edgecolor": "white"}
    axes.bar(places, num_missed, bottom=num_found, label="missed", **look)
    axes.set_xticks(places, labels, rotation=40, ha="right")
    axes.set(xlabel="size of the object (root of its area, pixels)", ylabel="objects", title="found and missed by size")
    figures.tick_whole_numbers(axes.yaxis, 8)
    axes.legend()
    axes.grid(axis="y")
    return figure


@figures.style()
def plot_calibration(analysis):
    """How often detections of a score are right."""
    calibration = analysis["calibration"]
    figure = figures.new_figure(7.5, 4)
    axes, counts = figure.subplots(1, 2)
    bins = calibration["bins"]
    middles = [(each["low"] + each["high"]) / 2 for each in bins]
    widths = [(each["high"] - each["low"]) * 0.9 for each in bins]
    axes.bar(middles, np.nan_to_num(_numbers(each["precision"] for each in bins)), widths, color=palette.BLUE)
    axes.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1)
    error = calibration["ece"]
    title = "calibration" if error is None else f"calibration: expected error {error:.3f}"
    axes.set(xlabel="score", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1), title=title)
    counts.bar(middles, [each["count"] for each in bins], widths, color=palette.SKY)
    counts.set(xlabel="score", ylabel="detections", xlim=(0, 1), title="how many")
    counts.set_yscale("symlog")
    for each in (axes, counts):
        each.grid()
    return figure


@figures.style()
def plot_labels(labels):
    """What the boxes of a set are: classes, positions, sizes, shapes.

    Args:
      labels: has `names`, `ids` (from 1) and `counts` [K] of classes; of at least one box, `boxes` [N, 4] ymin, xmin,
        ymax, xmax in parts of the image, and `roots_px` [N], the roots of their areas.
    """
    figure = figures.new_figure(11, 9)
    (classes, centers), (sizes, sides) = figure.subplots(2, 2)
    order = np.argsort(-labels.counts, kind="stable")[:_MOST_CELLS]
    colors = [palette.color_of(labels.ids[position]) for position in order.tolist()]
    num_classes, num_boxes = spelling.count(len(labels.names), "class"), spelling.count(len(labels.boxes), "box")
    classes.barh(range(len(order)), labels.counts[order], color=colors)
    classes.set_yticks(range(len(order)), [figures.shorten_name(labels.names[position]) for position in order])
    classes.invert_yaxis()
    classes.set(xlabel="boxes", title=f"boxes by class ({num_classes}, {num_boxes})")
    ymin, xmin, ymax, xmax = labels.boxes.T
    grid = [np.linspace(0, 1, _BINS + 1)] * 2
    centers.hist2d((xmin + xmax) / 2, (ymin + ymax) / 2, bins=grid, cmap="Blues")
    centers.set(xlabel="x", ylabel="y", title="centres, in parts of the image", xlim=(0, 1), ylim=(1, 0))
    sizes.hist2d(xmax - xmin, ymax - ymin, bins=grid, cmap="Blues")
    sizes.set(xlabel="width", ylabel="height", title="widths and heights, in parts of the image")
    sides.hist(labels.roots_px, bins=_BINS, color=palette.BLUE)
    for limit in (32, 96):
        sides.axvline(limit, color="black", linestyle="--", linewidth=1)
    sides.set(xlabel="root of the area, pixels (lines: 32 and 96)", ylabel="boxes", title="sizes")
    for axes in (classes, sides):
        axes.grid()
    return figure


@figures.style()
def plot_history(evaluations):
    """Losses and average precision of all evaluations of a training; see `training.curves` for the picture of a run.

    Args:
      evaluations: [(label, evaluations)], of one or several runs.
    """
    figure = figures.new_figure(11, 4)
    loss_axes, map_axes = figure.subplots(1, 2)
    for position, (label, records) in enumerate(evaluations):
        steps = [record["step"] for record in records]
        name = f"{figures.shorten_name(label)}: " if len(evaluations) > 1 else ""
        color = palette.SERIES[position % len(palette.SERIES)]
        for part, values, style in (
            ("training", [record.get("train", {}).get("Loss/total_loss") for record in records], "-"),
            ("validation", [record["metrics"].get("Loss/total_loss") for record in records], "--"),
        ):
            loss_axes.plot(steps, _numbers(values), style, marker="o", color=color, label=name + part)
        for tag, text, style in (("mAP", "mAP", "-"), ("mAP@.50IOU", "mAP@.50IOU", "--")):
            values = [record["metrics"].get(f"DetectionBoxes_Precision/{tag}") for record in records]
            map_axes.plot(steps, _numbers(values), style, marker="o", color=color, label=name + text)
    loss_axes.set(title="total loss", xlabel="step")
    map_axes.set(title="average precision", xlabel="step", ylim=(0, 1))
    for axes in (loss_axes, map_axes):
        axes.grid()
        axes.legend(fontsize=8)
    return figure
