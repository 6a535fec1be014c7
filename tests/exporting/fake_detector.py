"""A detector with one variable whose outputs can be computed by hand: the contract, and nothing more."""

import numpy as np
import tensorflow as tf
import tf_keras

from tfodhelper import fields
from tfodhelper.exporting import serving

SIZE = 8
NUM_CLASSES = 2


class FakeDetector(tf_keras.Model):
    """Finds one box, the whole image, of class 0; its score is `gain` times the mean of the red channel over 255.

    A second detection, of score 0, fills the row. Every image is resized to 8x8 pixels.
    """

    def __init__(self, gain=0.5):
        super().__init__()
        self.gain = tf.Variable(gain, dtype=tf.float32, name="gain")

    def preprocess(self, images):
        resized, shapes = self.resizer(images)
        return self.normalize(resized, shapes), shapes

    def resizer(self, images):
        shape = tf.tile(tf.constant([[SIZE, SIZE, 3]]), [tf.shape(images)[0], 1])
        return tf.image.resize(images, [SIZE, SIZE]), shape

    def normalize(self, images, true_image_shapes=None):
        return images / 255.0

    def predict_raw(self, inputs, true_image_shapes, training):
        return self.predict_from_features(self.extract_features(inputs), tuple(inputs.shape[1:3]))

    def extract_features(self, inputs, training=False):
        return [inputs]

    def predict_from_features(self, feature_maps, image_size, training=False):
        red = tf.reduce_mean(feature_maps[0][..., 0], axis=[1, 2])
        return {"red": self.gain * red, fields.Predictions.FEATURE_MAPS: feature_maps}

    def served_predictions(self, predictions):
        return {}

    def postprocess(self, predictions, true_image_shapes, score_threshold=None):
        red = predictions["red"]
        batch = tf.shape(red)[0]
        score = tf.stack([red, tf.zeros_like(red)], axis=1)
        box = tf.constant([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
        return {
            fields.Detections.BOXES: tf.tile(box[tf.newaxis], [batch, 1, 1]),
            fields.Detections.SCORES: score,
            fields.Detections.CLASSES: tf.zeros_like(score),
            fields.Detections.NUM: tf.ones_like(red),
            fields.Detections.RAW_SCORES: score[..., tf.newaxis],
            fields.Detections.ANCHOR_INDICES: tf.zeros([batch, 2], tf.int32),
        }


class FreeSizeDetector(FakeDetector):
    """The same without a fixed input size, like a resizer that keeps the aspect ratio without padding."""

    def resizer(self, images):
        shape = tf.shape(images)
        return tf.cast(images, tf.float32), tf.tile(shape[tf.newaxis, 1:], [shape[0], 1])


def save_model(folder, detector=None, input_type="image_tensor", batch_size=1):
    """Writes the SavedModel of a detector into a folder with the layout of an export; returns the folder."""
    module = serving.ServingModule(detector or FakeDetector(), input_type, batch_size)
    tf.saved_model.save(module, str(folder / "saved_model"), signatures=module.signatures)
    return folder


def red_image(value, height=10, width=20):
    """uint8 [height, width, 3]: an image whose score is `gain` times `value` over 255."""
    image = np.zeros([height, width, 3], np.uint8)
    image[..., 0] = value
    return image
