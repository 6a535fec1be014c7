"""Inception-ResNet V2 (Szegedy et al. 2016; arXiv 1602.07261), cut in two for Faster R-CNN.

All convolutions and poolings keep the alignment of the maps ("SAME" padding), as the published detectors have it.
"""

import tensorflow as tf
import tf_keras

from tfodhelper.models import layers as convolution


def make_hyperparams(regularizer=None):
    """Hyperparameters of the published networks: batch norm without gamma."""
    return convolution.ConvHyperparams(
        initializer=tf_keras.initializers.GlorotUniform(),
        regularizer=regularizer,
        activation=tf.nn.relu,
        norm=convolution.NormHyperparams(momentum=0.9997, epsilon=1e-3, scale=False),
    )


class Pool:
    """A pooling of 3x3 without variables.

    Args:
      operation: tf.nn.max_pool2d or tf.nn.avg_pool2d.
      strides: of the pooling.
      padding: "SAME" or "VALID".
    """

    def __init__(self, operation, strides, padding="SAME"):
        self._operation, self._strides, self._padding = operation, strides, padding

    def __call__(self, inputs, training=False):
        del training
        return self._operation(inputs, 3, self._strides, self._padding)


class Branches(tf_keras.layers.Layer):
    """Rows of blocks and poolings over one input, whose outputs are concatenated.

    Args:
      branches: a list of lists of `ConvBlock` and `Pool`.
    """

    def __init__(self, branches, name=None):
        super().__init__(name=name)
        self.branches = [[block for block in branch if not isinstance(block, Pool)] for branch in branches]
        self._calls = tuple(tuple(branch) for branch in branches)
        self.built = True

    def call(self, inputs, training=False):
        """float32 [b, h, w, c] -> float32 [b, h', w', sum of the branches' channels]."""
        outputs = []
        for branch in self._calls:
            features = inputs
            for block in branch:
                features = block(features, training=training)
            outputs.append(features)
        return outputs[0] if len(outputs) == 1 else tf.concat(outputs, axis=-1)

    def layers_in_order(self):
        """Convolutions and batch norms, as Keras orders them."""
        return convolution.order_of_branches([branch for branch in self.branches if branch])

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for branch in self.branches for block in branch for loss in block.regularization_losses()]


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

    def regularization_losses(self):
        """A list of scalars."""
        return self.branches.regularization_losses() + self.projection.regularization_losses()


class Sequence(tf_keras.layers.Layer):
    """Modules in a row.

    Args:
      modules: a list of `Branches` and `ResidualBranches`.
      depth: channels of the output.
    """

    def __init__(self, modules, depth, name=None):
        super().__init__(name=name)
        self.modules = list(modules)
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

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for module in self.modules for loss in module.regularization_losses()]

    def checkpoint_keys(self):
        """{`layer_with_weights-N/name`: variable}, N counting convolutions and batch norms in order."""
        return convolution.number_keys(self.layers_in_order())


class _Builder:
    """Makes blocks with the hyperparameters of one network.

    Args:
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, hyperparams, frozen):
        self._hyperparams, self._frozen = hyperparams, frozen

    def row(self, in_channels, *layers, strides=1, padding="SAME", dilation=1):
        """Blocks in a row.

        Args:
          in_channels: channels of the input.
          *layers: (channels, kernel size) of each.
          strides: of the last block.
          padding: of the last block: "SAME" or "VALID".
          dilation: of all blocks whose kernel is larger than 1x1.
        """
        blocks = []
        for number, (channels, kernel_size) in enumerate(layers):
            is_last = number == len(layers) - 1
            block = convolution.build_block(
                self._hyperparams,
                self._frozen,
                in_channels,
                channels,
                kernel_size,
                strides=strides if is_last else 1,
                dilation=1 if kernel_size == 1 else dilation,
                padded=not is_last or padding == "SAME",
            )
            blocks.append(block)
            in_channels = channels
        return blocks

    def residual(self, in_channels, rows, scale, activation=tf.nn.relu, dilation=1):
        """A `ResidualBranches` of rows of (channels, kernel size)."""
        branches = Branches([self.row(in_channels, *row, dilation=dilation) for row in rows])
        last = convolution.Convolution(
            sum(row[-1][0] for row in rows),
            in_channels,
            1,
            initializer=self._hyperparams.initializer,
            regularizer=self._hyperparams.regularizer,
            use_bias=True,
            regularize_bias=True,
        )
        return ResidualBranches(branches, convolution.ConvBlock(last, None, None), scale, activation)


_BLOCK_35 = [[(32, 1)], [(32, 1), (32, 3)], [(32, 1), (48, 3), (64, 3)]]
_BLOCK_17 = [[(192, 1)], [(128, 1), (160, (1, 7)), (192, (7, 1))]]
_BLOCK_8 = [[(192, 1)], [(192, 1), (224, (1, 3)), (256, (3, 1))]]


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
    modules = [
        Branches([[*make.row(3, (32, 3), strides=2), *make.row(32, (32, 3), (64, 3)), Pool(tf.nn.max_pool2d, 2)]]),
        Branches([[*make.row(64, (80, 1), (192, 3)), Pool(tf.nn.max_pool2d, 2)]]),
        Branches(
            [
                make.row(192, (96, 1)),
                make.row(192, (48, 1), (64, 5)),
                make.row(192, (64, 1), (96, 3), (96, 3)),
                [Pool(tf.nn.avg_pool2d, 1), *make.row(192, (64, 1))],
            ]
        ),
    ]
    modules += [make.residual(320, _BLOCK_35, 0.17) for _ in range(counts[0])]
    modules.append(
        Branches(
            [
                make.row(320, (384, 3), strides=strides),
                make.row(320, (256, 1), (256, 3), (384, 3), strides=strides),
                [Pool(tf.nn.max_pool2d, strides)],
            ]
        )
    )
    modules += [make.residual(1088, _BLOCK_17, 0.1, dilation=dilation) for _ in range(counts[1])]
    return Sequence(modules, 1088, name=name)


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
    modules = [
        Branches(
            [
                make.row(1088, (256, 1), (384, 3), **shrink),
                make.row(1088, (256, 1), (288, 3), **shrink),
                make.row(1088, (256, 1), (288, 3), (320, 3), **shrink),
                [Pool(tf.nn.max_pool2d, 2, shrink["padding"])],
            ]
        )
    ]
    modules += [make.residual(2080, _BLOCK_8, 0.2) for _ in range(count)]
    modules.append(make.residual(2080, _BLOCK_8, 1.0, activation=None))
    modules.append(Branches([make.row(2080, (1536, 1))]))
    return Sequence(modules, 1536, name=name)
