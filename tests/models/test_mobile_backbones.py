"""Backbones for phones: their parts and widths by hand.

The Object Detection API's numbers of these networks are not at hand. The names and shapes of MobileNet V3 Large are
compared with those of a published checkpoint in `test_zoo_indices`; of others, the numbers of parameters and of
multiplications are compared with those that the published configurations state.
"""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfodhelper.config import pipeline
from tfodhelper.models import build, layers
from tfodhelper.models.backbones import bottlenecks, mobiledet, mobilenet_v3
from tfodhelper.zoo import base_configs


def test_hard_swish():
    values = tf.constant([-4.0, -3.0, -1.0, 0.0, 1.0, 3.0, 5.0])
    np.testing.assert_allclose(bottlenecks.hard_swish(values), [0, 0, -1 / 3, 0, 2 / 3, 3, 5], rtol=1e-6)


def test_squeeze_and_excitation_weights_channels_by_their_mean():
    own = layers.ConvHyperparams(tf_keras.initializers.Zeros(), activation=tf.nn.relu)
    module = bottlenecks.SqueezeExcitation(2, 1, own, gate=lambda features: features)
    module.reduce.convolution.kernel.assign(np.float32([[[[1.0], [0.0]]]]))  # takes the first channel
    module.expand.convolution.kernel.assign(np.float32([[[[2.0, 3.0]]]]))
    module.expand.convolution.bias.assign([0.0, 1.0])
    inputs = np.float32([[[[1, 1], [3, 10]]]])  # means: 2 and 5.5
    np.testing.assert_allclose(module(inputs), [[[[4, 7], [12, 70]]]])
    module.reduce.convolution.kernel.assign(np.float32([[[[-1.0], [0.0]]]]))  # cut off by the activation
    np.testing.assert_allclose(module(inputs), [[[[0, 1], [0, 10]]]])


def inside_of(backbone):
    """Channels inside each bottleneck."""
    return [dict(unit.scoped_blocks())["project"].convolution.kernel.shape[2] for unit in backbone.units]


def squeezed_of(backbone):
    """{number of the layer: channels between the convolutions of its squeeze and excitation}."""
    scoped = {n: dict(unit.scoped_blocks()) for n, unit in enumerate(backbone.units, start=backbone.FIRST_UNIT)}
    name = "squeeze_excite/Conv"
    return {n: blocks[name].convolution.out_channels for n, blocks in scoped.items() if name in blocks}


def test_widths_of_mobilenet_v3_large():
    """Howard et al. 2019, table 1, with half as many channels in the last stage."""
    backbone = mobilenet_v3.MobileNetV3(mobilenet_v3.LARGE)
    wanted = [16, 64, 72, 72, 120, 120, 240, 200, 184, 184, 480, 672, 672, 480, 480]
    assert inside_of(backbone) == wanted
    assert squeezed_of(backbone) == {5: 24, 6: 32, 7: 32, 12: 120, 13: 168, 14: 168, 15: 120, 16: 120}
    assert backbone.depths == [672, 480]


def test_widths_of_mobilenet_v3_small():
    """Howard et al. 2019, table 2, with half as many channels in the last stage."""
    backbone = mobilenet_v3.MobileNetV3(mobilenet_v3.SMALL)
    assert inside_of(backbone) == [16, 72, 88, 96, 240, 240, 120, 144, 288, 288, 288]
    assert squeezed_of(backbone) == {2: 8, 5: 24, 6: 64, 7: 64, 8: 32, 9: 40, 10: 72, 11: 72, 12: 72}
    assert backbone.depths == [288, 288]


