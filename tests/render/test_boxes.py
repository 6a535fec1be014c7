"""Pictures with boxes: where the colour is, what is legible, which sizes work."""

import numpy as np
import pytest
from PIL import Image

from tfodhelper.prediction import detections as results
from tfodhelper.render import boxes, palette

GREY = np.full([500, 600, 3], 128, np.uint8)
NAMES = {1: "cat", 2: "dog"}
NOTHING = {"boxes": np.zeros([0, 4]), "classes": [], "scores": [], "difficult": []}


def found(*rows):
    """Rows of (class id, score, ymin, xmin, ymax, xmax)."""
    return results.from_arrays([row[2:] for row in rows], [row[0] for row in rows], NAMES, [row[1] for row in rows])


def pixels(*args, **options):
    return np.asarray(boxes.draw_detections(*args, **options))


def has_color(picture, class_id):
    """bool [rows, columns]: where a picture has the colour of a class."""
    return (picture == palette.to_rgb(palette.color_of(class_id))).all(axis=-1)


def where(picture, class_id):
    """Rows and columns of the colour of a class: first row, last row, first column, last column."""
    rows, columns = np.nonzero(has_color(picture, class_id))
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_the_frame_lies_on_the_box():
    picture = pixels(GREY, found((1, 0.9, 100, 200, 300, 400)), show_names=False, show_scores=False)
    assert picture.shape == GREY.shape and picture.dtype == np.uint8
    assert where(picture, 1) == (100, 299, 200, 399)
    inside, outside = picture[110:290, 210:390], picture[:90]
    assert (inside == 128).all() and (outside == 128).all()


def test_the_image_given_stays_as_it_is():
    image = GREY.copy()
    pixels(image, found((1, 0.9, 100, 200, 300, 400)))
    assert (image == GREY).all()


def test_a_label_stands_above_its_box_and_inside_at_the_border():
    top = where(pixels(GREY, found((1, 0.9, 100, 200, 300, 400))), 1)[0]
    assert 70 < top < 95
    picture = pixels(GREY, found((1, 0.9, 0, 0, 500, 600)))
    assert where(picture, 1) == (0, 499, 0, 599)
    label = has_color(picture[4:16, 4:60], 1)
    assert label.mean() > 0.3


def test_small_objects_in_a_large_picture_stay_visible():
    """Lines and letters are those of the objects, not of the picture, which would cover the objects."""
    large = np.full([1500, 2000, 3], 128, np.uint8)
    picture = pixels(large, found(*[(1, 0.9, y, x, y + 20, x + 20) for y in (200, 900) for x in (300, 1200)]))
    assert (picture[203:217, 303:317] == 128).all()
    assert (picture[:165] == 128).all()
    coarse = pixels(large, found((1, 0.9, 200, 300, 600, 900)))
    assert not (coarse[200:206, 400:800] == 128).any() and (coarse[:165, 300:500] != 128).any()


def test_labels_do_not_hide_each_other():
    spots = []
    for frame in ((50, 50, 90, 90), (52, 52, 92, 92), (50, 50, 90, 90)):
        spot = boxes._find_spot((60, 20), frame, (600, 500), spots)
        assert spot is not None
        spots.append(spot)
    assert not any(boxes._overlap(a, b) for i, a in enumerate(spots) for b in spots[:i])


def test_a_label_without_a_free_place_is_left_out():
    assert boxes._find_spot((60, 20), (5, 5, 9, 9), (60, 30), [(0, 0, 60, 30)]) is None
    many = found(*[(1, 0.5, 200, 200, 210, 210)] * 40)
    assert pixels(GREY, many).shape == GREY.shape


def test_the_best_detection_lies_on_top():
    box = (100, 200, 300, 400)
    picture = pixels(GREY, found((1, 0.9, *box), (2, 0.5, *box)), show_names=False, show_scores=False)
    assert not has_color(picture, 2).any()


@pytest.mark.parametrize(
    "box", [(-50, -50, -10, -10), (510, 10, 520, 20), (10, 700, 20, 800)], ids=["before", "below", "behind"]
)
def test_a_box_outside_is_not_drawn(box):
    assert (pixels(GREY, found((1, 0.9, *box))) == 128).all()


def test_a_box_over_the_border_is_cut():
    picture = pixels(GREY, found((1, 0.9, -20, -20, 40, 50)), show_names=False, show_scores=False)
    assert where(picture, 1) == (0, 39, 0, 49)


@pytest.mark.parametrize("height, width", [(1, 1), (3, 700), (700, 3), (24, 32), (500, 600), (1, 5000), (2400, 3200)])
def test_any_size(height, width):
    image = np.zeros([height, width, 3], np.uint8)
    shown = results.from_arrays([[0, 0, height, width], [0, 0, height / 2, width / 2]], [1, 2], NAMES, [0.9, 0.8])
    picture = boxes.draw_detections(image, shown)
    factor = picture.width // width
    assert picture.size == (width * factor, height * factor)
    assert factor == 1 if min(height, width) >= 96 and max(height, width) >= 480 else factor >= 1
    assert max(picture.size) >= 480


def test_small_images_are_enlarged_with_their_boxes():
    image = np.full([60, 120, 3], 128, np.uint8)
    shown = results.from_arrays([[10, 20, 30, 40]], [1], NAMES, [0.9])
    picture = pixels(image, shown, show_names=False, show_scores=False)
    assert picture.shape == (240, 480, 3)
    assert where(picture, 1) == (40, 119, 80, 159)


