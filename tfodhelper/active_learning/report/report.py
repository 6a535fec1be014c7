"""The report of a workspace: tables, CSV files, plots, curves for TensorBoard and one HTML page."""

import dataclasses
import pathlib

from tfodhelper import storage
from tfodhelper.active_learning import workspace
from tfodhelper.active_learning.report import (
    law_tables,
    page,
    plots,
    round_facts,
    tables,
    tensorboard_curves,
    tfn_sheet,
)
from tfodhelper.render import figures

FOLDER = "report"


@dataclasses.dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
      folder: the report's folder.
      page: index.html.
      text: all tables as the console shows them; tables.txt holds the same.
      csv_files: al_curve.csv, classes.csv, times.csv, reasons.csv, worth.csv, trials.csv and,
        if a round has relabelled images, relabelled.csv.
      plots: {name: path of a PNG file}.
      tensorboard: folder of the curves.
    """

    folder: pathlib.Path
    page: pathlib.Path
    text: str
    csv_files: tuple[pathlib.Path, ...]
    plots: dict
    tensorboard: pathlib.Path


def format_report(workspace_dir):
    """All tables of a workspace's rounds as one text, at most 120 columns wide."""
    return _format(
        tables.make_tables(round_facts.read_rounds(workspace_dir), round_facts.read_class_names(workspace_dir))
    )


def write_report(workspace_dir, per_kind=page.PER_KIND):
    """Writes the report of a workspace into its folder "report", in place of an earlier one.

    It may be called at any time, also while a round is running: it reads what is finished. A T/F/N sheet that was
    written into the folder before stays, and is shown on the page.

    Args:
      workspace_dir: the folder of the workspace.
      per_kind: images on the page for each round of the adopted, the refused and the most doubtful ones, at most.

    Returns:
      `Report`.

    Raises:
      DatasetError: it is not a workspace.
      StorageError: a file of it cannot be read, or the report cannot be written.
    """
    space = workspace.Workspace(workspace_dir)
    rounds, names = round_facts.read_rounds(workspace_dir), round_facts.read_class_names(workspace_dir)
    folder = storage.make_folder(space.folder / FOLDER)
    made = tables.make_tables(rounds, names)
    text = _format(made)
    storage.write_text(folder / "tables.txt", text + "\n")
    csv_files = [*tables.write_tables(folder, rounds, names), *law_tables.write_tables(folder, rounds, names)]
    pictures = _write_plots(folder, rounds, names)
    curves = tensorboard_curves.write_curves(folder / "tensorboard", rounds, names)
    sheet = tfn_sheet.read_sheet(folder)
    page.write_page(folder / "index.html", space, rounds, names, made, pictures, per_kind, sheet)
    return Report(folder, folder / "index.html", text, tuple(csv_files), pictures, curves)


def _format(made):
    return "\n\n".join(map(tables.format_console, made)) or "no round has produced any figures yet"


def _write_plots(folder, rounds, names):
    drawn = plots.make_figures(rounds, names)
    for name in set(plots.NAMES) - set(drawn):
        (folder / f"{name}.png").unlink(missing_ok=True)
    return {name: figures.save(folder / f"{name}.png", figure) for name, figure in drawn.items()}
