"""Pictures with boxes: where the colour is, what is legible, which sizes work."""

import numpy as np
import pytest

from tfodhelper.prediction import detections as results
from tfodhelper.render import boxes

GREY = np.full([500, 600, 3], 128, np.uint8)
NAMES = {1: "cat", 2: "dog"}


def found(*rows):
    """Rows of (class id, score, ymin, xmin, ymax, xmax)."""
    return results.ImageDetections(
        "a.jpg",
        600,
        500,
        results.from_arrays([row[2:] for row in rows], [row[0] for row in rows], NAMES, [row[1] for row in rows]),
    )


def pixels(*args, **options):
    return np.asarray(boxes.draw_detections(*args, **options))


def where(picture, color):
    """Rows and columns of a colour: first row, last row, first column, last column."""
    rows, columns = np.nonzero((picture == color).all(axis=2))
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_the_frame_lies_on_the_box():
    picture = pixels(GREY, found((1, 0.9, 100, 200, 300, 400)), show_names=False, show_scores=False)
    assert picture.shape == GREY.shape and picture.dtype == np.uint8
    assert where(picture, boxes.color_of(1)) == (100, 299, 200, 399)
    inside, outside = picture[110:290, 210:390], picture[:90]
    assert (inside == 128).all() and (outside == 128).all()


def test_the_image_given_stays_as_it_is():
    image = GREY.copy()
    pixels(image, found((1, 0.9, 100, 200, 300, 400)))
    assert (image == GREY).all()


def test_a_label_stands_above_its_box_and_inside_at_the_border():
    top = where(pixels(GREY, found((1, 0.9, 100, 200, 300, 400))), boxes.color_of(1))[0]
    assert 70 < top < 95
    picture = pixels(GREY, found((1, 0.9, 0, 0, 500, 600)))
    assert where(picture, boxes.color_of(1)) == (0, 499, 0, 599)
    label = (picture[4:16, 4:60] == boxes.color_of(1)).all(axis=2)
    assert label.mean() > 0.3


def test_labels_do_not_hide_each_other():
    spots = []
    for frame in ((50, 50, 90, 90), (52, 52, 92, 92), (50, 50, 90, 90)):
        spot = boxes._place((60, 20), frame, (600, 500), spots)
        assert spot is not None
        spots.append(spot)
    assert not any(boxes._overlap(a, b) for i, a in enumerate(spots) for b in spots[:i])


def test_a_label_without_a_free_place_is_left_out():
    assert boxes._place((60, 20), (5, 5, 9, 9), (60, 30), [(0, 0, 60, 30)]) is None
    many = found(*[(1, 0.5, 200, 200, 210, 210)] * 40)
    assert pixels(GREY, many).shape == GREY.shape


def test_classes_have_their_own_colours():
    assert boxes.color_of(1) != boxes.color_of(2)
    assert boxes.color_of(1) == boxes.color_of(1 + len(boxes._PALETTE))
    assert len(set(boxes._PALETTE)) == len(boxes._PALETTE)


def test_the_best_detection_lies_on_top():
    box = (100, 200, 300, 400)
    picture = pixels(GREY, found((1, 0.9, *box), (2, 0.5, *box)), show_names=False, show_scores=False)
    assert not (picture == boxes.color_of(2)).all(axis=2).any()


@pytest.mark.parametrize(
    "box", [(-50, -50, -10, -10), (510, 10, 520, 20), (10, 700, 20, 800)], ids=["before", "below", "behind"]
)
def test_a_box_outside_is_not_drawn(box):
    assert (pixels(GREY, found((1, 0.9, *box))) == 128).all()


def test_a_box_over_the_border_is_cut():
    picture = pixels(GREY, found((1, 0.9, -20, -20, 40, 50)), show_names=False, show_scores=False)
    assert where(picture, boxes.color_of(1)) == (0, 39, 0, 49)


@pytest.mark.parametrize("height, width", [(1, 1), (3, 700), (700, 3), (24, 32), (500, 600), (1, 5000), (2400, 3200)])
def test_any_size(height, width):
    image = np.zeros([height, width, 3], np.uint8)
    shown = results.from_arrays([[0, 0, height, width], [0, 0, height / 2, width / 2]], [1, 2], NAMES, [0.9, 0.8])
    picture = boxes.draw_detections(image, results.ImageDetections("a", width, height, shown))
    factor = picture.width // width
    assert picture.size == (width * factor, height * factor)
    assert factor == 1 if min(height, width) >= 96 and max(height, width) >= 480 else factor >= 1
    assert max(picture.size) >= 480


def test_small_images_are_enlarged_with_their_boxes():
    image = np.full([60, 120, 3], 128, np.uint8)
    shown = results.from_arrays([[10, 20, 30, 40]], [1], NAMES, [0.9])
    picture = pixels(image, results.ImageDetections("a", 120, 60, shown), show_names=False, show_scores=False)
    assert picture.shape == (240, 480, 3)
    assert where(picture, boxes.color_of(1)) == (40, 119, 80, 159)


def test_labels_say_what_is_asked_for():
    (one,) = results.from_arrays([[0, 0, 1, 1]], [2], NAMES, [0.876])
    assert boxes._label(one, True, True) == "dog 88%"
    assert boxes._label(one, False, True) == "88%"
    assert boxes._label(one, True, False) == "dog"
    (known,) = results.from_arrays([[0, 0, 1, 1]], [2], {2: "two\nlines"})
    assert boxes._label(known, True, True) == "two lines"


@pytest.mark.parametrize("name", ["Käfer", "Жук", "猫", "", "x" * 300])
def test_any_name(name):
    shown = results.from_arrays([[100, 100, 200, 200]], [1], {1: name}, [0.5])
    assert pixels(GREY, results.ImageDetections("a", 600, 500, shown)).shape == GREY.shape


def test_side_by_side_has_found_left_and_known_right():
    picture = boxes.side_by_side(
        GREY,
        {"boxes": [[100, 100, 200, 200]], "classes": [1], "scores": [0.9]},
        {"boxes": [[300, 300, 400, 400.0]], "classes": [2], "difficult": np.array([True])},
        NAMES,
    )
    height, width = picture.shape[:2]
    assert picture.dtype == np.uint8 and width == 600 + 8 + 600 and 500 < height < 560
    found_at, known_at = where(picture, boxes.color_of(1)), where(picture, boxes.color_of(2))
    assert found_at[3] < 600 and known_at[2] >= 608
    title = height - 500
    assert (found_at[1], found_at[3]) == (title + 199, 199)
    assert (known_at[1], known_at[2]) == (title + 399, 608 + 300)


def test_side_by_side_without_boxes_and_of_large_images():
    nothing = {"boxes": np.zeros([0, 4]), "classes": [], "scores": [], "difficult": []}
    picture = boxes.side_by_side(np.zeros([1200, 1600, 3], np.uint8), nothing, nothing, NAMES)
    assert picture.shape[1] == 2 * 800 + 8 and 600 < picture.shape[0] < 660


def test_flags_stand_in_the_label():
    known = results.from_arrays([[0, 0, 1, 1]] * 2, [1, 2], NAMES)
    flags = {"difficult": np.array([True, False]), "is_crowd": np.array([False, True])}
    assert [one.name for one in boxes._with_flags(known, flags)] == ["cat (difficult)", "dog (crowd)"]


@pytest.mark.parametrize("image", [np.zeros([4, 4]), np.zeros([4, 4, 3]), np.zeros([0, 4, 3], np.uint8)])
def test_no_image(image):
    with pytest.raises(ValueError, match="expected uint8"):
        boxes.draw_detections(image, found())
