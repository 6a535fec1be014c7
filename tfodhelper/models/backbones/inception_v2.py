"""Inception V2 (Ioffe and Szegedy 2015, appendix; arXiv 1502.03167) without its classification top, whole or in parts.

All convolutions and poolings keep the alignment of the maps ("SAME" padding). Padding does not count in averages.
"""

from typing import NamedTuple

import tensorflow as tf
import tf_keras

from tfodhelper.models import keras_keys, layers, normalization, separable, slim_naming
from tfodhelper.models.backbones.branches import BlockBuilder, Branches, Named, Pool

SLIM_SCOPE = "InceptionV2"
STEM = "stem"  # all up to the first module; it is not a scope in TF-Slim
STEM_DEPTHS = (64, 192)
STEM_MULTIPLIER = 8  # outputs of the first depthwise convolution for each colour


class Module(NamedTuple):
    """Channels of a module that keeps the size of the map; the four branches are concatenated in this order.

    Attributes:
      direct: of a 1x1 convolution.
      single: of a 1x1 and a 3x3 convolution.
      double: of a 1x1 convolution and of two 3x3 convolutions.
      projection: of the 1x1 convolution after a pooling.
      pool: the pooling.
    """

    direct: int
    single: tuple[int, int]
    double: tuple[int, int]
    projection: int
    pool: object = tf.nn.avg_pool2d


class Reduction(NamedTuple):
    """Channels of a module that halves the map; its third branch is a max pooling of the input.

    Attributes:
      single: of a 1x1 and a 3x3 convolution.
      double: of a 1x1 convolution and of two 3x3 convolutions.
    """

    single: tuple[int, int]
    double: tuple[int, int]


MODULES = {
    "Mixed_3b": Module(64, (64, 64), (64, 96), 32),
    "Mixed_3c": Module(64, (64, 96), (64, 96), 64),
    "Mixed_4a": Reduction((128, 160), (64, 96)),
    "Mixed_4b": Module(224, (64, 96), (96, 128), 128),
    "Mixed_4c": Module(192, (96, 128), (96, 128), 128),
    "Mixed_4d": Module(160, (128, 160), (128, 160), 96),
    "Mixed_4e": Module(96, (128, 192), (160, 192), 96),
    "Mixed_5a": Reduction((128, 192), (192, 256)),
    "Mixed_5b": Module(352, (192, 320), (160, 224), 128),
    "Mixed_5c": Module(352, (192, 320), (192, 224), 128, tf.nn.max_pool2d),
}


def make_hyperparams(regularizer=None):
    """Hyperparameters of the published two-stage detectors."""
    return layers.ConvHyperparams(
        initializer=tf_keras.initializers.GlorotUniform(),
        regularizer=regularizer,
        activation=tf.nn.relu,
        norm=normalization.NormHyperparams(momentum=0.9997, epsilon=1e-3),
    )


class InceptionV2(tf_keras.layers.Layer):
    """The modules from one to another, perhaps with the stem before them.

    Args:
      hyperparams: `ConvHyperparams`. The 1x1 convolutions before others, those after a pooling and the stem have
        initializers of their own, whatever the hyperparameters say.
      frozen: whether batch norm statistics stay as they are in training.
      depth_multiplier: of all numbers of channels but the stem's `STEM_MULTIPLIER`.
      min_depth: minimum number of channels.
      endpoints: names of the modules whose outputs are returned, in the order of the network; it ends with the last.
      first: name of the module that takes the input; `STEM` for images.
      in_channels: channels of the input; 3 for images.
    """

    def __init__(
        self,
        hyperparams,
        *,
        frozen=False,
        depth_multiplier=1.0,
        min_depth=16,
        endpoints=("Mixed_4c", "Mixed_5c"),
        first=STEM,
        in_channels=3,
        name="inception_v2",
    ):
        super().__init__(name=name)
        names = [STEM, *MODULES]
        make = _Builder(hyperparams, frozen, lambda depth: layers.scale_depth(depth, depth_multiplier, min_depth))
        self._names = names[names.index(first) : names.index(endpoints[-1]) + 1]
        self._endpoints = tuple(endpoints)
        self.modules, self._depths = [], {}
        for module_name in self._names:
            module, in_channels = make.build(module_name, in_channels)
            self.modules.append(module)
            self._depths[module_name] = in_channels
        self.built = True

    @property
    def depths(self):
        """Numbers of channels of the outputs."""
        return [self._depths[name] for name in self._endpoints]

    def call(self, inputs, training=False):
        """float32 [b, h, w, c] -> list of float32 [b, h / stride, w / stride, depth], one per endpoint."""
        outputs, features = inputs, {}
        for name, module in zip(self._names, self.modules):
            outputs = module(outputs, training=training)
            features[name] = outputs
        return [features[name] for name in self._endpoints]

    def stages(self):
        """The network in steps, from the input on: lists of layers."""
        return [[module] for module in self.modules]

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for module in self.modules for loss in module.regularization_losses()]

    def layers_in_order(self):
        """Convolutions and batch norms, as Keras orders them."""
        return [layer for module in self.modules for layer in module.layers_in_order()]

    def checkpoint_keys(self, first=0):
        """{`layer_with_weights-N/name`: variable}, N counting convolutions and batch norms from `first`.

        The Object Detection API has no object-graph checkpoints of this network; ours count as Keras would.
        """
        return keras_keys.number_keys(self.layers_in_order(), first)

    @property
    def slim_scope(self):
        """Scope of the network in first-generation checkpoints."""
        return SLIM_SCOPE

    @property
    def slim_output(self):
        """The layer there that the last output comes from."""
        return self._endpoints[-1]

    def slim_names(self, stage):
        """{own key: names in first-generation checkpoints}; see `slim_naming.scopes_of`."""
        scoped = []
        for module_name, module in zip(self._names, self.modules):
            inner = "" if module_name == STEM else f"{module_name}/"
            for name, block in module.slim_blocks():
                scoped.append(([f"{s}/{inner}{name}" for s in slim_naming.scopes_of(stage, [SLIM_SCOPE])], block))
        return slim_naming.name_variables(self, scoped)


