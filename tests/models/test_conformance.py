"""What every registered detector must do, whatever its family."""

import functools
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from google.protobuf import text_format

from tests.models import parity
from tfodhelper import protos
from tfodhelper.checkpoints import restore, save
from tfodhelper.fields import Detections, Groundtruth, Losses, Predictions
from tfodhelper.models import build
from tfodhelper.models.faster_rcnn import build as build_faster_rcnn
from tfodhelper.models.faster_rcnn import detector as faster_rcnn

SSD = """
ssd {
  num_classes: 3
  image_resizer { %(resizer)s }
  feature_extractor {
    type: "%(type)s" depth_multiplier: 0.25 min_depth: 8
    conv_hyperparams { %(hyperparams)s } override_base_feature_extractor_hyperparams: true
    %(extractor)s
  }
  box_coder { faster_rcnn_box_coder { } }
  matcher { argmax_matcher { force_match_for_each_row: true } }
  similarity_calculator { iou_similarity { } }
  box_predictor { convolutional_box_predictor { conv_hyperparams { %(hyperparams)s } %(predictor)s } }
  anchor_generator { ssd_anchor_generator { aspect_ratios: 1 aspect_ratios: 2 aspect_ratios: 0.5 } }
  post_processing {
    batch_non_max_suppression { score_threshold: 1e-8 iou_threshold: 0.6 max_total_detections: 20
      max_detections_per_class: 9 }
    score_converter: SIGMOID
  }
  loss {
    localization_loss { weighted_smooth_l1 { } } classification_loss { weighted_sigmoid_focal { alpha: 0.25 } }
    %(loss)s
  }
  %(ssd)s
}
"""
PARTS = {
    "type": "ssd_mobilenet_v1_keras",
    "resizer": "fixed_shape_resizer { height: 64 width: 96 }",
    "hyperparams": "activation: RELU_6 regularizer { l2_regularizer { weight: 4e-5 } } "
    "initializer { truncated_normal_initializer { stddev: 0.1 } } batch_norm { scale: true decay: 0.9 }",
    "extractor": "",
    "predictor": "use_dropout: false",
    "loss": "",
    "ssd": "",
}
VARIANTS = {
    "plain": {},
    "first generation's name": {"type": "ssd_mobilenet_v1"},
    "frozen": {"ssd": "freeze_batchnorm: true"},
    "padded": {
        "resizer": "keep_aspect_ratio_resizer { min_dimension: 48 max_dimension: 80 pad_to_max_dimension: true }"
    },
    "any size": {"resizer": "keep_aspect_ratio_resizer { min_dimension: 48 max_dimension: 96 }"},
    "explicit padding and depthwise": {
        "extractor": "use_explicit_padding: true use_depthwise: true num_layers: 6 pad_to_multiple: 32",
        "predictor": "use_dropout: true kernel_size: 3 use_depthwise: true num_layers_before_predictor: 1 "
        "max_depth: 32 min_depth: 8 box_encodings_clip_range { min: -10 max: 10 }",
    },
    "no batch norm, no background": {
        "hyperparams": "activation: RELU initializer { variance_scaling_initializer { } } "
        "regularizer { l1_regularizer { weight: 1e-5 } }",
        "ssd": "add_background_class: false encode_background_as_zeros: true normalize_loss_by_num_matches: false",
    },
    "hard mining": {
        "loss": "hard_example_miner { num_hard_examples: 300 iou_threshold: 0.99 loss_type: CLASSIFICATION "
        "max_negatives_per_positive: 3 min_negatives_per_image: 2 }",
        "ssd": "normalize_loc_loss_by_codesize: true",
    },
}
FASTER_RCNN = """
faster_rcnn {
  num_classes: 3
  image_resizer { %(resizer)s }
  feature_extractor { type: "%(type)s" %(extractor)s }
  first_stage_anchor_generator { %(anchors)s }
  first_stage_box_predictor_conv_hyperparams { %(hyperparams)s }
  first_stage_box_predictor_depth: 16 first_stage_minibatch_size: 16 first_stage_max_proposals: 12
  initial_crop_size: 8 maxpool_kernel_size: 2 maxpool_stride: 2
  second_stage_box_predictor { mask_rcnn_box_predictor { fc_hyperparams { op: FC %(fc)s } %(predictor)s } }
  second_stage_batch_size: 6
  second_stage_post_processing {
    batch_non_max_suppression { iou_threshold: 0.6 max_total_detections: 20 max_detections_per_class: 9 }
    score_converter: %(converter)s
  }
  %(model)s
}
"""
FASTER_PARTS = {
    "type": "faster_rcnn_resnet50_keras",
    "resizer": PARTS["resizer"],
    "extractor": "batch_norm_trainable: true",
    "anchors": "grid_anchor_generator { height: 64 width: 64 height_stride: 16 width_stride: 16 "
    "scales: 0.25 scales: 0.5 aspect_ratios: 1 aspect_ratios: 2 }",
    "hyperparams": "regularizer { l2_regularizer { weight: 1e-4 } } "
    "initializer { truncated_normal_initializer { stddev: 0.1 } }",
    "fc": "",
    "predictor": "",
    "converter": "SOFTMAX",
    "model": "",
}
FASTER_VARIANTS = {
    "Faster R-CNN": {},
    "Faster R-CNN, frozen, padded": {
        "extractor": "",
        "resizer": VARIANTS["padded"]["resizer"],
        "predictor": "share_box_across_classes: true",
    },
    "Faster R-CNN, static": {
        "predictor": "share_box_across_classes: true use_dropout: true dropout_keep_probability: 0.9",
        "model": "use_static_shapes: true use_static_shapes_for_eval: true use_static_balanced_label_sampler: true "
        "clip_anchors_to_image: true use_matmul_crop_and_resize: true use_matmul_gather_in_matcher: true",
    },
    "Faster R-CNN, first generation, stride 8, any size": {
        "type": "faster_rcnn_resnet50",
        "extractor": "first_stage_features_stride: 8",
        "resizer": VARIANTS["any size"]["resizer"],
        "anchors": FASTER_PARTS["anchors"].replace("stride: 16", "stride: 8"),
        "hyperparams": FASTER_PARTS["hyperparams"] + " batch_norm { scale: true decay: 0.9 }",
        "fc": "batch_norm { scale: true decay: 0.9 }",
        "model": "first_stage_atrous_rate: 2",
    },
    "Faster R-CNN, sigmoid, hard mining": {
        "converter": "SIGMOID",
        "model": "second_stage_classification_loss { weighted_sigmoid { } } "
        "hard_example_miner { num_hard_examples: 5 iou_threshold: 0.9 loss_type: BOTH }",
    },
    "Faster R-CNN, Inception-ResNet": {
        "type": "faster_rcnn_inception_resnet_v2_keras",
        "predictor": "share_box_across_classes: true",
        "model": "initial_crop_size: 7 maxpool_kernel_size: 1 maxpool_stride: 1",
    },
    "Faster R-CNN, pyramid": {
        "type": "faster_rcnn_resnet50_fpn_keras",
        "extractor": "batch_norm_trainable: true fpn { min_level: 2 max_level: 6 additional_layer_depth: 16 } "
        f"conv_hyperparams {{ {PARTS['hyperparams']} }} override_base_feature_extractor_hyperparams: true",
        "anchors": "multiscale_anchor_generator { min_level: 2 max_level: 6 aspect_ratios: 1 "
        "normalize_coordinates: false }",
    },
}
# Networks of one unit a stage and few channels in place of the published ones.
TINY = {
    name: functools.partial(
        builder, **({"counts": (1, 1, 1)} if "inception" in name else {"units": (1, 1, 1, 1), "depth": 8})
    )
    for name, builder in build_faster_rcnn.FEATURE_EXTRACTORS.items()
}
ALL = [*VARIANTS, *FASTER_VARIANTS]
BATCH, ROWS = 2, 4


