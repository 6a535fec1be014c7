"""Writes the pictures and the report.html of a run: the end of `run`, and the verb `report`."""

import pathlib

from tfodhelper import console, errors, run_layout, storage
from tfodhelper.dataset.split.split import VALIDATE
from tfodhelper.reporting import labelled_boxes, page, run_facts, worst_pictures

PAGE, FIGURES = "report.html", "figures"
_CARDS = ("images", "false_positives", "misses")
_BATCHES = ("train_batch.jpg", "validation_batch.jpg")  # that the training has drawn


def write_report(folder):
    """Writes figures/ and report.html into a run folder; those of an earlier call are replaced.

    Args:
      folder: of a finished run.

    Returns:
      Path of the page.

    Raises:
      UsageError: it is not the folder of a finished run.
      StorageError, DatasetError, PredictionError: a file of the run is damaged.
    """
    facts = run_facts.read_run(folder)
    pictures = write_pictures(facts)
    cards = dict.fromkeys(_CARDS, ())
    if facts.analysis is not None:
        pattern = facts.manifest.record_pattern(VALIDATE)
        pattern = None if pattern is None else str(facts.data / pattern)
        detected = facts.read_detections()
        cards = worst_pictures.make_cards(facts.analysis, detected, pattern, facts.read_masks(detected))
        _write_cards(facts, cards)
    path = facts.folder / PAGE
    environment = facts.state.get("environment") or {"environment": "was not recorded"}
    page.write_page(path, facts, pictures, cards, page.repeating_flags(facts), environment)
    console.say(f"{path}: all about this run on one page; the pictures are in {facts.folder / FIGURES}")
    return path


def report_finished(folder):
    """Writes the report of a run that has just finished; what goes wrong costs the report alone."""
    try:
        write_report(folder)
    except errors.TfodhelperError as error:
        console.warn(f"{folder}: the report could not be written; `tfodhelper report` tries again: {error}")


def write_pictures(facts):
    """Writes the plots of a run.

    Args:
      facts: `run_facts.RunFacts`.

    Returns:
      {name: bytes} of all pictures of the run, those that the training has drawn among them.
    """
    from tfodhelper.render import evaluation_plots as plots
    from tfodhelper.render import figures

    folder = storage.make_folder(facts.folder / FIGURES)
    makers = {"history.png": lambda: plots.plot_history([(facts.name, facts.evaluations)])} if facts.evaluations else {}
    boxes = labelled_boxes.read_labelled_boxes(facts.data, facts.manifest)
    if len(boxes.boxes):
        makers["labels.png"] = lambda: plots.plot_labels(boxes)
    if facts.analysis is not None:
        makers |= {f"best_{name}.png": maker for name, maker in _makers_of(plots, facts.analysis).items()}
    pictures = {}
    for name, maker in makers.items():
        figure = maker()
        if figure is not None:
            pictures[name] = figures.save(folder / name, figure).read_bytes()
    for name in _BATCHES:
        path = run_layout.checkpoints_of(facts.folder) / name
        if path.is_file():
            pictures[name] = path.read_bytes()
    return pictures


def _makers_of(plots, analysis):
    return {
        "pr": lambda: plots.plot_precision_recall(analysis),
        "p": lambda: plots.plot_over_threshold(analysis, "precision"),
        "r": lambda: plots.plot_over_threshold(analysis, "recall"),
        "f1": lambda: plots.plot_over_threshold(analysis, "f1"),
        "confusion": lambda: plots.plot_confusion(analysis, normalized=False),
        "confusion_normalized": lambda: plots.plot_confusion(analysis, normalized=True),
        "errors": lambda: plots.plot_errors(analysis),
        "sizes": lambda: plots.plot_sizes(analysis),
        "calibration": lambda: plots.plot_calibration(analysis),
    }


def _write_cards(facts, cards):
    """Writes the pictures of the worst images as files, numbered from the worst one on."""
    for kind, of_kind in cards.items():
        folder = storage.make_folder(facts.folder / FIGURES / f"worst_{kind}")
        for former in folder.glob("*.jpg"):
            former.unlink()
        for number, card in enumerate(of_kind, 1):
            if card.picture is not None:
                stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in pathlib.PurePosixPath(card.name).stem)
                with storage.open_whole(folder / f"{number:02d}_{stem[:60]}.jpg", "wb") as file:
                    file.write(card.picture)
