"""Inception-ResNet V2 (Szegedy et al. 2016; arXiv 1602.07261), cut in two for Faster R-CNN.

All convolutions and poolings keep the alignment of the maps ("SAME" padding), as the published detectors have it.
"""

import tensorflow as tf
import tf_keras

from tfodhelper.models import keras_keys, layers, normalization, slim_naming
from tfodhelper.models.backbones.branches import BlockBuilder, Branches, Pool

SLIM_SCOPE = "InceptionResnetV2"


def make_hyperparams(regularizer=None):
    """Hyperparameters of the published networks: batch norm without gamma."""
    return layers.ConvHyperparams(
        initializer=tf_keras.initializers.GlorotUniform(),
        regularizer=regularizer,
        activation=tf.nn.relu,
        norm=normalization.NormHyperparams(momentum=0.9997, epsilon=1e-3, scale=False),
    )


class ResidualBranches(tf_keras.layers.Layer):
    """Branches whose output, projected and scaled down, is added to the input.

    Args:
      branches: a `Branches`.
      projection: a `ConvBlock` to the channels of the input.
      scale: of what is added.
      activation: of the sum, or None.
    """

    def __init__(self, branches, projection, scale, activation, name=None):
        super().__init__(name=name)
        self.branches, self.projection = branches, projection
        self._scale, self._activation = scale, activation
        self.built = True

    def call(self, inputs, training=False):
        """float32 [b, h, w, c] -> the same shape."""
        added = self.projection(self.branches(inputs, training=training), training=training)
        outputs = inputs + added * self._scale
        return outputs if self._activation is None else self._activation(outputs)

    def layers_in_order(self):
        """Convolutions and batch norms, as Keras orders them."""
        return [*self.branches.layers_in_order(), self.projection.convolution]

    def slim_blocks(self):
        """[(name of its scope in TF-Slim, block)]."""
        return [*self.branches.slim_blocks(), ("Conv2d_1x1", self.projection)]

    def regularization_losses(self):
        """A list of scalars."""
        return self.branches.regularization_losses() + self.projection.regularization_losses()


class Sequence(tf_keras.layers.Layer):
    """Modules in a row.

    Args:
      modules: {scope in TF-Slim: `Branches` or `ResidualBranches`}; "" for a module that is not a scope there.
      depth: channels of the output.
      scopes_alone: {scope: scope in a checkpoint of the classification network}, where it differs.
    """

    def __init__(self, modules, depth, scopes_alone=None, name=None):
        super().__init__(name=name)
        self.modules = list(modules.values())
        self._scopes = tuple((scope, (scopes_alone or {}).get(scope, scope)) for scope in modules)
        self.depths = [depth]
        self.built = True

    def call(self, inputs, training=False):
        """float32 [b, h, w, c] -> a list of one map [b, h / stride, w / stride, depth]."""
        features = inputs
        for module in self.modules:
            features = module(features, training=training)
        return [features]

    def layers_in_order(self):
        """Convolutions and batch norms, as Keras orders them."""
        return [layer for module in self.modules for layer in module.layers_in_order()]

    def stages(self):
        """The network in steps, from the input on: lists of layers."""
        return [[module] for module in self.modules]

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for module in self.modules for loss in module.regularization_losses()]

    def checkpoint_keys(self, first=0):
        """{`layer_with_weights-N/name`: variable}, N counting convolutions and batch norms in order from `first`."""
        return keras_keys.number_keys(self.layers_in_order(), first)

    def slim_names(self, stage):
        """{own key: names in first-generation checkpoints}; see `slim_naming.scopes_of`."""
        scoped = []
        for (scope, scope_alone), module in zip(self._scopes, self.modules):
            above = (f"{stage}/{SLIM_SCOPE}/{scope}", f"{SLIM_SCOPE}/{scope_alone}")
            for name, block in module.slim_blocks():
                scoped.append(([f"{outer.rstrip('/')}/{name}" for outer in above], block))
        return slim_naming.name_variables(self, scoped)


class _Builder(BlockBuilder):
    """Also makes residual blocks."""

    def residual(self, in_channels, rows, scale, activation=tf.nn.relu, dilation=1):
        """A `ResidualBranches` of rows as in `row`."""
        branches = Branches([self.row(in_channels, *row, dilation=dilation) for row in rows])
        last = layers.Convolution(
            sum(row[-1][1] for row in rows),
            in_channels,
            1,
            initializer=self._hyperparams.initializer,
            regularizer=self._hyperparams.regularizer,
            use_bias=True,
            regularize_bias=True,
        )
        return ResidualBranches(branches, layers.ConvBlock(last, None, None), scale, activation)


