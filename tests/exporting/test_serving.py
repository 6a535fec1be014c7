import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.exporting import fake_detector
from tfodhelper import errors, fields
from tfodhelper.exporting import serving


def _module(input_type="image_tensor", batch_size=1, detector=None):
    return serving.ServingModule(detector or fake_detector.FakeDetector(), input_type, batch_size)


def test_image_tensor_signature_is_the_one_of_the_object_detection_api():
    function = _module().signatures["serving_default"]
    (spec,) = function.structured_input_signature[1].values() or function.structured_input_signature[0]
    assert (spec.name, spec.dtype, spec.shape.as_list()) == ("input_tensor", tf.uint8, [1, None, None, 3])


def test_detections_are_float32_and_classes_count_from_one():
    detections = _module().signatures["serving_default"](tf.constant(fake_detector.red_image(102)[np.newaxis]))
    assert {value.dtype for value in detections.values()} == {tf.float32}
    np.testing.assert_allclose(detections[fields.Detections.SCORES], [[0.2, 0.0]], atol=1e-6)  # 0.5 * 102 / 255
    np.testing.assert_array_equal(detections[fields.Detections.CLASSES], [[1.0, 1.0]])
    np.testing.assert_array_equal(detections[fields.Detections.NUM], [1.0])


@pytest.mark.parametrize("input_type", list(serving.INPUT_TYPES))
@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_every_input_type_and_batch_size_gives_the_same_scores(input_type, batch_size):
    module = _module(input_type, batch_size)
    inputs = module.make_inputs(fake_detector.red_image(255)[np.newaxis])
    assert inputs.shape[0] == (batch_size or 1)
    scores = module.signatures["serving_default"](inputs)[fields.Detections.SCORES].numpy()
    np.testing.assert_allclose(scores, [[0.5, 0.0]] * (batch_size or 1), atol=1e-6)


def test_encoded_images_may_differ_in_size_within_a_call():
    module = _module("encoded_image_string_tensor", None)
    images = [fake_detector.red_image(255, 10, 20), fake_detector.red_image(51, 33, 7)]
    encoded = tf.stack([tf.io.encode_png(image) for image in images])
    scores = module.signatures["serving_default"](encoded)[fields.Detections.SCORES].numpy()
    np.testing.assert_allclose(scores[:, 0], [0.5, 0.1], atol=1e-6)


def test_a_gif_is_its_first_frame():
    frames = np.stack([fake_detector.red_image(255), fake_detector.red_image(0)])
    file = io.BytesIO()
    first, second = (Image.fromarray(frame) for frame in frames)
    first.save(file, format="GIF", save_all=True, append_images=[second])
    np.testing.assert_array_equal(serving.decode_image(file.getvalue()), frames[0])


def test_a_jpeg_has_the_pixels_that_pillow_reads():
    noise = np.random.RandomState(0).randint(0, 256, [40, 60, 3], np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, format="JPEG", quality=80)
    np.testing.assert_array_equal(serving.decode_image(file.getvalue()), np.asarray(Image.open(file)))


def test_prepared_images_of_different_sizes_share_a_batch():
    signatures = _module().signatures
    images = [fake_detector.red_image(0, 10, 20), fake_detector.red_image(51, 33, 7)]
    prepared = [signatures["serving_prepare"](input_tensor=tf.constant(image)) for image in images]
    assert [outputs["inputs"].shape for outputs in prepared] == [(8, 8, 3)] * 2
    detections = signatures["serving_prepared"](
        inputs=tf.stack([outputs["inputs"] for outputs in prepared]),
        true_image_shapes=tf.stack([outputs["true_image_shape"] for outputs in prepared]),
        score_threshold=tf.constant(0.0),
    )
    np.testing.assert_allclose(detections[fields.Detections.SCORES][:, 0], [0.0, 0.1], atol=1e-6)


def test_the_parts_make_the_whole():
    signatures = _module().signatures
    inputs = tf.random.uniform([3, 8, 8, 3], seed=1)
    options = {"true_image_shapes": tf.constant([[8, 8, 3]] * 3), "score_threshold": tf.constant(0.0)}
    expected = signatures["serving_prepared"](inputs=inputs, **options)
    maps = signatures["serving_extract"](inputs=inputs)
    received = signatures["serving_conclude"](**maps, **options)
    assert set(received) == set(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(received[key], value)


def test_feature_maps_keep_their_order_however_many_there_are():
    class ManyMaps(fake_detector.FakeDetector):
        def extract_features(self, inputs, training=False):
            return [inputs * float(number) for number in range(12)]

        def predict_from_features(self, feature_maps, image_size, training=False):
            assert image_size == (8, 8)
            return super().predict_from_features([feature_maps[11] + 0.0 * feature_maps[2]], image_size)

    module = _module(detector=ManyMaps(gain=0.01))
    options = {"true_image_shapes": tf.constant([[8, 8, 3]]), "score_threshold": tf.constant(0.0)}
    scores = module.signatures["serving_prepared"](inputs=tf.ones([1, 8, 8, 3]), **options)["detection_scores"]
    np.testing.assert_allclose(scores, [[0.11, 0.0]], atol=1e-6)


def test_a_model_without_fixed_input_size_is_prepared_too():
    signatures = _module(detector=fake_detector.FreeSizeDetector()).signatures
    prepared = signatures["serving_prepare"](input_tensor=tf.constant(fake_detector.red_image(51, 33, 7)))
    assert prepared["inputs"].shape == [33, 7, 3]
    assert "serving_extract" not in signatures


def test_features_are_the_means_of_the_map_with_the_most_channels():
    maps = [
        np.ones([2, 4, 4, 3]),
        np.ones([2, 2, 2, 8]),
        np.ones([2, 1, 2, 8]) * [[[[1.0], [3.0]]]],
        np.ones([2, 1, 1, 2]),
    ]
    features = serving._pool_features(
        {fields.Predictions.FEATURE_MAPS: [tf.constant(feature_map) for feature_map in maps]}
    )
    np.testing.assert_allclose(features["features"], np.full([2, 8], 2.0))


def test_unknown_input_type_lists_the_known():
    with pytest.raises(errors.ExportError, match="image_tensor, float_image_tensor, encoded_image_string_tensor"):
        _module("image_and_boxes_tensor")


def test_a_detector_without_scores_is_refused():
    class Silent(fake_detector.FakeDetector):
        def postprocess(self, predictions, true_image_shapes, score_threshold=None):
            detections = super().postprocess(predictions, true_image_shapes, score_threshold)
            del detections[fields.Detections.SCORES]
            return detections

    with pytest.raises(errors.ExportError, match="detection_scores"):
        _module(detector=Silent())


@pytest.mark.parametrize("input_type", ["encoded_image_string_tensor", "tf_example"])
def test_encoded_images_are_decoded_as_in_training(input_type):
    file = io.BytesIO()
    noise = np.random.RandomState(0).randint(0, 256, [24, 32, 3], dtype=np.uint8)
    Image.fromarray(noise).save(file, format="JPEG", quality=80)
    encoded = file.getvalue()
    decode = serving.decode_image if input_type == "encoded_image_string_tensor" else serving.decode_example
    element = encoded if input_type == "encoded_image_string_tensor" else serving.make_example(encoded)
    for dct, method in (("accurate", "INTEGER_ACCURATE"), ("fast", "INTEGER_FAST")):
        np.testing.assert_array_equal(decode(element, dct), tf.io.decode_jpeg(encoded, 3, dct_method=method))
