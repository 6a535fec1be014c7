"""A pool is predicted once, whatever happens: kills, broken images, several processes at once."""

import itertools
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.exporting import fake_detector
from tests.shared_data import REPOSITORY
from tfodhelper import errors, storage
from tfodhelper.active_learning.pool import pool_predictor, predictions
from tfodhelper.active_learning.structures import PoolImage
from tfodhelper.annotations import label_map
from tfodhelper.exporting import serving
from tfodhelper.fields import Detections
from tfodhelper.prediction import predictor, reading

pytestmark = pytest.mark.slow

NUM_IMAGES, BROKEN = 23, (3, 4, 20)
OPTIONS = {"part_size": 4, "batch_size": 3}

# Predicts a pool, each call on one core; with a number, kills itself once that many files have their names.
CHILD = """
import json, os, signal, sys
from tfodhelper import tensorflow_setup
tensorflow_setup.quiet_tensorflow()
from tfodhelper.active_learning.pool import pool_predictor
from tfodhelper.active_learning.structures import PoolImage
from tfodhelper.prediction import servable
images, model, folder, shard, kill_at = json.loads(sys.argv[1])
replace, count = os.replace, [0]
def replace_or_die(*paths):
    if count[0] == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    count[0] += 1
    replace(*paths)
os.replace = replace_or_die
servable.run_each_call_on_one_core()
assert servable.Servable(model).plan_calls(3)[1] == 4
pool = [PoolImage(*image) for image in images]
pool_predictor.predict_pool(pool, model, folder, shard=shard, part_size=4, batch_size=3)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    fake_detector.save_model(folder)
    names = label_map.LabelMap((label_map.LabelMapItem(1, "cat"), label_map.LabelMapItem(2, "dog")))
    label_map.write_label_map(folder / "label_map.pbtxt", names)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Images of many sizes with increasing red; some are truncated, empty or missing."""
    folder = tmp_path_factory.mktemp("pool")
    pool = []
    for number in range(NUM_IMAGES):
        path = folder / f"{number}.png"
        pixels = np.zeros([5 + number % 4, 20 - number % 3, 3], np.uint8)
        pixels[..., 0] = 10 * number
        Image.fromarray(pixels).save(path)
        pool.append(PoolImage(f"images/{number}.png", str(path)))
    pathlib.Path(pool[3].path).write_bytes(pathlib.Path(pool[3].path).read_bytes()[:50])
    pathlib.Path(pool[4].path).write_bytes(b"")
    pathlib.Path(pool[20].path).unlink()
    return pool


@pytest.fixture(scope="module")
def whole(model, images, tmp_path_factory):
    """What an undisturbed prediction of the pool writes."""
    folder = tmp_path_factory.mktemp("whole")
    report = pool_predictor.predict_pool(images, model, folder, **OPTIONS)
    assert (report.num_images, report.num_predicted) == (NUM_IMAGES, NUM_IMAGES)
    assert (report.num_unreadable, report.num_missing_parts) == (len(BROKEN), 0)
    return folder


def assert_same_predictions(folder, other_folder):
    """The lines are identical, scores and features as close as batches of other images allow."""
    first, second = (list(predictions.read_predictions(each)) for each in (folder, other_folder))
    assert [item.name for item in first] == [item.name for item in second]
    for a, b in zip(first, second):
        assert [(d.name, d.xmin, d.ymax) for d in a.found.detections] == [
            (d.name, d.xmin, d.ymax) for d in b.found.detections
        ]
        np.testing.assert_allclose(
            [d.score for d in a.found.detections], [d.score for d in b.found.detections], atol=2e-6
        )
        np.testing.assert_allclose(a.features, b.features, atol=1e-3)
    assert list(predictions.read_unreadable(folder)) == list(predictions.read_unreadable(other_folder))


def start(images, model, folder, shard=(1, 1), kill_at=-1):
    arguments = json.dumps([[[image.name, image.path] for image in images], str(model), str(folder), shard, kill_at])
    return subprocess.Popen([sys.executable, "-c", CHILD, arguments], cwd=REPOSITORY, stdout=subprocess.DEVNULL)


def test_predictions_are_those_of_predict_with_doubts_and_features(whole, model, images):
    readable = [image for number, image in enumerate(images) if number not in BROKEN]
    expected = list(predictor.StreamPredictor(model).predict([image.path for image in readable], score_threshold=0.05))
    received = list(predictions.read_predictions(whole))
    assert [prediction.name for prediction in received] == [prediction.name for prediction in readable]
    for prediction, other in zip(received, expected):
        assert (prediction.found.path, prediction.found.width, prediction.found.height) == (
            other.path,
            other.width,
            other.height,
        )
        assert (
            len(prediction.found.detections)
            == len(other.detections)
            == len(prediction.margins)
            == len(prediction.entropies)
        )
        for a, b in zip(prediction.found.detections, other.detections):
            assert (a.name, a.id, a.xmax) == (b.name, b.id, b.xmax)
            assert a.score == pytest.approx(b.score, abs=1e-5)
    brightest = received[-1]  # red 220: score 0.5 * 220 / 255
    score = 110 / 255
    assert brightest.margins == pytest.approx([1 - 2 * score], abs=1e-5)
    assert brightest.entropies == pytest.approx([-score * np.log(score) - (1 - score) * np.log(1 - score)], abs=1e-5)
    np.testing.assert_allclose(brightest.features, [220 / 255, 0, 0], atol=1e-3)


