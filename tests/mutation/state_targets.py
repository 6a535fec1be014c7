"""Parsers of what the program itself has written: state, notes, predictions, tables."""

import dataclasses
import io
import json
import pathlib
import tempfile

from tests.mutation.base import JSON, LABEL_MAP, TABLE, TEXT, Target, write
from tfodhelper import run_folder, run_layout, sheets, storage
from tfodhelper.active_learning import answers, workspace
from tfodhelper.active_learning.oracles import drafts, image_labels
from tfodhelper.active_learning.pool import predictions
from tfodhelper.active_learning.report import tfn_sheet
from tfodhelper.active_learning.selection import selection
from tfodhelper.annotations import label_map
from tfodhelper.dataset import manifest
from tfodhelper.dataset.scan import scan_notes
from tfodhelper.dataset.split import image_lists
from tfodhelper.prediction import detections
from tfodhelper.records import result


def _manifest(folder, data):
    write(folder, manifest.NAME, data)
    write(folder, "label_map.pbtxt", label_map.format_label_map(LABEL_MAP).encode())
    for name in ("train.csv", "validate.csv"):
        write(folder, name, b"")
    read = manifest.read_manifest(folder)
    list(read.images), list(read.left_out), list(read.unlabelled)
    result.read_result(folder, manifest=read)


def _manifest_seeds():
    values = manifest.Manifest(
        fingerprint="0" * 64,
        options={"seed": 1, "data_dir": "x"},
        classes=[{"id": id_, "name": name, "train": 1, "validate": 0} for id_, name in ((1, "cat"), (2, "dog"))],
        shards={"train": [], "validate": []},
        files={"label_map": "label_map.pbtxt", "train_csv": "train.csv", "validate_csv": "validate.csv"},
        images=[{"path": "a.jpg", "xml": "a.xml", "boxes": 1, "record": ["a", 0]}] * 3,
        left_out=[{"path": "b.jpg", "code": "xml-empty", "message": "is empty"}],
        unlabelled=["c.jpg"],
        findings={"xml-empty": 1},
    )
    with tempfile.TemporaryDirectory() as folder:
        manifest.write_manifest(folder, values)
        return [pathlib.Path(folder, manifest.NAME).read_bytes()]


def _run_state(folder, data):
    write(folder, run_layout.STATE, data)
    run_folder.read_result(folder)


def _run_state_seeds():
    numbers = {"step": 10, "mAP": 0.5, "mAP@.50IOU": None}
    value = {"finished": True, "settings": {"data": {}}, "phases": {"convert": {"seconds": 1.0}}}
    return [json.dumps(value | {"result": {"best": numbers, "last": numbers, "seconds_per_step": None}}).encode()]


def _workspace(folder, data):
    write(folder, workspace.NAME, data)
    workspace.Workspace(folder)


def _workspace_seeds():
    parts = {part: {} for part in workspace.PARTS}
    return [
        json.dumps(
            {"format": workspace.FORMAT, "settings": {**parts, "retrain": "new", "oracle": {}, "seed": 1, "data": {}}}
        ).encode()
    ]


def _round(folder, data):
    write(folder, workspace.NAME, _workspace_seeds()[0])
    write(folder, "rounds/001/round.json", data)
    for one_round in workspace.Workspace(folder).rounds():
        one_round.has("train"), one_round.number


def _round_seeds():
    settings = json.loads(_workspace_seeds()[0])["settings"]
    return [json.dumps({"number": 1, "settings": settings, "phases": {"train": {"seconds": 1.0}}}).encode()]


def _pool(folder, data):
    write(folder, workspace.NAME, _workspace_seeds()[0])
    write(folder, "pool.csv", data)
    write(folder, "labelled.csv", data)
    space = workspace.Workspace(folder)
    list(space.pool())


def _pool_seeds():
    return [b"name,path,classes\na.jpg,/x/a.jpg,\nb.jpg,/x/b.jpg,cat;dog\n"]


def _json_file(name, read):
    def parse(folder, data):
        write(folder, name, data)
        read(folder)

    return parse


def _selection_seeds():
    row = {"name": "a.jpg", "score": 0.5, "boxes": 3, "class": "cat", "best_score": 0.9, "weight": 1.0}
    value = dataclasses.asdict(selection.rules.SelectOptions())
    value |= {"round": 1, "rule_used": "x", "note": "", "chosen": [row], "random": None}
    return [json.dumps(value | {"num_candidates": 3, "strata": {"cat": 1}}).encode()]