class _Builder(BlockBuilder):
    """Makes the modules.

    Args:
      hyperparams: see `InceptionV2`.
      frozen: see `InceptionV2`.
      scale: number of channels in the published network -> number of channels here.
    """

    def __init__(self, hyperparams, frozen, scale):
        super().__init__(hyperparams, frozen)
        self._scale = scale

    def build(self, name, in_channels):
        """(module, number of its output channels)."""
        if name == STEM:
            return self._build_stem(in_channels), self._scale(STEM_DEPTHS[-1])
        layout = MODULES[name]
        if isinstance(layout, Reduction):
            kept = [layout.single[-1], layout.double[-1]]
            return self._build_reduction(in_channels, layout), sum(map(self._scale, kept)) + in_channels
        kept = [layout.direct, layout.single[-1], layout.double[-1], layout.projection]
        return self._build_module(in_channels, layout), sum(map(self._scale, kept))

    def _build_stem(self, in_channels):
        """Images -> 192 channels at an eighth of the size."""
        depth, out_channels = map(self._scale, STEM_DEPTHS)
        first = Named("Conv2d_1a_7x7", self._build_separable_block(in_channels, depth))
        rest = self.row(depth, ("Conv2d_2b_1x1", depth, 1, _truncated_normal(0.1)), ("Conv2d_2c_3x3", out_channels, 3))
        halve = Pool(tf.nn.max_pool2d, 2)
        return Branches([[first, halve, *rest, halve]], name=STEM)

    def _build_separable_block(self, in_channels, depth):
        """The 7x7 convolution of the stem, whose two kernels have one batch norm."""
        hyperparams, norm = self._hyperparams, None
        kernels = {"initializer": _truncated_normal(1.0), "regularizer": hyperparams.regularizer}
        multiplier = min(depth // 3, STEM_MULTIPLIER)
        convolution = separable.SeparableConvolution(
            layers.Convolution(in_channels, None, 7, multiplier=multiplier, **kernels),
            layers.Convolution(in_channels * multiplier, depth, 1, use_bias=hyperparams.use_bias, **kernels),
        )
        if hyperparams.norm is not None:
            norm = normalization.BatchNorm(depth, hyperparams.norm, self._frozen)
        return layers.ConvBlock(convolution, norm, hyperparams.activation, strides=2)

    def _build_module(self, in_channels, layout):
        projection = ("Conv2d_0b_1x1", self._scale(layout.projection), 1, _truncated_normal(0.1))
        return Branches(
            [
                self.row(in_channels, ("Conv2d_0a_1x1", self._scale(layout.direct), 1)),
                self._narrow_row(in_channels, layout.single, ("Conv2d_0b_3x3",)),
                self._narrow_row(in_channels, layout.double, ("Conv2d_0b_3x3", "Conv2d_0c_3x3")),
                [Pool(layout.pool, 1), *self.row(in_channels, projection)],
            ]
        )

    def _build_reduction(self, in_channels, layout):
        return Branches(
            [
                self._narrow_row(in_channels, layout.single, ("Conv2d_1a_3x3",), strides=2),
                self._narrow_row(in_channels, layout.double, ("Conv2d_0b_3x3", "Conv2d_1a_3x3"), strides=2),
                [Pool(tf.nn.max_pool2d, 2)],
            ]
        )

    def _narrow_row(self, in_channels, depths, names, strides=1):
        """A 1x1 convolution to fewer channels, and 3x3 convolutions of these names."""
        narrow, wide = map(self._scale, depths)
        first = ("Conv2d_0a_1x1", narrow, 1, _truncated_normal(0.09))
        return self.row(in_channels, first, *((name, wide, 3) for name in names), strides=strides)


def _truncated_normal(stddev):
    return tf_keras.initializers.TruncatedNormal(stddev=stddev)
