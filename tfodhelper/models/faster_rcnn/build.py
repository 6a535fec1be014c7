"""From a FasterRcnn message to a detector."""

import dataclasses
import functools

import tensorflow as tf

from tfodhelper import losses, resizers
from tfodhelper.families import faster_rcnn_values, pyramids
from tfodhelper.models import hyperparams, layers, parts, pixels, xla
from tfodhelper.models.backbones import inception_resnet_v2, inception_v2, nasnet, resnet_v1
from tfodhelper.models.faster_rcnn import build_heads, detector, proposal_network, region_head
from tfodhelper.models.heads import box_classifier, convolutional
from tfodhelper.models.necks import feature_pyramid
from tfodhelper.ops import anchors as anchor_ops
from tfodhelper.ops import crops, matcher, nms, sampler, target_assigner

_PROPOSAL_MATCHER = matcher.ArgmaxMatcher(0.7, 0.3, force_match_for_each_row=True)
_DETECTION_MATCHER = matcher.ArgmaxMatcher(0.5, 0.5)


def build_faster_rcnn(message, is_training):
    """A FasterRCNNDetector from a FasterRcnn message; see `build.build_detector`."""
    faster_rcnn_values.check(message, is_training)
    resizer = resizers.build_resizer(message.image_resizer)
    build = parts.look_up(FEATURE_EXTRACTORS, message.feature_extractor.type, "faster_rcnn.feature_extractor.type")
    has_two_stages = message.number_of_stages > 1
    frozen = not (message.feature_extractor.batch_norm_trainable and is_training)
    crop_side = faster_rcnn_values.pooled_side(message) if has_two_stages else None
    features = build(message.feature_extractor, frozen, crop_side)
    anchors = _build_anchors(message.first_stage_anchor_generator)
    depths = (features["neck"] or features["backbone"]).depths
    rpn_block, rpn_head = _build_rpn(message, depths, anchors.num_per_location, not is_training)
    first = proposal_network.ProposalLayers(
        backbone=features["backbone"],
        neck=features["neck"],
        block=rpn_block,
        head=rpn_head,
        pad_to_multiple=features.get("pad_to_multiple", 1),
    )
    return detector.FasterRCNNDetector(
        num_classes=message.num_classes,
        resizer=resizer,
        scaling=features["scaling"],
        proposal_network=proposal_network.ProposalNetwork(first, _build_first_stage(message, anchors)),
        region_head=_build_region_head(message, features["classifier_backbone"], is_training)
        if has_two_stages
        else None,
    )


def _build_region_head(message, backbone, is_training):
    """A `RegionHead` from a FasterRcnn message and the layers that its crops go through."""
    settings, depth = _build_second_stage(message), backbone.depths[0]
    layers_of_stage = region_head.RegionLayers(
        backbone=backbone,
        head=build_heads.build_head(message, depth, not is_training),
        cropping=None if faster_rcnn_values.is_rfcn(message) else _build_cropping(message),
        masks=build_heads.build_mask_stage(
            message, depth, settings.assigner, not is_training, _is_static_in_evaluation(message) or xla.is_target()
        ),
    )
    return region_head.RegionHead(message.num_classes, layers_of_stage, settings)


def _build_resnet(message, frozen, crop_side, units, depth=resnet_v1.STEM_DEPTH, slim=False):
    """Scaling and both halves of a ResNet V1 from a FasterRcnnFeatureExtractor message."""
    own = resnet_v1.make_hyperparams(regularizer=hyperparams.no_loss)
    stages = resnet_v1.make_stages(units, depth, message.first_stage_features_stride, slim)
    backbone = resnet_v1.ResNetV1(stages[:3], own, frozen, stem_depth=depth, name="backbone")
    classifier_backbone = None
    if crop_side is not None:
        classifier_backbone = resnet_v1.ResNetV1(
            stages[3:], own, frozen, in_channels=backbone.depths[0], stem_depth=0, name="classifier_backbone"
        )
    return {
        "scaling": pixels.MINUS_MEANS,
        "backbone": backbone,
        "neck": None,
        "classifier_backbone": classifier_backbone,
    }


