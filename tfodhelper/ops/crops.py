"""Features of boxes: each box is sampled at a grid of points of its feature map, by bilinear interpolation.

The corners of a box are mapped so that 0 and 1 are the centers of the first and the last cell of the map, and the
outermost points of the grid are the corners (tf.image.crop_and_resize). Points outside the map have the value 0.

Shape letters: B batch, N boxes of an image, c channels, S side of the grid.
"""

import tensorflow as tf

from tfodhelper.ops import boxes as box_ops
from tfodhelper.ops import own_gradients


def choose_levels(boxes, num_levels, image_size):
    """The level of a feature pyramid that a box is cropped from (Lin et al. 2016, eq. 1; arXiv 1612.03144).

    A box of 224 pixels belongs to the level before the last one.

    Args:
      boxes: float32 [B, N, 4], normalized.
      num_levels: number of maps, the finest first.
      image_size: (height, width) of the model input in pixels.

    Returns:
      int32 [B, N].
    """
    height, width = (tf.cast(size, tf.float32) for size in image_size)
    relative = tf.sqrt(tf.maximum(box_ops.area(boxes), 1e-12)) * (tf.sqrt(height * width) / 224.0)
    levels = tf.cast(tf.floor(tf.math.log(relative) / tf.math.log(2.0)), tf.int32) + num_levels - 2
    return tf.clip_by_value(levels, 0, num_levels - 1)


def crop_native(feature_maps, boxes, levels, size):
    """Crops with TensorFlow's own operation, with an exact gradient: the faster way on CPUs and GPUs.

    Args:
      feature_maps: list of float32 [B, h, w, c].
      boxes: float32 [B, N, 4], normalized; they get no gradient.
      levels: int32 [B, N], which map each box is cropped from; None where there is one map.
      size: S.

    Returns:
      float32 [B * N, S, S, c]; a point outside the map, by however little, is 0.
    """

    def sample(maps):
        return _sample(maps, [boxes] * len(maps), levels, size)

    def find_inside(maps):
        return sample([tf.ones_like(features[..., :1]) for features in maps])

    return _differentiate(feature_maps, boxes, levels, size, sample, find_inside)


def crop_bordered(feature_maps, boxes, levels, size):
    """Crops as `crop_by_matmul` does, with TensorFlow's own operation: several times faster on CPUs and GPUs.

    A border of zeros makes the values fall to 0 within one cell outside the map. Arguments as in `crop_native`.
    """

    def sample(maps):
        bordered = [tf.pad(features, [[0, 0], [1, 1], [1, 1], [0, 0]]) for features in maps]
        return _sample(bordered, [_add_border(boxes, features) for features in maps], levels, size)

    return _differentiate(feature_maps, boxes, levels, size, sample)


def _add_border(boxes, features):
    """Boxes normalized to a map -> normalized to the map with one more cell at each side."""
    _, height, width, _ = _sizes(features)
    cells = tf.cast(tf.stack([height, width, height, width]), tf.float32)
    return (boxes * (cells - 1.0) + 1.0) / (cells + 1.0)


def _differentiate(feature_maps, boxes, levels, size, sample, find_inside=None):
    """Runs `sample` on the maps, with an exact gradient.

    TensorFlow's own gradient loses contributions on CPUs with several cores, because threads add to the same cells of
    the map without a lock. A crop is linear in the map, so the gradient is computed by the products of
    `crop_by_matmul`, transposed; it does not depend on the order of threads.

    Args:
      feature_maps, boxes, levels, size: see `crop_native`.
      sample: list of maps -> crops.
      find_inside: list of maps -> float32 [B * N, S, S, 1], 1, or 0 at points that get no gradient; None: all get one.
    """
    boxes = tf.stop_gradient(boxes)

    @own_gradients.with_own_gradient(plain=lambda *maps: sample(maps))
    def crop(*maps):
        def gradient(upstream):
            inside = None if find_inside is None else find_inside(maps)
            gradients = [
                _spread(upstream, features, boxes, levels, level, inside) for level, features in enumerate(maps)
            ]
            return gradients if len(gradients) > 1 else gradients[0]

        return sample(maps), gradient

    return crop(*feature_maps)


def _sample(feature_maps, boxes, levels, size):
    """As `crop_native`, without a gradient of its own; `boxes` is a list, those of each map in its frame."""
    shape = tf.shape(boxes[0])
    flat_boxes = [tf.reshape(tf.stop_gradient(of_map), [-1, 4]) for of_map in boxes]
    images = tf.repeat(tf.range(shape[0]), shape[1])
    if levels is None:
        return tf.image.crop_and_resize(feature_maps[0], flat_boxes[0], images, [size, size])
    flat_levels = tf.reshape(levels, [-1])
    crops, positions = [], []
    for level, (features, of_map) in enumerate(zip(feature_maps, flat_boxes)):
        chosen = tf.where(tf.equal(flat_levels, level))[:, 0]
        crops.append(
            tf.image.crop_and_resize(features, tf.gather(of_map, chosen), tf.gather(images, chosen), [size, size])
        )
        positions.append(chosen)
    # `positions` is a permutation; sorting it inverts it.
    crops = tf.gather(tf.concat(crops, axis=0), tf.argsort(tf.concat(positions, axis=0)))
    return tf.ensure_shape(crops, [None, size, size, feature_maps[0].shape[-1]])


