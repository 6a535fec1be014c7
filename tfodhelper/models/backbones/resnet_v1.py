"""ResNet V1 (He et al. 2015; arXiv 1512.03385), in the layout of tf_keras.applications or in that of TF-Slim."""

import dataclasses

import tensorflow as tf
import tf_keras

from tfodhelper.models import keras_keys, layers, normalization, slim_naming

UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
STEM_DEPTH = 64
_EXPANSION = 4  # channels that leave a unit, for each channel inside


def make_hyperparams(regularizer=None):
    """Hyperparameters of the published classification networks."""
    return layers.ConvHyperparams(
        initializer=tf_keras.initializers.VarianceScaling(scale=1.0, mode="fan_in", distribution="truncated_normal"),
        regularizer=regularizer,
        activation=tf.nn.relu,
        norm=normalization.NormHyperparams(momentum=0.997, epsilon=1e-5),
    )


@dataclasses.dataclass(frozen=True)
class Stage:
    """Residual units of one width.

    Attributes:
      num_units: how many.
      depth: channels inside a unit; four times as many leave it.
      strides: of the whole stage.
      dilation: of the 3x3 convolutions.
      strides_last: whether the 3x3 convolution of the last unit has the strides, as in TF-Slim; else the first 1x1
        convolution of the first unit has them, as in Keras.
      number: which of the network's four stages this is, from 1.
    """

    num_units: int
    depth: int
    strides: int = 1
    dilation: int = 1
    strides_last: bool = False
    number: int = 1


def make_stages(units=UNITS[50], depth=STEM_DEPTH, output_stride=16, slim=False):
    """The four stages (conv2 to conv5) of a network for Faster R-CNN.

    Args:
      units: numbers of units of the stages.
      depth: channels inside the units of the first stage, doubled from stage to stage.
      output_stride: of the third stage's output: 16, or 8 with atrous convolutions in its place.
      slim: whether strides are placed as in TF-Slim; the fourth stage has none then.

    Returns:
      A list of four `Stage`s.
    """
    atrous = {"dilation": 2} if output_stride == 8 else {}
    if slim:
        strides = (2, 1 if atrous else 2, 1, 1)
    else:
        strides = (1, 2, 1 if atrous else 2, 2)
    return [
        Stage(count, depth * 2**i, strides[i], strides_last=slim, number=i + 1, **(atrous if i == 2 else {}))
        for i, count in enumerate(units)
    ]


