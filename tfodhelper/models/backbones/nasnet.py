"""NASNet-A (Zoph et al. 2017; arXiv 1707.07012), cut in two for Faster R-CNN.

A cell combines the outputs of two earlier ones: five times, two states of the cell go through an operation each and are
added. The combinations were found by search (figure 4 there).
"""

from typing import NamedTuple

import tensorflow as tf
import tf_keras

from tfodhelper.models import keras_keys, layers, normalization, separable, slim_naming

FILTERS = 168  # of NASNet-A large, in its first cells
CELLS = 6  # between two reductions
STEM_DEPTH = 96
AVERAGE, LARGEST, SAME = "average", "largest", "same"  # operations without variables; numbers are separable ones


def make_hyperparams(regularizer=None):
    """Hyperparameters of the published network."""
    return layers.ConvHyperparams(
        initializer=tf_keras.initializers.VarianceScaling(scale=2.0, mode="fan_out", distribution="truncated_normal"),
        regularizer=regularizer,
        activation=None,
        norm=normalization.NormHyperparams(momentum=0.9997, epsilon=1e-3),
    )


def regularize(kernel):
    """The published network's loss of a kernel, whatever the configuration says."""
    return 5e-5 * tf.nn.l2_loss(kernel)


class Layout(NamedTuple):
    """What a cell computes.

    Attributes:
      combinations: two pairs each: (number of a state, kernel size of a separable convolution or another operation).
        States 0 and 1 are what the cell gets, the sum of the first combination is state 2.
      first_output: the states from this one on are concatenated.
      strides: with which the operations see states 0 and 1.
    """

    combinations: tuple
    first_output: int
    strides: int


NORMAL = Layout(
    (
        ((0, 5), (1, 3)),
        ((1, 5), (1, 3)),
        ((0, AVERAGE), (1, SAME)),
        ((1, AVERAGE), (1, AVERAGE)),
        ((0, 3), (0, SAME)),
    ),
    first_output=1,
    strides=1,
)
REDUCTION = Layout(
    (
        ((0, 5), (1, 7)),
        ((0, LARGEST), (1, 7)),
        ((0, AVERAGE), (1, 5)),
        ((3, SAME), (2, AVERAGE)),
        ((2, 3), (0, LARGEST)),
    ),
    first_output=3,
    strides=2,
)


class Scoped(tf_keras.layers.Layer):
    """A part of the network that knows the names of its layers in TF-Slim.

    Attributes:
      scoped_layers: [(name of its scope, convolution or batch norm)], in order.
    """

    def __init__(self, name=None):
        super().__init__(name=name)
        self._scoped = []

    @property
    def scoped_layers(self):
        """See the class."""
        return list(self._scoped)

    def regularization_losses(self):
        """A list of scalars."""
        convolutions = [layer for _, layer in self._scoped if not isinstance(layer, normalization.BatchNorm)]
        return [loss for layer in convolutions for loss in layer.regularization_losses()]

    def _add(self, scope, block, norm_scope):
        """Keeps the names of a `ConvBlock`; returns it."""
        self._scoped = [*self._scoped, (scope, block.convolution), (norm_scope, block.norm)]
        return block


class SeparableStack(Scoped):
    """Two separable convolutions, each after an activation and before a batch norm.

    Args:
      in_channels: channels of the input.
      out_channels: channels of the output.
      kernel_size: height and width of both.
      strides: of the first one.
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, in_channels, out_channels, kernel_size, strides, hyperparams, frozen, name=None):
        super().__init__(name=name)
        self.blocks, size = [], f"{kernel_size}x{kernel_size}"
        for number in (1, 2):
            kernels = {"initializer": hyperparams.initializer, "regularizer": hyperparams.regularizer}
            convolution = separable.SeparableConvolution(
                layers.Convolution(in_channels, None, kernel_size, **kernels),
                layers.Convolution(in_channels, out_channels, 1, **kernels),
            )
            norm = normalization.BatchNorm(out_channels, hyperparams.norm, frozen)
            block = layers.ConvBlock(convolution, norm, None, strides=strides if number == 1 else 1)
            self.blocks.append(self._add(f"separable_{size}_{number}", block, f"bn_sep_{size}_{number}"))
            in_channels = out_channels
        self.built = True

    def call(self, inputs, training=False):
        """float32 [b, h, w, in_channels] -> [b, h / strides, w / strides, out_channels]."""
        first, last = self.blocks
        outputs = tf.nn.relu(first(tf.nn.relu(inputs), training=training))
        if training and not last.norm.frozen:
            return last(outputs, training=training)
        scale, offset = last.norm.scale_and_offset()
        outputs = last.convolution(outputs, scale=scale)
        # TensorFlow 2.20 would merge an addition with that of the cell, in a temporary variable that calls running at
        # the same time share.
        return tf.nn.bias_add(outputs, tf.cast(offset, outputs.dtype))


class FactorizedReduction(Scoped):
    """Halves a map: one half of the channels sees every second cell, the other half those diagonally next to them.

    Args:
      in_channels: channels of the input.
      out_channels: channels of the output.
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, in_channels, out_channels, hyperparams, frozen, name=None):
        super().__init__(name=name)
        kernels = {"initializer": hyperparams.initializer, "regularizer": hyperparams.regularizer}
        half = out_channels // 2
        self.first = layers.Convolution(in_channels, half, 1, **kernels)
        self.second = layers.Convolution(in_channels, out_channels - half, 1, **kernels)
        self.norm = normalization.BatchNorm(out_channels, hyperparams.norm, frozen)
        self._scoped = [("path1_conv", self.first), ("path2_conv", self.second), ("final_path_bn", self.norm)]
        self.built = True

    def call(self, inputs, training=False):
        """float32 [b, h, w, in_channels] -> [b, h / 2, w / 2, out_channels]."""
        shifted = tf.pad(inputs, [[0, 0], [0, 1], [0, 1], [0, 0]])[:, 1:, 1:]
        outputs = tf.concat([self.first(inputs[:, ::2, ::2]), self.second(shifted[:, ::2, ::2])], axis=-1)
        return self.norm(outputs, training=training)


