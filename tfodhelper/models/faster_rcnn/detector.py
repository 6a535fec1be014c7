"""Two-stage detectors (Ren et al. 2015; arXiv 1506.01497).

The first stage proposes boxes that hold any object; the second one classifies and corrects what it cuts out of the
feature maps there, for the proposals of all images at once. Boxes are in pixels of the model input inside this module.

Shape letters: B batch, M ground truth boxes, A anchors, P proposals of an image, N = B x P, K classes, D detections.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfodhelper import losses as loss_ops
from tfodhelper.checkpoints import keys as checkpoint_keys
from tfodhelper.fields import Detections, Groundtruth, Losses, Predictions
from tfodhelper.models import detector, layers, pixels
from tfodhelper.ops import anchors as anchor_ops
from tfodhelper.ops import box_coder, crops, hard_mining, nms, sampler, target_assigner
from tfodhelper.ops import boxes as box_ops


@dataclasses.dataclass(frozen=True)
class Network:
    """The parts with variables, and what comes right before them.

    Attributes:
      scaling: a `PixelScaling`.
      backbone: images -> list of feature maps.
      neck: feature maps -> feature maps, or None.
      rpn_block: a `ConvBlock` that each map goes through before its proposals are predicted.
      rpn_head: list of maps -> box codes [B, A, 4], logits [B, A, 2].
      classifier_backbone: crops [N, S, S, c] -> a list of one [N, h, w, c]; None where there is one stage.
      head: features of crops -> box codes [N, 1 or K, 4], class logits [N, K + 1]; None where there is one stage.
      pad_to_multiple: height and width of the input are padded with zeros to a multiple of this.
    """

    scaling: pixels.PixelScaling
    backbone: tf.Module
    neck: tf.Module | None
    rpn_block: tf.Module
    rpn_head: tf.Module
    classifier_backbone: tf.Module | None
    head: tf.Module | None
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


@dataclasses.dataclass(frozen=True)
class SecondStage:
    """How proposals become detections, and what they are trained with.

    Attributes:
      assigner: a `TargetAssigner` of K + 1 columns, background first.
      sampler: a `BalancedSampler` of proposals in training.
      crop: a function of `ops.crops`.
      crop_size: side of the crops before the pooling.
      pool: (kernel size, strides) of the max pooling of the crops.
      suppression: a `BatchNonMaxSuppression` that changes the frame.
      to_scores: class logits -> scores, same shape.
      classification: class logits, targets, weights -> [B, P], see `losses`.
      localization_weight: of its localization loss.
      classification_weight: of its classification loss.
      miner: a `HardExampleMiner` in place of the sampler, or None.
    """

    assigner: target_assigner.TargetAssigner
    sampler: sampler.BalancedSampler
    crop: Callable
    crop_size: int
    pool: tuple
    suppression: nms.BatchNonMaxSuppression
    to_scores: Callable
    classification: Callable
    localization_weight: float = 1.0
    classification_weight: float = 1.0
    miner: hard_mining.HardExampleMiner | None = None


class FasterRCNNDetector(detector.Detector):
    """A two-stage detector made of its parts; with a `FirstStage` alone, its detections are the proposals.

    Args:
      num_classes: K.
      resizer: see `detector.Detector`.
      network: a `Network`.
      first_stage: a `FirstStage`.
      second_stage: a `SecondStage`, or None.

    Attributes:
      sample_order: shape -> float32, see `BalancedSampler.sample`; random.
    """

    def __init__(self, num_classes, resizer, network, first_stage, second_stage=None, name="faster_rcnn"):
        super().__init__(num_classes, resizer, name=name)
        self.backbone, self.neck = network.backbone, network.neck
        self.rpn_block, self.rpn_head = network.rpn_block, network.rpn_head
        self.classifier_backbone, self.head = network.classifier_backbone, network.head
        self._scaling, self._pad_to_multiple = network.scaling, network.pad_to_multiple
        self._first: FirstStage = first_stage
        self._second: SecondStage | None = second_stage
        self.sample_order = sampler.random_order
        self.built = True

    def normalize(self, images, true_image_shapes=None):
        """See `Detector.normalize`; padding is scaled as pixels are."""
        del true_image_shapes
        return self._scaling.scale_pixels(images)

    def predict_raw(self, inputs, true_image_shapes, training=False, groundtruth=None):
        """See `Detector.predict_raw`; in training proposals are drawn by their ground truth."""
        predictions = self._propose(inputs, training)
        if self._second is None and training:
            return predictions
        selected = self._suppress(predictions, true_image_shapes)
        if self._second is None:
            height, width = pixels.size_of(inputs)
            predictions[Predictions.PROPOSALS] = _normalize(selected.boxes, height, width)
            predictions[Predictions.NUM_PROPOSALS] = selected.num
            return predictions
        proposals, count = tf.stop_gradient(selected.boxes), selected.num
        if training and self._second.miner is None:
            proposals, count = self._draw_proposals(proposals, count, groundtruth, predictions)
        predictions.update(self._classify(predictions, proposals, training))
        predictions[Predictions.NUM_PROPOSALS] = count
        return predictions

    def _propose(self, inputs, training):
        """The first stage's network and its anchors."""
        feature_maps = self.backbone(pixels.pad_to_multiple(inputs, self._pad_to_multiple), training=training)
        if self.neck is not None:
            feature_maps = self.neck(feature_maps, training=training)
        rpn_features = [self.rpn_block(features, training=training) for features in feature_maps]
        codes, logits = self.rpn_head(rpn_features, training=training)
        anchors = self._first.anchors.generate([pixels.size_of(features) for features in feature_maps])
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
        if training and not self._first.clip_anchors:
            is_kept = tf.reduce_all(tf.equal(anchors, clipped), axis=1)
            is_kept |= ~tf.reduce_any(is_kept)  # where the image is smaller than all of them, they all serve
        elif training or self._first.keep_shapes:
            return clipped, codes, logits
        else:
            is_kept = box_ops.area(clipped) > 0.0
        kept = tf.where(is_kept)[:, 0]
        return tf.gather(clipped, kept), tf.gather(codes, kept, axis=1), tf.gather(logits, kept, axis=1)

    def _suppress(self, predictions, true_image_shapes):
        """`nms.Selected` proposals in pixels, with their objectness."""
        boxes = box_coder.decode(
            predictions[Predictions.RPN_BOX_CODES], predictions[Predictions.ANCHORS], self._first.assigner.scale_factors
        )
        objectness = tf.nn.softmax(predictions[Predictions.RPN_LOGITS])[..., 1:]
        return self._first.suppression.select(boxes, objectness, _true_windows(true_image_shapes))

    def _draw_proposals(self, proposals, count, groundtruth, predictions):
        """Draws the proposals that the second stage is trained with."""
        if groundtruth is None:
            raise ValueError("a two-stage detector draws its proposals by ground truth in training; received None")
        draw = self._second.sampler
        targets = self._assign(self._second.assigner, proposals, groundtruth, predictions)
        is_candidate = tf.sequence_mask(count, proposals.shape[1]) & (targets.class_weights > 0.0)
        is_drawn = draw.sample(is_candidate, targets.matches >= 0, self.sample_order)
        count, proposals = sampler.gather_drawn(is_drawn, draw.size, proposals)
        return proposals, count

    def _assign(self, assigner, boxes, groundtruth, predictions, classes=None):
        """`Targets` of boxes in pixels."""
        gt_classes = groundtruth[Groundtruth.CLASSES] if classes is None else classes
        height, width = predictions[Predictions.IMAGE_SHAPE][1], predictions[Predictions.IMAGE_SHAPE][2]
        gt_boxes = box_ops.scale(groundtruth[Groundtruth.BOXES], height, width)
        return assigner.assign(boxes, gt_boxes, gt_classes, groundtruth[Groundtruth.WEIGHTS])

    def _classify(self, predictions, proposals, training):
        """The second stage's network, once over the proposals [B, P, 4] of all images."""
        second, feature_maps = self._second, predictions[Predictions.FEATURE_MAPS]
        height, width = predictions[Predictions.IMAGE_SHAPE][1], predictions[Predictions.IMAGE_SHAPE][2]
        normalized = _normalize(proposals, height, width)
        levels = None
        if len(feature_maps) > 1:
            levels = crops.choose_levels(normalized, len(feature_maps), (height, width))
        features = second.crop(feature_maps, normalized, levels, second.crop_size)
        kernel_size, strides = second.pool
        if kernel_size > 1 or strides > 1:
            features = tf.nn.max_pool2d(features, kernel_size, strides, "VALID")
        (features,) = self.classifier_backbone(features, training=training)
        codes, class_logits = self.head(features, training=training)
        return {
            Predictions.PROPOSALS: normalized,
            Predictions.PROPOSALS_PX: proposals,
            Predictions.CLASSIFIER_FEATURES: features,
            Predictions.REFINED_BOX_CODES: codes,
            Predictions.CLASS_LOGITS: class_logits,
        }

    def losses(self, predictions, groundtruth, training=False):
        """See `Detector.losses`."""
        losses = self._first_losses(predictions, groundtruth, training)
        if self._second is not None:
            losses.update(self._second_losses(predictions, groundtruth))
        return losses

    def _first_losses(self, predictions, groundtruth, training):
        """Means over the images of the drawn anchors' mean losses."""
        first, codes = self._first, predictions[Predictions.RPN_BOX_CODES]
        targets = self._assign(
            first.assigner,
            predictions[Predictions.ANCHORS],
            groundtruth,
            predictions,
            classes=tf.zeros_like(groundtruth[Groundtruth.CLASSES]),
        )
        drawing = first.sampler if training else first.eval_sampler
        is_object = targets.class_targets[..., 1] > 0.0
        drawn = tf.cast(drawing.sample(targets.class_weights > 0.0, is_object, self.sample_order), tf.float32)
        localization = loss_ops.smooth_l1(codes, targets.box_targets, drawn * targets.box_weights)
        objectness = loss_ops.softmax(predictions[Predictions.RPN_LOGITS], targets.class_targets, drawn)
        count = tf.maximum(tf.reduce_sum(drawn, axis=1), 1.0)

        def mean(values, weight):
            return weight * tf.reduce_mean(tf.reduce_sum(values, axis=1) / count)

        return {
            Losses.RPN_LOCALIZATION: mean(localization, first.localization_weight),
            Losses.RPN_OBJECTNESS: mean(objectness, first.objectness_weight),
        }

    def _second_losses(self, predictions, groundtruth):
        """Means over the images of the proposals' mean losses."""
        second, proposals = self._second, predictions[Predictions.PROPOSALS_PX]
        num_proposals = proposals.shape[1]
        targets = self._assign(second.assigner, proposals, groundtruth, predictions)
        codes = _codes_of_targets(predictions[Predictions.REFINED_BOX_CODES], targets.class_targets)
        class_logits = tf.reshape(predictions[Predictions.CLASS_LOGITS], [-1, num_proposals, self.num_classes + 1])
        count = predictions[Predictions.NUM_PROPOSALS]
        counts = tf.cast(tf.sequence_mask(count, num_proposals), tf.float32)
        scale = counts / tf.cast(tf.maximum(count, 1), tf.float32)[:, tf.newaxis]
        localization = loss_ops.smooth_l1(codes, targets.box_targets, targets.box_weights) * scale
        classification = second.classification(class_logits, targets.class_targets, targets.class_weights) * scale
        if second.miner is not None:
            mined = second.miner.select(localization, classification, proposals, targets.matches)
            localization, classification = localization * mined, classification * mined

        def mean(values, weight):
            return weight * tf.reduce_mean(tf.reduce_sum(values, axis=1))

        return {
            Losses.BOX_LOCALIZATION: mean(localization, second.localization_weight),
            Losses.BOX_CLASSIFICATION: mean(classification, second.classification_weight),
        }

    def postprocess(self, predictions, true_image_shapes, score_threshold=None):
        """See `Detector.postprocess`; raw boxes are clipped, and normalized to the true image."""
        if self._second is None:
            return self._postprocess_proposals(predictions, true_image_shapes, score_threshold)
        second, proposals = self._second, predictions[Predictions.PROPOSALS_PX]
        num_proposals = proposals.shape[1]
        codes = predictions[Predictions.REFINED_BOX_CODES]
        codes = tf.reshape(codes, [-1, num_proposals, codes.shape[1], box_coder.CODE_SIZE])
        boxes = box_coder.decode(codes, proposals[:, :, tf.newaxis], second.assigner.scale_factors)
        class_logits = tf.reshape(predictions[Predictions.CLASS_LOGITS], [-1, num_proposals, self.num_classes + 1])
        scores = second.to_scores(class_logits)
        is_proposal = tf.sequence_mask(predictions[Predictions.NUM_PROPOSALS], num_proposals)
        if boxes.shape[2] == 1:
            boxes = raw_boxes = boxes[:, :, 0]
        else:
            best = tf.argmax(class_logits[..., 1:], axis=-1, output_type=tf.int32)
            raw_boxes = tf.gather(boxes, best, batch_dims=2)
        windows = _true_windows(true_image_shapes)
        selected = second.suppression.select(
            boxes, tf.where(is_proposal[..., tf.newaxis], scores[..., 1:], -1.0), windows, score_threshold
        )
        return _make_detections(selected, raw_boxes, scores, windows)

    def _postprocess_proposals(self, predictions, true_image_shapes, score_threshold):
        """Proposals as detections of class 0, scored by their objectness."""
        boxes = box_coder.decode(
            predictions[Predictions.RPN_BOX_CODES], predictions[Predictions.ANCHORS], self._first.assigner.scale_factors
        )
        scores = tf.nn.softmax(predictions[Predictions.RPN_LOGITS])
        windows = _true_windows(true_image_shapes)
        selected = self._first.suppression.select(boxes, scores[..., 1:], windows, score_threshold)
        selected = selected._replace(boxes=box_ops.change_frame(selected.boxes, windows))
        return _make_detections(selected, boxes, scores, windows)

    def regularization_losses(self):
        """See `Detector.regularization_losses`."""
        return [loss for part in self._parts().values() for loss in part.regularization_losses()]

    def _parts(self):
        """{place in checkpoints: part}."""
        features = "_feature_extractor_for_proposal_features"
        parts = {
            features if self.neck is None else f"{features}/classification_backbone": self.backbone,
            "_first_stage_box_predictor": self.rpn_head,
        }
        if self.neck is not None:
            parts[features] = self.neck
        if self._second is not None:
            parts["_feature_extractor_for_box_classifier_features"] = self.classifier_backbone
            parts["_mask_rcnn_box_predictor"] = self.head
        parts["_first_stage_box_predictor_first_conv"] = self.rpn_block
        return parts

    def checkpoint_keys(self):
        """See `Detector.checkpoint_keys`."""
        keys = {}
        for place, part in self._parts().items():
            own = part.checkpoint_keys() if part is not self.rpn_block else _block_keys(part)
            keys.update({f"{checkpoint_keys.ROOT}/{place}/{key}": variable for key, variable in own.items()})
        return {key + checkpoint_keys.SUFFIX: variable for key, variable in keys.items()}


