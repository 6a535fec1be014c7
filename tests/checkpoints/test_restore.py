"""Finding, reading and writing checkpoints."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from google.protobuf import text_format

from tests.models.ssd import cases
from tfodhelper import errors, protos
from tfodhelper.checkpoints import find, keys, restore, save
from tfodhelper.checkpoints.keys import SUFFIX
from tfodhelper.models import build


def build_detector(num_classes=3, depth_multiplier=0.25, **pieces):
    text = cases.TEXT % {**cases.PIECES, **pieces}
    message = text_format.Parse(text, protos.message("DetectionModel")())
    message.ssd.num_classes = num_classes
    message.ssd.feature_extractor.depth_multiplier = depth_multiplier
    return build.build_detector(message, is_training=True)


def number_all(detector):
    """Gives each variable a value of its own."""
    for number, variable in enumerate(detector.checkpoint_keys().values(), start=1):
        variable.assign(tf.fill(variable.shape, float(number)))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A detector of three classes, and the folder with its checkpoint."""
    detector, folder = build_detector(), tmp_path_factory.mktemp("saved")
    number_all(detector)
    tf.train.Checkpoint(model=save.ModelView(detector)).save(str(folder / "ckpt"))
    return detector, folder


def test_our_checkpoints_have_the_published_keys(saved):
    detector, folder = saved
    names = tf.train.load_checkpoint(find.find_checkpoint(folder)).get_variable_to_shape_map()
    assert set(detector.checkpoint_keys()) == {name for name in names if name.startswith("model/")}


def test_optimizer_slots_lie_under_the_keys_of_their_variables(tmp_path):
    detector = build_detector()
    optimizer = tf_keras.optimizers.legacy.SGD(momentum=0.9)
    variables = detector.trainable_variables
    optimizer.apply_gradients([(tf.zeros_like(variable), variable) for variable in variables])
    path = tf.train.Checkpoint(model=save.ModelView(detector), optimizer=optimizer).save(str(tmp_path / "ckpt"))
    names = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    kernel = "model/_feature_extractor/classification_backbone/layer_with_weights-0/kernel"
    assert f"{kernel}/.OPTIMIZER_SLOT/optimizer/momentum{SUFFIX}" in names
    assert not restore.restore_trained(detector, path).unused


def test_restore_trained_fills_every_variable(saved):
    detector, folder = saved
    other = build_detector()
    report = restore.restore_trained(other, folder)
    assert len(report.restored) == len(detector.variables) and not report.initialized and not report.unused
    for ours, theirs in zip(detector.checkpoint_keys().values(), other.checkpoint_keys().values()):
        np.testing.assert_array_equal(ours, theirs)


def test_restore_trained_wants_the_right_number_of_classes(saved):
    with pytest.raises(errors.CheckpointError) as caught:
        restore.restore_trained(build_detector(num_classes=5), saved[1])
    assert "class_predictions" in caught.value.what and caught.value.expected[-1] == 3 * 6
    assert "another number of classes" in caught.value.what and "num_classes" in caught.value.fix


@pytest.mark.parametrize(
    ("checkpoint_type", "scope"),
    [("classification", "classification_backbone"), ("detection", "_feature_extractor"), ("full", "model/")],
)
def test_fine_tuning_restores_its_part(saved, checkpoint_type, scope):
    detector, folder = saved
    other = build_detector()
    before = {key: variable.numpy() for key, variable in other.checkpoint_keys().items()}
    report = restore.restore_for_fine_tuning(other, folder, checkpoint_type)
    assert set(report.restored) == {key for key in before if scope in key}
    wanted = detector.checkpoint_keys()
    for key, variable in other.checkpoint_keys().items():
        np.testing.assert_array_equal(variable, wanted[key] if key in report.restored else before[key])


def test_other_classes_are_initialized_anew_and_said_so(saved):
    detector = build_detector(num_classes=5)
    report = restore.restore_for_fine_tuning(detector, saved[1], "full")
    assert len(report.initialized) == 12
    assert all("class_predictions" in key and "number of classes" in reason for key, reason in report.initialized)
    assert "12 freshly initialized, because the number of classes differs" in str(report)


