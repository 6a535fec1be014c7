"""A plan as a report: lines for people, plain values for programs."""

import collections

from tfodhelper.annotations import findings
from tfodhelper.dataset import statistics

_HEADINGS = {findings.ERROR: "ERROR", findings.WARNING: "warning", findings.NOTE: "note"}


def format_report(planned, max_shown=10):
    """Lines that show all findings, grouped by their codes, errors first, and the table of the classes.

    Args:
      planned: a `plan.Plan`.
      max_shown: how many findings of one code are shown; 0 shows all.
    """
    lines = format_findings(planned.findings, max_shown)
    if planned.label_map is not None:
        lines += ["", statistics.format_summary(planned.label_map, planned.statistics), ""]
    return [*lines, *_format_totals(planned)]


def format_findings(notes, max_shown=10):
    """Lines that show findings, grouped by their codes, errors first; see `format_report`."""
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
    numbers = dict.fromkeys(_HEADINGS, 0)
    for finding in planned.findings:
        numbers[finding.severity] += 1
    return [
        f"can be used: {len(examination.images)} images",
        f"would be left out: {len(planned.left_out)} images or annotation files",
        f"without annotation file: {len(examination.unlabelled)} images",
        f"{numbers[findings.ERROR]} errors, {numbers[findings.WARNING]} warnings, {numbers[findings.NOTE]} notes",
    ]


def to_json(planned):
    """The report as plain values: counts, classes, findings."""
    boxes = planned.statistics.boxes
    classes = [] if planned.label_map is None else planned.label_map
    return {
        "image_dir": str(planned.examination.source.image_dir),
        "annotation_dir": str(planned.examination.source.annotation_dir),
        "num_usable": len(planned.examination.images),
        "num_left_out": len(planned.left_out),
        "num_unlabelled": len(planned.examination.unlabelled),
        "has_errors": planned.has_errors,
        "counts": findings.count_codes(planned.findings),
        "classes": [
            {"id": item.id, "name": item.name}
            | {side: statistics.count_of_item(boxes[side], item) for side in sorted(boxes)}
            for item in classes
        ],
        "findings": [finding.to_json() for finding in planned.findings],
    }