def test_widths_of_mobilenet_edgetpu():
    """Fused bottlenecks have one 3x3 convolution in place of a 1x1 and a depthwise one; the first does not expand."""
    backbone = mobilenet_v3.MobileNetV3(mobilenet_v3.EDGETPU)
    early = [32, 128, 128, 128, 128, 256, 192, 192, 192]
    assert inside_of(backbone) == [*early, 384, 384, 384, 384, 768, 384, 384, 384, 768, 640, 640, 640, 1280]
    kernels = [dict(unit.scoped_blocks()) for unit in backbone.units]
    sizes = [blocks["expand"].convolution.kernel_size[0] if "expand" in blocks else None for blocks in kernels]
    assert sizes == [None, *[3] * 8, *[1] * 13]
    depthwise = [blocks["depthwise"].convolution.kernel_size[0] for blocks in kernels if "depthwise" in blocks]
    assert depthwise == [*[3] * 8, *[5] * 4, 3]
    assert backbone.depths == [384, 192]


def test_which_bottlenecks_of_mobilenet_edgetpu_add_their_input():
    """Where neither stride nor width changes, except at layer 15, which has eight times more channels inside."""
    backbone = mobilenet_v3.MobileNetV3(mobilenet_v3.EDGETPU)
    adding = []
    for number, unit in enumerate(backbone.units, start=backbone.FIRST_UNIT):
        _, project = unit.scoped_blocks()[-1]
        project.convolution.kernel.assign(tf.zeros_like(project.convolution.kernel))
        _, first = unit.scoped_blocks()[0]
        inputs = tf.ones([1, 4, 4, first.convolution.kernel.shape[2]])
        outputs, _ = unit(inputs)
        if np.all(outputs == 1):
            adding.append(number)
    assert adding == [4, 5, 6, 8, 9, 10, 12, 13, 14, 16, 17, 18, 20, 21, 22]


NETWORKS = {"large": mobilenet_v3.LARGE, "small": mobilenet_v3.SMALL, "edgetpu": mobilenet_v3.EDGETPU}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_places_of_outputs(network):
    """The first map has stride 16, the second one 32; sides are rounded up."""
    backbone = mobilenet_v3.MobileNetV3(network, depth_multiplier=0.25, min_depth=8)
    first, second = backbone(tf.zeros([1, 97, 65, 3]))
    assert first.shape[1:3] == [7, 5] and second.shape[1:3] == [4, 3]
    assert [first.shape[3], second.shape[3]] == backbone.depths


def test_a_multiplier_gives_multiples_of_8():
    """0.35 of 16, 24, 40, 48 and 48: 5.6, 8.4, 14, 16.8, 16.8; the next multiple of 8, but not less than 90 %."""
    backbone = mobilenet_v3.MobileNetV3(mobilenet_v3.SMALL, depth_multiplier=0.35, min_depth=8)
    depths = [dict(unit.scoped_blocks())["project"].convolution.out_channels for unit in backbone.units]
    assert depths == [8, 8, 8, 16, 16, 16, 16, 16, 16, 16, 16]
    wider = mobilenet_v3.MobileNetV3(mobilenet_v3.SMALL, depth_multiplier=0.35, min_depth=12)
    assert wider.stem.convolution.out_channels == 12


@pytest.mark.parametrize(
    ("depth", "multiplier", "wanted"), [(8, 0.25, 8), (72, 0.25, 16), (24, 0.5, 16), (16, 0.75, 16)]
)
def test_mobiledet_rounds_to_the_next_multiple_of_8(depth, multiplier, wanted):
    assert mobiledet.scale(depth, multiplier) == wanted


def shapes_of(unit):
    """[(scope, kernel's shape)] of a bottleneck's convolutions."""
    return [(scope, tuple(block.convolution.kernel.shape)) for scope, block in unit.scoped_blocks()]


