"""The first stage: feature maps, and boxes that hold any object (Ren et al. 2015, section 3.1; arXiv 1506.01497).

Boxes are in pixels of the model input. Shape letters: B batch, A anchors, P proposals of an image, c channels.
"""

import dataclasses

import tensorflow as tf
import tf_keras

from tfodhelper import losses as loss_ops
from tfodhelper.fields import Groundtruth, Losses, Predictions
from tfodhelper.models import pixels
from tfodhelper.models.faster_rcnn import frames
from tfodhelper.ops import anchors as anchor_ops
from tfodhelper.ops import box_coder, nms, sampler, target_assigner
from tfodhelper.ops import boxes as box_ops


@dataclasses.dataclass(frozen=True)
class ProposalLayers:
    """The parts of the first stage with variables, and what comes right before them.

    Attributes:
      backbone: images -> list of feature maps.
      neck: feature maps -> feature maps, or None.
      block: a `ConvBlock` that each map goes through before its proposals are predicted.
      head: list of maps -> box codes [B, A, 4], logits [B, A, 2].
      pad_to_multiple: height and width of the input are padded with zeros to a multiple of this.
    """

    backbone: tf.Module
    neck: tf.Module | None
    block: tf.Module
    head: tf.Module
    pad_to_multiple: int = 1


@dataclasses.dataclass(frozen=True)
class FirstStage:
    """How anchors become proposals, and what they are trained with.

    Attributes:
      anchors: a `PixelAnchors`.
      assigner: a `TargetAssigner` of two columns: background and object.
      sampler: a `BalancedSampler` of anchors in training.
      eval_sampler: the same for the losses of evaluation.
      suppression: a `BatchNonMaxSuppression` that keeps the frame.
      clip_anchors: whether anchors are clipped to the image in training; else those that reach over it are left out.
      keep_shapes: whether clipped anchors without area stay in evaluation, so that shapes are static.
      localization_weight: of its localization loss.
      objectness_weight: of its classification loss.
    """

    anchors: anchor_ops.PixelAnchors
    assigner: target_assigner.TargetAssigner
    sampler: sampler.BalancedSampler
    eval_sampler: sampler.BalancedSampler
    suppression: nms.BatchNonMaxSuppression
    clip_anchors: bool = False
    keep_shapes: bool = False
    localization_weight: float = 1.0
    objectness_weight: float = 1.0


