"""Each cell of a grid says which classes have an object's middle in it, and where that object's corners are.

Shape letters: B batch, M ground truth boxes, C cells, K classes.
"""

import tensorflow as tf
import tf_keras

from tests.families.toy import row
from tfodhelper.checkpoints.keys import ClassColumns, Part
from tfodhelper.families import roles
from tfodhelper.fields import Detections, Groundtruth, Predictions
from tfodhelper.models import detector, keras_keys, layers, pixels

PRESENCE_LOGITS = "toy_presence_logits"  # float32 [B, C, K]
CORNER_LOGITS = "toy_corner_logits"  # float32 [B, C, 4]
GRID = "toy_grid"  # int32 [2], height and width


class ToyBackbone(tf_keras.layers.Layer):
    """Blocks in a row."""

    def __init__(self, blocks):
        super().__init__(name="toy_backbone")
        self.blocks = blocks
        self.built = True

    def call(self, inputs, training=False):
        for block in self.blocks:
            inputs = block(inputs, training=training)
        return inputs

    def regularization_losses(self):
        return [loss for block in self.blocks for loss in block.regularization_losses()]

    def checkpoint_keys(self):
        return keras_keys.number_keys([layer for block in self.blocks for layer in block.layers_in_order()])


class ToyHead(tf_keras.layers.Layer):
    """Two convolutions of 1x1."""

    def __init__(self, in_channels, num_classes):
        super().__init__(name="toy_head")
        initializer = tf_keras.initializers.GlorotUniform()
        make = lambda width: layers.Convolution(in_channels, width, 1, initializer=initializer, use_bias=True)  # noqa: E731
        self.presence, self.corners = make(num_classes), make(4)
        self.built = True

    def call(self, features):
        presence, corners = self.presence(features), self.corners(features)
        cells = presence.shape[1] * presence.shape[2]
        return tf.reshape(presence, [-1, cells, presence.shape[-1]]), tf.reshape(corners, [-1, cells, 4])

    def regularization_losses(self):
        return []

    def checkpoint_keys(self):
        return keras_keys.keys_under("presence", self.presence) | keras_keys.keys_under("corners", self.corners)


class ToyDetector(detector.Detector):
    """The contract of a detector, and nothing more."""

    def __init__(self, num_classes, resizer, scaling, backbone, head, suppression):
        super().__init__(num_classes, resizer, name="toy")
        self.backbone, self.head = backbone, head
        self._scaling, self._suppression = scaling, suppression
        self.built = True

    def normalize(self, images, true_image_shapes=None):
        return self._scaling.apply(images, true_image_shapes)

    def predict_raw(self, inputs, true_image_shapes, training=False, groundtruth=None):
        features = self.backbone(inputs, training=training)
        presence, corners = self.head(features)
        return {
            Predictions.FEATURE_MAPS: [features],
            PRESENCE_LOGITS: presence,
            CORNER_LOGITS: corners,
            GRID: tf.stack(pixels.size_of(features)),
        }

    def losses(self, predictions, groundtruth, training=False):
        presence, corners = predictions[PRESENCE_LOGITS], predictions[CORNER_LOGITS]
        boxes, weights = groundtruth[Groundtruth.BOXES], groundtruth[Groundtruth.WEIGHTS]
        cells = _cells_of(boxes, predictions[GRID])
        one_hot = tf.one_hot(groundtruth[Groundtruth.CLASSES], self.num_classes) * weights[..., tf.newaxis]
        of_cells = tf.one_hot(cells, presence.shape[1])
        targets = tf.minimum(tf.einsum("bmc,bmk->bck", of_cells, one_hot), 1.0)
        distances = tf.abs(tf.sigmoid(tf.gather(corners, cells, batch_dims=1)) - boxes)
        normalizer = tf.maximum(tf.reduce_sum(weights), 1.0)
        entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=presence)
        return {
            row.PRESENCE: tf.reduce_sum(entropy) / normalizer,
            row.CORNERS: tf.reduce_sum(distances * weights[..., tf.newaxis]) / normalizer,
        }

    def postprocess(self, predictions, true_image_shapes, score_threshold=None):
        boxes, scores = tf.sigmoid(predictions[CORNER_LOGITS]), tf.sigmoid(predictions[PRESENCE_LOGITS])
        low, high = tf.minimum(boxes[..., :2], boxes[..., 2:]), tf.maximum(boxes[..., :2], boxes[..., 2:])
        boxes = tf.concat([low, high], axis=-1)
        windows = tf.tile([[0.0, 0.0, 1.0, 1.0]], [tf.shape(boxes)[0], 1])
        selected = self._suppression.select(boxes, scores, windows, score_threshold)
        return {
            Detections.BOXES: selected.boxes,
            Detections.SCORES: selected.scores,
            Detections.CLASSES: selected.classes,
            Detections.NUM: tf.cast(selected.num, tf.float32),
            Detections.ANCHOR_INDICES: tf.cast(selected.indices, tf.float32),
            Detections.RAW_BOXES: boxes,
            Detections.RAW_SCORES: scores,
        }

    def parts(self):
        of_classes = [key for key in self.head.checkpoint_keys() if key.startswith("presence/")]
        return [
            Part("_toy_backbone", self.backbone, roles.BACKBONE),
            Part("_toy_head", self.head, roles.HEAD, class_columns=dict.fromkeys(of_classes, ClassColumns(0))),
        ]


def _cells_of(boxes, grid):
    """int32 [B, M]: the cells that the middles of the boxes [B, M, 4] are in."""
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2.0
    places = tf.minimum(tf.cast(middles * tf.cast(grid, tf.float32), tf.int32), grid - 1)
    return places[..., 0] * grid[1] + places[..., 1]
