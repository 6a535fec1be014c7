"""Anchors: the boxes that predictions correct.

An anchor specification is a pair (scale, aspect ratio): on a square image an anchor of scale s and aspect ratio r
(width / height) is s * sqrt(r) of the image wide and s / sqrt(r) high.
"""

import dataclasses
import math

import tensorflow as tf

from tfodhelper.ops import boxes as box_ops


def make_ssd_specifications(
    num_layers,
    min_scale=0.2,
    max_scale=0.95,
    scales=(),
    aspect_ratios=(1.0, 2.0, 0.5, 3.0, 0.3333),
    interpolated_scale_aspect_ratio=1.0,
    reduce_boxes_in_lowest_layer=True,
):
    """The default boxes of SSD (Liu et al. 2016, section 2.2; arXiv 1512.02325).

    Args:
      num_layers: number of feature maps, from the finest to the coarsest.
      min_scale: scale on the finest map; the maps between are spaced evenly.
      max_scale: scale on the coarsest map.
      scales: the scales themselves, one per map, instead of `min_scale` and `max_scale`.
      aspect_ratios: on every map.
      interpolated_scale_aspect_ratio: aspect ratio of one more anchor, whose scale is the geometric mean of the map's
        own and that of the next map (for the last map: 1.0); 0 leaves it out.
      reduce_boxes_in_lowest_layer: whether the finest map has only three anchors: (0.1, 1), (s, 2), (s, 0.5).

    Returns:
      A list of lists of (scale, aspect ratio).
    """
    if not scales:
        step = (max_scale - min_scale) / (num_layers - 1) if num_layers > 1 else 0.0
        scales = [min_scale + step * i for i in range(num_layers)]
    following = [*scales[1:], 1.0]
    specifications = []
    for layer, (scale, next_scale) in enumerate(list(zip(scales, following))[:num_layers]):
        if layer == 0 and reduce_boxes_in_lowest_layer:
            specifications.append([(0.1, 1.0), (scale, 2.0), (scale, 0.5)])
            continue
        of_layer = [(scale, ratio) for ratio in aspect_ratios]
        if interpolated_scale_aspect_ratio > 0.0:
            of_layer.append((math.sqrt(scale * next_scale), interpolated_scale_aspect_ratio))
        specifications.append(of_layer)
    return specifications


@dataclasses.dataclass(frozen=True)
class GridAnchors:
    """Anchors on the grids of several feature maps.

    Attributes:
      specifications: for each map a list of (scale, aspect ratio).
      base_size: (height, width) that scale 1 stands for, in units of the image's shorter side.
      strides_px: for each map the distance (y, x) between grid points in pixels of the model input; None: the grid
        divides the image evenly.
      offsets_px: for each map the first grid point (y, x), in pixels; None: half a stride.
    """

    specifications: list
    base_size: tuple = (1.0, 1.0)
    strides_px: list | None = None
    offsets_px: list | None = None

    @property
    def num_per_location(self):
        """How many anchors each map has at a grid point."""
        return [len(specification) for specification in self.specifications]

    def generate(self, grid_sizes, image_size):
        """Makes all anchors; the specification varies fastest, then x, then y, then the map.

        Args:
          grid_sizes: (height, width) of each feature map, numbers or scalar tensors.
          image_size: (height, width) of the model input in pixels, numbers or scalar tensors.

        Returns:
          float32 [A, 4], normalized to the model input; anchors may reach over its border.
        """
        image_size = tf.cast(tf.stack(image_size), tf.float32)
        base_size = tf.reduce_min(image_size) / image_size * tf.constant(self.base_size, tf.float32)
        anchors = []
        for layer, grid_size in enumerate(grid_sizes):
            if self.strides_px is None:
                stride = 1.0 / tf.cast(tf.stack(grid_size), tf.float32)
            else:
                stride = tf.constant(self.strides_px[layer], tf.float32) / image_size
            if self.offsets_px is None:
                offset = 0.5 * stride
            else:
                offset = tf.constant(self.offsets_px[layer], tf.float32) / image_size
            anchors.append(tile(self.specifications[layer], base_size, grid_size, stride, offset))
        return tf.concat(anchors, axis=0)


