"""The operations and policies of autoaugment: by hand, by their properties, and next to the Model Garden's."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests.inputs import examples
from tfodhelper.inputs import augment, autoaugment, autoaugment_boxes, autoaugment_color, autoaugment_geometry, pixels
from tfodhelper.inputs import sample as samples
from tfodhelper.inputs.autoaugment_policies import POLICIES

GRAY = autoaugment.GRAY
FILL = [GRAY] * 3
NOISE = np.random.default_rng(3).integers(0, 256, [40, 60, 3]).astype(np.uint8)
ROWS, COLUMNS = np.mgrid[0:40, 0:60]
SMOOTH = np.stack([ROWS * 3 + 20, COLUMNS * 2, 90 + ROWS + COLUMNS], axis=-1).astype(np.uint8)


def channels(*values):
    """An image [1, n, 3] with the same values in all channels."""
    return np.array(values, np.uint8)[np.newaxis, :, np.newaxis].repeat(3, axis=2)


def numbers(image):
    """The first channel."""
    return np.asarray(image)[..., 0].tolist()


# Values of a row before and after, computed by hand.
@pytest.mark.parametrize(
    ("name", "argument", "before", "after"),
    [
        ("brightness", 0.5, (0, 101, 255), (0, 50, 127)),
        ("brightness", 1.9, (0, 100, 200), (0, 190, 255)),
        ("contrast", 0.5, (0, 100, 200), (50, 100, 150)),  # around 100
        ("contrast", 1.5, (0, 100, 200), (0, 100, 250)),
        ("solarize", 128, (0, 127, 128, 255), (0, 127, 127, 0)),
        ("solarize", 256, (0, 255), (0, 255)),
        ("solarize_add", 60, (0, 100, 127, 128, 255), (60, 160, 187, 128, 255)),
        ("posterize", 4, (15, 16, 31, 255), (0, 16, 16, 240)),
        ("posterize", 0, (127, 128, 255), (0, 128, 128)),
        ("autocontrast", None, (50, 75, 100), (0, 127, 255)),
        ("autocontrast", None, (7, 7), (7, 7)),
    ],
)
def test_colors_by_hand(name, argument, before, after):
    operation = getattr(autoaugment_color, name)
    image = tf.constant(channels(*before))
    result = operation(image) if argument is None else operation(image, argument)
    assert result.dtype == tf.uint8
    assert numbers(result) == [list(after)]


def test_color_is_compared_with_gray():
    image = tf.constant(np.array([[[200, 100, 0]]], np.uint8))  # 0.2989 * 200 + 0.587 * 100 = 118.48
    assert autoaugment_color.color(image, 0.0).numpy().tolist() == [[[118, 118, 118]]]
    assert autoaugment_color.color(image, 0.5).numpy().tolist() == [[[159, 109, 59]]]
    np.testing.assert_array_equal(autoaugment_color.color(tf.constant(NOISE), 1.0), NOISE)


def test_sharpness_blends_with_a_smoothed_image():
    image = np.zeros([3, 4, 3], np.uint8)
    image[1, 1] = 130
    smooth = autoaugment_color.sharpness(tf.constant(image), 0.0)
    assert numbers(smooth) == [[0, 0, 0, 0], [0, 50, 10, 0], [0, 0, 0, 0]]  # 5 / 13 and 1 / 13; the border stays
    assert numbers(autoaugment_color.sharpness(tf.constant(image), 1.5))[1] == [0, 170, 0, 0]


def test_equalize_by_hand():
    """510 values without the most frequent highest one make a step of 2: k values below mean (k + 1) // 2."""
    image = np.repeat(np.array([10, 20, 30], np.uint8), [100, 410, 90]).reshape(20, 30, 1).repeat(3, axis=2)
    image[..., 1] = 77  # a single value stays
    result = autoaugment_color.equalize(tf.constant(image)).numpy()
    assert sorted(set(result[..., 0].ravel().tolist())) == [0, 50, 255]
    assert set(result[..., 1].ravel().tolist()) == {77}


@pytest.mark.parametrize(
    ("make", "amount", "expected"),
    [
        (autoaugment_geometry.translation_x, 1.0, [[2, 3, GRAY], [5, 6, GRAY], [8, 9, GRAY]]),
        (autoaugment_geometry.translation_x, -2.0, [[GRAY, GRAY, 1], [GRAY, GRAY, 4], [GRAY, GRAY, 7]]),
        (autoaugment_geometry.translation_y, 1.0, [[4, 5, 6], [7, 8, 9], [GRAY, GRAY, GRAY]]),
        (autoaugment_geometry.rotation, 90.0, [[3, 6, 9], [2, 5, 8], [1, 4, 7]]),
        (autoaugment_geometry.rotation, -90.0, [[7, 4, 1], [8, 5, 2], [9, 6, 3]]),
        (autoaugment_geometry.shear_x, 1.0, [[1, 2, 3], [5, 6, GRAY], [9, GRAY, GRAY]]),
        (autoaugment_geometry.shear_y, 1.0, [[1, 5, 9], [4, 8, GRAY], [7, GRAY, GRAY]]),
    ],
)
def test_pixels_move_as_computed_by_hand(make, amount, expected):
    image = np.arange(1, 10, dtype=np.uint8).reshape(3, 3, 1).repeat(3, axis=2)
    transform = make(tf.constant(amount), tf.shape(image))
    assert numbers(autoaugment_geometry.transform_image(tf.constant(image), transform, GRAY)) == expected


