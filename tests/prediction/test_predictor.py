import io
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.exporting import fake_detector
from tests.exporting.fake_detector import red_image, save_model
from tfodhelper import errors, fields, jpeg_dct
from tfodhelper.annotations import label_map
from tfodhelper.exporting import serving
from tfodhelper.prediction import predictor, reading, servable

NAMES = label_map.LabelMap((label_map.LabelMapItem(1, "/m/1", "cat"), label_map.LabelMapItem(2, "dog")))


@pytest.fixture(scope="module")
def export_dir(tmp_path_factory):
    folder = save_model(tmp_path_factory.mktemp("export"))
    label_map.write_label_map(folder / "label_map.pbtxt", NAMES)
    return folder


def _write_images(folder, images):
    paths = []
    for number, image in enumerate(images):
        paths.append(folder / f"{number}.png")
        Image.fromarray(image).save(paths[-1])
    return paths


def test_boxes_are_pixels_of_the_stored_image_and_names_those_of_the_label_map(export_dir, tmp_path):
    (predicted,) = predictor.StreamPredictor(export_dir).predict(
        _write_images(tmp_path, [red_image(102)]), score_threshold=0.1
    )
    (detection,) = predicted.detections
    assert (predicted.width, predicted.height) == (20, 10)
    assert (detection.name, detection.id) == ("cat", 1)
    assert detection.score == pytest.approx(0.2, abs=1e-6)  # 0.5 * 102 / 255
    assert (detection.ymin, detection.xmin, detection.ymax, detection.xmax) == (0.0, 0.0, 10.0, 20.0)


def test_rows_past_the_number_of_detections_are_left_out(export_dir, tmp_path):
    (predicted,) = predictor.StreamPredictor(export_dir).predict(
        _write_images(tmp_path, [red_image(102)]), score_threshold=0.0
    )
    assert len(predicted.detections) == 1


def test_results_come_in_the_order_of_the_paths_whatever_the_sizes(export_dir, tmp_path):
    values = [255, 0, 51, 102, 153, 204, 51]
    images = [red_image(value, 5 + 7 * (i % 3), 30 - 4 * (i % 4)) for i, value in enumerate(values)]
    paths = _write_images(tmp_path, images)
    predicted = list(predictor.StreamPredictor(export_dir).predict(paths, batch_size=3))
    assert [item.path for item in predicted] == [str(path) for path in paths]
    assert [(item.height, item.width) for item in predicted] == [image.shape[:2] for image in images]
    np.testing.assert_allclose([item.detections[0].score for item in predicted], np.array(values) / 510, atol=1e-6)


@pytest.mark.parametrize(
    "input_type, batch_size",
    [("image_tensor", 1), ("image_tensor", 3), ("float_image_tensor", None), ("encoded_image_string_tensor", None),
     ("tf_example", 2)],
)  # fmt: skip
def test_a_foreign_saved_model_of_any_input_type_is_run(input_type, batch_size, tmp_path):
    module = serving.ServingModule(fake_detector.FakeDetector(), input_type, batch_size)
    published = {serving.SERVING_DEFAULT: module.signatures[serving.SERVING_DEFAULT]}
    tf.saved_model.save(module, str(tmp_path / "saved_model"), signatures=published)
    images = [
        red_image(255),
        red_image(0, 7, 9),
        red_image(51),
        red_image(102),
    ]
    loaded = servable.Servable(tmp_path)
    assert not loaded.mixes_sizes
    outputs = predictor.StreamPredictor(tmp_path).detect(images, batch_size=2)
    scores = [output[fields.Detections.SCORES][0] for output in outputs]
    np.testing.assert_allclose(scores, [0.5, 0.0, 0.1, 0.2], atol=1e-6)


def test_without_label_map_classes_go_by_their_ids(tmp_path):
    (predicted,) = predictor.StreamPredictor(save_model(tmp_path)).predict(_write_images(tmp_path, [red_image(255)]))
    assert predicted.detections[0].name == "class_1"


def test_an_unreadable_image_is_reported_and_the_rest_continues(export_dir, tmp_path):
    paths = _write_images(tmp_path, [red_image(255), red_image(51), red_image(102)])
    paths[1].write_bytes(paths[1].read_bytes()[:60])
    paths.append(tmp_path / "missing.png")
    problems = {}
    predicted = list(predictor.StreamPredictor(export_dir).predict(paths, on_unreadable=problems.__setitem__))
    assert [item.path for item in predicted] == [str(paths[0]), str(paths[2])]
    assert list(problems) == [paths[1], paths[3]]
    assert str(paths[1]) in problems[paths[1]]


def test_without_a_listener_the_first_unreadable_image_ends_it(export_dir, tmp_path):
    with pytest.raises(errors.PredictionError, match="missing.png"):
        list(predictor.StreamPredictor(export_dir).predict([tmp_path / "missing.png"]))


def test_the_stored_frame_is_read_and_not_the_one_that_exif_asks_for(tmp_path):
    image = Image.fromarray(red_image(200, 4, 6))
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter turn
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert reading.read_image(tmp_path / "turned.jpg").shape == (4, 6, 3)


