"""The scale of a model's input: input size and smallest anchor of a pipeline.config."""

from tfodhelper import families
from tfodhelper.config import pipeline
from tfodhelper.dataset.analysis.object_size import ModelScale

_DEFAULT_SIDE = 300  # pixels, if no configuration is given


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
    family = families.find_family(model)  # an exported model may be of a family that cannot be trained here
    smallest_anchor = family.smallest_anchor_px(model, min(height, width)) if family else None
    return ModelScale(height, width, keeps_aspect, smallest_anchor)
