"""Crops and paddings: what happens to pixels and boxes."""

import numpy as np
import pytest
import tensorflow as tf

from tests.inputs import examples
from tfodhelper import errors
from tfodhelper.inputs import augment, augment_crop, augment_pad, pixels
from tfodhelper.inputs import sample as samples

ROWS, COLUMNS = np.mgrid[0:80, 0:120]
# Channel 0 holds the row, channel 1 the column: every pixel tells where it comes from.
IMAGE = np.stack([ROWS, COLUMNS, 255 - ROWS], axis=-1).astype(np.uint8)
# Boxes along pixel borders: rows 20..39, columns 30..89, and one on the border of the image.
BOXES = np.array([[0.25, 0.25, 0.5, 0.75], [0.0, 0.0, 0.125, 0.1], [0.75, 0.5, 1.0, 1.0]], np.float32)

CROPS = [
    "random_crop_image {}",
    "random_crop_image { min_object_covered: 0.3 overlap_thresh: 0.5 clip_boxes: false random_coef: 0.2 }",
    "ssd_random_crop {}",
    "ssd_random_crop_fixed_aspect_ratio {}",
    "random_crop_to_aspect_ratio { aspect_ratio: 0.8 }",
]


def cropped_boxes(image, overlap_thresh, clip):
    """Boxes that belong to a crop, computed from where its pixels come from, and the rows that stay."""
    top, left = (int(v) for v in image[0, 0, :2])
    height, width = image.shape[:2]
    pixel_boxes = BOXES * [80, 120, 80, 120]
    moved = (pixel_boxes - [top, left, top, left]) / [height, width, height, width]
    clipped = np.clip(moved, 0, 1)
    areas = [np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (clipped, moved)]
    stays = (areas[0] > 0) & (areas[0] / areas[1] >= overlap_thresh - 1e-6)
    return (clipped if clip else moved)[stays], np.flatnonzero(stays)


@pytest.mark.parametrize("text", CROPS)
def test_boxes_follow_the_crop(text):
    """Where the corner pixel comes from says where the window is; boxes must agree with it."""
    step = augment.build_step(examples.step_message(text))
    sizes = set()
    for image, boxes, classes in zip(*examples.run_many(step, lambda: examples.make_sample(IMAGE, BOXES), 60)):
        top, left = image[0, 0, :2]
        height, width = image.shape[:2]
        np.testing.assert_array_equal(image, IMAGE[top : top + height, left : left + width])
        for box, label in zip(boxes, classes):
            expected = (BOXES[label] * [80, 120, 80, 120] - [top, left, top, left]) / [height, width, height, width]
            if "clip_boxes: false" not in text:
                expected = np.clip(expected, 0, 1)
            np.testing.assert_allclose(box, expected, atol=1e-5)
            assert np.all(box[2:] > box[:2])
        sizes.add((height, width))
    assert len(sizes) > (0 if "to_aspect_ratio" in text else 20)


def test_overlap_threshold_decides_which_boxes_stay():
    step = augment.build_step(examples.step_message("random_crop_image { min_object_covered: 0 overlap_thresh: 0.6 }"))
    for image, boxes, classes in zip(*examples.run_many(step, lambda: examples.make_sample(IMAGE, BOXES), 60)):
        expected, rows = cropped_boxes(image, 0.6, clip=True)
        np.testing.assert_array_equal(classes, rows)
        np.testing.assert_allclose(boxes, expected, atol=1e-5)


def test_one_box_is_covered_as_much_as_asked_and_shape_is_within_bounds():
    text = (
        "random_crop_image { min_object_covered: 0.7 overlap_thresh: 0.0 clip_boxes: false min_aspect_ratio: 0.6 "
        "max_aspect_ratio: 1.5 min_area: 0.2 max_area: 0.6 }"
    )
    step = augment.build_step(examples.step_message(text))
    for image, boxes, _ in zip(*examples.run_many(step, lambda: examples.make_sample(IMAGE, BOXES), 60)):
        height, width = image.shape[:2]
        if (height, width) == IMAGE.shape[:2]:
            continue  # no attempt succeeded
        inside = np.clip(boxes, 0, 1)
        covered = np.prod(inside[:, 2:] - inside[:, :2], axis=1) / np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
        assert covered.max() >= 0.7 - 0.02
        assert 0.2 - 0.03 <= height * width / IMAGE[..., 0].size <= 0.6 + 0.03
        assert 0.6 - 0.05 <= width / height <= 1.5 + 0.05


