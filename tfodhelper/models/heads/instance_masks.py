"""The layers of Mask R-CNN that predict a mask of each class inside a box (He et al. 2017; arXiv 1703.06870).

They enlarge the features of a box to the size of the mask and convolve them, or the other way round.
"""

import dataclasses

import numpy as np
import tensorflow as tf
import tf_keras

from tfodhelper.checkpoints import keys
from tfodhelper.models import keras_keys, layers, normalization, slim_naming
from tfodhelper.ops import wide_sums

_KERNEL_SIZE = 3


@dataclasses.dataclass(frozen=True)
class HeadLayout:
    """What is predicted for each box, and how.

    Attributes:
      num_masks: K, or 1 for one mask whatever the class.
      has_mask_of_each_class: whether `num_masks` follows from the number of classes, which may be 1.
      size: (height, width) of a mask.
      depth: channels of the convolutions before the last one.
      num_layers: number of convolutions, with the last one.
      enlarges_last: whether features are enlarged, by whole numbers and without interpolation, after all convolutions
        but two; otherwise by bilinear interpolation before them.
      follows_classes: whether `depth` was chosen by the number of classes.
    """

    num_masks: int
    has_mask_of_each_class: bool
    size: tuple[int, int]
    depth: int
    num_layers: int
    enlarges_last: bool = False
    follows_classes: bool = False


class MaskHead(tf_keras.layers.Layer):
    """Mask logits from features of boxes.

    Args:
      in_channels: channels of the features.
      layout: a `HeadLayout`.
      hyperparams: `ConvHyperparams`; the last convolution has a bias and nothing after it.
      frozen: whether batch norm statistics stay as they are in training.

    Attributes:
      scope: in object-graph checkpoints.
    """

    scope = "_mask_rcnn_box_predictor/_third_stage_heads/mask_predictions"

    def __init__(self, in_channels, layout, hyperparams, frozen, name="mask_head"):
        super().__init__(name=name)
        self._layout: HeadLayout = layout
        plain = dataclasses.replace(hyperparams, activation=None, norm=None)  # without norm there is a bias
        num_hidden = max(layout.num_layers - 1, 0) + layout.enlarges_last
        described = [(hyperparams, layout.depth)] * num_hidden + [(plain, layout.num_masks)]
        blocks = []
        for number, (own, depth) in enumerate(described):
            options = {"initializer": own.initializer, "regularizer": own.regularizer, "use_bias": own.use_bias}
            if number == 0 and not layout.enlarges_last:
                convolution = EnlargingConvolution(in_channels, depth, size=layout.size, **options)
            else:
                convolution = layers.Convolution(in_channels, depth, _KERNEL_SIZE, **options)
            norm = None if own.norm is None else normalization.BatchNorm(depth, own.norm, frozen)
            blocks.append(layers.ConvBlock(convolution, norm, own.activation, name=f"block_{number}"))
            in_channels = depth
        *self.hidden, self.last = blocks
        self.built = True

    def call(self, features, training=False):
        """Predicts.

        Args:
          features: float32 [n, h, w, in_channels], one row for each box; h and w are static.
          training: whether batch norm moves.

        Returns:
          float32 [n, 1 or K, mask height, mask width], logits of the object's pixels.
        """
        for number, block in enumerate(self.hidden):
            if self._layout.enlarges_last and number == len(self.hidden) - 1:
                features = _repeat(features, self._layout.size)
            features = block(features, training=training)
        logits = self.last(features, training=training)
        return tf.transpose(tf.cast(logits, tf.float32), [0, 3, 1, 2])

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for block in (*self.hidden, self.last) for loss in block.regularization_losses()]

    def checkpoint_keys(self):
        """{name in checkpoints: variable}; convolution, norm and activation count, and so does what enlarges last."""
        own_keys = {}
        for number, block in enumerate((*self.hidden, self.last)):
            index = 3 * number + (self._layout.enlarges_last and number >= len(self.hidden) - 1)
            own_keys |= keras_keys.keys_under(f"_mask_predictor_layers/{index}", block.convolution)
            own_keys |= keras_keys.keys_under(f"_mask_predictor_layers/{index + 1}", block.norm)
        return own_keys

    def class_columns(self):
        """{own key: `ClassColumns`} of the variables whose last dimension follows from the number of classes."""
        if not self._layout.has_mask_of_each_class:
            return {}
        variables = {id(variable) for variable in self.last.convolution.checkpoint_keys().values()}
        own_keys = [key for key, variable in self.checkpoint_keys().items() if id(variable) in variables]
        return dict.fromkeys(own_keys, keys.ClassColumns(0))

    def sized_by_classes(self):
        """Own keys of the variables whose depth was chosen by the number of classes."""
        if not (self._layout.follows_classes and self.hidden):
            return frozenset()
        return frozenset(self.checkpoint_keys())

    def slim_names(self, scope):
        """{own key: names in first-generation checkpoints}."""
        named = [
            ([f"{scope}/Conv_{number}" if number else f"{scope}/Conv"], block)
            for number, block in enumerate((*self.hidden, self.last))
        ]
        return slim_naming.name_variables(self, named)


