"""Reports about a plan: text for people, plain values for programs."""

import collections

from tfodhelper import console, spelling
from tfodhelper.annotations import findings
from tfodhelper.dataset.analysis import class_counts, object_size

_LEFT_OUT = "images or annotation files"
_HEADINGS = {findings.ERROR: "ERROR", findings.WARNING: "warning", findings.NOTE: "note"}


def format_report(planned, max_shown=10):
    """Lines with all findings, grouped by code, errors first, and the table of classes.

    Args:
      planned: a `plan.Plan`.
      max_shown: how many findings to show per code; 0 shows all.
    """
    lines = format_findings(planned.findings, max_shown)
    if planned.label_map is not None:
        lines += ["", class_counts.format_summary(planned.label_map, planned.statistics), ""]
    return [*lines, *_format_totals(planned)]


def format_findings(notes, max_shown=10):
    """Lines with findings, grouped by code, errors first; see `format_report`."""
    by_code = collections.defaultdict(list)
    for finding in notes:
        by_code[finding.code].append(finding)
    lines = []
    for code, count in findings.count_codes(notes).items():
        kind = findings.KINDS[code]
        lines.append(f"{_HEADINGS[kind.severity]} {code} ({count}): {kind.meaning}; {kind.action}")
        shown = by_code[code][: max_shown or None]
        lines += [f"  {finding.message}" for finding in shown]
        lines += [f"  ... and {count - len(shown)} more"] if len(shown) < count else []
    return lines


def _format_totals(planned):
    examination = planned.examination
    severities = collections.Counter(finding.severity for finding in planned.findings)
    ignored = f"{spelling.count(len(planned.ignored), 'file')} of those above, " if planned.ignored else ""
    others = spelling.count(examination.index.num_foreign, "file")
    verb = "is" if examination.index.num_foreign == 1 else "are"
    return [
        f"usable: {spelling.count(len(examination.images), 'image')}",
        f"would be left out: {spelling.count(len(planned.left_out), 'image or annotation file', _LEFT_OUT)}",
        f"without an annotation file: {spelling.count(len(examination.unlabelled), 'image')}",
        f"ignored: {ignored}{others} that {verb} neither an image nor XML, and all hidden files",
        ", ".join(spelling.count(severities[severity], severity) for severity in _HEADINGS),
    ]


def format_sizes(planned, scale):
    """Lines of a table with the sizes of each class's boxes at the model input (`object_size.ModelScale`)."""
    rows = object_size.size_histogram(planned, scale)
    if not rows:
        return []
    names = object_size.bin_names()
    size = f"shorter side {scale.height}" if scale.keeps_aspect else f"{scale.width}x{scale.height}"
    anchor = f"; the smallest anchor is {scale.smallest_anchor:.0f}" if scale.smallest_anchor else ""
    table = console.format_table(
        ("Side of the boxes", *names), [(name, *row) for name, row in rows], range(1, len(names) + 1)
    )
    return ["", f"Square root of the area, in pixels of a model input of {size}{anchor}:", table]


def sizes_to_json(planned, scale):
    """The table of `format_sizes` as plain values."""
    sizes = dict(object_size.size_histogram(planned, scale))
    return {"input": [scale.height, scale.width], "bins": object_size.bin_names(), "classes": sizes}


def to_json(planned):
    """The report as plain values: counts, classes, findings."""
    boxes = planned.statistics.boxes
    classes = [] if planned.label_map is None else planned.label_map
    return {
        "image_dir": str(planned.examination.source.image_dir),
        "annotation_dir": str(planned.examination.source.annotation_dir),
        "num_usable": len(planned.examination.images),
        "num_left_out": len(planned.left_out),
        "num_ignored": len(planned.ignored),
        "num_unlabelled": len(planned.examination.unlabelled),
        "num_passed_over": planned.examination.index.num_foreign,
        "has_errors": planned.has_errors,
        "counts": findings.count_codes(planned.findings),
        "classes": [
            {"id": item.id, "name": item.name}
            | {side: class_counts.count_of_item(boxes[side], item) for side in sorted(boxes)}
            for item in classes
        ],
        "findings": [finding.to_json() for finding in planned.findings],
    }
