"""Small single-shot detectors."""

import contextlib
import dataclasses
import functools
from unittest import mock

from tests.models.cases import BATCH, Cases, Variant
from tfodhelper.fields import Losses, Predictions
from tfodhelper.models.backbones import efficientnet, resnet_v1
from tfodhelper.models.ssd import build

TEXT = """
ssd {
  num_classes: 3
  image_resizer { %(resizer)s }
  feature_extractor {
    type: "%(type)s" depth_multiplier: 0.25 min_depth: 8
    conv_hyperparams { %(hyperparams)s } override_base_feature_extractor_hyperparams: true
    %(extractor)s
  }
  box_coder { faster_rcnn_box_coder { } }
  matcher { argmax_matcher { force_match_for_each_row: true } }
  similarity_calculator { iou_similarity { } }
  box_predictor { %(head)s { conv_hyperparams { %(hyperparams)s } %(predictor)s } }
  anchor_generator { %(anchors)s }
  post_processing {
    batch_non_max_suppression { score_threshold: 1e-8 iou_threshold: 0.6 max_total_detections: 20
      max_detections_per_class: 9 }
    score_converter: SIGMOID
  }
  loss {
    localization_loss { weighted_smooth_l1 { } } classification_loss { weighted_sigmoid_focal { alpha: 0.25 } }
    %(loss)s
  }
  %(ssd)s
}
"""
PIECES = {
    "type": "ssd_mobilenet_v1_keras",
    "resizer": "fixed_shape_resizer { height: 64 width: 96 }",
    "hyperparams": "activation: RELU_6 regularizer { l2_regularizer { weight: 4e-5 } } "
    "initializer { truncated_normal_initializer { stddev: 0.1 } } batch_norm { scale: true decay: 0.9 }",
    "extractor": "",
    "head": "convolutional_box_predictor",
    "predictor": "use_dropout: false",
    "anchors": "ssd_anchor_generator { aspect_ratios: 1 aspect_ratios: 2 aspect_ratios: 0.5 }",
    "loss": "",
    "ssd": "",
}
PADDED = "keep_aspect_ratio_resizer { min_dimension: 48 max_dimension: 80 pad_to_max_dimension: true }"
ANY_SIZE = "keep_aspect_ratio_resizer { min_dimension: 48 max_dimension: 96 }"
SHARED = {
    "head": "weight_shared_convolutional_box_predictor",
    "anchors": "ssd_anchor_generator { aspect_ratios: 1 aspect_ratios: 2 reduce_boxes_in_lowest_layer: false }",
}
PYRAMID = {
    "type": "ssd_mobilenet_v1_fpn_keras",
    "extractor": "fpn { min_level: 3 max_level: 7 additional_layer_depth: 32 }",
    "head": SHARED["head"],
    "predictor": "depth: 12 num_layers_before_predictor: 2 class_prediction_bias_init: -4.6",
    "anchors": "multiscale_anchor_generator { aspect_ratios: 1 aspect_ratios: 2 scales_per_octave: 1 }",
}
RETINANET = PYRAMID | {
    "type": "ssd_resnet50_v1_fpn_keras",
    "predictor": "depth: 12 num_layers_before_predictor: 1",
}
EFFICIENTDET = {
    "type": "ssd_efficientnet-b0_bifpn_keras",
    "hyperparams": PIECES["hyperparams"].replace("RELU_6", "SWISH") + " force_use_bias: true",
    "extractor": "depth_multiplier: 1 override_base_feature_extractor_hyperparams: false "
    "bifpn { max_level: 6 num_iterations: 1 num_filters: 8 }",
    "head": "weight_shared_convolutional_box_predictor",
    "predictor": "depth: 8 num_layers_before_predictor: 1 use_depthwise: true",
    "anchors": "multiscale_anchor_generator { min_level: 3 max_level: 6 aspect_ratios: 1 scales_per_octave: 1 }",
}

