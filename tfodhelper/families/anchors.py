"""The smallest anchor of an AnchorGenerator message."""

_GRID_BASE_PX = 256  # default of GridAnchorGenerator


def smallest_px(generator, side_px):
    """Side of the smallest anchor.

    Args:
      generator: an AnchorGenerator message.
      side_px: shorter side of the model input in pixels.

    Returns:
      Pixels of the model input; None for an unknown kind of generator.
    """
    kind = generator.WhichOneof("anchor_generator_oneof")
    values = getattr(generator, kind) if kind else None
    if kind == "ssd_anchor_generator":
        scales = list(values.scales) or [values.min_scale]
        return min(scales) * side_px * (0.5 if values.reduce_boxes_in_lowest_layer and not values.scales else 1.0)
    if kind == "multiscale_anchor_generator":
        return float(values.anchor_scale * 2**values.min_level)
    if kind == "grid_anchor_generator":
        return min(values.scales, default=1.0) * (values.height or _GRID_BASE_PX)
    return None
