"""Single-shot detectors (Liu et al. 2016; arXiv 1512.02325).

Shape letters: B batch, A anchors, C class columns (background first, where there is one), K classes, D detections.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfodhelper.checkpoints.keys import ClassColumns, Part
from tfodhelper.families import roles
from tfodhelper.fields import Detections, Groundtruth, Losses, Predictions
from tfodhelper.models import detector, pixels
from tfodhelper.ops import anchors as anchor_ops
from tfodhelper.ops import box_coder, hard_mining, nms, target_assigner


@dataclasses.dataclass(frozen=True)
class SSDLoss:
    """How predictions are compared with their targets.

    Attributes:
      localization: codes, targets, weights -> [B, A], see `losses`.
      classification: class logits, targets, weights -> [B, A].
      localization_weight: of the localization loss in the sum.
      classification_weight: of the classification loss in the sum.
      miner: a `HardExampleMiner`, or None: all anchors count.
      normalize_by_matches: whether the sums are divided by the weight of all matched anchors (at least 1).
      normalize_by_code_size: whether the localization loss is divided by the length of a box code too.
    """

    localization: Callable
    classification: Callable
    localization_weight: float = 1.0
    classification_weight: float = 1.0
    miner: hard_mining.HardExampleMiner | None = None
    normalize_by_matches: bool = True
    normalize_by_code_size: bool = False


@dataclasses.dataclass(frozen=True)
class SSDOutput:
    """How class logits become scores, and boxes detections.

    Attributes:
      to_scores: class logits -> scores, same shape.
      num_background_columns: columns of the scores before class 0.
      suppression: a `BatchNonMaxSuppression`.
    """

    to_scores: Callable
    num_background_columns: int
    suppression: nms.BatchNonMaxSuppression


@dataclasses.dataclass(frozen=True)
class SSDNetwork:
    """The parts with variables, and what comes right before them.

    Attributes:
      scaling: a `PixelScaling`.
      backbone: images -> list of feature maps; may have a `classifier`, layers that checkpoints contain and nothing
        uses.
      neck: feature maps -> more feature maps.
      head: feature maps -> box codes [B, A, 4], class logits [B, A, C].
      pad_to_multiple: height and width of the input are padded with zeros to a multiple of this.
      backbone_scope: place of the backbone in object-graph checkpoints, below `model/_feature_extractor/`.
    """

    scaling: pixels.PixelScaling
    backbone: tf.Module
    neck: tf.Module
    head: tf.Module
    pad_to_multiple: int = 1
    backbone_scope: str = "classification_backbone"


class SSDDetector(detector.Detector):
    """A single-shot detector made of its parts.

    Args:
      num_classes: K.
      resizer: see `detector.Detector`.
      network: an `SSDNetwork`.
      anchors: a `GridAnchors` or `PyramidAnchors`.
      assigner: a `TargetAssigner`.
      loss: an `SSDLoss`.
      output: an `SSDOutput`.
    """

    def __init__(self, num_classes, resizer, network, anchors, assigner, loss, output, name="ssd"):
        super().__init__(num_classes, resizer, name=name)
        self.backbone, self.neck, self.head = network.backbone, network.neck, network.head
        self._scaling, self._pad_to_multiple = network.scaling, network.pad_to_multiple
        self._backbone_scope: str = network.backbone_scope
        self._anchors: anchor_ops.GridAnchors | anchor_ops.PyramidAnchors = anchors
        self._assigner: target_assigner.TargetAssigner = assigner
        self._loss: SSDLoss = loss
        self._output: SSDOutput = output
        self.built = True

    def preprocess(self, images):
        """See `Detector.preprocess`.

        Scales before it resizes, as the OD API does. The order changes nothing but the last bit of the result; yet
        batch norm in training multiplies that bit by ten thousand, and the result is compared with published numbers.
        """
        return self.resizer(self._scaling.scale_pixels(images))

    def normalize(self, images, true_image_shapes=None):
        """See `Detector.normalize`."""
        return self._scaling.apply(images, true_image_shapes)

    def predict_raw(self, inputs, true_image_shapes, training=False, groundtruth=None):
        """See `Detector.predict_raw`; anchors are normalized to the padded model input."""
        del true_image_shapes, groundtruth
        return self.predict_from_features(self.extract_features(inputs, training), pixels.size_of(inputs), training)

    def extract_features(self, inputs, training=False):
        """See `Detector.extract_features`."""
        return self.backbone(pixels.pad_to_multiple(inputs, self._pad_to_multiple), training=training)

    def predict_from_features(self, feature_maps, image_size, training=False):
        """See `Detector.predict_from_features`."""
        feature_maps = self.neck(feature_maps, training=training)
        codes, class_logits = self.head(feature_maps, training=training)
        return {
            Predictions.IMAGE_SHAPE: tf.stack([tf.shape(codes)[0], *image_size, 3]),
            Predictions.FEATURE_MAPS: feature_maps,
            Predictions.ANCHORS: self._anchors.generate([pixels.size_of(m) for m in feature_maps], image_size),
            Predictions.BOX_CODES: codes,
            Predictions.CLASS_LOGITS: class_logits,
        }

    def losses(self, predictions, groundtruth, training=False):
        """See `Detector.losses`."""
        del training
        codes, anchors = predictions[Predictions.BOX_CODES], predictions[Predictions.ANCHORS]
        targets = self._assigner.assign(
            anchors,
            groundtruth[Groundtruth.BOXES],
            groundtruth[Groundtruth.CLASSES],
            groundtruth[Groundtruth.WEIGHTS],
            groundtruth.get(Groundtruth.LOCATION_WEIGHTS),
        )
        loss = self._loss
        localization = loss.localization(codes, targets.box_targets, targets.box_weights)
        classification = loss.classification(
            predictions[Predictions.CLASS_LOGITS], targets.class_targets, targets.class_weights
        )
        if loss.miner is not None:
            boxes = box_coder.decode(codes, anchors, self._assigner.scale_factors)
            counts = loss.miner.select(localization, classification, boxes, targets.matches)
            localization, classification = localization * counts, classification * counts
        normalizer = 1.0
        if loss.normalize_by_matches:
            normalizer = tf.maximum(tf.reduce_sum(targets.match_weights), 1.0)
        code_size = box_coder.CODE_SIZE if loss.normalize_by_code_size else 1.0
        return {
            Losses.LOCALIZATION: tf.reduce_sum(localization) * (loss.localization_weight / (normalizer * code_size)),
            Losses.CLASSIFICATION: tf.reduce_sum(classification) * (loss.classification_weight / normalizer),
        }

    def postprocess(self, predictions, true_image_shapes, score_threshold=None):
        """See `Detector.postprocess`."""
        boxes = box_coder.decode(
            predictions[Predictions.BOX_CODES], predictions[Predictions.ANCHORS], self._assigner.scale_factors
        )
        scores = self._output.to_scores(predictions[Predictions.CLASS_LOGITS])
        selected = self._output.suppression.select(
            boxes,
            scores[..., self._output.num_background_columns :],
            _true_windows(predictions[Predictions.IMAGE_SHAPE], true_image_shapes),
            score_threshold,
        )
        is_detection = tf.sequence_mask(selected.num, selected.scores.shape[1])
        return {
            Detections.BOXES: selected.boxes,
            Detections.SCORES: selected.scores,
            Detections.CLASSES: selected.classes,
            Detections.NUM: tf.cast(selected.num, tf.float32),
            Detections.MULTICLASS_SCORES: tf.where(
                is_detection[..., tf.newaxis], tf.gather(scores, selected.indices, batch_dims=1), 0.0
            ),
            Detections.ANCHOR_INDICES: tf.cast(selected.indices, tf.float32),
            Detections.RAW_BOXES: boxes,
            Detections.RAW_SCORES: scores,
        }

    def single_shot_output(self):
        """See `Detector.single_shot_output`."""
        return detector.SingleShotOutput(
            scale_factors=self._assigner.scale_factors,
            to_scores=self._output.to_scores,
            num_background_columns=self._output.num_background_columns,
            suppression=self._output.suppression,
        )

    def parts(self):
        """See `Detector.parts`."""
        stage = "FeatureExtractor"  # in first-generation checkpoints
        num_background = self._assigner.num_columns - self.num_classes
        parts = [
            Part(
                scope=f"_feature_extractor/{self._backbone_scope}",
                module=self.backbone,
                role=roles.BACKBONE,
                classification_keys={key: key for key in self.backbone.checkpoint_keys()},
                slim_names=self.backbone.slim_names(stage),
            ),
            Part(
                scope="_feature_extractor",
                module=self.neck,
                role=roles.NECK,
                slim_names=self.neck.slim_names(stage, self.backbone),
            ),
            Part(
                scope="_box_predictor",
                module=self.head,
                role=roles.HEAD,
                class_columns=dict.fromkeys(self.head.class_keys(), ClassColumns(num_background)),
                slim_names=self.head.slim_names(),
            ),
        ]
        classifier = getattr(self.backbone, "classifier", None)
        if classifier is not None:
            parts.append(
                Part(
                    scope="_feature_extractor/classification_backbone",
                    module=classifier,
                    role=roles.CLASSIFIER,
                    classification_keys={key: key for key in classifier.checkpoint_keys()},
                )
            )
        return parts


def _true_windows(image_shape, true_image_shapes):
    """float32 [B, 4]: where the true images are in the padded model inputs, normalized to these."""
    true_sizes = tf.cast(true_image_shapes[:, :2], tf.float32)
    far_corners = true_sizes / tf.cast(image_shape[1:3], tf.float32)
    return tf.concat([tf.zeros_like(far_corners), far_corners], axis=1)
