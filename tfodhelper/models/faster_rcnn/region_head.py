"""The second stage: a class and a corrected box for what is cut out of the feature maps at each proposal.

R-FCN cuts out of its last maps, so that all its layers run over whole images (Dai et al. 2016; arXiv 1605.06409). What
is cut out is processed once over the proposals of all images. Boxes are in pixels of the model input. Shape letters:
B batch, P proposals of an image, N = B x P, K classes.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf
import tf_keras

from tfodhelper import losses as loss_ops
from tfodhelper.fields import Detections, Inputs, Losses, Predictions
from tfodhelper.models.faster_rcnn import frames, mask_stage
from tfodhelper.ops import box_coder, crops, hard_mining, nms, sampler, target_assigner


@dataclasses.dataclass(frozen=True)
class Cropping:
    """How proposals are cut out of the feature maps.

    Attributes:
      crop: a function of `ops.crops`.
      size: side S of the crops before the pooling.
      pool: (kernel size, strides) of the max pooling of the crops.
    """

    crop: Callable
    size: int
    pool: tuple

    def apply(self, feature_maps, proposals, image_size):
        """Crops of the feature maps, pooled.

        Args:
          feature_maps: list of float32 [B, h, w, c].
          proposals: float32 [B, P, 4], normalized.
          image_size: (height, width) of the model inputs.

        Returns:
          float32 [N, S', S', c].
        """
        levels = None
        if len(feature_maps) > 1:
            levels = crops.choose_levels(proposals, len(feature_maps), image_size)
        features = self.crop(feature_maps, proposals, levels, self.size)
        kernel_size, strides = self.pool
        if kernel_size > 1 or strides > 1:
            features = tf.nn.max_pool2d(features, kernel_size, strides, "VALID")
        return features


@dataclasses.dataclass(frozen=True)
class RegionLayers:
    """The parts of the second stage with variables, and what comes before them.

    Attributes:
      backbone: features [N, S', S', c], or of R-FCN [B, h, w, c] -> a list of one, with other sizes.
      head: features of crops -> box codes [N, 1 or K, 4], class logits [N, K + 1]; that of R-FCN also takes the
        proposals.
      cropping: a `Cropping`; None: the head cuts the proposals out of its own maps.
      masks: a `MaskStage`, which needs a `cropping`; None: no masks are predicted.
    """

    backbone: tf.Module
    head: tf.Module
    cropping: Cropping | None = None
    masks: mask_stage.MaskStage | None = None


@dataclasses.dataclass(frozen=True)
class SecondStage:
    """How proposals become detections, and what they are trained with.

    Attributes:
      assigner: a `TargetAssigner` of K + 1 columns, background first.
      sampler: a `BalancedSampler` of proposals in training.
      suppression: a `BatchNonMaxSuppression` that changes the frame.
      to_scores: class logits -> scores, same shape.
      classification: class logits, targets, weights -> [B, P], see `losses`.
      localization_weight: of its localization loss.
      classification_weight: of its classification loss.
      miner: a `HardExampleMiner` in place of the sampler, or None.
    """

    assigner: target_assigner.TargetAssigner
    sampler: sampler.BalancedSampler
    suppression: nms.BatchNonMaxSuppression
    to_scores: Callable
    classification: Callable
    localization_weight: float = 1.0
    classification_weight: float = 1.0
    miner: hard_mining.HardExampleMiner | None = None


class RegionHead(tf_keras.layers.Layer):
    """Detections from feature maps and proposals.

    Args:
      num_classes: K.
      layers: `RegionLayers`.
      settings: a `SecondStage`.
    """

    def __init__(self, num_classes, layers, settings, name="region_head"):
        super().__init__(name=name)
        self.backbone, self.head, self.masks = layers.backbone, layers.head, layers.masks
        self._cropping: Cropping | None = layers.cropping
        self._num_classes = num_classes
        self._settings: SecondStage = settings
        self.built = True

    def draw(self, proposals, count, groundtruth, image_shape, sample_order):
        """Draws the proposals that the stage is trained with; with hard example mining it takes them all.

        Args:
          proposals: float32 [B, P, 4].
          count: int32 [B], how many of them are proposals.
          groundtruth: see `Detector.losses`.
          image_shape: int32 [4], of the model inputs.
          sample_order: see `BalancedSampler.sample`.

        Returns:
          Proposals float32 [B, size of the sample, 4] and their number, int32 [B].
        """
        draw = self._settings.sampler
        if self._settings.miner is not None:
            return proposals, count
        if groundtruth is None:
            raise ValueError("a two-stage detector draws its proposals by ground truth in training; received None")
        targets = frames.assign(self._settings.assigner, proposals, groundtruth, image_shape)
        is_candidate = tf.sequence_mask(count, proposals.shape[1]) & (targets.class_weights > 0.0)
        is_drawn = draw.sample(is_candidate, targets.matches >= 0, sample_order)
        count, proposals = sampler.gather_drawn(is_drawn, draw.size, proposals)
        return proposals, count

    def predict(self, feature_maps, image_shape, proposals, training):
        """Runs the network, once over the proposals of all images.

        Args:
          feature_maps: list of float32 [B, h, w, c].
          image_shape: int32 [4], of the model inputs.
          proposals: float32 [B, P, 4].
          training: whether dropout works and batch norm moves.

        Returns:
          Raw predictions of proposals, keys of `fields.Predictions`; in training, masks are among them.
        """
        height, width = image_shape[1], image_shape[2]
        normalized = frames.normalize(proposals, height, width)
        if self._cropping is None:
            (features,) = self.backbone(feature_maps[0], training=training)
            codes, class_logits = self.head(features, normalized, training=training)
        else:
            features = self._cut_out(feature_maps, image_shape, normalized, training)
            codes, class_logits = self.head(features, training=training)
        predictions = {
            Predictions.PROPOSALS: normalized,
            Predictions.PROPOSALS_PX: proposals,
            Predictions.CLASSIFIER_FEATURES: features,
            Predictions.REFINED_BOX_CODES: codes,
            Predictions.CLASS_LOGITS: class_logits,
        }
        if training and self.masks is not None:
            predictions[Predictions.MASK_LOGITS] = self.masks.predict(features, training)
        return predictions

    def _cut_out(self, feature_maps, image_shape, boxes, training):
        """Features [N, h, w, c] of normalized boxes [B, P, 4]."""
        exact = [tf.cast(features, tf.float32) for features in feature_maps]
        regions = self._cropping.apply(exact, boxes, (image_shape[1], image_shape[2]))
        (features,) = self.backbone(tf.cast(regions, feature_maps[0].dtype), training=training)
        return features

    def predict_masks(self, predictions, boxes, classes):
        """Predicts the masks of detections, from features that are cut out at their boxes.

        Args:
          predictions: of the first stage.
          boxes: float32 [B, D, 4], normalized to the padded model input.
          classes: float32 [B, D], 0-based.

        Returns:
          Logits float32 [B x D, 1 or K, h, w] and the masks of the classes, float32 [B, D, h, w], 0 to 1.
        """
        feature_maps, image_shape = predictions[Predictions.FEATURE_MAPS], predictions[Predictions.IMAGE_SHAPE]
        logits = self.masks.predict(self._cut_out(feature_maps, image_shape, boxes, training=False), training=False)
        masks = tf.sigmoid(mask_stage.choose_class(logits, tf.cast(tf.reshape(classes, [-1]), tf.int32)))
        return logits, tf.reshape(masks, [tf.shape(boxes)[0], -1, *masks.shape[1:]])

    def losses_of(self, predictions, groundtruth):
        """Means over the images of the proposals' mean losses.

        Args:
          predictions: from `predict`, with the number of proposals and the image shape; with masks outside training
            also those of the first stage, the true shapes, and, where known, what `postprocess` returned.
          groundtruth: see `Detector.losses`.

        Returns:
          {name of `fields.Losses`: scalar}.
        """
        settings, proposals = self._settings, predictions[Predictions.PROPOSALS_PX]
        num_proposals = proposals.shape[1]
        targets = frames.assign(settings.assigner, proposals, groundtruth, predictions[Predictions.IMAGE_SHAPE])
        codes = _codes_of_targets(predictions[Predictions.REFINED_BOX_CODES], targets.class_targets)
        count = predictions[Predictions.NUM_PROPOSALS]
        counts = tf.cast(tf.sequence_mask(count, num_proposals), tf.float32)
        scale = counts / tf.cast(tf.maximum(count, 1), tf.float32)[:, tf.newaxis]
        localization = loss_ops.smooth_l1(codes, targets.box_targets, targets.box_weights) * scale
        classification = (
            settings.classification(self._class_logits(predictions), targets.class_targets, targets.class_weights)
            * scale
        )
        if settings.miner is not None:
            mined = settings.miner.select(localization, classification, proposals, targets.matches)
            localization, classification = localization * mined, classification * mined

        def mean(values, weight):
            return weight * tf.reduce_mean(tf.reduce_sum(values, axis=1))

        losses = {
            Losses.BOX_LOCALIZATION: mean(localization, settings.localization_weight),
            Losses.BOX_CLASSIFICATION: mean(classification, settings.classification_weight),
        }
        return losses if self.masks is None else losses | self._mask_losses(predictions, groundtruth)

    def _mask_losses(self, predictions, groundtruth):
        """Of the proposals in training, else of the detections."""
        image_shape, true_shapes = predictions[Predictions.IMAGE_SHAPE], predictions.get(Inputs.TRUE_IMAGE_SHAPE)
        if true_shapes is None:
            boxes, count = predictions[Predictions.PROPOSALS_PX], predictions[Predictions.NUM_PROPOSALS]
        else:
            if Detections.MASKS not in predictions:
                predictions = predictions | self.postprocess(predictions, true_shapes, None)
            boxes = frames.of_true_images(predictions[Detections.BOXES], true_shapes)
            count = tf.cast(predictions[Detections.NUM], tf.int32)
        return self.masks.losses_of(predictions[Predictions.MASK_LOGITS], boxes, count, groundtruth, image_shape)

    def postprocess(self, predictions, true_image_shapes, score_threshold):
        """See `Detector.postprocess`; raw boxes are clipped, and normalized to the true image.

        With masks, these and their logits are among the detections.
        """
        proposals = predictions[Predictions.PROPOSALS_PX]
        num_proposals = proposals.shape[1]
        codes = predictions[Predictions.REFINED_BOX_CODES]
        codes = tf.reshape(codes, [-1, num_proposals, codes.shape[1], box_coder.CODE_SIZE])
        boxes = box_coder.decode(codes, proposals[:, :, tf.newaxis], self._settings.assigner.scale_factors)
        class_logits = self._class_logits(predictions)
        scores = self._settings.to_scores(class_logits)
        is_proposal = tf.sequence_mask(predictions[Predictions.NUM_PROPOSALS], num_proposals)
        if boxes.shape[2] == 1:
            boxes = raw_boxes = boxes[:, :, 0]
        else:
            best = tf.argmax(class_logits[..., 1:], axis=-1, output_type=tf.int32)
            raw_boxes = tf.gather(boxes, best, batch_dims=2)
        windows = frames.true_windows(true_image_shapes)
        selected = self._settings.suppression.select(
            boxes, tf.where(is_proposal[..., tf.newaxis], scores[..., 1:], -1.0), windows, score_threshold
        )
        detections = frames.make_detections(selected, raw_boxes, scores, windows)
        if self.masks is None:
            return detections
        image_shape = predictions[Predictions.IMAGE_SHAPE]
        boxes = frames.normalize(
            frames.of_true_images(detections[Detections.BOXES], true_image_shapes), image_shape[1], image_shape[2]
        )
        return detections | self._find_masks(predictions, boxes, detections[Detections.CLASSES], selected.num)

    def _find_masks(self, predictions, boxes, classes, num):
        """Masks and their logits, keys of `fields`: of the rows that are detections, zeros in the others.

        Arguments as in `predict_masks`, and num, int32 [B].
        """
        batch, num_rows = tf.shape(boxes)[0], boxes.shape[1]
        most = num_rows if self.masks.keeps_shapes else tf.maximum(tf.reduce_max(num), 1)
        logits, masks = self.predict_masks(predictions, boxes[:, :most], classes[:, :most])
        logits = tf.reshape(logits, [batch, -1, *logits.shape[1:]])
        is_detection = tf.sequence_mask(num, most)[..., tf.newaxis, tf.newaxis]
        masks = tf.where(is_detection, masks, 0.0)
        if not self.masks.keeps_shapes:
            masks, logits = (_pad_rows(rows, num_rows - most, num_rows) for rows in (masks, logits))
        return {Detections.MASKS: masks, Predictions.MASK_LOGITS: tf.reshape(logits, [-1, *logits.shape[2:]])}

    def _class_logits(self, predictions):
        """float32 [B, P, K + 1], background first."""
        num_proposals = predictions[Predictions.PROPOSALS_PX].shape[1]
        return tf.reshape(predictions[Predictions.CLASS_LOGITS], [-1, num_proposals, self._num_classes + 1])


def _pad_rows(values, missing, num_rows):
    """[B, n, ...] with `missing` rows of zeros after the others: [B, num_rows, ...]."""
    padded = tf.pad(values, [[0, 0], [0, missing], *[[0, 0]] * (values.shape.rank - 2)])
    return tf.ensure_shape(padded, [None, num_rows, *values.shape[2:]])


def _codes_of_targets(codes, class_targets):
    """The box codes of the target classes.

    Args:
      codes: float32 [N, 1 or K, 4].
      class_targets: float32 [B, P, K + 1], one-hot, background first.

    Returns:
      float32 [B, P, 4]; zero where the target is the background and every class has its own box.
    """
    num_proposals = class_targets.shape[1]
    if codes.shape[1] == 1:
        return tf.reshape(codes, [-1, num_proposals, box_coder.CODE_SIZE])
    columns = tf.argmax(class_targets, axis=-1, output_type=tf.int32)
    codes = tf.reshape(codes, [-1, num_proposals, codes.shape[1], box_coder.CODE_SIZE])
    chosen = tf.gather(codes, tf.maximum(columns - 1, 0), batch_dims=2)
    return tf.where(columns[..., tf.newaxis] > 0, chosen, 0.0)
