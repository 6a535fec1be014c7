"""Anchors of SSD, computed by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfodhelper.ops import anchors


def test_specifications_of_the_published_configuration():
    layers = anchors.make_ssd_specifications(6)
    assert [len(layer) for layer in layers] == [3, 6, 6, 6, 6, 6]
    assert layers[0] == [(0.1, 1.0), (0.2, 2.0), (0.2, 0.5)]
    scale, following = 0.35, 0.5
    assert layers[1][0] == pytest.approx((scale, 1.0))
    assert layers[1][5] == pytest.approx((np.sqrt(scale * following), 1.0))
    assert layers[5][5] == pytest.approx((np.sqrt(0.95 * 1.0), 1.0))


def test_given_scales_replace_the_evenly_spaced_ones():
    layers = anchors.make_ssd_specifications(
        2,
        scales=[0.3, 0.6],
        aspect_ratios=[1.0],
        interpolated_scale_aspect_ratio=0.0,
        reduce_boxes_in_lowest_layer=False,
    )
    assert layers == [[(0.3, 1.0)], [(0.6, 1.0)]]


def test_one_anchor_in_the_middle_of_each_quarter():
    made = anchors.GridAnchors([[(0.5, 1.0)]]).generate([(2, 2)], (300, 300))
    np.testing.assert_allclose(
        made, [[0, 0, 0.5, 0.5], [0, 0.5, 0.5, 1], [0.5, 0, 1, 0.5], [0.5, 0.5, 1, 1]], atol=1e-7
    )


def test_aspect_ratio_is_width_by_height():
    (made,) = anchors.GridAnchors([[(0.4, 4.0)]]).generate([(1, 1)], (300, 300)).numpy()
    np.testing.assert_allclose(made, [0.5 - 0.1, 0.5 - 0.4, 0.5 + 0.1, 0.5 + 0.4], atol=1e-7)


def test_square_anchors_stay_square_in_pixels_on_wide_images():
    (made,) = anchors.GridAnchors([[(0.5, 1.0)]]).generate([(1, 1)], (200, 400)).numpy()
    height, width = (made[2] - made[0]) * 200, (made[3] - made[1]) * 400
    np.testing.assert_allclose([height, width], [100, 100], rtol=1e-6)


def test_strides_and_offsets_are_pixels_of_the_model_input():
    made = anchors.GridAnchors([[(0.2, 1.0)]], strides_px=[(50, 100)], offsets_px=[(10, 20)]).generate(
        [(2, 2)], (100, 200)
    )
    centers = (made.numpy()[:, :2] + made.numpy()[:, 2:]) / 2 * [100, 200]
    np.testing.assert_allclose(centers, [[10, 20], [10, 120], [60, 20], [60, 120]], rtol=1e-5)


def test_order_is_specification_then_x_then_y_then_map():
    grid = anchors.GridAnchors([[(0.1, 1.0), (0.2, 1.0)], [(0.9, 1.0)]])
    made = grid.generate([(1, 2), (1, 1)], (100, 100)).numpy()
    assert grid.num_per_location == [2, 1]
    np.testing.assert_allclose(made[:, 3] - made[:, 1], [0.1, 0.2, 0.1, 0.2, 0.9], rtol=1e-5)
    np.testing.assert_allclose((made[:, 1] + made[:, 3]) / 2, [0.25, 0.25, 0.75, 0.75, 0.5], rtol=1e-5)


def test_pixel_anchors():
    generator = anchors.PixelAnchors([[(0.5, 1.0), (1.0, 4.0)]], [(32, 16)], [(10, 20)], [(1, 2)])
    assert generator.num_per_location == [2]
    boxes = generator.generate([(1, 2)])
    # Scale 0.5: 16 x 8; scale 1 and aspect ratio 4: 32 / 2 high, 16 * 2 wide.
    np.testing.assert_allclose(boxes, [[-7, -2, 9, 6], [-7, -14, 9, 18], [-7, 18, 9, 26], [-7, 6, 9, 38]])


def test_pyramid_anchors():
    generator = anchors.make_pyramid_anchors(3, 4, anchor_scale=4.0, aspect_ratios=(1.0, 0.25), scales_per_octave=2)
    assert generator.num_per_location == [4, 4]
    boxes = generator.generate([(1, 1), (1, 1)]).numpy()
    assert boxes.shape == (8, 4)
    np.testing.assert_allclose(boxes[0], [4 - 16, 4 - 16, 4 + 16, 4 + 16])
    np.testing.assert_allclose(boxes[1, 2] - boxes[1, 0], 32 * 2**0.5, rtol=1e-6)
    np.testing.assert_allclose(boxes[2], [4 - 32, 4 - 8, 4 + 32, 4 + 8])
    np.testing.assert_allclose(boxes[4], [8 - 32, 8 - 32, 8 + 32, 8 + 32])


def test_pyramid_anchors_of_a_normalized_input():
    pyramid = anchors.PyramidAnchors(anchors.make_pyramid_anchors(3, 4, aspect_ratios=(1.0, 4.0), scales_per_octave=1))
    assert pyramid.num_per_location == [2, 2]
    boxes = pyramid.generate([(4, 8), (2, 4)], (32, 64)).numpy()
    assert boxes.shape == ((4 * 8 + 2 * 4) * 2, 4)
    # Level 3: 32 pixels at (4, 4); 16 high and 64 wide there; next at (4, 12). Level 4: 64 pixels at (8, 8).
    size = np.array([32, 64, 32, 64])
    np.testing.assert_allclose(boxes[0] * size, [-12, -12, 20, 20], atol=1e-4)
    np.testing.assert_allclose(boxes[1] * size, [-4, -28, 12, 36], atol=1e-4)
    np.testing.assert_allclose(boxes[2] * size, [-12, -4, 20, 28], atol=1e-4)
    np.testing.assert_allclose(boxes[64] * size, [-24, -24, 40, 40], atol=1e-4)


@pytest.mark.parametrize("as_tensors", [False, True])
def test_grid_begins_at_the_border_where_the_stride_does_not_divide_the_input(as_tensors):
    in_pixels = anchors.make_pyramid_anchors(3, 4, aspect_ratios=(1.0,), scales_per_octave=1)
    size = tuple(tf.constant(side) for side in (24, 36)) if as_tensors else (24, 36)
    first_of_level = [0, 3 * 5]  # 24 is a multiple of 8, not of 16; 36 of neither

    def centers(pyramid):
        boxes = pyramid.generate([(3, 5), (2, 3)], size).numpy()[first_of_level] * [24, 36, 24, 36]
        return (boxes[:, :2] + boxes[:, 2:]) / 2

    np.testing.assert_allclose(centers(anchors.PyramidAnchors(in_pixels)), [[4, 0], [0, 0]], atol=1e-4)
    free = anchors.PyramidAnchors(in_pixels, has_fixed_size=False)
    np.testing.assert_allclose(centers(free), [[4, 4], [8, 8]], atol=1e-4)
