"""Exported models on labelled images: classes are matched by name, boxes by pixels, and records say the same as XML."""

import dataclasses
import json
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from tests.prediction import foreign_models
from tfodhelper import errors, export_evaluation
from tfodhelper.annotations import labelimg, masks
from tfodhelper.cli import main
from tfodhelper.evaluation_options import EvalOptions
from tfodhelper.metrics import detection_file
from tfodhelper.records import convert
from tfodhelper.records.options import ConvertOptions

WIDTH, HEIGHT = 80, 40
CAT, DOG = (10, 10, 30, 30), (40, 5, 70, 35)  # xmin, ymin, xmax, ymax


def write_image(folder, name, *objects):
    folder.mkdir(exist_ok=True)
    Image.fromarray(np.full([HEIGHT, WIDTH, 3], 90, np.uint8)).save(folder / f"{name}.png")
    boxes = "".join(
        f"<object><name>{label}</name><difficult>{int(label == 'hard cat')}</difficult><bndbox>"
        + "".join(f"<{tag}>{side}</{tag}>" for tag, side in zip(("xmin", "ymin", "xmax", "ymax"), box))
        + "</bndbox></object>"
        for label, box in objects
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    (folder / f"{name}.xml").write_text(f"<annotation><filename>{name}.png</filename>{size}{boxes}</annotation>")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Finds a cat (0.9) and a dog (0.6) in each image; its ids are 3 and 7, and it knows birds, too."""
    folder = tmp_path_factory.mktemp("model")
    boxes = [[box[1] / HEIGHT, box[0] / WIDTH, box[3] / HEIGHT, box[2] / WIDTH] for box in (CAT, DOG)]
    foreign_models.save_constant(folder, boxes, [0.9, 0.6], [3, 7])
    (folder / "label_map.pbtxt").write_text(
        'item { id: 3 name: "cat" } item { id: 7 name: "n02" display_name: "dog" } item { id: 8 name: "bird" }'
    )
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "photos"
    write_image(folder, "a", ("cat", CAT), ("dog", DOG))
    write_image(folder, "b", ("cat", CAT), ("zebra", DOG))
    write_image(folder, "c", ("n02", DOG))  # the other name of dogs
    return folder


def test_an_ignored_region_is_neither_missed_nor_wrong(model, tmp_path):
    for name in "ab":
        write_image(tmp_path / "set", name, ("cat", CAT), ("dog", DOG))
    read = labelimg.read_labelimg(tmp_path / "set" / "b.xml")
    boxes = tuple(dataclasses.replace(box, weight=0.0) for box in read.boxes)
    labelimg.write_labelimg(tmp_path / "set" / "b.xml", dataclasses.replace(read, boxes=boxes))
    figures, analysis = export_evaluation.evaluate(EvalOptions(saved_model_dir=model, data_dir=tmp_path / "set"))
    summary = analysis["summary"]
    assert [summary[key] for key in ("num_objects", "tp", "fp", "fn")] == [2, 2, 0, 0]
    assert figures["DetectionBoxes_Precision/mAP"] == pytest.approx(1)


def test_by_hand(model, data, tmp_path, capsys):
    options = EvalOptions(saved_model_dir=model, data_dir=data, output_dir=tmp_path / "evaluation")
    figures, analysis = export_evaluation.evaluate(options)
    # Cats: hit, hit, mistake (c) with equal scores; dogs: hit, mistake (b), hit.
    summary = analysis["summary"]
    assert (summary["num_images"], summary["num_objects"], summary["tp"], summary["fp"], summary["fn"]) == (
        3,
        4,
        4,
        2,
        0,
    )
    assert [row["name"] for row in analysis["per_class"]] == ["cat", "dog"]
    assert [row["id"] for row in analysis["per_class"]] == [3, 7]
    assert figures["DetectionBoxes_Recall/AR@100"] == 1.0
    said = capsys.readouterr()
    assert "not judged: 1 object of classes that the model does not know: zebra" in " ".join(said.err.split())
    assert "not judged: 1 class of the model without labelled objects: bird" in said.out
    again, overlapping = detection_file.read_evaluation(tmp_path / "evaluation")
    assert again["summary"] == summary
    assert overlapping.images.image_names == ("a.png", "b.png", "c.png")
    assert overlapping.images.image_sizes.tolist() == [[HEIGHT, WIDTH]] * 3
    np.testing.assert_allclose(overlapping.images.det_boxes[0], [10, 10, 30, 30], atol=1e-4)


def test_an_archive_of_the_zoo(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFODHELPER_CACHE", str(tmp_path / "cache"))
    boxes = [[box[1] / HEIGHT, box[0] / WIDTH, box[3] / HEIGHT, box[2] / WIDTH] for box in (CAT, DOG)]
    name = "ssd_mobilenet_v2_320x320_coco17_tpu-8"
    folder = foreign_models.save_constant(tmp_path / name, boxes, [0.9, 0.6], [17, 18])  # COCO's cats and dogs
    archive = tmp_path / f"{name}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, name)
    shutil.rmtree(folder)
    _, analysis = export_evaluation.evaluate(EvalOptions(saved_model_dir=archive, data_dir=data))
    assert [(row["name"], row["tp"]) for row in analysis["per_class"]] == [("cat", 2), ("dog", 1), ("zebra", 0)]
    photo, results = data / "a.png", tmp_path / "results"
    assert main.main(["predict", f"--saved_model_dir={archive}", f"--output_dir={results}", str(photo)]) == 0
    line = json.loads((results / "detections.jsonl").read_text())
    assert {each["class"] for each in line["detections"]} == {"cat", "dog"}
    assert "mscoco" in capsys.readouterr().out


def test_a_model_of_the_first_generation(data, tmp_path):
    boxes = [[box[1] / HEIGHT, box[0] / WIDTH, box[3] / HEIGHT, box[2] / WIDTH] for box in (CAT, DOG)]
    foreign_models.save_first_generation(tmp_path / "saved_model", boxes, [0.9, 0.6], [3, 7])
    (tmp_path / "label_map.pbtxt").write_text('item { id: 3 name: "cat" } item { id: 7 name: "dog" }')
    _, analysis = export_evaluation.evaluate(EvalOptions(saved_model_dir=tmp_path, data_dir=data))
    assert [(row["name"], row["tp"]) for row in analysis["per_class"]] == [("cat", 2), ("dog", 0)]
    assert analysis["per_class"][1]["ap50"] > 0  # found, below the best threshold


def test_records_say_the_same(model, data, tmp_path):
    convert.convert(ConvertOptions(data_dir=data, output_dir=tmp_path / "records", val_fraction=0, seed=3))
    of_xml, _ = export_evaluation.evaluate(EvalOptions(saved_model_dir=model, data_dir=data))
    options = EvalOptions(saved_model_dir=model, records=f"{tmp_path}/records/train.record-*")
    of_records, analysis = export_evaluation.evaluate(options)
    assert of_records == pytest.approx(of_xml, nan_ok=True)
    assert analysis["summary"]["tp"] == 4


def test_further_metrics_at_another_overlap(model, data):
    options = EvalOptions(
        saved_model_dir=model,
        data_dir=data,
        metrics=("open_images_V2_detection_metrics", "pascal_voc_2007_detection_metrics"),
        iou_threshold=0.3,
    )
    figures, _ = export_evaluation.evaluate(options)
    for prefix in ("OpenImagesV2", "Pascal2007Boxes", "PascalBoxes"):
        assert 0.5 < figures[f"{prefix}_Precision/mAP@0.3IOU"] <= 1.0


def test_models_without_names_or_shared_classes(model, data, tmp_path):
    bare = foreign_models.save_constant(tmp_path / "bare", [[0, 0, 1, 1]], [0.5], [1])
    with pytest.raises(errors.PredictionError, match="names of the model's classes are not known"):
        export_evaluation.evaluate(EvalOptions(saved_model_dir=bare, data_dir=data))
    write_image(tmp_path / "zebras", "z", ("zebra", CAT))
    with pytest.raises(errors.PredictionError, match="knows none of the classes") as caught:
        export_evaluation.evaluate(EvalOptions(saved_model_dir=model, data_dir=tmp_path / "zebras"))
    assert "zebra" in caught.value.received
    figures, _ = export_evaluation.evaluate(
        EvalOptions(saved_model_dir=bare, data_dir=data, label_map=model / "label_map.pbtxt")
    )
    assert figures["DetectionBoxes_Precision/mAP"] == 0.0


def test_the_names_of_a_model_of_the_zoo_are_known(tmp_path, capsys):
    archive = tmp_path / "ssd_mobilenet_v2_320x320_coco17_tpu-8"
    archive.mkdir()
    foreign_models.save_constant(archive, [[10 / HEIGHT, 10 / WIDTH, 30 / HEIGHT, 30 / WIDTH]], [0.5], [17])
    write_image(tmp_path / "photos", "a", ("cat", CAT))
    figures, analysis = export_evaluation.evaluate(EvalOptions(saved_model_dir=archive, data_dir=tmp_path / "photos"))
    assert figures["DetectionBoxes_Precision/mAP"] == pytest.approx(1.0)
    assert analysis["per_class"][0]["id"] == 17
    assert "are those of mscoco" in capsys.readouterr().out


def test_the_verb(model, data, tmp_path, capsys):
    flags = [f"--saved_model_dir={model}", f"--data_dir={data}", f"--output_dir={tmp_path}/out"]
    assert not main.main(["eval", *flags])
    said = capsys.readouterr().out
    assert "best threshold" in said and f"all figures: {tmp_path}/out" in said
    assert json.loads((tmp_path / "out" / "analysis.json").read_text())["summary"]["num_objects"] == 4
    assert not main.main(["eval", *flags])  # the same command again
    assert main.main(["eval", *flags, "--iou_threshold=0.6"]) == 2
    assert "results never overwrite existing files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "needs one model"),
        (("--saved_model_dir=x", "--records=y", "--data_dir=z"), "name two sets"),
        (("--model_dir=x", "--saved_model_dir=y"), "has no effect with --model_dir"),
        (("--model_dir=x", "--data_dir=y"), "without --saved_model_dir"),
        (("--saved_model_dir=nothing", "--data_dir=y"), "no SavedModel found"),
    ],
)
def test_flags_that_do_not_fit(flags, words, capsys):
    assert main.main(["eval", *flags]) == 2 or "SavedModel" in words
    assert words in capsys.readouterr().err


def test_masks_are_judged_if_model_and_labels_have_them(tmp_path):
    """The lower left half of the cat is its mask, and is found; the dog has none."""
    write_image(tmp_path / "photos", "a", ("cat", CAT), ("dog", DOG))
    polygon = masks.make_from_polygons([[10, 10, 10, 30, 30, 30]])
    xml = tmp_path / "photos" / "a.xml"
    read = labelimg.read_labelimg(xml)
    boxes = dataclasses.replace(read.boxes[0], mask=polygon), read.boxes[1]
    labelimg.write_labelimg(xml, dataclasses.replace(read, boxes=boxes))
    (tmp_path / "photos" / "b.png").write_bytes((tmp_path / "photos" / "a.png").read_bytes())
    write_image(tmp_path / "photos", "b", ("cat", CAT), ("dog", DOG))
    corners = [[box[1] / HEIGHT, box[0] / WIDTH, box[3] / HEIGHT, box[2] / WIDTH] for box in (CAT, DOG)]
    grids = np.stack([np.tril(np.ones([21, 21], np.float32)), np.ones([21, 21], np.float32)])
    folder = foreign_models.save_constant(tmp_path / "model", corners, [0.9, 0.6], [1, 2], masks=grids)
    (folder / "label_map.pbtxt").write_text('item { id: 1 name: "cat" } item { id: 2 name: "dog" }')
    by_xml, _ = export_evaluation.evaluate(EvalOptions(saved_model_dir=folder, data_dir=tmp_path / "photos"))
    assert by_xml["DetectionMasks_Precision/mAP@.50IOU"] == pytest.approx(1.0)
    assert by_xml["DetectionBoxes_Precision/mAP"] == pytest.approx(1.0)
    options = ConvertOptions(data_dir=tmp_path / "photos", output_dir=tmp_path / "data", val_fraction=0.0)
    convert.convert(options)
    by_records, _ = export_evaluation.evaluate(
        EvalOptions(saved_model_dir=folder, records=str(tmp_path / "data" / "train.record-*"))
    )
    tags = [tag for tag in by_xml if tag.startswith("DetectionMasks_")]
    assert [by_records[tag] for tag in tags] == pytest.approx([by_xml[tag] for tag in tags], nan_ok=True)
    tiled, _ = export_evaluation.evaluate(EvalOptions(saved_model_dir=folder, data_dir=tmp_path / "photos", tiles=64))
    assert not any("Masks" in tag for tag in tiled)
