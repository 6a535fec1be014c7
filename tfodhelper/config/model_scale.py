"""The scale of a model's input: input size and smallest anchor of a pipeline.config."""

from tfodhelper.config import pipeline
from tfodhelper.dataset.analysis.object_size import ModelScale

_DEFAULT_SIDE = 300  # pixels, if no configuration is given
_GRID_BASE_PX = 256  # default of GridAnchorGenerator


def default_scale(input_size=None):
    """The `ModelScale` of a square input without known anchors; by default 300 x 300."""
    side = input_size or _DEFAULT_SIDE
    return ModelScale(side, side)


def read_model_scale(path):
    """The `ModelScale` of a pipeline.config.

    Args:
      path: the file, or a folder that contains a `pipeline.config`.

    Raises:
      ConfigError: it cannot be read.
    """
    model = pipeline.read_pipeline(path).model
    kind = model.WhichOneof("model")
    if kind is None:
        return default_scale()
    architecture = getattr(model, kind)
    resizer = getattr(architecture, "image_resizer", None)
    shape = resizer.WhichOneof("image_resizer_oneof") if resizer is not None else None
    if shape == "fixed_shape_resizer":
        size = resizer.fixed_shape_resizer
        height, width, keeps_aspect = size.height, size.width, False
    elif shape == "keep_aspect_ratio_resizer":
        height = width = resizer.keep_aspect_ratio_resizer.min_dimension
        keeps_aspect = True
    else:
        height = width = _DEFAULT_SIDE
        keeps_aspect = False
    return ModelScale(height, width, keeps_aspect, _smallest_anchor(architecture, min(height, width)))


def _smallest_anchor(architecture, side):
    """Side of the smallest anchor, in pixels of an input with the given shorter side; None if it is not known."""
    for name in ("anchor_generator", "first_stage_anchor_generator"):
        generator = getattr(architecture, name, None)
        kind = generator.WhichOneof("anchor_generator_oneof") if generator is not None else None
        if kind is None:
            continue
        values = getattr(generator, kind)
        if kind == "ssd_anchor_generator":
            scales = list(values.scales) or [values.min_scale]
            return min(scales) * side * (0.5 if values.reduce_boxes_in_lowest_layer and not values.scales else 1.0)
        if kind == "multiscale_anchor_generator":
            return float(values.anchor_scale * 2**values.min_level)
        if kind == "grid_anchor_generator":
            return min(values.scales, default=1.0) * (values.height or _GRID_BASE_PX)
    return None
