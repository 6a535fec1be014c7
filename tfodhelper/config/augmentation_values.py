"""Values of data_augmentation_options that fit together, for `config` and for the builder of augmentation."""

import re

from tfodhelper import errors

REFUSED = {
    "rgb_to_gray": "it leaves one channel, and detectors take three; use random_rgb_to_gray {probability: 1.0}",
    "scale_boxes_to_pixel_coordinates": "detectors take normalized boxes; remove it",
    "convert_class_logits_to_softmax": "records hold classes, not class logits; remove it",
}
AUTOAUGMENT_POLICIES = ("v0", "v1", "v2", "v3", "test")
_CHANCE = re.compile(r"(^|_)probability$|^random_coef$")
_LOW = re.compile(r"(^|_)min(?=_|val$|$)")


def check_options(options):
    """Checks `PreprocessingStep` messages, in their order.

    Raises:
      ConfigError: for an option that is empty, not supported or has an invalid value.
    """
    for index, option in enumerate(options):
        check_step(option, f"train_config.data_augmentation_options[{index}]")


def check_step(option, path):
    """Checks one `PreprocessingStep` message; see `check_options`.

    Args:
      option: the message.
      path: of the message in the config, for errors.
    """
    name = option.WhichOneof("preprocessing_step")
    if name is None:
        known = [field.name for field in option.DESCRIPTOR.oneofs_by_name["preprocessing_step"].fields]
        expected = "one of " + ", ".join(sorted(set(known) - set(REFUSED)))
        raise errors.ConfigError(f"{path}: no operation is named", expected=expected)
    if name in REFUSED:
        raise errors.ConfigError(f"{path}: {name} is not supported", fix=REFUSED[name])
    message, path = getattr(option, name), f"{path}.{name}"
    _check_ranges(message, path)
    for index, operation in enumerate(getattr(message, "operations", ())):
        _check_ranges(operation, f"{path}.operations[{index}]")
    if name in _CHECKS:
        _CHECKS[name](message, path)


def _check_ranges(message, path):
    """Probabilities are between 0 and 1, and no minimum is above its maximum."""
    names = message.DESCRIPTOR.fields_by_name
    for field, value in message.ListFields():
        if _CHANCE.search(field.name) and not 0.0 <= value <= 1.0:
            raise errors.ConfigError(f"{path}.{field.name}", expected="0 to 1", received=f"{value:g}")
    for low in names:
        high = _LOW.sub(r"\1max", low)
        if low == high or high not in names or not isinstance(getattr(message, low), (int, float)):
            continue
        is_set = message.HasField(low) and (message.HasField(high) or getattr(message, high))
        if is_set and not getattr(message, low) <= getattr(message, high):
            raise errors.ConfigError(
                f"{path}: {low} and {high}",
                expected="the first at most the second",
                received=f"{getattr(message, low):g} and {getattr(message, high):g}",
            )


def _check_normalize_image(config, path):
    if config.original_minval == config.original_maxval:
        raise errors.ConfigError(
            f"{path}: original_minval and original_maxval must differ", received=config.original_minval
        )


def _check_color_ordering(config, path):
    if config.color_ordering not in (0, 1):
        raise errors.ConfigError(f"{path}.color_ordering", expected="0 or 1", received=config.color_ordering)


def _check_drop_label(config, path):
    if config.label < 1:
        raise errors.ConfigError(f"{path}.label", expected="an id of the label map, from 1", received=config.label)


def _check_remap_labels(config, path):
    for label in (*config.original_labels, config.new_label):
        if label < 1:
            raise errors.ConfigError(f"{path}: labels", expected="ids of the label map, from 1", received=label)


def _check_policy(config, path):
    if config.policy_name not in AUTOAUGMENT_POLICIES:
        raise errors.ConfigError(
            f"{path}.policy_name",
            expected="one of " + ", ".join(AUTOAUGMENT_POLICIES),
            received=config.policy_name or "nothing",
        )