def _block_keys(block):
    return layers.number_keys([layer for layer in (block.convolution, block.norm) if layer is not None])


def _normalize(boxes, height, width):
    """Boxes in pixels -> normalized to the padded model input."""
    return box_ops.scale(boxes, 1.0 / tf.cast(height, tf.float32), 1.0 / tf.cast(width, tf.float32))


def _true_windows(true_image_shapes):
    """float32 [B, 4]: where the true images lie in the padded model inputs, in pixels."""
    far_corners = tf.cast(true_image_shapes[:, :2], tf.float32)
    return tf.concat([tf.zeros_like(far_corners), far_corners], axis=1)


def _codes_of_targets(codes, class_targets):
    """The box codes of the classes that are asked for.

    Args:
      codes: float32 [N, 1 or K, 4].
      class_targets: float32 [B, P, K + 1], one-hot, background first.

    Returns:
      float32 [B, P, 4]; zero where the background is asked for and every class has its own box.
    """
    num_proposals = class_targets.shape[1]
    if codes.shape[1] == 1:
        return tf.reshape(codes, [-1, num_proposals, box_coder.CODE_SIZE])
    columns = tf.argmax(class_targets, axis=-1, output_type=tf.int32)
    codes = tf.reshape(codes, [-1, num_proposals, codes.shape[1], box_coder.CODE_SIZE])
    chosen = tf.gather(codes, tf.maximum(columns - 1, 0), batch_dims=2)
    return tf.where(columns[..., tf.newaxis] > 0, chosen, 0.0)


def _make_detections(selected, raw_boxes, scores, windows):
    """Keys of `fields.Detections` from `nms.Selected`; raw boxes [B, P, 4] in pixels, scores [B, P, K + 1]."""
    is_detection = tf.sequence_mask(selected.num, selected.scores.shape[1])
    multiclass = tf.gather(scores, selected.indices, batch_dims=1)
    return {
        Detections.BOXES: selected.boxes,
        Detections.SCORES: selected.scores,
        Detections.CLASSES: selected.classes,
        Detections.NUM: tf.cast(selected.num, tf.float32),
        Detections.MULTICLASS_SCORES: tf.where(is_detection[..., tf.newaxis], multiclass, 0.0),
        Detections.ANCHOR_INDICES: tf.cast(selected.indices, tf.float32),
        Detections.RAW_BOXES: tf.clip_by_value(box_ops.change_frame(raw_boxes, windows), 0.0, 1.0),
        Detections.RAW_SCORES: scores,
    }
