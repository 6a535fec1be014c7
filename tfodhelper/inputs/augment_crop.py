"""Augmentation that cuts a part out of an image: single crops, the crops of SSD, crops to a shape.

A crop is sampled by `tf.image.sample_distorted_bounding_box`, in at most 100 attempts; if all of them fail, the whole
image stays. The windows of the SSD crops follow section 2.2 of Liu et al. 2016 (arXiv 1512.02325).
"""

import dataclasses

import tensorflow as tf

from tfodhelper.inputs import augment_pad, masks
from tfodhelper.inputs import sample as samples

_ATTEMPTS = 100


@dataclasses.dataclass(frozen=True)
class Crop:
    """How a crop is chosen and what becomes of the boxes.

    Attributes:
      min_object_covered: the window covers at least this fraction of at least one box.
      aspect_ratio_range: allowed width / height of the window.
      area_range: allowed area of the window, as a fraction of the image.
      overlap_thresh: a box is kept when at least this fraction of it is inside the window.
      clip_boxes: whether boxes are clipped to the window.
      random_coef: probability that the image stays as it is.
    """

    min_object_covered: float = 1.0
    aspect_ratio_range: tuple = (0.75, 1.33)
    area_range: tuple = (0.1, 1.0)
    overlap_thresh: float = 0.3
    clip_boxes: bool = True
    random_coef: float = 0.0


@dataclasses.dataclass(frozen=True)
class Padding:
    """The padding that follows a crop; sizes are multiples (height, width) of the image before the crop.

    `color` is one number per channel, or None for the mean of the padded image.
    """

    min_ratio: tuple = (1.0, 1.0)
    max_ratio: tuple = (2.0, 2.0)
    color: tuple | None = None


_SSD_OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
SSD_CROPS = tuple(
    Crop(overlap, aspect_ratio_range=(0.5, 2.0), overlap_thresh=overlap, random_coef=0.15) for overlap in _SSD_OVERLAPS
)
SSD_CROP_PADS = tuple((crop, Padding()) for crop in SSD_CROPS[1:])


def random_crop_image(sample, draws, crop):
    """Crops as a `Crop` says."""
    return _random_crop(sample, draws, (crop,))[0]


def ssd_random_crop(sample, draws, crops=SSD_CROPS):
    """Crops as one of several equally likely `Crop`s says."""
    return _random_crop(sample, draws, crops)[0]


def ssd_random_crop_fixed_aspect_ratio(sample, draws, crops=SSD_CROPS, aspect_ratio=1.0):
    """An SSD crop of a given aspect ratio (width / height); an image that still has another one is cut to it."""
    ratio = (aspect_ratio, aspect_ratio)
    crops = [dataclasses.replace(crop, aspect_ratio_range=ratio) for crop in crops]
    return random_crop_to_aspect_ratio(ssd_random_crop(sample, draws, crops), draws, aspect_ratio)


def ssd_random_crop_pad_fixed_aspect_ratio(
    sample, draws, crops=SSD_CROPS, aspect_ratio=1.0, min_ratio=(1.0, 1.0), max_ratio=(2.0, 2.0)
):
    """An SSD crop, then zeros below and to the right up to a given aspect ratio (width / height)."""
    cropped = ssd_random_crop(sample, draws, crops)
    return augment_pad.random_pad_to_aspect_ratio(cropped, draws, aspect_ratio, min_ratio, max_ratio)


def random_crop_pad_image(sample, draws, crop, padding):
    """Crops, then pads to a random multiple of the original size."""
    return ssd_random_crop_pad(sample, draws, ((crop, padding),))


def ssd_random_crop_pad(sample, draws, crop_pads=SSD_CROP_PADS):
    """Crops and pads as one of several equally likely pairs (`Crop`, `Padding`) says."""
    height, width = sample.picture.size
    before = tf.cast(tf.stack([height, width]), tf.float32)
    paddings = [padding for _, padding in crop_pads]
    cropped, chosen = _random_crop(sample, draws, [crop for crop, _ in crop_pads])
    min_size = tf.cast(before * _pick([padding.min_ratio for padding in paddings], chosen), tf.int32)
    max_size = tf.cast(before * _pick([padding.max_ratio for padding in paddings], chosen), tf.int32)
    image = samples.read_image(cropped)
    colors = [tf.reduce_mean(image, axis=[0, 1]) if padding.color is None else padding.color for padding in paddings]
    return augment_pad.random_pad_image(cropped, draws, min_size, max_size, _pick(colors, chosen), image=image)


def random_crop_to_aspect_ratio(sample, draws, aspect_ratio=1.0, overlap_thresh=0.3, clip_boxes=True):
    """Cuts one side, at a random position, so that the image has an aspect ratio (width / height)."""
    height, width = sample.picture.size
    real_height, real_width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    wide = real_width / real_height > aspect_ratio
    tall = real_width / real_height < aspect_ratio
    new_height = tf.where(tall, tf.cast(tf.round(real_width / aspect_ratio), tf.int32), height)
    new_width = tf.where(wide, tf.cast(tf.round(real_height * aspect_ratio), tf.int32), width)
    y = draws.integer(0, height - new_height + 1)
    x = draws.integer(0, width - new_width + 1)
    window = _normalize(y, x, new_height, new_width, height, width)
    kept = samples.keep_boxes(sample, samples.covered_fractions(sample.boxes, window) >= overlap_thresh)
    moved = samples.crop(samples.move_boxes(kept, window), y, x, new_height, new_width)
    if not clip_boxes:
        return moved
    clipped = samples.clip_boxes(moved)
    sides = clipped.boxes[:, 2:] - clipped.boxes[:, :2]
    return samples.keep_boxes(clipped, sides[:, 0] * sides[:, 1] > 0.0)


