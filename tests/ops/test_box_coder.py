"""Box codes: by hand, and back again."""

import hypothesis
import numpy as np
from hypothesis import strategies

from tfodhelper.ops import box_coder


def test_encode_by_hand():
    # Anchor: center (0.5, 0.5), 0.4 high, 0.2 wide. Box: center (0.6, 0.4), 0.8 high, 0.2 wide.
    anchor, box = np.float32([[0.3, 0.4, 0.7, 0.6]]), np.float32([[0.2, 0.3, 1.0, 0.5]])
    wanted = [[10 * 0.1 / 0.4, 10 * -0.1 / 0.2, 5 * np.log(2), 0]]
    np.testing.assert_allclose(box_coder.encode(box, anchor), wanted, atol=1e-5)


def test_zero_code_is_the_anchor():
    anchors = np.float32([[0.1, 0.2, 0.3, 0.9]])
    np.testing.assert_allclose(box_coder.decode(np.zeros([1, 4], np.float32), anchors), anchors, atol=1e-7)


def test_a_box_without_area_has_a_finite_code():
    code = box_coder.encode(np.zeros([1, 4], np.float32), np.float32([[0, 0, 1, 1]]))
    assert np.all(np.isfinite(code))


_side = strategies.floats(0.0625, 1, width=32)
_corner = strategies.floats(-1, 1, width=32)


@hypothesis.given(_corner, _corner, _side, _side, _corner, _corner, _side, _side)
def test_decode_is_the_inverse_of_encode(y, x, height, width, anchor_y, anchor_x, anchor_height, anchor_width):
    box = np.float32([[y, x, y + height, x + width]])
    anchor = np.float32([[anchor_y, anchor_x, anchor_y + anchor_height, anchor_x + anchor_width]])
    factors = (10.0, 7.0, 5.0, 3.0)
    again = box_coder.decode(box_coder.encode(box, anchor, factors), anchor, factors)
    np.testing.assert_allclose(again, box, atol=2e-4)


def test_anchors_are_shared_by_the_images_of_a_batch():
    codes = np.float32(np.random.RandomState(0).normal(size=[2, 3, 4]))
    anchors = np.float32([[0, 0, 1, 1], [0, 0, 0.5, 1], [0.2, 0.2, 0.4, 0.3]])
    decoded = box_coder.decode(codes, anchors)
    np.testing.assert_allclose(decoded[1], box_coder.decode(codes[1], anchors), rtol=1e-6)
