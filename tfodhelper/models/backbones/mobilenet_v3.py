"""MobileNet V3 (Howard et al. 2019, tables 1 and 2; arXiv 1905.02244) and its variant for Edge TPUs, without tops.

For detection, the last stage has half as many channels (section 6.3). Layers are counted as in the published code:
layer 1 is the stem, the bottlenecks follow.
"""

import dataclasses

import tensorflow as tf
import tf_keras

from tfodhelper.models import layers, normalization
from tfodhelper.models.backbones import bottlenecks
from tfodhelper.models.backbones.bottlenecks import hard_swish

_SQUEEZE = 4  # how many times fewer channels there are between the convolutions of squeeze and excitation

# What the convolutions have where the configuration does not override them; activations are the networks' own.
DEFAULT_HYPERPARAMS = layers.ConvHyperparams(
    initializer=tf_keras.initializers.TruncatedNormal(stddev=0.09),
    regularizer=lambda kernel: 4e-5 * tf.nn.l2_loss(kernel),
    norm=normalization.NormHyperparams(momentum=0.9997, epsilon=1e-3),
)


@dataclasses.dataclass(frozen=True)
class Unit:
    """A bottleneck.

    Attributes:
      expansion: how many times more channels there are inside than at its input; 1: no convolution expands.
      depth: channels of the output.
      kernel_size: of the depthwise convolution, or of the expanding one.
      strides: of that convolution.
      activation: of all convolutions but the last, which has none.
      squeezes: whether squeeze and excitation follows the depthwise convolution.
      is_fused: whether the expanding convolution has the kernel and the strides, and there is no depthwise one.
      may_add: whether the input is added to the output where they have the same shape.
    """

    expansion: float
    depth: int
    kernel_size: int = 3
    strides: int = 1
    activation: object = tf.nn.relu
    squeezes: bool = False
    is_fused: bool = False
    may_add: bool = True


@dataclasses.dataclass(frozen=True)
class Network:
    """A network of the family.

    Attributes:
      stem_depth: channels of the stem, a 3x3 convolution with stride 2.
      stem_activation: its activation, and that of the last convolution.
      units: `Unit`s.
      last_depth: channels of a 1x1 convolution after the units; None: there is none.
      endpoints: what a detector takes: `layer_N` for the output of that layer, `layer_N/expansion_output` for what its
        expanding convolution gives.
      slim_scope: scope of the network in first-generation checkpoints.
    """

    stem_depth: int
    stem_activation: object
    units: tuple
    last_depth: int | None
    endpoints: tuple
    slim_scope: str = "MobilenetV3"


def _swish(*values, **others):
    return Unit(*values, activation=hard_swish, **others)


LARGE = Network(
    stem_depth=16,
    stem_activation=hard_swish,
    units=(
        Unit(1, 16),
        Unit(4, 24, strides=2),
        Unit(3, 24),
        Unit(3, 40, 5, strides=2, squeezes=True),
        *[Unit(3, 40, 5, squeezes=True)] * 2,
        _swish(6, 80, strides=2),
        _swish(2.5, 80),
        *[_swish(184 / 80, 80)] * 2,
        *[_swish(6, 112, squeezes=True)] * 2,
        _swish(6, 80, 5, strides=2, squeezes=True),
        *[_swish(6, 80, 5, squeezes=True)] * 2,
    ),
    last_depth=480,
    endpoints=("layer_14/expansion_output", "layer_17"),
)
SMALL = Network(
    stem_depth=16,
    stem_activation=hard_swish,
    units=(
        Unit(1, 16, strides=2, squeezes=True),
        Unit(72 / 16, 24, strides=2),
        Unit(88 / 24, 24),
        _swish(4, 40, 5, strides=2, squeezes=True),
        *[_swish(6, 40, 5, squeezes=True)] * 2,
        *[_swish(3, 48, 5, squeezes=True)] * 2,
        _swish(6, 48, 5, strides=2, squeezes=True),
        *[_swish(6, 48, 5, squeezes=True)] * 2,
    ),
    last_depth=288,
    endpoints=("layer_10/expansion_output", "layer_13"),
)
# Howard, Gupta 2019, https://research.google/blog/introducing-the-next-generation-of-on-device-vision-models
EDGETPU = Network(
    stem_depth=32,
    stem_activation=tf.nn.relu,
    units=(
        Unit(1, 16, is_fused=True),
        Unit(8, 32, strides=2, is_fused=True),
        *[Unit(4, 32, is_fused=True)] * 3,
        Unit(8, 48, strides=2, is_fused=True),
        *[Unit(4, 48, is_fused=True)] * 3,
        Unit(8, 96, strides=2),
        *[Unit(4, 96)] * 3,
        Unit(8, 96, may_add=False),
        *[Unit(4, 96)] * 3,
        Unit(8, 160, 5, strides=2),
        *[Unit(4, 160, 5)] * 3,
        Unit(8, 192),
    ),
    last_depth=None,
    endpoints=("layer_18/expansion_output", "layer_23"),
    slim_scope="MobilenetEdgeTPU",
)