def test_skipping_leaves_everything_even_boxes_over_the_border():
    boxes = [[-0.2, 0.1, 0.5, 0.5]]
    sample = examples.make_sample(IMAGE, boxes)
    result = augment_crop.random_crop_image(sample, samples.Draws(0, 0), augment_crop.Crop(random_coef=1.0))
    np.testing.assert_array_equal(pixels.read_pixels(result.picture), IMAGE)
    np.testing.assert_allclose(result.boxes, boxes)


def test_image_without_boxes_is_cropped_too():
    step = augment.build_step(examples.step_message("ssd_random_crop {}"))
    images, boxes, _ = examples.run_many(step, lambda: examples.make_sample(IMAGE, np.zeros([0, 4])), 40)
    assert all(box.shape == (0, 4) for box in boxes)
    assert {image.shape[:2] == IMAGE.shape[:2] for image in images} == {True, False}


def test_pad_image_by_hand():
    image = tf.constant([[[1.0, 2.0, 3.0]]])
    padded = augment_pad.pad_image(image, 1, 0, 2, 3, color=tf.constant([7.0, 8.0, 9.0]))
    np.testing.assert_array_equal(padded[..., 0], [[7, 7, 7], [1, 7, 7]])
    np.testing.assert_array_equal(padded[..., 2], [[9, 9, 9], [3, 9, 9]])
    np.testing.assert_array_equal(augment_pad.pad_image(image, 0, 1, 1, 2)[..., 1], [[0, 2]])


_GRAY = "pad_color: 250 pad_color: 250 pad_color: 250"
_NO_CROP = "min_object_covered: 1 min_aspect_ratio: 0.5 max_aspect_ratio: 2 min_area: 0.5 max_area: 1 random_coef: 1.0"
PADS = [
    f"random_pad_image {{ {_GRAY} }}",
    f"random_absolute_pad_image {{ max_height_padding: 30 max_width_padding: 50 {_GRAY} }}",
    f"ssd_random_crop_pad_fixed_aspect_ratio {{ operations {{ {_NO_CROP} }} }}",
]


@pytest.mark.parametrize("text", PADS)
def test_boxes_follow_the_padding(text):
    """The image is found again in the padded one; boxes keep to it."""
    step = augment.build_step(examples.step_message(text))
    for image, boxes, _ in zip(*examples.run_many(step, lambda: examples.make_sample(IMAGE, BOXES), 20)):
        top, left = np.argwhere((image[..., 2] == 255) & (image[..., 0] == 0))[0]
        np.testing.assert_array_equal(image[top : top + 80, left : left + 120], IMAGE)
        pixel_boxes = boxes * np.tile(image.shape[:2], 2)
        np.testing.assert_allclose(pixel_boxes, BOXES * [80, 120, 80, 120] + [top, left, top, left], atol=1e-3)
        if "aspect" in text:
            assert abs(image.shape[0] - image.shape[1]) <= 1


def test_padding_color_defaults_to_the_mean():
    step = augment.build_step(examples.step_message("random_pad_image { min_image_height: 200 min_image_width: 300 }"))
    images, _, _ = examples.run_many(step, lambda: examples.make_sample(IMAGE, BOXES), 3)
    for image in images:
        corner = image[0, 0] if image[0, 0, 2] != 255 else image[-1, -1]
        np.testing.assert_allclose(corner, IMAGE.mean(axis=(0, 1)), rtol=1e-4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no operation is named"),
        ("rgb_to_gray {}", "random_rgb_to_gray"),
        ("autoaugment_image { policy_name: 'v9' }", "v0, v1, v2, v3, test"),
        ("random_pad_image { min_image_height: 3 }", "both or neither"),
        ("random_pad_image { pad_color: 3 }", "3 numbers"),
        ("random_crop_image { min_area: 0.9 max_area: 0.5 }", "min_area"),
        ("ssd_random_crop { operations { min_object_covered: 0.1 } }", r"operations\[0\]"),
        ("random_distort_color { color_ordering: 2 }", "color_ordering"),
        ("random_patch_gaussian { min_patch_size: 0 }", "min_patch_size"),
        ("normalize_image {}", "differ"),
        ("resize_image {}", "new_height"),
    ],
)
def test_what_cannot_be_is_an_error_that_names_it(text, words):
    with pytest.raises(errors.ConfigError, match=words):
        augment.build_augmentation([examples.step_message(text)])