def _spread(upstream, features, boxes, levels, level, inside):
    """Sums the gradient of each cell of a map: the transpose of `crop_by_matmul`.

    Args:
      upstream: float32 [B * N, S, S, c].
      features: float32 [B, h, w, c]; only the shape counts.
      boxes: float32 [B, N, 4], normalized.
      levels: int32 [B, N] or None.
      level: of the map.
      inside: see `_differentiate`, or None. It is 1 in lines and columns that are inside, so that it is the product of
        what is largest in each.

    Returns:
      float32 [B, h, w, c].
    """
    size, num_boxes = upstream.shape[1], _sizes(boxes)[1]
    batch, height, width, channels = _sizes(features)
    rows, columns = _weights(boxes, levels, level, (height, width), size)
    if inside is not None:
        rows *= tf.reshape(tf.reduce_max(inside, axis=2), [batch, num_boxes * size, 1])
        columns *= tf.reshape(tf.reduce_max(inside, axis=1), [batch * num_boxes, 1, size, 1])
    lines = tf.matmul(columns, tf.reshape(upstream, [batch * num_boxes, size, size, channels]), transpose_a=True)
    lines = tf.reshape(lines, [batch, num_boxes * size, width * channels])
    return tf.reshape(tf.matmul(rows, lines, transpose_a=True), [batch, height, width, channels])


def crop_by_matmul(feature_maps, boxes, levels, size):
    """Crops by two matrix multiplications per map, with static shapes, as TPUs need; arguments as in `crop_native`.

    Every box is cropped from every map, with weights of 0 where it is not the map of the box.
    """
    return _crop_by_products(feature_maps, boxes, levels, size)


def crop_inside_by_matmul(feature_maps, boxes, levels, size):
    """Crops as `crop_native` does, by the products of `crop_by_matmul`: for XLA. Arguments as in `crop_native`."""
    return _crop_by_products(feature_maps, boxes, levels, size, drops_outside=True)


def _crop_by_products(feature_maps, boxes, levels, size, drops_outside=False):
    boxes = tf.stop_gradient(boxes)
    num_boxes, total = _sizes(boxes)[1], None
    for level, features in enumerate(feature_maps):
        batch, height, width, channels = _sizes(features)
        rows, columns = _weights(boxes, levels, level, (height, width), size, drops_outside)
        lines = tf.matmul(rows, tf.reshape(features, [batch, height, width * channels]))
        crops = tf.matmul(columns, tf.reshape(lines, [batch * num_boxes, size, width, channels]))
        total = crops if total is None else total + crops
    return total


def _weights(boxes, levels, level, map_size, size, drops_outside=False):
    """How much the lines and columns of a map contribute to the points of each box.

    Args:
      boxes: float32 [B, N, 4], normalized.
      levels: int32 [B, N], boxes of other levels get weights of 0; or None.
      level: of the map.
      map_size: (h, w).
      size: S.
      drops_outside: see `_interpolation`.

    Returns:
      Of lines float32 [B, N * S, h], of columns float32 [B * N, 1, S, w].
    """
    batch, num_boxes = _sizes(boxes)[:2]
    height, width = map_size
    rows = _interpolation(boxes[..., 0], boxes[..., 2], height, size, drops_outside)
    columns = _interpolation(boxes[..., 1], boxes[..., 3], width, size, drops_outside)
    if levels is not None:
        rows *= tf.cast(tf.equal(levels, level), tf.float32)[..., tf.newaxis, tf.newaxis]
    return tf.reshape(rows, [batch, num_boxes * size, height]), tf.reshape(columns, [batch * num_boxes, 1, size, width])


def _sizes(tensor):
    """The dimensions of a tensor, as numbers where they are static."""
    dynamic = tf.shape(tensor)
    return [size if size is not None else dynamic[i] for i, size in enumerate(tensor.shape.as_list())]


def _interpolation(low, high, length, size, drops_outside=False):
    """Weights of the cells along an axis for each of `size` points.

    Args:
      low: float32 [B, N], first corner, normalized.
      high: float32 [B, N], second corner.
      length: number of cells along the axis.
      size: S.
      drops_outside: whether a point outside the map, by however little, is 0; else the weights fall to 0 within one
        cell.

    Returns:
      float32 [B, N, S, length]; two neighbours share a weight of 1; the map counts as 0 outside.
    """
    last = tf.cast(length - 1, tf.float32)
    if drops_outside:
        points = _points_of_operation(low, high, last, size)
    elif size > 1:
        fractions = tf.range(size, dtype=tf.float32) / float(size - 1)
        points = (low[..., tf.newaxis] + (high - low)[..., tf.newaxis] * fractions) * last
    else:
        points = (0.5 * (low + high))[..., tf.newaxis] * last
    distances = tf.abs(points[..., tf.newaxis] - tf.cast(tf.range(length), tf.float32))
    weights = tf.maximum(1.0 - distances, 0.0)
    return tf.where(((points >= 0.0) & (points <= last))[..., tf.newaxis], weights, 0.0) if drops_outside else weights


def _points_of_operation(low, high, last, size):
    """Where tf.image.crop_and_resize samples, rounded as there: the last bit decides on which side of a border.

    Args:
      low, high, size: see `_interpolation`.
      last: float32, the index of the last cell.

    Returns:
      float32 [B, N, S].
    """
    if size == 1:
        return (0.5 * (low + high) * last)[..., tf.newaxis]
    step = (high - low) * last / float(size - 1)
    return (low * last)[..., tf.newaxis] + tf.range(size, dtype=tf.float32) * step[..., tf.newaxis]
