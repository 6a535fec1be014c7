"""Heat maps and origins of detections, on small detectors of all families."""

import types

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.models import variants
from tfodhelper import errors
from tfodhelper.explaining import deletion, explainer, layer_outputs, origins
from tfodhelper.explaining.options import GRAD_CAM, LAYER_CAM
from tfodhelper.fields import Detections, Predictions

IMAGE = np.random.RandomState(0).randint(0, 256, [60, 90, 3]).astype(np.uint8)
QUICK = ("plain", "padded", "no batch norm, no background", "Faster R-CNN", "R-FCN")
REST = [name for name in variants.ALL if name not in QUICK]


def check_explanations(name):
    """Explains detections of a small detector and compares them with what the detector itself says."""
    detector = variants.build_variant(name, is_training=False)
    explained, maps = explainer.Explainer(detector, {1: "one"}).explain(IMAGE, 0.0, 2)
    inputs, shapes = detector.preprocess(IMAGE[None])
    predictions = detector.predict_raw(inputs, shapes)
    detections = detector.postprocess(predictions, shapes)
    num = min(2, int(detections[Detections.NUM][0]))
    assert len(explained) == num
    for row, each in enumerate(explained):
        box = detections[Detections.BOXES][0, row].numpy() * [60, 90, 60, 90]
        found = each.detection
        np.testing.assert_allclose([found.ymin, found.xmin, found.ymax, found.xmax], box, atol=1e-3)
        np.testing.assert_allclose(found.score, detections[Detections.SCORES][0, row], atol=1e-5)
        values = each.heat.values
        assert values.shape == (60, 90) and values.dtype == np.float32 and np.isfinite(values).all()
        assert values.min() >= 0 and values.max() in (0, pytest.approx(1))
        assert each.heat.layer in maps
        assert each.origin.index == int(detections[Detections.ANCHOR_INDICES][0, row])
        assert (each.origin.anchor is not None) == (Predictions.CLASSIFIER_FEATURES in predictions)
    return explained


@pytest.mark.parametrize("name", QUICK)
def test_detections_are_explained(name):
    assert any(each.heat.values.any() for each in check_explanations(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", REST)
def test_detections_of_all_models_are_explained(name):
    check_explanations(name)


class OneBoxDetector(tf_keras.Model):
    """Answers one box of one class; its logit is 3 * p[1, 2] - 2 * p[4, 5] of the pixels / 255 in the first channel."""

    num_classes = 1

    def __init__(self):
        super().__init__()
        self.backbone = Doubled()

    def preprocess(self, images):
        return tf.cast(images, tf.float32) / 255.0, tf.constant([[8, 8, 3]])

    def predict_raw(self, inputs, shapes):
        del shapes
        features = self.backbone(inputs) / 2.0
        logit = 3.0 * features[0, 1, 2, 0] - 2.0 * features[0, 4, 5, 0]
        return {
            Predictions.CLASS_LOGITS: tf.reshape(logit, [1, 1, 1]),
            Predictions.ANCHORS: tf.constant([[0.0, 0.0, 0.5, 0.5]]),
        }

    def postprocess(self, predictions, shapes):
        del shapes
        scores = tf.sigmoid(predictions[Predictions.CLASS_LOGITS])
        box = tf.constant([[[0.0, 0.0, 0.5, 1.0]]])
        return {
            Detections.BOXES: box,
            Detections.SCORES: scores[:, 0],
            Detections.CLASSES: tf.zeros([1, 1]),
            Detections.NUM: tf.ones([1]),
            Detections.ANCHOR_INDICES: tf.zeros([1, 1]),
            Detections.RAW_BOXES: box,
            Detections.RAW_SCORES: scores,
        }

    def single_shot_output(self):
        return types.SimpleNamespace(num_background_columns=0)


class Doubled(tf_keras.layers.Layer):
    """Twice its input."""

    def call(self, inputs):
        return 2.0 * inputs


def white_image():
    return np.full([8, 8, 3], 255, np.uint8)


def test_the_heat_of_a_linear_score_is_where_its_weight_is_positive():
    ((each,), maps) = explainer.Explainer(OneBoxDetector(), {1: "thing"}).explain(white_image())
    expected = np.zeros([8, 8], np.float32)
    expected[1, 2] = 1.0  # 3 / 2 * 2, the only positive one, divided by itself
    np.testing.assert_allclose(each.heat.values, expected, atol=1e-6)
    assert list(maps) == [each.heat.layer] == ["backbone"]
    assert maps["backbone"].shape == (8, 8, 3) and (maps["backbone"] == 2.0).all()
    assert each.detection.name == "thing" and each.detection.score == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)
    np.testing.assert_allclose(each.origin.start, [0, 0, 4, 4])


def test_grad_cam_weights_whole_channels():
    image = white_image()
    image[0, 0] = 0
    ((each,), _) = explainer.Explainer(OneBoxDetector(), {}, method=GRAD_CAM).explain(image)
    expected = np.ones([8, 8], np.float32)  # the mean gradient (3 - 2) / 2 / 64 is positive, pixels are 2 or 0
    expected[0, 0] = 0.0
    np.testing.assert_allclose(each.heat.values, expected, atol=1e-6)


def test_hiding_what_counts_lowers_the_score_and_hiding_the_rest_does_not():
    explaining = explainer.Explainer(OneBoxDetector(), {})
    image = np.zeros([8, 8, 3], np.uint8)
    image[1, 2] = 255
    ((each,), _) = explaining.explain(image)
    mask = deletion.hottest(each.heat.values)
    assert mask.sum() == 6 and mask[1, 2]
    measured = deletion.measure(explaining, image, each, np.random.default_rng(0))
    assert measured.whole == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-6)
    mean = round(255 / 64) / 255  # what is hidden has the mean colour
    lowered = 3 * mean - 2 * (mean if mask[4, 5] else 0.0)
    assert measured.hottest == pytest.approx(1 / (1 + np.exp(-lowered)), abs=1e-6)