class ProposalNetwork(tf_keras.layers.Layer):
    """Feature maps and proposals.

    Args:
      layers: `ProposalLayers`.
      settings: a `FirstStage`.
    """

    def __init__(self, layers, settings, name="proposal_network"):
        super().__init__(name=name)
        self.backbone, self.neck = layers.backbone, layers.neck
        self.block, self.head = layers.block, layers.head
        self._pad_to_multiple = layers.pad_to_multiple
        self._settings: FirstStage = settings
        self.built = True

    def predict(self, inputs, training):
        """Runs the network.

        Args:
          inputs: float32 [B, height, width, 3], normalized.
          training: whether batch norm moves, and anchors over the border are left out.

        Returns:
          Raw predictions of anchors, keys of `fields.Predictions`.
        """
        feature_maps = self.backbone(pixels.pad_to_multiple(inputs, self._pad_to_multiple), training=training)
        if self.neck is not None:
            feature_maps = self.neck(feature_maps, training=training)
        rpn_features = [self.block(features, training=training) for features in feature_maps]
        codes, logits = self.head(rpn_features, training=training)
        anchors = self._settings.anchors.generate([pixels.size_of(features) for features in feature_maps])
        anchors, codes, logits = self._limit_anchors(anchors, codes, logits, pixels.size_of(inputs), training)
        return {
            Predictions.FEATURE_MAPS: feature_maps,
            Predictions.RPN_FEATURES: rpn_features,
            Predictions.IMAGE_SHAPE: tf.shape(inputs),
            Predictions.ANCHORS: anchors,
            Predictions.RPN_BOX_CODES: codes,
            Predictions.RPN_LOGITS: logits,
        }

    def _limit_anchors(self, anchors, codes, logits, image_size, training):
        """Clips anchors to the model input, or leaves out, with their predictions, those that reach over it."""
        height, width = (tf.cast(size, tf.float32) for size in image_size)
        window = tf.stack([0.0, 0.0, height, width])
        clipped = box_ops.clip_to_window(anchors[tf.newaxis], window[tf.newaxis])[0]
        if training and not self._settings.clip_anchors:
            is_kept = tf.reduce_all(tf.equal(anchors, clipped), axis=1)
            is_kept |= ~tf.reduce_any(is_kept)  # where the image is smaller than all of them, they all serve
        elif training or self._settings.keep_shapes:
            return clipped, codes, logits
        else:
            is_kept = box_ops.area(clipped) > 0.0
        kept = tf.where(is_kept)[:, 0]
        return tf.gather(clipped, kept), tf.gather(codes, kept, axis=1), tf.gather(logits, kept, axis=1)

    def propose(self, predictions, true_image_shapes):
        """Makes proposals of the predictions.

        Args:
          predictions: from `predict`.
          true_image_shapes: int32 [B, 3].

        Returns:
          `nms.Selected`: boxes float32 [B, P, 4] with their objectness, the best first.
        """
        boxes, scores = self._decode(predictions)
        return self._settings.suppression.select(boxes, scores[..., 1:], frames.true_windows(true_image_shapes))

    def _decode(self, predictions):
        """Boxes float32 [B, A, 4] and scores float32 [B, A, 2], background first."""
        codes, anchors = predictions[Predictions.RPN_BOX_CODES], predictions[Predictions.ANCHORS]
        boxes = box_coder.decode(codes, anchors, self._settings.assigner.scale_factors)
        return boxes, tf.nn.softmax(predictions[Predictions.RPN_LOGITS])

    def losses_of(self, predictions, groundtruth, training, sample_order):
        """Means over the images of the drawn anchors' mean losses.

        Args:
          predictions: from `predict`.
          groundtruth: see `Detector.losses`.
          training: whether anchors are drawn as in training.
          sample_order: see `BalancedSampler.sample`.

        Returns:
          {name of `fields.Losses`: scalar}.
        """
        settings = self._settings
        targets = frames.assign(
            settings.assigner,
            predictions[Predictions.ANCHORS],
            groundtruth,
            predictions[Predictions.IMAGE_SHAPE],
            classes=tf.zeros_like(groundtruth[Groundtruth.CLASSES]),
        )
        drawing = settings.sampler if training else settings.eval_sampler
        is_object = targets.class_targets[..., 1] > 0.0
        drawn = tf.cast(drawing.sample(targets.class_weights > 0.0, is_object, sample_order), tf.float32)
        localization = loss_ops.smooth_l1(
            predictions[Predictions.RPN_BOX_CODES], targets.box_targets, drawn * targets.box_weights
        )
        # Examples that fill up a sample of fixed size count as background, whatever their weight.
        weights = tf.where(targets.matches >= 0, targets.match_weights, tf.cast(~targets.is_in_region, tf.float32))
        objectness = loss_ops.softmax(predictions[Predictions.RPN_LOGITS], targets.class_targets, drawn * weights)
        count = tf.maximum(tf.reduce_sum(drawn, axis=1), 1.0)

        def mean(values, weight):
            return weight * tf.reduce_mean(tf.reduce_sum(values, axis=1) / count)

        return {
            Losses.RPN_LOCALIZATION: mean(localization, settings.localization_weight),
            Losses.RPN_OBJECTNESS: mean(objectness, settings.objectness_weight),
        }

    def postprocess(self, predictions, true_image_shapes, score_threshold):
        """Proposals as detections of class 0, scored by their objectness; see `Detector.postprocess`."""
        boxes, scores = self._decode(predictions)
        windows = frames.true_windows(true_image_shapes)
        selected = self._settings.suppression.select(boxes, scores[..., 1:], windows, score_threshold)
        selected = selected._replace(boxes=box_ops.change_frame(selected.boxes, windows))
        return frames.make_detections(selected, boxes, scores, windows)