def random_square_crop_by_scale(sample, draws, max_border=128, scale_min=0.6, scale_max=1.3, num_scales=8):
    """Cuts out a square around a random center; the part outside of the image is zero.

    The side is one of `num_scales` multiples of the longer side; the center keeps a distance from the border (Zhou et
    al. 2019, arXiv 1904.07850, and the code published with it).
    """
    height, width = sample.picture.size
    scale = tf.linspace(scale_min, scale_max, num_scales)[draws.integer(0, num_scales)]
    side = tf.cast(scale * tf.cast(tf.maximum(height, width), tf.float32), tf.int32)
    border_y, border_x = _center_border(max_border, height), _center_border(max_border, width)
    half = side // 2
    top = draws.integer(border_y, height - border_y + 1) - half
    left = draws.integer(border_x, width - border_x + 1) - half
    # The last row and column are never part of the crop, as in the Object Detection API.
    y, bottom = tf.maximum(top, 0), tf.minimum(top + 2 * half, height - 1)
    x, right = tf.maximum(left, 0), tf.minimum(left + 2 * half, width - 1)
    part = samples.crop(sample, y, x, bottom - y, right - x)
    image = augment_pad.pad_image(samples.read_image(part), y - top, x - left, side, side)
    padded = samples.replace_image(part, image, lambda mask: masks.pad(mask, y - top, x - left, side, side))
    return keep_inside(padded, _normalize(top, left, side, side, height, width))


def keep_inside(sample, window):
    """Moves boxes into the frame of a window, drops those outside of it and clips the others.

    The picture is already that of the window.
    """
    moved = samples.move_boxes(sample, window)
    whole = tf.constant([0.0, 0.0, 1.0, 1.0])
    return samples.clip_boxes(samples.keep_boxes(moved, samples.overlaps(moved.boxes, whole)))


def _random_crop(sample, draws, crops):
    """Crops as one of `crops`; returns the sample and the index of the crop, an int32 scalar or 0."""
    chosen = draws.integer(0, len(crops)) if len(crops) > 1 else 0
    do = draws.uniform() > _pick([crop.random_coef for crop in crops], chosen)
    height, width = sample.picture.size
    y, x, crop_height, crop_width = _sample_window(sample, crops, chosen, height, width, draws.seed())
    y, x = tf.where(do, y, 0), tf.where(do, x, 0)
    crop_height, crop_width = tf.where(do, crop_height, height), tf.where(do, crop_width, width)
    window = _normalize(y, x, crop_height, crop_width, height, width)
    threshold = _pick([crop.overlap_thresh for crop in crops], chosen)
    fractions = samples.covered_fractions(sample.boxes, window)
    stays = samples.overlaps(sample.boxes, window) & (fractions >= threshold)
    kept = samples.keep_boxes(sample, stays | tf.logical_not(do))
    moved = samples.move_boxes(kept, window)
    clip = tf.logical_and(do, _pick([crop.clip_boxes for crop in crops], chosen))
    boxes = tf.where(clip, tf.clip_by_value(moved.boxes, 0.0, 1.0), moved.boxes)
    return samples.crop(dataclasses.replace(moved, boxes=boxes), y, x, crop_height, crop_width), chosen


def _sample_window(sample, crops, chosen, height, width, seed):
    """Samples a window for the chosen crop: int32 scalars y, x, height, width."""
    boxes = tf.clip_by_value(sample.boxes, 0.0, 1.0)[tf.newaxis]

    def sample_with(crop, min_object_covered):
        begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            tf.stack([height, width, 3]),
            boxes,
            seed,
            min_object_covered=min_object_covered,
            aspect_ratio_range=crop.aspect_ratio_range,
            area_range=crop.area_range,
            max_attempts=_ATTEMPTS,
            use_image_if_no_bounding_boxes=True,
        )
        return tf.stack([begin[0], begin[1], size[0], size[1]])

    if len({(crop.aspect_ratio_range, crop.area_range) for crop in crops}) == 1:
        window = sample_with(crops[0], _pick([crop.min_object_covered for crop in crops], chosen))
    else:
        window = tf.switch_case(
            chosen, [lambda crop=crop: sample_with(crop, tf.constant(crop.min_object_covered)) for crop in crops]
        )
    return tf.unstack(tf.ensure_shape(window, [4]))


def _pick(values, chosen):
    """The value of the chosen crop as a tensor."""
    if len(values) == 1:
        return tf.convert_to_tensor(values[0])
    return tf.stack(values)[chosen]


def _normalize(y, x, window_height, window_width, height, width):
    """A window in pixels as float32 [4] ymin, xmin, ymax, xmax, normalized to height and width."""
    window = tf.cast(tf.stack([y, x, y + window_height, x + window_width]), tf.float32)
    return window / tf.cast(tf.stack([height, width, height, width]), tf.float32)


def _center_border(max_border, size):
    """The least distance of a center from the border: `max_border`, halved until it is below half of the side."""
    border, size = tf.cast(max_border, tf.float32), tf.cast(size, tf.float32)
    halvings = tf.math.ceil(tf.math.log(2.0 * border / size) / tf.math.log(2.0))
    divisor = tf.clip_by_value(tf.pow(2.0, halvings), 1.0, border)
    return tf.cast(border, tf.int32) // tf.cast(divisor, tf.int32)
