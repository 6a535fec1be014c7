"""Small two-stage detectors."""

import contextlib
import functools
from unittest import mock

from tests.models.cases import BATCH, Cases, Variant
from tests.models.ssd import cases as ssd
from tfodhelper.fields import Detections, Losses, Predictions
from tfodhelper.models.faster_rcnn import build

TEXT = """
faster_rcnn {
  num_classes: 3
  image_resizer { %(resizer)s }
  feature_extractor { type: "%(type)s" %(extractor)s }
  first_stage_anchor_generator { %(anchors)s }
  first_stage_box_predictor_conv_hyperparams { %(hyperparams)s }
  first_stage_box_predictor_depth: 16 first_stage_minibatch_size: 16 first_stage_max_proposals: 12
  %(crop)s
  second_stage_box_predictor { %(head)s }
  second_stage_batch_size: 6
  second_stage_post_processing {
    batch_non_max_suppression { iou_threshold: 0.6 max_total_detections: 20 max_detections_per_class: 9 }
    score_converter: %(converter)s
  }
  %(model)s
}
"""
PIECES = {
    "type": "faster_rcnn_resnet50_keras",
    "resizer": ssd.PIECES["resizer"],
    "extractor": "batch_norm_trainable: true",
    "anchors": "grid_anchor_generator { height: 64 width: 64 height_stride: 16 width_stride: 16 "
    "scales: 0.25 scales: 0.5 aspect_ratios: 1 aspect_ratios: 2 }",
    "hyperparams": "regularizer { l2_regularizer { weight: 1e-4 } } "
    "initializer { truncated_normal_initializer { stddev: 0.1 } }",
    "crop": "initial_crop_size: 8 maxpool_kernel_size: 2 maxpool_stride: 2",
    "head": "mask_rcnn_box_predictor { fc_hyperparams { op: FC } }",
    "converter": "SOFTMAX",
    "model": "",
}

SHARED_BOXES = "mask_rcnn_box_predictor { fc_hyperparams { op: FC } share_box_across_classes: true }"

MASKS = (
    "mask_rcnn_box_predictor { fc_hyperparams { op: FC } predict_instance_masks: true mask_height: 7 mask_width: 6 "
    "mask_prediction_conv_depth: 0 mask_prediction_num_conv_layers: 3 conv_hyperparams { "
    "regularizer { l2_regularizer { weight: 1e-4 } } initializer { truncated_normal_initializer { stddev: 0.1 } } "
    "%s } %s }"
)
THREE_STAGES = "number_of_stages: 3 second_stage_mask_prediction_loss_weight: 4"

# A small ResNet has 17 batch norms: the stem's, and four of the one unit of each stage.
VARIANTS = {
    "Faster R-CNN": Variant(17, 17),
    "Faster R-CNN, frozen, padded": Variant(17, 0, {"extractor": "", "resizer": ssd.PADDED, "head": SHARED_BOXES}),
    "Faster R-CNN, static": Variant(
        17,
        17,
        {
            "head": "mask_rcnn_box_predictor { fc_hyperparams { op: FC } share_box_across_classes: true "
            "use_dropout: true dropout_keep_probability: 0.9 }",
            "model": "use_static_shapes: true use_static_shapes_for_eval: true use_static_balanced_label_sampler: true "
            "clip_anchors_to_image: true use_matmul_crop_and_resize: true use_matmul_gather_in_matcher: true",
        },
    ),
    # Those of the backbone are frozen; one before the proposals and two after the predictions are not.
    "Faster R-CNN, first generation, stride 8, any size": Variant(
        17 + 3,
        3,
        {
            "type": "faster_rcnn_resnet50",
            "extractor": "first_stage_features_stride: 8",
            "resizer": ssd.ANY_SIZE,
            "anchors": PIECES["anchors"].replace("stride: 16", "stride: 8"),
            "hyperparams": PIECES["hyperparams"] + " batch_norm { scale: true decay: 0.9 }",
            "head": "mask_rcnn_box_predictor { fc_hyperparams { op: FC batch_norm { scale: true decay: 0.9 } } }",
            "model": "first_stage_atrous_rate: 2",
        },
    ),
    "Faster R-CNN, sigmoid, hard mining": Variant(
        17,
        17,
        {
            "converter": "SIGMOID",
            "model": "second_stage_classification_loss { weighted_sigmoid { } } "
            "hard_example_miner { num_hard_examples: 5 iou_threshold: 0.9 loss_type: BOTH }",
        },
    ),
    # All convolutions but the projections of the four residual modules have one.
    "Faster R-CNN, Inception-ResNet": Variant(
        5 + 7 + 6 + 4 + 4 + 7 + 4 + 4 + 1,
        5 + 7 + 6 + 4 + 4 + 7 + 4 + 4 + 1,
        {
            "type": "faster_rcnn_inception_resnet_v2_keras",
            "head": SHARED_BOXES,
            "crop": "initial_crop_size: 7 maxpool_kernel_size: 1 maxpool_stride: 1",
        },
    ),
    # Three of the stem, seven of each module, five of each that halves the map.
    "Faster R-CNN, Inception V2": Variant(3 + 8 * 7 + 2 * 5, 3 + 8 * 7 + 2 * 5, {"type": "faster_rcnn_inception_v2"}),
    "R-FCN": Variant(
        17,
        17,
        {
            "crop": "",
            "head": "rfcn_box_predictor { depth: 16 conv_hyperparams { regularizer { l2_regularizer { weight: 1e-4 } } "
            "initializer { truncated_normal_initializer { stddev: 0.1 } } } }",
        },
    ),
    # Those of the backbone are frozen; one before the proposals and three of the head are not.
    "R-FCN, first generation": Variant(
        17 + 4,
        4,
        {
            "type": "faster_rcnn_resnet50",
            "extractor": "",
            "resizer": ssd.ANY_SIZE,
            "hyperparams": PIECES["hyperparams"] + " batch_norm { scale: true decay: 0.9 }",
            "crop": "",
            "head": "rfcn_box_predictor { depth: 16 num_spatial_bins_height: 2 crop_height: 4 crop_width: 3 "
            "conv_hyperparams { initializer { truncated_normal_initializer { stddev: 0.1 } } "
            "batch_norm { scale: true decay: 0.9 } } }",
        },
    ),
    # The stem's; of each cell ten in its separable operations, and one for each input, of which the first cell has
    # one. The first stage moves whatever the configuration says.
    "Faster R-CNN, NAS": Variant(
        1 + (3 * 12 - 1) + 4 * 12 + 12 + 2 * 12,
        1 + (3 * 12 - 1) + 4 * 12,
        {
            "type": "faster_rcnn_nas",
            "extractor": "",
            "crop": "initial_crop_size: 9 maxpool_kernel_size: 1 maxpool_stride: 1",
        },
    ),
    "Mask R-CNN": Variant(17, 17, {"head": MASKS % ("", ""), "model": THREE_STAGES}),
    # Those of the backbone are frozen; the three of the masks are not.
    "Mask R-CNN, first generation, one mask, convolved first": Variant(
        17 + 3,
        3,
        {
            "type": "faster_rcnn_resnet50",
            "extractor": "",
            "resizer": ssd.ANY_SIZE,
            "head": MASKS.replace("mask_width: 6", "mask_width: 12").replace("mask_height: 7", "mask_height: 8")
            % (
                "batch_norm { scale: true decay: 0.9 }",
                "masks_are_class_agnostic: true convolve_then_upsample_masks: true",
            ),
            "model": THREE_STAGES,
        },
    ),
    "Mask R-CNN, padded, products of matrices": Variant(
        17,
        0,
        {
            "extractor": "",
            "resizer": ssd.PADDED,
            "head": MASKS % ("", "share_box_across_classes: true"),
            "model": THREE_STAGES + " use_matmul_crop_and_resize: true",
        },
    ),
    # Three smoothing layers, a coarse one, and one between the dense layers.
    "Faster R-CNN, pyramid": Variant(
        17 + 5,
        17 + 5,
        {
            "type": "faster_rcnn_resnet50_fpn_keras",
            "extractor": "batch_norm_trainable: true fpn { min_level: 2 max_level: 6 additional_layer_depth: 16 } "
            f"conv_hyperparams {{ {ssd.PIECES['hyperparams']} }} override_base_feature_extractor_hyperparams: true",
            "anchors": "multiscale_anchor_generator { min_level: 2 max_level: 6 aspect_ratios: 1 "
            "normalize_coordinates: false }",
        },
    ),
}


