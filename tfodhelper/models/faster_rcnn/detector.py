"""Two-stage detectors (Ren et al. 2015; arXiv 1506.01497).

The first stage proposes boxes that hold any object (`proposal_network`); the second one classifies and corrects what it
cuts out of the feature maps there (`region_head`); the third one of Mask R-CNN predicts masks (`mask_stage`). Boxes are
in pixels of the model input between them.

Shape letters: B batch, P proposals of an image, K classes.
"""

import tensorflow as tf

from tfodhelper.checkpoints.keys import Part
from tfodhelper.families import roles
from tfodhelper.fields import Inputs, Predictions
from tfodhelper.models import detector, pixels, slim_naming
from tfodhelper.models.faster_rcnn import frames
from tfodhelper.ops import sampler

_BOXES_OF_LAST_CODES = "final_anchors"  # what the Object Detection API calls the proposals once more
_SERVED = (
    Predictions.ANCHORS,
    Predictions.CLASS_LOGITS,
    Predictions.CLASSIFIER_FEATURES,
    Predictions.IMAGE_SHAPE,
    Predictions.NUM_PROPOSALS,
    Predictions.PROPOSALS,
    Predictions.PROPOSALS_PX,
    Predictions.REFINED_BOX_CODES,
    Predictions.RPN_BOX_CODES,
    Predictions.RPN_LOGITS,
)
_PROPOSAL_FEATURES = "_feature_extractor_for_proposal_features"  # scope in checkpoints


class FasterRCNNDetector(detector.Detector):
    """A two-stage detector made of its stages; with the first one alone, its detections are the proposals.

    Args:
      num_classes: K.
      resizer: see `detector.Detector`.
      scaling: a `PixelScaling`.
      proposal_network: a `ProposalNetwork`.
      region_head: a `RegionHead`, or None.

    Attributes:
      sample_order: shape -> float32, see `BalancedSampler.sample`; random.
    """

    def __init__(self, num_classes, resizer, scaling, proposal_network, region_head=None, name="faster_rcnn"):
        super().__init__(num_classes, resizer, name=name)
        self.proposal_network, self.region_head = proposal_network, region_head
        self._scaling: pixels.PixelScaling = scaling
        self.sample_order = sampler.random_order
        self.built = True

    def normalize(self, images, true_image_shapes=None):
        """See `Detector.normalize`; padding is scaled as pixels are."""
        del true_image_shapes
        return self._scaling.scale_pixels(images)

    def predict_raw(self, inputs, true_image_shapes, training=False, groundtruth=None):
        """See `Detector.predict_raw`; in training proposals are drawn by their ground truth."""
        predictions = self.proposal_network.predict(inputs, training)
        if self.region_head is None and training:
            return predictions
        selected = self.proposal_network.propose(predictions, true_image_shapes)
        if self.region_head is None:
            height, width = pixels.size_of(inputs)
            predictions[Predictions.PROPOSALS] = frames.normalize(selected.boxes, height, width)
            predictions[Predictions.NUM_PROPOSALS] = selected.num
            return predictions
        proposals, count = tf.stop_gradient(selected.boxes), selected.num
        feature_maps, image_shape = predictions[Predictions.FEATURE_MAPS], predictions[Predictions.IMAGE_SHAPE]
        if training:
            proposals, count = self.region_head.draw(proposals, count, groundtruth, image_shape, self.sample_order)
        else:
            predictions[Predictions.PROPOSAL_ANCHORS] = selected.indices
        predictions.update(self.region_head.predict(feature_maps, image_shape, proposals, training))
        predictions[Predictions.NUM_PROPOSALS] = count
        if self.region_head.masks is not None and not training:
            predictions[Inputs.TRUE_IMAGE_SHAPE] = true_image_shapes  # for the losses of the masks
        return predictions

    def losses(self, predictions, groundtruth, training=False):
        """See `Detector.losses`."""
        losses = self.proposal_network.losses_of(predictions, groundtruth, training, self.sample_order)
        if self.region_head is not None:
            losses.update(self.region_head.losses_of(predictions, groundtruth))
        return losses

    def postprocess(self, predictions, true_image_shapes, score_threshold=None):
        """See `Detector.postprocess`; raw boxes are clipped, and normalized to the true image."""
        last_stage = self.region_head or self.proposal_network
        return last_stage.postprocess(predictions, true_image_shapes, score_threshold)

    def served_predictions(self, predictions):
        """See `Detector.served_predictions`: with masks, the raw predictions that are single tensors."""
        if self.region_head is None or self.region_head.masks is None:
            return {}
        return {key: predictions[key] for key in _SERVED} | {_BOXES_OF_LAST_CODES: predictions[Predictions.PROPOSALS]}

    def parts(self):
        """See `Detector.parts`."""
        first, second = self.proposal_network, self.region_head
        parts = [_backbone_part(first), _proposal_head_part(first)]
        if first.neck is not None:
            parts.append(Part(_PROPOSAL_FEATURES, first.neck, roles.NECK))
        if second is not None:
            parts += [_region_features_part(first, second), _head_part(second)]
            if second.masks is not None:
                parts.append(_mask_head_part(second.masks.head))
        return [*parts, _block_part(first)]


def _backbone_part(first):
    own_keys = first.backbone.checkpoint_keys()
    # With a feature pyramid the first generation has the backbone as classification checkpoints have it.
    return Part(
        scope=_PROPOSAL_FEATURES if first.neck is None else f"{_PROPOSAL_FEATURES}/classification_backbone",
        module=first.backbone,
        role=roles.BACKBONE,
        classification_keys={key: key for key in own_keys},
        slim_names=first.backbone.slim_names("FirstStageFeatureExtractor" if first.neck is None else None),
    )


def _region_features_part(first, second):
    """Without a feature pyramid this is the end of the backbone, whose layers are counted from the start."""
    is_end_of_backbone = first.neck is None
    classification_keys = {}
    if is_end_of_backbone:
        counted_on = second.backbone.checkpoint_keys(first=len(first.backbone.layers_in_order()))
        classification_keys = dict(zip(second.backbone.checkpoint_keys(), counted_on))
    return Part(
        scope="_feature_extractor_for_box_classifier_features",
        module=second.backbone,
        role=roles.BACKBONE if is_end_of_backbone else roles.REGION_FEATURES,
        classification_keys=classification_keys,
        slim_names=second.backbone.slim_names("SecondStageFeatureExtractor"),
    )


def _proposal_head_part(first):
    """The first generation has one feature map."""
    return Part(
        scope="_first_stage_box_predictor",
        module=first.head,
        role=roles.PROPOSAL_HEAD,
        slim_names=first.head.slim_names(["FirstStageBoxPredictor"]),
    )


def _block_part(first):
    return Part(
        scope="_first_stage_box_predictor_first_conv",
        module=first.block,
        role=roles.PROPOSAL_HEAD,
        slim_names=slim_naming.name_variables(first.block, [(["Conv"], first.block)]),
    )


def _head_part(second):
    return Part(
        scope=second.head.scope,
        module=second.head,
        role=roles.HEAD,
        class_columns=second.head.class_columns(),
        slim_names=second.head.slim_names("SecondStageBoxPredictor"),
    )


def _mask_head_part(head):
    return Part(
        scope=head.scope,
        module=head,
        role=roles.HEAD,
        class_columns=head.class_columns(),
        sized_by_classes=head.sized_by_classes(),
        slim_names=head.slim_names("SecondStageBoxPredictor"),
    )
