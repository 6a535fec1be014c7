"""Checks of values for parts that several families have.

They need no TensorFlow, so that `config` refuses what `train` would. A rule (`rules`) judges a field alone; these
compare fields with each other and with what the network can be.
"""

from tfodhelper import errors


def require(where, message, checks):
    """Raises a ConfigError for the first value that is wrong.

    Args:
      where: path of the message, such as "faster_rcnn".
      message: a message of the schema.
      checks: {field: (whether it is right, what is expected)}.
    """
    for name, (is_right, expected) in checks.items():
        if not is_right:
            raise errors.ConfigError(f"{where}.{name}", expected=expected, received=_show(getattr(message, name)))


def choose(message, oneof, known):
    """The name and the message of what is set in a oneof; a ConfigError if it is nothing, or not one of `known`."""
    name = message.WhichOneof(oneof)
    if name not in known:
        field = oneof.removesuffix("_oneof")
        raise errors.ConfigError(
            f"{field}: {name!r} is not known" if name else f"{field}: nothing is set",
            expected="one of " + ", ".join(sorted(known)),
            received=name or "nothing",
        )
    return name, getattr(message, name)


def check_number_of_maps(generator, num_maps, num_anchors):
    """Checks that there are anchors for each feature map.

    Args:
      generator: name of the anchor generator's field.
      num_maps: number of feature maps of the network.
      num_anchors: numbers of anchors at one place of each map, as the anchor generator says.
    """
    if len(num_anchors) != num_maps:
        raise errors.ConfigError(
            f"{generator} and feature_extractor differ in the number of feature maps",
            expected=num_maps,
            received=len(num_anchors),
        )


def check_dropout(where, message):
    """Checks the dropout of a box predictor's message."""
    kept = message.dropout_keep_probability
    is_right = not message.use_dropout or 0.0 < kept <= 1.0
    require(where, message, {"dropout_keep_probability": (is_right, "above 0, at most 1")})


def check_multiscale_anchors(message, normalized):
    """Checks a MultiscaleAnchorGenerator message.

    Args:
      message: the message.
      normalized: what normalize_coordinates must be.
    """
    require(
        "multiscale_anchor_generator",
        message,
        {
            "min_level": (0 <= message.min_level <= message.max_level, f"0 to max_level={message.max_level}"),
            "anchor_scale": (message.anchor_scale > 0, "above 0"),
            "aspect_ratios": (min(message.aspect_ratios, default=0) > 0, "at least one, all above 0"),
            "scales_per_octave": (message.scales_per_octave >= 1, "at least 1"),
            "normalize_coordinates": (message.normalize_coordinates == normalized, str(normalized).lower()),
        },
    )


def check_resizer(resizer):
    """Checks an ImageResizer message of a kind that `input_size` knows."""
    kind = resizer.WhichOneof("image_resizer_oneof")
    options = getattr(resizer, kind) if kind else None
    if kind == "fixed_shape_resizer" and min(options.height, options.width) < 1:
        raise errors.ConfigError(kind, expected="sides above 0", received=f"{options.height} x {options.width}")
    if kind != "keep_aspect_ratio_resizer":
        return
    if not 0 < options.min_dimension <= options.max_dimension:
        raise errors.ConfigError(
            kind,
            expected="0 < min_dimension <= max_dimension",
            received=f"{options.min_dimension} and {options.max_dimension}",
        )
    if len(options.per_channel_pad_value) not in (0, 3):
        raise errors.ConfigError(
            f"{kind}.per_channel_pad_value", expected="3 numbers", received=len(options.per_channel_pad_value)
        )


def check_suppression(message):
    """Checks a BatchNonMaxSuppression message."""
    require(
        "batch_non_max_suppression",
        message,
        {
            "iou_threshold": (0.0 <= message.iou_threshold <= 1.0, "0 to 1"),
            "max_detections_per_class": (
                message.max_detections_per_class <= message.max_total_detections,
                f"at most max_total_detections={message.max_total_detections}",
            ),
            "soft_nms_sigma": (message.soft_nms_sigma >= 0.0, "at least 0"),
            "max_classes_per_detection": (message.max_classes_per_detection == 1, "1"),
            "use_combined_nms": (not message.use_combined_nms, "false"),
        },
    )


def _show(value):
    if isinstance(value, bool):
        return str(value).lower()
    if hasattr(value, "__len__") and not isinstance(value, str):
        return ", ".join(f"{item:g}" for item in value) or "none"
    return value
