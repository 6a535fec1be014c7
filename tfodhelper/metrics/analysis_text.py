"""The main figures of an analysis as lines for a terminal."""

from tfodhelper import console, spelling
from tfodhelper.metrics import analysis_file

MOST_CLASSES = 30  # that get a row of their own
_HEADER = ("class", "objects", "AP", "AP@.50", "precision", "recall", "F1", "best threshold")


def format_analysis(analysis):
    """Lines that say how good a detector is, where it fails, and with which threshold to use it.

    Args:
      analysis: values of `analysis_file.SHAPE`.

    Returns:
      List of str.
    """
    summary, threshold = analysis["summary"], analysis["settings"]["score_threshold"]
    rows = sorted(analysis["per_class"], key=lambda row: (-row["num_objects"], row["name"]))
    shown = [row for row in rows if row["num_objects"]][:MOST_CLASSES]
    table = (
        [_row("all", summary), *(_row(row["name"], row) for row in shown)] if len(rows) > 1 else [_row("all", summary)]
    )
    lines = [
        f"{spelling.count(summary['num_images'], 'image')}, {spelling.count(summary['num_objects'], 'object')}",
        console.format_table(_HEADER, table, numbers=tuple(range(1, len(_HEADER)))),
    ]
    if len(rows) > len(shown):
        lines.append(f"{spelling.count(len(rows) - len(shown), 'more class', 'more classes')}: see analysis.json")
    if summary["best_threshold"] is None:
        return [*lines, "no object was found: precision and recall are those of the score threshold 0.5"]
    lines.append(f"precision, recall and F1 at the score threshold {threshold:.3f}, where F1 of all classes is highest")
    kinds = analysis["errors"]["kinds"]
    costs = [
        f"{name} {kinds[name]['delta_ap']:.3f}"
        for name in sorted(analysis_file.ERROR_KINDS, key=lambda name: -kinds[name]["delta_ap"])
        if kinds[name]["delta_ap"] > 0
    ]
    if costs:
        lines.append("AP@.50 that errors cost, by kind: " + ", ".join(costs))
    return lines


def _row(name, values):
    figures = [values[key] for key in ("ap", "ap50", "precision", "recall", "f1", "best_threshold")]
    return name, values["num_objects"], *("-" if figure is None else f"{figure:.3f}" for figure in figures)