def parse_variant(name, **changes):
    """The DetectionModel message of a variant."""
    if name in VARIANTS:
        text = SSD % {**PARTS, **VARIANTS[name], **changes}
    else:
        text = FASTER_RCNN % {**FASTER_PARTS, **FASTER_VARIANTS[name], **changes}
    return text_format.Merge(text, protos.message("DetectionModel")())


def build_variant(name, is_training=True, **changes):
    tf_keras.utils.set_random_seed(1)
    with mock.patch.dict(build_faster_rcnn.FEATURE_EXTRACTORS, TINY):
        return build.build_detector(parse_variant(name, **changes), is_training)


def make_images(height=60, width=90, seed=0):
    return np.random.RandomState(seed).randint(0, 256, [BATCH, height, width, 3]).astype(np.uint8)


def make_groundtruth(boxes=(), rows=ROWS):
    """The same boxes [(class, ymin, xmin, ymax, xmax)] in every image, padded."""
    values = np.zeros([BATCH, rows, 4], np.float32)
    classes, weights = np.full([BATCH, rows], -1, np.int32), np.zeros([BATCH, rows], np.float32)
    for i, (number, *corners) in enumerate(boxes):
        values[:, i], classes[:, i], weights[:, i] = corners, number, 1
    return {
        Groundtruth.BOXES: tf.constant(values),
        Groundtruth.CLASSES: tf.constant(classes),
        Groundtruth.WEIGHTS: tf.constant(weights),
        Groundtruth.NUM_BOXES: tf.fill([BATCH], len(boxes)),
    }


