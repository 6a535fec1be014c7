"""Values of a FasterRcnn message that fit together, for `config` and for the builder."""

import math

from tfodhelper import errors
from tfodhelper.families import pyramids, values

_STRIDES = (8, 16)
_DEPTHS_OF_FEATURES = {"inception_resnet": 1536, "resnet": 2048, "inception_v2": 1024, "nas": 4032}
_DEPTH_OF_DENSE_FEATURES = 1024


def check(message, is_training=True):
    """Checks a FasterRcnn message; arguments and errors as in `ssd_values.check`."""
    values.check_resizer(message.image_resizer)
    values.require("faster_rcnn", message, _of_first_stage(message))
    if message.number_of_stages > 1:
        values.require("faster_rcnn", message, _of_second_stage(message, is_training))
        values.check_suppression(message.second_stage_post_processing.batch_non_max_suppression)
        _check_predictor(message.second_stage_box_predictor)
        _check_maps(message)
    if message.number_of_stages > 2:
        _check_masks(message)
    _check_extractor(message.feature_extractor)
    num_anchors = _check_anchors(message.first_stage_anchor_generator)
    pyramid = pyramids.pyramid_of(message.feature_extractor)
    num_maps = 1 if pyramid is None else pyramid.max_level - pyramid.min_level + 1
    values.check_number_of_maps("first_stage_anchor_generator", num_maps, num_anchors)
    pyramids.check_same_levels(pyramid, message.first_stage_anchor_generator)


def _of_first_stage(message):
    return {
        "num_classes": (message.num_classes >= 1, "at least 1"),
        "number_of_stages": (message.number_of_stages in (1, 2, 3), "1 (proposals), 2 (detections) or 3 (masks)"),
        "first_stage_nms_iou_threshold": (0.0 <= message.first_stage_nms_iou_threshold <= 1.0, "0 to 1"),
        "first_stage_max_proposals": (message.first_stage_max_proposals >= 1, "at least 1"),
        "first_stage_minibatch_size": (message.first_stage_minibatch_size >= 1, "at least 1"),
        "first_stage_positive_balance_fraction": (
            0.0 <= message.first_stage_positive_balance_fraction <= 1.0,
            "0 to 1",
        ),
        "second_stage_balance_fraction": (0.0 <= message.second_stage_balance_fraction <= 1.0, "0 to 1"),
        "use_combined_nms_in_first_stage": (not message.use_combined_nms_in_first_stage, "false"),
    }


def is_rfcn(message):
    """Whether a FasterRcnn message describes an R-FCN, which cuts proposals out of its last maps."""
    return message.second_stage_box_predictor.HasField("rfcn_box_predictor")


def _of_second_stage(message, is_training):
    fits_in_proposals = 1 <= message.second_stage_batch_size <= message.first_stage_max_proposals
    own = {
        "second_stage_batch_size": (
            not is_training or fits_in_proposals,
            f"1 to first_stage_max_proposals={message.first_stage_max_proposals}",
        )
    }
    if is_rfcn(message):
        unused = "nothing with rfcn_box_predictor, which has crop_height and crop_width"
        names = ("initial_crop_size", "maxpool_kernel_size", "maxpool_stride", "use_matmul_crop_and_resize")
        return own | {name: (not getattr(message, name), unused) for name in names}
    return own | {
        "initial_crop_size": (message.initial_crop_size >= 1, "at least 1"),
        "maxpool_kernel_size": (1 <= message.maxpool_kernel_size <= message.initial_crop_size, "1 to the crop's side"),
        "maxpool_stride": (message.maxpool_stride >= 1, "at least 1"),
    }


def _check_predictor(predictor):
    kind, message = values.choose(predictor, "box_predictor_oneof", ("mask_rcnn_box_predictor", "rfcn_box_predictor"))
    values.require(kind, message, {"box_code_size": (message.box_code_size == 4, 4)})
    if kind == "rfcn_box_predictor":
        values.require(kind, message, _of_position_sensitive_head(message))
        return
    values.require(kind, message, {"predict_keypoints": (not message.predict_keypoints, "false")})
    values.check_dropout("mask_rcnn_box_predictor", message)


def _of_position_sensitive_head(message):
    own = {"depth": (message.depth >= 1, "at least 1")}
    for side in ("height", "width"):
        bins, points = (getattr(message, f"{name}_{side}") for name in ("num_spatial_bins", "crop"))
        own[f"num_spatial_bins_{side}"] = (bins >= 1, "at least 1")
        is_multiple = bins >= 1 and points >= bins and points % bins == 0
        own[f"crop_{side}"] = (is_multiple, f"a multiple of num_spatial_bins_{side}={bins}")
    return own


def _check_maps(message):
    """R-FCN has one map, out of which all proposals are cut."""
    if is_rfcn(message) and pyramids.pyramid_of(message.feature_extractor) is not None:
        raise errors.ConfigError(
            "second_stage_box_predictor.rfcn_box_predictor needs a backbone without a feature pyramid",
            expected="feature_extractor.type without _fpn",
            received=message.feature_extractor.type,
        )