# A box of 40 x 60 pixels in an image of 100 x 200: rows 20 to 60, columns 40 to 100.
@pytest.mark.parametrize(
    ("make", "amount", "expected"),
    [
        (autoaugment_geometry.translation_x, 30.0, (20, 10, 60, 70)),
        (autoaugment_geometry.translation_x, 60.0, (20, 0, 60, 40)),  # 20 pixels are outside
        (autoaugment_geometry.translation_x, 120.0, (20, 0, 60, 0)),  # all are
        (autoaugment_geometry.translation_y, -10.0, (30, 40, 70, 100)),
        (autoaugment_geometry.shear_x, 0.5, (20, 40 - 29.75, 60, 100 - 9.75)),  # rows 20 and 60, from row 0.5
        (autoaugment_geometry.shear_y, -0.5, (20 + 19.75, 40, 100, 100)),
        (autoaugment_geometry.rotation, 180.0, (40, 100, 80, 160)),
        (autoaugment_geometry.rotation, 90.0, (50, 70, 100, 110)),  # (100, 50) is the center; the lower part is outside
    ],
)
def test_boxes_move_as_computed_by_hand(make, amount, expected):
    shape = tf.constant([100, 200, 3])
    sides = np.array([100, 200, 100, 200], np.float32)
    boxes = tf.constant(np.array([[20, 40, 60, 100]], np.float32) / sides)
    moved = autoaugment_geometry.transform_boxes(boxes, make(tf.constant(amount), shape), shape) * sides
    np.testing.assert_allclose(moved, [expected], atol=1e-3)


TRANSFORMS = {
    "rotation": (autoaugment_geometry.rotation, 30.0),
    "translation_x": (autoaugment_geometry.translation_x, 250.0),
    "translation_y": (autoaugment_geometry.translation_y, 250.0),
    "shear_x": (autoaugment_geometry.shear_x, 0.3),
    "shear_y": (autoaugment_geometry.shear_y, 0.3),
}


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    name=st.sampled_from(sorted(TRANSFORMS)),
    amount=st.floats(-1.0, 1.0),
    height=st.integers(20, 90),
    width=st.integers(20, 90),
    corners=st.tuples(*[st.floats(0.0, 1.0)] * 4),
)
def test_a_box_stays_around_its_pixels(name, amount, height, width, corners):
    """The box that is computed is the smallest one around the pixels, up to rounding and the edges of rectangles."""
    top, bottom = sorted(int(round(value * height)) for value in corners[:2])
    left, right = sorted(int(round(value * width)) for value in corners[2:])
    hypothesis.assume(bottom - top >= 8 and right - left >= 8)
    image = np.full([height, width, 3], 9, np.uint8)
    image[top:bottom, left:right] = 255
    make, largest = TRANSFORMS[name]
    transform = make(tf.constant(amount * largest), tf.shape(image))
    moved = autoaugment_geometry.transform_image(tf.constant(image), transform, GRAY).numpy()[..., 0] == 255
    sides = np.array([height, width, height, width], np.float32)
    boxes = tf.constant(np.array([[top, left, bottom, right]], np.float32) / sides)
    (box,) = autoaugment_geometry.transform_boxes(boxes, transform, tf.shape(image)).numpy() * sides
    if not moved.any():
        assert np.min(box[2:] - box[:2]) <= 1.5
        return
    rows, columns = np.flatnonzero(moved.any(axis=1)), np.flatnonzero(moved.any(axis=0))
    seen = np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])
    assert np.all(seen[:2] >= box[:2] - 1.0) and np.all(seen[2:] <= box[2:] + 1.0)  # nothing is outside of the box
    inside = np.all(box[:2] > 0) and box[2] < height and box[3] < width
    if inside:  # a corner that is cut off by the border may have been the outermost one
        assert np.all(np.abs(seen - box) <= 2.0)


def reference():
    """The Model Garden's operations, with the same names as Pillow's."""
    return pytest.importorskip("official.vision.ops.augment")