BOXES = [(1, 0.1, 0.1, 0.5, 0.6), (2, 0.0, 0.4, 1.0, 1.0)]


@pytest.fixture(scope="module", params=ALL)
def detector(request):
    return build_variant(request.param)


def is_two_stage(detector):
    return isinstance(detector, faster_rcnn.FasterRCNNDetector)


def check_raw_predictions(detector, predictions):
    """Checks the shapes; returns how many boxes and class columns there are."""
    anchors = predictions[Predictions.ANCHORS].shape[0]
    columns = predictions[Predictions.CLASS_LOGITS].shape[-1]
    assert columns in (detector.num_classes, detector.num_classes + 1)
    if not is_two_stage(detector):
        assert predictions[Predictions.BOX_CODES].shape == [BATCH, anchors, 4]
        assert predictions[Predictions.CLASS_LOGITS].shape == [BATCH, anchors, columns]
        return anchors, columns
    assert predictions[Predictions.RPN_BOX_CODES].shape == [BATCH, anchors, 4]
    assert predictions[Predictions.RPN_LOGITS].shape == [BATCH, anchors, 2]
    assert predictions[Predictions.PROPOSALS].shape == [BATCH, 12, 4]
    assert predictions[Predictions.NUM_PROPOSALS].shape == [BATCH]
    assert predictions[Predictions.CLASS_LOGITS].shape == [BATCH * 12, columns]
    assert predictions[Predictions.REFINED_BOX_CODES].shape[1] in (1, detector.num_classes)
    return 12, columns


def test_shapes_and_dtypes(detector):
    inputs, shapes = detector.preprocess(make_images())
    assert inputs.dtype == tf.float32 and shapes.dtype == tf.int32 and shapes.shape == [BATCH, 3]
    predictions = detector.predict_raw(inputs, shapes)
    anchors, columns = check_raw_predictions(detector, predictions)
    detections = detector.postprocess(predictions, shapes)
    wanted = {
        Detections.BOXES: [BATCH, 20, 4],
        Detections.SCORES: [BATCH, 20],
        Detections.CLASSES: [BATCH, 20],
        Detections.NUM: [BATCH],
        Detections.MULTICLASS_SCORES: [BATCH, 20, columns],
        Detections.ANCHOR_INDICES: [BATCH, 20],
        Detections.RAW_BOXES: [BATCH, anchors, 4],
        Detections.RAW_SCORES: [BATCH, anchors, columns],
    }
    assert {key: value.shape.as_list() for key, value in detections.items()} == wanted
    assert all(value.dtype == tf.float32 for value in detections.values())
    boxes = detections[Detections.BOXES].numpy()
    assert boxes.min() >= 0 and boxes.max() <= 1 + 1e-6
    assert np.all(np.diff(detections[Detections.SCORES]) <= 0)
    assert detections[Detections.CLASSES].numpy().max() < detector.num_classes


