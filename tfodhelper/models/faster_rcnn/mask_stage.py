"""The third stage of Mask R-CNN: a mask inside each box (He et al. 2017, section 3; arXiv 1703.06870).

In training masks are predicted from the features that classify the proposals. Otherwise they are predicted for
detections alone, from features that are cut out at their corrected boxes. Shape letters: B batch, P proposals or
detections of an image, N = B x P, K classes.
"""

import dataclasses

import tensorflow as tf
import tf_keras

from tfodhelper import losses as loss_ops
from tfodhelper.fields import Groundtruth, Losses
from tfodhelper.models.faster_rcnn import frames
from tfodhelper.ops import mask_targets, target_assigner


@dataclasses.dataclass(frozen=True)
class ThirdStage:
    """What the masks are trained with, and which are predicted.

    Attributes:
      assigner: the `TargetAssigner` of the second stage.
      drops_outside: see `mask_targets.crop_masks`.
      weight: of the loss.
      keeps_shapes: whether masks are predicted for all rows of detections, so that shapes are static, or only for as
        many as the image with the most detections has.
    """

    assigner: target_assigner.TargetAssigner
    drops_outside: bool = True
    weight: float = 1.0
    keeps_shapes: bool = False


class MaskStage(tf_keras.layers.Layer):
    """Masks from features of boxes.

    Args:
      head: features [N, h, w, c] -> logits [N, 1 or K, mask height, mask width].
      settings: a `ThirdStage`.
    """

    def __init__(self, head, settings, name="mask_stage"):
        super().__init__(name=name)
        self.head = head
        self._settings: ThirdStage = settings
        self.built = True

    @property
    def keeps_shapes(self):
        """See `ThirdStage`."""
        return self._settings.keeps_shapes

    def predict(self, features, training):
        """Mask logits float32 [N, 1 or K, mask height, mask width] from features [N, h, w, c]."""
        return self.head(features, training=training)

    def losses_of(self, logits, boxes, count, groundtruth, image_shape):
        """Cross entropy of the pixels of the masks of boxes that match an object with a mask, in the object's class.

        Args:
          logits: float32 [N, 1 or K, mask height, mask width].
          boxes: float32 [B, P, 4], in pixels of the model input, in which the masks are.
          count: [B], how many of them are not padding.
          groundtruth: see `Detector.losses`; with masks.
          image_shape: int32 [4], of the model inputs.

        Returns:
          {name of `fields.Losses`: scalar}, the mean over all pixels of all these masks of the batch.

        Raises:
          ValueError: the ground truth has no masks.
        """
        if Groundtruth.MASKS not in groundtruth:
            raise ValueError(
                f"a detector of masks is compared with masks: the ground truth has no {Groundtruth.MASKS}; it has them "
                "with load_instance_masks in the input reader"
            )
        num_boxes, size = boxes.shape[1], tuple(logits.shape[2:])
        targets = frames.assign(self._settings.assigner, boxes, groundtruth, image_shape)
        rows = tf.maximum(targets.matches, 0)
        masks = mask_targets.crop_masks(
            groundtruth[Groundtruth.MASKS],
            frames.normalize(boxes, image_shape[1], image_shape[2]),
            rows,
            size,
            self._settings.drops_outside,
        )
        weights = targets.box_weights * tf.cast(tf.sequence_mask(count, num_boxes), tf.float32)
        if Groundtruth.MASK_WEIGHTS in groundtruth:
            weights *= _gather_rows(groundtruth[Groundtruth.MASK_WEIGHTS], rows)
        columns = tf.argmax(targets.class_targets, axis=-1, output_type=tf.int32)
        chosen = choose_class(logits, tf.reshape(tf.maximum(columns - 1, 0), [-1]))
        num_pixels = size[0] * size[1]
        values = loss_ops.sigmoid(
            tf.reshape(chosen, [-1, num_boxes, num_pixels]), tf.reshape(masks, [-1, num_boxes, num_pixels]), weights
        )
        mean = tf.reduce_sum(values) / tf.maximum(tf.reduce_sum(weights) * float(num_pixels), 1.0)
        return {Losses.MASK: self._settings.weight * mean}


def choose_class(logits, classes):
    """The masks of one class each.

    Args:
      logits: float32 [N, 1 or K, h, w].
      classes: int32 [N], 0-based.

    Returns:
      float32 [N, h, w]; those of all classes where there is one mask for all.
    """
    if logits.shape[1] == 1:
        return logits[:, 0]
    return tf.gather(logits, classes, batch_dims=1)


def _gather_rows(values, rows):
    """[B, M] at rows [B, P] of ground truth, of which there may be none."""
    if not values.shape[1]:
        values = tf.pad(values, [[0, 0], [0, 1]])
    return tf.gather(values, rows, batch_dims=1)