# 27 batch norms of the backbone, 8 of the neck.
VARIANTS = {
    "plain": Variant(35, 35),
    "first generation's name": Variant(35, 35, {"type": "ssd_mobilenet_v1"}),
    "frozen": Variant(35, 0, {"ssd": "freeze_batchnorm: true"}),
    "padded": Variant(35, 35, {"resizer": PADDED}),
    "any size": Variant(35, 35, {"resizer": ANY_SIZE}),
    # Depthwise layers have batch norms too: one more on each map of the neck, three more on each of the head's six.
    "explicit padding and depthwise": Variant(
        35 + 4 + 18,
        35 + 4 + 18,
        {
            "extractor": "use_explicit_padding: true use_depthwise: true num_layers: 6 pad_to_multiple: 32",
            "predictor": "use_dropout: true kernel_size: 3 use_depthwise: true num_layers_before_predictor: 1 "
            "max_depth: 32 min_depth: 8 box_encodings_clip_range { min: -10 max: 10 }",
        },
    ),
    # Maps of different depths: a projection on each of the six; two towers of two layers with batch norms on each.
    "weights shared": Variant(
        35 + 6 + 24,
        35 + 6 + 24,
        SHARED | {"predictor": "depth: 12 num_layers_before_predictor: 2 class_prediction_bias_init: -4.6"},
    ),
    "anchors of a pyramid": Variant(
        35,
        35,
        {
            "anchors": "multiscale_anchor_generator { min_level: 4 max_level: 9 aspect_ratios: 1 aspect_ratios: 2 }",
        },
    ),
    "weights shared, depthwise, one tower": Variant(
        35 + 6 + 12,
        35 + 6 + 12,
        SHARED
        | {
            "predictor": "depth: 12 num_layers_before_predictor: 2 share_prediction_tower: true use_depthwise: true "
            "use_dropout: true box_encodings_clip_range { min: -10 max: 10 }"
        },
    ),
    # 52 batch norms of the backbone, 8 of the neck.
    "MobileNet V2": Variant(52 + 8, 52 + 8, {"type": "ssd_mobilenet_v2_keras"}),
    "MobileNet V2, first generation, depthwise": Variant(
        52 + 12 + 12,
        52 + 12 + 12,
        {
            "type": "ssd_mobilenet_v2",
            "extractor": "use_depthwise: true override_base_feature_extractor_hyperparams: false",
            "predictor": "kernel_size: 3 use_depthwise: true",
        },
    ),
    # 46 batch norms of the backbone, 12 of the depthwise neck, 12 of the depthwise head.
    "MobileNet V3 Large": Variant(
        46 + 12 + 12,
        46 + 12 + 12,
        {
            "type": "ssd_mobilenet_v3_large",
            "extractor": "use_depthwise: true",
            "predictor": "kernel_size: 3 use_depthwise: true",
        },
    ),
    # 34 batch norms of the backbone, 8 of the neck.
    "MobileNet V3 Small, own hyperparameters": Variant(
        34 + 8,
        34 + 8,
        {
            "type": "ssd_mobilenet_v3_small",
            "extractor": "override_base_feature_extractor_hyperparams: false pad_to_multiple: 32",
        },
    ),
    # The stem, a projection, eight fused bottlenecks of two batch norms, thirteen of three; 8 of the neck.
    "MobileNet EdgeTPU": Variant(1 + 1 + 16 + 39 + 8, 1 + 1 + 16 + 39 + 8, {"type": "ssd_mobilenet_edgetpu"}),
    # MobileDets have 57, 58 and 57 batch norms.
    "MobileDet for processors": Variant(57 + 8, 57 + 8, {"type": "ssd_mobiledet_cpu"}),
    "MobileDet for DSPs, frozen, padded": Variant(
        58 + 8, 0, {"type": "ssd_mobiledet_dsp", "resizer": PADDED, "ssd": "freeze_batchnorm: true"}
    ),
    "MobileDet for Edge TPUs, any size": Variant(
        57 + 8, 57 + 8, {"type": "ssd_mobiledet_edgetpu", "resizer": ANY_SIZE}
    ),
    # 69 batch norms of the backbone, 8 of the neck.
    "Inception V2": Variant(69 + 8, 69 + 8, {"type": "ssd_inception_v2"}),
    # 23 batch norms of the backbone up to its eleventh pair, none of the neck, one of the tower on each of six maps.
    "pooling pyramid": Variant(
        23 + 6,
        23 + 6,
        SHARED
        | {
            "type": "ssd_mobilenet_v1_ppn",
            "extractor": "use_explicit_padding: true pad_to_multiple: 32",
            "predictor": "depth: 64 num_layers_before_predictor: 1 kernel_size: 1 share_prediction_tower: true "
            "class_prediction_bias_init: -2",
            "ssd": "encode_background_as_zeros: true",
        },
    ),
    # Of the pyramid, two batch norms of finer maps and two of coarser ones; of the towers, one for each layer and map.
    "FPN": Variant(27 + 4 + 20, 27 + 4 + 20, PYRAMID),
    "FPN, frozen, padded": Variant(27 + 4 + 20, 0, PYRAMID | {"resizer": PADDED, "ssd": "freeze_batchnorm: true"}),
    "FPN, first generation, any size": Variant(
        27 + 4 + 20, 27 + 4 + 20, PYRAMID | {"type": "ssd_mobilenet_v1_fpn", "resizer": ANY_SIZE}
    ),
    "FPN, depthwise, explicit padding, one tower, odd size": Variant(
        27 + 4 + 5,
        27 + 4 + 5,
        PYRAMID
        | {
            "resizer": "fixed_shape_resizer { height: 75 width: 101 }",
            "extractor": "use_depthwise: true use_explicit_padding: true fpn { additional_layer_depth: 32 }",
            "predictor": "depth: 12 num_layers_before_predictor: 1 share_prediction_tower: true use_depthwise: true "
            "apply_conv_hyperparams_to_heads: true apply_conv_hyperparams_pointwise: true",
        },
    ),
    "FPNLite": Variant(
        52 + 4 + 10,
        52 + 4 + 10,
        PYRAMID
        | {
            "type": "ssd_mobilenet_v2_fpn_keras",
            "extractor": "use_depthwise: true fpn { additional_layer_depth: 32 }",
            "predictor": "depth: 32 num_layers_before_predictor: 2 share_prediction_tower: true use_depthwise: true",
        },
    ),
    # Up to layer 14 the backbone has 1 + 2 + 12 * 3 batch norms.
    "FPNLite, first generation, two levels": Variant(
        39 + 1 + 2,
        39 + 1 + 2,
        PYRAMID
        | {
            "type": "ssd_mobilenet_v2_fpn",
            "extractor": "use_depthwise: true fpn { min_level: 3 max_level: 4 additional_layer_depth: 64 }",
            "anchors": "multiscale_anchor_generator { min_level: 3 max_level: 4 aspect_ratios: 1 }",
            "predictor": "depth: 12 num_layers_before_predictor: 1 share_prediction_tower: true use_depthwise: true",
        },
    ),
    # Of the backbone 1 + 2 + 16 * 3; of the neck, one of the coarsest map and three of each of four times five blocks.
    "MnasFPN": Variant(
        51 + 61 + 8,
        51 + 61 + 8,
        PYRAMID
        | {
            "type": "ssd_mobilenet_v2_mnasfpn",
            "resizer": ANY_SIZE,
            "extractor": "use_explicit_padding: true fpn { min_level: 3 max_level: 6 additional_layer_depth: 32 }",
            "predictor": "depth: 8 num_layers_before_predictor: 2 share_prediction_tower: true use_depthwise: true",
            "anchors": "multiscale_anchor_generator { min_level: 3 max_level: 6 aspect_ratios: 1 }",
        },
    ),
    # The stem, 4 + 15 + 14 + 12 + 6 + 2 of the backbone's nodes, 12 + 12 + 3 + 4 + 3 + 2 of the neck's and one for each
    # of its ten edges, two on each map of the depthwise head.
    "SpaghettiNet": Variant(
        54 + 46 + 10,
        54 + 46 + 10,
        {
            "type": "ssd_spaghettinet",
            "extractor": "spaghettinet_arch_name: 'spaghettinet_edgetpu_s' depth_multiplier: 1 "
            "use_explicit_padding: true",
            "resizer": ANY_SIZE,
            "predictor": "kernel_size: 3 use_depthwise: true",
            "anchors": "ssd_anchor_generator { num_layers: 5 aspect_ratios: 1 }",
        },
    ),
    "RetinaNet": Variant(17 + 4 + 10, 17 + 4 + 10, RETINANET),
    "RetinaNet, first generation, two levels": Variant(
        1 + 3 * 4 + 1 + 2,
        1 + 3 * 4 + 1 + 2,
        RETINANET
        | {
            "type": "ssd_resnet50_v1_fpn",
            "extractor": "fpn { min_level: 3 max_level: 4 additional_layer_depth: 64 } pad_to_multiple: 32",
            "anchors": "multiscale_anchor_generator { min_level: 3 max_level: 4 aspect_ratios: 1 }",
            "predictor": "depth: 12 num_layers_before_predictor: 1 share_prediction_tower: true",
        },
    ),
    # 15 batch norms of the small backbone, 6 before and 6 after combinations, one in each of two towers on each of four
    # maps; one of the classifier, which does not move.
    "EfficientDet": Variant(15 + 12 + 8 + 1, 15 + 12 + 8, EFFICIENTDET),
    # Every stage has one block more, the last one's is left to the classifier; two iterations.
    "EfficientDet, frozen sums, padded": Variant(
        26 + 18 + 8 + 4,
        0,
        EFFICIENTDET
        | {
            "type": "ssd_efficientnet-b1_bifpn_keras",
            "resizer": PADDED,
            "extractor": EFFICIENTDET["extractor"].replace(
                "num_iterations: 1", "num_iterations: 2 combine_method: 'sum'"
            )
            + " pad_to_multiple: 64",
            "ssd": "freeze_batchnorm: true",
        },
    ),
    "no batch norm, no background": Variant(
        0,
        0,
        {
            "hyperparams": "activation: RELU initializer { variance_scaling_initializer { } } "
            "regularizer { l1_regularizer { weight: 1e-5 } }",
            "ssd": "add_background_class: false encode_background_as_zeros: true normalize_loss_by_num_matches: false",
        },
    ),
    "hard mining": Variant(
        35,
        35,
        {
            "loss": "hard_example_miner { num_hard_examples: 300 iou_threshold: 0.99 loss_type: CLASSIFICATION "
            "max_negatives_per_positive: 3 min_negatives_per_image: 2 }",
            "ssd": "normalize_loc_loss_by_codesize: true",
        },
    ),
}


