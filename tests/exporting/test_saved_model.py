import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.exporting import fake_detector
from tests.files import list_all
from tfodhelper import errors, protos
from tfodhelper.checkpoints import moving_averages
from tfodhelper.config import pipeline
from tfodhelper.exporting import saved_model, serving

GAIN = "model/gain/.ATTRIBUTES/VARIABLE_VALUE"


class _View(tf.Module):
    def __init__(self, detector):
        super().__init__()
        self.gain = detector.gain


def _config():
    config = protos.message("TrainEvalPipelineConfig")()
    config.model.ssd.num_classes = fake_detector.NUM_CLASSES
    return config


def _export(target, detector=None, **options):
    return saved_model.export_saved_model(
        detector or fake_detector.FakeDetector(), _config(), target, make_checkpoint_view=_View, **options
    )


def test_layout(tmp_path):
    (tmp_path / "map.pbtxt").write_text('item { id: 1 name: "cat" }')
    folder = _export(tmp_path / "out/model", label_map_path=tmp_path / "map.pbtxt")
    assert {name.split("/")[0] for name in list_all(folder)} == {
        "saved_model",
        "checkpoint",
        "pipeline.config",
        "label_map.pbtxt",
    }
    assert pipeline.read_pipeline(folder / "pipeline.config") == _config()
    assert (folder / "label_map.pbtxt").read_text() == 'item { id: 1 name: "cat" }'
    assert list_all(tmp_path / "out") == [
        "model",
        *(f"model/{name}" for name in list_all(folder)),
    ]


def test_the_checkpoint_moves_with_its_folder(tmp_path):
    folder = _export(tmp_path / "model", fake_detector.FakeDetector(gain=0.25))
    shutil.move(folder, tmp_path / "elsewhere")
    newest = tf.train.latest_checkpoint(str(tmp_path / "elsewhere/checkpoint"))
    assert newest == str(tmp_path / "elsewhere/checkpoint/ckpt-0")
    assert tf.train.load_checkpoint(newest).get_tensor(GAIN) == np.float32(0.25)


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "model").mkdir()
    assert (_export(tmp_path / "model") / "saved_model/saved_model.pb").is_file()


def test_a_folder_that_is_not_empty_is_refused_and_not_touched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(errors.ExportError, match="not empty"):
        _export(tmp_path)
    assert list_all(tmp_path) == ["notes.txt"]


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "model").write_text("mine")
    with pytest.raises(errors.ExportError, match="found a file"):
        _export(tmp_path / "model")


def test_a_missing_label_map_is_named(tmp_path):
    with pytest.raises(errors.ExportError, match="map.pbtxt: no such label map"):
        _export(tmp_path / "model", label_map_path=tmp_path / "map.pbtxt")
    assert list_all(tmp_path) == []


def test_a_failing_export_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(saved_model, "_check_written", fail)
    with pytest.raises(KeyboardInterrupt):
        _export(tmp_path / "model")
    assert list_all(tmp_path) == []


def test_what_a_killed_export_left_behind_is_cleared(tmp_path):
    (tmp_path / ".model.partial/saved_model").mkdir(parents=True)
    (tmp_path / ".model.partial/saved_model/half.pb").write_text("half")
    (tmp_path / ".model.partial/.lock").write_text("process 1\n")
    folder = _export(tmp_path / "model")
    assert not (folder / "saved_model/half.pb").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_of_nan_is_not_exported(tmp_path):
    with pytest.raises(errors.ExportError, match="gives other results than the model"):
        _export(tmp_path / "model", fake_detector.FakeDetector(gain=float("nan")))
    assert list_all(tmp_path) == []


@pytest.mark.parametrize("input_type", list(serving.INPUT_TYPES))
def test_default_batch_sizes_are_those_of_the_object_detection_api(input_type, tmp_path):
    folder = _export(tmp_path / "model", input_type=input_type)
    function = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    (spec,) = function.structured_input_signature[1].values()
    assert spec.shape[0] == (1 if input_type == "image_tensor" else None)


def test_the_loaded_model_can_be_called(tmp_path):
    model = tf.saved_model.load(str(_export(tmp_path / "model") / "saved_model"))
    detections = model(tf.fill([1, 4, 4, 3], tf.constant(255, tf.uint8)))
    np.testing.assert_allclose(detections["detection_scores"], [[0.5, 0.0]], atol=1e-6)


def test_the_label_map_of_a_config_is_found_from_the_config_too(tmp_path):
    config = _config()
    config.train_input_reader.label_map_path = "PATH_TO_BE_CONFIGURED"
    assert saved_model.find_label_map(config, tmp_path / "pipeline.config") is None
    config.eval_input_reader.add().label_map_path = "data/label_map.pbtxt"
    (tmp_path / "data").mkdir()
    (tmp_path / "data/label_map.pbtxt").write_text('item { id: 1 name: "cat" }')
    path = saved_model.find_label_map(config, tmp_path / "pipeline.config")
    assert path == tmp_path / "data/label_map.pbtxt"


class _Keyed:
    """What `restore_averages` needs from a detector."""

    def __init__(self):
        self.gain = tf.Variable(1.0)
        self.mean = tf.Variable(2.0, trainable=False)

    def checkpoint_keys(self):
        return {GAIN: self.gain, GAIN.replace("gain", "mean"): self.mean}


def _write_tensors(prefix, tensors):
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(value) for value in tensors.values()],
    )
    return prefix


def test_averages_take_the_place_of_weights(tmp_path):
    slot = "model/gain/.OPTIMIZER_SLOT/optimizer/average/.ATTRIBUTES/VARIABLE_VALUE"
    momentum = "model/gain/.OPTIMIZER_SLOT/optimizer/_optimizer/momentum/.ATTRIBUTES/VARIABLE_VALUE"
    prefix = _write_tensors(tmp_path / "ckpt-1", {GAIN: 1.0, slot: 5.0, momentum: 7.0})
    detector = _Keyed()
    assert moving_averages.restore_averages(detector, prefix) == 1
    assert (detector.gain.numpy(), detector.mean.numpy()) == (5.0, 2.0)


def test_without_averages_nothing_changes(tmp_path):
    detector = _Keyed()
    assert moving_averages.restore_averages(detector, _write_tensors(tmp_path / "ckpt-1", {GAIN: 5.0})) == 0
    assert detector.gain.numpy() == 1.0


def test_an_average_of_another_shape_is_named(tmp_path):
    slot = "model/gain/.OPTIMIZER_SLOT/optimizer/average/.ATTRIBUTES/VARIABLE_VALUE"
    prefix = _write_tensors(tmp_path / "ckpt-1", {slot: [5.0, 6.0]})
    with pytest.raises(errors.CheckpointError, match="average"):
        moving_averages.restore_averages(_Keyed(), prefix)
