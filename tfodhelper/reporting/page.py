"""report.html: one page with all that is known about a run, in one file."""

import dataclasses
import shlex

from tfodhelper import console, invocation, run_layout
from tfodhelper.annotations import findings
from tfodhelper.dataset.split.split import SPLITS
from tfodhelper.render import html
from tfodhelper.reporting import run_facts
from tfodhelper.run_options import RunOptions

_MAP = "DetectionBoxes_Precision/mAP"
_FIGURES = {
    "best_pr.png": "Precision over recall at an overlap of 0.5. The number is the area below: AP50.",
    "best_f1.png": "F1 over the score threshold. The thick line is highest at the threshold that is best overall.",
    "best_p.png": "Precision over the score threshold: how many of the detections are right.",
    "best_r.png": "Recall over the score threshold: how many of the objects are found.",
}


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: texts of the header, and rows of texts; `note` is a sentence below it."""

    header: tuple
    rows: list
    note: str = ""


def write_page(path, facts, pictures, cards, command, environment):
    """Writes the page.

    Args:
      path: of the HTML file.
      facts: `run_facts.RunFacts`.
      pictures: {name of a picture: bytes}, PNG or JPEG; those that are missing are left out.
      cards: {"images", "false_positives", "misses": iterables of `html.Card`s}.
      command: list of words that repeat the run.
      environment: {name: text} of the machine.
    """
    result = run_layout.result_of(facts.folder, facts.state)
    html.write_page(
        path,
        "report.html",
        title=f"Run {facts.name}",
        places=[str(facts.folder.resolve())],
        links=_links(facts),
        tiles=_tiles(facts, result),
        has_analysis=facts.analysis is not None,
        data=_data_table(facts),
        findings=_findings(facts),
        history_text=_describe_training(facts, result),
        evaluations=_evaluations_table(facts),
        averages=_averages_table(facts),
        classes=_classes_table(facts),
        errors=_errors_table(facts),
        sizes=_sizes_table(facts),
        pictures=pictures,
        figures=_FIGURES,
        cards=cards,
        speed=_speed_table(facts, result),
        environment=sorted(environment.items(), key=lambda item: list(environment).index(item[0])),
        command=shlex.join([*shlex.split(invocation.command_as_typed("tfodhelper run")), *command]),
        config=facts.config,
    )


def _links(facts):
    links = [("data", "data"), ("training", "training")]
    if facts.analysis is not None:
        links += [("classes", "classes"), ("curves", "curves"), ("confusion", "confusion"), ("errors", "errors")]
        links += [("worst", "worst images")]
    return [*links, ("speed", "speed"), ("repeat", "repeat it"), ("configuration", "configuration")]


def number(value, digits=3):
    """A figure as text, "-" if it could not be measured."""
    return "-" if value is None else f"{value:.{digits}f}"


def _tiles(facts, result):
    best = result["best"]
    tiles = [(number(best["mAP"]), "mAP, overlaps 0.5 to 0.95"), (number(best["mAP@.50IOU"]), "mAP at overlap 0.5")]
    if facts.analysis is not None:
        summary = facts.analysis["summary"]
        threshold = number(summary["best_threshold"], 2)
        tiles += [
            (number(summary["precision"]), f"precision at score {threshold}"),
            (number(summary["recall"]), f"recall at score {threshold}"),
            (number(summary["f1"]), f"F1 at score {threshold}, the highest"),
        ]
    tiles.append((f"{best['step']:,}", "step of the best checkpoint"))
    tiles.append((console.format_seconds(facts.state["phases"]["train"]["seconds"]), "of training"))
    return tiles


def _data_table(facts):
    manifest = facts.manifest
    sides = [side for side in SPLITS if side in manifest.shards]
    rows = [["images", *(f"{manifest.count_images(side):,}" for side in sides)]]
    rows += [[entry["name"], *(f"{entry.get(side, 0):,}" for side in sides)] for entry in manifest.classes]
    note = "Rows of classes count boxes."
    for number_of, text in ((manifest.left_out, "left out"), (manifest.unlabelled, "without an annotation file")):
        if len(number_of):
            note += f" Images {text}: {len(number_of):,}."
    return Table(("", *sides), rows, note)


def _findings(facts):
    """(severity, code, number, meaning) of what the check of the data found, the worst first."""
    order = (findings.ERROR, findings.WARNING, findings.NOTE)
    known = [
        (findings.KINDS[code], code, count) for code, count in facts.manifest.findings.items() if code in findings.KINDS
    ]
    known.sort(key=lambda item: order.index(item[0].severity))
    return [(kind.severity, code, f"{count:,}", kind.meaning, kind.action) for kind, code, count in known]


def _describe_training(facts, result):
    parts = [result.get("reason") or ""]
    if result.get("best_reason"):
        parts.append(result["best_reason"])
    return [part[:1].upper() + part[1:] + "." for part in parts if part]


def _evaluations_table(facts):
    rows = []
    for record in facts.evaluations:
        metrics, train = record["metrics"], record.get("train", {})
        rows.append(
            [
                f"{record['step']:,}",
                *(number(metrics.get(tag)) for tag in (_MAP, f"{_MAP}@.50IOU")),
                *(number(part.get("Loss/total_loss")) for part in (train, metrics)),
            ]
        )
    return Table(("step", "mAP", "mAP@.50IOU", "training loss", "validation loss"), rows)


def _averages_table(facts):
    if facts.analysis is None:
        return None
    summary = facts.analysis["summary"]
    names = {
        "ap": "AP",
        "ap50": "AP50",
        "ap75": "AP75",
        "ap_small": "AP small",
        "ap_medium": "AP medium",
        "ap_large": "AP large",
        "ar1": "AR@1",
        "ar10": "AR@10",
        "ar100": "AR@100",
        "ar_small": "AR small",
        "ar_medium": "AR medium",
        "ar_large": "AR large",
    }
    note = "COCO's twelve figures. Small: below 32 x 32 pixels; large: above 96 x 96. -: no object to measure it by."
    return Table(tuple(names.values()), [[number(summary[name]) for name in names]], note)


def _classes_table(facts):
    """Of each class, and a last row of all."""
    if facts.analysis is None:
        return None
    entries = facts.analysis["per_class"]
    rows = [_class_row(entry["name"], entry) for entry in entries]
    if len(entries) != 1:
        rows.append(_class_row("all", facts.analysis["summary"]))
    threshold = number(facts.analysis["settings"]["score_threshold"], 2)
    note = (
        f"P, R and F1, and right, wrong and missed, at score {threshold}, the threshold with the highest F1 overall, "
        "and at an overlap of 0.5. Best threshold: the one with the highest F1 of the class alone. The last row has "
        "the means of AP and the sums of the counts."
    )
    header = ("class", "images", "objects", "AP", "AP50", "P", "R", "F1", "best threshold", "right", "wrong", "missed")
    return Table(header, rows, note)


def _class_row(name, entry):
    return [
        name,
        f"{entry['num_images']:,}",
        f"{entry['num_objects']:,}",
        *(number(entry[key]) for key in ("ap", "ap50", "precision", "recall", "f1")),
        number(entry["best_threshold"], 2),
        *(f"{entry[key]:,}" for key in ("tp", "fp", "fn")),
    ]


def _errors_table(facts):
    if facts.analysis is None:
        return None
    errors = facts.analysis["errors"]
    meanings = {
        "classification": "on an object, but of another class",
        "localization": "the right class, but the box overlaps too little",
        "both": "another class, and overlaps too little",
        "duplicate": "on an object that a better detection has found",
        "background": "where nothing is",
        "missed": "objects that no detection is near",
    }
    rows = [
        [name, meanings.get(name, ""), f"{kind['count']:,}", number(kind["delta_ap"])]
        for name, kind in errors["kinds"].items()
    ]
    rows.append(["all wrong detections", "", "", number(errors["false_positives"]["delta_ap"])])
    rows.append(["all missed objects", "", "", number(errors["false_negatives"]["delta_ap"])])
    note = (
        f"AP50 is {number(errors['ap50'])}; the last column says how much of it each kind of error costs "
        "(TIDE, arXiv 2008.08115), whatever the score."
    )
    return Table(("kind", "meaning", "number", "AP50 lost"), rows, note)


def _sizes_table(facts):
    if facts.analysis is None:
        return None
    rows = []
    for entry in facts.analysis["sizes"]["ranges"]:
        total = entry["found"] + entry["missed"]
        share = number(entry["found"] / total if total else None)
        rows.append([entry["name"], f"{entry['found']:,}", f"{entry['missed']:,}", share])
    return Table(("size", "found", "missed", "recall"), rows)


def _speed_table(facts, result):
    rows = [[name, console.format_seconds(phase["seconds"])] for name, phase in facts.state["phases"].items()]
    if result.get("seconds_per_step"):
        batch = facts.settings.get("batch_size")
        rows.append(["a training step", f"{result['seconds_per_step']:.3f} s"])
        if isinstance(batch, int):
            rows.append(["training images per second", f"{batch / result['seconds_per_step']:.1f}"])
    best = facts.best
    if best and best.get("seconds"):
        rows.append(["the best evaluation", console.format_seconds(best["seconds"])])
    return Table(("what", "time"), rows)


def repeating_flags(facts):
    """The flags of the command that repeats a run, with a free name for its folder."""
    flags = run_facts.command_flags(facts.settings, RunOptions)
    return [*flags, f"--output_dir={facts.folder.with_name(facts.folder.name + '-again')}"]
