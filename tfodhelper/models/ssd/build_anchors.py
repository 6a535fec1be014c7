"""From an AnchorGenerator message to anchors."""

from tfodhelper.models import parts
from tfodhelper.ops import anchors as anchor_ops


def build_anchors(message, resizer):
    """Anchors that are normalized to the model input, from an AnchorGenerator message and the model's `Resizer`."""
    build, values = parts.choose(message, "anchor_generator_oneof", ANCHOR_GENERATORS)
    return build(values, resizer)


def _build_ssd_anchors(message, resizer):
    del resizer
    specifications = anchor_ops.make_ssd_specifications(
        message.num_layers,
        min_scale=message.min_scale,
        max_scale=message.max_scale,
        scales=list(message.scales),
        aspect_ratios=list(message.aspect_ratios),
        interpolated_scale_aspect_ratio=message.interpolated_scale_aspect_ratio,
        reduce_boxes_in_lowest_layer=message.reduce_boxes_in_lowest_layer,
    )
    strides = list(zip(message.height_stride, message.width_stride)) or None
    offsets = list(zip(message.height_offset, message.width_offset)) or None
    return anchor_ops.GridAnchors(
        specifications,
        base_size=(message.base_anchor_height, message.base_anchor_width),
        strides_px=strides,
        offsets_px=offsets,
    )


def _build_multiscale_anchors(message, resizer):
    in_pixels = anchor_ops.make_pyramid_anchors(
        message.min_level,
        message.max_level,
        anchor_scale=message.anchor_scale,
        aspect_ratios=list(message.aspect_ratios),
        scales_per_octave=message.scales_per_octave,
    )
    return anchor_ops.PyramidAnchors(in_pixels, has_fixed_size=resizer.height is not None and resizer.width is not None)


ANCHOR_GENERATORS = {
    "ssd_anchor_generator": _build_ssd_anchors,
    "multiscale_anchor_generator": _build_multiscale_anchors,
}
