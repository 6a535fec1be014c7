import numpy as np
import pytest
import tensorflow as tf

from tfodhelper import errors, tensorflow_setup
from tfodhelper.tflite import model_file, runtime

pytestmark = pytest.mark.slow


def convert(function, *specs):
    """ModelT of a function with a signature."""
    module = tf.Module()
    module.serve = tf.function(function, input_signature=list(specs))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    with tensorflow_setup.stderr_is_silent():
        return model_file.parse(converter.convert())


@pytest.fixture
def joined():
    first = convert(
        lambda image: {"codes": tf.reduce_sum(image, axis=1), "scores": image * 3.0},
        tf.TensorSpec([1, 4], name="image"),
    )
    codes = tf.TensorSpec([1], name="codes")
    model_file.append(first, convert(lambda codes: {"boxes": tf.exp(codes) + [1.0, 2.0]}, codes))
    return first


def run(model, image):
    interpreter = runtime.load_interpreter_class()(model_content=model_file.serialize(model))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return {each["name"]: interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()}


def test_what_is_appended_takes_the_output_of_its_name(joined):
    model_file.arrange(joined, [("scores", "s", "score"), ("boxes", "b", "box")])
    image = np.float32([[0.1, 0.2, 0.3, -0.4]])
    outputs = run(joined, image)
    assert list(outputs) == ["s", "b"]
    np.testing.assert_allclose(outputs["s"], image * 3, rtol=1e-6)
    np.testing.assert_allclose(outputs["b"], np.exp(image.sum()) + [1, 2], rtol=1e-6)


def test_metadata_is_kept_under_its_name(joined):
    model_file.add_metadata(joined, "first", b"one")
    model_file.add_metadata(joined, "second", b"two")
    data = model_file.serialize(joined)
    assert model_file.is_model(data)
    assert [model_file.find_metadata(data, name) for name in ("first", "second", "third")] == [b"one", b"two", None]
    assert run(joined, np.zeros([1, 4], np.float32))


def test_metadata_of_damaged_bytes_is_an_error(joined):
    with pytest.raises(errors.PredictionError, match="damaged"):
        model_file.find_metadata(model_file.serialize(joined)[:40], "first")


def test_a_model_without_custom_operations_has_no_options(joined):
    assert model_file.options_of(joined, "TFLite_Detection_PostProcess") is None
