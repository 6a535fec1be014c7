"""Images and boxes are mirrored and rotated together."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests.inputs import examples
from tfodhelper import errors
from tfodhelper.inputs import augment, augment_position, pixels
from tfodhelper.inputs import sample as samples

# 2 rows, 3 columns; the box covers the pixel of row 0, column 2.
IMAGE = np.arange(6, dtype=np.uint8).reshape(2, 3, 1).repeat(3, axis=2)
BOX = (0.0, 2 / 3, 0.5, 1.0)


def apply(text, image=IMAGE, boxes=(BOX,), index=0, seed=0):
    sample = augment.build_step(examples.step_message(text))(
        examples.make_sample(image, boxes), samples.Draws(seed, index)
    )
    return pixels.read_pixels(sample.picture).numpy(), sample.boxes.numpy(), sample


def test_horizontal_flip():
    image, boxes, _ = apply("random_horizontal_flip { probability: 1.0 }")
    np.testing.assert_array_equal(image[..., 0], [[2, 1, 0], [5, 4, 3]])
    np.testing.assert_allclose(boxes, [[0.0, 0.0, 0.5, 1 / 3]], atol=1e-6)


def test_vertical_flip():
    image, boxes, _ = apply("random_vertical_flip { probability: 1.0 }")
    np.testing.assert_array_equal(image[..., 0], [[3, 4, 5], [0, 1, 2]])
    np.testing.assert_allclose(boxes, [[0.5, 2 / 3, 1.0, 1.0]], atol=1e-6)


def test_rotation_is_counter_clockwise():
    image, boxes, _ = apply("random_rotation90 { probability: 1.0 }")
    np.testing.assert_array_equal(image[..., 0], [[2, 5], [1, 4], [0, 3]])
    np.testing.assert_allclose(boxes, [[0.0, 0.0, 1 / 3, 0.5]], atol=1e-6)


@pytest.mark.parametrize("name", ["random_horizontal_flip", "random_vertical_flip", "random_rotation90"])
def test_probability_zero_never_does_anything(name):
    for index in range(20):
        image, boxes, _ = apply(f"{name} {{ probability: 0.0 }}", index=index)
        np.testing.assert_array_equal(image, IMAGE)
        np.testing.assert_allclose(boxes, [BOX])


def test_self_concat_both_ways():
    text = "random_self_concat_image { concat_vertical_probability: 1.0 concat_horizontal_probability: 1.0 }"
    image, boxes, sample = apply(text)
    np.testing.assert_array_equal(image, np.tile(IMAGE, [2, 2, 1]))
    expected = [[0, 1 / 3, 0.25, 0.5], [0.5, 1 / 3, 0.75, 0.5], [0, 5 / 6, 0.25, 1], [0.5, 5 / 6, 0.75, 1]]
    np.testing.assert_allclose(boxes, expected, atol=1e-6)
    np.testing.assert_array_equal(sample.rows, [0, 0, 0, 0])


def test_drop_and_remap_labels_speak_of_label_map_ids():
    boxes = [BOX] * 4
    _, _, sample = apply("drop_label_probabilistically { label: 2 }", boxes=boxes)
    np.testing.assert_array_equal(sample.classes, [0, 2, 3])
    np.testing.assert_array_equal(sample.rows, [0, 2, 3])
    _, _, sample = apply("remap_labels { original_labels: 1 original_labels: 3 new_label: 4 }", boxes=boxes)
    np.testing.assert_array_equal(sample.classes, [3, 1, 3, 3])
    with pytest.raises(errors.ConfigError, match="from 1"):
        apply("drop_label_probabilistically { label: 0 }")


@pytest.mark.parametrize("mode", ["DEFAULT", "EXPAND", "SHRINK", "EXPAND_SYMMETRIC", "SHRINK_SYMMETRIC_XY"])
def test_jitter_moves_each_side_by_half_of_the_ratio_at_most(mode):
    boxes = np.array([[0.4, 0.3, 0.6, 0.7]] * 50, np.float32)
    result = augment_position.random_jitter_boxes(
        examples.make_sample(IMAGE, boxes), samples.Draws(0, 0), ratio=0.2, mode=mode
    ).boxes.numpy()
    moved = (result - boxes) * [-1, -1, 1, 1]  # outwards
    limit = np.array([0.02, 0.04, 0.02, 0.04]) + 1e-6
    assert np.all(np.abs(moved) <= limit)
    assert np.abs(moved).max() > 0.01
    if mode.startswith("EXPAND"):
        assert moved.min() > -1e-6
    if mode.startswith("SHRINK"):
        assert moved.max() < 1e-6
    if "SYMMETRIC" in mode:
        np.testing.assert_allclose(moved[:, :2], moved[:, 2:], atol=1e-6)
    if mode.endswith("_XY"):
        np.testing.assert_allclose(moved[:, 0] / 0.2, moved[:, 1] / 0.4, atol=1e-5)


CHAINS = st.lists(st.sampled_from(["mirror", "upside_down", "rotate", "crop"]), max_size=6)


@hypothesis.given(CHAINS, st.integers(0, 2**31), st.booleans())
@hypothesis.settings(max_examples=60)
def test_noted_steps_equal_steps_carried_out(chain, seed, as_jpeg):
    """A picture that notes crops and turns gives the pixels that applying them one by one gives."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (9, 14, 3), np.uint8)
    if as_jpeg:
        encoded = examples.encode(image, subsampling=2)
        picture = pixels.make_picture_from_bytes(tf.constant(encoded))
        image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE").numpy()
    else:
        picture = pixels.make_picture_from_pixels(tf.constant(image))
    for step in chain:
        do = bool(random.integers(2))
        if step == "mirror":
            picture, changed = pixels.mirror(picture, tf.constant(do)), image[:, ::-1]
        elif step == "upside_down":
            picture, changed = pixels.turn_upside_down(picture, tf.constant(do)), image[::-1]
        elif step == "rotate":
            picture, changed = pixels.rotate90(picture, tf.constant(do)), np.rot90(image)
        else:
            height, width = (int(random.integers(1, side + 1)) for side in image.shape[:2])
            y, x = (int(random.integers(0, side - part + 1)) for side, part in zip(image.shape, (height, width)))
            picture, image = pixels.crop(picture, y, x, height, width), image[y : y + height, x : x + width]
            continue
        image = changed if do else image
    assert tuple(int(side) for side in picture.size) == image.shape[:2]
    np.testing.assert_array_equal(pixels.read_pixels(picture), image)