@pytest.mark.slow
@pytest.mark.parametrize("image", [NOISE, SMOOTH], ids=["noise", "smooth"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("autocontrast", ()),
        ("equalize", ()),
        ("posterize", (3,)),
        ("solarize", (100,)),
        ("solarize_add", (55,)),
        ("color", (0.3,)),
        ("color", (1.7,)),
        ("brightness", (0.3,)),
        ("brightness", (1.7,)),
        ("sharpness", (0.3,)),
        ("sharpness", (1.7,)),
    ],
)
def test_colors_are_those_of_the_model_garden(image, name, arguments):
    theirs = getattr(reference(), name)(tf.constant(image), *arguments).numpy()
    ours = getattr(autoaugment_color, name)(tf.constant(image), *arguments).numpy()
    # The order of additions may round a value down to the next one.
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    assert difference.max() <= 1 and (difference == 0).mean() > 0.99


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "amount", "refer"),
    [
        ("rotation", 17.0, lambda garden, image, boxes: garden.rotate_with_bboxes(image, boxes, 17.0, FILL)),
        ("translation_x", 9.0, lambda garden, image, boxes: garden.translate_bbox(image, boxes, 9, FILL, True)),
        ("translation_y", -9.0, lambda garden, image, boxes: garden.translate_bbox(image, boxes, -9, FILL, False)),
        ("shear_x", 0.2, lambda garden, image, boxes: garden.shear_with_bboxes(image, boxes, 0.2, FILL, True)),
        ("shear_y", -0.2, lambda garden, image, boxes: garden.shear_with_bboxes(image, boxes, -0.2, FILL, False)),
    ],
)
def test_geometry_is_that_of_the_model_garden(make, amount, refer):
    boxes = tf.constant([[0.2, 0.3, 0.7, 0.8], [0.5, 0.1, 0.9, 0.35]])
    theirs, their_boxes = refer(reference(), tf.constant(NOISE), boxes)
    shape = tf.shape(NOISE)
    transform = getattr(autoaugment_geometry, make)(tf.constant(amount), shape)
    ours = autoaugment_geometry.transform_image(tf.constant(NOISE), transform, 128).numpy()
    inside = autoaugment_geometry.transform_image(tf.ones_like(NOISE), transform, 0).numpy() == 1
    assert 0.5 < inside.mean() < 1.0 and np.all(ours[~inside] == GRAY)  # theirs is the mirrored image there
    assert (ours == theirs.numpy())[inside].mean() > 0.99
    # Theirs are rounded to whole pixels up to three times.
    sides = np.array([40, 60, 40, 60])
    difference = (autoaugment_geometry.transform_boxes(boxes, transform, shape) - their_boxes).numpy() * sides
    assert np.abs(difference).max() <= 2.5


def test_a_square_is_cut_out():
    image = tf.constant(np.zeros([10, 20, 3], np.uint8))
    rows, columns = np.nonzero(autoaugment_boxes.cut_out(image, 2, (0.5, 0.25), 9).numpy()[..., 0])
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (3, 7, 3, 7)  # around (5, 5)
    rows, columns = np.nonzero(autoaugment_boxes.cut_out(image, 2, (0.0, 0.999), 9).numpy()[..., 0])
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (0, 2, 17, 20)


def test_pixels_of_boxes():
    boxes = tf.constant([[0.0, 0.0, 1.0, 1.0], [0.25, 0.5, 0.55, 0.5], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.05, 0.04]])
    windows = autoaugment_boxes.pixel_windows(boxes, tf.constant([10, 20, 3]))
    assert windows.numpy().tolist() == [[0, 0, 10, 20], [2, 10, 6, 11], [9, 19, 10, 20], [0, 0, 1, 1]]


def test_a_rectangle_is_cut_out_of_a_box():
    image = tf.constant(np.zeros([100, 100, 3], np.uint8))
    box = tf.constant([[0.2, 0.4, 0.595, 0.795]])  # rows 20 to 60, columns 40 to 80
    cut = autoaugment_boxes.cut_out_of_one_box(image, box, 0.5, (0.5, 0.5), tf.constant([0, 1], tf.int64), 9)
    rows, columns = np.nonzero(cut.numpy()[..., 0])
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (30, 50, 50, 70)
    none = autoaugment_boxes.cut_out_of_one_box(image, box[:0], 0.5, (0.5, 0.5), tf.constant([0, 1], tf.int64), 9)
    assert not none.numpy().any()


def test_contents_of_boxes_change_with_their_probability():
    boxes = np.array([[row / 10, column / 10, row / 10, column / 10] for row in range(10) for column in range(10)])
    boxes = tf.constant(boxes + 0.05, tf.float32)  # one pixel each
    image = tf.constant(np.zeros([10, 10, 3], np.uint8))
    shares = []
    for index in range(20):
        seed = tf.constant([7, index], tf.int64)
        changed = autoaugment_boxes.change_contents(image, boxes, lambda content, _: content + 1, 0.3, seed)
        assert set(np.unique(changed)) <= {0, 1}
        shares.append(np.mean(changed))
    assert 0.3 - 0.045 < np.mean(shares) < 0.3 + 0.045  # four standard deviations of 2000 draws


