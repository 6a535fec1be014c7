"""The windows of backbones, by hand, and the backbones of the first generation against their own numbers."""

import pathlib
import zlib

import numpy as np
import pytest
import tensorflow as tf

from tfodhelper import protos
from tfodhelper.models.backbones import inception_resnet_v2, inception_v2, resnet_v1
from tfodhelper.models.faster_rcnn import build
from tfodhelper.models.necks import pooling_pyramid

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "slim_features.npz"
STAGES = {"first": "FirstStageFeatureExtractor", "second": "SecondStageFeatureExtractor"}


def set_to_center(block):
    """Makes the first output channel of a `ConvBlock` the middle of the first input channel; the others are 0."""
    kernel = np.zeros(block.convolution.kernel.shape, np.float32)
    height, width = kernel.shape[:2]
    kernel[height // 2, width // 2, 0, 0] = np.sqrt(1 + 1e-5)  # batch norm divides by it
    block.convolution.kernel.assign(kernel)


def make_ramp(length, channels):
    """Every line counts its layers from 1."""
    ramp = np.arange(1, length + 1, dtype=np.float32)
    return np.tile(ramp[np.newaxis, np.newaxis, :, np.newaxis], [1, length, 1, channels])


@pytest.mark.parametrize("length", [8, 9])
def test_the_last_unit_of_a_slim_stage_takes_every_second_place_from_the_first(length):
    unit = resnet_v1.ResidualUnit(4, 1, (1, 2), 1, False, resnet_v1.make_hyperparams(), True)
    for block in unit.main:
        set_to_center(block)
    outputs = unit(make_ramp(length, 4))
    wanted = np.arange(1, length + 1, 2)
    np.testing.assert_allclose(outputs[0, 0, :, 0], 2 * wanted, rtol=1e-5)  # both ways agree on the places
    np.testing.assert_allclose(outputs[0, 0, :, 1], wanted, rtol=1e-5)  # the shortcut alone


@pytest.mark.parametrize(
    ("length", "wanted"),
    [
        (16, [5, 9, 13, 15]),  # convolution: 1 3 5 7 9 11 13 15; windows begin at the first place
        (14, [3, 7, 11, 13]),  # convolution: 1 3 5 7 9 11 13; an odd number has padding on both sides
    ],
)
def test_stem(length, wanted):
    """A 7x7 convolution with as much padding on both sides; a 3x3 pooling with padding where it is needed ("SAME")."""
    stage = resnet_v1.Stage(1, 1)
    backbone = resnet_v1.ResNetV1([stage], resnet_v1.make_hyperparams(), True, stem_depth=1)
    set_to_center(backbone.stem)
    (unit,) = backbone.units[0]
    for block in (*unit.main, *unit.shortcut):
        set_to_center(block)
    (outputs,) = backbone(make_ramp(length, 3))
    np.testing.assert_allclose(outputs[0, 0, :, 0], 2 * np.array(wanted), rtol=1e-5)


@pytest.mark.parametrize(("slim", "side"), [(True, 8), (False, 9)])
def test_reduction_of_inception_crops(slim, side):
    half = inception_resnet_v2.build_second_half(inception_resnet_v2.make_hyperparams(), True, slim, count=0)
    reduced = half.modules[0](make_ramp(17, 1088))
    assert reduced.shape == [1, side, side, 384 + 288 + 320 + 1088]
    # The largest of three: places 1 to 3, 3 to 5, ... without padding; with it the first window ends at place 2.
    pooled = [3, 5, 7, 9, 11, 13, 15, 17] if slim else [2, 4, 6, 8, 10, 12, 14, 16, 17]
    np.testing.assert_allclose(reduced[0, 0, :, -1], pooled)


def test_stem_of_inception_v2():
    """7x7 with stride 2 ("SAME"): 2 4 6 .. 16; a pooling of three with stride 2: 6 10 14 16; another: 14 16."""
    backbone = inception_v2.InceptionV2(resnet_v1.make_hyperparams(), frozen=True, endpoints=("stem",))
    first, *others = backbone.modules[0].branches[0]
    depthwise, pointwise = first.convolution.depthwise.kernel, first.convolution.pointwise.kernel
    assert depthwise.shape == [7, 7, 3, 8] and pointwise.shape == [1, 1, 24, 64]
    middle, selection = np.zeros(depthwise.shape, np.float32), np.zeros(pointwise.shape, np.float32)
    middle[3, 3, 1, 2] = np.sqrt(1 + 1e-5)  # the third output of the second colour
    selection[0, 0, 1 * 8 + 2, 0] = 1
    depthwise.assign(middle)
    pointwise.assign(selection)
    for block in others:
        set_to_center(block)
    images = make_ramp(16, 3) * np.float32([0, 1, 0])
    (outputs,) = backbone(images)
    np.testing.assert_allclose(outputs[0, 0, :, 0], [14, 16], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "in_channels", "pooled"),
    [
        ("Mixed_3b", 192, [1.5, 2, 3, 3.5]),  # means of two or three: padding does not count
        ("Mixed_5c", 1024, [2, 3, 4, 4]),  # largest of two or three
    ],
)
def test_branches_of_inception_v2(name, in_channels, pooled):
    """Each branch has its own value: the first three through beta, the last one the pooled input."""
    own = resnet_v1.make_hyperparams()
    backbone = inception_v2.InceptionV2(own, frozen=True, endpoints=(name,), first=name, in_channels=in_channels)
    branches = backbone.modules[0].branches
    assert [len(branch) for branch in branches] == [1, 2, 3, 1]
    for number, branch in enumerate(branches[:3], start=1):
        branch[-1].convolution.kernel.assign(tf.zeros_like(branch[-1].convolution.kernel))
        branch[-1].norm.beta.assign(tf.fill(branch[-1].norm.beta.shape, 100.0 * number))
    set_to_center(branches[3][0])
    (outputs,) = backbone(make_ramp(4, in_channels))
    layout = inception_v2.MODULES[name]
    ends = np.cumsum([layout.direct, layout.single[-1], layout.double[-1], layout.projection])
    assert outputs.shape == [1, 4, 4, ends[-1]] and backbone.depths == [ends[-1]]
    for number, values in enumerate(np.split(outputs[0, 0], ends[:3], axis=-1)[:3], start=1):
        np.testing.assert_array_equal(values, 100.0 * number)
    np.testing.assert_allclose(outputs[0, 0, :, ends[2]], pooled, rtol=1e-5)


