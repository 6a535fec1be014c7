"""The curves of a run in one picture, and its evaluations as a table for spreadsheets."""

import csv
import io
import pathlib

from tfodhelper import storage
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
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", *("train/" + tag for tag in losses), *("eval/" + tag for tag in tags)])
    for record in records:
        train = record.get("train", {})
        row = [train.get(tag) for tag in losses] + [record["metrics"].get(tag) for tag in tags]
        writer.writerow([record["step"], *("" if value is None else value for value in row)])
    storage.write_text(path, text.getvalue())


def _write_picture(records, path):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [record["step"] for record in records]
    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    loss_axes, map_axes = figure.subplots(1, 2)
    for where, values in (
        ("train", [record.get("train", {}).get(Losses.TOTAL) for record in records]),
        ("eval", [record["metrics"].get(Losses.TOTAL) for record in records]),
    ):
        loss_axes.plot(steps, [float("nan") if v is None else v for v in values], marker="o", label=where)
    for tag, label in ((evaluation.MAP, "mAP"), (evaluation.MAP_50, "mAP@.50IOU")):
        values = [record["metrics"].get(tag) for record in records]
        map_axes.plot(steps, [float("nan") if v is None else v for v in values], marker="o", label=label)
    loss_axes.set(title=Losses.TOTAL, xlabel="step")
    map_axes.set(title="evaluation", xlabel="step", ylim=(0, 1))
    for axes in (loss_axes, map_axes):
        axes.legend()
        axes.grid(alpha=0.3)
    with storage.open_whole(path, "wb") as file:
        figure.savefig(file, format="png", dpi=110)