class ResidualUnit(tf_keras.layers.Layer):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut (He et al. 2015, figure 5, right).

    Args:
      in_channels: channels of the input.
      depth: channels inside.
      strides: (of the first 1x1 convolution, of the 3x3 one); one of them is 1.
      dilation: of the 3x3 convolution.
      project: whether the shortcut has a convolution.
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
      activation: of the sum; when omitted, that of the convolutions.
    """

    def __init__(self, in_channels, depth, strides, dilation, project, hyperparams, frozen, activation=None, name=None):
        super().__init__(name=name)
        first, second = strides
        self._strides = first * second
        self._activation = activation or hyperparams.activation or tf.identity
        linear = dataclasses.replace(hyperparams, activation=None)
        block = layers.build_block
        self.main = [
            block(hyperparams, frozen, in_channels, depth, 1, strides=first, name="conv_1"),
            block(
                hyperparams,
                frozen,
                depth,
                depth,
                3,
                strides=second,
                explicit_padding=second > 1,
                dilation=dilation,
                name="conv_2",
            ),
            block(linear, frozen, depth, depth * _EXPANSION, 1, name="conv_3"),
        ]
        self.shortcut = []
        if project:
            width = depth * _EXPANSION
            self.shortcut = [block(linear, frozen, in_channels, width, 1, strides=self._strides, name="conv_0")]
        self.built = True

    def call(self, inputs, training=False):
        """float32 [b, h, w, in_channels] -> [b, h / strides, w / strides, 4 depth]."""
        shortcut = inputs
        if self.shortcut:
            shortcut = self.shortcut[0](inputs, training=training)
        elif self._strides > 1:
            shortcut = inputs[:, :: self._strides, :: self._strides]
        outputs = inputs
        for block in self.main:
            outputs = block(outputs, training=training)
        return self._activation(outputs + shortcut)

    def layers_in_order(self):
        """Convolutions and batch norms, as Keras orders them."""
        return keras_keys.order_of_branches([self.shortcut, self.main] if self.shortcut else [self.main])

    def slim_blocks(self):
        """[(name of its scope in TF-Slim, block)]."""
        return [*zip(("conv1", "conv2", "conv3"), self.main), *zip(("shortcut",), self.shortcut)]

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for block in (*self.shortcut, *self.main) for loss in block.regularization_losses()]


class ResNetV1(tf_keras.layers.Layer):
    """Stages in a row, perhaps after the stem: a 7x7 convolution and max pooling, each of stride 2.

    Args:
      stages: list of `Stage`.
      hyperparams: `ConvHyperparams`, with batch norm.
      frozen: whether batch norm statistics stay as they are in training.
      in_channels: channels of the input.
      stem_depth: channels of the stem; 0: no stem.
      outputs: indices of the stages whose outputs are returned.
      unit_activation: of the units' sums; when omitted, that of the convolutions.
      slim_scope: scope of the network in first-generation checkpoints of single-shot detectors.
    """

    def __init__(
        self,
        stages,
        hyperparams,
        frozen,
        in_channels=3,
        stem_depth=STEM_DEPTH,
        outputs=(-1,),
        unit_activation=None,
        slim_scope="resnet_v1_50",
        name=None,
    ):
        super().__init__(name=name)
        self.slim_scope: str = slim_scope
        hyperparams = dataclasses.replace(hyperparams, force_use_bias=False)
        self._outputs = [index % len(stages) for index in outputs]
        self._numbers = [stage.number for stage in stages]
        self.stem, self.units, self._depths = None, [], []
        if stem_depth:
            self.stem = layers.build_block(
                hyperparams, frozen, in_channels, stem_depth, 7, strides=2, explicit_padding=True, name="stem"
            )
            in_channels = stem_depth
        for number, stage in enumerate(stages):
            units = []
            for index in range(stage.num_units):
                strides = (1, 1)
                if index == (stage.num_units - 1 if stage.strides_last else 0):
                    strides = (1, stage.strides) if stage.strides_last else (stage.strides, 1)
                units.append(
                    ResidualUnit(
                        in_channels,
                        stage.depth,
                        strides,
                        stage.dilation,
                        index == 0,
                        hyperparams,
                        frozen,
                        unit_activation,
                        name=f"stage_{number}_unit_{index}",
                    )
                )
                in_channels = stage.depth * _EXPANSION
            self.units.append(units)
            self._depths.append(in_channels)
        self.built = True

    @property
    def depths(self):
        """Numbers of channels of the outputs."""
        return [self._depths[index] for index in self._outputs]

    def call(self, inputs, training=False):
        """float32 [b, h, w, in_channels] -> list of float32 [b, h / stride, w / stride, depth], one for each output."""
        features = inputs
        if self.stem is not None:
            features = self.stem(features, training=training)
            features = tf.nn.max_pool2d(features, 3, 2, "SAME")
        of_stages = []
        for units in self.units:
            for unit in units:
                features = unit(features, training=training)
            of_stages.append(features)
        return [of_stages[index] for index in self._outputs]

    def stages(self):
        """The network in steps, from the input on: lists of layers."""
        return [*([[self.stem]] if self.stem is not None else []), *self.units]

    def regularization_losses(self):
        """A list of scalars."""
        parts = [self.stem] if self.stem is not None else []
        parts += [unit for units in self.units for unit in units]
        return [loss for part in parts for loss in part.regularization_losses()]

    def layers_in_order(self):
        """Convolutions and batch norms, as Keras orders them."""
        of_stem = [] if self.stem is None else self.stem.layers_in_order()
        return of_stem + [layer for units in self.units for unit in units for layer in unit.layers_in_order()]

    def checkpoint_keys(self, first=0):
        """{`layer_with_weights-N/name`: variable}, N counting convolutions and batch norms in order from `first`."""
        return keras_keys.number_keys(self.layers_in_order(), first)

    def slim_names(self, stage):
        """{own key: names in first-generation checkpoints}; see `slim_naming.scopes_of`.

        Networks of all depths name their layers alike, and so it is the layers that decide whether a checkpoint fits.
        """
        blocks = [] if self.stem is None else [("conv1", self.stem)]
        for number, units in zip(self._numbers, self.units):
            for count, unit in enumerate(units, start=1):
                scope = f"block{number}/unit_{count}/bottleneck_v1"
                blocks += [(f"{scope}/{name}", block) for name, block in unit.slim_blocks()]
        scopes = slim_naming.scopes_of(stage, [f"resnet_v1_{depth}" for depth in UNITS])
        scoped = [([f"{scope}/{name}" for scope in scopes], block) for name, block in blocks]
        return slim_naming.name_variables(self, scoped)
