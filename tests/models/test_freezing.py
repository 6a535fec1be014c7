"""Frozen variables stay as they are, bit for bit; all others are trained."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.core import config_definitions
from official.modeling import optimization

from tests.models import variants
from tests.models.images import BOXES, make_groundtruth, make_images
from tfodhelper import errors, protos
from tfodhelper.checkpoints import keys
from tfodhelper.families import roles
from tfodhelper.fields import Inputs, Losses
from tfodhelper.models import freezing
from tfodhelper.models.freezing import Choice
from tfodhelper.training import task as tasks
from tfodhelper.training import trainer

BACKBONE = {roles.BACKBONE, roles.CLASSIFIER}
SLIM = "FeatureExtractor/MobilenetV1/MobilenetV1/Conv2d_[01](_|/)"  # the first two of its fourteen stages


def keys_of(detector, wanted):
    return {named.key for part in detector.parts() if part.role in wanted for named in part.variables()}


def build(name, choice, seed=2):
    """(task, its detector, whose batch norms move unless they are frozen)."""
    pipeline = protos.message("TrainEvalPipelineConfig")()
    pipeline.model.CopyFrom(variants.parse_variant(name))
    with variants.cases_of(name).make_small():
        task = tasks.DetectionTask(
            config_definitions.TaskConfig(), pipeline, tasks.StartingPoint(), seed=seed, choice=choice
        )
        return task, task.build_model()


def train(task, detector, num_steps=2, optimizer=None):
    """{key: (value before, value after)} of all variables, and the losses of the last step."""
    optimizer = optimizer or tf_keras.optimizers.legacy.Adam(1e-3, epsilon=1e-20)  # moves by the sign of a gradient
    images, shapes = detector.resizer(make_images())
    features, labels = {Inputs.IMAGE: images, Inputs.TRUE_IMAGE_SHAPE: shapes}, make_groundtruth(BOXES)
    before = {key: variable.numpy() for key, variable in detector.checkpoint_keys().items()}
    for _ in range(num_steps):
        losses = task.train_step((features, labels), detector, optimizer)
    return {key: (before[key], v.numpy()) for key, v in detector.checkpoint_keys().items()}, losses


def changed(values):
    return {key for key, (before, after) in values.items() if np.any(before != after)}


@functools.cache
def idle(name):
    """Keys of what stays although it is not frozen: on these images the loss does not depend on it."""
    values, _ = train(*build(name, Choice()))
    return frozenset(set(values) - changed(values))


QUICK = [("plain", "neck"), ("plain", 2), ("FPN", "backbone"), ("EfficientDet", "backbone"), ("EfficientDet", 2)]
SLOW = [("plain", "backbone"), ("FPN", "neck"), ("FPN", 2), ("EfficientDet", "neck")]
_BY_CHANCE = "_mask_rcnn_box_predictor/_box_prediction_head/"  # trained if a proposal happens to match a box
TWO_STAGES = "Faster R-CNN, pyramid"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *QUICK,
        (TWO_STAGES, "backbone"),
        *(pytest.param(*row, marks=pytest.mark.slow) for row in [*SLOW, (TWO_STAGES, "neck"), (TWO_STAGES, 2)]),
    ],
)
def test_a_frozen_part_stays_and_the_rest_is_trained(name, part):
    task, detector = build(name, Choice(part))
    frozen = keys_of(detector, roles.FREEZABLE[part]) if part in roles.FREEZABLE else set()
    if part == 2:
        backbone = next(each for each in detector.parts() if each.role == roles.BACKBONE)
        first = {id(v) for stage in backbone.module.stages()[:2] for layer in stage for v in layer.variables}
        frozen = {named.key for named in backbone.variables() if id(named.variable) in first}
        assert 6 < len(frozen) < len(backbone.variables()) / 2
    values, _ = train(task, detector)
    assert frozen and not changed(values) & frozen
    # All others change, with the statistics of their batch norms.
    kept = {key for key in set(values) - changed(values) - frozen if _BY_CHANCE not in key}
    assert kept <= idle(name)
    assert len(changed(values)) > 0.7 * len(set(values) - frozen - keys_of(detector, {roles.CLASSIFIER}))


def test_without_freezing_everything_is_trained_but_box_predictions_of_maps_without_a_match():
    assert all(key.endswith(f"_box_encoder_layers/0/bias{keys.SUFFIX}") for key in idle("plain"))


def test_the_end_of_the_backbone_behind_the_crops_belongs_to_it():
    _, detector = build("Faster R-CNN", Choice("backbone"))
    parts = {part.scope for part in detector.parts() if part.role == roles.BACKBONE}
    assert len(parts) == 2
    task, detector = build("Faster R-CNN", Choice("backbone"))
    values, _ = train(task, detector)
    assert not changed(values) & keys_of(detector, BACKBONE)
    with pytest.raises(errors.UsageError, match="this model has no neck"):
        build("Faster R-CNN", Choice("neck"))


@pytest.mark.parametrize(
    "expression", [SLIM, "^FeatureExtractor.*Conv2d_[01](_|/)", "classification_backbone/layer_with_weights-[0-5]/"]
)
def test_names_of_both_generations_are_known(expression):
    task, detector = build("plain", Choice(freeze=(expression, "")))
    backbone = {f"layer_with_weights-{number}/" for number in range(6)}
    frozen = {key for key in keys_of(detector, BACKBONE) if any(name in key for name in backbone)}
    values, _ = train(task, detector, 1)
    assert frozen == set(values) - changed(values) - idle("plain")
    assert len(frozen) == 3 * (1 + 4)


def test_only_what_is_to_be_updated_is_trained():
    task, detector = build("plain", Choice(update=("BoxPredictor_",), freeze=("BoxPredictor_[1-5]/",)))
    values, _ = train(task, detector, 1)
    names = {key.removesuffix(keys.SUFFIX) for key in changed(values) - idle("plain")}
    boxes, classes = (
        "box_encodings/0/_box_encoder_layers",
        "class_predictions_with_background/0/_class_predictor_layers",
    )
    layers = [f"{boxes}/0/kernel", f"{classes}/0/kernel", f"{classes}/0/bias"]
    assert names == {f"model/_box_predictor/_prediction_heads/{layer}" for layer in layers}


def test_frozen_kernels_have_no_weight_decay():
    """Its loss counts what is trained: here the head alone."""
    task, detector = build("plain", Choice("neck"))
    head = next(part for part in detector.parts() if part.role == roles.HEAD)
    losses = detector.regularization_losses()
    assert len(losses) == len(head.module.regularization_losses()) == 12
    _, after = train(task, detector, 1)
    assert float(after[Losses.REGULARIZATION]) == pytest.approx(float(tf.add_n(losses)), rel=0.2)


def test_a_batch_norm_is_frozen_with_its_gamma_and_beta_only():
    _, detector = build("plain", Choice(freeze=("Conv2d_0/weights", "Conv2d_1_depthwise/BatchNorm/gamma")))
    assert sum(not block.norm.frozen for block in detector.backbone.blocks) == 27
    _, detector = build("plain", Choice(freeze=("Conv2d_1_depthwise/BatchNorm/(gamma|beta)",)))
    assert [i for i, block in enumerate(detector.backbone.blocks) if block.norm.frozen] == [1]


def test_averages_of_weights_leave_frozen_ones_alone():
    task, detector = build("plain", Choice("backbone"))
    optimizer = optimization.ExponentialMovingAverage(tf_keras.optimizers.legacy.SGD(0.01), average_decay=0.9)
    trainer.average_trained(optimizer, task.trained_variables(detector))
    values, _ = train(task, detector, optimizer=optimizer)
    frozen = keys_of(detector, BACKBONE)
    head = next(
        key
        for key in values
        if key.endswith(f"class_predictions_with_background/0/_class_predictor_layers/0/kernel{keys.SUFFIX}")
    )
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        optimizer.swap_weights()
    now = {key: variable.numpy() for key, variable in detector.checkpoint_keys().items()}
    for key in frozen:
        np.testing.assert_array_equal(now[key], values[key][0], err_msg=key)
    assert np.any(now[head] != values[head][1])


def test_the_summary_counts():
    detector = variants.build_variant("plain")
    num_all, num_backbone = len(detector.trainable_variables), len(detector.backbone.trainable_variables)
    weights = sum(v.numpy().size for v in detector.backbone.trainable_variables)
    _, frozen = freezing.freeze(detector, Choice("backbone"))
    assert f"frozen: {num_backbone} of {num_all} trainable variables ({weights:,} of " in frozen.summary
    assert frozen.summary.endswith("weights); 27 of 35 batch norms keep their statistics")
    assert "\n" not in frozen.summary


@pytest.mark.parametrize("field", ["freeze", "update"])
def test_an_expression_without_a_match_lists_names(field):
    with pytest.raises(errors.ConfigError, match="does not match any variable") as caught:
        build("plain", Choice(**{field: ("BoxPredictor", "Conv2d_99")}))
    assert caught.value.received == "Conv2d_99"
    assert "model/_feature_extractor/classification_backbone/layer_with_weights-0/kernel" in caught.value.expected
    assert "FeatureExtractor/MobilenetV1/Conv2d_0/weights" in caught.value.expected


def test_too_many_stages_and_nothing_left_are_errors():
    with pytest.raises(errors.UsageError, match="does not have so many stages") as caught:
        build("plain", Choice(15))
    assert caught.value.expected == "a number from 1 to 14, or backbone, neck"
    with pytest.raises(errors.ConfigError, match="nothing is left to train"):
        build("plain", Choice(freeze=(".",)))


def test_frozen_random_weights_are_a_warning(capsys):
    task, detector = build("plain", Choice(1))
    task.initialize(detector)
    assert "frozen variables keep their random values" in capsys.readouterr().err