def _build_resnet_pyramid(message, frozen, crop_side, units, depth=resnet_v1.STEM_DEPTH):
    """Scaling, ResNet V1, pyramid and dense layers from a FasterRcnnFeatureExtractor message."""
    pyramid = pyramids.pyramid_of(message)
    own = hyperparams.build_hyperparams(message.conv_hyperparams)
    base = own
    if not message.override_base_feature_extractor_hyperparams:
        base = resnet_v1.make_hyperparams(regularizer=lambda kernel: 2e-4 * tf.nn.l2_loss(kernel))
    coarsest = min(pyramid.max_level, pyramids.COARSEST_OF_BACKBONE)
    backbone = resnet_v1.ResNetV1(
        resnet_v1.make_stages(units, depth),
        base,
        frozen,
        stem_depth=depth,
        outputs=range(pyramid.min_level - 2, coarsest - 1),
        name="backbone",
    )
    pyramid_depth = pyramid.additional_layer_depth
    layout = feature_pyramid.Layout(depth=pyramid_depth, num_coarse=pyramid.max_level - coarsest, key_prefix="")
    classifier_backbone = None
    if crop_side is not None:
        classifier_backbone = box_classifier.DenseFeatures(crop_side * crop_side * pyramid_depth, own, frozen)
    return {
        "scaling": pixels.MINUS_MEANS,
        "backbone": backbone,
        "neck": feature_pyramid.FeaturePyramid(backbone.depths, layout, own, frozen),
        "classifier_backbone": classifier_backbone,
        "pad_to_multiple": message.pad_to_multiple,
    }


def _build_inception_resnet(message, frozen, crop_side, slim=False, counts=(10, 20, 9)):
    """Scaling and both halves of an Inception-ResNet V2 from a FasterRcnnFeatureExtractor message."""
    own = inception_resnet_v2.make_hyperparams(regularizer=hyperparams.no_loss)
    stride = message.first_stage_features_stride
    classifier_backbone = None
    if crop_side is not None:
        classifier_backbone = inception_resnet_v2.build_second_half(own, frozen, slim, counts[2])
    return {
        "scaling": pixels.MINUS_ONE_TO_ONE,
        "backbone": inception_resnet_v2.build_first_half(own, frozen, stride, counts[:2]),
        "neck": None,
        "classifier_backbone": classifier_backbone,
    }


def _build_inception(message, frozen, crop_side, **sizes):
    """Scaling and both halves of an Inception V2 from a FasterRcnnFeatureExtractor message."""
    del message  # whose stride changes nothing in the published network either
    own = inception_v2.make_hyperparams(regularizer=hyperparams.no_loss)
    backbone = inception_v2.InceptionV2(own, frozen=frozen, endpoints=("Mixed_4e",), name="backbone", **sizes)
    classifier_backbone = None
    if crop_side is not None:
        classifier_backbone = inception_v2.InceptionV2(
            own,
            frozen=frozen,
            endpoints=("Mixed_5c",),
            first="Mixed_5a",
            in_channels=backbone.depths[0],
            name="classifier_backbone",
            **sizes,
        )
    return {
        "scaling": pixels.MINUS_ONE_TO_ONE,
        "backbone": backbone,
        "neck": None,
        "classifier_backbone": classifier_backbone,
    }


def _build_nasnet(message, frozen, crop_side, stem_depth=nasnet.STEM_DEPTH, **sizes):
    """Scaling and both halves of a NASNet-A from a FasterRcnnFeatureExtractor message.

    The published code sets batch norm of the first half to training whatever the message says.
    """
    del message
    own = nasnet.make_hyperparams(nasnet.regularize)
    return {
        "scaling": pixels.MINUS_ONE_TO_ONE,
        "backbone": nasnet.build_first_half(own, frozen=False, stem_depth=stem_depth, **sizes),
        "neck": None,
        "classifier_backbone": None if crop_side is None else nasnet.build_second_half(own, frozen, **sizes),
    }


def _build_anchors(message):
    """`PixelAnchors` from an AnchorGenerator message."""
    build, values = parts.choose(message, "anchor_generator_oneof", ANCHOR_GENERATORS)
    return build(values)


def _build_grid_anchors(message):
    ratios, scales = list(message.aspect_ratios), list(message.scales)
    return anchor_ops.PixelAnchors(
        specifications=[[(scale, ratio) for ratio in ratios for scale in scales]],
        base_sizes=[(message.height, message.width)],
        strides=[(message.height_stride, message.width_stride)],
        offsets=[(message.height_offset, message.width_offset)],
    )


def _build_multiscale_anchors(message):
    return anchor_ops.make_pyramid_anchors(
        message.min_level,
        message.max_level,
        anchor_scale=message.anchor_scale,
        aspect_ratios=list(message.aspect_ratios),
        scales_per_octave=message.scales_per_octave,
    )


def _build_rpn(message, depths, num_anchors, frozen):
    """The block before the proposals' predictions, and their head."""
    own = hyperparams.build_hyperparams(message.first_stage_box_predictor_conv_hyperparams)
    depth = message.first_stage_box_predictor_depth
    block = layers.build_block(
        dataclasses.replace(own, activation=tf.nn.relu6),
        frozen,
        depths[0],
        depth,
        message.first_stage_box_predictor_kernel_size,
        dilation=message.first_stage_atrous_rate,
        name="rpn_block",
    )
    layout = convolutional.HeadLayout()
    head = convolutional.ConvolutionalHead([depth] * len(depths), num_anchors, 2, layout, own, frozen, name="rpn_head")
    return block, head


