"""Reads Hyperparams messages: initializers, regularizers, activations, normalization."""

import tensorflow as tf
import tf_keras

from tfodhelper import errors
from tfodhelper.models import layers, normalization

_ACTIVATIONS = {"NONE": None, "RELU": tf.nn.relu, "RELU_6": tf.nn.relu6, "SWISH": tf.nn.silu}


def build_hyperparams(message, slim=False):
    """Builds `ConvHyperparams` from a Hyperparams message.

    Args:
      message: a Hyperparams message.
      slim: whether they hold for a network of the first generation.

    Raises:
      ConfigError: on a normalizer that is not known.
    """
    normalizer = message.WhichOneof("normalizer_oneof")
    if normalizer not in (None, "batch_norm"):
        raise errors.ConfigError(
            f"conv_hyperparams: the normalizer {normalizer} is not known", expected="batch_norm, or none"
        )
    norm = None
    if normalizer == "batch_norm":
        norm = normalization.NormHyperparams(
            momentum=message.batch_norm.decay,
            epsilon=message.batch_norm.epsilon,
            center=message.batch_norm.center,
            scale=message.batch_norm.scale,
            moves=message.batch_norm.train,
        )
    return layers.ConvHyperparams(
        initializer=_build_initializer(message.initializer),
        regularizer=_build_regularizer(message.regularizer),
        activation=_ACTIVATIONS[enum_name(message, "activation")],
        norm=norm,
        force_use_bias=message.force_use_bias,
        covers_depthwise=slim,
    )


def no_loss(kernel):
    """The regularizer of weight 0: nothing is computed."""
    del kernel
    return tf.constant(0.0)


def enum_name(message, field):
    """Name of the value of an enum field."""
    descriptor = message.DESCRIPTOR.fields_by_name[field].enum_type
    return descriptor.values_by_number[getattr(message, field)].name


def _build_initializer(message):
    """A tf_keras initializer; Glorot's where none is set."""
    kind = message.WhichOneof("initializer_oneof")
    if kind is None:
        return tf_keras.initializers.GlorotUniform()
    if kind == "keras_initializer_by_name":
        try:
            return tf_keras.initializers.get(message.keras_initializer_by_name)
        except ValueError:
            raise errors.ConfigError(
                f"keras_initializer_by_name: tf_keras has no initializer {message.keras_initializer_by_name!r}"
            ) from None
    values = getattr(message, kind)
    if kind == "truncated_normal_initializer":
        return tf_keras.initializers.TruncatedNormal(mean=values.mean, stddev=values.stddev)
    if kind == "random_normal_initializer":
        return tf_keras.initializers.RandomNormal(mean=values.mean, stddev=values.stddev)
    return tf_keras.initializers.VarianceScaling(
        scale=values.factor,
        mode=enum_name(values, "mode").lower(),
        distribution="uniform" if values.uniform else "truncated_normal",
    )


def _build_regularizer(message):
    """kernel -> scalar, or None; L2 is weight * sum(kernel^2) / 2."""
    kind = message.WhichOneof("regularizer_oneof")
    if kind is None:
        return None
    weight = float(getattr(message, kind).weight)
    if weight == 0.0:
        return no_loss
    if kind == "l1_regularizer":
        return lambda kernel: weight * tf.reduce_sum(tf.abs(kernel))
    return lambda kernel: weight * tf.nn.l2_loss(kernel)
