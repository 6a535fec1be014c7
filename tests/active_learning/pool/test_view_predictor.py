"""A model on several views of images: what is fused, in order, with bounded memory; and the pool as files."""

import itertools

import numpy as np
import pytest
from PIL import Image

from tests.exporting import fake_detector
from tfodhelper import errors
from tfodhelper.active_learning.pool import pool_predictor, predictions, view_predictor, views
from tfodhelper.active_learning.structures import PoolImage
from tfodhelper.prediction import predictor, reading

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return fake_detector.save_model(tmp_path_factory.mktemp("export"))


def save(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def test_a_box_around_each_view_is_the_image_where_all_of_it_is_seen(model, tmp_path):
    """The fake detector finds the whole of each view; the corners' boxes end at their borders, and are left out."""
    path = save(tmp_path / "red.png", fake_detector.red_image(200, 80, 120))
    outcomes = list(view_predictor.ViewPredictor(model).stream([path]))
    (outcome,) = outcomes
    (found,) = outcome.found.detections
    assert (found.ymin, found.xmin, found.ymax, found.xmax) == (0, 0, 80, 120)
    assert found.score == pytest.approx(100 / 255, abs=1e-3) and found.doubt == pytest.approx(0, abs=1e-6)
    assert (outcome.found.path, outcome.found.width, outcome.found.height) == (str(path), 120, 80)
    np.testing.assert_allclose(outcome.features, [200 / 255, 0, 0], atol=1e-3)


def test_a_view_that_finds_nothing_lowers_the_score(model, tmp_path, monkeypatch):
    monkeypatch.setattr(views, "mean_colour", lambda image: np.zeros(3, np.uint8))  # the padded view is darker
    path = save(tmp_path / "red.png", fake_detector.red_image(200, 80, 120))
    canvas = np.zeros([100, 150, 3], np.uint8)
    canvas[10:90, 15:135, 0] = 200
    padded = next(predictor.StreamPredictor(model).stream([canvas])).found.detections[0].score
    assert padded < 80 / 255
    (plain,) = next(view_predictor.ViewPredictor(model).stream([path])).found.detections
    assert plain.score == pytest.approx((2 * 100 / 255 + padded) / 3, abs=5e-3)
    outcome = next(view_predictor.ViewPredictor(model).stream([path], score_threshold=padded + 0.02))
    (found,) = outcome.found.detections
    assert found.score == pytest.approx(2 / 3 * 100 / 255, abs=5e-3)


def test_images_come_in_order_and_unreadable_ones_are_named(model, tmp_path):
    paths = []
    for number in range(9):
        path = tmp_path / f"{number}.png"
        save(path, fake_detector.red_image(20 * number + 20, 30 + 4 * (number % 3), 50 - 3 * (number % 2)))
        paths.append(path)
    for number in (0, 4, 5, 8):
        paths[number].write_bytes(b"")
    outcomes = list(view_predictor.ViewPredictor(model).stream(paths, batch_size=3))
    assert [outcome.path for outcome in outcomes] == paths
    assert [number for number, outcome in enumerate(outcomes) if outcome.problem] == [0, 4, 5, 8]
    for number in (1, 2, 3, 6, 7):
        (found,) = outcomes[number].found.detections
        assert found.score == pytest.approx((20 * number + 20) / 510, abs=2e-3)


def test_images_are_read_as_they_are_needed(model, monkeypatch):
    image, read = fake_detector.red_image(100, 30, 40), []
    real = reading.read_pixels
    monkeypatch.setattr(reading, "read_pixels", lambda path, *rest: real(image, *rest))

    def paths():
        for number in range(400):
            read.append(number)
            yield f"{number}.png"

    outcomes = view_predictor.ViewPredictor(model).stream(paths(), batch_size=4)
    assert len(list(itertools.islice(outcomes, 3))) == 3
    assert len(read) < 60
    outcomes.close()


def test_neither_images_nor_masks_can_be_kept(model):
    for name in ("keep_images", "keep_masks"):
        with pytest.raises(ValueError, match="neither"):
            next(view_predictor.ViewPredictor(model).stream(["a.png"], **{name: True}))


def outcome_of(rows, size, columns):
    """An `Outcome` of a view."""
    from tfodhelper.prediction import detections

    boxes, scores = [box for box, _ in rows], [score for _, score in rows]
    kept = detections.from_arrays(boxes, [1] * len(rows), {1: "cat"}, scores)
    multiclass = np.array(columns, np.float32).reshape(len(rows), 3)
    return predictor.Outcome("", detections.ImageDetections("", *size[::-1], kept), multiclass_scores=multiclass)


def test_scores_of_all_columns_are_means_over_the_views(model):
    seen = views.make_views(100, 200)[:3]
    outcomes = [
        outcome_of([([10, 20, 50, 80], 0.6)], (100, 200), [[0.1, 0.6, 0.3]]),
        outcome_of([([10, 200 - 80, 50, 200 - 20], 0.9)], (100, 200), [[0.1, 0.9, 0.0]]),  # the same, mirrored
        outcome_of([], (124, 250), []),
    ]
    fused = view_predictor.ViewPredictor(model)._fuse("a", (100, 200), seen, outcomes, 0.0, None)
    np.testing.assert_allclose(fused.multiclass_scores, [[0.2 / 3, 0.5, 0.1]], atol=1e-6)
    (found,) = fused.found.detections
    assert (found.score, found.doubt) == (pytest.approx(0.5), 0) and found.xmin == pytest.approx(20)
    softmax = pool_predictor.ScoreLayout(is_softmax=True, num_background_columns=1)
    completed = softmax.complete(fused.multiclass_scores)
    np.testing.assert_allclose(completed, [[0.4, 0.5, 0.1]], atol=1e-6)
    margins, _ = softmax.measure([0.5], completed)
    assert margins == pytest.approx([0.1])
    apart = pool_predictor.ScoreLayout(is_softmax=False, num_background_columns=1)
    assert apart.complete(fused.multiclass_scores) is fused.multiclass_scores


def test_nothing_in_any_view(model):
    seen = views.make_views(100, 200)[:2]
    empty = [outcome_of([], (100, 200), [])] * 2
    fused = view_predictor.ViewPredictor(model)._fuse("a", (100, 200), seen, empty, 0.05, 100)
    assert fused.found.detections == () and fused.multiclass_scores.shape == (0, 3)


def test_a_pool_in_fused_views_is_another_prediction(model, tmp_path):
    pool = [PoolImage(f"{n}.png", str(save(tmp_path / f"{n}.png", fake_detector.red_image(99 + n)))) for n in range(5)]
    report = pool_predictor.predict_pool(pool, model, tmp_path / "out", part_size=2, views="fused")
    assert (report.num_predicted, report.num_missing_parts) == (5, 0)
    read = list(predictions.read_predictions(tmp_path / "out"))
    assert [each.name for each in read] == [image.name for image in pool]
    assert all(len(each.margins) == len(each.found.detections) == 1 for each in read)
    assert all(each.found.detections[0].doubt is not None for each in read)
    with pytest.raises(errors.PredictionError, match="views fused(.|\n)*views plain"):
        pool_predictor.predict_pool(pool, model, tmp_path / "out", part_size=2)
