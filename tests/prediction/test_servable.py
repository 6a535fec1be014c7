"""How calls share the processor; what the signatures do is tested with the predictor."""

import io
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.exporting import fake_detector
from tests.models import variants
from tfodhelper.exporting import serving
from tfodhelper.prediction import predictor, reading, servable, single_thread

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def export_dir(tmp_path_factory):
    return fake_detector.save_model(tmp_path_factory.mktemp("export"), fake_detector.FakeDetector())


@pytest.fixture(scope="module")
def many(export_dir):
    """A predictor of many images."""
    return predictor.StreamPredictor(export_dir, is_for_many=True)


def test_threads_stay_as_they_are_once_tensorflow_works(export_dir):
    tf.constant(1)
    servable.run_each_call_on_one_core()
    assert tf.config.threading.get_intra_op_parallelism_threads() == 0
    loaded = servable.Servable(export_dir)
    assert not loaded.detects_in_thread
    assert loaded.plan_calls(8) == (2, 8)


def _show_devices(monkeypatch, *others):
    visible = [tf.config.PhysicalDevice(f"/physical_device:{kind}:0", kind) for kind in ["CPU", *others]]
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda: visible)


@pytest.mark.parametrize(("others", "expected"), [([], True), (["GPU"], False)])
def test_a_core_for_each_call_is_for_processors_only(others, expected, export_dir, monkeypatch):
    _show_devices(monkeypatch, *others)
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 1)
    assert servable._has_core_for_each_call() == expected
    assert servable.Servable(export_dir).detects_in_thread == expected
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 0)
    assert servable.Servable(export_dir, is_for_many=True).detects_in_thread == expected
    assert not servable.Servable(export_dir).detects_in_thread


@pytest.mark.parametrize("cores", [1, 2, 64])
def test_a_call_of_few_images_for_each_core(cores, export_dir, monkeypatch):
    monkeypatch.setattr(servable, "_count_cores", lambda: cores)
    assert servable.Servable(export_dir, is_for_many=True).plan_calls(8) == (cores, 4)


@pytest.mark.parametrize(("size", "expected"), [(1, 4), (256, 4), (300, 3), (512, 2), (600, 1), (2000, 1)])
def test_a_call_has_as_many_images_as_caches_hold_feature_maps_of(size, expected):
    @tf.function(input_signature=[tf.TensorSpec([None, size, 64, 3])])
    def extract(inputs):
        first = inputs[..., :1]
        return {"feature_map_0": tf.repeat(first, 4, axis=-1), "feature_map_1": tf.repeat(first, 12, axis=-1)}

    # 4 x size x 64 x (4 + 12) bytes: a mebibyte for 256 rows.
    assert single_thread.count_together(extract.get_concrete_function(), 4) == expected


@pytest.mark.parametrize("detector", ["FreeSizeDetector", "Faster R-CNN"])
def test_a_model_in_one_piece_has_calls_of_one_image(detector, tmp_path):
    if detector == "Faster R-CNN":
        detector = variants.build_variant(detector, is_training=False)
    else:
        detector = getattr(fake_detector, detector)()
    assert servable.Servable(fake_detector.save_model(tmp_path, detector), is_for_many=True).plan_calls(8)[1] == 1


@pytest.mark.parametrize(("cores", "batch_size", "expected"), [(1, 8, (2, 4)), (2, 1, (2, 1)), (64, 8, (64, 4))])
def test_calls_of_few_images_of_a_model_without_signatures_for_it(cores, batch_size, expected, tmp_path, monkeypatch):
    module = serving.ServingModule(fake_detector.FakeDetector(), "image_tensor", None)
    signatures = {serving.SERVING_DEFAULT: module.signatures[serving.SERVING_DEFAULT]}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    monkeypatch.setattr(servable, "_count_cores", lambda: cores)
    monkeypatch.setattr(servable, "_has_core_for_each_call", lambda: True)
    loaded = servable.Servable(tmp_path, is_for_many=True)
    assert not loaded.detects_in_thread
    assert loaded.plan_calls(batch_size) == expected