@contextlib.contextmanager
def make_small():
    """ResNets with one unit per stage, EfficientNet of few channels and blocks; the others have settings for it."""
    stages = tuple(efficientnet.STAGES[number] for number in (0, 1, 2, 4, 6))
    stages = [dataclasses.replace(stage, num_blocks=1, strides=min(i, 1) + 1) for i, stage in enumerate(stages)]
    small = {
        name: functools.partial(builder, scaling=dataclasses.replace(builder.keywords["scaling"], width=0.25))
        for name, builder in build.FEATURE_EXTRACTORS.items()
        if "efficientnet" in name
    }
    with (
        mock.patch.dict(resnet_v1.UNITS, {50: (1, 1, 1, 1)}),
        mock.patch.dict(build.FEATURE_EXTRACTORS, small),
        mock.patch.object(efficientnet, "STAGES", stages),
        mock.patch.object(efficientnet, "ENDPOINTS", {3: (2, 0), 4: (3, 0), 5: (4, 0)}),
        mock.patch.object(efficientnet, "NUM_CLASSES", 10),
    ):
        yield


def check_raw_predictions(detector, predictions):
    """See `cases.Cases`."""
    anchors = predictions[Predictions.ANCHORS].shape[0]
    columns = predictions[Predictions.CLASS_LOGITS].shape[-1]
    assert columns in (detector.num_classes, detector.num_classes + 1)
    assert predictions[Predictions.BOX_CODES].shape == [BATCH, anchors, 4]
    assert predictions[Predictions.CLASS_LOGITS].shape == [BATCH, anchors, columns]
    return anchors, columns


CASES = Cases(
    text=TEXT,
    pieces=PIECES,
    variants=VARIANTS,
    object_loss=Losses.LOCALIZATION,
    check_raw_predictions=check_raw_predictions,
    raw_boxes_of_padded_input=True,
    has_box_of_each_class=lambda predictions: False,
    runs_in_parts=True,
    make_small=make_small,
)
