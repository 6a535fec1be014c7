"""From a FasterRcnn message to the layers that predict something for each proposal."""

from tfodhelper.families import faster_rcnn_values
from tfodhelper.models import hyperparams, parts
from tfodhelper.models.faster_rcnn import mask_stage
from tfodhelper.models.heads import box_classifier, instance_masks, position_sensitive


def build_head(message, depth, frozen):
    """The head that gives each proposal a box and a class.

    Args:
      message: a FasterRcnn message.
      depth: channels of the features.
      frozen: whether batch norm statistics stay as they are.
    """
    build, predictor = parts.choose(message.second_stage_box_predictor, "box_predictor_oneof", HEADS)
    return build(message, predictor, depth, frozen)


def build_mask_stage(message, depth, assigner, frozen, keeps_shapes=False):
    """A `mask_stage.MaskStage`; None without a third stage.

    Args:
      message: a FasterRcnn message.
      depth: channels of the features.
      assigner: the `TargetAssigner` of the second stage.
      frozen: whether batch norm statistics stay as they are.
      keeps_shapes: see `mask_stage.ThirdStage`.
    """
    if not faster_rcnn_values.has_masks(message):
        return None
    predictor = message.second_stage_box_predictor.mask_rcnn_box_predictor
    is_chosen = predictor.mask_prediction_conv_depth == 0
    layout = instance_masks.HeadLayout(
        num_masks=1 if predictor.masks_are_class_agnostic else message.num_classes,
        has_mask_of_each_class=not predictor.masks_are_class_agnostic,
        size=(predictor.mask_height, predictor.mask_width),
        depth=faster_rcnn_values.choose_mask_depth(depth, message.num_classes)
        if is_chosen
        else predictor.mask_prediction_conv_depth,
        num_layers=predictor.mask_prediction_num_conv_layers,
        enlarges_last=predictor.convolve_then_upsample_masks,
        follows_classes=is_chosen,
    )
    own = hyperparams.build_hyperparams(predictor.conv_hyperparams)
    settings = mask_stage.ThirdStage(
        assigner=assigner,
        drops_outside=not message.use_matmul_crop_and_resize,
        weight=message.second_stage_mask_prediction_loss_weight,
        keeps_shapes=keeps_shapes,
    )
    return mask_stage.MaskStage(instance_masks.MaskHead(depth, layout, own, frozen), settings)


def _build_classifier(message, predictor, depth, frozen):
    """A `BoxClassifierHead` from a FasterRcnn message and its MaskRCNNBoxPredictor message."""
    layout = box_classifier.HeadLayout(
        num_classes=message.num_classes,
        share_boxes=predictor.share_box_across_classes,
        dropout_rate=1.0 - predictor.dropout_keep_probability if predictor.use_dropout else None,
        norm=hyperparams.build_hyperparams(predictor.fc_hyperparams).norm,
    )
    return box_classifier.BoxClassifierHead(depth, layout, frozen)


def _build_position_sensitive_head(message, predictor, depth, frozen):
    """A `PositionSensitiveHead` from a FasterRcnn message and its RfcnBoxPredictor message."""
    layout = position_sensitive.HeadLayout(
        num_classes=message.num_classes,
        depth=predictor.depth,
        num_bins=(predictor.num_spatial_bins_height, predictor.num_spatial_bins_width),
        crop_size=(predictor.crop_height, predictor.crop_width),
        # The first generation's graphs for images of any size have TensorFlow's operation for the crops.
        drops_outside=parts.is_first_generation(message.feature_extractor.type),
    )
    own = hyperparams.build_hyperparams(predictor.conv_hyperparams)
    return position_sensitive.PositionSensitiveHead(depth, layout, own, frozen)


HEADS = {"mask_rcnn_box_predictor": _build_classifier, "rfcn_box_predictor": _build_position_sensitive_head}