@dataclasses.dataclass(frozen=True)
class PixelAnchors:
    """Anchors on the grids of several feature maps, in pixels of the model input, whatever its size.

    Attributes:
      specifications: for each map a list of (scale, aspect ratio).
      base_sizes: for each map (height, width) in pixels that scale 1 stands for.
      strides: for each map the distance (y, x) between grid points in pixels.
      offsets: for each map the first grid point (y, x) in pixels.
    """

    specifications: list
    base_sizes: list
    strides: list
    offsets: list

    @property
    def num_per_location(self):
        """How many anchors each map has at a grid point."""
        return [len(specification) for specification in self.specifications]

    def generate(self, grid_sizes):
        """Makes all anchors, in the order of `GridAnchors.generate`.

        Args:
          grid_sizes: (height, width) of each feature map, numbers or scalar tensors.

        Returns:
          float32 [A, 4] in pixels; anchors may reach over the image's border.
        """
        layers = zip(self.specifications, self.base_sizes, grid_sizes, self.strides, self.offsets)
        return tf.concat([tile(*layer) for layer in layers], axis=0)


def make_pyramid_anchors(min_level, max_level, anchor_scale=4.0, aspect_ratios=(1.0, 2.0, 0.5), scales_per_octave=2):
    """The anchors of RetinaNet (Lin et al. 2017, section 4; arXiv 1708.02002): level L has the stride 2^L.

    Args:
      min_level: of the finest map.
      max_level: of the coarsest map.
      anchor_scale: size of the smallest anchor in strides.
      aspect_ratios: of the anchors of each size.
      scales_per_octave: number of sizes, from one power of two to the next.

    Returns:
      `PixelAnchors`; the first grid points are half a stride from the border.
    """
    specification = [
        (2.0 ** (i / scales_per_octave), ratio) for ratio in aspect_ratios for i in range(scales_per_octave)
    ]
    strides = [2.0**level for level in range(min_level, max_level + 1)]
    return PixelAnchors(
        specifications=[specification] * len(strides),
        base_sizes=[(stride * anchor_scale, stride * anchor_scale) for stride in strides],
        strides=[(stride, stride) for stride in strides],
        offsets=[(stride / 2.0, stride / 2.0) for stride in strides],
    )


@dataclasses.dataclass(frozen=True)
class PyramidAnchors:
    """The anchors of `make_pyramid_anchors`, normalized to the model input.

    Where a stride does not divide a side of the input, the convolutions pad as much before as behind, and their first
    output looks at the border: so the first grid point is there, and not half a stride inside. This is the rule of the
    published models for inputs of a fixed size; for inputs of any size they are half a stride inside in every case.

    Attributes:
      in_pixels: `PixelAnchors` with one stride for both directions of each map.
      has_fixed_size: whether all model inputs have one size.
    """

    in_pixels: PixelAnchors
    has_fixed_size: bool = True

    @property
    def num_per_location(self):
        """How many anchors each map has at a grid point."""
        return self.in_pixels.num_per_location

    def generate(self, grid_sizes, image_size):
        """As `GridAnchors.generate`."""
        in_pixels = self.in_pixels
        if self.has_fixed_size:
            offsets = [tuple(map(_first_grid_point, strides, image_size)) for strides in in_pixels.strides]
            in_pixels = dataclasses.replace(in_pixels, offsets=offsets)
        height, width = (tf.cast(side, tf.float32) for side in image_size)
        return in_pixels.generate(grid_sizes) / tf.stack([height, width, height, width])


def _first_grid_point(stride, side):
    """Pixels from the border of an input with this side, a number or a scalar tensor."""
    if not tf.is_tensor(side):
        return 0.0 if side % stride else stride / 2.0
    return tf.where(tf.cast(side, tf.float32) % stride == 0.0, stride / 2.0, 0.0)


def tile(specification, base_size, grid_size, stride, offset):
    """Puts one set of anchors on every point of one grid.

    Args:
      specification: list of (scale, aspect ratio).
      base_size: [2] height and width of scale 1.
      grid_size: (height, width), numbers of grid points.
      stride: [2] distance (y, x) of grid points.
      offset: [2] first grid point (y, x).

    Returns:
      float32 [height * width * len(specification), 4] in the unit of `stride`.
    """
    scales = tf.constant([scale for scale, _ in specification], tf.float32)
    ratio_roots = tf.sqrt(tf.constant([ratio for _, ratio in specification], tf.float32))
    ycenters = tf.cast(tf.range(grid_size[0]), tf.float32) * stride[0] + offset[0]
    xcenters = tf.cast(tf.range(grid_size[1]), tf.float32) * stride[1] + offset[1]
    ycenters, xcenters, heights = tf.meshgrid(ycenters, xcenters, scales / ratio_roots * base_size[0], indexing="ij")
    widths = tf.broadcast_to(scales * ratio_roots * base_size[1], tf.shape(heights))
    return tf.reshape(box_ops.from_center_and_size(ycenters, xcenters, heights, widths), [-1, 4])