def test_detections_belong_to_their_anchors(detector):
    inputs, shapes = detector.preprocess(make_images())
    predictions = detector.predict_raw(inputs, shapes)
    detections = detector.postprocess(predictions, shapes)
    indices = tf.cast(detections[Detections.ANCHOR_INDICES], tf.int32)
    num = int(detections[Detections.NUM][0])
    of_anchors = tf.gather(detections[Detections.RAW_SCORES], indices, batch_dims=1)
    np.testing.assert_allclose(detections[Detections.MULTICLASS_SCORES][0, :num], of_anchors[0, :num])
    raw = tf.gather(detections[Detections.RAW_BOXES], indices, batch_dims=1)[0, :num].numpy()
    size = np.array(inputs.shape[1:3]) / shapes[0, :2].numpy() if not is_two_stage(detector) else np.ones(2)
    if is_two_stage(detector) and predictions[Predictions.REFINED_BOX_CODES].shape[1] > 1:
        return  # a detection may have the box of another class than the raw one
    clipped = np.clip(raw * np.tile(size, 2), 0, 1)
    np.testing.assert_allclose(detections[Detections.BOXES][0, :num], clipped, atol=1e-5)


@pytest.mark.parametrize("boxes", [[], BOXES[:1], BOXES, [(0, 0.0, 0.0, 1.0, 1.0)], [(0, 0.5, 0.5, 0.5, 0.5)]])
def test_losses_are_finite(detector, boxes):
    inputs, shapes = detector.preprocess(make_images())
    losses = detector.losses(detector.predict_raw(inputs, shapes), make_groundtruth(boxes))
    names = {Losses.LOCALIZATION, Losses.CLASSIFICATION}
    if is_two_stage(detector):
        names = {Losses.RPN_LOCALIZATION, Losses.RPN_OBJECTNESS, Losses.BOX_LOCALIZATION, Losses.BOX_CLASSIFICATION}
    assert set(losses) == names
    assert all(value.shape == [] and np.isfinite(value) for value in losses.values())
    first = Losses.RPN_LOCALIZATION if is_two_stage(detector) else Losses.LOCALIZATION
    assert (float(losses[first]) > 0) == bool(boxes)


def test_padding_rows_do_not_change_losses(detector):
    inputs, shapes = detector.preprocess(make_images())
    predictions = detector.predict_raw(inputs, shapes)
    detector.sample_order = parity.lowest_first
    few, many = (detector.losses(predictions, make_groundtruth(BOXES, rows)) for rows in (2, 30))
    for name in few:
        np.testing.assert_allclose(few[name], many[name], rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(33, 200), (101, 47)])
def test_odd_sizes(detector, height, width):
    inputs, shapes = detector.preprocess(make_images(height, width))
    detections = detector.postprocess(detector.predict_raw(inputs, shapes), shapes)
    assert np.all(np.isfinite(detections[Detections.BOXES]))


def test_a_gradient_reaches_every_trainable_variable(detector):
    inputs, shapes = detector.preprocess(make_images())
    with tf.GradientTape() as tape:
        predictions = detector.predict_raw(inputs, shapes, training=True, groundtruth=make_groundtruth(BOXES))
        losses = detector.losses(predictions, make_groundtruth(BOXES), training=True)
        total = tf.add_n(list(losses.values()))
    names = {id(variable): key for key, variable in detector.checkpoint_keys().items()}
    for variable, gradient in zip(detector.trainable_variables, tape.gradient(total, detector.trainable_variables)):
        assert gradient is not None and np.all(np.isfinite(gradient)), names[id(variable)]


def test_checkpoint_keys_name_every_variable_once(detector):
    keys = detector.checkpoint_keys()
    assert len({id(variable) for variable in keys.values()}) == len(keys) == len(detector.variables)
    assert {id(variable) for variable in detector.variables} == {id(variable) for variable in keys.values()}


def test_normalize_after_resizing_is_preprocess(detector):
    images = make_images()
    resized, shapes = detector.resizer(images)
    np.testing.assert_allclose(detector.normalize(resized, shapes), detector.preprocess(images)[0], atol=1e-5)