def _draft_seeds():
    box = {"class": "cat", "xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4, "score": 0.5}
    draft = {"name": "a.jpg", "path": "/x/a.jpg", "image": "a.jpg", "width": 9, "height": 9, "boxes": [box]}
    return [json.dumps({"format": drafts._FORMAT, "review": "x", "drafts": [draft]}).encode()]


def _sheet_seeds():
    cell = {"name": "a.jpg", "mark": "T", "found": "cat", "score": 0.5}
    row = {"label": "cat", "num_images": 1, "cells": [cell]}
    return [json.dumps({"rows": [row], "round_number": 1, "test_dir": "x", "score_threshold": 0.5}).encode()]


def _detection_line():
    box = {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}
    return {"path": "a", "width": 9, "height": 9, "detections": [{"class": "c", "id": 1, "score": 0.5, "box": box}]}


def _detections(folder, data):
    for found in detections.read_json_lines(write(folder, "a.jsonl", data)):
        found.to_annotation()
        detections.to_line(found)


def _predictions(folder, data):
    plan = {"num_images": 2, "part_size": 2, "images_sha256": "", "model_sha256": "", "score_threshold": 0.1}
    storage.write_json(folder / predictions.PLAN, plan | {"max_detections": 10})
    write(folder, "part-00000.jsonl", data)
    list(predictions.read_predictions(folder))
    list(predictions.find_predictions(folder, ["a.jpg", "zz"]))


def _plan(folder, data):
    write(folder, predictions.PLAN, data)
    predictions.missing_parts(folder)


def _plan_seeds():
    value = {"num_images": 2, "part_size": 2, "images_sha256": "x", "model_sha256": "y"}
    return [json.dumps(value | {"score_threshold": 0.1, "max_detections": 10}).encode()]


def _prediction_seeds():
    line = {"name": "a.jpg", **_detection_line(), "margins": [0.1], "entropies": [0.2]}
    return [(json.dumps(line) + "\n").encode() * 2]


def _answer_seeds():
    box = {"class": "cat", "xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4, "difficult": False, "truncated": False}
    annotation = {"filename": "a.jpg", "width": 9, "height": 9, "verified": True, "boxes": [box | {"pose": "x"}]}
    adopted = {"name": "a.jpg", "verdict": "adopted", "reason": "", "edits": None, "scores": [0.5, None]}
    refused = {"name": "b.jpg", "verdict": "refused", "reason": "x", "edits": None, "scores": [], "annotation": None}
    return [(json.dumps(adopted | {"annotation": annotation}) + "\n" + json.dumps(refused) + "\n").encode()]


def _history(folder, data):
    from tfodhelper.training import evaluation

    history = evaluation.History(write(folder, "evaluations.jsonl", data))
    history.has(10), history.best()


def _history_seeds():
    line = {"step": 10, "metrics": {"DetectionBoxes_Precision/mAP": 0.5, "Loss/total_loss": 1.5}, "train": {}}
    return [b"".join(json.dumps(line | {"step": step}).encode() + b"\n" for step in (10, 20))]


def _image_list(folder, data):
    path = write(folder, "train.txt", data)
    image_lists.split_by_lists([f"{n}.jpg" for n in range(5)] + ["x/y.jpg"], train_list=path)


def _image_labels(folder, data):
    pool = [workspace.PoolImage(f"{n}.jpg", f"/x/{n}.jpg", None) for n in range(3)]
    image_labels.read_image_labels(write(folder, "a.csv", data), pool)


def _sheet_table(folder, data):
    list(sheets.read_csv(write(folder, "a.csv", data)))


def _notes(folder, data):
    notes = scan_notes.read_notes(write(folder, "notes", data), _IDENTITY)
    if notes is not None:
        notes.location_of("a.xml")


_IDENTITY = {"data_dir": "x"}


def _notes_seeds():
    lines = [json.dumps([f"{name}.xml", [["a.jpg", 1, 2]]]).encode() + b"\n" for name in "abc"]
    buffer = io.BytesIO()
    scan_notes.write_sealed(buffer, [scan_notes.head_of(_IDENTITY), *lines])
    return [buffer.getvalue()]


TARGETS = (
    Target("notes of a scan", _notes, _notes_seeds, JSON),
    Target("manifest", _manifest, _manifest_seeds, JSON),
    Target("run.json", _run_state, _run_state_seeds, JSON),
    Target("workspace.json", _workspace, _workspace_seeds, JSON),
    Target("round.json", _round, _round_seeds, JSON),
    Target("pool.csv", _pool, _pool_seeds, TABLE),
    Target("selection", _json_file(selection.SELECTION_FILE, selection.read_selection), _selection_seeds, JSON),
    Target("drafts", _json_file(drafts.MEMORY, drafts.read_memory), _draft_seeds, JSON),
    Target("T/F/N sheet", _json_file(tfn_sheet._SHEET_FILE, tfn_sheet.read_sheet), _sheet_seeds, JSON),
    Target("detections", _detections, lambda: [(json.dumps(_detection_line()) + "\n").encode() * 2], JSON),
    Target("predictions", _predictions, _prediction_seeds, JSON),
    Target("plan of predictions", _plan, _plan_seeds, JSON),
    Target("answers", lambda f, d: list(answers.read_answers(write(f, "a.jsonl", d))), _answer_seeds, JSON),
    Target("evaluations", _history, _history_seeds, JSON),
    Target("image list", _image_list, lambda: [b"0\n1.jpg\n2 1\nx/y\n", b"0\n1\n2\n3\n4\n"], TEXT),
    Target("image labels", _image_labels, lambda: [b"image,class\n0.jpg,cat\n1.jpg,dog\n"], TABLE),
    Target("sheet", _sheet_table, lambda: [b"a,b\n1,'=x\n"], TABLE),
)
