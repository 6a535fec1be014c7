"""What is specific to two-stage detectors, on tiny networks."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models import images, parity, variants
from tests.models.faster_rcnn.cases import MASKS, SHARED_BOXES, THREE_STAGES
from tests.models.ssd import cases as ssd
from tfodhelper import errors
from tfodhelper.fields import Detections, Groundtruth, Losses, Predictions
from tfodhelper.models.backbones import resnet_v1
from tfodhelper.models.faster_rcnn import build

pytestmark = pytest.mark.slow

NAME = "Faster R-CNN"
OBJECTS = [(1, 0.1, 0.1, 0.5, 0.6), (2, 0.3, 0.4, 0.9, 0.9)]


def make_step(detector):
    """A training step as one tf.function, and the list that grows with each trace."""
    traces = []

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 3], tf.float32),
            tf.TensorSpec([None, 3], tf.int32),
            {
                Groundtruth.BOXES: tf.TensorSpec([None, None, 4], tf.float32),
                Groundtruth.CLASSES: tf.TensorSpec([None, None], tf.int32),
                Groundtruth.WEIGHTS: tf.TensorSpec([None, None], tf.float32),
                Groundtruth.NUM_BOXES: tf.TensorSpec([None], tf.int32),
            },
        ]
    )
    def step(inputs, shapes, groundtruth):
        traces.append(1)
        with tf.GradientTape() as tape:
            predictions = detector.predict_raw(inputs, shapes, training=True, groundtruth=groundtruth)
            losses = detector.losses(predictions, groundtruth, training=True)
            total = tf.add_n(list(losses.values()))
        return losses, tape.gradient(total, detector.trainable_variables), predictions[Predictions.NUM_PROPOSALS]

    return step, traces


def run_step(step, detector, groundtruth, height, width, seed=0):
    inputs, shapes = detector.preprocess(images.make_images(height, width, seed))
    losses, gradients, num_proposals = step(inputs, shapes, groundtruth)
    assert all(np.isfinite(value) for value in losses.values())
    assert all(gradient is not None and np.all(np.isfinite(gradient)) for gradient in gradients)
    return losses, num_proposals


@pytest.mark.parametrize(
    "name", [NAME, "Faster R-CNN, static", "Faster R-CNN, pyramid", "Faster R-CNN, sigmoid, hard mining"]
)
def test_images_without_objects_train(name):
    detector = variants.build_variant(name)
    step, traces = make_step(detector)
    for rows in (0, 3):
        losses, _ = run_step(step, detector, images.make_groundtruth([], rows), 64, 96)
        assert float(losses[Losses.RPN_LOCALIZATION]) == float(losses[Losses.BOX_LOCALIZATION]) == 0.0
        assert float(losses[Losses.RPN_OBJECTNESS]) > 0.0 and float(losses[Losses.BOX_CLASSIFICATION]) > 0.0
    mixed = images.make_groundtruth(OBJECTS)
    mixed[Groundtruth.WEIGHTS] *= [[1.0], [0.0]]  # the second image has only padding
    losses, _ = run_step(step, detector, mixed, 64, 96)
    assert float(losses[Losses.RPN_LOCALIZATION]) > 0.0
    assert len(traces) == 1


def test_images_of_any_size_train_with_one_trace():
    detector = variants.build_variant(NAME, resizer=ssd.ANY_SIZE)
    step, traces = make_step(detector)
    for seed, (height, width) in enumerate([(60, 90), (90, 60), (48, 48), (200, 77)]):
        run_step(step, detector, images.make_groundtruth(OBJECTS, rows=2 + seed), height, width, seed)
    assert len(traces) == 1


def test_a_batch_of_differently_sized_images():
    """Each image has its own frame, which contains its proposals and detections."""
    detector = variants.build_variant(NAME, is_training=False)
    shapes = tf.constant([[64, 96, 3], [40, 50, 3]])
    pixels = np.zeros([2, 64, 96, 3], np.float32)
    for row, (height, width, _) in enumerate(shapes.numpy()):
        pixels[row, :height, :width] = images.make_images(height, width, seed=row)[0]
    predictions = detector.predict_raw(detector.normalize(pixels, shapes), shapes)
    proposals = predictions[Predictions.PROPOSALS_PX].numpy()
    for row, (height, width, _) in enumerate(shapes.numpy()):
        assert proposals[row].min() >= 0.0
        assert proposals[row, :, 2].max() <= height and proposals[row, :, 3].max() <= width
    boxes = detector.postprocess(predictions, shapes)[Detections.BOXES].numpy()
    assert boxes.min() >= 0.0 and boxes.max() <= 1.0 + 1e-6 and boxes[1].max() > 0.5


def test_one_stage_has_the_proposals_as_detections():
    whole = variants.build_variant(NAME, is_training=False)
    message = variants.parse_variant(NAME)
    assert message.faster_rcnn.number_of_stages == 2
    first = variants.build_variant(NAME, is_training=False, model="number_of_stages: 1")
    keys = first.checkpoint_keys()
    assert set(keys) < set(whole.checkpoint_keys())
    for key, variable in keys.items():
        variable.assign(whole.checkpoint_keys()[key])
    inputs, shapes = whole.preprocess(images.make_images())
    predictions, wanted = first.predict_raw(inputs, shapes), whole.predict_raw(inputs, shapes)
    np.testing.assert_allclose(predictions[Predictions.PROPOSALS], wanted[Predictions.PROPOSALS], atol=1e-6)
    detections = first.postprocess(predictions, shapes)
    np.testing.assert_allclose(detections[Detections.BOXES], wanted[Predictions.PROPOSALS], atol=1e-6)
    np.testing.assert_array_equal(detections[Detections.NUM], wanted[Predictions.NUM_PROPOSALS])
    assert np.all(np.diff(detections[Detections.SCORES]) <= 0) and not np.any(detections[Detections.CLASSES])
    losses = first.losses(first.predict_raw(inputs, shapes, training=True), images.make_groundtruth(OBJECTS))
    assert set(losses) == {Losses.RPN_LOCALIZATION, Losses.RPN_OBJECTNESS}


def test_training_draws_proposals_in_balance():
    detector = variants.build_variant(NAME)
    groundtruth = images.make_groundtruth(OBJECTS)
    with pytest.raises(ValueError, match="ground truth"):
        inputs, shapes = detector.preprocess(images.make_images())
        detector.predict_raw(inputs, shapes, training=True)
    step, _ = make_step(detector)
    _, num_proposals = run_step(step, detector, groundtruth, 64, 96)
    assert num_proposals.numpy().tolist() == [6, 6]


def test_static_shapes_are_known_beforehand():
    detector = variants.build_variant("Faster R-CNN, static")
    groundtruth = images.make_groundtruth(OBJECTS)
    shapes_of = {}

    @tf.function
    def trace(inputs, shapes):
        for training in (False, True):
            predictions = detector.predict_raw(inputs, shapes, training=training, groundtruth=groundtruth)
            shapes_of[training] = {
                key: value.shape for key, value in predictions.items() if not isinstance(value, list)
            }
        return predictions[Predictions.PROPOSALS]

    inputs, shapes = detector.preprocess(images.make_images())
    trace(inputs, shapes)
    for known in shapes_of.values():
        assert all(shape.is_fully_defined() for shape in known.values()), known


def test_anchors_over_the_border_are_left_out_in_training_alone():
    pruned, clipped = (variants.build_variant(NAME, model=m) for m in ("", "clip_anchors_to_image: true"))
    groundtruth = images.make_groundtruth(OBJECTS)
    inputs, shapes = pruned.preprocess(images.make_images())
    counts = [
        detector.predict_raw(inputs, shapes, training, groundtruth)[Predictions.ANCHORS].shape[0]
        for detector, training in ((pruned, False), (pruned, True), (clipped, True))
    ]
    assert counts[0] == counts[2] == 4 * 6 * 4 and 0 < counts[1] < counts[0]


def test_weights_multiply_losses():
    weights = "first_stage_localization_loss_weight: 2 first_stage_objectness_loss_weight: 3 "
    weights += "second_stage_localization_loss_weight: 4 second_stage_classification_loss_weight: 5"
    groundtruth, losses = images.make_groundtruth(OBJECTS), []
    for model in ("", weights):
        detector = variants.build_variant(NAME, model=model)
        detector.sample_order = parity.lowest_first
        inputs, shapes = detector.preprocess(images.make_images())
        losses.append(detector.losses(detector.predict_raw(inputs, shapes), groundtruth))
    names = (Losses.RPN_LOCALIZATION, Losses.RPN_OBJECTNESS, Losses.BOX_LOCALIZATION, Losses.BOX_CLASSIFICATION)
    for name, factor in zip(names, (2, 3, 4, 5)):
        np.testing.assert_allclose(losses[1][name], factor * losses[0][name], rtol=1e-5)


WITHOUT_CONVOLUTIONS = "mask_rcnn_box_predictor { predict_instance_masks: true }"
RFCN = "rfcn_box_predictor { depth: 16 }"
PYRAMID = variants.CASES["faster_rcnn"].variants["Faster R-CNN, pyramid"].pieces


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"model": "number_of_stages: 3"}, "number_of_stages"),
        ({"model": "number_of_stages: 4"}, "number_of_stages"),
        ({"model": "number_of_stages: 3", "head": WITHOUT_CONVOLUTIONS}, "conv_hyperparams"),
        ({"model": "number_of_stages: 3", "head": RFCN, "crop": ""}, "rfcn_box_predictor"),
        ({"model": "number_of_stages: 3", "head": MASKS % ("", "mask_height: 0")}, "mask_height"),
        ({"model": "number_of_stages: 3", "head": MASKS % ("", "mask_prediction_num_conv_layers: 0")}, "num_conv"),
        ({"model": "number_of_stages: 3", "head": MASKS % ("", "mask_prediction_conv_depth: -1")}, "conv_depth"),
        (
            {"model": "number_of_stages: 3", "head": MASKS % ("", "convolve_then_upsample_masks: true")},
            "mask_height(.|\n)*a multiple of 2",
        ),
        ({"model": "second_stage_batch_size: 13"}, "second_stage_batch_size"),
        ({"crop": "initial_crop_size: 8 maxpool_kernel_size: 9 maxpool_stride: 2"}, "maxpool_kernel_size"),
        ({"extractor": "first_stage_features_stride: 32"}, "first_stage_features_stride"),
        ({"anchors": "grid_anchor_generator { aspect_ratios: 1 }"}, "scales"),
        ({"head": "mask_rcnn_box_predictor { predict_keypoints: true }"}, "predict_keypoints"),
        ({"head": RFCN}, "initial_crop_size"),
        ({"head": RFCN, "crop": "maxpool_stride: 2"}, "maxpool_stride"),
        ({"head": "rfcn_box_predictor { crop_height: 10 }", "crop": ""}, "crop_height(.|\n)*a multiple of .*=3"),
        ({"head": "rfcn_box_predictor { num_spatial_bins_width: 0 }", "crop": ""}, "num_spatial_bins_width"),
        ({"head": RFCN, "crop": "", **PYRAMID}, "without a feature pyramid"),
        ({"type": "faster_rcnn_resnet18_keras"}, "faster_rcnn_resnet18_keras"),
        ({"anchors": "multiscale_anchor_generator { aspect_ratios: 1 normalize_coordinates: false }"}, "feature maps"),
    ],
)
def test_configurations_that_make_no_sense(changes, word):
    with pytest.raises(errors.ConfigError, match=word):
        variants.build_variant(NAME, **changes)


@pytest.mark.parametrize(("slim", "stride"), [(False, 16), (False, 8), (True, 16), (True, 8)])
def test_strides_of_resnet(slim, stride):
    stages = resnet_v1.make_stages((1, 2, 2, 1), depth=4, output_stride=stride, slim=slim)
    backbone = resnet_v1.ResNetV1(stages[:3], resnet_v1.make_hyperparams(), frozen=True, stem_depth=4)
    (features,) = backbone(tf.zeros([1, 64, 96, 3]))
    assert features.shape == [1, 64 // stride, 96 // stride, 64] and backbone.depths == [64]
    second = resnet_v1.ResNetV1(stages[3:], resnet_v1.make_hyperparams(), True, in_channels=64, stem_depth=0)
    (crops,) = second(tf.zeros([3, 7, 7, 64]))
    assert crops.shape == ([3, 7, 7, 128] if slim else [3, 4, 4, 128])


@pytest.mark.parametrize(
    ("head", "more"), [(SHARED_BOXES, ""), (MASKS % ("", "share_box_across_classes: true"), THREE_STAGES)]
)
def test_static_shapes_compile(monkeypatch, head, more):
    """Built for TPUs, XLA gives the losses, gradients and detections of the plain graph."""
    monkeypatch.setattr(build.xla, "is_target", lambda: True)
    static = variants.CASES["faster_rcnn"].variants["Faster R-CNN, static"].pieces["model"]
    detector = variants.build_variant("Faster R-CNN, static", head=head, model=f"{static} {more}")
    detector.sample_order = parity.highest_first
    groundtruth = images.make_groundtruth(OBJECTS, with_masks=bool(more))
    inputs, shapes = detector.preprocess(images.make_images())

    def run():
        with tf.GradientTape() as tape:
            predictions = detector.predict_raw(inputs, shapes, training=True, groundtruth=groundtruth)
            losses = detector.losses(predictions, groundtruth, training=True)
            total = tf.add_n(list(losses.values()))
        gradients = [tf.norm(gradient) for gradient in tape.gradient(total, detector.trainable_variables)]
        return losses, tf.stack(gradients), detector.postprocess(detector.predict_raw(inputs, shapes), shapes)

    before = [variable.numpy() for variable in detector.variables]
    plain = tf.function(run)()
    for variable, value in zip(detector.variables, before):
        variable.assign(value)
    (losses, gradients, detections), wanted = tf.function(run, jit_compile=True)(), plain
    for name, value in wanted[0].items():
        np.testing.assert_allclose(losses[name], value, rtol=1e-3, err_msg=name)
    np.testing.assert_allclose(gradients, wanted[1], rtol=0, atol=1e-3 * float(tf.reduce_max(wanted[1])))
    np.testing.assert_array_equal(detections[Detections.NUM], wanted[2][Detections.NUM])
    np.testing.assert_allclose(detections[Detections.SCORES], wanted[2][Detections.SCORES], atol=1e-4)
    boxes, wanted_boxes = (np.sort(found[Detections.BOXES], axis=1) for found in (detections, wanted[2]))
    np.testing.assert_allclose(boxes, wanted_boxes, atol=1e-3)  # many scores are equal: in any order