def test_images_that_cannot_be_read_are_recorded_with_the_reason(whole, images):
    recorded = list(predictions.read_unreadable(whole))
    assert [unreadable.name for unreadable in recorded] == [images[number].name for number in BROKEN]
    assert [unreadable.path for unreadable in recorded] == [images[number].path for number in BROKEN]
    for unreadable, words in zip(recorded, ["", "is empty", "No such file"]):
        assert unreadable.path in unreadable.reason and words in unreadable.reason


def test_finished_parts_are_not_predicted_again(model, images, whole, tmp_path, monkeypatch):
    pool_predictor.predict_pool(lambda: iter(images), model, tmp_path, **OPTIONS)
    (tmp_path / "part-00002.jsonl").unlink()
    kept = (tmp_path / "part-00001.jsonl").stat().st_ino
    seen = []
    read = reading.read_pixels
    monkeypatch.setattr(reading, "read_pixels", lambda path, *rest: seen.append(path) or read(path, *rest))
    report = pool_predictor.predict_pool(lambda: iter(images), model, tmp_path, **OPTIONS)
    assert report.num_predicted == 4
    assert sorted(seen) == sorted(image.path for image in images[8:12])
    assert (tmp_path / "part-00001.jsonl").stat().st_ino == kept
    assert_same_predictions(tmp_path, whole)
    monkeypatch.setattr(pool_predictor, "PoolModel", None)  # not even the model is loaded
    assert pool_predictor.predict_pool(images, model, tmp_path, **OPTIONS).num_predicted == 0


@pytest.mark.parametrize(("num_images", "expected"), [(1000, True), (999, False)])
def test_more_time_is_spent_on_preparation_for_many_images(num_images, expected, images, model, tmp_path, monkeypatch):
    def refuse(saved_model_dir, **options):
        raise errors.PredictionError(f"for many: {options['is_for_many']}")

    monkeypatch.setattr(pool_predictor, "PoolModel", refuse)
    many = [PoolImage(str(number), images[0].path) for number in range(num_images)]
    with pytest.raises(errors.PredictionError, match=f"for many: {expected}"):
        pool_predictor.predict_pool(many, model, tmp_path, part_size=4)


def test_kills_lose_nothing(model, images, whole, tmp_path):
    # File 0 is the plan; a part has features, unreadable images if there are any, and lines, in this order.
    for kill_at in (2, 6):
        assert start(images, model, tmp_path, kill_at=kill_at).wait() == -9
    assert 0 < len(predictions.missing_parts(tmp_path)) < 6
    pool_predictor.predict_pool(images, model, tmp_path, **OPTIONS)
    assert_same_predictions(tmp_path, whole)


