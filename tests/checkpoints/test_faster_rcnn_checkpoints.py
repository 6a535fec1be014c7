"""Checkpoints of two-stage detectors, of both generations."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf

from tfodhelper import errors
from tfodhelper.checkpoints import restore, slim_backbones, slim_names

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
SCOPES = {"proposal": "FirstStageFeatureExtractor", "box_classifier": "SecondStageFeatureExtractor"}
BACKBONES = ("resnet_v1_50", "resnet_v1_101", "inception_resnet_v2")
HEADS = {
    "_first_stage_box_predictor_first_conv/layer_with_weights-0": ("Conv", [3, 3, 2, 5]),
    "_first_stage_box_predictor/_prediction_heads/box_encodings/0/_box_encoder_layers/0": (
        "FirstStageBoxPredictor/BoxEncodingPredictor",
        [1, 1, 5, 48],
    ),
    "_first_stage_box_predictor/_prediction_heads/class_predictions_with_background/0/_class_predictor_layers/0": (
        "FirstStageBoxPredictor/ClassPredictor",
        [1, 1, 5, 24],
    ),
}
BOX_HEAD = "model/_mask_rcnn_box_predictor/_box_prediction_head/_box_encoder_layers/1"
CLASS_HEAD = "model/_mask_rcnn_box_predictor/_class_prediction_head/_class_predictor_layers/1"


class Keys:
    """A detector as far as checkpoints see it: the keys of a two-stage detector, with small variables.

    Args:
      backbone: a key of `slim_backbones.PROPOSAL_LAYERS`.
      num_classes: of the second stage.
      first: the value of the first variable; the others count on from it.
      boxes: rows of boxes of a proposal, or None for one a class.
    """

    def __init__(self, backbone, num_classes=3, first=1.0, boxes=None):
        self.num_classes, self.slim_names = num_classes, {}
        self._variables = {}
        tables = {"proposal": slim_backbones.PROPOSAL_LAYERS, "box_classifier": slim_backbones.CLASSIFIER_LAYERS}
        for stage, table in tables.items():
            self._add_layers(stage, table[backbone], has_gamma=backbone.startswith("resnet"))
        for key, (scope, shape) in HEADS.items():
            self._add_pair(f"model/{key}", scope, shape)
        self._add_pair(BOX_HEAD, "SecondStageBoxPredictor/BoxEncodingPredictor", [7, 4 * (boxes or num_classes)])
        self._add_pair(CLASS_HEAD, "SecondStageBoxPredictor/ClassPredictor", [7, num_classes + 1])
        for number, variable in enumerate(self._variables.values()):
            variable.assign(tf.fill(variable.shape, first + number))

    def _add_layers(self, stage, layers, has_gamma):
        seen = set()
        for number, layer in enumerate(layers):
            key = f"model/_feature_extractor_for_{stage}_features/layer_with_weights-{number}"
            leaves = {"kernel": "weights"}
            if layer in seen:
                names = ["beta", "moving_mean", "moving_variance"] + ["gamma"] * has_gamma
                leaves = {name: f"BatchNorm/{name}" for name in names}
            elif layers.count(layer) == 1:
                leaves["bias"] = "biases"
            seen.add(layer)
            for leaf, name in leaves.items():
                self._add(f"{key}/{leaf}", f"{SCOPES[stage]}/{layer}/{name}", [1, 1, 2, 3] if leaf == "kernel" else [3])

    def _add_pair(self, key, scope, shape):
        self._add(f"{key}/kernel", f"{scope}/weights", shape)
        self._add(f"{key}/bias", f"{scope}/biases", shape[-1:])

    def _add(self, key, slim_name, shape):
        self._variables[key + SUFFIX] = tf.Variable(tf.zeros(shape))
        self.slim_names[key + SUFFIX] = slim_name

    def checkpoint_keys(self):
        """See `models.detector.Detector`."""
        return self._variables


def write(values, prefix):
    """Writes a checkpoint with plain names and no object graph."""
    names = sorted(values)
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=[values[name] for name in names]
    )
    return prefix


def write_slim(detector, prefix, rename=lambda name: name):
    """Writes a first-generation checkpoint of a detector with optimizer state; a name renamed to None is left out."""
    values = {"global_step": tf.constant(7, tf.int64)}
    for key, variable in detector.checkpoint_keys().items():
        name = rename(detector.slim_names[key])
        if name is not None:
            values[name] = variable.value()
            if not name.endswith(("moving_mean", "moving_variance")):
                values[name + "/Momentum"] = variable.value()
    return write(values, prefix)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_key_has_its_slim_name_among_the_candidates(backbone):
    detector = Keys(backbone)
    for key, variable in detector.checkpoint_keys().items():
        names = slim_names.candidates(key.removesuffix(SUFFIX), variable.shape)
        assert detector.slim_names[key] in names and len(names) == len(set(names))
    assert len(set(detector.slim_names.values())) == len(detector.checkpoint_keys())


@pytest.mark.parametrize(
    ("backbone", "count", "digest"),
    [
        ("resnet_v1_50", 265, "ae106aba58c8ab15516360adb7b85994a5b2feca044e3ca130c79443d6454b90"),
        ("inception_resnet_v2", 896, "3aa2e76e811aecd88a7a7f4890486eafaff41f43f1067858c88c2ddae92ada6d"),
    ],
)
def test_names_are_those_of_the_slim_networks(backbone, count, digest):
    """The digests are of the sorted variable names of both stages of the published TF-Slim networks, by line."""
    names = sorted(name for name in Keys(backbone).slim_names.values() if "FeatureExtractor/" in name)
    assert len(names) == count
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == digest


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("proposal_features/layer_with_weights-0/kernel", "FirstStageFeatureExtractor/resnet_v1_101/conv1/weights"),
        (
            "proposal_features/layer_with_weights-26/kernel",
            "FirstStageFeatureExtractor/resnet_v1_101/block2/unit_1/bottleneck_v1/shortcut/weights",
        ),
        (
            "proposal_features/layer_with_weights-187/gamma",
            "FirstStageFeatureExtractor/resnet_v1_101/block3/unit_23/bottleneck_v1/conv3/BatchNorm/gamma",
        ),
        (
            "box_classifier_features/layer_with_weights-6/moving_mean",
            "SecondStageFeatureExtractor/resnet_v1_101/block4/unit_1/bottleneck_v1/shortcut/BatchNorm/moving_mean",
        ),
        (
            "proposal_features/layer_with_weights-36/bias",
            "FirstStageFeatureExtractor/InceptionResnetV2/Repeat/block35_1/Conv2d_1x1/biases",
        ),
        (
            "proposal_features/layer_with_weights-340/beta",
            "FirstStageFeatureExtractor/InceptionResnetV2/Repeat_1/block17_20/Branch_1/Conv2d_0c_7x1/BatchNorm/beta",
        ),
        (
            "box_classifier_features/layer_with_weights-103/kernel",
            "SecondStageFeatureExtractor/InceptionResnetV2/Block8/Conv2d_1x1/weights",
        ),
        (
            "proposal_features/classification_backbone/layer_with_weights-86/kernel",
            "resnet_v1_50/block4/unit_1/bottleneck_v1/conv1/weights",
        ),
    ],
)
def test_names_by_hand(key, name):
    assert name in slim_names.candidates(f"model/_feature_extractor_for_{key}", [3])


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


def test_a_shallower_network_is_an_error(tmp_path):
    prefix = write_slim(Keys("resnet_v1_50"), str(tmp_path / "model.ckpt"))
    with pytest.raises(errors.CheckpointError, match="255 of 530 variables are not in this checkpoint"):
        restore.restore_for_fine_tuning(Keys("resnet_v1_101"), prefix, "full")


def test_a_box_for_all_classes_is_another_network_than_one_for_each(tmp_path):
    prefix = write_slim(Keys("resnet_v1_50", num_classes=90), str(tmp_path / "model.ckpt"))
    with pytest.raises(errors.CheckpointError, match="another shape"):
        restore.restore_for_fine_tuning(Keys("resnet_v1_50", num_classes=3, boxes=1), prefix, "full")


def test_a_shared_box_is_kept_for_other_classes(tmp_path):
    prefix = write_slim(Keys("resnet_v1_50", num_classes=90, boxes=1), str(tmp_path / "model.ckpt"))
    ours = Keys("resnet_v1_50", num_classes=3, boxes=1)
    report = restore.restore_for_fine_tuning(ours, prefix, "full")
    assert {key.removesuffix(SUFFIX).rpartition("/")[0] for key, _ in report.initialized} == {CLASS_HEAD}
