"""From an AnchorGenerator message to anchors."""

from tfodhelper import errors
from tfodhelper.models import parts
from tfodhelper.ops import anchors as anchor_ops


def build_anchors(message):
    """`GridAnchors` from an AnchorGenerator message."""
    build, values = parts.choose(message, "anchor_generator_oneof", ANCHOR_GENERATORS)
    return build(values)


def _build_ssd_anchors(message):
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
    for name, values in (("scales", message.scales), ("strides", strides), ("offsets", offsets)):
        if values and len(values) != message.num_layers:
            raise errors.ConfigError(
                f"ssd_anchor_generator: {name}",
                expected=f"one for each of num_layers={message.num_layers} feature maps",
                received=len(values),
            )
    return anchor_ops.GridAnchors(
        specifications,
        base_size=(message.base_anchor_height, message.base_anchor_width),
        strides_px=strides,
        offsets_px=offsets,
    )


ANCHOR_GENERATORS = {"ssd_anchor_generator": _build_ssd_anchors}