class Cell(Scoped):
    """One cell.

    Args:
      in_channels: channels of the last output.
      previous: (channels of the output before it, whether that one is twice as large), or None: the last one serves.
      depth: channels of the states; those of the output are as many for each state that is concatenated.
      layout: a `Layout`.
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, in_channels, previous, depth, layout, hyperparams, frozen, name=None):
        super().__init__(name=name)
        self._layout = layout

        def project(channels):
            return layers.build_block(hyperparams, frozen, channels, depth, 1)

        self.first = self._add("1x1", project(in_channels), "beginning_bn")
        self.previous, channels_of = None, [depth, in_channels]
        if previous is not None:
            channels, is_larger = previous
            if is_larger:
                self.previous = FactorizedReduction(channels, depth, hyperparams, frozen)
                self._scoped = [*self._scoped, *self.previous.scoped_layers]
            else:
                self.previous = self._add("prev_1x1", project(channels), "prev_bn")
            channels_of[1] = depth
        self.stacks = {}
        for number, pair in enumerate(layout.combinations):
            for (state, operation), side in zip(pair, ("left", "right")):
                if isinstance(operation, int):
                    channels, strides = (channels_of[state], layout.strides) if state < 2 else (depth, 1)
                    stack = SeparableStack(channels, depth, operation, strides, hyperparams, frozen)
                    scope = f"comb_iter_{number}/{side}"
                    self.stacks[scope] = stack
                    self._scoped += [(f"{scope}/{name}", layer) for name, layer in stack.scoped_layers]
        self.depth: int = depth * (2 + len(layout.combinations) - layout.first_output)
        self.built = True

    def call(self, inputs, previous=None, training=False):
        """Combines two outputs.

        Args:
          inputs: float32 [b, h, w, in_channels].
          previous: float32 [b, h, w, c] or [b, 2 h, 2 w, c], see the class; None: `inputs` serve.
          training: whether batch norm moves.

        Returns:
          float32 [b, h / strides, w / strides, self.depth].
        """
        states = [self.first(tf.nn.relu(inputs), training=training)]
        states.append(inputs if self.previous is None else self.previous(tf.nn.relu(previous), training=training))
        for number, pair in enumerate(self._layout.combinations):
            left, right = (
                self._apply(operation, states[state], self._layout.strides if state < 2 else 1, scope, training)
                for (state, operation), scope in zip(pair, (f"comb_iter_{number}/left", f"comb_iter_{number}/right"))
            )
            states.append(left + right)
        return tf.concat(states[self._layout.first_output :], axis=-1)

    def _apply(self, operation, state, strides, scope, training):
        if operation == SAME:
            return state
        if operation in (AVERAGE, LARGEST):
            pool = tf.nn.avg_pool2d if operation == AVERAGE else tf.nn.max_pool2d
            return pool(state, 3, strides, "SAME")
        return self.stacks[scope](state, training=training)


class Stem(Scoped):
    """A 3x3 convolution of stride 2 without padding."""

    def __init__(self, depth, hyperparams, frozen, name="stem"):
        super().__init__(name=name)
        block = layers.build_block(hyperparams, frozen, 3, depth, 3, strides=2, padded=False)
        self.block, self.depth = self._add("conv0", block, "conv0_bn"), depth
        self.built = True

    def call(self, inputs, training=False):
        """float32 [b, h, w, 3] -> [b, (h - 1) / 2, (w - 1) / 2, depth]."""
        return self.block(inputs, training=training)


class NasNet(tf_keras.layers.Layer):
    """Cells in a row; each takes the last output and an earlier one.

    Args:
      outputs: [(channels, binary logarithm of the stride)] of what the cells begin with, in order.
      plan: [(scope in TF-Slim, depth, `Layout`, which output is the earlier one: -2, -3, or None)].
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
      stem: a `Stem` that makes the first output of images, or None.
    """

    def __init__(self, outputs, plan, hyperparams, frozen, stem=None, name=None):
        super().__init__(name=name)
        self.stem, self.cells, outputs = stem, [], list(outputs)
        self._scopes, self._earlier = tuple(row[0] for row in plan), tuple(row[3] for row in plan)
        for _, depth, layout, earlier in plan:
            channels, level = outputs[-1]
            previous = None if earlier is None else (outputs[earlier][0], outputs[earlier][1] < level)
            cell = Cell(channels, previous, depth, layout, hyperparams, frozen)
            self.cells.append(cell)
            outputs.append((cell.depth, level + (layout.strides == 2)))
        self._out_depths = [channels for channels, _ in outputs[-2:]]
        self.built = True

    def _run(self, outputs, training):
        """All outputs from the first ones on."""
        for cell, earlier in zip(self.cells, self._earlier):
            previous = None if earlier is None else outputs[earlier]
            outputs = [*outputs, cell(outputs[-1], previous, training=training)]
        return outputs

    def _scoped_layers(self):
        scoped = [] if self.stem is None else self.stem.scoped_layers
        for scope, cell in zip(self._scopes, self.cells):
            scoped += [(f"{scope}/{name}", layer) for name, layer in cell.scoped_layers]
        return scoped

    def layers_in_order(self):
        """Convolutions and batch norms."""
        return [layer for _, layer in self._scoped_layers()]

    def stages(self):
        """The network in steps, from the input on: lists of layers."""
        return [[part] for part in (self.stem, *self.cells) if part is not None]

    def regularization_losses(self):
        """A list of scalars."""
        parts = [part for step in self.stages() for part in step]
        return [loss for part in parts for loss in part.regularization_losses()]

    def checkpoint_keys(self, first=0):
        """{`layer_with_weights-N/name`: variable}, N counting convolutions and batch norms in order from `first`.

        The Object Detection API has no object-graph checkpoints of this network.
        """
        return keras_keys.number_keys(self.layers_in_order(), first)

    def slim_names(self, stage):
        """{own key: names in first-generation checkpoints}.

        The network does not have a scope there. Its own checkpoint contains averages of the variables.
        """
        scoped = self._scoped_layers()
        in_detector = slim_naming.name_layers(self, [(f"{stage}/{scope}", layer) for scope, layer in scoped])
        alone = slim_naming.name_layers(self, scoped)
        return {key: (name, f"{alone[key]}/ExponentialMovingAverage", alone[key]) for key, name in in_detector.items()}


class FirstHalf(NasNet):
    """All up to the second reduction; the last two outputs are concatenated, at stride 16."""

    @property
    def depths(self):
        """Numbers of channels of the outputs."""
        return [sum(self._out_depths)]

    def call(self, inputs, training=False):
        """float32 [b, h, w, 3], -1..1 -> a list of one float32 [b, h / 16, w / 16, 2 depth]."""
        return [tf.concat(self._run([self.stem(inputs, training=training)], training)[-2:], axis=-1)]


class SecondHalf(NasNet):
    """The second reduction and what follows it."""

    @property
    def depths(self):
        """Numbers of channels of the outputs."""
        return self._out_depths[-1:]

    def call(self, inputs, training=False):
        """float32 [n, h, w, 2 depth], from a `FirstHalf` -> a list of one float32 [n, h / 2, w / 2, 2 depth]."""
        return [tf.nn.relu(self._run(tf.split(inputs, 2, axis=-1), training)[-1])]


def _plan_section(number, filters, cells):
    """The rows of a section's plan: a reduction, except before the first one, and cells; see `NasNet`."""
    depth = filters * 2**number
    rows = [] if number == 0 else [(f"reduction_cell_{number - 1}", depth, REDUCTION, -2)]
    for index in range(cells):
        # The reduction's output is not the earlier one of the cell that follows, but of the next.
        rows.append((f"cell_{number * cells + index}", depth, NORMAL, -3 if number and index == 0 else -2))
    return rows


def build_first_half(hyperparams, frozen, filters=FILTERS, cells=CELLS, stem_depth=STEM_DEPTH, name="backbone"):
    """RGB -> twice six times `2 * filters` channels at stride 16.

    Args:
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
      filters: channels of the states in the first cells.
      cells: normal cells between two reductions, at least 2.
      stem_depth: channels of the first convolution.
      name: of the layer.
    """
    plan = [("cell_stem_0", filters // 4, REDUCTION, None), ("cell_stem_1", filters // 2, REDUCTION, -2)]
    plan += _plan_section(0, filters, cells) + _plan_section(1, filters, cells)
    stem = Stem(stem_depth, hyperparams, frozen)
    return FirstHalf([(stem_depth, 1)], plan, hyperparams, frozen, stem, name=name)


def build_second_half(hyperparams, frozen, filters=FILTERS, cells=CELLS, name="classifier_backbone"):
    """The output of `build_first_half` -> six times `4 * filters` channels at half the size; arguments as there."""
    depth = (2 + len(NORMAL.combinations) - NORMAL.first_output) * 2 * filters
    return SecondHalf([(depth, 4)] * 2, _plan_section(2, filters, cells), hyperparams, frozen, name=name)