def test_a_jpeg_has_the_pixels_that_pillow_reads(tmp_path):
    noise = np.random.RandomState(0).randint(0, 256, [40, 60, 3], np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg", quality=80)
    np.testing.assert_array_equal(
        reading.read_image(tmp_path / "noise.jpg"), np.asarray(Image.open(tmp_path / "noise.jpg"))
    )


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "I;16"])
def test_every_mode_becomes_rgb(mode, tmp_path):
    image = Image.new("I;16", (6, 4), 65535) if mode == "I;16" else Image.new("RGB", (6, 4), "white").convert(mode)
    image.save(tmp_path / "image.png")
    np.testing.assert_array_equal(reading.read_image(tmp_path / "image.png"), np.full([4, 6, 3], 255, np.uint8))


@pytest.mark.parametrize("format_", ["WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_is_read_by_its_bytes(format_, tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (6, 4), "white").save(file, format=format_)
    (tmp_path / "image.jpg").write_bytes(file.getvalue())
    assert reading.read_image(tmp_path / "image.jpg").min() >= 250


def test_a_folder_without_saved_model_says_what_was_expected(tmp_path):
    with pytest.raises(errors.PredictionError, match="saved_model.pb"):
        predictor.StreamPredictor(tmp_path)


def test_a_broken_saved_model_is_named(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"not a SavedModel")
    with pytest.raises(errors.PredictionError, match="cannot be loaded"):
        predictor.StreamPredictor(tmp_path)


def test_another_kind_of_model_is_refused(tmp_path):
    module = tf.Module()
    module.__call__ = tf.function(
        lambda x: {"logits": tf.cast(x, tf.float32)}, input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8)]
    )
    tf.saved_model.save(module, str(tmp_path), signatures=module.__call__.get_concrete_function())
    with pytest.raises(errors.PredictionError, match="outputs detection_boxes"):
        servable.Servable(tmp_path)


def test_a_saved_model_of_the_first_generation_is_run(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        images = tf.compat.v1.placeholder(tf.uint8, [None, None, None, 3], name="image_tensor")
        score = tf.reduce_mean(tf.cast(images, tf.float32), [1, 2, 3])[:, tf.newaxis] / 255.0
        outputs = {
            "detection_boxes": tf.tile([[[0.0, 0.5, 1.0, 1.0]]], [tf.shape(images)[0], 1, 1]),
            "detection_scores": score,
            "detection_classes": tf.ones_like(score) * 3.0,
            "num_detections": tf.ones_like(score[:, 0]),
        }
        tf.compat.v1.saved_model.simple_save(session, str(tmp_path / "saved_model"), {"inputs": images}, outputs)
    image = np.full([10, 20, 3], 51, np.uint8)
    (predicted,) = predictor.StreamPredictor(tmp_path).predict(_write_images(tmp_path, [image]))
    (detection,) = predicted.detections
    assert (detection.name, detection.xmin, detection.ymin, detection.xmax, detection.ymax) == (
        "class_3",
        10.0,
        0.0,
        20.0,
        10.0,
    )
    assert detection.score == pytest.approx(0.2, abs=1e-6)


def test_numbers_that_are_not_finite_are_an_error(tmp_path):
    model = predictor.StreamPredictor(save_model(tmp_path, detector=fake_detector.FakeDetector(gain=float("nan"))))
    with pytest.raises(errors.PredictionError, match="0.png: the model's outputs are not finite"):
        list(model.predict(_write_images(tmp_path, [red_image(255)])))


def test_a_fixed_image_size_is_refused_with_the_shape(tmp_path):
    def detect(x):
        value = tf.zeros([1, 2])
        return {"detection_boxes": tf.zeros([1, 2, 4]), "detection_scores": value, "detection_classes": value}

    module = tf.Module()
    module.__call__ = tf.function(
        detect, input_signature=[tf.TensorSpec([1, 64, 64, 3], tf.uint8, name="input_tensor")]
    )
    tf.saved_model.save(module, str(tmp_path), signatures=module.__call__.get_concrete_function())
    with pytest.raises(errors.PredictionError, match=r"uint8 \(1, 64, 64, 3\)"):
        servable.Servable(tmp_path)


@pytest.mark.parametrize("is_for_many", [False, True])
def test_jpegs_are_decoded_as_the_export_says(export_dir, tmp_path, is_for_many):
    exported = tmp_path / "export"
    shutil.copytree(export_dir, exported)
    noise = np.random.RandomState(0).randint(0, 256, [16, 16, 3], dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg", quality=60)
    shown = {}
    for dct in ("accurate", "fast"):
        jpeg_dct.keep(exported, dct)
        model = predictor.StreamPredictor(exported, is_for_many=is_for_many)
        assert model.dct == dct
        ((_, shown[dct]),) = model.predict_with_images([tmp_path / "noise.jpg"])
    np.testing.assert_array_equal(shown["accurate"], np.asarray(Image.open(tmp_path / "noise.jpg")))
    data = (tmp_path / "noise.jpg").read_bytes()
    np.testing.assert_array_equal(shown["fast"], tf.io.decode_jpeg(data, 3, dct_method="INTEGER_FAST"))
    assert predictor.StreamPredictor(exported, dct="accurate").dct == "accurate"