def test_another_width_is_an_error_that_changes_nothing(saved):
    detector = build_detector(depth_multiplier=0.5)
    before = [variable.numpy() for variable in detector.variables]
    with pytest.raises(errors.CheckpointError) as caught:
        restore.restore_for_fine_tuning(detector, saved[1], "detection")
    assert "layer_with_weights" in caught.value.what and caught.value.expected and caught.value.received
    for variable, value in zip(detector.variables, before):
        np.testing.assert_array_equal(variable, value)


def test_a_checkpoint_of_something_else_is_an_error(tmp_path):
    path = tf.train.Checkpoint(weight=tf.Variable(1.0)).save(str(tmp_path / "ckpt"))
    with pytest.raises(errors.CheckpointError, match="variables are not in this checkpoint") as caught:
        restore.restore_for_fine_tuning(build_detector(), path)
    assert "weight" in caught.value.received


def test_an_unknown_type_lists_the_known_ones(saved):
    with pytest.raises(errors.ConfigError) as caught:
        restore.restore_for_fine_tuning(build_detector(), saved[1], "everything")
    assert "classification" in caught.value.expected


def test_a_broken_file_is_an_error(saved, tmp_path):
    index = find.find_checkpoint(saved[1]) + ".index"
    with open(index, "rb") as file:
        (tmp_path / "ckpt-1.index").write_bytes(file.read()[:100])
    with pytest.raises(errors.CheckpointError, match="cannot be read"):
        restore.restore_trained(build_detector(), tmp_path)


def write_slim_checkpoint(detector, prefix, skip_scope="", others=()):
    """Writes a first-generation checkpoint: plain names, no object graph; `others` are names of further scalars."""
    values = {"global_step": tf.constant(7, tf.int64)} | {name: tf.constant(1.0) for name in others}
    for named in [named for part in detector.parts() for named in part.variables()]:
        name = named.slim_names[0]
        if not skip_scope or name.startswith(skip_scope):
            values[name.removeprefix(skip_scope)] = named.variable.value()
            if not name.endswith(("moving_mean", "moving_variance")):
                values[name + "/RMSProp"] = named.variable.value()
    names = sorted(values)
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=[values[name] for name in names]
    )


def test_first_generation_checkpoint(saved, tmp_path):
    detector, _ = saved
    write_slim_checkpoint(detector, str(tmp_path / "model.ckpt"))
    other = build_detector()
    report = restore.restore_for_fine_tuning(other, tmp_path / "model.ckpt", "full")
    assert len(report.restored) == len(detector.variables) and not report.unused
    for ours, theirs in zip(detector.checkpoint_keys().values(), other.checkpoint_keys().values()):
        np.testing.assert_array_equal(ours, theirs)


def test_a_pyramid_of_the_other_generation_is_said_in_words(tmp_path):
    """Both have the same shapes, and the weights of one make no sense in the other."""
    pieces = cases.PYRAMID | {"resizer": "fixed_shape_resizer { height: 64 width: 64 }"}
    first = build_detector(**pieces | {"type": "ssd_mobilenet_v1_fpn"})
    write_slim_checkpoint(first, str(tmp_path / "model.ckpt"))
    second = build_detector(**pieces)
    assert [variable.shape for variable in second.variables] == [variable.shape for variable in first.variables]
    with pytest.raises(errors.CheckpointError, match="variables are not in this checkpoint") as caught:
        restore.restore_for_fine_tuning(second, tmp_path, "full")
    assert "of the first generation" in caught.value.fix and "without _keras" in caught.value.fix
    assert restore.restore_for_fine_tuning(second, tmp_path, "classification").restored


def test_first_generation_classification_checkpoint(saved, tmp_path):
    detector, _ = saved
    write_slim_checkpoint(detector, str(tmp_path / "model.ckpt"), skip_scope="FeatureExtractor/")
    report = restore.restore_for_fine_tuning(build_detector(), tmp_path, "classification")
    assert len(report.restored) == 27 * 5


@pytest.fixture(scope="module")
def whole():
    """{key: `NamedVariable`} of a detector of full width and of 90 classes."""
    detector = build_detector(num_classes=90, depth_multiplier=1.0)
    return {named.key: named for part in detector.parts() for named in part.variables()}


