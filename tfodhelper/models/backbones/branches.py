"""Parallel branches of convolutions and poolings, of which Inception networks are made.

Szegedy et al. 2014, section 4; arXiv 1409.4842.
"""

from typing import NamedTuple

import tensorflow as tf
import tf_keras

from tfodhelper.models import keras_keys, layers


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


class Named(NamedTuple):
    """A `ConvBlock` and the name of its layers in TF-Slim."""

    name: str
    block: layers.ConvBlock


class Branches(tf_keras.layers.Layer):
    """Rows of blocks and poolings over one input, whose outputs are concatenated.

    Args:
      branches: a list of lists of `Named` blocks and `Pool`s.
    """

    def __init__(self, branches, name=None):
        super().__init__(name=name)
        named = [[step for step in branch if isinstance(step, Named)] for branch in branches]
        self.branches = [[step.block for step in branch] for branch in named]
        self._slim_names = tuple(tuple(step.name for step in branch) for branch in named)
        self._calls = tuple(
            tuple(step.block if isinstance(step, Named) else step for step in branch) for branch in branches
        )
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
        return keras_keys.order_of_branches([branch for branch in self.branches if branch])

    def slim_blocks(self):
        """[(name of its scope in TF-Slim, block)]; only where there are several branches are they scopes as well."""
        named = []
        for number, (names, blocks) in enumerate(zip(self._slim_names, self.branches)):
            scope = f"Branch_{number}/" if len(self.branches) > 1 else ""
            named += [(f"{scope}{name}", block) for name, block in zip(names, blocks)]
        return named

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for branch in self.branches for block in branch for loss in block.regularization_losses()]


class BlockBuilder:
    """Makes blocks with the hyperparameters of one network.

    Args:
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, hyperparams, frozen):
        self._hyperparams, self._frozen = hyperparams, frozen

    def row(self, in_channels, *steps, strides=1, padding="SAME", dilation=1):
        """Blocks in a row.

        Args:
          in_channels: channels of the input.
          *steps: (name in TF-Slim, channels, kernel size) of each, and perhaps an initializer of its kernel, which
            replaces that of the hyperparameters.
          strides: of the last block.
          padding: of the last block: "SAME" or "VALID".
          dilation: of all blocks whose kernel is larger than 1x1.

        Returns:
          A list of `Named`.
        """
        blocks = []
        for number, (name, channels, kernel_size, *initializer) in enumerate(steps):
            is_last = number == len(steps) - 1
            block = layers.build_block(
                self._hyperparams,
                self._frozen,
                in_channels,
                channels,
                kernel_size,
                strides=strides if is_last else 1,
                dilation=1 if kernel_size == 1 else dilation,
                padded=not is_last or padding == "SAME",
                initializer=initializer[0] if initializer else None,
            )
            blocks.append(Named(name, block))
            in_channels = channels
        return blocks