def test_a_detection_that_no_longer_exists_has_the_score_0():
    explaining = explainer.Explainer(OneBoxDetector(), {})
    ((each,), _) = explaining.explain(white_image())
    elsewhere = each.detection._replace(ymin=4.0, ymax=8.0)
    assert explaining.score_of(white_image(), elsewhere) == 0.0
    assert explaining.score_of(white_image(), each.detection._replace(id=2)) == 0.0


@pytest.mark.parametrize("size", [(40, 30), (7, 200)])
def test_a_random_tenth_is_a_tenth(size):
    masks = [deletion.random_squares((400, 200), np.random.default_rng(seed)) for seed in range(2)]
    assert all(mask.mean() == pytest.approx(0.1) for mask in masks) and (masks[0] != masks[1]).any()
    assert deletion.random_squares(size, np.random.default_rng(0)).shape == size


@pytest.mark.parametrize("method", [LAYER_CAM, GRAD_CAM])
def test_a_layer_of_crops_is_shown_inside_the_proposal(method):
    detector = variants.build_variant("Faster R-CNN", is_training=False)
    named = [each.name for each in layer_outputs.find_layers(detector) if each.name.startswith("region_head.backbone")]
    explained, _ = explainer.Explainer(detector, {}, named[0], method).explain(IMAGE, 0.0, 2)
    for each in explained:
        ymin, xmin, ymax, xmax = each.origin.start
        rows, columns = np.nonzero(each.heat.values)
        assert len(rows)
        assert rows.min() >= np.floor(ymin) and rows.max() < np.ceil(ymax)
        assert columns.min() >= np.floor(xmin) and columns.max() < np.ceil(xmax)


def test_the_proposal_of_a_detection_comes_from_the_anchor_that_is_named():
    detector = variants.build_variant("Faster R-CNN", is_training=False)
    inputs, shapes = detector.preprocess(IMAGE[None])
    predictions = detector.predict_raw(inputs, shapes)
    detections = detector.postprocess(predictions, shapes)
    frame = origins.Frame((64, 96), (64, 96), (60, 90))
    origin = origins.find_origin(detector, predictions, detections, 0, frame)
    row = int(predictions[Predictions.PROPOSAL_ANCHORS][0, origin.index])
    anchor = predictions[Predictions.ANCHORS][row].numpy() * np.tile([60 / 64, 90 / 96], 2)
    np.testing.assert_allclose(origin.anchor, anchor, rtol=1e-5)
    proposal = predictions[Predictions.PROPOSALS_PX][0, origin.index].numpy() * np.tile([60 / 64, 90 / 96], 2)
    np.testing.assert_allclose(origin.start, proposal, rtol=1e-4)
    # Decoding the code of this anchor gives the proposal, up to clipping.
    boxes, scores = detector.proposal_network._decode(predictions)
    decoded = np.clip(boxes[0, row].numpy(), 0, [64, 96, 64, 96])
    np.testing.assert_allclose(decoded, predictions[Predictions.PROPOSALS_PX][0, origin.index], atol=1e-3)


def test_boxes_and_maps_of_a_padded_input_lead_back_to_the_stored_image():
    frame = origins.Frame(model=(80, 80), true=(40, 80), stored=(100, 200))
    np.testing.assert_allclose(frame.to_stored([[0, 0, 0.5, 1]]), [[0, 0, 100, 200]])
    values = np.zeros([80, 80], np.float32)
    values[:40, :40], values[40:] = 1, 9  # what is in the padding does not count
    stored = frame.map_to_stored(values)
    assert stored.shape == (100, 200) and stored.max() == pytest.approx(1) and stored[:, 150:].max() == 0


def test_layers_have_the_names_of_their_attributes_and_are_left_as_they_were():
    detector = variants.build_variant("plain", is_training=False)
    names = [each.name for each in layer_outputs.find_layers(detector)]
    assert len(set(names)) == len(names)
    assert {"backbone", "backbone.blocks.0", "backbone.blocks.0.convolution", "neck", "head"} <= set(names)
    shapes = explainer.Explainer(detector, {}).layers(IMAGE)
    assert shapes["backbone.blocks.0"] == (1, 32, 48, 8) and "backbone:0" in shapes and "backbone" not in shapes
    assert all("call" not in vars(each.layer) for each in layer_outputs.find_layers(detector))


def test_an_unknown_layer_is_refused_with_the_nearest_names():
    detector = variants.build_variant("plain", is_training=False)
    with pytest.raises(errors.UsageError) as caught:
        explainer.Explainer(detector, {}, "backbone.block.3")
    assert caught.value.what == "--layer=backbone.block.3: the model has no such layer"
    assert "backbone.blocks.3" in caught.value.fix
    with pytest.raises(errors.UsageError, match="gives no such map"):
        explainer.Explainer(detector, {}, "backbone:9").explain(IMAGE, 0.0)
    with pytest.raises(errors.UsageError, match="does not depend on this layer"):
        explainer.Explainer(detector, {}, "head.box_layers.0.0").explain(IMAGE, 0.0)
