"""The data_augmentation_options of a pipeline.config as one function from sample to sample.

Fields that are not set mean what they mean in the Object Detection API: mostly the default of the schema, or the value
that its code takes instead (`random_downscale_to_target_pixels.max_target_pixels`: 800000).
"""

import functools

from tfodhelper.config import augmentation_values
from tfodhelper.inputs import (
    augment_color,
    augment_crop,
    augment_pad,
    augment_position,
    augment_size,
    autoaugment,
    autoaugment_policies,
)

_JITTER_MODES = {
    0: "DEFAULT",
    1: "EXPAND",
    2: "SHRINK",
    4: "EXPAND_SYMMETRIC",
    5: "SHRINK_SYMMETRIC",
    6: "EXPAND_SYMMETRIC_XY",
    7: "SHRINK_SYMMETRIC_XY",
}
_RESIZE_METHODS = {1: "AREA", 2: "BICUBIC", 3: "BILINEAR", 4: "NEAREST_NEIGHBOR"}


def build_augmentation(options):
    """Builds the steps of a config, in their order.

    Args:
      options: `PreprocessingStep` messages.

    Returns:
      A function from (`Sample`, `Draws`) to a `Sample`.

    Raises:
      ConfigError: for an option that is empty, unknown or has an invalid value.
    """
    steps = [build_step(option, f"train_config.data_augmentation_options[{i}]") for i, option in enumerate(options)]

    def augment(sample, draws):
        for step in steps:
            sample = step(sample, draws)
        return sample

    return augment


def build_step(option, path="data_augmentation_options"):
    """Builds one step from a `PreprocessingStep` message; see `build_augmentation`.

    Args:
      option: the message.
      path: of the message in the config, for errors.
    """
    augmentation_values.check_step(option, path)
    name = option.WhichOneof("preprocessing_step")
    config = getattr(option, name)
    return _BUILDERS[name](config)


def _plain(function, *fields, **renamed):
    """A builder that passes fields on as arguments; `renamed` maps arguments to fields."""
    arguments = {field: field for field in fields} | renamed

    def build(config):
        return functools.partial(function, **{name: getattr(config, field) for name, field in arguments.items()})

    return build


def _normalize_image(config):
    low, high = config.original_minval, config.original_maxval
    return functools.partial(
        augment_color.normalize_image,
        original_minval=low,
        original_maxval=high,
        target_minval=config.target_minval,
        target_maxval=config.target_maxval,
    )


def _subtract_channel_mean(config):
    return functools.partial(augment_color.subtract_channel_mean, means=_numbers(config.means))


def _random_distort_color(config):
    return functools.partial(augment_color.random_distort_color, color_ordering=config.color_ordering)


def _random_patch_gaussian(config):
    return functools.partial(
        augment_color.random_patch_gaussian,
        random_coef=config.random_coef,
        patch_size_range=(config.min_patch_size, config.max_patch_size),
        stddev_range=(config.min_gaussian_stddev, config.max_gaussian_stddev),
    )


def _random_jitter_boxes(config):
    return functools.partial(
        augment_position.random_jitter_boxes, ratio=config.ratio, mode=_JITTER_MODES[config.jitter_mode]
    )


def _drop_label(config):
    return functools.partial(
        augment_position.drop_label_probabilistically,
        label=config.label - 1,
        drop_probability=config.drop_probability,
    )


def _remap_labels(config):
    return functools.partial(
        augment_position.remap_labels,
        original_labels=[label - 1 for label in config.original_labels],
        new_label=config.new_label - 1,
    )


def _autoaugment_image(config):
    policies = autoaugment_policies.POLICIES
    return functools.partial(autoaugment.autoaugment_image, policy=policies[config.policy_name])


def _resize_image(config):
    method = _RESIZE_METHODS[config.method]
    return functools.partial(
        augment_size.resize_image, new_height=config.new_height, new_width=config.new_width, method=method
    )


def _random_resize_method(config):
    return functools.partial(
        augment_size.random_resize_method, target_height=config.target_height, target_width=config.target_width
    )


def _random_downscale(config):
    low = config.min_target_pixels
    high = config.max_target_pixels if config.HasField("max_target_pixels") else 800000
    return functools.partial(
        augment_size.random_downscale_to_target_pixels,
        random_coef=config.random_coef,
        min_target_pixels=low,
        max_target_pixels=high,
    )


def _random_pad_image(config):
    min_size = _size(config, "min_image_height", "min_image_width")
    max_size = _size(config, "max_image_height", "max_image_width")
    color = _color(config)
    return functools.partial(augment_pad.random_pad_image, min_size=min_size, max_size=max_size, color=color)


def _random_absolute_pad_image(config):
    return functools.partial(
        augment_pad.random_absolute_pad_image,
        max_height_padding=config.max_height_padding,
        max_width_padding=config.max_width_padding,
        color=_color(config),
    )


def _random_crop_image(config):
    return functools.partial(augment_crop.random_crop_image, crop=_crop(config))


def _random_crop_pad_image(config):
    padding = augment_crop.Padding(*_ratios(config), _color(config))
    return functools.partial(augment_crop.random_crop_pad_image, crop=_crop(config), padding=padding)


def _ssd_random_crop(config):
    return functools.partial(augment_crop.ssd_random_crop, crops=_crops(config))


def _ssd_random_crop_pad(config):
    if not config.operations:
        return augment_crop.ssd_random_crop_pad
    pairs = []
    for crop, operation in zip(_crops(config), config.operations):
        color = (operation.pad_color_r, operation.pad_color_g, operation.pad_color_b)
        pairs.append((crop, augment_crop.Padding(*_ratios(operation), color)))
    return functools.partial(augment_crop.ssd_random_crop_pad, crop_pads=tuple(pairs))


