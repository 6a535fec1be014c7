"""Files that are no detectors, and detectors of other programs."""

import numpy as np
import pytest
import tensorflow as tf

from tfodhelper import errors, tensorflow_setup
from tfodhelper.fields import Detections
from tfodhelper.prediction import predictor, saved_models
from tfodhelper.tflite import metadata, model_file, runtime

pytestmark = pytest.mark.slow


def convert(function, spec, module=None):
    """Bytes of a file with one function; with a module, it has a signature."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [tf.function(function, input_signature=[spec]).get_concrete_function()], module
    )
    with tensorflow_setup.stderr_is_silent():
        return converter.convert()


def image_spec(*shape, dtype=tf.float32):
    return tf.TensorSpec(shape or [1, 8, 8, 3], dtype)


def detect(images):
    """Two boxes; the score of the first is the mean of the input."""
    mean = tf.reduce_mean(tf.cast(images, tf.float32))
    return (
        tf.reshape(tf.stack([0.0, 0.0, 0.5, 1.5, 0.0, 0.0, 1.0, mean]), [1, 2, 4]),
        tf.reshape(tf.stack([1.0 + 0.0 * mean, 0.0]), [1, 2]),
        tf.reshape(tf.stack([mean, mean / 2]), [1, 2]),
        tf.reshape(1.0 + 0.0 * mean, [1]),
    )


@pytest.fixture
def write(tmp_path):
    def write(data, name="model.tflite"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


@pytest.mark.parametrize("order", runtime._ORDERS)
def test_a_detector_of_another_program_is_used_as_it_is(order, write, capsys):
    def in_order(images):
        outputs, ordered = detect(images), [None] * 4
        for output, position in zip(outputs, order):
            ordered[position] = output
        return tuple(ordered)

    model = runtime.TFLiteDetector(write(convert(in_order, image_spec())))
    assert "it is unknown how inputs are normalized" in "".join(capsys.readouterr())
    inputs = model.to_input(*model.resize(np.full([20, 30, 3], 191, np.uint8)))
    detections = model.to_detections(model.run(inputs), np.int32([8, 8, 3]))
    np.testing.assert_allclose(detections[Detections.SCORES], [191 / 127.5 - 1], atol=1e-5)
    np.testing.assert_allclose(detections[Detections.BOXES], [[0, 0, 0.5, 1]])
    assert detections[Detections.CLASSES].tolist() == [2]


def test_standard_metadata_of_another_program_is_read(write, capsys):
    model = model_file.parse(convert(detect, image_spec()))
    standard = metadata.make_metadata("name", "text", (8, 8), (0.0,) * 3, (255.0,) * 3, is_detecting=True)
    model_file.add_metadata(model, metadata.NAME, standard)
    data = metadata.append_labels(model_file.serialize(model), ["cat", metadata.GAP, "dog"])
    loaded = predictor.StreamPredictor(write(data))
    assert {item.id: item.name for item in loaded.label_map} == {1: "cat", 3: "dog"}
    (outputs,) = loaded.detect([np.full([8, 8, 3], 51, np.uint8)])
    np.testing.assert_allclose(outputs[Detections.SCORES], [0.2], atol=1e-6)
    assert "".join(capsys.readouterr()) == ""


def test_integers_are_the_pixels(write):
    model = runtime.TFLiteDetector(write(convert(lambda images: detect(images), image_spec(dtype=tf.uint8))))
    inputs = model.to_input(np.full([8, 8, 3], 200.4, np.float32), np.int32([8, 8, 3]))
    assert inputs.dtype == np.uint8 and (inputs == 200).all()


def test_labels_next_to_a_file_are_used(write):
    path = write(convert(detect, image_spec()))
    assert predictor.StreamPredictor(path).label_map is None
    (path.parent / "labels.txt").write_text("red\ngreen\n")
    assert predictor.StreamPredictor(path).label_map.names == ("red", "green")
    (path.parent / "label_map.pbtxt").write_text('item { id: 2 name: "blue" }')
    assert predictor.StreamPredictor(path).label_map.names == ("blue",)


@pytest.mark.parametrize("cut", [0, 6, 100, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_damaged(cut, write):
    data = convert(detect, image_spec())
    size = int(cut * len(data)) if isinstance(cut, float) else cut
    with pytest.raises(errors.PredictionError, match="not a TFLite file that can be used, or it is damaged"):
        runtime.TFLiteDetector(write(data[:size]))


def test_a_different_kind_of_file_is_named(write):
    with pytest.raises(errors.PredictionError, match="a different kind of file"):
        runtime.TFLiteDetector(write(b"PK\3\4 an archive, not a model"))
    with pytest.raises(errors.PredictionError, match="this file is not a model"):
        saved_models.find_model(write(b"", "photo.jpg"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(errors.PredictionError, match="nowhere.tflite: no SavedModel found"):
        saved_models.find_model(tmp_path / "nowhere.tflite")


def test_other_outputs_are_refused_with_what_they_are(write):
    data = convert(lambda images: tf.reduce_mean(images, axis=[1, 2]), image_spec())
    with pytest.raises(errors.PredictionError, match="the outputs of this TFLite file") as caught:
        runtime.TFLiteDetector(write(data))
    assert "[1, 3]" in caught.value.received


@pytest.mark.parametrize("shape", [[1, 8, 8, 1], [2, 8, 8, 3], [8, 3]])
def test_other_inputs_are_refused_with_what_they_are(shape, write):
    data = convert(lambda images: detect(images), image_spec(*shape))
    with pytest.raises(errors.PredictionError, match="the inputs of this TFLite file") as caught:
        runtime.TFLiteDetector(write(data))
    assert str(shape) in caught.value.received


def test_raw_outputs_of_another_program_are_refused(write):
    def raw(images):
        boxes, _, scores, _ = detect(images)
        return {"raw_detection_boxes": boxes, "raw_detection_scores": scores[..., tf.newaxis]}

    model = model_file.parse(convert(raw, image_spec(), tf.Module()))
    names = ("raw_detection_boxes", "raw_detection_scores")
    model_file.arrange(model, [(name, name, name) for name in names])
    with pytest.raises(errors.PredictionError, match="how its raw boxes become detections"):
        runtime.TFLiteDetector(write(model_file.serialize(model)))


def test_an_operation_that_litert_does_not_know_is_named(write):
    model = model_file.parse(convert(detect, image_spec()))
    code = model.operatorCodes[model.subgraphs[0].operators[0].opcodeIndex]
    code.customCode, code.builtinCode, code.deprecatedBuiltinCode = b"TFLite_Unknown", 32, 32
    with pytest.raises(errors.PredictionError, match="TFLite_Unknown"):
        runtime.TFLiteDetector(write(model_file.serialize(model)))
