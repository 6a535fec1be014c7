"""The parsers of the program, each with valid inputs and the mutators that fit its format.

A target's `parse` takes (folder of its own, bytes of the mutated input) and does what the verbs do with such a file, up
to the values that they work with. What it raises for an invalid input must be a `TfodhelperError`.
"""

import dataclasses
import functools
import gzip
import io
import json
import pathlib
import tarfile
import tempfile
from collections.abc import Callable

from PIL import Image

from tests.mutation import mutators as m
from tfodhelper import errors, run_folder, run_layout, sheets, storage
from tfodhelper.active_learning import answers, workspace
from tfodhelper.active_learning.oracles import drafts, image_labels
from tfodhelper.active_learning.pool import predictions
from tfodhelper.active_learning.report import tfn_sheet
from tfodhelper.active_learning.selection import selection
from tfodhelper.annotations import checks, headers, images, label_map, labelimg
from tfodhelper.annotations.structures import Box
from tfodhelper.checkpoints import find
from tfodhelper.config import overrides, supported
from tfodhelper.config import pipeline as pipelines
from tfodhelper.dataset import manifest
from tfodhelper.dataset.scan import scan_notes
from tfodhelper.dataset.split import image_lists
from tfodhelper.formats import box_table, coco, tfrecord_reader, yolo, yolo_folder
from tfodhelper.prediction import detections
from tfodhelper.records import example, framing, labels, reader, result
from tfodhelper.tflite import metadata
from tfodhelper.zoo import archive, base_configs

FACTS = images.ImageFacts("JPEG", 64, 48, "RGB", 1, "0" * 64, 1)
LABEL_MAP = label_map.number_names(["cat", "dog"])


@dataclasses.dataclass(frozen=True)
class Target:
    """One parser.

    Attributes:
      name: short.
      parse: function of (folder, bytes).
      seeds: function that makes a list of valid inputs.
      mutators: functions of (random.Random, bytes), see `mutators`.
      needs: names of modules without which it cannot be tried.
    """

    name: str
    parse: Callable
    seeds: Callable
    mutators: tuple
    needs: tuple[str, ...] = ()


def _write(folder, name, data):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# Annotations


def _xml(folder, data):
    annotation = labelimg.read_labelimg(_write(folder, "a.xml", data))
    for known in (None, LABEL_MAP):
        found = checks.check_annotation(annotation, FACTS, "a.xml", known)
        [finding.message for finding in found.findings[:100]]
        if found.annotation is not None:
            labelimg.write_labelimg(folder / "b.xml", found.annotation)


def _xml_seeds():
    head = "<annotation>\n\t<folder>f</folder>\n\t<filename>a.jpg</filename>\n\t<path>/x/a.jpg</path>\n\t<source>\n"
    head += "\t\t<database>Unknown</database>\n\t</source>\n\t<size>\n\t\t<width>64</width>\n\t\t<height>48</height>\n"
    head += "\t\t<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>\n"
    body = "\t<object>\n\t\t<name>{0}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>0</truncated>\n"
    body += "\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>{1}</xmin>\n\t\t\t<ymin>2</ymin>\n"
    body += "\t\t\t<xmax>30</xmax>\n\t\t\t<ymax>40</ymax>\n\t\t</bndbox>\n\t</object>\n"
    objects = "".join(body.format(name, place) for name, place in (("cat", 1), ("dog", 5), ("cow", 9.5)))
    return [(head + part + "</annotation>\n").encode() for part in ("", objects, objects * 5)]


def _label_map_seeds():
    made = label_map.format_label_map(LABEL_MAP)
    return [
        made.encode(),
        base_configs.label_map_path("pascal").read_bytes(),
        made.replace("item", "# x\nitem").encode(),
    ]


def _coco(folder, data):
    coco.read_coco(_write(folder, "a.json", data))


def _coco_seeds():
    value = {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48} for n in (1, 2)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog", "supercategory": "x"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 10.5], "iscrowd": 0, "area": 100},
            {"id": 2, "image_id": 1, "category_id": 2, "segmentation": [[1, 2, 3, 4, 5, 6]], "pose": "Left"},
            {
                "id": 3,
                "image_id": 2,
                "category_id": 2,
                "bbox": [0, 0, 1, 1],
                "segmentation": {"counts": "a", "size": [1, 1]},
            },
        ],
    }
    return [json.dumps(value).encode()]