_BLOCK_35 = [
    [("Conv2d_1x1", 32, 1)],
    [("Conv2d_0a_1x1", 32, 1), ("Conv2d_0b_3x3", 32, 3)],
    [("Conv2d_0a_1x1", 32, 1), ("Conv2d_0b_3x3", 48, 3), ("Conv2d_0c_3x3", 64, 3)],
]
_BLOCK_17 = [
    [("Conv2d_1x1", 192, 1)],
    [("Conv2d_0a_1x1", 128, 1), ("Conv2d_0b_1x7", 160, (1, 7)), ("Conv2d_0c_7x1", 192, (7, 1))],
]
_BLOCK_8 = [
    [("Conv2d_1x1", 192, 1)],
    [("Conv2d_0a_1x1", 192, 1), ("Conv2d_0b_1x3", 224, (1, 3)), ("Conv2d_0c_3x1", 256, (3, 1))],
]


def build_first_half(hyperparams, frozen, output_stride=16, counts=(10, 20), name="backbone"):
    """All up to the last 17x17 block: RGB -> 1088 channels at `output_stride`.

    Args:
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
      output_stride: 16, or 8 with atrous convolutions after the 35x35 blocks.
      counts: numbers of 35x35 and of 17x17 blocks.
      name: of the layer.
    """
    make = _Builder(hyperparams, frozen)
    strides, dilation = (1, 2) if output_stride == 8 else (2, 1)
    modules = {"": _build_stem(make), "Mixed_5b": _build_mixed_5b(make)}
    for number in range(1, counts[0] + 1):
        modules[f"Repeat/block35_{number}"] = make.residual(320, _BLOCK_35, 0.17)
    modules["Mixed_6a"] = Branches(
        [
            make.row(320, ("Conv2d_1a_3x3", 384, 3), strides=strides),
            make.row(
                320, ("Conv2d_0a_1x1", 256, 1), ("Conv2d_0b_3x3", 256, 3), ("Conv2d_1a_3x3", 384, 3), strides=strides
            ),
            [Pool(tf.nn.max_pool2d, strides)],
        ]
    )
    for number in range(1, counts[1] + 1):
        modules[f"Repeat_1/block17_{number}"] = make.residual(1088, _BLOCK_17, 0.1, dilation=dilation)
    return Sequence(modules, 1088, name=name)


def _build_stem(make):
    """RGB -> 192 channels at an eighth of the size."""
    return Branches(
        [
            [
                *make.row(3, ("Conv2d_1a_3x3", 32, 3), strides=2),
                *make.row(32, ("Conv2d_2a_3x3", 32, 3), ("Conv2d_2b_3x3", 64, 3)),
                Pool(tf.nn.max_pool2d, 2),
                *make.row(64, ("Conv2d_3b_1x1", 80, 1), ("Conv2d_4a_3x3", 192, 3)),
                Pool(tf.nn.max_pool2d, 2),
            ]
        ]
    )


def _build_mixed_5b(make):
    """192 -> 320 channels."""
    return Branches(
        [
            make.row(192, ("Conv2d_1x1", 96, 1)),
            make.row(192, ("Conv2d_0a_1x1", 48, 1), ("Conv2d_0b_5x5", 64, 5)),
            make.row(192, ("Conv2d_0a_1x1", 64, 1), ("Conv2d_0b_3x3", 96, 3), ("Conv2d_0c_3x3", 96, 3)),
            [Pool(tf.nn.avg_pool2d, 1), *make.row(192, ("Conv2d_0b_1x1", 64, 1))],
        ]
    )


def build_second_half(hyperparams, frozen, slim=False, count=9, name="classifier_backbone"):
    """What follows the 17x17 blocks: 1088 -> 1536 channels at half the size.

    Args:
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
      slim: whether the reduction has no padding ("VALID"), as in TF-Slim.
      count: number of 8x8 blocks with activation; one more has none.
      name: of the layer.
    """
    make = _Builder(hyperparams, frozen)
    shrink = {"strides": 2, "padding": "VALID" if slim else "SAME"}
    mixed_7a = Branches(
        [
            make.row(1088, ("Conv2d_0a_1x1", 256, 1), ("Conv2d_1a_3x3", 384, 3), **shrink),
            make.row(1088, ("Conv2d_0a_1x1", 256, 1), ("Conv2d_1a_3x3", 288, 3), **shrink),
            make.row(1088, ("Conv2d_0a_1x1", 256, 1), ("Conv2d_0b_3x3", 288, 3), ("Conv2d_1a_3x3", 320, 3), **shrink),
            [Pool(tf.nn.max_pool2d, 2, shrink["padding"])],
        ]
    )
    # A detector restarts the count of repeated blocks in its second stage; the classification network has them third.
    repeated = {f"Repeat/block8_{number}": f"Repeat_2/block8_{number}" for number in range(1, count + 1)}
    modules = {"Mixed_7a": mixed_7a, **{scope: make.residual(2080, _BLOCK_8, 0.2) for scope in repeated}}
    modules["Block8"] = make.residual(2080, _BLOCK_8, 1.0, activation=None)
    modules[""] = Branches([make.row(2080, ("Conv2d_7b_1x1", 1536, 1))])
    return Sequence(modules, 1536, scopes_alone=repeated, name=name)
