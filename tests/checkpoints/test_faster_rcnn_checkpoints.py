"""Checkpoints of two-stage detectors, of both generations."""

import functools
import hashlib

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from tests.checkpoints.two_stage_keys import BOX_HEAD, CLASS_HEAD, Keys, write, write_slim
from tests.models.faster_rcnn import cases
from tfodhelper import errors, protos
from tfodhelper.checkpoints import restore, save
from tfodhelper.checkpoints.keys import SUFFIX
from tfodhelper.models import build
from tfodhelper.models.backbones import resnet_v1

pytestmark = pytest.mark.slow

BACKBONES = ("resnet_v1_50", "resnet_v1_101", "inception_resnet_v2")
HEADS = (
    "model/_first_stage_box_predictor_first_conv/",
    "model/_first_stage_box_predictor/_prediction_heads/box_encodings/0/",
    "model/_first_stage_box_predictor/_prediction_heads/class_predictions_with_background/0/",
    "model/_mask_rcnn_box_predictor/",
)
PYRAMID = {
    "extractor": "fpn { min_level: 2 max_level: 5 additional_layer_depth: 8 } conv_hyperparams { batch_norm { } } ",
    "anchors": "multiscale_anchor_generator { min_level: 2 max_level: 5 aspect_ratios: 1 "
    "normalize_coordinates: false }",
}


@functools.lru_cache(maxsize=2)
def build_real(backbone, **pieces):
    """A detector with as many layers as the published one; a ResNet has fewer channels."""
    kind = f"faster_rcnn_{backbone.replace('resnet_v1_', 'resnet')}" + ("_fpn_keras" if pieces else "")
    text = cases.TEXT % {**cases.PIECES, "extractor": "", "type": kind, **pieces}
    message = text_format.Parse(text, protos.message("DetectionModel")())
    units = resnet_v1.UNITS.get(int(backbone.rpartition("_")[2]) if backbone.startswith("resnet") else None)
    with cases.make_small(units=units, counts=(10, 20, 9)):
        return build.build_detector(message, is_training=False)


def slim_names_of(backbone, **pieces):
    """{key: names in first-generation checkpoints} of a real detector."""
    detector = build_real(backbone, **pieces)
    return {named.key: named.slim_names for part in detector.parts() for named in part.variables()}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_variable_has_its_slim_name_among_its_names(backbone):
    names, wanted = slim_names_of(backbone), Keys(backbone).slim_names
    assert set(names) == set(wanted)
    for key, slim_name in wanted.items():
        assert slim_name in names[key] and len(names[key]) == len(set(names[key]))
    assert len(set(wanted.values())) == len(wanted)


@pytest.mark.parametrize(
    ("backbone", "count", "digest"),
    [
        ("resnet_v1_50", 265, "ae106aba58c8ab15516360adb7b85994a5b2feca044e3ca130c79443d6454b90"),
        ("inception_resnet_v2", 896, "3aa2e76e811aecd88a7a7f4890486eafaff41f43f1067858c88c2ddae92ada6d"),
    ],
)
def test_names_are_those_of_the_slim_networks(backbone, count, digest):
    """The digests are of the sorted variable names of both stages of the published TF-Slim networks, by line."""
    scope = "InceptionResnetV2" if backbone.startswith("inception") else backbone
    stages = tuple(f"{stage}StageFeatureExtractor/{scope}/" for stage in ("First", "Second"))
    names = sorted(n for names in slim_names_of(backbone).values() for n in names if n.startswith(stages))
    assert len(names) == count
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == digest


@pytest.mark.parametrize(
    ("backbone", "key", "name"),
    [
        (
            "resnet_v1_101",
            "proposal_features/layer_with_weights-0/kernel",
            "FirstStageFeatureExtractor/resnet_v1_101/conv1/weights",
        ),
        (
            "resnet_v1_101",
            "proposal_features/layer_with_weights-26/kernel",
            "FirstStageFeatureExtractor/resnet_v1_101/block2/unit_1/bottleneck_v1/shortcut/weights",
        ),
        (
            "resnet_v1_101",
            "proposal_features/layer_with_weights-187/gamma",
            "FirstStageFeatureExtractor/resnet_v1_101/block3/unit_23/bottleneck_v1/conv3/BatchNorm/gamma",
        ),
        (
            "resnet_v1_101",
            "box_classifier_features/layer_with_weights-6/moving_mean",
            "SecondStageFeatureExtractor/resnet_v1_101/block4/unit_1/bottleneck_v1/shortcut/BatchNorm/moving_mean",
        ),
        (
            "inception_resnet_v2",
            "proposal_features/layer_with_weights-36/bias",
            "FirstStageFeatureExtractor/InceptionResnetV2/Repeat/block35_1/Conv2d_1x1/biases",
        ),
        (
            "inception_resnet_v2",
            "proposal_features/layer_with_weights-340/beta",
            "FirstStageFeatureExtractor/InceptionResnetV2/Repeat_1/block17_20/Branch_1/Conv2d_0c_7x1/BatchNorm/beta",
        ),
        (
            "inception_resnet_v2",
            "box_classifier_features/layer_with_weights-103/kernel",
            "SecondStageFeatureExtractor/InceptionResnetV2/Block8/Conv2d_1x1/weights",
        ),
        (
            "inception_resnet_v2",
            "box_classifier_features/layer_with_weights-103/kernel",
            "InceptionResnetV2/Block8/Conv2d_1x1/weights",
        ),
    ],
)
def test_names_by_hand(backbone, key, name):
    assert name in slim_names_of(backbone)[f"model/_feature_extractor_for_{key}{SUFFIX}"]


