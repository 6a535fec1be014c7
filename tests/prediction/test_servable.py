"""How calls share the processor; what the signatures do is tested with the predictor."""

import io
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.export import fake_detector
from tests.models import test_conformance
from tfodhelper.export import serving
from tfodhelper.prediction import predictor, servable


def _save(folder, detector):
    module = serving.ServingModule(detector, "image_tensor", 1)
    tf.saved_model.save(module, str(folder / "saved_model"), signatures=module.signatures)
    return folder


@pytest.fixture(scope="module")
def export_dir(tmp_path_factory):
    return _save(tmp_path_factory.mktemp("export"), fake_detector.FakeDetector())


@pytest.fixture
def one_core(monkeypatch):
    """As in a process where each call has a core of its own."""
    monkeypatch.setattr(servable, "_has_core_for_each_call", lambda: True)


def test_threads_stay_as_they_are_once_tensorflow_works(export_dir):
    tf.constant(1)
    servable.run_each_call_on_one_core()
    assert tf.config.threading.get_intra_op_parallelism_threads() == 0
    loaded = servable.Servable(export_dir)
    assert not loaded.detects_alone
    assert loaded.plan_calls(8) == (2, 8)


@pytest.mark.parametrize(("others", "expected"), [([], True), (["GPU"], False)])
def test_a_core_for_each_call_is_for_processors_only(others, expected, monkeypatch):
    visible = [tf.config.PhysicalDevice(f"/physical_device:{kind}:0", kind) for kind in ["CPU", *others]]
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda: visible)
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 1)
    assert servable._has_core_for_each_call() == expected


@pytest.mark.parametrize("cores", [1, 2, 64])
def test_a_call_of_one_image_for_each_core(cores, export_dir, one_core, monkeypatch):
    monkeypatch.setattr(servable, "_count_cores", lambda: cores)
    assert servable.Servable(export_dir).plan_calls(8) == (cores, 1)


@pytest.mark.parametrize(("cores", "batch_size", "expected"), [(1, 8, (2, 4)), (2, 1, (2, 1)), (64, 8, (64, 4))])
def test_calls_of_few_images_of_a_model_without_signatures_for_it(
    cores, batch_size, expected, one_core, tmp_path, monkeypatch
):
    module = serving.ServingModule(fake_detector.FakeDetector(), "image_tensor", None)
    signatures = {serving.SERVING_DEFAULT: module.signatures[serving.SERVING_DEFAULT]}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    monkeypatch.setattr(servable, "_count_cores", lambda: cores)
    loaded = servable.Servable(tmp_path)
    assert not loaded.detects_alone
    assert loaded.plan_calls(batch_size) == expected


def _noise(seed, height, width):
    coarse = np.random.RandomState(seed).randint(0, 256, [7, 9, 3]).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    "variant", ["plain", "padded", "any size", "Faster R-CNN", "Faster R-CNN, frozen, padded", "Faster R-CNN, pyramid"]
)
def test_alone_an_image_has_the_detections_that_it_has_in_a_batch(variant, tmp_path, one_core, capfd):
    folder = _save(tmp_path, test_conformance.build_variant(variant, is_training=False))
    loaded = servable.Servable(folder)
    for seed, (height, width) in enumerate([(60, 90), (120, 75), (33, 200)]):
        file = io.BytesIO()
        _noise(seed, height, width).save(file, "JPEG", quality=90)
        pixels = np.asarray(Image.open(file))
        for threshold in (0.0, 0.3):
            (expected,) = loaded.detect([loaded.prepare(pixels)], threshold)
            capfd.readouterr()
            for image in (file.getvalue(), pixels):
                size, received = loaded.detect_alone(image, threshold)
                assert size == (height, width)
                assert set(received) == set(expected)
                for key, value in expected.items():
                    np.testing.assert_allclose(received[key], value, rtol=1e-4, atol=2e-5, err_msg=key)
            assert capfd.readouterr().err == ""


def test_bytes_that_cannot_be_decoded_are_an_error_of_that_call_alone(export_dir, one_core):
    loaded = servable.Servable(export_dir)
    file = io.BytesIO()
    _noise(0, 40, 60).save(file, "JPEG")
    with pytest.raises(tf.errors.InvalidArgumentError):
        loaded.detect_alone(file.getvalue()[:100])
    assert loaded.detect_alone(file.getvalue())[0] == (40, 60)


def _write_flat(path, value):
    options = {"quality": 100} if path.suffix == ".jpg" else {}
    Image.fromarray(np.full([4, 5, 3], value, np.uint8)).save(path, **options)


def _check_stream(export_dir, folder, **options):
    values = np.random.RandomState(0).randint(0, 256, size=41)
    paths = [folder / f"{number}.{'png' if number % 3 else 'jpg'}" for number in range(len(values))]
    for path, value in zip(paths, values):
        _write_flat(path, value)
    cut = folder / "cut.jpg"
    _noise(0, 200, 300).save(cut)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    paths[7:7] = [folder / "missing.png", cut]
    outcomes = list(predictor.Predictor(export_dir).stream(paths, **options))
    assert [outcome.path for outcome in outcomes] == paths
    assert [path for path, outcome in zip(paths, outcomes) if outcome.found is None] == paths[7:9]
    assert "missing.png" in outcomes[7].problem
    assert "ends too early" in outcomes[8].problem
    scores = [outcome.found.detections[0].score for outcome in outcomes if outcome.found]
    np.testing.assert_allclose(scores, values / 510, atol=3e-3)
    assert all((outcome.found.width, outcome.found.height) == (5, 4) for outcome in outcomes if outcome.found)
    return outcomes


@pytest.mark.parametrize("num_calls", [1, 2, 9, 40])
def test_results_come_in_order_however_many_calls_run_at_a_time(num_calls, export_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(servable.Servable, "plan_calls", lambda self, batch_size: (num_calls, 2))
    _check_stream(export_dir, tmp_path)


@pytest.mark.parametrize("cores", [1, 2, 9])
def test_results_come_in_order_where_each_call_has_its_core(cores, export_dir, tmp_path, one_core, monkeypatch):
    monkeypatch.setattr(servable, "_count_cores", lambda: cores)
    assert all(outcome.image is None for outcome in _check_stream(export_dir, tmp_path))


def test_images_are_kept_where_each_call_has_its_core(export_dir, tmp_path, one_core):
    for outcome in _check_stream(export_dir, tmp_path, keep_images=True):
        if outcome.found:
            np.testing.assert_array_equal(outcome.image, predictor.read_image(outcome.path))


@pytest.mark.parametrize("ends", ["early", "with an error"])
def test_a_stream_that_is_left_leaves_no_thread(ends, export_dir, tmp_path, one_core):
    path = tmp_path / "a.jpg"
    _write_flat(path, 100)

    def paths():
        yield from [path] * 30
        raise RuntimeError("no more paths")

    loaded = predictor.Predictor(export_dir)
    before = set(threading.enumerate())
    stream = loaded.stream(paths())
    if ends == "early":
        next(stream)
        stream.close()
    else:
        with pytest.raises(RuntimeError, match="no more paths"):
            list(stream)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()
