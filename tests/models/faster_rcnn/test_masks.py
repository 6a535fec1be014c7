"""What is specific to Mask R-CNN, on tiny networks."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.models import images, variants
from tests.models.faster_rcnn.cases import MASKS
from tests.models.ssd import cases as ssd
from tfodhelper.checkpoints import class_rows, restore, save
from tfodhelper.exporting import serving
from tfodhelper.families import faster_rcnn_values
from tfodhelper.fields import Detections, Groundtruth, Losses, Predictions
from tfodhelper.models.faster_rcnn import build, build_heads, mask_stage
from tfodhelper.models.heads import instance_masks
from tfodhelper.ops import boxes as box_ops
from tfodhelper.ops import matcher, target_assigner

pytestmark = pytest.mark.slow

NAME = "Mask R-CNN"
SIDE = 12  # of images and masks in pixels
LEFT, RIGHT = [0.0, 0.0, 0.75, 0.5], [0.25, 0.5, 1.0, 1.0]


def make_stage(weight=1.0):
    assigner = target_assigner.TargetAssigner(matcher.ArgmaxMatcher(0.5, 0.5), num_columns=4)
    return mask_stage.MaskStage(None, mask_stage.ThirdStage(assigner, weight=weight))


def make_groundtruth(**changes):
    """Two objects, of the classes 0 and 2; the first mask covers its box, the second one is empty."""
    masks = np.zeros([1, 3, SIDE, SIDE], np.uint8)
    masks[0, 0, :10, :7] = 1  # the box ends at 0.75 x 11 = 8.25 and 0.5 x 11 = 5.5
    groundtruth = {
        Groundtruth.BOXES: [[LEFT, RIGHT, [0.0] * 4]],
        Groundtruth.CLASSES: [[0, 2, -1]],
        Groundtruth.WEIGHTS: [[1.0, 1.0, 0.0]],
        Groundtruth.MASKS: masks,
        Groundtruth.MASK_WEIGHTS: [[1.0, 1.0, 0.0]],
    }
    return {key: tf.constant(value) for key, value in {**groundtruth, **changes}.items()}


def loss_of(logits, boxes, count, groundtruth, weight=1.0):
    """Mask loss of boxes that are normalized to the image."""
    boxes = tf.constant(boxes, tf.float32) * SIDE
    image_shape = tf.constant([1, SIDE, SIDE, 3])
    return float(
        make_stage(weight).losses_of(tf.constant(logits), boxes, [count], groundtruth, image_shape)[Losses.MASK]
    )


def entropy(logit, target):
    return math.log1p(math.exp(-logit)) if target else math.log1p(math.exp(logit))


BOXES = [[LEFT, RIGHT, [0.0, 0.5, 0.2, 1.0], [0.0] * 4]]  # the third one matches nothing, the last one is padding


def test_loss_by_hand():
    """In the class of the object; the others, and boxes without an object, do not count."""
    logits = np.full([4, 3, 2, 2], 9.0, np.float32)
    logits[0, 0], logits[1, 2] = 0.5, -2.0
    wanted = (entropy(0.5, True) + entropy(-2.0, False)) / 2
    assert loss_of(logits, BOXES, 3, make_groundtruth()) == pytest.approx(wanted, rel=1e-6)
    assert loss_of(logits, BOXES, 3, make_groundtruth(), weight=4.0) == pytest.approx(4 * wanted, rel=1e-6)
    assert loss_of(logits, BOXES, 1, make_groundtruth()) == pytest.approx(entropy(0.5, True), rel=1e-6)
    assert loss_of(logits, [BOXES[0][2:] * 2], 4, make_groundtruth()) == 0.0


def test_one_mask_for_all_classes():
    logits = np.reshape([0.5, -2.0, 9.0, 9.0], [4, 1, 1, 1]) * np.ones([4, 1, 3, 2], np.float32)
    wanted = (entropy(0.5, True) + entropy(-2.0, False)) / 2
    assert loss_of(np.float32(logits), BOXES, 3, make_groundtruth()) == pytest.approx(wanted, rel=1e-6)


def test_weights_of_objects_and_of_masks():
    """An object without a mask does not teach that it has none."""
    logits = np.zeros([4, 3, 2, 2], np.float32)
    logits[0, 0], logits[1, 2] = 0.5, -2.0
    without = make_groundtruth(**{Groundtruth.MASK_WEIGHTS: [[1.0, 0.0, 0.0]]})
    assert loss_of(logits, BOXES, 3, without) == pytest.approx(entropy(0.5, True), rel=1e-6)
    half = make_groundtruth(**{Groundtruth.WEIGHTS: [[1.0, 0.5, 0.0]]})
    wanted = (entropy(0.5, True) + 0.5 * entropy(-2.0, False)) / 1.5
    assert loss_of(logits, BOXES, 3, half) == pytest.approx(wanted, rel=1e-6)
    none = make_groundtruth(**{Groundtruth.MASK_WEIGHTS: [[0.0, 0.0, 0.0]]})
    assert loss_of(logits, BOXES, 3, none) == 0.0


def test_targets_are_cut_out_at_the_boxes():
    """Logits of 20 where the object is and -20 where it is not leave no loss; of 4 x 4 points two lines are beside."""
    box = [[[0.0, 0.0, 1.0, 5 / 11]]]
    logits = np.full([1, 3, 4, 4], -20.0, np.float32)
    logits[0, 0, :3] = 20.0  # lines 0, 11 / 3, 22 / 3 and 11 of a mask that ends with line 9
    assert loss_of(logits, box, 1, make_groundtruth()) == pytest.approx(0.0, abs=1e-6)
    assert loss_of(-logits, box, 1, make_groundtruth()) == pytest.approx(20.0, rel=1e-3)


def test_missing_masks_are_an_error():
    groundtruth = make_groundtruth()
    del groundtruth[Groundtruth.MASKS]
    with pytest.raises(ValueError, match="load_instance_masks"):
        loss_of(np.zeros([4, 3, 2, 2], np.float32), BOXES, 3, groundtruth)


@pytest.mark.parametrize("resizer", [ssd.PADDED, ssd.PIECES["resizer"]])
def test_masks_belong_to_the_boxes_of_padded_images_too(resizer):
    """A box that is drawn in the true image is cut out there, wherever the padding is."""
    detector = variants.build_variant(NAME, is_training=False, resizer=resizer)
    inputs, shapes = detector.preprocess(images.make_images())
    predictions = detector.predict_raw(inputs, shapes)
    detections = detector.postprocess(predictions, shapes)
    height, width = np.array(shapes)[0, :2] / inputs.shape[1:3]
    boxes = box_ops.scale(detections[Detections.BOXES], height, width)
    _, masks = detector.region_head.predict_masks(predictions, boxes, detections[Detections.CLASSES])
    num = int(detections[Detections.NUM][0])
    assert num > 0 and (resizer != ssd.PADDED or height < 1 or width < 1)
    np.testing.assert_allclose(detections[Detections.MASKS][0, :num], masks[0, :num], atol=1e-5)
    assert not np.any(detections[Detections.MASKS][0, num:])
    # The logits of the class, by an independent way.
    logits = detections[Predictions.MASK_LOGITS].numpy().reshape(2, -1, 3, *masks.shape[2:])
    classes = detections[Detections.CLASSES].numpy().astype(int)
    for row in range(num):
        wanted = 1 / (1 + np.exp(-logits[0, row, classes[0, row]]))
        np.testing.assert_allclose(detections[Detections.MASKS][0, row], wanted, rtol=1e-5)


def test_losses_outside_training_are_those_of_detections():
    """They need no detections, but take them where they are known."""
    detector = variants.build_variant(NAME, is_training=False)
    inputs, shapes = detector.preprocess(images.make_images())
    predictions = detector.predict_raw(inputs, shapes)
    detections = detector.postprocess(predictions, shapes)
    labels = images.make_groundtruth([(1, *detections[Detections.BOXES][0, 0].numpy())], with_masks=True)
    alone, known = (detector.losses(values, labels) for values in (predictions, predictions | detections))
    assert float(alone[Losses.MASK]) > 0.0
    assert float(alone[Losses.MASK]) == pytest.approx(float(known[Losses.MASK]), rel=1e-5)
    moved = predictions | detections | {Predictions.MASK_LOGITS: detections[Predictions.MASK_LOGITS] + 1.0}
    assert float(detector.losses(moved, labels)[Losses.MASK]) != pytest.approx(float(alone[Losses.MASK]), rel=1e-3)


def test_two_stages_are_the_same_detector_without_masks():
    whole = variants.build_variant(NAME, is_training=False)
    boxes_alone = variants.build_variant(NAME, is_training=False, model="number_of_stages: 2")
    keys = boxes_alone.checkpoint_keys()
    assert set(whole.checkpoint_keys()) - set(keys) == {key for key in whole.checkpoint_keys() if "_mask_" in key[35:]}
    for key, variable in keys.items():
        variable.assign(whole.checkpoint_keys()[key])
    inputs, shapes = whole.preprocess(images.make_images())
    first, second = (d.postprocess(d.predict_raw(inputs, shapes), shapes) for d in (whole, boxes_alone))
    assert set(first) - set(second) == {Detections.MASKS, Predictions.MASK_LOGITS}
    for key, value in second.items():
        np.testing.assert_allclose(first[key], value, atol=1e-6)


SMALL = {  # network: type, of a backbone that `make_small` makes small
    "ResNet": "faster_rcnn_resnet50_keras",
    "ResNet, first generation": "faster_rcnn_resnet50",
    "Inception V2": "faster_rcnn_inception_v2",
    "Inception-ResNet V2": "faster_rcnn_inception_resnet_v2",
    "NASNet": "faster_rcnn_nas",
}


@pytest.mark.parametrize("network", SMALL)
@pytest.mark.parametrize("crop", ["initial_crop_size: 9 maxpool_kernel_size: 1 maxpool_stride: 1", None])
def test_side_of_features_of_boxes(network, crop):
    """What a configuration is checked with is what the network does."""
    changes = {"type": SMALL[network], "extractor": "", "model": "number_of_stages: 2"} | (
        {"crop": crop} if crop else {}
    )
    if network == "NASNet" and crop is None:
        changes["crop"] = "initial_crop_size: 14 maxpool_kernel_size: 2 maxpool_stride: 2"
    detector = variants.build_variant(NAME, is_training=False, **changes)
    predictions = detector.predict_raw(*detector.preprocess(images.make_images()))
    side = faster_rcnn_values.side_of_region_features(variants.parse_variant(NAME, **changes).faster_rcnn)
    assert predictions[Predictions.CLASSIFIER_FEATURES].shape[1:3] == [side, side]


def build_with_classes(num_classes):
    """A small detector whose mask layers have their depth by the number of classes."""
    message = variants.parse_variant(NAME)
    message.faster_rcnn.num_classes = num_classes
    with variants.cases_of(NAME).make_small():
        return build.build_faster_rcnn(message.faster_rcnn, is_training=True)


def test_weights_for_other_classes(tmp_path):
    """Layers whose depth follows from the classes are random where it differs, and restored where it does not."""
    path = tf.train.Checkpoint(model=save.ModelView(build_with_classes(3))).save(str(tmp_path / "ckpt"))
    number = len(build_with_classes(3).region_head.masks.head.checkpoint_keys())
    for num_classes, others in ((4, 2), (12, number)):
        report = restore.restore_for_fine_tuning(build_with_classes(num_classes), path, "full")
        initialized = [key for key, reason in report.initialized if "number of classes differs" in reason]
        assert len([key for key in initialized if "_mask_predictor_layers" in key]) == others
        rows = class_rows.ClassRows(3, {0: 1})
        report = restore.restore_for_fine_tuning(build_with_classes(num_classes), path, "full", rows)
        kept = [key for key in report.restored if "_mask_predictor_layers" in key]
        assert len(kept) == (number if others == 2 else 1)  # else the bias of the last layer alone
    assert restore.count_classes(build_with_classes(12), path) == 3
    with pytest.raises(restore.errors.CheckpointError, match="another number of classes"):
        restore.restore_trained(build_with_classes(12), path)


def test_depth_is_read_from_the_configuration():
    predictor = variants.parse_variant(NAME, head=MASKS.replace("conv_depth: 0", "conv_depth: 5") % ("", ""))
    stage = build_heads.build_mask_stage(
        predictor.faster_rcnn, 16, target_assigner.TargetAssigner(matcher.ArgmaxMatcher(0.5, 0.5), 4), frozen=True
    )
    shapes = [v.shape.as_list() for k, v in stage.head.checkpoint_keys().items() if k.endswith("kernel")]
    assert shapes == [[3, 3, 16, 5], [3, 3, 5, 5], [3, 3, 5, 3]]
    assert isinstance(stage.head.hidden[0].convolution, instance_masks.EnlargingConvolution)


def test_an_export_has_the_outputs_of_the_object_detection_api():
    """What its exporter writes for the published Mask R-CNN of the second zoo, all float32."""
    detector = variants.build_variant(NAME, is_training=False)
    module = serving.ServingModule(detector, "image_tensor", 1)
    (image,) = images.make_images()[:1]
    outputs = module.signatures[serving.SERVING_DEFAULT](tf.constant(image[np.newaxis]))
    assert set(outputs) == {
        *("anchors", "box_classifier_features", "class_predictions_with_background", "final_anchors", "image_shape"),
        *("detection_anchor_indices", "detection_boxes", "detection_classes", "detection_masks", "detection_scores"),
        *("detection_multiclass_scores", "mask_predictions", "num_detections", "num_proposals", "proposal_boxes"),
        *("proposal_boxes_normalized", "raw_detection_boxes", "raw_detection_scores", "refined_box_encodings"),
        *("rpn_box_encodings", "rpn_objectness_predictions_with_background"),
    }
    assert {value.dtype for value in outputs.values()} == {tf.float32}
    assert outputs["detection_masks"].shape == [1, 20, 7, 6]
    np.testing.assert_array_equal(outputs["final_anchors"], outputs["proposal_boxes_normalized"])
    prepared = module.signatures[serving.SERVING_PREPARE](input_tensor=tf.constant(image))
    scores = outputs["detection_scores"].numpy()[0, : int(outputs["num_detections"][0])]
    for threshold in (0.0, 0.5, 1.5):
        above = module.signatures[serving.SERVING_PREPARED](
            inputs=prepared["inputs"][tf.newaxis],
            true_image_shapes=prepared["true_image_shape"][tf.newaxis],
            score_threshold=tf.constant(threshold),
        )
        num = int(above["num_detections"][0])
        assert num == np.sum(scores > threshold)
        np.testing.assert_allclose(above["detection_masks"][0, :num], outputs["detection_masks"][0, :num], atol=1e-5)
        assert "mask_predictions" not in above and "raw_detection_boxes" not in above
