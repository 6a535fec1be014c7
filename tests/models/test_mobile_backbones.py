"""Backbones for phones: their parts and widths by hand.

The Object Detection API's numbers of these networks are not at hand. The names and shapes of MobileNet V3 Large are
compared with those of a published checkpoint in `test_zoo_indices`.
"""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfodhelper.models import layers
from tfodhelper.models.backbones import bottlenecks, mobilenet_v3


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
    scoped = {n: dict(unit.scoped_blocks()) for n, unit in enumerate(backbone.units, start=mobilenet_v3.FIRST_UNIT)}
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


@pytest.mark.parametrize("network", [mobilenet_v3.LARGE, mobilenet_v3.SMALL], ids=["large", "small"])
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