def test_two_processes_share_a_pool(model, images, whole, tmp_path):
    processes = [start(images, model, tmp_path, shard=(number, 2)) for number in (1, 2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert_same_predictions(tmp_path, whole)


def test_a_shard_leaves_the_others_parts_alone(model, images, tmp_path):
    report = pool_predictor.predict_pool(images, model, tmp_path, shard=(2, 3), **OPTIONS)
    assert (report.num_predicted, report.num_missing_parts) == (8, 4)
    assert predictions.missing_parts(tmp_path) == [0, 2, 3, 5]


def test_the_same_shard_twice_at_once_is_reported(model, images, tmp_path):
    another = pytest.raises(errors.StorageError, match="another process is using this folder")
    with pool_predictor._hold_shard(tmp_path, (1, 1)), another:
        pool_predictor.predict_pool(images, model, tmp_path, **OPTIONS)


@pytest.mark.parametrize("shard", [(0, 1), (2, 1)])
def test_an_invalid_shard(shard, tmp_path):
    with pytest.raises(errors.UsageError, match="1/n to n/n"):
        pool_predictor.predict_pool([], "model", tmp_path, shard=shard)


def test_another_pool_in_the_same_folder_is_refused(model, images, whole):
    with pytest.raises(errors.PredictionError, match="num_images 23(.|\n)*num_images 22"):
        pool_predictor.predict_pool(images[1:], model, whole, **OPTIONS)


def test_a_disk_that_fills_up_keeps_what_is_written(model, images, whole, tmp_path, monkeypatch):
    write, count = predictions.write_part, itertools.count()

    def write_two(*arguments):
        if next(count) == 2:
            raise errors.StorageError("the disk is full")
        write(*arguments)

    monkeypatch.setattr(predictions, "write_part", write_two)
    with pytest.raises(errors.StorageError, match="the disk is full"):
        pool_predictor.predict_pool(images, model, tmp_path, **OPTIONS)
    assert predictions.missing_parts(tmp_path) == [2, 3, 4, 5]
    monkeypatch.undo()
    pool_predictor.predict_pool(images, model, tmp_path, **OPTIONS)
    assert_same_predictions(tmp_path, whole)


def test_an_empty_pool(model, tmp_path):
    report = pool_predictor.predict_pool([], model, tmp_path)
    assert (report.num_images, report.num_predicted, report.num_missing_parts) == (0, 0, 0)
    assert list(predictions.read_predictions(tmp_path)) == []


def test_a_saved_model_of_others_has_no_features(images, tmp_path):
    module = serving.ServingModule(fake_detector.FakeDetector(), "image_tensor", 1)
    published = {serving.SERVING_DEFAULT: module.signatures[serving.SERVING_DEFAULT]}
    tf.saved_model.save(module, str(tmp_path / "model" / "saved_model"), signatures=published)
    pool_predictor.predict_pool(images, tmp_path / "model", tmp_path / "pool", **OPTIONS)
    received = list(predictions.read_predictions(tmp_path / "pool"))
    assert len(received) == NUM_IMAGES - len(BROKEN)
    assert {prediction.features for prediction in received} == {None}
    assert received[-1].found.detections[0].score == pytest.approx(110 / 255, abs=1e-5)


def test_most_detections_of_an_image(model, images, tmp_path):
    pool_predictor.predict_pool(images[:2], model, tmp_path, max_detections=0)
    assert [prediction.found.detections for prediction in predictions.read_predictions(tmp_path)] == [(), ()]


def entropy(*values):
    return -sum(value * np.log(value) for value in values)


def test_doubt_of_a_softmax_is_about_all_columns():
    layout = pool_predictor.ScoreLayout(is_softmax=True, num_background_columns=1)
    margins, entropies = layout.measure([0.5, 1.0], np.float32([[0.3, 0.5, 0.2], [0.0, 1.0, 0.0]]))
    assert margins == pytest.approx([0.2, 1.0])
    assert entropies == pytest.approx([entropy(0.3, 0.5, 0.2), 0.0])


def test_doubt_of_sigmoids_is_the_sum_over_classes_without_background():
    layout = pool_predictor.ScoreLayout(is_softmax=False, num_background_columns=1)
    margins, entropies = layout.measure([0.9], np.float32([[0.6, 0.25, 0.9]]))
    assert margins == pytest.approx([0.65])
    assert entropies == pytest.approx([entropy(0.25, 0.75) + entropy(0.9, 0.1)])
    margins, _ = layout.measure([0.06, 0.5], np.float32([[0.9, 0.05, 0.06], [0.1, 0.45, 0.5]]))
    assert margins == pytest.approx([0.94 - 0.06, 0.0])  # almost certainly nothing; one class or nothing


def test_doubt_of_one_class():
    margins, entropies = pool_predictor.ScoreLayout(False, 1).measure([0.3], np.float32([[0.6, 0.3]]))
    assert (margins, entropies) == (pytest.approx([0.4]), pytest.approx([entropy(0.3, 0.7)]))
    margins, entropies = pool_predictor.ScoreLayout(False, 0).measure([0.3], np.float32([[0.3]]))
    assert (margins, entropies) == (pytest.approx([0.4]), pytest.approx([entropy(0.3, 0.7)]))


def test_doubt_of_nothing():
    for multiclass in (None, np.zeros([0, 3], np.float32)):
        margins, entropies = pool_predictor.ScoreLayout(False, 1).measure([], multiclass)
        assert len(margins) == len(entropies) == 0


class Answering:
    """Stands in for a `StreamPredictor` that returns the same output for every image."""

    def __init__(self, rows, id_, num=2):
        self.output = {
            Detections.MULTICLASS_SCORES: np.float32(rows),
            Detections.CLASSES: np.float32([id_, 1]),
            Detections.SCORES: np.float32([0.5, 0.2]),
            Detections.NUM: np.float32(num),
        }

    def detect(self, images):
        return [self.output for _ in images]


@pytest.mark.parametrize(
    ("rows", "id_", "expected"),
    [
        ([[0.3, 0.2, 0.5], [0.7, 0.2, 0.1]], 2, (True, 1)),
        ([[0.3, 0.2, 0.5], [0.6, 0.2, 0.1]], 2, (False, 1)),
        ([[0.3, 0.5, 0.1], [0.6, 0.2, 0.1]], 2, (False, 0)),
        ([[0.3, 0.4, 0.5], [0.6, 0.2, 0.1]], 3, (False, 0)),  # there is no column 3: no background
    ],
)
def test_the_layout_of_the_scores_is_found(rows, id_, expected):
    layout = pool_predictor.find_layout(Answering(rows, id_))
    assert (layout.is_softmax, layout.num_background_columns) == expected


def test_the_plan_names_the_model(whole, model):
    before = storage.read_json(whole / "plan.json")["model_sha256"]
    assert pool_predictor._digest_model(model) == pool_predictor._digest_model(model / "saved_model") == before
