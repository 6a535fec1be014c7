"""The figures of `stats` as pictures."""

import numpy as np

from tfodhelper import spelling
from tfodhelper.dataset.analysis import box_statistics
from tfodhelper.render import figures

_MAX_CLASSES = 40  # in one picture; the tables have all
_LIMIT_LINE = {"color": "black", "linestyle": "--", "linewidth": 1}


@figures.style()
def write_plots(folder, table, advice):
    """Writes classes.png, boxes.png, together.png and anchors.png.

    Args:
      folder: pathlib.Path.
      table: a `box_statistics.Table`.
      advice: {k: `anchor_clusters.Anchors`}.

    Returns:
      The paths of what was written: a set without boxes has nothing to show.
    """
    if not len(table.label):
        return []
    plots = {"classes": _plot_classes(table), "boxes": _plot_boxes(table), "together": _plot_together(table)}
    if advice:
        plots["anchors"] = _plot_anchors(table, advice)
    return [figures.save(folder / f"{name}.png", figure) for name, figure in plots.items()]


def _most_frequent(table):
    names, counts = np.unique(table.label.astype(str), return_counts=True)
    return names[np.argsort(-counts, kind="stable")][:_MAX_CLASSES]


def _plot_classes(table):
    names = _most_frequent(table)
    figure = figures.new_figure(9, 2 + 0.3 * len(names))
    axes = figure.subplots()
    left = np.zeros(len(names))
    for side in box_statistics.sides_of(table)[1:] or [box_statistics.ALL]:
        _, of_side = table.of_side(side)
        counts = np.array([(of_side & (table.label == name)).sum() for name in names])
        axes.barh(range(len(names)), counts, left=left, label=side)
        left += counts
    axes.set_yticks(range(len(names)), map(figures.shorten_name, names))
    axes.invert_yaxis()
    classes, boxes = spelling.count(len(set(table.label)), "class"), spelling.count(len(table.label), "box")
    axes.set(xlabel="boxes", title=f"boxes per class ({classes}, {boxes})")
    axes.legend()
    axes.grid(axis="x")
    return figure


def _plot_boxes(table):
    figure = figures.new_figure(13, 8.6)
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.1)
    (per_image, sizes), (ratios, shares) = figure.subplots(2, 2)
    counts = [count for _, _, count in table.images]
    per_image.hist(counts, bins=np.arange(max(counts) + 2) - 0.5 if max(counts) < 60 else 60)
    per_image.set(title="boxes per image", xlabel="boxes", ylabel="images")
    sizes.hist(np.sqrt(table.size_px.prod(1)), bins=60)
    for limit in (32, 96):
        sizes.axvline(limit, **_LIMIT_LINE)
    sizes.set(title="size of boxes (dashed: 32 and 96 px)", xlabel="square root of the area, px", ylabel="boxes")
    _plot_ratios(ratios, table)
    _scatter_shapes(shares, table)
    shares.set(title="size in the image", xlabel="width / image width", ylabel="height / image height")
    shares.set(xlim=(0, 1.02), ylim=(0, 1.02))
    return figure


def _plot_ratios(axes, table):
    ratio = table.size_px[:, 0] / table.size_px[:, 1]
    low, high = min(ratio.min(), 0.2), max(ratio.max(), 5.0)
    axes.hist(ratio, bins=np.geomspace(low * 0.99, high * 1.01, 60))
    axes.set_xscale("log")
    ticks = [tick for tick in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16) if low <= tick <= high]
    axes.set_xticks(ticks, [f"1:{round(1 / tick)}" if tick < 1 else f"{tick}:1" for tick in ticks])
    axes.minorticks_off()
    for limit in (1 / box_statistics.TWISTED_RATIO, box_statistics.TWISTED_RATIO):
        axes.axvline(limit, **_LIMIT_LINE)
    axes.set(title="aspect ratio (dashed: 1:4 and 4:1)", xlabel="width / height", ylabel="boxes")


def _scatter_shapes(axes, table):
    """A point for each box; fainter where there are many."""
    share = table.fractions
    axes.scatter(share[:, 0], share[:, 1], s=6, alpha=max(0.05, min(0.6, 500 / len(share))), label="boxes")


def _plot_together(table):
    names, counts = box_statistics.count_together(table)
    frequent = np.argsort(-np.diag(counts), kind="stable")[:_MAX_CLASSES]
    names, counts = [names[i] for i in frequent], counts[np.ix_(frequent, frequent)]
    shares = counts / np.maximum(np.diag(counts), 1)[:, None]
    return plot_matrix(names, shares, "share of the images of a row that show the column", "{:.0%}")


@figures.style()
def write_distances(path, names, matrix):
    """Writes the distances of the features of classes, [K, K], NaN where there is none, as a picture."""
    limits = (0, max(0.01, float(matrix[matrix == matrix].max(initial=0.01))))
    return figures.save(path, plot_matrix(names, matrix, "distance of features, 1 - cosine", "{:.2f}", limits))


@figures.style()
def plot_matrix(names, values, title, form, limits=(0, 1)):
    """A table of classes by classes as a figure.

    Args:
      names: K class names.
      values: [K, K], NaN where there is none.
      title: one line.
      form: format of a value.
      limits: values of the palest and the darkest colour.
    """
    side = 2.5 + 0.55 * len(names)
    figure = figures.new_figure(max(side + 1.5, 6), max(side, 4))
    axes = figure.subplots()
    labels = [figures.shorten_name(name) for name in names]
    figures.draw_table(axes, values, labels, labels, form.format, limits=limits)
    axes.set_aspect("equal")
    axes.tick_params("x", rotation=60)
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right")
    axes.set_title(title, fontsize=10)
    return figure


def _plot_anchors(table, advice):
    figure = figures.new_figure(12, 5)
    curve, shapes = figure.subplots(1, 2)
    curve.plot(list(advice), [anchors.mean_iou for anchors in advice.values()], marker="o")
    curve.set(title="mean IoU of boxes with their best anchor", xlabel="anchors", ylim=(0, 1), xticks=list(advice))
    curve.grid()
    _scatter_shapes(shapes, table)
    for k in [k for k in (3, 6, 9) if k in advice]:
        anchors = advice[k].shapes
        shapes.scatter(anchors[:, 0], anchors[:, 1], marker="x", s=70, label=f"{spelling.count(k, 'anchor')}")
    shapes.set(title="shapes", xlabel="width / image width", ylabel="height / image height", xlim=(0, 1), ylim=(0, 1))
    shapes.legend()
    return figure
