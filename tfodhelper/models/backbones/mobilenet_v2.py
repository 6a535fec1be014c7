"""MobileNet V2 (Sandler et al. 2018, table 2; arXiv 1801.04381) without its classification top.

Layers are counted as in the published code: layer 1 is the stem, layers 2 to 18 are the inverted residuals, layer 19 is
the last 1x1 convolution.
"""

import dataclasses

import tensorflow as tf
import tf_keras

from tfodhelper.models import layers, normalization
from tfodhelper.models.backbones import bottlenecks

STEM_DEPTH, LAST_DEPTH = 32, 1280
EXPANSION = 6
# (stride, output channels) of layers 2 to 18.
UNITS = (
    (1, 16),
    (2, 24),
    (1, 24),
    (2, 32),
    (1, 32),
    (1, 32),
    (2, 64),
    (1, 64),
    (1, 64),
    (1, 64),
    (1, 96),
    (1, 96),
    (1, 96),
    (2, 160),
    (1, 160),
    (1, 160),
    (1, 320),
)
FIRST_UNIT, LAST_LAYER = bottlenecks.BottleneckNetwork.FIRST_UNIT, 19  # numbers of layers
SSD_ENDPOINTS = ("layer_15/expansion_output", "layer_19")

# What the convolutions have where the configuration does not override them.
DEFAULT_HYPERPARAMS = layers.ConvHyperparams(
    initializer=tf_keras.initializers.TruncatedNormal(stddev=0.09),
    regularizer=lambda kernel: 4e-5 * tf.nn.l2_loss(kernel),
    activation=tf.nn.relu6,
    norm=normalization.NormHyperparams(momentum=0.9997, epsilon=1e-3),
)


@dataclasses.dataclass(frozen=True)
class Widths:
    """Numbers of channels, multiples of 8 wherever `min_depth` is one.

    Attributes:
      multiplier: of all numbers of channels.
      min_depth: least number of channels of all layers but expansions.
      last_depth: channels of layer 19 before the multiplier.
      slim: whether they follow TF-Slim. Keras drops the fraction before it rounds a unit's width, does not widen layer
        19 by a multiplier above 1, and decides on a shortcut by the width that a unit has without `min_depth`.
    """

    multiplier: float = 1.0
    min_depth: int = 8
    last_depth: int = LAST_DEPTH
    slim: bool = False

    def of_stem(self):
        """Channels of layer 1."""
        return max(layers.round_depth(STEM_DEPTH * self.multiplier), self.min_depth)

    def of_last(self):
        """Channels of layer 19."""
        if not self.slim and self.multiplier >= 1.0:
            return max(self.last_depth, self.min_depth)
        return max(layers.round_depth(self.last_depth * self.multiplier), self.min_depth)

    def of_unit(self, depth):
        """Channels that leave a unit which nominally has `depth`."""
        return max(self._without_minimum(depth), self.min_depth)

    def inside_unit(self, in_channels):
        """Channels between expansion and projection."""
        return layers.round_depth(EXPANSION * in_channels) if self.slim else EXPANSION * in_channels

    def keeps_width(self, in_channels, depth):
        """Whether a unit that nominally has `depth` adds its input to its output if it has no strides."""
        return in_channels == (self.of_unit(depth) if self.slim else self._without_minimum(depth))

    def _without_minimum(self, depth):
        depth = depth * self.multiplier
        return layers.round_depth(depth if self.slim else int(depth))


class MobileNetV2(bottlenecks.BottleneckNetwork):
    """The stem, 17 inverted residuals and the last convolution, up to the last layer that an output needs.

    Each convolution has batch norm.

    Args:
      hyperparams: `ConvHyperparams`; its bias setting is not used, since these convolutions never have one.
      frozen: whether batch norm statistics stay as they are in training.
      widths: `Widths`.
      explicit_padding: see `layers.Convolution.call`.
      regularize_depthwise: whether the regularizer holds for depthwise kernels too.
      depthwise_initializer: of depthwise kernels, in place of that of `hyperparams`.
      endpoints: what is returned: `layer_N` for the output of that layer, `layer_N/expansion_output` for what its
        depthwise convolution takes.
    """

    def __init__(
        self,
        hyperparams=DEFAULT_HYPERPARAMS,
        *,
        frozen=False,
        widths=Widths(),
        explicit_padding=False,
        regularize_depthwise=True,
        depthwise_initializer=None,
        endpoints=SSD_ENDPOINTS,
        name="mobilenet_v2",
    ):
        super().__init__("MobilenetV2", endpoints, name=name)
        padding = {"explicit_padding": explicit_padding}
        linear = dataclasses.replace(hyperparams, activation=None)

        def block(*arguments, **others):
            return layers.build_block(*arguments, use_bias=False, **others)

        def build_unit(number, in_channels, strides, depth):
            inside, out_channels = in_channels, widths.of_unit(depth)
            expand = None
            if number > FIRST_UNIT:
                inside = widths.inside_unit(in_channels)
                expand = block(hyperparams, frozen, in_channels, inside, 1, name="expand")
            self.channels[f"layer_{number}/expansion_output"] = inside
            self.channels[f"layer_{number}"] = out_channels
            depthwise = block(
                hyperparams,
                frozen,
                inside,
                None,
                3,
                strides=strides,
                regularize=regularize_depthwise,
                initializer=depthwise_initializer,
                **padding,
            )
            project = block(linear, frozen, inside, out_channels, 1, name="project")
            has_shortcut = strides == 1 and widths.keeps_width(in_channels, depth)
            steps = {"expand": expand, "depthwise": depthwise, "project": project}
            steps = {scope: step for scope, step in steps.items() if step is not None}
            return bottlenecks.Bottleneck(steps, has_shortcut, name=f"layer_{number}")

        channels = widths.of_stem()
        self.stem = block(hyperparams, frozen, 3, channels, 3, strides=2, name="layer_1", **padding)
        num_layers = max(int(endpoint.partition("/")[0].removeprefix("layer_")) for endpoint in endpoints)
        for number, (strides, depth) in enumerate(UNITS[: num_layers - FIRST_UNIT + 1], start=FIRST_UNIT):
            self.units.append(build_unit(number, channels, strides, depth))
            channels = widths.of_unit(depth)
        if num_layers == LAST_LAYER:
            self.channels[f"layer_{LAST_LAYER}"] = widths.of_last()
            self.last = block(hyperparams, frozen, channels, widths.of_last(), 1, name=f"layer_{LAST_LAYER}")
        self.built = True