@contextlib.contextmanager
def make_small(units=(1, 1, 1, 1), counts=(1, 1, 1)):
    """Networks of few channels, and with one unit per stage unless stated otherwise."""
    sizes = {
        "resnet": {"units": units, "depth": 8},
        "inception_resnet": {"counts": counts},
        "inception_v2": {"depth_multiplier": 0.2, "min_depth": 8},
        "nas": {"filters": 8, "cells": 2},
    }
    small = {
        name: functools.partial(builder, **next(sizes[network] for network in reversed(sizes) if network in name))
        for name, builder in build.FEATURE_EXTRACTORS.items()
    }
    with mock.patch.dict(build.FEATURE_EXTRACTORS, small):
        yield


def check_raw_predictions(detector, predictions):
    """See `cases.Cases`."""
    anchors = predictions[Predictions.ANCHORS].shape[0]
    columns = predictions[Predictions.CLASS_LOGITS].shape[-1]
    assert columns == detector.num_classes + 1
    assert predictions[Predictions.RPN_BOX_CODES].shape == [BATCH, anchors, 4]
    assert predictions[Predictions.RPN_LOGITS].shape == [BATCH, anchors, 2]
    assert predictions[Predictions.PROPOSALS].shape == [BATCH, 12, 4]
    assert predictions[Predictions.NUM_PROPOSALS].shape == [BATCH]
    assert predictions[Predictions.CLASS_LOGITS].shape == [BATCH * 12, columns]
    assert predictions[Predictions.REFINED_BOX_CODES].shape[1] in (1, detector.num_classes)
    return 12, columns


def shapes_of_masks(model):
    """See `cases.Cases`."""
    if model.faster_rcnn.number_of_stages < 3:
        return {}
    predictor = model.faster_rcnn.second_stage_box_predictor.mask_rcnn_box_predictor
    size = [predictor.mask_height, predictor.mask_width]
    num_masks = 1 if predictor.masks_are_class_agnostic else model.faster_rcnn.num_classes
    return {Detections.MASKS: [BATCH, 20, *size], Predictions.MASK_LOGITS: [BATCH * 20, num_masks, *size]}


CASES = Cases(
    text=TEXT,
    pieces=PIECES,
    variants=VARIANTS,
    object_loss=Losses.RPN_LOCALIZATION,
    check_raw_predictions=check_raw_predictions,
    raw_boxes_of_padded_input=False,
    has_box_of_each_class=lambda predictions: predictions[Predictions.REFINED_BOX_CODES].shape[1] > 1,
    runs_in_parts=False,
    shapes_of_masks=shapes_of_masks,
    make_small=make_small,
)