@pytest.mark.parametrize(
    ("key", "shape", "name"),
    [
        (
            "_feature_extractor/classification_backbone/layer_with_weights-0/kernel",
            [3, 3, 3, 32],
            "FeatureExtractor/MobilenetV1/Conv2d_0/weights",
        ),
        (
            "_feature_extractor/classification_backbone/layer_with_weights-1/beta",
            [32],
            "FeatureExtractor/MobilenetV1/Conv2d_0/BatchNorm/beta",
        ),
        (
            "_feature_extractor/classification_backbone/layer_with_weights-2/depthwise_kernel",
            [3, 3, 32, 1],
            "FeatureExtractor/MobilenetV1/Conv2d_1_depthwise/depthwise_weights",
        ),
        (
            "_feature_extractor/classification_backbone/layer_with_weights-53/moving_variance",
            [1024],
            "FeatureExtractor/MobilenetV1/Conv2d_13_pointwise/BatchNorm/moving_variance",
        ),
        (
            "_feature_extractor/_feature_map_generator/convolutions/2/0/kernel",
            [1, 1, 1024, 256],
            "FeatureExtractor/MobilenetV1/Conv2d_13_pointwise_1_Conv2d_2_1x1_256/weights",
        ),
        (
            "_feature_extractor/_feature_map_generator/convolutions/5/4/gamma",
            [128],
            "FeatureExtractor/MobilenetV1/Conv2d_13_pointwise_2_Conv2d_5_3x3_s2_128/BatchNorm/gamma",
        ),
        (
            "_box_predictor/_prediction_heads/box_encodings/3/_box_encoder_layers/0/bias",
            [16],
            "BoxPredictor_3/BoxEncodingPredictor/biases",
        ),
        (
            "_box_predictor/_prediction_heads/class_predictions_with_background/0/_class_predictor_layers/0/kernel",
            [1, 1, 512, 273],
            "BoxPredictor_0/ClassPredictor/weights",
        ),
    ],
)
def test_first_generation_names(whole, key, shape, name):
    named = whole[f"model/{key}{SUFFIX}"]
    assert named.variable.shape == shape and named.slim_names[0] == name


def test_first_generation_names_do_not_depend_on_padding_and_dropout():
    changes = {"extractor": "use_explicit_padding: true", "predictor": "use_dropout: true"}
    plain, changed = (
        {name for part in build_detector(**pieces).parts() for named in part.variables() for name in named.slim_names}
        for pieces in ({}, changes)
    )
    assert plain == changed


def test_first_generation_names_of_depthwise_layers_outside_of_the_backbone():
    pieces = {
        "extractor": "use_depthwise: true",
        "predictor": "use_depthwise: true kernel_size: 3 num_layers_before_predictor: 1 min_depth: 8 max_depth: 16",
    }
    detector = build_detector(depth_multiplier=1.0, **pieces)
    variables = [named for part in detector.parts() for named in part.variables()]
    names = {named.slim_names[0]: named.variable.shape.as_list() for named in variables}
    assert len(names) == len(variables)
    neck = "FeatureExtractor/MobilenetV1/Conv2d_13_pointwise_2_Conv2d_2_3x3_s2_512"
    assert names[f"{neck}_depthwise/depthwise_weights"] == [3, 3, 256, 1]
    assert names[f"{neck}/weights"] == [1, 1, 256, 512]
    assert names["BoxPredictor_0/Conv2d_0_1x1_16/weights"] == [1, 1, 512, 16]
    assert names["BoxPredictor_5/ClassPredictor_depthwise/BatchNorm/beta"] == [16]


def test_ranges_of_quantization_are_counted_not_missed(saved, tmp_path):
    detector, _ = saved
    scope = "FeatureExtractor/MobilenetV1/Conv2d_0"
    ranges = (
        "weights_quant/min",
        "act_quant/max",
        f"act_quant/{scope}/act_quant/max/biased",
        "act_quant/min/local_step",
    )
    write_slim_checkpoint(detector, str(tmp_path / "model.ckpt"), others=[f"{scope}/{name}" for name in ranges])
    report = restore.restore_trained(build_detector(), tmp_path)
    assert report.num_ranges == len(ranges) and not report.unused
    assert "4 in the checkpoint are ranges of 8-bit values" in str(report)


def test_a_part_has_a_known_role():
    with pytest.raises(ValueError, match="brain"):
        keys.Part("_feature_extractor", None, "brain")