def _build_first_stage(message, anchors):
    """A `proposal_network.FirstStage` from a FasterRcnn message."""
    draw = sampler.BalancedSampler(message.first_stage_minibatch_size, message.first_stage_positive_balance_fraction)
    static_in_evaluation = _is_static_in_evaluation(message)
    return proposal_network.FirstStage(
        anchors=anchors,
        assigner=target_assigner.TargetAssigner(_PROPOSAL_MATCHER, num_columns=2),
        sampler=dataclasses.replace(
            draw, is_static=message.use_static_shapes and message.use_static_balanced_label_sampler
        ),
        eval_sampler=dataclasses.replace(
            draw, is_static=static_in_evaluation and message.use_static_balanced_label_sampler
        ),
        suppression=nms.BatchNonMaxSuppression(
            score_threshold=message.first_stage_nms_score_threshold,
            iou_threshold=message.first_stage_nms_iou_threshold,
            max_per_class=message.first_stage_max_proposals,
            max_total=message.first_stage_max_proposals,
            change_frame=False,
        ),
        clip_anchors=message.clip_anchors_to_image,
        keep_shapes=static_in_evaluation,
        localization_weight=message.first_stage_localization_loss_weight,
        objectness_weight=message.first_stage_objectness_loss_weight,
    )


def _build_second_stage(message):
    """A `region_head.SecondStage` from a FasterRcnn message."""
    localization_weight = message.second_stage_localization_loss_weight
    classification_weight = message.second_stage_classification_loss_weight
    post_processing = message.second_stage_post_processing
    miner = None
    if message.HasField("hard_example_miner"):
        miner = parts.build_miner(message.hard_example_miner, localization_weight, classification_weight)
        # Which proposals are negatives does not count here, as in the published code.
        miner = dataclasses.replace(miner, max_negatives_per_positive=None)
    return region_head.SecondStage(
        assigner=target_assigner.TargetAssigner(_DETECTION_MATCHER, num_columns=message.num_classes + 1),
        sampler=sampler.BalancedSampler(message.second_stage_batch_size, message.second_stage_balance_fraction),
        suppression=dataclasses.replace(
            parts.build_suppression(post_processing.batch_non_max_suppression), change_frame=True
        ),
        to_scores=parts.build_score_converter(post_processing),
        classification=_build_classification(message.second_stage_classification_loss),
        localization_weight=localization_weight,
        classification_weight=classification_weight,
        miner=miner,
    )


def _is_static_in_evaluation(message):
    return message.use_static_shapes and message.use_static_shapes_for_eval


def _build_cropping(message):
    """A `region_head.Cropping` from a FasterRcnn message."""
    return region_head.Cropping(
        crop=_choose_crop(message),
        size=message.initial_crop_size,
        pool=(message.maxpool_kernel_size, message.maxpool_stride),
    )


def _choose_crop(message):
    """A function of `crops`; XLA does not know TensorFlow's own operation, and matrices compute the same."""
    if message.use_matmul_crop_and_resize:
        return crops.crop_by_matmul if xla.is_target() else crops.crop_bordered
    return crops.crop_inside_by_matmul if xla.is_target() else crops.crop_native


def _build_classification(message):
    """The second stage's classification loss; softmax where nothing is set."""
    if message.WhichOneof("classification_loss") is None:
        return losses.softmax
    known = {name: parts.CLASSIFICATION_LOSSES[name] for name in CLASSIFICATION_LOSSES}
    build, values = parts.choose(message, "classification_loss", known)
    return build(values)


CLASSIFICATION_LOSSES = ("weighted_softmax", "weighted_sigmoid", "weighted_sigmoid_focal")

ANCHOR_GENERATORS = {
    "grid_anchor_generator": _build_grid_anchors,
    "multiscale_anchor_generator": _build_multiscale_anchors,
}

FEATURE_EXTRACTORS = {
    "faster_rcnn_inception_resnet_v2_keras": _build_inception_resnet,
    "faster_rcnn_inception_resnet_v2": functools.partial(_build_inception_resnet, slim=True),
    "faster_rcnn_inception_v2": _build_inception,
    "faster_rcnn_nas": _build_nasnet,
}
for _layers, _units in resnet_v1.UNITS.items():
    # The names of the first generation have the strides of TF-Slim.
    FEATURE_EXTRACTORS[f"faster_rcnn_resnet{_layers}"] = functools.partial(_build_resnet, units=_units, slim=True)
    FEATURE_EXTRACTORS[f"faster_rcnn_resnet{_layers}_keras"] = functools.partial(_build_resnet, units=_units)
    FEATURE_EXTRACTORS[f"faster_rcnn_resnet{_layers}_fpn_keras"] = functools.partial(
        _build_resnet_pyramid, units=_units
    )
