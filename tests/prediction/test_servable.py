"""How calls share the processor; what the signatures do is tested with the predictor."""

import numpy as np
import pytest
import tensorflow as tf

from tests.export import fake_detector
from tfodhelper.export import serving
from tfodhelper.prediction import predictor, servable


@pytest.fixture(scope="module")
def export_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    module = serving.ServingModule(fake_detector.FakeDetector(), "image_tensor", 1)
    tf.saved_model.save(module, str(folder / "saved_model"), signatures=module.signatures)
    return folder


def test_threads_stay_as_they_are_once_tensorflow_works():
    tf.constant(1)
    servable.run_each_call_on_one_core()
    assert tf.config.threading.get_intra_op_parallelism_threads() == 0
    assert servable.plan_calls(8) == (2, 8)


@pytest.mark.parametrize(("cores", "batch_size", "expected"), [(1, 8, (2, 4)), (2, 1, (2, 1)), (64, 8, (64, 4))])
def test_a_call_of_few_images_for_each_core(cores, batch_size, expected, monkeypatch):
    monkeypatch.setattr(servable, "_has_core_for_each_call", lambda: True)
    monkeypatch.setattr(servable, "_count_cores", lambda: cores)
    assert servable.plan_calls(batch_size) == expected


def test_a_signature_with_constants_answers_with_the_same_numbers(export_dir, capfd):
    loaded = tf.saved_model.load(str(export_dir / "saved_model"))
    function = loaded.signatures[serving.SERVING_PREPARED]
    random = np.random.RandomState(0)
    arguments = {
        "inputs": tf.constant(random.uniform(size=[3, fake_detector.SIZE, fake_detector.SIZE, 3]), tf.float32),
        "true_image_shapes": tf.constant([[fake_detector.SIZE, fake_detector.SIZE, 3]] * 3),
        "score_threshold": tf.constant(0.1),
    }
    expected, received = function(**arguments), servable._freeze(function)(**arguments)
    assert set(received) == set(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(received[key], value, err_msg=key)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("num_calls", [1, 2, 9, 40])
def test_results_come_in_order_however_many_calls_run_at_a_time(num_calls, export_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(servable, "plan_calls", lambda batch_size: (num_calls, 2))
    values = np.random.RandomState(0).randint(0, 256, size=41)
    paths = [tmp_path / f"{number}.png" for number in range(len(values))]
    for path, value in zip(paths, values):
        tf.io.write_file(str(path), tf.io.encode_png(np.full([4, 5, 3], value, np.uint8)))
    paths.insert(7, tmp_path / "missing.png")
    outcomes = list(predictor.Predictor(export_dir).stream(paths))
    assert [outcome.path for outcome in outcomes] == paths
    assert outcomes[7].found is None
    scores = [outcome.found.detections[0].score for outcome in outcomes if outcome.found]
    np.testing.assert_allclose(scores, values / 510, atol=1e-6)
