"""What the builders of all detectors share: how messages are read, losses, suppression."""

import functools

import tensorflow as tf

from tfodhelper import errors, losses
from tfodhelper.families import values
from tfodhelper.models import hyperparams, xla
from tfodhelper.ops import hard_mining, nms


def look_up(table, name, field):
    """table[name]; a ConfigError lists what is known."""
    if name not in table:
        raise errors.ConfigError(
            f"{field}: {name!r} is not known" if name else f"{field}: nothing is set",
            expected="one of " + ", ".join(sorted(table)),
            received=name or "nothing",
        )
    return table[name]


def choose(message, oneof, table):
    """The entry of `table` for what is set in a oneof, and the message that is set there."""
    name = message.WhichOneof(oneof)
    entry = look_up(table, name, oneof.removesuffix("_oneof"))
    return entry, getattr(message, name)


def is_first_generation(feature_extractor_type):
    """Whether the type of a feature extractor names a network of the first generation, made of TF-Slim's layers."""
    return not feature_extractor_type.endswith("_keras")


def build_focal(message):
    """The focal loss, from a SigmoidFocalClassificationLoss message."""
    return functools.partial(
        losses.sigmoid_focal, gamma=message.gamma, alpha=message.alpha if message.HasField("alpha") else None
    )


def build_miner(miner, localization_weight, classification_weight):
    """A `HardExampleMiner` from its message and the weights that the losses have elsewhere."""
    kind = hyperparams.enum_name(miner, "loss_type")
    weights = {
        "BOTH": (localization_weight, classification_weight),
        "CLASSIFICATION": (0.0, 1.0),
        "LOCALIZATION": (1.0, 0.0),
    }[kind]
    return hard_mining.HardExampleMiner(
        num_hard_examples=miner.num_hard_examples if miner.num_hard_examples > 0 else None,
        iou_threshold=miner.iou_threshold,
        localization_weight=weights[0],
        classification_weight=weights[1],
        max_negatives_per_positive=miner.max_negatives_per_positive if miner.max_negatives_per_positive > 0 else None,
        min_negatives_per_image=miner.min_negatives_per_image,
        is_compiled=xla.is_target(),
    )


def build_score_converter(message):
    """class logits -> scores, from a PostProcessing message."""
    convert = SCORE_CONVERTERS[hyperparams.enum_name(message, "score_converter")]
    if message.logit_scale == 1.0:
        return convert
    return lambda class_logits: convert(class_logits * (1.0 / message.logit_scale))


def build_suppression(message):
    """A `BatchNonMaxSuppression` from a BatchNonMaxSuppression message."""
    values.check_suppression(message)
    return nms.BatchNonMaxSuppression(
        score_threshold=message.score_threshold,
        iou_threshold=message.iou_threshold,
        max_per_class=message.max_detections_per_class,
        max_total=message.max_total_detections,
        soft_sigma=message.soft_nms_sigma,
        is_class_agnostic=message.use_class_agnostic_nms,
        change_frame=message.change_coordinate_frame,
    )


LOCALIZATION_LOSSES = {
    "weighted_l2": lambda message: losses.l2,
    "weighted_smooth_l1": lambda message: functools.partial(losses.smooth_l1, delta=message.delta),
    "l1_localization_loss": lambda message: losses.l1,
}

CLASSIFICATION_LOSSES = {
    "weighted_sigmoid": lambda message: losses.sigmoid,
    "weighted_sigmoid_focal": build_focal,
    "weighted_softmax": lambda message: functools.partial(losses.softmax, logit_scale=message.logit_scale),
    "bootstrapped_sigmoid": lambda message: functools.partial(
        losses.bootstrapped_sigmoid, alpha=message.alpha, hard=message.hard_bootstrap
    ),
}

SCORE_CONVERTERS = {"IDENTITY": tf.identity, "SIGMOID": tf.sigmoid, "SOFTMAX": tf.nn.softmax}