def test_overlapping_boxes_are_changed_one_after_the_other():
    boxes = tf.constant([[0.0, 0.0, 0.69, 0.69], [0.4, 0.4, 1.0, 1.0]])
    image = tf.constant(np.zeros([10, 10, 3], np.uint8))
    seed = tf.constant([0, 0], tf.int64)
    changed = autoaugment_boxes.change_contents(image, boxes, lambda content, _: content + 1, 1.0, seed).numpy()
    assert changed[0, 0, 0] == changed[9, 9, 0] == 1 and changed[5, 5, 0] == 2 and changed[0, 9, 0] == 0


def test_published_policies_have_known_operations():
    assert {name: len(policy) for name, policy in POLICIES.items()} == {
        "v0": 5,
        "v1": 20,
        "v2": 15,
        "v3": 15,
        "test": 1,
    }
    for policy in POLICIES.values():
        for name, probability, magnitude in (operation for sub_policy in policy for operation in sub_policy):
            assert name in autoaugment.OPERATIONS
            assert 0.0 <= probability <= 1.0 and magnitude in range(autoaugment.LARGEST_MAGNITUDE + 1)


BOXES = [[0.1, 0.2, 0.5, 0.6], [0.4, 0.5, 0.95, 0.9], [0.0, 0.0, 1.0, 1.0]]


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("boxes", [BOXES, []], ids=["boxes", "none"])
def test_policies_run_and_keep_images_and_boxes_valid(policy, boxes):
    step = augment.build_step(examples.step_message(f"autoaugment_image {{ policy_name: '{policy}' }}"))
    images, kept, classes = examples.run_many(step, lambda: examples.make_sample(NOISE, boxes), 40)
    for image, now, labels in zip(images, kept, classes):
        assert image.shape == NOISE.shape and image.dtype == np.float32
        assert image.min() >= 0 and image.max() <= 255 and np.all(image == np.round(image))
        assert len(now) == len(labels) <= len(boxes)
        assert np.all(now >= 0) and np.all(now <= 1) and np.all(now[:, 2:] > now[:, :2])
    if policy != "test":
        assert len({image.tobytes() for image in images}) > 5


def test_the_policy_for_tests_translates_by_100_pixels_and_equalizes():
    """Both always happen; only the direction is random."""
    image = np.zeros([50, 300, 3], np.uint8)
    image[:, 120:180] = 200
    step = augment.build_step(examples.step_message("autoaugment_image { policy_name: 'test' }"))
    images, boxes, _ = examples.run_many(
        step, lambda: examples.make_sample(image, [[0, 0.4, 1, 0.6], [0, 0.9, 1, 1]]), 12
    )
    directions = set()
    for result, moved in zip(images, boxes):
        left = 20 if result[0, 20, 0] == result[0, 79, 0] != result[0, 10, 0] else 220
        np.testing.assert_allclose(moved[0], [0, left / 300, 1, (left + 60) / 300], atol=1e-6)
        assert len(moved) == (2 if left == 20 else 1)  # the box at the right border leaves the image
        directions.add(left)
    assert directions == {20, 220}


def test_the_same_index_gives_the_same_image():
    step = augment.build_step(examples.step_message("autoaugment_image { policy_name: 'v1' }"))
    first, again = (step(examples.make_sample(NOISE, BOXES), samples.Draws(5, 8)) for _ in range(2))
    np.testing.assert_array_equal(pixels.read_pixels(first.picture), pixels.read_pixels(again.picture))
    np.testing.assert_array_equal(first.boxes, again.boxes)


def test_all_sub_policies_are_chosen_equally_often():
    """Sub-policy i of a policy of five cuts everything below a level of its own."""
    policy = tuple(((("SolarizeAdd", 1.0, magnitude)),) for magnitude in (0, 2, 4, 6, 8))
    black = tf.zeros([4, 4, 3], tf.uint8)
    dataset = tf.data.Dataset.range(400).map(
        lambda index: pixels.read_pixels(
            autoaugment.autoaugment_image(examples.make_sample(black), samples.Draws(1, index), policy).picture
        )[0, 0, 0]
    )
    counts = np.unique(list(dataset.as_numpy_iterator()), return_counts=True)
    assert counts[0].tolist() == [0.0, 22.0, 44.0, 66.0, 88.0]
    assert np.all(np.abs(counts[1] - 80) < 4 * np.sqrt(400 * 0.2 * 0.8))
