"""The public predictor over a detector whose answers can be computed by hand."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfodhelper
from tests.exporting import fake_detector
from tests.shared_data import REPOSITORY
from tfodhelper import errors
from tfodhelper.exporting import serving


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run folder with an export that finds the whole image, with half of its red as the score."""
    folder = tmp_path_factory.mktemp("run")
    export = folder / "export/best"
    module = serving.ServingModule(fake_detector.FakeDetector(), "image_tensor", 1)
    tf.saved_model.save(module, str(export / "saved_model"), signatures=module.signatures)
    (export / "label_map.pbtxt").write_text('item { id: 1 name: "cat" }')
    (folder / "run.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def detector(run_dir):
    return tfodhelper.Predictor(run_dir, score_threshold=0.1)


def red(value, height=10, width=20):
    pixels = np.zeros([height, width, 3], np.uint8)
    pixels[..., 0] = value
    return pixels


def save(path, value, height=10, width=20):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(red(value, height, width)).save(path)
    return path


def check(prediction, score, path=""):
    (detection,) = prediction
    assert (prediction.path, prediction.width, prediction.height, len(prediction)) == (path, 20, 10, 1)
    assert (detection.name, detection.id) == ("cat", 1)
    assert detection.score == pytest.approx(score, abs=1e-6)
    assert (detection.ymin, detection.xmin, detection.ymax, detection.xmax) == (0.0, 0.0, 10.0, 20.0)


@pytest.mark.parametrize("part", ["", "export/best", "export/best/saved_model"])
def test_a_run_its_export_and_the_saved_model_are_one_detector(run_dir, part):
    detector = tfodhelper.Predictor(run_dir / part, score_threshold=0.1)
    assert detector.label_map.names == ("cat",)
    check(detector.predict(red(102)), 0.2)


def test_every_kind_of_image_gives_the_same(detector, tmp_path):
    path = save(tmp_path / "a.png", 102)
    check(detector.predict(path), 0.2, str(path))
    check(detector.predict(str(path)), 0.2, str(path))
    for image in (red(102), red(102)[::-1, ::-1], np.asfortranarray(red(102)), Image.open(path)):
        check(detector.predict(image), 0.2)
    check(detector.predict(Image.fromarray(red(102)).convert("RGBA")), 0.2)
    check(detector.predict(Image.fromarray(red(102)).convert("P")), 0.2)
    check(detector.predict(Image.new("L", (20, 10), 102)), 0.2)


def test_the_threshold_of_the_predictor_and_of_a_call(run_dir, detector):
    assert tfodhelper.Predictor(run_dir).score_threshold == 0.5
    assert len(detector.predict(red(102), score_threshold=0.21)) == 0
    assert len(detector.predict(red(48))) == 0  # 0.094
    assert len(detector.predict(red(48), score_threshold=0.05)) == 1
    assert list(detector.predict_all([red(102)], score_threshold=0.21))[0].detections == ()


def test_many_images_of_several_kinds_come_back_in_their_order(detector, tmp_path):
    path = save(tmp_path / "a.png", 51)
    images = [red(255), path, Image.fromarray(red(153, 30, 7)), red(102)]
    found = list(detector.predict_all(image for image in images))
    assert [one.path for one in found] == ["", str(path), "", ""]
    assert [one.detections[0].score for one in found] == pytest.approx([0.5, 0.1, 0.3, 0.2], abs=1e-6)
    assert [(one.width, one.height) for one in found] == [(20, 10), (20, 10), (7, 30), (20, 10)]
    assert list(detector.predict_all([])) == []


def test_a_buffer_that_is_used_again_does_not_change_earlier_images(detector):
    buffer = np.zeros([10, 20, 3], np.uint8)

    def frames():
        for value in (255, 153, 102):
            buffer[..., 0] = value
            yield buffer

    found = list(detector.predict_all(frames()))
    assert [one.detections[0].score for one in found] == pytest.approx([0.5, 0.3, 0.2], abs=1e-6)
    assert [one.image[0, 0, 0] for one in found] == [255, 153, 102]


def test_a_folder(detector, tmp_path):
    paths = [save(tmp_path / name, value) for name, value in (("a.png", 255), ("b/c.png", 102), ("d.png", 51))]
    (tmp_path / "notes.txt").write_text("")
    found = list(detector.predict_folder(tmp_path))
    assert [one.path for one in found] == list(map(str, paths))
    assert [one.detections[0].score for one in found] == pytest.approx([0.5, 0.2, 0.1], abs=1e-6)


def test_unreadable_files_end_the_work_or_are_reported(detector, tmp_path):
    save(tmp_path / "a.png", 255)
    (tmp_path / "b.png").write_text("no picture")
    save(tmp_path / "c.png", 102)
    with pytest.raises(errors.PredictionError, match=r"b\.png: .*\n(.*\n)*  fix: repair the image, or leave it out"):
        list(detector.predict_folder(tmp_path))
    problems = {}
    found = list(detector.predict_folder(tmp_path, on_unreadable=problems.__setitem__))
    assert [one.path for one in found] == [str(tmp_path / "a.png"), str(tmp_path / "c.png")]
    assert list(problems) == [str(tmp_path / "b.png")] and "JPEG" in problems[str(tmp_path / "b.png")]


@pytest.mark.parametrize(
    ("image", "received", "fix"),
    [
        (red(1) / 255.0, r"an array, float64 \[10, 20, 3\]", "astype"),
        (red(1)[..., 0], r"an array, uint8 \[10, 20\]", "numpy.stack"),
        (red(1)[:0], r"an array, uint8 \[0, 20, 3\]", None),
        (np.zeros([1, 10, 20, 3], np.uint8), r"an array, uint8 \[1, 10, 20, 3\]", None),
        (Image.new("F", (3, 2)), "a Pillow image, mode F, 3x2", "convert"),
        (Image.new("RGB", (0, 2)), "a Pillow image, mode RGB, 0x2", None),
        (7, "int: 7", None),
        (None, "NoneType: None", None),
        ([red(1)], "list: ", None),
    ],
)
def test_what_is_not_an_image_is_refused(detector, image, received, fix):
    with pytest.raises(errors.PredictionError, match=received) as caught:
        detector.predict(image)
    assert "expected: the path of an image file, a Pillow image of 8 bits, or an array" in str(caught.value)
    assert fix in caught.value.fix if fix else caught.value.fix is None


def test_wrong_paths(detector, tmp_path):
    with pytest.raises(errors.PredictionError, match="is a folder(.*\n)*  fix: predict_folder"):
        detector.predict(tmp_path)
    with pytest.raises(errors.PredictionError, match=r"nowhere\.jpg: cannot be read(.*\n)*  fix: check the path"):
        detector.predict(tmp_path / "nowhere.jpg")
    with pytest.raises(errors.PredictionError, match="nowhere"):
        detector.predict_folder(tmp_path / "nowhere")  # when it is called, not when it is iterated
    with pytest.raises(errors.PredictionError, match="no image found"):
        detector.predict_folder(tmp_path)
    with pytest.raises(errors.PredictionError, match="takes several images(.*\n)*  fix: predict"):
        detector.predict_all("photo.jpg")


def test_wrong_folders_and_settings(run_dir, tmp_path):
    with pytest.raises(errors.PredictionError, match="no SavedModel found"):
        tfodhelper.Predictor(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(errors.PredictionError, match="this run has not exported a model yet"):
        tfodhelper.Predictor(tmp_path)
    for threshold in (-0.1, 1.1, "0.5", None, float("nan")):
        with pytest.raises(errors.UsageError, match="from 0 to 1"):
            tfodhelper.Predictor(run_dir, score_threshold=threshold)
    with pytest.raises(errors.UsageError, match="from 0 to 1"):
        tfodhelper.Predictor(run_dir).predict(red(1), score_threshold=5)


def test_names_from_elsewhere(run_dir, tmp_path):
    tfodhelper.write_label_map(tmp_path / "map.pbtxt", ["tiger", "lion"])
    for label_map, name in (
        (tmp_path / "map.pbtxt", "tiger"),
        (tfodhelper.read_label_map(tmp_path / "map.pbtxt"), "tiger"),
        ("mscoco", "person"),
    ):
        (detection,) = tfodhelper.Predictor(run_dir, label_map=label_map).predict(red(255), score_threshold=0.1)
        assert detection.name == name
    with pytest.raises(errors.UsageError, match="no such file"):
        tfodhelper.Predictor(run_dir, label_map="nowhere.pbtxt")


def test_the_picture_shows_the_box(detector, tmp_path):
    path = save(tmp_path / "a.png", 102, 200, 500)
    picture = detector.predict(path).draw(tmp_path / "out.png")
    assert picture.size == (500, 200)
    drawn = np.asarray(Image.open(tmp_path / "out.png"))
    np.testing.assert_array_equal(drawn, np.asarray(picture))
    assert (drawn[100, :6] != [102, 0, 0]).any() and (drawn[100, 250] == [102, 0, 0]).all()
    plain = np.asarray(detector.predict(red(102, 200, 500)).draw(show_names=False, show_scores=False))
    assert (plain != drawn).any() and (plain[100] == drawn[100]).all()
    assert not list(tmp_path.glob(".*"))


def test_a_picture_that_cannot_be_written(detector, tmp_path):
    prediction = detector.predict(red(102))
    with pytest.raises(errors.PredictionError, match=r"out\.xyz: .*\n  expected: .*\.jpg"):
        prediction.draw(tmp_path / "out.xyz")
    with pytest.raises(errors.StorageError, match="nowhere"):
        prediction.draw(tmp_path / "nowhere/out.jpg")


def test_the_xml_opens_as_an_annotation(detector, tmp_path):
    path = save(tmp_path / "a.png", 102)
    prediction = detector.predict(path)
    prediction.write_xml(tmp_path / "a.xml")
    annotation = tfodhelper.read_annotation(tmp_path / "a.xml")
    assert annotation == prediction.to_annotation()
    assert annotation.filename == "a.png" and (annotation.width, annotation.height) == (20, 10)
    assert annotation.boxes == (tfodhelper.Box("cat", 0, 0, 20, 10),)
    assert f"<path>{path}</path>" in (tmp_path / "a.xml").read_text()
    prediction.write_xml(tmp_path / "none.xml", score_threshold=0.21)
    assert tfodhelper.read_annotation(tmp_path / "none.xml").boxes == ()
    detector.predict(red(102)).write_xml(tmp_path / "b.xml", image_path=tmp_path / "b.jpg")
    assert tfodhelper.read_annotation(tmp_path / "b.xml").filename == "b.jpg"


def test_plain_values(detector):
    value = json.loads(json.dumps(detector.predict(red(102)).to_dict()))
    box = {"xmin": 0.0, "ymin": 0.0, "xmax": 20.0, "ymax": 10.0}
    assert value["detections"] == [{"class": "cat", "id": 1, "score": 0.2, "box": box}]
    assert (value["path"], value["width"], value["height"]) == ("", 20, 10)


def test_an_image_that_is_gone_when_it_is_drawn(detector, tmp_path):
    path = save(tmp_path / "a.png", 102)
    prediction = detector.predict(path)
    path.unlink()
    with pytest.raises(errors.PredictionError, match=r"a\.png: cannot be read"):
        prediction.draw()


_AFTER_KERAS_3 = """
import tensorflow as tf
tf.keras.layers.Dense(1)
assert tf.keras.__version__.startswith("3."), tf.keras.__version__
import sys
import tfodhelper
(prediction,) = tfodhelper.Predictor(sys.argv[1], score_threshold=0.1).predict_folder(sys.argv[2])
prediction.draw(sys.argv[3])
print([(one.name, round(one.score, 3)) for one in prediction])
"""


def test_tensorflow_with_keras_3_may_be_imported_before(run_dir, tmp_path):
    save(tmp_path / "photos/a.png", 102)
    shutil.copytree(run_dir, tmp_path / "run")
    command = [sys.executable, "-c", _AFTER_KERAS_3, "run", "photos", "out.jpg"]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[('cat', 0.2)]\n"), done.stderr
