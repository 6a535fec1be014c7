"""The size of a model's input, from its ImageResizer message."""


def largest_size(resizer):
    """The largest input that a resizer makes.

    Args:
      resizer: an ImageResizer message.

    Returns:
      (height, width) in pixels; None if the resizer does not tell. An image that keeps its aspect ratio without padding
      may be on its side: the longer side is the width.
    """
    kind = resizer.WhichOneof("image_resizer_oneof")
    options = getattr(resizer, kind) if kind else None
    if kind == "fixed_shape_resizer":
        return options.height, options.width
    if kind == "keep_aspect_ratio_resizer":
        other_side = options.max_dimension if options.pad_to_max_dimension else options.min_dimension
        return other_side, options.max_dimension
    return None


def fixed_size(resizer):
    """(height, width) of the input, in pixels; None if it depends on the image, or if the resizer does not tell."""
    kind = resizer.WhichOneof("image_resizer_oneof")
    if kind == "keep_aspect_ratio_resizer" and not resizer.keep_aspect_ratio_resizer.pad_to_max_dimension:
        return None
    return largest_size(resizer)


def largest_area(resizer):
    """The pixels of the largest input, see `largest_size`; None if the resizer does not tell."""
    size = largest_size(resizer)
    return size and size[0] * size[1]
