"""MobileNet V2: widths by hand, names in checkpoints of both generations, places of the outputs."""

import numpy as np
import pytest

from tfodhelper.models import layers
from tfodhelper.models.backbones import mobilenet_v2
from tfodhelper.models.backbones.mobilenet_v2 import MobileNetV2, Widths

PYRAMID_ENDPOINTS = ("layer_4", "layer_7", "layer_14", "layer_19")


@pytest.mark.parametrize(
    ("depth", "rounded"),
    [(3, 8), (8, 8), (8.8, 8), (8.96, 16), (12, 16), (18, 24), (17.7, 16), (24, 24), (960, 960), (1331.2, 1328)],
)
def test_depths_are_multiples_of_eight_and_lose_no_tenth(depth, rounded):
    assert layers.round_depth(depth) == rounded


@pytest.mark.parametrize(
    ("widths", "stem", "of_units", "last"),
    [
        (Widths(), 32, [16, 24, 32, 64, 96, 160, 320], 1280),
        (Widths(0.75), 24, [16, 24, 24, 48, 72, 120, 240], 960),
        (Widths(0.35, min_depth=16), 16, [16, 16, 16, 24, 32, 56, 112], 448),
        (Widths(1.4), 48, [24, 32, 48, 88, 136, 224, 448], 1280),
        (Widths(1.4, slim=True), 48, [24, 32, 48, 88, 136, 224, 448], 1792),
        (Widths(1.0, last_depth=256), 32, [16, 24, 32, 64, 96, 160, 320], 256),
        (Widths(0.56), 24, [8, 16, 16, 32, 56, 88, 176], 720),  # 16 * 0.56 = 8.96
        (Widths(0.56, slim=True), 24, [16, 16, 24, 40, 56, 88, 176], 720),
    ],
)
def test_widths(widths, stem, of_units, last):
    assert widths.of_stem() == stem
    assert [widths.of_unit(depth) for depth in (16, 24, 32, 64, 96, 160, 320)] == of_units
    assert widths.of_last() == last


def test_shortcuts_of_narrow_networks_follow_the_generation():
    """Two units of 8 channels that min_depth widens to 16: Keras adds no input to the output, TF-Slim does."""
    assert not Widths(0.25, min_depth=16).keeps_width(16, 24)
    assert Widths(0.25, min_depth=16, slim=True).keeps_width(16, 24)
    assert Widths(1.0, min_depth=16).keeps_width(24, 24)


@pytest.mark.parametrize(("size", "sides"), [(64, (16, 8, 4, 2)), (75, (19, 10, 5, 3))])
@pytest.mark.parametrize("explicit_padding", [False, True])
def test_outputs_at_their_strides(size, sides, explicit_padding):
    backbone = MobileNetV2(
        frozen=True, widths=Widths(0.25), endpoints=PYRAMID_ENDPOINTS, explicit_padding=explicit_padding
    )
    outputs = backbone(np.zeros([1, size, size, 3], np.float32))
    assert [output.shape[1] for output in outputs] == list(sides)
    assert [output.shape[-1] for output in outputs] == backbone.depths == [8, 8, 24, 320]


def test_what_single_shot_detectors_take():
    backbone = MobileNetV2(frozen=True)
    assert backbone.depths == [576, 1280]
    finer, coarser = backbone(np.zeros([1, 64, 64, 3], np.float32))
    assert finer.shape == [1, 4, 4, 576] and coarser.shape == [1, 2, 2, 1280]


@pytest.mark.parametrize(
    ("key", "shape", "slim_name"),
    [
        ("layer_with_weights-0/kernel", [3, 3, 3, 32], "Conv/weights"),
        ("layer_with_weights-1/moving_mean", [32], "Conv/BatchNorm/moving_mean"),
        ("layer_with_weights-2/depthwise_kernel", [3, 3, 32, 1], "expanded_conv/depthwise/depthwise_weights"),
        ("layer_with_weights-4/kernel", [1, 1, 32, 16], "expanded_conv/project/weights"),
        ("layer_with_weights-6/kernel", [1, 1, 16, 96], "expanded_conv_1/expand/weights"),
        ("layer_with_weights-10/kernel", [1, 1, 96, 24], "expanded_conv_1/project/weights"),
        ("layer_with_weights-100/kernel", [1, 1, 960, 320], "expanded_conv_16/project/weights"),
        ("layer_with_weights-102/kernel", [1, 1, 320, 1280], "Conv_1/weights"),
        ("layer_with_weights-103/gamma", [1280], "Conv_1/BatchNorm/gamma"),
    ],
)
def test_names_in_checkpoints(key, shape, slim_name):
    backbone = MobileNetV2(frozen=True)
    assert backbone.checkpoint_keys()[key].shape == shape
    names = backbone.slim_names("FeatureExtractor")[key]
    assert names == (f"FeatureExtractor/MobilenetV2/{slim_name}", f"MobilenetV2/{slim_name}")


def test_the_regularizer_covers_depthwise_kernels_if_it_is_to():
    assert len(MobileNetV2(frozen=True).regularization_losses()) == 52
    without = MobileNetV2(frozen=True, regularize_depthwise=False)
    assert len(without.regularization_losses()) == 52 - len(mobilenet_v2.UNITS)
