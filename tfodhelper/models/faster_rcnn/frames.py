"""Boxes in pixels of the model input, in which both stages work, and in other frames.

Shape letters: B batch, M ground truth boxes, A anchors, P proposals of an image, K classes.
"""

import tensorflow as tf

from tfodhelper.fields import Detections, Groundtruth
from tfodhelper.ops import boxes as box_ops


def normalize(boxes_px, height, width):
    """Boxes in pixels -> normalized to the padded model input."""
    return box_ops.scale(boxes_px, 1.0 / tf.cast(height, tf.float32), 1.0 / tf.cast(width, tf.float32))


def true_windows(true_image_shapes):
    """float32 [B, 4]: where the true images are in the padded model inputs, in pixels."""
    far_corners = tf.cast(true_image_shapes[:, :2], tf.float32)
    return tf.concat([tf.zeros_like(far_corners), far_corners], axis=1)


def of_true_images(boxes, true_image_shapes):
    """Boxes [B, N, 4] normalized to the true images -> in pixels of the padded model inputs."""
    sides = tf.cast(true_image_shapes[:, :2], tf.float32)
    return boxes * tf.tile(sides[:, tf.newaxis], [1, 1, 2])


def assign(assigner, boxes_px, groundtruth, image_shape, classes=None):
    """Assigns ground truth to boxes in pixels.

    Args:
      assigner: a `TargetAssigner`.
      boxes_px: float32 [A, 4] or [B, P, 4].
      groundtruth: see `Detector.losses`.
      image_shape: int32 [4], of the model inputs.
      classes: int32 [B, M], in place of those of the ground truth, or None.

    Returns:
      `target_assigner.Targets`.
    """
    gt_classes = groundtruth[Groundtruth.CLASSES] if classes is None else classes
    gt_boxes = box_ops.scale(groundtruth[Groundtruth.BOXES], image_shape[1], image_shape[2])
    location_weights = groundtruth.get(Groundtruth.LOCATION_WEIGHTS)
    return assigner.assign(boxes_px, gt_boxes, gt_classes, groundtruth[Groundtruth.WEIGHTS], location_weights)


def make_detections(selected, raw_boxes_px, scores, windows):
    """Keys of `fields.Detections`.

    Args:
      selected: `nms.Selected`, boxes normalized to the true image.
      raw_boxes_px: float32 [B, P, 4].
      scores: float32 [B, P, K + 1], background first.
      windows: see `true_windows`; raw boxes are clipped to them.
    """
    is_detection = tf.sequence_mask(selected.num, selected.scores.shape[1])
    multiclass = tf.gather(scores, selected.indices, batch_dims=1)
    return {
        Detections.BOXES: selected.boxes,
        Detections.SCORES: selected.scores,
        Detections.CLASSES: selected.classes,
        Detections.NUM: tf.cast(selected.num, tf.float32),
        Detections.MULTICLASS_SCORES: tf.where(is_detection[..., tf.newaxis], multiclass, 0.0),
        Detections.ANCHOR_INDICES: tf.cast(selected.indices, tf.float32),
        Detections.RAW_BOXES: tf.clip_by_value(box_ops.change_frame(raw_boxes_px, windows), 0.0, 1.0),
        Detections.RAW_SCORES: scores,
    }
