"""Views of an image: where their windows are, what they show, and how boxes return."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfodhelper.active_learning.pool import views
from tfodhelper.active_learning.pool.views import View

SIDES = st.integers(1, 400)
FILL = np.array([7, 8, 9], np.uint8)


@st.composite
def images_and_boxes(draw):
    """(height, width), boxes inside."""
    height, width = draw(SIDES), draw(SIDES)
    fractions = st.lists(st.floats(0, 1), min_size=4, max_size=4)
    boxes = np.array(draw(st.lists(fractions, min_size=1, max_size=5)))
    boxes = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)
    return (height, width), boxes * (height, width, height, width)


def test_windows():
    seen = views.make_views(100, 200)
    assert [view.window for view in seen] == [
        *[(0, 0, 100, 200)] * 2,
        (-12, -25, 112, 225),  # 0.125 of the sides on each side; halves are rounded to even
        *((0, 0, 80, 160), (0, 40, 80, 200), (20, 0, 100, 160), (20, 40, 100, 200)),
    ]
    assert [view.is_mirrored for view in seen] == [False, True, *[False] * 5]


def test_what_is_seen():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(View((0, 0, 2, 3)).render(image, FILL), image)
    np.testing.assert_array_equal(View((0, 0, 2, 3), True).render(image, FILL), image[:, ::-1])
    np.testing.assert_array_equal(View((1, 1, 2, 3)).render(image, FILL), image[1:, 1:])
    for is_mirrored in (False, True):
        expected = np.tile(FILL, [5, 6, 1])
        expected[1:3, 2:5] = image
        expected = expected[:, ::-1] if is_mirrored else expected
        np.testing.assert_array_equal(View((-1, -2, 4, 4), is_mirrored).render(image, FILL), expected)


def test_a_box_of_a_view_is_where_its_pixels_are_in_the_image():
    image = np.zeros([60, 90, 3], np.uint8)
    image[20:30, 40:70] = 255
    for view in [*views.make_views(60, 90), View((-3, -20, 70, 130), True)]:
        shown = view.render(image, FILL)[..., 0] == 255
        rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
        box = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
        np.testing.assert_array_equal(view.to_image([box]), [[20, 40, 30, 70]])


@given(images_and_boxes())
def test_boxes_return_to_the_image(case):
    size, boxes = case
    for view in views.make_views(*size):
        np.testing.assert_allclose(view.to_image(view.to_view(boxes)), boxes, atol=1e-9)
    mirrored = View((0, 0, *size), is_mirrored=True)
    np.testing.assert_allclose(mirrored.to_view(mirrored.to_view(boxes)), boxes, atol=1e-9)


@given(SIDES, SIDES)
def test_windows_cover_the_image_and_have_the_scale_they_should(height, width):
    seen = views.make_views(height, width)
    covered = np.zeros([height, width], bool)
    for view in seen:
        ymin, xmin, ymax, xmax = view.window
        assert ymax > ymin and xmax > xmin
        if min(ymin, xmin) >= 0 and (ymax - ymin, xmax - xmin) != (height, width):
            covered[ymin:ymax, xmin:xmax] = True
            assert abs((ymax - ymin) - 0.8 * height) <= 0.5 or ymax - ymin == 1
        elif ymin < 0 and xmin < 0:
            assert abs((ymax - ymin) - 1.25 * height) <= 1 and abs((xmax - xmin) - 1.25 * width) <= 1
    assert covered.all() or min(height, width) < 3


@given(images_and_boxes())
def test_every_small_box_is_whole_in_one_of_the_larger_views(case):
    size, boxes = case
    seen = views.make_views(*size)
    whole = views.find_whole(boxes, seen, size)
    assert whole[:, :2].all()  # plain and mirrored
    small = (boxes[:, 2:] - boxes[:, :2] < 0.55 * np.array(size)).all(axis=1)
    if min(size) >= 100:  # of a smaller one, the pixel that is near a border is too much
        assert whole[small][:, 2].all() and whole[small][:, 3:].any(axis=1).all()


def test_a_box_at_an_inner_border_is_not_whole():
    seen = [View((0, 0, 80, 80)), View((20, 20, 100, 100))]
    boxes = [(0, 0, 50, 50), (30, 30, 79.5, 60), (30, 30, 60, 60), (50, 50, 100, 100)]
    expected = [[True, False], [False, True], [True, True], [False, True]]
    np.testing.assert_array_equal(views.find_whole(boxes, seen, (100, 100)), expected)


@given(images_and_boxes(), st.floats(-500, 500), st.floats(-500, 500))
def test_clipped_boxes_are_in_the_image(case, down, right):
    size, boxes = case
    inside, is_inside = views.clip(boxes + (down, right, down, right), size)
    assert (inside >= 0).all() and (inside <= np.tile(size, 2)).all()
    kept = inside[is_inside]
    assert (kept[:, 2:] > kept[:, :2]).all()


def test_a_box_in_the_padding_is_left_out():
    boxes = np.array([[-10, 10, 8, 30], [-8, 10, 10, 30], [90, 10, 100, 30], [5, 5, 5, 9]], float)
    inside, is_inside = views.clip(boxes, (100, 100))
    assert is_inside.tolist() == [False, True, True, False]
    assert inside[1].tolist() == [0, 10, 10, 30]


def test_the_mean_colour():
    image = np.zeros([2, 2, 3], np.uint8)
    image[0, 0] = (255, 100, 2)
    assert views.mean_colour(image).tolist() == [64, 25, 0]
    assert views.mean_colour(np.full([3, 3, 3], 255, np.uint8)).tolist() == [255] * 3


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 2)])
def test_very_small_images_have_views(size):
    image = np.full([*size, 3], 50, np.uint8)
    seen = views.make_views(*size)
    assert len(set(seen)) == len(seen) and seen[0] == View((0, 0, *size))
    for view in seen:
        assert (view.render(image, views.mean_colour(image)) == 50).all()
