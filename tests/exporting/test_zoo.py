"""The zoo's archive, exported unchanged, gives the same detections as the Object Detection API's own export of it."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.shared_data import shared, unpack_shared
from tfodhelper.cli import main as cli
from tfodhelper.prediction import detections, predictor, reading

pytestmark = pytest.mark.slow

ARCHIVE = "ssd_mobilenet_v1_0.75_depth_300x300_coco"
TOLERANCE = 1e-3
TOP = 20

# What `saved_model_cli show` prints of an SSD with 90 classes and 1917 anchors that the Object Detection API exported.
OUTPUT_SHAPES = {
    "detection_anchor_indices": [1, 100],
    "detection_boxes": [1, 100, 4],
    "detection_classes": [1, 100],
    "detection_multiclass_scores": [1, 100, 91],
    "detection_scores": [1, 100],
    "num_detections": [1],
    "raw_detection_boxes": [1, 1917, 4],
    "raw_detection_scores": [1, 1917, 91],
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return unpack_shared(f"zoo/{ARCHIVE}.tar.gz", tmp_path_factory.mktemp("zoo"))


def _export(archive, target, *flags):
    status = cli.main(
        [
            "export",
            f"--pipeline_config_path={archive}/pipeline.config",
            f"--trained_checkpoint_dir={archive}/checkpoint",
            f"--output_directory={target}",
            *flags,
        ]
    )
    assert status == 0
    return target


@pytest.fixture(scope="module")
def exported(archive, tmp_path_factory):
    return _export(archive, tmp_path_factory.mktemp("exported") / "model", "--input_type=image_tensor")


@pytest.fixture(scope="module")
def reference():
    return json.loads(shared("zoo/reference_detections.json").read_text())


def test_layout(exported):
    assert {path.name for path in exported.iterdir()} == {
        ".command.json",
        "saved_model",
        "checkpoint",
        "pipeline.config",
    }
    assert {path.name for path in (exported / "checkpoint").iterdir()} == {
        "checkpoint",
        "ckpt-0.index",
        "ckpt-0.data-00000-of-00001",
    }


def test_signature(exported):
    function = tf.saved_model.load(str(exported / "saved_model")).signatures["serving_default"]
    (spec,) = function.structured_input_signature[1].values()
    assert (spec.name, spec.dtype, spec.shape.as_list()) == ("input_tensor", tf.uint8, [1, None, None, 3])
    assert {key: output.shape.as_list() for key, output in function.structured_outputs.items()} == OUTPUT_SHAPES
    assert {output.dtype for output in function.structured_outputs.values()} == {tf.float32}


def test_detections_through_predict(exported, reference, tmp_path):
    photos = shared("zoo/photos")
    flags = [
        f"--saved_model_dir={exported}",
        f"--output_dir={tmp_path}/out",
        "--score_threshold=0",
        "--label_map=mscoco",
    ]
    assert cli.main(["predict", *flags, str(photos)]) == 0
    predicted = {
        image.path.split("/")[-1]: image for image in detections.read_json_lines(tmp_path / "out/detections.jsonl")
    }
    assert set(predicted) == set(reference)
    for name, expected in reference.items():
        image = predicted[name]
        assert (image.width, image.height) == (expected["width"], expected["height"])
        assert len(image.detections) == expected["num_detections"]
        scale = [image.height, image.width, image.height, image.width]
        for detection, wanted in zip(image.detections[:TOP], expected["top40"][:TOP], strict=True):
            assert detection.id == wanted["class"]
            assert detection.score == pytest.approx(wanted["score"], abs=TOLERANCE)
            box = np.array([detection.ymin, detection.xmin, detection.ymax, detection.xmax]) / scale
            np.testing.assert_allclose(box, wanted["box_yxyx"], atol=TOLERANCE)


@pytest.mark.parametrize("way", ["call", "signature"])
def test_detections_through_plain_tensorflow(way, exported, reference):
    model = tf.saved_model.load(str(exported / "saved_model"))
    detect = model if way == "call" else model.signatures["serving_default"]
    for name, expected in reference.items():
        image = np.asarray(Image.open(shared("zoo/photos") / name))
        output = {key: value.numpy()[0] for key, value in detect(input_tensor=tf.constant(image[np.newaxis])).items()}
        top = expected["top40"][:TOP]
        assert output["detection_classes"][:TOP].tolist() == [wanted["class"] for wanted in top]
        scores, boxes = output["detection_scores"][:TOP], output["detection_boxes"][:TOP]
        np.testing.assert_allclose(scores, [wanted["score"] for wanted in top], atol=TOLERANCE)
        np.testing.assert_allclose(boxes, [wanted["box_yxyx"] for wanted in top], atol=TOLERANCE)
        assert output["num_detections"] == expected["num_detections"]


def test_the_exported_checkpoint_holds_what_the_archive_holds(archive, exported):
    before, after = (tf.train.load_checkpoint(str(folder / "checkpoint")) for folder in (archive, exported))
    names = [name for name in before.get_variable_to_shape_map() if name.startswith("model/")]
    assert sorted(names) == sorted(n for n in after.get_variable_to_shape_map() if n.startswith("model/"))
    for name in names:
        np.testing.assert_array_equal(before.get_tensor(name), after.get_tensor(name))


def test_a_batch_and_an_encoded_image_have_the_same_detections(archive, exported, tmp_path):
    photo = shared("zoo/photos/image1.jpg")
    folder = _export(archive, tmp_path / "encoded", "--input_type=encoded_image_string_tensor", "--batch_size=any")
    encoded = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    (expected,) = predictor.StreamPredictor(exported).detect([reading.read_image(photo)])
    received = encoded(input_tensor=tf.constant([photo.read_bytes()] * 2))
    for row in range(2):
        for key in ("detection_boxes", "detection_scores", "detection_classes"):
            np.testing.assert_allclose(received[key][row], expected[key], atol=1e-4)
