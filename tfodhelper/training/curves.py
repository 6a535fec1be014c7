"""The curves of a run in one picture, and its evaluations as a table for spreadsheets."""

import pathlib

from tfodhelper import sheets
from tfodhelper.fields import Losses
from tfodhelper.training import evaluation


def write_curves(history, folder):
    """Writes results.csv and results.png from all evaluations of a run.

    Args:
      history: an `evaluation.History` with at least one record.
      folder: where the two files are written.

    Returns:
      The paths of both.
    """
    folder = pathlib.Path(folder)
    _write_csv(history.records, folder / "results.csv")
    _write_picture(history.records, folder / "results.png")
    return folder / "results.csv", folder / "results.png"


def _write_csv(records, path):
    tags = sorted({tag for record in records for tag in record["metrics"]})
    losses = sorted({tag for record in records for tag in record.get("train", {})})
    with sheets.open_csv(
        path, ["step", *("train/" + tag for tag in losses), *("eval/" + tag for tag in tags)]
    ) as add_row:
        for record in records:
            train = record.get("train", {})
            row = [train.get(tag) for tag in losses] + [record["metrics"].get(tag) for tag in tags]
            add_row([record["step"], *row])


def _write_picture(records, path):
    from tfodhelper.render import figures  # imports matplotlib, which a run without evaluations can do without

    with figures.style():
        figure = figures.new_figure(11, 4)
        loss_axes, map_axes = figure.subplots(1, 2)
        steps = [record["step"] for record in records]
        for label, values in (
            ("train", [record.get("train", {}).get(Losses.TOTAL) for record in records]),
            ("eval", [record["metrics"].get(Losses.TOTAL) for record in records]),
        ):
            _plot_line(loss_axes, steps, values, label)
        for tag, label in ((evaluation.MAP, "mAP"), (evaluation.MAP_50, "mAP@.50IOU")):
            _plot_line(map_axes, steps, [record["metrics"].get(tag) for record in records], label)
        loss_axes.set(title=Losses.TOTAL, xlabel="step")
        map_axes.set(title="evaluation", xlabel="step", ylim=(0, 1))
        for axes in (loss_axes, map_axes):
            axes.legend()
            axes.grid()
        figures.save(path, figure)


def _plot_line(axes, steps, values, label):
    axes.plot(steps, [float("nan") if value is None else value for value in values], marker="o", label=label)