def _ssd_random_crop_fixed_aspect_ratio(config):
    return functools.partial(
        augment_crop.ssd_random_crop_fixed_aspect_ratio,
        crops=_crops(config, with_aspect_ratio=False),
        aspect_ratio=config.aspect_ratio,
    )


def _ssd_random_crop_pad_fixed_aspect_ratio(config):
    min_ratio, max_ratio = _ratios(config)
    return functools.partial(
        augment_crop.ssd_random_crop_pad_fixed_aspect_ratio,
        crops=_crops(config),
        aspect_ratio=config.aspect_ratio,
        min_ratio=min_ratio,
        max_ratio=max_ratio,
    )


def _crops(config, with_aspect_ratio=True):
    """The crops of an SSD operation; by default those of the paper."""
    if not config.operations:
        return augment_crop.SSD_CROPS
    return tuple(_crop(operation, with_aspect_ratio) for operation in config.operations)


def _crop(config, with_aspect_ratio=True):
    aspect_ratios = (config.min_aspect_ratio, config.max_aspect_ratio) if with_aspect_ratio else (1.0, 1.0)
    areas = (config.min_area, config.max_area)
    return augment_crop.Crop(
        min_object_covered=config.min_object_covered,
        aspect_ratio_range=aspect_ratios,
        area_range=areas,
        overlap_thresh=config.overlap_thresh,
        clip_boxes=config.clip_boxes,
        random_coef=config.random_coef,
    )


def _ratios(config):
    """(min_padded_size_ratio, max_padded_size_ratio), each (height, width)."""
    low = _numbers(config.min_padded_size_ratio) or (1.0, 1.0)
    return low, _numbers(config.max_padded_size_ratio) or (2.0, 2.0)


def _size(config, height_field, width_field):
    """(height, width), or None where neither is set."""
    if not config.HasField(height_field):
        return None
    return getattr(config, height_field), getattr(config, width_field)


def _color(config):
    return _numbers(config.pad_color) if len(config.pad_color) else None


def _numbers(values):
    return tuple(float(value) for value in values)


_BUILDERS = {
    "normalize_image": _normalize_image,
    "subtract_channel_mean": _subtract_channel_mean,
    "adjust_gamma": _plain(augment_color.adjust_gamma, "gamma", "gain"),
    "random_pixel_value_scale": _plain(augment_color.random_pixel_value_scale, "minval", "maxval"),
    "random_rgb_to_gray": _plain(augment_color.random_rgb_to_gray, "probability"),
    "random_adjust_brightness": _plain(augment_color.random_adjust_brightness, "max_delta"),
    "random_adjust_contrast": _plain(augment_color.random_adjust_contrast, "min_delta", "max_delta"),
    "random_adjust_hue": _plain(augment_color.random_adjust_hue, "max_delta"),
    "random_adjust_saturation": _plain(augment_color.random_adjust_saturation, "min_delta", "max_delta"),
    "random_distort_color": _random_distort_color,
    "random_black_patches": _plain(
        augment_color.random_black_patches, "max_black_patches", "probability", "size_to_image_ratio"
    ),
    "random_jpeg_quality": _plain(
        augment_color.random_jpeg_quality, "random_coef", "min_jpeg_quality", "max_jpeg_quality"
    ),
    "random_patch_gaussian": _random_patch_gaussian,
    "autoaugment_image": _autoaugment_image,
    "random_horizontal_flip": _plain(augment_position.random_horizontal_flip, "probability"),
    "random_vertical_flip": _plain(augment_position.random_vertical_flip, "probability"),
    "random_rotation90": _plain(augment_position.random_rotation90, "probability"),
    "random_self_concat_image": _plain(
        augment_position.random_self_concat_image,
        vertical_probability="concat_vertical_probability",
        horizontal_probability="concat_horizontal_probability",
    ),
    "random_jitter_boxes": _random_jitter_boxes,
    "drop_label_probabilistically": _drop_label,
    "remap_labels": _remap_labels,
    "random_image_scale": _plain(augment_size.random_image_scale, "min_scale_ratio", "max_scale_ratio"),
    "resize_image": _resize_image,
    "random_resize_method": _random_resize_method,
    "random_downscale_to_target_pixels": _random_downscale,
    "random_scale_crop_and_pad_to_square": _plain(
        augment_size.random_scale_crop_and_pad_to_square, "output_size", "scale_min", "scale_max"
    ),
    "random_pad_image": _random_pad_image,
    "random_absolute_pad_image": _random_absolute_pad_image,
    "random_crop_image": _random_crop_image,
    "random_crop_pad_image": _random_crop_pad_image,
    "random_crop_to_aspect_ratio": _plain(
        augment_crop.random_crop_to_aspect_ratio, "aspect_ratio", "overlap_thresh", "clip_boxes"
    ),
    "random_square_crop_by_scale": _plain(
        augment_crop.random_square_crop_by_scale, "max_border", "scale_min", "scale_max", "num_scales"
    ),
    "ssd_random_crop": _ssd_random_crop,
    "ssd_random_crop_pad": _ssd_random_crop_pad,
    "ssd_random_crop_fixed_aspect_ratio": _ssd_random_crop_fixed_aspect_ratio,
    "ssd_random_crop_pad_fixed_aspect_ratio": _ssd_random_crop_pad_fixed_aspect_ratio,
}
OPERATIONS = tuple(sorted(_BUILDERS))