def test_kinds_of_blocks_of_mobiledet():
    unexpanded = mobiledet.MobileDet(mobiledet.CPU).units[0]
    assert shapes_of(unexpanded) == [
        ("SeparableConv2d", (3, 3, 16, 1)),
        ("SqueezeExcite/Conv", (1, 1, 16, 8)),
        ("SqueezeExcite/Conv_1", (1, 1, 8, 16)),
        ("Conv", (1, 1, 16, 8)),
    ]
    _, fused, _, inverted, tucker = mobiledet.MobileDet(mobiledet.DSP).units[:5]
    assert shapes_of(fused) == [("Conv", (3, 3, 24, 96)), ("Conv_1", (1, 1, 96, 32))]
    assert shapes_of(inverted) == [
        ("Conv", (1, 1, 32, 128)),
        ("SeparableConv2d", (3, 3, 128, 1)),
        ("Conv_1", (1, 1, 128, 32)),
    ]
    assert shapes_of(tucker) == [("Conv", (1, 1, 32, 8)), ("Conv_1", (3, 3, 8, 24)), ("Conv_2", (1, 1, 24, 32))]


def test_scopes_of_mobiledet_count_each_kind():
    backbone = mobiledet.MobileDet(mobiledet.DSP)
    scopes = list(dict.fromkeys(name.split("/")[0] for name, _ in backbone.scoped_blocks()))
    wanted = "Conv IBNNoExpansion FusedConv FusedConv_1 IBN TuckerConv FusedConv_2 IBN_1 FusedConv_3 FusedConv_4"
    assert scopes[:10] == wanted.split()
    names = backbone.slim_names("FeatureExtractor").values()
    assert "FeatureExtractor/MobileDetDSP/IBN/SeparableConv2d/depthwise_weights" in {name for name, *_ in names}


# Millions of parameters, milliards of multiplications with an addition (of V3, these are half its FLOPs), as text: half
# of the last digit may differ.
PUBLISHED = {
    "ssdlite_mobiledet_cpu_320x320_coco_2020_05_19": ("4.21", "0.45"),
    "ssdlite_mobiledet_dsp_320x320_coco_2020_05_19": ("7.16", "2.82"),
    "ssdlite_mobiledet_edgetpu_320x320_coco_2020_05_19": ("4.20", "1.53"),
    "ssd_mobilenet_v3_large_coco_2020_01_14": (None, "0.510"),
    "ssd_mobilenet_v2_mnasfpn_shared_box_predictor_320x320_coco_sync_2020_05_18": ("2.5", "0.92"),
    "spaghettinet_edgetpu_s_2021_10_13": (None, "1.0"),
    "spaghettinet_edgetpu_m_2021_10_13": (None, "1.25"),
    "spaghettinet_edgetpu_l_2021_10_13": (None, "1.57"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_size_is_as_published(name):
    message = pipeline.read_pipeline(base_configs.base_pipeline_path(name))
    detector = build.build_detector(message.model, is_training=False)
    parameters, multiplications = PUBLISHED[name]
    if parameters is not None:
        count = sum(int(np.prod(variable.shape)) for variable in detector.variables)
        assert count / 1e6 == pytest.approx(float(parameters), abs=half_of_last_digit(parameters))
    run = tf.function(lambda images: detector.predict_raw(images, tf.constant([[320, 320, 3]])))
    graph = run.get_concrete_function(tf.TensorSpec([1, 320, 320, 3])).graph
    tolerance = {"rel": 0.02, "abs": half_of_last_digit(multiplications)}
    assert count_multiplications(graph) / 1e9 == pytest.approx(float(multiplications), **tolerance)


def half_of_last_digit(number):
    """Half of the last digit's worth of a number with a point, as text."""
    return 0.5 * 10.0 ** -len(number.partition(".")[2])


def count_multiplications(graph):
    """Multiplications of all convolutions of a graph whose shapes are known."""
    total = 0
    for operation in graph.get_operations():
        if operation.type in ("Conv2D", "DepthwiseConv2dNative"):
            height, width, channels, _ = operation.inputs[1].shape
            per_output = height * width * (channels if operation.type == "Conv2D" else 1)
            total += per_output * int(np.prod(operation.outputs[0].shape))
    return total