def test_reduction_of_inception_v2_keeps_its_input():
    own = resnet_v1.make_hyperparams()
    backbone = inception_v2.InceptionV2(own, endpoints=("Mixed_4a",), first="Mixed_4a", in_channels=320)
    (outputs,) = backbone(make_ramp(5, 320))
    assert outputs.shape == [1, 3, 3, 160 + 96 + 320]
    np.testing.assert_array_equal(outputs[0, 0, :, 160 + 96], [2, 4, 5])  # the first window begins in the padding


def test_pooling_pyramid_rounds_up():
    neck = pooling_pyramid.PoolingPyramid(2, 4)
    maps = neck([make_ramp(5, 2)])
    assert [features[0, 0, :, 1].numpy().tolist() for features in maps] == [[1, 2, 3, 4, 5], [2, 4, 5], [4, 5], [5]]
    assert neck.depths == [2] * 4


def value_of(name, shape):
    """Value of a TF-Slim variable by formula; the reference numbers were made with the same."""
    x = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    leaf = name.split("/")[-1]
    if leaf == "weights":
        gain = 0.3 if "conv3" in name or "Conv2d_1x1" in name else 2.0
        return x * np.float32(np.sqrt(gain / np.prod(shape[:-1])))
    return np.abs(1 + 0.1 * x) if leaf in ("moving_variance", "gamma") else 0.1 * x


@pytest.mark.parametrize(("name", "crop_side"), [("resnet_v1_50", 7), ("inception_resnet_v2", 17)])
def test_first_generation_with_atrous_convolutions_equals_its_published_code(name, crop_side):
    """Both stages at stride 8, filled by the names of TF-Slim, on an image and crops of odd sizes."""
    kind = f"faster_rcnn_{name.replace('resnet_v1_', 'resnet')}"
    message = protos.message("FasterRcnnFeatureExtractor")(type=kind, first_stage_features_stride=8)
    parts = build.FEATURE_EXTRACTORS[kind](message, True, crop_side)
    scope = "InceptionResnetV2" if name.startswith("inception") else name
    backbones = {"first": parts["backbone"], "second": parts["classifier_backbone"]}
    for stage, backbone in backbones.items():
        names = backbone.slim_names(STAGES[stage])
        for key, variable in backbone.checkpoint_keys().items():
            (own,) = [n for n in names[key] if n.startswith(f"{STAGES[stage]}/{scope}/")]
            variable.assign(value_of(own, variable.shape.as_list()))
    image = np.random.RandomState(1).uniform(0, 255, [1, 75, 101, 3]).astype(np.float32)
    (features,) = backbones["first"](parts["scaling"].scale_pixels(image))
    crops = np.random.RandomState(2).uniform(0, 1, [2, crop_side, crop_side, features.shape[-1]]).astype(np.float32)
    (of_crops,) = backbones["second"](tf.constant(crops))
    with np.load(GOLDEN) as golden:
        for stage, ours in (("first", features), ("second", of_crops)):
            assert ours.shape == golden[f"{name}/{stage}/shape"].tolist()
            wanted = golden[f"{name}/{stage}/values"]
            received = ours.numpy().reshape(-1)[golden[f"{name}/{stage}/indices"]]
            np.testing.assert_allclose(received, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
