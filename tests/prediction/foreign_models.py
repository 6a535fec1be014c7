"""SavedModels of other programs, whose outputs are constants."""

import numpy as np
import tensorflow as tf

from tfodhelper import fields


def save_constant(folder, boxes, scores, classes, num=None, image_info=None, class_dtype=np.float32, masks=None):
    """Writes a SavedModel that finds the same in each image.

    Args:
      folder: gets a folder saved_model.
      boxes, scores, classes: of the detections, as the signature returns them.
      num: num_detections; None for as many as there are boxes.
      image_info: [4, 2] as the Model Garden has it, or None.
      class_dtype: of the classes.
      masks: [n, h, w] of any type, or None.

    Returns:
      The folder.
    """
    outputs = {
        fields.Detections.BOXES: np.float32(boxes).reshape(-1, 4),
        fields.Detections.SCORES: np.float32(scores),
        fields.Detections.CLASSES: np.asarray(classes, class_dtype),
        fields.Detections.NUM: np.float32(len(scores) if num is None else num),
    }
    if masks is not None:
        outputs[fields.Detections.MASKS] = np.asarray(masks)
    if image_info is not None:
        outputs["image_info"] = np.float32(image_info)
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8, "input_tensor")])
    def serve(images):
        zero = tf.cast(tf.reduce_sum(tf.cast(images, tf.int32)) * 0, tf.float32)
        return {key: tf.constant(value)[tf.newaxis] + tf.cast(zero, value.dtype) for key, value in outputs.items()}

    tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": serve})
    return folder


def save_first_generation(folder, boxes, scores, classes):
    """Writes a SavedModel as TensorFlow 1 wrote them: a graph with a variable, and a signature with `inputs`."""
    v1, outputs = tf.compat.v1, {"boxes": [boxes], "scores": [scores], "classes": [classes], "num": [len(scores)]}
    with tf.Graph().as_default(), v1.Session() as session:
        images = v1.placeholder(tf.uint8, [None, None, None, 3], "image_tensor")
        one = v1.get_variable("one", initializer=1.0)
        scale = one + 0.0 * tf.reduce_sum(tf.cast(images, tf.float32), axis=[1, 2, 3])  # [batch]
        keys = (fields.Detections.BOXES, fields.Detections.SCORES, fields.Detections.CLASSES, fields.Detections.NUM)
        tensors = {
            key: np.float32(value) * tf.reshape(scale, [-1, *[1] * (np.ndim(value) - 1)])
            for key, value in zip(keys, outputs.values())
        }
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), {"inputs": images}, tensors)
    return folder
