"""From a CenterNet message to a toy detector."""

import tensorflow as tf
import tf_keras

from tests.families.toy import detector
from tfodhelper import resizers
from tfodhelper.models import layers, normalization, pixels
from tfodhelper.ops import nms

DEPTHS = (8, 16, 16)


def build_toy(message, is_training):
    """A `ToyDetector` whose backbone halves the input three times."""
    own = layers.ConvHyperparams(
        initializer=tf_keras.initializers.HeNormal(),
        regularizer=lambda kernel: 1e-4 * tf.nn.l2_loss(kernel),
        norm=normalization.NormHyperparams(momentum=0.9),
    )
    blocks = [
        layers.build_block(own, not is_training, channels, depth, 3, strides=2)
        for channels, depth in zip((3, *DEPTHS), DEPTHS)
    ]
    return detector.ToyDetector(
        num_classes=message.num_classes,
        resizer=resizers.build_resizer(message.image_resizer),
        scaling=pixels.MINUS_ONE_TO_ONE,
        backbone=detector.ToyBackbone(blocks),
        head=detector.ToyHead(DEPTHS[-1], message.num_classes),
        suppression=nms.BatchNonMaxSuppression(score_threshold=1e-8, max_per_class=10, max_total=10),
    )
