"""The figures of `stats` as pictures."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tfodhelper import storage
from tfodhelper.dataset.analysis import box_statistics

_MOST_CLASSES = 40  # in one picture; the tables have all
_DPI = 110


def write_plots(folder, table, advice):
    """Writes classes.png, boxes.png, together.png and anchors.png.

    Args:
      folder: pathlib.Path.
      table: a `image_lists.Table`.
      advice: {k: `anchor_clusters.Anchors`}.

    Returns:
      The paths of what was written: a set without boxes has nothing to show.
    """
    if not len(table.label):
        return []
    figures = {"classes": _plot_classes(table), "boxes": _plot_boxes(table), "together": _plot_together(table)}
    if advice:
        figures["anchors"] = _plot_anchors(table, advice)
    return [save(folder / f"{name}.png", figure) for name, figure in figures.items()]


def save(path, figure):
    """Writes a figure as PNG, whole or not at all; returns the path."""
    FigureCanvasAgg(figure)
    with storage.open_whole(path, "wb") as file:
        figure.savefig(file, format="png", dpi=_DPI, bbox_inches="tight", pad_inches=0.15)
    return path


def _frequent(table):
    names, counts = np.unique(table.label.astype(str), return_counts=True)
    return names[np.argsort(-counts, kind="stable")][:_MOST_CLASSES]


def _plot_classes(table):
    names = _frequent(table)
    figure = Figure(figsize=(9, 2 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(names))
    for side in box_statistics.sides_of(table)[1:] or [box_statistics.ALL]:
        _, of_side = table.of_side(side)
        counts = np.array([(of_side & (table.label == name)).sum() for name in names])
        axes.barh(range(len(names)), counts, left=left, label=side)
        left += counts
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlabel="boxes", title=f"boxes per class ({len(set(table.label))} classes, {len(table.label)} boxes)")
    axes.legend()
    axes.grid(axis="x", alpha=0.3)
    return figure


def _plot_boxes(table):
    figure = Figure(figsize=(13, 8.6), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.1)
    (per_image, sizes), (ratios, places) = figure.subplots(2, 2)
    counts = [count for _, _, count in table.images]
    per_image.hist(counts, bins=np.arange(max(counts) + 2) - 0.5 if max(counts) < 60 else 60)
    per_image.set(title="boxes per image", xlabel="boxes", ylabel="images")
    side = np.sqrt(table.size_px.prod(1))
    sizes.hist(side, bins=60)
    for limit in (32, 96):
        sizes.axvline(limit, color="black", linestyle="--", linewidth=1)
    sizes.set(title="size of boxes (dashed: 32 and 96 px)", xlabel="square root of the area, px", ylabel="boxes")
    ratio = table.size_px[:, 0] / table.size_px[:, 1]
    low, high = min(ratio.min(), 0.2), max(ratio.max(), 5.0)
    ratios.hist(ratio, bins=np.geomspace(low * 0.99, high * 1.01, 60))
    ratios.set_xscale("log")
    ticks = [tick for tick in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16) if low <= tick <= high]
    ratios.set_xticks(ticks, [f"1:{round(1 / tick)}" if tick < 1 else f"{tick}:1" for tick in ticks])
    ratios.minorticks_off()
    for limit in (1 / box_statistics.TWISTED_RATIO, box_statistics.TWISTED_RATIO):
        ratios.axvline(limit, color="black", linestyle="--", linewidth=1)
    ratios.set(title="aspect ratio (dashed: 1:4 and 4:1)", xlabel="width / height", ylabel="boxes")
    share = table.fractions
    places.scatter(share[:, 0], share[:, 1], s=6, alpha=max(0.05, min(0.6, 500 / len(share))))
    places.set(title="size in the image", xlabel="width / image width", ylabel="height / image height")
    places.set(xlim=(0, 1.02), ylim=(0, 1.02))
    return figure


def _plot_together(table):
    names, counts = box_statistics.count_together(table)
    frequent = np.argsort(-np.diag(counts), kind="stable")[:_MOST_CLASSES]
    names, counts = [names[i] for i in frequent], counts[np.ix_(frequent, frequent)]
    return plot_matrix(
        names,
        counts / np.maximum(np.diag(counts), 1)[:, None],
        "share of the images of a row that show the column",
        "{:.0%}",
    )


def plot_matrix(names, values, title, form, limits=(0, 1)):
    """A table of classes by classes as a picture."""
    side = 2.5 + 0.55 * len(names)
    figure = Figure(figsize=(max(side + 1.5, 6), max(side, 4)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(values, vmin=limits[0], vmax=limits[1], cmap="Blues", aspect="equal")
    axes.set_facecolor("0.9")  # a mean of nothing
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    if len(names) <= 20:
        middle = sum(limits) / 2
        for (row, column), value in np.ndenumerate(values):
            if value == value:
                color = "white" if value > middle else "black"
                axes.text(column, row, form.format(value), ha="center", va="center", color=color, fontsize=8)
    axes.set_title(title, fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def _plot_anchors(table, advice):
    figure = Figure(figsize=(12, 5), layout="constrained")
    curve, shapes = figure.subplots(1, 2)
    curve.plot(list(advice), [found.mean_iou for found in advice.values()], marker="o")
    curve.set(title="mean IoU of boxes with their best anchor", xlabel="anchors", ylim=(0, 1), xticks=list(advice))
    curve.grid(alpha=0.3)
    share = table.fractions
    shapes.scatter(share[:, 0], share[:, 1], s=6, alpha=max(0.05, min(0.6, 500 / len(share))), label="boxes")
    for k in [k for k in (3, 6, 9) if k in advice]:
        found = advice[k].shapes
        shapes.scatter(found[:, 0], found[:, 1], marker="x", s=70, label=f"{k} anchors")
    shapes.set(title="shapes", xlabel="width / image width", ylabel="height / image height", xlim=(0, 1), ylim=(0, 1))
    shapes.legend()
    return figure