def _noise(seed, height, width):
    coarse = np.random.RandomState(seed).randint(0, 256, [7, 9, 3]).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def _encode(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.mark.parametrize(
    ("variant", "left_out", "num"),
    [
        ("plain", (), 4),
        ("plain", (serving.SERVING_EXTRACT, serving.SERVING_CONCLUDE), 1),  # as in earlier exports
        ("padded", (), 4),
        ("any size", (), 1),
        ("Faster R-CNN", (), 1),
        ("Faster R-CNN, frozen, padded", (), 1),
        ("Faster R-CNN, pyramid", (), 1),
    ],
)
def test_in_a_thread_images_have_the_detections_that_they_have_in_a_batch(variant, left_out, num, tmp_path, capfd):
    module = serving.ServingModule(variants.build_variant(variant, is_training=False), "image_tensor", 1)
    signatures = {name: function for name, function in module.signatures.items() if name not in left_out}
    tf.saved_model.save(module, str(tmp_path / "saved_model"), signatures=signatures)
    loaded = servable.Servable(tmp_path, is_for_many=True)
    assert loaded.plan_calls(8)[1] == num
    sizes = [(60, 90), (120, 75), (33, 200), (64, 96), (75, 120)]
    encoded = [_encode(_noise(seed, *size)) for seed, size in enumerate(sizes)]
    prepared = [loaded.prepare(np.asarray(Image.open(io.BytesIO(data)))) for data in encoded]
    for size, data, other in zip(sizes, encoded, prepared):
        received = loaded.prepare_jpeg(data)
        assert received[0] == size
        for ours, theirs in zip(received[1], other):
            np.testing.assert_array_equal(ours, theirs)
    for threshold in (0.0, 0.3):
        expected = [output for image in prepared for output in loaded.detect([image], threshold)]
        capfd.readouterr()
        for first in range(0, len(sizes), num):  # the last call is not full
            some = slice(first, first + num)
            received = loaded.detect_in_thread(prepared[some], threshold)
            assert len(received) == len(expected[some])
            for output, other in zip(received, expected[some]):
                assert set(output) == set(other)
                for key, value in other.items():
                    np.testing.assert_allclose(output[key], value, rtol=1e-4, atol=2e-5, err_msg=key)
        assert capfd.readouterr().err == ""


def test_bytes_that_cannot_be_decoded_are_an_error(export_dir):
    loaded = servable.Servable(export_dir, is_for_many=True)
    encoded = _encode(_noise(0, 40, 60))
    with pytest.raises(tf.errors.InvalidArgumentError):
        loaded.prepare_jpeg(encoded[:100])
    assert loaded.prepare_jpeg(encoded)[0] == (40, 60)


def _write_flat(path, value):
    options = {"quality": 100} if path.suffix == ".jpg" else {}
    Image.fromarray(np.full([4, 5, 3], value, np.uint8)).save(path, **options)


def _check_stream(model, folder, ending, **options):
    """Predicts 43 images, two of which cannot be read; `ending` maps their numbers to their extensions."""
    values = np.random.RandomState(0).randint(0, 256, size=41)
    paths = [folder / f"{number}.{ending(number)}" for number in range(len(values))]
    for path, value in zip(paths, values):
        _write_flat(path, value)
    cut = folder / "cut.jpg"
    _noise(0, 200, 300).save(cut)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    paths[7:7] = [folder / "missing.png", cut]
    outcomes = list(model.stream(paths, **options))
    assert [outcome.path for outcome in outcomes] == paths
    assert [path for path, outcome in zip(paths, outcomes) if outcome.found is None] == paths[7:9]
    assert "missing.png" in outcomes[7].problem
    assert "ends too early" in outcomes[8].problem
    scores = [outcome.found.detections[0].score for outcome in outcomes if outcome.found]
    np.testing.assert_allclose(scores, values / 510, atol=3e-3)
    assert all((outcome.found.width, outcome.found.height) == (5, 4) for outcome in outcomes if outcome.found)
    return outcomes


ENDINGS = {
    "JPEG": lambda number: "jpg",
    "PNG": lambda number: "png",
    "mostly JPEG": lambda number: "jpg" if number % 11 else "png",
}


@pytest.mark.parametrize("num_calls", [1, 2, 9, 40])
def test_results_come_in_order_however_many_calls_run_at_a_time(num_calls, export_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(servable.Servable, "plan_calls", lambda self, batch_size: (num_calls, 2))
    _check_stream(predictor.StreamPredictor(export_dir), tmp_path, ENDINGS["mostly JPEG"])


@pytest.mark.parametrize("cores", [1, 2, 9])
@pytest.mark.parametrize("ending", list(ENDINGS))
def test_results_come_in_order_where_each_call_has_its_core(cores, ending, many, tmp_path, monkeypatch):
    monkeypatch.setattr(servable, "_count_cores", lambda: cores)
    assert all(outcome.image is None for outcome in _check_stream(many, tmp_path, ENDINGS[ending]))


def test_images_are_kept_where_each_call_has_its_core(many, tmp_path):
    for outcome in _check_stream(many, tmp_path, ENDINGS["mostly JPEG"], keep_images=True):
        if outcome.found:
            np.testing.assert_array_equal(outcome.image, reading.read_image(outcome.path))


@pytest.mark.parametrize("ends", ["early", "with an error"])
def test_a_stream_that_is_left_leaves_no_thread(ends, many, tmp_path):
    path = tmp_path / "a.jpg"
    _write_flat(path, 100)

    def paths():
        yield from [path] * 30
        raise RuntimeError("no more paths")

    before = set(threading.enumerate())
    stream = many.stream(paths())
    if ends == "early":
        next(stream)
        stream.close()
    else:
        with pytest.raises(RuntimeError, match="no more paths"):
            list(stream)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()
