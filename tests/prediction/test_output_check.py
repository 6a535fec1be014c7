"""Outputs in other units, numbers that are none, ids without a name: refused or converted, and said once."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.dataset.scan.picture_set import save_pair
from tests.prediction.foreign_models import save_constant
from tests.shared_data import shared
from tfodhelper import errors, fields
from tfodhelper.active_learning.pool import pool_predictor
from tfodhelper.active_learning.structures import PoolImage
from tfodhelper.annotations.structures import Box
from tfodhelper.cli import main
from tfodhelper.prediction import output_check

SIZE = (120, 160)
GOOD = [[0.1, 0.2, 0.5, 0.6], [0.3, 0.3, 1.02, 0.9]]
PIXELS = [[25.0, 50.0, 100.0, 150.0], [10.0, 10.0, 90.0, 130.0]]
INFO = [[120, 160], [240, 320], [2, 2], [0, 0]]
NAMES = {1: "bar", 2: "disc"}


def outputs(boxes=GOOD, scores=(0.9, 0.8), classes=(1, 2), **more):
    detections = fields.Detections
    return {detections.BOXES: np.float32(boxes), detections.SCORES: np.float32(scores)} | {
        detections.CLASSES: np.array(classes), **more
    }  # fmt: skip


def new_check(names=NAMES):
    return output_check.OutputCheck("models/m", names, "label_map.pbtxt")


def refusal(check=None, **changed):
    with pytest.raises(errors.PredictionError) as caught:
        boxes, _, classes = (check or new_check()).read(outputs(**changed), SIZE, "a.jpg")
        (check or new_check()).to_ids(classes, "a.jpg")
    assert "a.jpg" in str(caught.value) and "models/m" in str(caught.value)
    return str(caught.value)


def test_fractions_stay_as_they_are(capsys):
    check = new_check()
    boxes, scores, classes = check.read(outputs(num_detections=np.float32(1)), SIZE, "a.jpg")
    np.testing.assert_array_equal(boxes, np.float32(GOOD[:1]))
    assert (len(scores), check.to_ids(classes, "a.jpg").tolist()) == (1, [1])
    check.report()
    assert capsys.readouterr() == ("", "")


def test_pixels_are_refused_with_a_way_to_export():
    message = refusal(boxes=PIXELS)
    assert "not fractions of the image, but perhaps pixels" in message
    assert "ymin 25, xmin 50, ymax 100, xmax 150" in message and "output_normalized_coordinates" in message


def test_pixels_with_the_model_gardens_image_info_are_converted_and_said_once(capsys):
    check = new_check()
    for _ in range(3):
        boxes, _, _ = check.read(outputs(boxes=PIXELS, image_info=np.float32(INFO)), SIZE, "a.jpg")
        np.testing.assert_allclose(boxes, np.array(PIXELS) / [240, 320, 240, 320], rtol=1e-6)
    assert capsys.readouterr().err.count("they are converted with its output image_info") == 1


@pytest.mark.parametrize("row, value", [(0, [60, 80]), (2, [0.5, 0.5]), (2, [0, 0]), (2, [np.nan, 1]), (3, [5, 5])])
def test_an_image_info_that_does_not_fit_is_refused(row, value):
    info = np.float32(INFO)
    info[row] = value
    assert "perhaps pixels" in refusal(boxes=PIXELS, image_info=info)


@pytest.mark.parametrize("value", [1e30, -1e30, 3e7])
@pytest.mark.parametrize("place", [(0, 0), (1, 3)])
def test_absurd_numbers_are_refused_even_among_good_ones(value, place):
    boxes = np.float32(GOOD)
    boxes[place] = value
    assert f"{np.float32(value):g}" in refusal(boxes=boxes)
    check = new_check()
    check.read(outputs(), SIZE, "first.jpg")
    assert f"{np.float32(value):g}" in refusal(check, boxes=boxes)


@pytest.mark.parametrize("changed", [{"boxes": [[0, 0, np.nan, 1], GOOD[1]]}, {"scores": (np.inf, 0.1)}])
def test_numbers_that_are_not_finite_are_refused(changed):
    assert "not finite" in refusal(**changed)


@pytest.mark.parametrize("value", [3e18, 1e30, -1, -7, np.nan, np.inf, 0.37])
def test_classes_that_are_not_ids_are_refused(value):
    message = refusal(classes=np.float32([1, value]))
    assert "not the id of a class" in message and f"{np.float32(value):g}" in message


@pytest.mark.parametrize("num", [-1, 3, np.nan, 1e30])
def test_an_invalid_number_of_detections_is_refused(num):
    assert "num_detections" in refusal(num_detections=np.float32(num))


def test_lists_of_different_lengths_are_refused():
    assert "differ in length" in refusal(boxes=GOOD[:1])


def test_a_box_far_outside_among_others_is_not_taken_for_pixels():
    boxes = [GOOD[0], GOOD[1], [0.0, 0.0, 3.0, 3.0]]
    read, _, _ = new_check().read(outputs(boxes, (0.9, 0.8, 0.1), (1, 1, 1)), SIZE, "a.jpg")
    np.testing.assert_array_equal(read, np.float32(boxes))


def test_ids_without_a_name_are_said_once_with_those_of_the_label_map(capsys):
    check = new_check()
    for _ in range(2):
        check.to_ids(np.float32([3, 18, 1, 0]), "a.jpg")
    check.report()
    check.report()
    said = capsys.readouterr().err
    assert said.count("warning") == 1
    assert "label_map.pbtxt does not have: ids 0, 3, 18 (6 detections); it has ids 1, 2" in said
    new_check(names={}).report()
    assert capsys.readouterr().err == ""


def picture(folder, name="a.png"):
    folder.mkdir(exist_ok=True)
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / name)
    return folder / name


def predict(model, images, out, *more):
    return main.main(["predict", f"--saved_model_dir={model}", f"--output_dir={out}", *more, *map(str, images)])


def with_label_map(folder):
    (folder / "label_map.pbtxt").write_text("item { id: 1 name: 'bar' } item { id: 2 name: 'disc' }")
    return folder


def test_predict_refuses_pixels_and_writes_nothing(tmp_path, capsys):
    model = with_label_map(save_constant(tmp_path, PIXELS, (0.9, 0.8), (1, 2)))
    images = [picture(tmp_path / "i", f"{number}.png") for number in range(3)]
    assert predict(model, images, tmp_path / "out", "--write_xml", "--draw") == 1
    said = capsys.readouterr().err
    assert said.count("perhaps pixels") == 1
    assert not list((tmp_path / "out").glob("detections*")) and not list((tmp_path / "out").rglob("*.xml"))


def test_predict_warns_once_of_ids_that_the_label_map_lacks(tmp_path, capsys):
    model = with_label_map(save_constant(tmp_path, GOOD, (0.9, 0.8), (3, 18), class_dtype=np.int32))
    images = [picture(tmp_path / "i", f"{number}.png") for number in range(3)]
    assert predict(model, images, tmp_path / "out", "--write_xml") == 0
    said = capsys.readouterr().err
    assert said.count("does not have: ids 3, 18 (6 detections); it has ids 1, 2") == 1
    lines = (tmp_path / "out" / "detections.jsonl").read_text().splitlines()
    assert [entry["class"] for entry in json.loads(lines[0])["detections"]] == ["class_3", "class_18"]


@pytest.mark.parametrize("boxes, classes", [(PIXELS, (1, 2)), (GOOD, (1, 3e18)), ([[1e30] * 4, GOOD[0]], (1, 2))])
def test_check_with_a_model_refuses_them_too(boxes, classes, tmp_path, capsys):
    model = with_label_map(save_constant(tmp_path, boxes, (0.9, 0.8), classes))
    save_pair(tmp_path / "data", "a", [Box("bar", 1, 1, 20, 20)], seed=1)
    argv = ["check", f"--data_dir={tmp_path / 'data'}", f"--model={model}", f"--output_dir={tmp_path / 'out'}"]
    assert main.main(argv) == 1
    said = capsys.readouterr().err
    assert "error: " in said and ("not fractions" in said or "not the id of a class" in said)


@pytest.mark.parametrize("boxes, classes", [(PIXELS, (1, 2)), (GOOD, (1, 3e18)), (GOOD, (1, -2))])
def test_the_pool_of_active_learning_refuses_them_too(boxes, classes, tmp_path):
    model = with_label_map(save_constant(tmp_path, boxes, (0.9, 0.8), classes))
    images = [PoolImage("a.png", str(picture(tmp_path / "i")), None)]
    with pytest.raises(errors.PredictionError, match="not fractions|not the id of a class"):
        pool_predictor.predict_pool(images, model, tmp_path / "predictions")


def test_the_shared_model_of_the_model_garden_is_refused(tmp_path, capsys):
    folder = shared("cases/03-predict-pixel-boxes-of-model-garden")
    shutil.copytree(folder / "saved_model", tmp_path / "saved_model")
    assert predict(tmp_path, [folder / "img000.jpg"], tmp_path / "out", "--write_xml", "--draw") == 1
    assert "perhaps pixels" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.xml"))