def _yolo_labels(folder, data):
    text = yolo.read_text(_write(folder, "a.txt", data))
    yolo.looks_like_labels(text)
    boxes, skipped, _ = yolo.parse_labels(text, ["cat", None], 64, 48)
    [(box.describe(), box.area) for box in boxes[:100]]


def _yolo_names(folder, data):
    yolo.read_names(_write(folder, "data.yaml", data))


def _yolo_folder(folder, data):
    _write(folder, "data.yaml", data)
    _write(folder, "images/train/a.png", _png(8, 6))
    _write(folder, "labels/train/a.txt", b"0 0.5 0.5 0.2 0.2\n")
    yolo_folder.read_folder(folder, folder, ["images/train/a.png"])


def _yolo_names_seeds():
    sides = {"train": "images/train", "val": ["images/val"]}
    block = b"path: ../x\ntrain: images/train\nval: images/val\nnc: 2\nnames:\n  0: cat\n  1: dog\n"
    flow = b"names: ['cat', \"dog\"]\ntrain: &t ../images/train\nval: *t\n# comment\n"
    return [yolo.format_data(["cat", "dog"], sides).encode(), block, flow]


def _box_table(folder, data):
    box_table.read_table(_write(folder, "a.csv", data))


def _box_table_seeds():
    rows = "".join(f"{n}.jpg,64,48,cat,1,2,{n + 10},20\n" for n in range(5)) + "n.jpg,64,48,,,,,\n"
    return [("filename,width,height,class,xmin,ymin,xmax,ymax\n" + rows).encode()]


# Records and images


def _records(folder, data):
    path = _write(folder, "a.record", data)
    reader.count_records(str(path))
    for record in tfrecord_reader.read_records([str(path)], {1: "cat"}):
        getattr(record, "message", None)


def _labels(folder, data):
    path = _write(folder, "a.record", data)
    for offset, length in reader.iterate_spans(path):
        try:
            labels.read_labels(data, offset, offset + length)
        except labels.UNREADABLE:
            continue


def _example():
    data = _png(8, 6)
    boxes = [dataclasses.astuple(Box("cat", 1, 1, 5, 5)), dataclasses.astuple(Box("dog", 0, 0, 8, 6))]
    return example.make_example(boxes, 8, 6, data, "png", 1, "0" * 64, LABEL_MAP, "a.png")


def _record_seeds():
    return [b"".join(part for _ in range(count) for part in framing.frame(_example())) for count in (1, 3)]


def _png(width, height, mode="RGB"):
    return _encoded(Image.new(mode, (width, height), 7), "PNG")


def _encoded(image, format, **options):
    data = io.BytesIO()
    image.save(data, format, **options)
    return data.getvalue()


def _image(folder, data):
    path = _write(folder, "a.img", data)
    images.read_size(path)
    headers.read_header(data)
    for decode in (False, True):
        facts = headers.inspect(data, path, decode=decode)
        [images.encode_for_record(data, facts, turn) for turn in (False, True) if decode]