def has_masks(message):
    """Whether a detector of a FasterRcnn message predicts masks; with fewer stages it does without their weights."""
    has_head = message.second_stage_box_predictor.mask_rcnn_box_predictor.predict_instance_masks
    return has_head and message.number_of_stages > 2


def _check_masks(message):
    predictor = message.second_stage_box_predictor.mask_rcnn_box_predictor
    if is_rfcn(message) or not predictor.predict_instance_masks:
        raise errors.ConfigError(
            "faster_rcnn.number_of_stages: the third stage predicts masks, and second_stage_box_predictor has none",
            expected="mask_rcnn_box_predictor with predict_instance_masks: true, or number_of_stages: 2",
            received="rfcn_box_predictor" if is_rfcn(message) else "predict_instance_masks: false",
        )
    if not predictor.HasField("conv_hyperparams"):
        raise errors.ConfigError(
            "mask_rcnn_box_predictor.conv_hyperparams",
            expected="the hyperparams of the convolutions that predict masks",
            received="nothing",
        )
    checks = {
        "mask_height": (predictor.mask_height >= 1, "at least 1"),
        "mask_width": (predictor.mask_width >= 1, "at least 1"),
        "mask_prediction_conv_depth": (
            predictor.mask_prediction_conv_depth >= 0,
            "at least 1, or 0 for a depth by the number of classes",
        ),
        "mask_prediction_num_conv_layers": (predictor.mask_prediction_num_conv_layers >= 1, "at least 1"),
    }
    if predictor.convolve_then_upsample_masks:
        side = side_of_region_features(message)
        expected = f"with convolve_then_upsample_masks, a multiple of {side}, the side of a box's features"
        for name in ("mask_height", "mask_width"):
            length = getattr(predictor, name)
            checks[name] = (length >= 1 and length % side == 0, expected)
    values.require("mask_rcnn_box_predictor", predictor, checks)


def choose_mask_depth(in_channels, num_classes):
    """Channels of the convolutions of masks where the configuration has 0: a power of 2, by channels and classes."""
    return 2 ** round((2.0 * math.log2(in_channels) + 3.0 * math.log2(num_classes)) / 5.0)


def keep_mask_depth(message):
    """Writes down the channels that follow from the number of classes, as `spec.Family.keep_widths` does."""
    predictor = message.second_stage_box_predictor.mask_rcnn_box_predictor
    if not predictor.predict_instance_masks or predictor.mask_prediction_conv_depth:
        return []
    predictor.mask_prediction_conv_depth = choose_mask_depth(_depth_of_features(message), message.num_classes)
    number = predictor.mask_prediction_conv_depth
    return [
        f"mask_prediction_conv_depth: {number} (was 0, by the number of classes), so that the checkpoint's layers fit"
    ]


def _depth_of_features(message):
    """Channels of the features of a box in the published networks."""
    if pyramids.pyramid_of(message.feature_extractor) is not None:
        return _DEPTH_OF_DENSE_FEATURES
    return next(depth for name, depth in _DEPTHS_OF_FEATURES.items() if name in message.feature_extractor.type)


def pooled_side(message):
    """Side of the crops after the pooling; 1 for R-FCN, whose head pools."""
    if is_rfcn(message):
        return 1
    return (message.initial_crop_size - message.maxpool_kernel_size) // message.maxpool_stride + 1


def side_of_region_features(message):
    """Side of the features of a box that the head sees."""
    side, name = pooled_side(message), message.feature_extractor.type
    if pyramids.pyramid_of(message.feature_extractor) is not None:
        return 1
    if "inception_resnet" in name:
        return (side - 3) // 2 + 1
    # TF-Slim's ResNets have the stride of a stage in its last layer, which the last stage does not have.
    return side if "resnet" in name and not name.endswith("_keras") else (side + 1) // 2


def _check_extractor(extractor):
    pyramid = pyramids.pyramid_of(extractor)
    if pyramid is None:
        expected = " or ".join(str(stride) for stride in _STRIDES)
        stride = extractor.first_stage_features_stride
        values.require("feature_extractor", extractor, {"first_stage_features_stride": (stride in _STRIDES, expected)})
        return
    pyramids.check_fpn(pyramid)
    multiple = 2 ** min(pyramid.max_level, pyramids.COARSEST_OF_BACKBONE)
    if extractor.pad_to_multiple % multiple:
        raise errors.ConfigError(
            "feature_extractor.pad_to_multiple",
            expected=f"a multiple of {multiple}, so that the maps of the pyramid fit",
            received=extractor.pad_to_multiple,
        )


def _check_anchors(generator):
    """Numbers of anchors at one place of each feature map."""
    kind, message = values.choose(
        generator, "anchor_generator_oneof", ("grid_anchor_generator", "multiscale_anchor_generator")
    )
    if kind == "grid_anchor_generator":
        for name in ("scales", "aspect_ratios"):
            is_right = min(getattr(message, name), default=0) > 0
            values.require(kind, message, {name: (is_right, "at least one, all above 0")})
        return [len(message.scales) * len(message.aspect_ratios)]
    values.check_multiscale_anchors(message, normalized=False)
    return [len(message.aspect_ratios) * message.scales_per_octave] * (message.max_level - message.min_level + 1)
