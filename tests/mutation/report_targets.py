"""Parsers of what `report` and `compare` read of a finished run, which may come from another machine or version."""

import contextlib
import functools
import io
import pathlib
import tempfile

from tests.mutation import array_mutators
from tests.mutation import mutators as m
from tests.mutation.base import JSON, TABLE, TEXT, Target, write
from tfodhelper.metrics import analysis, analysis_file, detection_file, overlaps
from tfodhelper.reporting import compare, labelled_boxes, page, run_facts, worst_pictures
from tfodhelper.reporting import write as writing

STATE, EVALUATIONS, EVALUATION = "run.json", "checkpoints/evaluations.jsonl", "checkpoints/evaluation/best"


@functools.cache
def _run():
    """{path in the run: content} of a small run."""
    from tests.reporting import stored_run

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        made = stored_run.make_run(pathlib.Path(folder, "run"), images=4)
        return {
            str(path.relative_to(made)): path.read_bytes()
            for path in made.rglob("*")
            if path.is_file() and path.name != "process.log"
        }


def _file(name):
    """A parser of one file of a run, whose others are whole; and its seeds."""

    def parse(folder, data):
        for path, content in _run().items():
            write(folder, f"run/{path}", data if path == name else content)
        facts = run_facts.read_run(folder / "run")
        pictures = {}
        cards = dict.fromkeys(writing._CARDS, ())
        if facts.analysis is not None:
            cards = worst_pictures.make_cards(facts.analysis, facts.read_detections(), None, {})
        labelled_boxes.read_labelled_boxes(facts.data, facts.manifest)
        flags = page.repeating_flags(facts)
        page.write_page(folder / "report.html", facts, pictures, cards, flags, {"environment": "was not recorded"})
        for path, content in _run().items():
            write(folder, f"whole/{path}", content)
        compared = compare.compare_runs([facts, run_facts.read_run(folder / "whole")])
        compare._rows_of(compared), compare._class_rows(compared)

    return parse, lambda: [_run()[name]]


def _detections(folder, data):
    found = detection_file.read_detections(write(folder, "detections.npz", data))
    overlaps.SetOverlaps(found).results(*analysis.REQUESTS)


DEEP = (*(m.change_json,) * 8, *JSON)
TARGETS = (
    Target("run.json of a report", *_file(STATE), DEEP),
    Target("manifest of a report", *_file("data/manifest.json"), DEEP),
    Target("evaluations of a report", *_file(EVALUATIONS), DEEP),
    Target("analysis", *_file(f"{EVALUATION}/{analysis_file.ANALYSIS}"), DEEP),
    Target("boxes of a report", *_file("data/train.csv"), TABLE),
    Target("pipeline.config of a report", *_file("pipeline.config"), TEXT),
    Target(
        "detections.npz",
        _detections,
        lambda: [_run()[f"{EVALUATION}/{analysis_file.DETECTIONS}"]],
        (*m.BYTES, *(array_mutators.change_npz,) * 8),
    ),
)