class EnlargingConvolution(layers.Convolution):
    """A 3x3 convolution of features that are enlarged by bilinear interpolation first, corner to corner.

    Both are linear, and so can be exchanged: each of the nine places of the kernel is a 1x1 convolution of the features
    as they are, and what it gives is enlarged and shifted as one product of matrices for each axis. Between 7 x 7
    features and 33 x 33 masks this is a twentieth of the multiplications, and the enlarged features, by far the largest
    tensor of a Mask R-CNN, never exist.

    Args:
      in_channels: channels of the input.
      out_channels: channels of the output.
      size: (height, width) after the enlargement.
      **others: see `layers.Convolution`.
    """

    def __init__(self, in_channels, out_channels, *, size, **others):
        super().__init__(in_channels, out_channels, _KERNEL_SIZE, **others)
        self._size = tuple(size)

    def call(self, inputs, strides=1, explicit_padding=False, scale=None, offset=None):
        """As `Convolution.call`: [b, h, w, in_channels] -> [b, height, width, out_channels]; h and w are static."""
        height, width = inputs.shape[1:3]
        if height * width >= self._size[0] * self._size[1]:
            enlarged = tf.raw_ops.ResizeBilinear(images=inputs, size=self._size, align_corners=True)
            return super().call(tf.cast(enlarged, inputs.dtype), strides, explicit_padding, scale, offset)
        if strides != 1:
            raise ValueError(f"an enlarging convolution has no strides; received {strides}")
        kernel, bias = self.kernel, self.bias
        if scale is not None:
            kernel = kernel * scale
            bias = None if bias is None else bias * scale
        if offset is not None:
            bias = offset if bias is None else bias + offset
        in_channels, out_channels = kernel.shape[2:]
        # As the output's channels: columns of the kernel, then its lines, then its own channels.
        by_place = tf.reshape(tf.transpose(kernel, [2, 1, 0, 3]), [1, 1, in_channels, 9 * out_channels])
        by_place = tf.nn.conv2d(tf.cast(inputs, self.arithmetic), tf.cast(by_place, self.arithmetic), 1, "VALID")
        lines, columns = (
            tf.constant(_enlarge_and_shift(*sizes), self.arithmetic) for sizes in zip((height, width), self._size)
        )
        outputs = wide_sums.matmul(columns, tf.reshape(by_place, [-1, width * 3, 3 * out_channels]))
        outputs = tf.reshape(outputs, [-1, height, self._size[1], 3, out_channels])
        outputs = tf.reshape(tf.transpose(outputs, [0, 1, 3, 2, 4]), [-1, height * 3, self._size[1] * out_channels])
        outputs = tf.reshape(wide_sums.matmul(lines, outputs), [-1, *self._size, out_channels])
        return outputs if bias is None else outputs + tf.cast(bias, self.arithmetic)


def _enlarge_and_shift(length, target):
    """Interpolation between `length` cells at `target` points, of which each is shifted by -1, 0 and 1 points.

    Returns:
      float32 [target, length * 3]; 0 where the shifted point is outside.
    """
    points = np.arange(target, dtype=np.float32) * np.float32((length - 1) / (target - 1) if target > 1 else 0.0)
    weights = np.maximum(1.0 - np.abs(points[:, np.newaxis] - np.arange(length, dtype=np.float32)), 0.0)
    padded = np.pad(weights, [[1, 1], [0, 0]])
    return np.stack([padded[shift : shift + target] for shift in range(3)], axis=-1).reshape(target, length * 3)


def _repeat(features, size):
    """Repeats each cell of [n, h, w, c] as often as it fits into `size`, in both directions."""
    height, width = features.shape[1:3]
    features = tf.repeat(features, size[0] // height, axis=1)
    return tf.repeat(features, size[1] // width, axis=2)