def _check_downscale(config, path):
    _check_positive(config, path, "min_target_pixels")
    if config.HasField("max_target_pixels"):
        _check_positive(config, path, "max_target_pixels")


def _check_pad_image(config, path):
    for end in ("min", "max"):
        fields = (f"{end}_image_height", f"{end}_image_width")
        if len({config.HasField(field) for field in fields}) > 1:
            raise errors.ConfigError(f"{path}: {fields[0]} and {fields[1]}", expected="both or neither")
    _check_count(config, path, "pad_color", 3)


def _check_absolute_pad_image(config, path):
    _check_count(config, path, "pad_color", 3)


def _check_crop(config, path, with_aspect_ratio=True):
    for name in ("aspect_ratio", "area") if with_aspect_ratio else ("area",):
        low, high = getattr(config, f"min_{name}"), getattr(config, f"max_{name}")
        if not 0.0 < low <= high:
            raise errors.ConfigError(
                f"{path}: min_{name} and max_{name}", expected="0 < min <= max", received=f"{low:g} and {high:g}"
            )


def _check_crop_pad_image(config, path):
    _check_crop(config, path)
    _check_ratios(config, path)
    _check_count(config, path, "pad_color", 3)


def _check_ssd_crop(config, path, with_aspect_ratio=True):
    for index, operation in enumerate(config.operations):
        _check_crop(operation, f"{path}.operations[{index}]", with_aspect_ratio)


def _check_ssd_crop_pad(config, path):
    _check_ssd_crop(config, path)
    for index, operation in enumerate(config.operations):
        _check_ratios(operation, f"{path}.operations[{index}]", required=True)


def _check_ssd_crop_fixed(config, path):
    _check_positive(config, path, "aspect_ratio")
    _check_ssd_crop(config, path, with_aspect_ratio=False)


def _check_ssd_crop_pad_fixed(config, path):
    _check_positive(config, path, "aspect_ratio")
    _check_ssd_crop(config, path)
    _check_ratios(config, path)


def _check_ratios(config, path, required=False):
    for name in ("min_padded_size_ratio", "max_padded_size_ratio"):
        _check_count(config, path, name, 2, required)


def _check_count(config, path, name, count, required=False):
    values = getattr(config, name)
    if len(values) != count and (required or len(values)):
        raise errors.ConfigError(f"{path}.{name}", expected=f"{count} numbers", received=len(values))


def _check_positive(config, path, *names):
    for name in names:
        if getattr(config, name) <= 0:
            raise errors.ConfigError(f"{path}.{name}", expected="a number above 0", received=getattr(config, name))


_CHECKS = {
    "normalize_image": _check_normalize_image,
    "subtract_channel_mean": lambda config, path: _check_count(config, path, "means", 3, required=True),
    "random_distort_color": _check_color_ordering,
    "random_patch_gaussian": lambda config, path: _check_positive(config, path, "min_patch_size"),
    "autoaugment_image": _check_policy,
    "drop_label_probabilistically": _check_drop_label,
    "remap_labels": _check_remap_labels,
    "resize_image": lambda config, path: _check_positive(config, path, "new_height", "new_width"),
    "random_resize_method": lambda config, path: _check_positive(config, path, "target_height", "target_width"),
    "random_downscale_to_target_pixels": _check_downscale,
    "random_pad_image": _check_pad_image,
    "random_absolute_pad_image": _check_absolute_pad_image,
    "random_crop_image": _check_crop,
    "random_crop_pad_image": _check_crop_pad_image,
    "ssd_random_crop": _check_ssd_crop,
    "ssd_random_crop_pad": _check_ssd_crop_pad,
    "ssd_random_crop_fixed_aspect_ratio": _check_ssd_crop_fixed,
    "ssd_random_crop_pad_fixed_aspect_ratio": _check_ssd_crop_pad_fixed,
}
