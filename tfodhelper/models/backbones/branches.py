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

    @property
    def is_mean(self):
        """Whether each output is a mean of inputs, as many as there were."""
        return self._operation is tf.nn.avg_pool2d and self._strides == 1 and self._padding == "SAME"


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
        self._starts = tuple(map(_find_start, self._calls))
        self.built = True

    def call(self, inputs, training=False):
        """float32 [b, h, w, c] -> float32 [b, h', w', sum of the branches' channels]."""
        started = iter(self._start(inputs, training))
        outputs = []
        for branch, start in zip(self._calls, self._starts):
            features, rest = inputs, branch
            if start is not None:
                features, rest = next(started), branch[len(start.steps) :]
                if start.pool is not None:
                    features = start.pool(features)
                features = start.block.finish(features, training)
            for block in rest:
                features = block(features, training=training)
            outputs.append(features)
        return outputs[0] if len(outputs) == 1 else tf.concat(outputs, axis=-1)

    def _start(self, inputs, training):
        """The first convolutions of the branches that have a `_Start`, computed as one."""
        blocks = [start.block for start in self._starts if start is not None]
        if not blocks:
            return []
        kernels, biases = zip(*(block.fold(training) for block in blocks))
        bias = None
        if any(each is not None for each in biases):
            filled = [tf.zeros(kernel.shape[-1:]) if b is None else b for kernel, b in zip(kernels, biases)]
            bias = tf.concat(filled, axis=0)
        outputs = blocks[0].convolution.convolve(inputs, tf.concat(kernels, -1), bias)
        return tf.split(outputs, [kernel.shape[-1] for kernel in kernels], axis=-1)

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


class _Start(NamedTuple):
    """How a branch starts, if with a 1x1 convolution.

    A mean of neighbours before it may as well come after it, where there are fewer channels: both are linear, and the
    weights of the mean add up to 1, so that a bias is not changed.

    Attributes:
      block: the `ConvBlock`.
      pool: the `Pool` of means before it, or None.
    """

    block: layers.ConvBlock
    pool: Pool | None = None

    @property
    def steps(self):
        return [step for step in self if step is not None]


def _find_start(branch):
    """The `_Start` of a branch, or None."""
    pool = branch[0] if isinstance(branch[0], Pool) and branch[0].is_mean and len(branch) > 1 else None
    first = branch[0] if pool is None else branch[1]
    if isinstance(first, layers.ConvBlock) and first.is_pointwise:
        return _Start(first, pool)
    return None


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