def test_the_parts_of_a_detector_make_the_whole(detector):
    inputs, shapes = detector.preprocess(make_images())
    features = detector.extract_features(inputs)
    if is_two_stage(detector):
        assert features is None
        with pytest.raises(TypeError, match="in one piece only"):
            detector.predict_from_features([], inputs.shape[1:3])
        return
    image_by_image = [detector.extract_features(image) for image in tf.split(inputs, BATCH)]
    together = [tf.concat(level, axis=0) for level in zip(*image_by_image)]
    for received, other in zip(together, features):
        np.testing.assert_allclose(received, other, atol=1e-5)
    tf.nest.map_structure(
        lambda ours, other: np.testing.assert_allclose(ours, other, atol=1e-5),
        detector.predict_from_features(features, tuple(inputs.shape[1:3])),
        detector.predict_raw(inputs, shapes),
    )


@pytest.mark.parametrize("name", ALL)
def test_a_graph_is_the_same_as_eager(name):
    detector = build_variant(name)
    detector.sample_order = parity.lowest_first
    groundtruth = make_groundtruth(BOXES)

    def run(images):
        inputs, shapes = detector.preprocess(images)
        predictions = detector.predict_raw(inputs, shapes)
        return detector.postprocess(predictions, shapes), detector.losses(predictions, groundtruth)

    images = make_images()
    spec = tf.TensorSpec([None, None, None, 3], tf.uint8)
    tf.nest.map_structure(
        lambda ours, other: np.testing.assert_allclose(ours, other, rtol=1e-3, atol=1e-4),
        run(images),
        tf.function(run, input_signature=[spec])(images),
    )


@pytest.mark.parametrize("name", ALL)
def test_save_and_restore(name, tmp_path):
    detector, other = build_variant(name), build_variant(name, is_training=False)
    for number, variable in enumerate(detector.variables):
        variable.assign(variable + 0.001 * number)
    path = tf.train.Checkpoint(model=save.ModelView(detector)).save(str(tmp_path / "ckpt"))
    report = restore.restore_trained(other, path)
    assert len(report.restored) == len(detector.variables) and not report.unused
    inputs, shapes = detector.preprocess(make_images())
    ours, theirs = detector.predict_raw(inputs, shapes), other.predict_raw(inputs, shapes)
    np.testing.assert_array_equal(ours[Predictions.CLASS_LOGITS], theirs[Predictions.CLASS_LOGITS])


@pytest.mark.parametrize(
    ("name", "moves", "num_norms"),
    [
        ("plain", True, 35),
        ("frozen", False, 35),
        ("Faster R-CNN", True, 17),
        ("Faster R-CNN, frozen, padded", False, 17),
        ("Faster R-CNN, pyramid", True, 22),
    ],
)
def test_batch_norm_moves_in_training_alone_and_not_when_frozen(name, moves, num_norms):
    detector = build_variant(name)
    inputs, shapes = detector.preprocess(make_images())
    before = [variable.numpy() for variable in detector.non_trainable_variables]
    detector.predict_raw(inputs, shapes, training=False)
    for variable, value in zip(detector.non_trainable_variables, before):
        np.testing.assert_array_equal(variable, value)
    detector.predict_raw(inputs, shapes, training=True, groundtruth=make_groundtruth(BOXES))
    moved = [np.any(v.numpy() != value) for v, value in zip(detector.non_trainable_variables, before)]
    assert all(moved) if moves else not any(moved)
    assert len(before) == 2 * num_norms


@pytest.mark.parametrize("name", ["plain", "Faster R-CNN", "Faster R-CNN, first generation, stride 8, any size"])
def test_saved_model_is_the_model(tmp_path, name):
    detector = build_variant(name, is_training=False)

    def detect(images):
        inputs, shapes = detector.preprocess(images)
        return detector.postprocess(detector.predict_raw(inputs, shapes), shapes)

    module = tf.Module()
    module.weights = detector.variables
    module.detect = tf.function(detect, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    tf.saved_model.save(module, str(tmp_path))
    images, loaded = make_images(), tf.saved_model.load(str(tmp_path))
    exported = loaded.detect(images)
    for key, value in detect(images).items():
        np.testing.assert_allclose(exported[key], value, atol=1e-4, err_msg=key)