def _image_seeds():
    picture = Image.effect_noise((40, 30), 50)
    color = Image.merge("RGB", [picture] * 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    seeds = [_encoded(color, "JPEG", exif=exif), _encoded(color, "JPEG", progressive=True), _encoded(picture, "JPEG")]
    seeds += [_encoded(color.convert("CMYK"), "JPEG"), _encoded(color, "PNG"), _encoded(color.convert("P"), "PNG")]
    seeds += [_encoded(picture.convert("I;16"), "PNG"), _encoded(color.convert("RGBA"), "PNG"), _encoded(color, "WEBP")]
    return [*seeds, _encoded(color, "BMP"), _encoded(color, "GIF"), _encoded(color, "TIFF", compression="tiff_lzw")]


# Configuration


def _pipeline(folder, data):
    pipeline = pipelines.read_pipeline(_write(folder, "pipeline.config", data))
    supported.classify(pipeline)
    pipelines.write_pipeline(folder / "again.config", pipeline)


def _pipeline_seeds():
    names = base_configs.base_names()
    chosen = [name for name in names if "v2_320x320" in name or "d0" in name or "resnet50_v1_640" in name]
    return [base_configs.base_pipeline_path(name).read_bytes() for name in chosen[:4]]


def _overrides(folder, data):
    pipeline = pipelines.read_pipeline(base_configs.base_pipeline_path(base_configs.base_names()[0]))
    overrides.apply_overrides(pipeline, data.decode("utf-8", "replace").split("\n"))


def _override_seeds():
    lines = ["train_config.batch_size=4", "model.ssd.num_classes=3", "train_config.optimizer={adam_optimizer {}}"]
    lines += ["eval_config.metrics_set=[coco_detection_metrics]", "train_config.data_augmentation_options[0]="]
    return [line.encode() for line in lines]


# Archives and models


def _archive(folder, data):
    archive.unpack(_write(folder, "a.tar.gz", data), folder / "out")
    find.find_newest_in(folder / "out")


def _archive_seeds():
    seeds = []
    for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
            for name, content in (
                ("top/checkpoint/checkpoint", b'model_checkpoint_path: "ckpt-0"\n'),
                ("top/checkpoint/ckpt-0.index", b"i" * 600),
                ("top/" + "d" * 120 + "/\u732b.txt", b"x" * 30),
            ):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        seeds.append(gzip.compress(buffer.getvalue()))
    return seeds


def _checkpoint_state(folder, data):
    _write(folder, "ckpt-1.index", b"")
    _write(folder, "checkpoint", data)
    find.find_checkpoint(folder)


def _checkpoint_state_seeds():
    return [b'model_checkpoint_path: "ckpt-1"\nall_model_checkpoint_paths: "/x/ckpt-0"\nlast_preserved: 1.5\n']


def _checkpoint(folder, data):
    from tfodhelper.checkpoints import whole

    for name, content in _checkpoint_files().items():
        _write(folder, name, data if name.endswith(".index") else content)
    whole.find_whole(folder)


@functools.cache
def _checkpoint_files():
    """{name: content} of a small checkpoint of TensorFlow's."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        variables = {f"v{number}": tf.Variable(tf.ones([number + 1, 3])) for number in range(40)}
        tf.train.Checkpoint(**variables).save(f"{folder}/ckpt")
        return {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}


def _checkpoint_seeds():
    return [content for name, content in _checkpoint_files().items() if name.endswith(".index")]


def _graph(folder, data):
    from tfodhelper.prediction import model_safety

    _write(folder, "saved_model.pb", data)
    try:
        model_safety.check(folder)
    except OSError as error:  # as `load` does
        raise errors.PredictionError(str(error)) from error


@functools.cache
def _graph_seeds():
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        module = tf.Module()
        module.table = tf.Variable([1.0, 2.0])
        module.f = tf.function(lambda x: x * module.table, input_signature=[tf.TensorSpec([2])])
        tf.saved_model.save(module, folder, signatures={"serving_default": module.f})
        return [pathlib.Path(folder, "saved_model.pb").read_bytes()]


def _tflite_file(folder, data):
    from tfodhelper.tflite import model_file

    for name in ("TFLITE_METADATA", "x"):
        model_file.find_metadata(data, name)


def _tflite_file_seeds():
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    builder = flatbuffers.Builder(0)
    model = schema.ModelT()
    model.buffers = [schema.BufferT() for _ in range(3)]
    model.buffers[1].data, model.buffers[2].data = list(b"x"), list(b"some bytes")
    model.metadata = [schema.MetadataT() for _ in range(2)]
    for number, name in enumerate(("x", "TFLITE_METADATA")):
        model.metadata[number].name, model.metadata[number].buffer = name, number + 1
    model.description, model.version = "a file", 3
    builder.Finish(model.Pack(builder), b"TFL3")
    return [bytes(builder.Output())]


def _notes(folder, data):
    notes = scan_notes.read_notes(_write(folder, "notes", data), _IDENTITY)
    if notes is not None:
        notes.location_of("a.xml")


_IDENTITY = {"data_dir": "x"}


def _notes_seeds():
    lines = [json.dumps([f"{name}.xml", [["a.jpg", 1, 2]]]).encode() + b"\n" for name in "abc"]
    buffer = io.BytesIO()
    scan_notes.write_sealed(buffer, [scan_notes.head_of(_IDENTITY), *lines])
    return [buffer.getvalue()]


def _tflite_metadata(folder, data):
    metadata.read_normalization(data)
    metadata.read_labels(_write(folder, "a.tflite", data))


def _tflite_seeds():
    plain = metadata.make_metadata("name", "text", (300, 300), (127.5,) * 3, (127.5,) * 3, True)
    return [plain, metadata.append_labels(plain, ["cat", "dog"])]


def _tflite_interface(folder, data):
    from tfodhelper.tflite import interface

    try:
        interface.from_json(data.decode("utf-8", "replace")).resizer  # noqa: B018 - parses a message
    except (ValueError, TypeError, KeyError, errors.TfodhelperError):
        return


def _tflite_interface_seeds():
    return [
        json.dumps(
            {
                "version": 1,
                "image_resizer": "fixed_shape_resizer { height: 8 width: 8 }",
                "mean": [1, 2, 3],
                "std": [1, 1, 1],
                "class_names": {"1": "cat"},
                "suppression": None,
                "num_background_columns": 0,
            }
        ).encode()
    ]


# Files of state


def _manifest(folder, data):
    _write(folder, manifest.NAME, data)
    _write(folder, "label_map.pbtxt", label_map.format_label_map(LABEL_MAP).encode())
    for name in ("train.csv", "validate.csv"):
        _write(folder, name, b"")
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
    _write(folder, run_layout.STATE, data)
    run_folder.read_result(folder)


def _run_state_seeds():
    numbers = {"step": 10, "mAP": 0.5, "mAP@.50IOU": None}
    value = {"finished": True, "settings": {"data": {}}, "phases": {"convert": {"seconds": 1.0}}}
    return [json.dumps(value | {"result": {"best": numbers, "last": numbers, "seconds_per_step": None}}).encode()]


def _workspace(folder, data):
    _write(folder, workspace.NAME, data)
    workspace.Workspace(folder)


def _workspace_seeds():
    parts = {part: {} for part in workspace.PARTS}
    return [
        json.dumps(
            {"format": workspace.FORMAT, "settings": {**parts, "retrain": "new", "oracle": {}, "seed": 1, "data": {}}}
        ).encode()
    ]


def _round(folder, data):
    _write(folder, workspace.NAME, _workspace_seeds()[0])
    _write(folder, "rounds/001/round.json", data)
    for one_round in workspace.Workspace(folder).rounds():
        one_round.has("train"), one_round.number


def _round_seeds():
    settings = json.loads(_workspace_seeds()[0])["settings"]
    return [json.dumps({"number": 1, "settings": settings, "phases": {"train": {"seconds": 1.0}}}).encode()]


def _pool(folder, data):
    _write(folder, workspace.NAME, _workspace_seeds()[0])
    _write(folder, "pool.csv", data)
    _write(folder, "labelled.csv", data)
    space = workspace.Workspace(folder)
    list(space.pool())


def _pool_seeds():
    return [b"name,path,classes\na.jpg,/x/a.jpg,\nb.jpg,/x/b.jpg,cat;dog\n"]


def _json_file(name, read):
    def parse(folder, data):
        _write(folder, name, data)
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
    for found in detections.read_json_lines(_write(folder, "a.jsonl", data)):
        found.to_annotation()
        detections.to_line(found)


def _predictions(folder, data):
    plan = {"num_images": 2, "part_size": 2, "images_sha256": "", "model_sha256": "", "score_threshold": 0.1}
    storage.write_json(folder / predictions.PLAN, plan | {"max_detections": 10})
    _write(folder, "part-00000.jsonl", data)
    list(predictions.read_predictions(folder))
    list(predictions.find_predictions(folder, ["a.jpg", "zz"]))


def _plan(folder, data):
    _write(folder, predictions.PLAN, data)
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

    history = evaluation.History(_write(folder, "evaluations.jsonl", data))
    history.has(10), history.best()


def _history_seeds():
    line = {"step": 10, "metrics": {"DetectionBoxes_Precision/mAP": 0.5, "Loss/total_loss": 1.5}, "train": {}}
    return [b"".join(json.dumps(line | {"step": step}).encode() + b"\n" for step in (10, 20))]


def _image_list(folder, data):
    path = _write(folder, "train.txt", data)
    image_lists.split_by_lists([f"{n}.jpg" for n in range(5)] + ["x/y.jpg"], train_list=path)


def _image_labels(folder, data):
    pool = [workspace.PoolImage(f"{n}.jpg", f"/x/{n}.jpg", None) for n in range(3)]
    image_labels.read_image_labels(_write(folder, "a.csv", data), pool)


def _sheet_table(folder, data):
    list(sheets.read_csv(_write(folder, "a.csv", data)))


_JSON = (m.change_json, m.change_json, m.change_json, m.change_number, *m.TEXT, *m.BYTES, m.replace_all)
_TEXT = (*m.TEXT, *m.TEXT, *m.BYTES, m.replace_all)
_TABLE = (m.change_csv, m.change_csv, m.change_csv, *_TEXT)

TARGETS = (
    Target("xml", _xml, _xml_seeds, (*(m.change_xml,) * 12, *_TEXT)),
    Target("label map", lambda f, d: label_map.read_label_map(_write(f, "a.pbtxt", d)), _label_map_seeds, _TEXT),
    Target("pipeline.config", _pipeline, _pipeline_seeds, _TEXT),
    Target("--set", _overrides, _override_seeds, _TEXT),
    Target("coco", _coco, _coco_seeds, _JSON),
    Target(
        "yolo labels", _yolo_labels, lambda: [b"0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.2 0.2 0.9\n", b"0 0 0 1 0 1 1\n"], _TEXT
    ),
    Target("yolo names", _yolo_names, _yolo_names_seeds, _TEXT),
    Target("yolo folder", _yolo_folder, _yolo_names_seeds, _TEXT),
    Target("box table", _box_table, _box_table_seeds, _TABLE),
    Target("records", _records, _record_seeds, (m.with_frames((*m.BYTES, *(m.change_example,) * 6)),)),
    Target("labels of records", _labels, _record_seeds, (m.with_frames((*m.BYTES, *(m.change_example,) * 6)),)),
    Target("images", _image, _image_seeds, (*m.BYTES, *(m.change_png,) * 4, m.replace_all)),
    Target(
        "archives", _archive, _archive_seeds, (m.in_gzip((*(m.change_tar,) * 8, *m.BYTES)), m.flip_bits, m.replace_all)
    ),
    Target("checkpoint state", _checkpoint_state, _checkpoint_state_seeds, _TEXT),
    Target("checkpoint", _checkpoint, _checkpoint_seeds, m.BYTES, ("tensorflow",)),
    Target("graph of a SavedModel", _graph, _graph_seeds, m.BYTES, ("tensorflow",)),
    Target("tflite file", _tflite_file, _tflite_file_seeds, m.BYTES, ("tensorflow",)),
    Target("tflite metadata", _tflite_metadata, _tflite_seeds, (*m.BYTES, m.change_zip, m.change_zip)),
    Target("tflite interface", _tflite_interface, _tflite_interface_seeds, _JSON, ("tensorflow",)),
    Target("notes of a scan", _notes, _notes_seeds, _JSON),
    Target("manifest", _manifest, _manifest_seeds, _JSON),
    Target("run.json", _run_state, _run_state_seeds, _JSON),
    Target("workspace.json", _workspace, _workspace_seeds, _JSON),
    Target("round.json", _round, _round_seeds, _JSON),
    Target("pool.csv", _pool, _pool_seeds, _TABLE),
    Target("selection", _json_file(selection.SELECTION_FILE, selection.read_selection), _selection_seeds, _JSON),
    Target("drafts", _json_file(drafts.MEMORY, drafts.read_memory), _draft_seeds, _JSON),
    Target("T/F/N sheet", _json_file(tfn_sheet._SHEET_FILE, tfn_sheet.read_sheet), _sheet_seeds, _JSON),
    Target("detections", _detections, lambda: [(json.dumps(_detection_line()) + "\n").encode() * 2], _JSON),
    Target("predictions", _predictions, _prediction_seeds, _JSON),
    Target("plan of predictions", _plan, _plan_seeds, _JSON),
    Target("answers", lambda f, d: list(answers.read_answers(_write(f, "a.jsonl", d))), _answer_seeds, _JSON),
    Target("evaluations", _history, _history_seeds, _JSON),
    Target("image list", _image_list, lambda: [b"0\n1.jpg\n2 1\nx/y\n", b"0\n1\n2\n3\n4\n"], _TEXT),
    Target("image labels", _image_labels, lambda: [b"image,class\n0.jpg,cat\n1.jpg,dog\n"], _TABLE),
    Target("sheet", _sheet_table, lambda: [b"a,b\n1,'=x\n"], _TABLE),
)