def test_labels_say_what_is_asked_for(monkeypatch):
    assert boxes._make_label("dog", 0.876) == "dog 88%"
    assert boxes._make_label("", 0.876) == "88%"
    assert boxes._make_label("dog", None) == "dog"
    assert boxes._make_label("two\nlines", None) == "two lines"
    detections, drawn = found((2, 0.876, 100, 100, 200, 200)), []
    monkeypatch.setattr(boxes, "draw_marks", lambda picture, marks, *rest: drawn.extend(marks))
    for names, scores in ((True, True), (False, True), (True, False), (False, False)):
        boxes.draw_detections(GREY, detections, names, scores)
        boxes.side_by_side(
            GREY, {"boxes": [[1, 1, 5, 5]], "classes": [2], "scores": [0.5]}, NOTHING, NAMES, names, scores
        )
    assert [mark.text for mark in drawn] == ["dog 88%", "dog 50%", "88%", "50%", "dog", "dog", "", ""]


@pytest.mark.parametrize("name", ["Käfer", "Жук", "猫", "", "x" * 300])
def test_any_name(name):
    shown = results.from_arrays([[100, 100, 200, 200]], [1], {1: name}, [0.5])
    assert pixels(GREY, shown).shape == GREY.shape


def test_side_by_side_has_found_left_and_known_right():
    picture = boxes.side_by_side(
        GREY,
        {"boxes": [[100, 100, 200, 200]], "classes": [1], "scores": [0.9]},
        {"boxes": [[300, 300, 400, 400.0]], "classes": [2], "difficult": np.array([True])},
        NAMES,
    )
    height, width = picture.shape[:2]
    assert picture.dtype == np.uint8 and width == 600 + 8 + 600 and 500 < height < 560
    found_at, known_at = where(picture, 1), where(picture, 2)
    assert found_at[3] < 600 and known_at[2] >= 608
    title = height - 500
    assert (found_at[1], found_at[3]) == (title + 199, 199)
    assert (known_at[1], known_at[2]) == (title + 399, 608 + 300)


def test_side_by_side_without_boxes_and_of_large_images():
    picture = boxes.side_by_side(np.zeros([1200, 1600, 3], np.uint8), NOTHING, NOTHING, NAMES)
    assert picture.shape[1] == 2 * 800 + 8 and 600 < picture.shape[0] < 660


def test_flags_are_in_the_label():
    known = {"boxes": [[0, 0, 1, 1]] * 3, "classes": [1, 2, 7]}
    flags = {"difficult": np.array([True, False, True]), "is_crowd": np.array([False, True, True])}
    texts = [mark.text for mark in boxes._make_marks(known | flags, NAMES)]
    assert texts == ["cat (difficult)", "dog (crowd)", "class_7 (difficult) (crowd)"]
    assert [mark.text for mark in boxes._make_marks(known | {"difficult": []}, NAMES)] == ["cat", "dog", "class_7"]


def test_as_many_classes_as_boxes_are_expected():
    with pytest.raises(ValueError, match="as many classes and scores as boxes: 1, 2, 2"):
        boxes.side_by_side(GREY, {"boxes": [[0, 0, 1, 1]] * 2, "classes": [1], "scores": [1, 1]}, NOTHING, NAMES)


def draw_marks(*marks, **options):
    picture = Image.fromarray(GREY)
    boxes.draw_marks(picture, list(marks), **options)
    return np.asarray(picture)


def mark(*corners, text=""):
    return boxes.Mark(*corners, palette.color_of(1), text)


def test_inverted_corners_are_drawn_like_others():
    assert (draw_marks(mark(300, 200, 100, 50)) == draw_marks(mark(100, 50, 300, 200))).all()


def test_a_box_without_area_is_a_line():
    assert where(draw_marks(mark(100, 50, 100, 200)), 1) == (50, 199, 99, 101)  # both sides, of two pixels each


def test_scales_lead_from_the_image_to_the_picture():
    assert where(draw_marks(mark(100, 50, 300, 200), scale=(0.5, 2.0)), 1) == (100, 399, 50, 149)


def test_a_box_that_leaves_the_picture_has_no_line_at_the_border_with_a_margin():
    cut, open_box = draw_marks(mark(500, 100, 900, 200)), draw_marks(mark(500, 100, 900, 200), margin_px=6)
    assert has_color(cut[150], 1)[[500, 599]].all()
    assert has_color(open_box[150], 1)[500] and not has_color(open_box[150], 1)[599]


def test_the_label_of_a_box_outside_is_at_the_border_with_a_margin():
    outside = mark(700, 100, 900, 200, text="cat")
    assert not has_color(draw_marks(outside), 1).any()
    rows, _, _, last_column = where(draw_marks(outside, margin_px=6), 1)
    assert last_column == 599 and 70 < rows < 100


@pytest.mark.parametrize("corner", [float("nan"), float("inf"), -float("inf")])
def test_a_box_without_finite_corners_is_not_drawn(corner):
    assert (draw_marks(mark(corner, 1, 5, 5, text="cat"), margin_px=6) == 128).all()


@pytest.mark.parametrize("image", [np.zeros([4, 4]), np.zeros([4, 4, 3]), np.zeros([0, 4, 3], np.uint8)])
def test_no_image(image):
    with pytest.raises(ValueError, match="expected uint8"):
        boxes.draw_detections(image, found())