class MobileNetV3(bottlenecks.BottleneckNetwork):
    """Stem, bottlenecks, perhaps a last convolution; batch norm follows all but those of squeeze and excitation.

    Args:
      network: a `Network`.
      hyperparams: `ConvHyperparams`; its activation and its bias setting are not used.
      frozen: whether batch norm statistics stay as they are in training.
      depth_multiplier: of all numbers of channels; these are multiples of 8 wherever `min_depth` is one.
      min_depth: minimum number of channels of all layers but expansions.
      regularize_depthwise: whether the regularizer holds for depthwise kernels too.
    """

    def __init__(
        self,
        network,
        hyperparams=DEFAULT_HYPERPARAMS,
        *,
        frozen=False,
        depth_multiplier=1.0,
        min_depth=16,
        regularize_depthwise=False,
        name="mobilenet_v3",
    ):
        super().__init__(network.slim_scope, network.endpoints, name=name)
        make = _Builder(hyperparams, frozen, regularize_depthwise)

        def scale(depth):
            return max(layers.round_depth(depth * depth_multiplier), min_depth)

        channels = scale(network.stem_depth)
        self.stem = make.block(network.stem_activation, 3, channels, 3, strides=2, name="layer_1")
        for number, unit in enumerate(network.units, start=self.FIRST_UNIT):
            inside, out_channels = max(layers.round_depth(channels * unit.expansion), channels), scale(unit.depth)
            self.units.append(make.unit(unit, channels, inside, out_channels, name=f"layer_{number}"))
            self.channels |= {f"layer_{number}": out_channels, f"layer_{number}/expansion_output": inside}
            channels = out_channels
        if network.last_depth is not None:
            last_depth, number = scale(network.last_depth), self.FIRST_UNIT + len(self.units)
            self.last = make.block(network.stem_activation, channels, last_depth, 1, name=f"layer_{number}")
            self.channels[f"layer_{number}"] = last_depth
        self.built = True


class _Builder:
    """Makes blocks with the hyperparameters of one network.

    Args:
      hyperparams: see `MobileNetV3`.
      frozen: see `MobileNetV3`.
      regularize_depthwise: see `MobileNetV3`.
    """

    def __init__(self, hyperparams, frozen, regularize_depthwise):
        self._hyperparams, self._frozen = hyperparams, frozen
        self._regularize_depthwise = regularize_depthwise

    def block(self, activation, in_channels, out_channels, kernel_size, strides=1, name=None):
        """A `ConvBlock`; depthwise where `out_channels` is None."""
        return layers.build_block(
            dataclasses.replace(self._hyperparams, activation=activation),
            self._frozen,
            in_channels,
            out_channels,
            kernel_size,
            strides=strides,
            regularize=out_channels is not None or self._regularize_depthwise,
            use_bias=False,
            name=name,
        )

    def unit(self, unit, in_channels, inside, out_channels, name):
        """A `Bottleneck` from a `Unit` and its numbers of channels."""
        steps, activation = {}, unit.activation
        if inside > in_channels:
            expand = (unit.kernel_size, unit.strides) if unit.is_fused else (1, 1)
            steps["expand"] = self.block(activation, in_channels, inside, *expand)
        if not unit.is_fused:
            steps["depthwise"] = self.block(activation, inside, None, unit.kernel_size, unit.strides)
        if unit.squeezes:
            own = dataclasses.replace(self._hyperparams, activation=tf.nn.relu)
            reduced = layers.round_depth(inside / _SQUEEZE)
            steps["squeeze_excite"] = bottlenecks.SqueezeExcitation(inside, reduced, own, _gate)
        steps["project"] = self.block(None, inside, out_channels, 1)
        has_shortcut = unit.may_add and unit.strides == 1 and in_channels == out_channels
        return bottlenecks.Bottleneck(steps, has_shortcut, name=name)


def _gate(features):
    """Weights of channels, 0 to 1.00002: the published networks multiply by a rounded sixth."""
    return tf.nn.relu6(features + 3.0) * 0.16667