def test_a_backbone_under_a_pyramid_has_the_names_of_a_classification_network():
    names = slim_names_of("resnet_v1_50", **PYRAMID)
    scope = "model/_feature_extractor_for_proposal_features/classification_backbone"
    block4 = "resnet_v1_50/block4/unit_1/bottleneck_v1/conv1/weights"
    assert block4 in names[f"{scope}/layer_with_weights-86/kernel{SUFFIX}"]
    assert all(bool(of_key) == key.startswith((scope, *HEADS)) for key, of_key in names.items())
    assert not any("FeatureExtractor/" in name for of_key in names.values() for name in of_key)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_first_generation_checkpoint_fills_both_stages_and_the_heads(backbone, tmp_path):
    theirs = Keys(backbone, num_classes=90)
    prefix = write_slim(theirs, str(tmp_path / "model.ckpt"))
    ours = Keys(backbone, num_classes=3, first=5000.0)
    report = restore.restore_for_fine_tuning(ours, prefix, "full")
    assert not report.unused
    anew = {key.removesuffix(SUFFIX).rpartition("/")[0] for key, _ in report.initialized}
    assert anew == {BOX_HEAD, CLASS_HEAD} and len(report.initialized) == 4
    assert len(report.restored) == len(ours.checkpoint_keys()) - 4
    for key in report.restored:
        np.testing.assert_array_equal(ours.checkpoint_keys()[key], theirs.checkpoint_keys()[key])


def test_type_detection_fills_both_extractors(tmp_path):
    prefix = write_slim(Keys("resnet_v1_50"), str(tmp_path / "model.ckpt"))
    report = restore.restore_for_fine_tuning(Keys("resnet_v1_50", first=9.0), prefix, "detection")
    assert len(report.restored) == 265
    assert all("_feature_extractor_for_" in key for key in report.restored)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_first_generation_classification_checkpoint(backbone, tmp_path):
    def rename(name):
        stage, _, rest = name.partition("FeatureExtractor/")
        if not rest:
            return None
        return rest if stage == "FirstStage" else rest.replace("V2/Repeat/", "V2/Repeat_2/")

    theirs = Keys(backbone)
    prefix = write_slim(theirs, str(tmp_path / "model.ckpt"), rename)
    ours = Keys(backbone, first=5000.0)
    report = restore.restore_for_fine_tuning(ours, prefix, "classification")
    assert {key for key, _ in report.initialized} == {key for key in ours.checkpoint_keys() if "predictor" in key}
    for key in report.restored:
        np.testing.assert_array_equal(ours.checkpoint_keys()[key], theirs.checkpoint_keys()[key])


def test_second_generation_classification_checkpoint_counts_on_in_the_second_stage(tmp_path):
    theirs, values = Keys("resnet_v1_50"), {}
    for key, variable in theirs.checkpoint_keys().items():
        stage, _, rest = key.partition("_features/layer_with_weights-")
        number, _, leaf = rest.partition("/")
        if rest:
            total = int(number) + (86 if "box_classifier" in stage else 0)
            values[f"feature_extractor/layer_with_weights-{total}/{leaf}"] = variable.value()
    ours = Keys("resnet_v1_50", first=5000.0)
    prefix = write(values | {"_CHECKPOINTABLE_OBJECT_GRAPH": tf.constant("")}, str(tmp_path / "ckpt-1"))
    report = restore.restore_for_fine_tuning(ours, prefix, "classification")
    assert len(report.restored) == 265 and not report.unused
    for key in report.restored:
        np.testing.assert_array_equal(ours.checkpoint_keys()[key], theirs.checkpoint_keys()[key])


@pytest.mark.parametrize(
    ("checkpoint_type", "scope"),
    [
        ("classification", "model/_feature_extractor_for_proposal_features/classification_backbone/"),
        ("detection", "model/_feature_extractor_for_"),
        ("full", "model/"),
    ],
)
def test_what_each_type_restores_with_a_pyramid(checkpoint_type, scope, tmp_path):
    detector = build_real("resnet_v1_50", **PYRAMID)
    prefix = tf.train.Checkpoint(model=save.ModelView(detector)).save(str(tmp_path / "ckpt"))
    report = restore.restore_for_fine_tuning(detector, prefix, checkpoint_type)
    assert set(report.restored) == {key for key in detector.checkpoint_keys() if key.startswith(scope)}


def test_a_shallower_network_is_an_error(tmp_path):
    names, variables = Keys("resnet_v1_50").slim_names, build_real("resnet_v1_50").checkpoint_keys()
    prefix = write({names[key]: variable.value() for key, variable in variables.items()}, str(tmp_path / "model.ckpt"))
    with pytest.raises(errors.CheckpointError, match="255 of 530 variables are not in this checkpoint"):
        restore.restore_for_fine_tuning(build_real("resnet_v1_101"), prefix, "full")


def test_a_box_for_all_classes_is_another_network_than_one_for_each(tmp_path):
    prefix = write_slim(Keys("resnet_v1_50", num_classes=90), str(tmp_path / "model.ckpt"))
    with pytest.raises(errors.CheckpointError, match="another shape"):
        restore.restore_for_fine_tuning(Keys("resnet_v1_50", num_classes=3, boxes=1), prefix, "full")


def test_a_shared_box_is_kept_for_other_classes(tmp_path):
    prefix = write_slim(Keys("resnet_v1_50", num_classes=90, boxes=1), str(tmp_path / "model.ckpt"))
    ours = Keys("resnet_v1_50", num_classes=3, boxes=1)
    report = restore.restore_for_fine_tuning(ours, prefix, "full")
    assert {key.removesuffix(SUFFIX).rpartition("/")[0] for key, _ in report.initialized} == {CLASS_HEAD}
